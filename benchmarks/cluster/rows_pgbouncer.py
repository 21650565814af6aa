"""Row: checks, generations and deletions through PgBouncer in transaction mode."""

from typing import Any

from load import at_once

from .hosts import in_process, problems, serving
from .pgbouncer import PgBouncer
from .rows import Clusters, Result
from .storm import Storm

CALLERS, USES = 8, 5
UNPREPARED: dict[str, Any] = {"connect_args": {"prepare_threshold": None}}


def through_pgbouncer(clusters: Clusters) -> Result:
    """First without prepared statements, which stay behind on a connection that others use; then with them."""
    database = clusters.new_database()
    with in_process(clusters.pair.url(database), create=True):
        pass
    bouncer = PgBouncer(clusters.pair.primary.port)
    try:
        url = bouncer.url(database)
        steps = clusters.some(100, 15)
        right = _storm(url, steps, SQLALCHEMY_ENGINE_OPTIONS=UNPREPARED)
        wrong = _storm(url, steps)
        found, expected = problems(url), not problems(url, SQLALCHEMY_ENGINE_OPTIONS=UNPREPARED)
    finally:
        bouncer.close()
    share = wrong.seen[503] / wrong.seen.total()
    statuses = ", ".join(f"{count:,} × {status or 'no answer'}" for status, count in sorted(right.seen.items()))
    met = not right.failed and not right.seen[503] and not right.lost_at_end and not right.revived_at_end
    finds = "finds" if found else "overlooks"
    return Result(
        f"{statuses}; with prepared statements, which the package {finds}, {share:.0%} × 503, {wrong.seen[500]} × 500",
        met and found == ["prepared-statements"] and expected,
    )


def _storm(url: str, steps: int, **config: Any) -> "_Ended":
    with serving(url, ACCESS_TOKENS_LAST_USED_INTERVAL=0, **config) as served:
        storm = _Ended(served, USES)

        def call(_: int) -> None:
            for _ in range(steps):
                storm.step()

        at_once(CALLERS, call)
        storm.lost_at_end, storm.revived_at_end = storm.lost(), storm.revived()
    return storm


class _Ended(Storm):
    """A storm that was checked while its host was still served."""

    lost_at_end = 0
    revived_at_end = 0
