"""Settings of the database and its connections with which the package cannot be relied on."""

from collections.abc import Iterator

from sqlalchemy import Connection

from .. import clock
from ..finding import Finding
from ..state import State
from .connections import read_on_connection
from .table import token_table

_CLOCKS = {
    "postgresql": "SELECT clock_timestamp()",
    "mysql": "SELECT utc_timestamp(6)",
    "mariadb": "SELECT utc_timestamp(6)",
}
"""SELECTs of the current time, rather than of the start of the transaction. SQLite has the clock of the process."""

_MOST_SECONDS_APART = 5


def settings_findings(state: State) -> list[Finding]:
    """Find settings of the database and its connections that make deletions, checks or rollbacks unreliable.

    :raises StoreError: where the database cannot be used.
    """

    def find(connection: Connection) -> list[Finding]:
        if connection.dialect.name == "postgresql":
            return [*_postgresql_findings(connection), *_pooler_findings(connection)]
        if connection.dialect.name in ("mysql", "mariadb"):
            return [*_mariadb_findings(connection), *_galera_findings(connection)]
        return []

    return read_on_connection(state, find)


def foreign_key_findings(state: State) -> list[Finding]:
    """Find that SQLite does not enforce the foreign key of the token table. In debug mode, that is not reported.

    :raises StoreError: where the database cannot be used.
    """
    if state.app.debug or not token_table(state).c.owner_id.foreign_keys:
        return []
    if read_on_connection(
        state, lambda each: each.dialect.name != "sqlite" or each.exec_driver_sql("PRAGMA foreign_keys").scalar()
    ):
        return []
    return [
        Finding(
            "foreign-keys-off",
            "SQLite does not enforce foreign keys on these connections, so a bulk or raw DELETE of owners leaves their"
            " tokens behind, and a new owner with the same ID can inherit them. Execute PRAGMA foreign_keys = ON on"
            " each new connection: the guide shows the listener.",
        )
    ]


def clock_findings(state: State) -> list[Finding]:
    """Find that the clocks of this process and of the database are more than five seconds apart.

    :raises StoreError: where the database cannot be used.
    """
    apart = read_on_connection(state, _seconds_apart)
    if apart <= _MOST_SECONDS_APART:
        return []
    return [
        Finding(
            "clock",
            f"The clocks of this machine and of the database are {apart:.0f} seconds apart, and tokens expire by the"
            " clock of whichever machine checks them. Synchronize both, for example with NTP.",
        )
    ]


def _seconds_apart(connection: Connection) -> float:
    """Return how far the clocks are apart at least; 0 for a database that has none of its own."""
    statement = _CLOCKS.get(connection.dialect.name)
    if statement is None:
        return 0
    before = clock.now()
    moment = clock.as_utc(connection.exec_driver_sql(statement).scalar_one())
    # The database read its clock at some time between the two.
    return max(before - moment, moment - clock.now()).total_seconds()


def _postgresql_findings(connection: Connection) -> Iterator[Finding]:
    if connection.exec_driver_sql("SHOW synchronous_commit").scalar() == "off":
        yield Finding(
            "synchronous-commit",
            "synchronous_commit is off, so a crash of the server may undo a deletion that was acknowledged, and the"
            " token would work again. Set it to on.",
        )


def _pooler_findings(connection: Connection) -> Iterator[Finding]:
    driver = connection.connection.driver_connection
    info = getattr(driver, "info", None)
    if getattr(driver, "prepare_threshold", None) is None or info is None:
        return
    # A pooler reports a process ID of its own to the client.
    if connection.exec_driver_sql("SELECT pg_backend_pid()").scalar() != info.backend_pid:
        yield Finding(
            "prepared-statements",
            "A pooler such as PgBouncer stands between the application and PostgreSQL, and psycopg prepares"
            " statements, which other clients of the pooler do not share. Set prepare_threshold to None in"
            " connect_args, unless PgBouncer 1.22 or later has max_prepared_statements set.",
        )


def _mariadb_findings(connection: Connection) -> Iterator[Finding]:
    if connection.get_isolation_level() == "READ UNCOMMITTED":
        yield Finding(
            "read-uncommitted",
            "The isolation level is READ UNCOMMITTED, so a check may see what is never committed, such as an owner"
            " whose activation is rolled back. Set it to READ COMMITTED or a higher one.",
        )


def _galera_findings(connection: Connection) -> Iterator[Finding]:
    names = "'wsrep_on', 'wsrep_sync_wait', 'wsrep_dirty_reads'"
    found = connection.exec_driver_sql(f"SHOW SESSION VARIABLES WHERE Variable_name IN ({names})")
    variables = {row[0]: row[1] for row in found}
    if variables.get("wsrep_on") != "ON":
        return
    if not int(variables["wsrep_sync_wait"]) & 1:
        yield Finding(
            "galera-sync-wait",
            "This Galera node reads before it has applied what other nodes have committed, so a token that was deleted"
            " on another node may still be accepted. Set wsrep_sync_wait to 1.",
        )
    if variables.get("wsrep_dirty_reads") == "ON":
        yield Finding(
            "galera-dirty-reads",
            "This Galera node reads even while it is cut off from the others, which may have deleted tokens since. Set"
            " wsrep_dirty_reads to OFF.",
        )
