"""The rows, by the names that ``--only`` takes."""

from . import rows_conflicts, rows_failover, rows_limits, rows_nodes, rows_pgbouncer, rows_sync, rows_writes
from .load import MAX_MS, P99_MS
from .rows import Row

QUICK = f"all 200, p99 < {P99_MS} ms, max < {MAX_MS} ms"
EXACT = "0 over; 5 made and 11 refused in each round, nothing else raised"

ROWS = {
    "standby-gone": Row(
        "PostgreSQL: the synchronous standby killed, and frozen, while updates are due",
        QUICK,
        rows_writes.standby_gone,
    ),
    "locked-postgresql": Row(
        "PostgreSQL: the table locked against writers", QUICK, rows_writes.locked_table_postgresql
    ),
    "full-pool": Row("the pool without a connection to spare", QUICK, rows_writes.full_pool),
    "limit-postgresql": Row("a limit of 5, 16 callers, PostgreSQL", EXACT, rows_limits.on_postgresql),
    "pgbouncer": Row(
        "PgBouncer in transaction mode, prepare_threshold=None", "no 503, no 500", rows_pgbouncer.through_pgbouncer
    ),
    "primary-frozen": Row(
        "the primary frozen: behind PgBouncer with a query_timeout; fenced, and the standby promoted",
        f"200 or 503 within {rows_failover.BOUNCED_MS // 1000} s; within {rows_failover.FENCED_MS // 1000} s, and good"
        f" {rows_failover.AFTER_PROMOTION:.0f} s after promotion",
        rows_failover.primary_frozen,
    ),
    "primary-killed": Row(
        "the primary killed under a storm, and the standby promoted",
        f"0 lost, 0 alive, no 500, good {rows_failover.AFTER_PROMOTION:.0f} s after promotion",
        rows_failover.primary_killed,
    ),
    "locked-mariadb": Row("MariaDB: the table locked against writers", QUICK, rows_writes.locked_table_mariadb),
    "limit-galera": Row("a limit of 5, 16 callers on three nodes", EXACT, rows_limits.on_galera),
    "locks": Row(
        "after a storm of conflicts",
        f"the form opens and generates on each node within {rows_limits.AT_ONCE:.0f} s, no user lock is left",
        rows_limits.no_lock_survives,
    ),
    "same-form": Row("the same form on two nodes at once", "one token; 200 and 409", rows_conflicts.same_form),
    "deletions": Row(
        "deleted on two nodes at once; deleted while a use is noted",
        "303 and 404; 303",
        rows_conflicts.deletions,
    ),
    "delete-then-check": Row(
        "deleted on one Galera node, checked at once on another that lags, wsrep_sync_wait=1",
        "none let in",
        rows_sync.delete_then_check,
    ),
    "generate-then-delete": Row(
        "generated on one Galera node, deleted at once on another that lags, wsrep_sync_wait=1",
        "all found",
        rows_sync.generate_then_delete,
    ),
    "node-lost": Row(
        "a Galera node cut off, and killed, while updates are due",
        f"the others: all 200, p99 < {P99_MS} ms, {rows_nodes.LEAST:,} in {rows_nodes.SECONDS} s;"
        f" the host on it: 200 until the group has agreed, then 503 within {rows_nodes.BOUND_MS // 1000} s,"
        f" 200 again {rows_nodes.BACK_SECONDS} s after it is back",
        rows_nodes.node_lost,
    ),
}
