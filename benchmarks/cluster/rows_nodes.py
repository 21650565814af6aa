"""Rows: a Galera node is killed or cut off while last-used updates are due."""

import time
from collections.abc import Callable

from load import at_once

from . import load
from .galera import SUSPECT_SECONDS
from .hosts import Served, generate, in_process, serving_on_each
from .processes import wait_for
from .rows import Clusters, Result
from .rows_limits import SEES_ALL

SECONDS = 2 * SUSPECT_SECONDS
LEAST = 2000
"""Requests that the remaining nodes are to answer in this time."""
BOUND_MS = 3000
"""Within this time a request to the host on the lost node is to be answered."""
BACK_SECONDS = 5
"""Within this time after the node has come back its host is to answer 200."""


def node_lost(clusters: Clusters) -> Result:
    """Cut a node off and let it come back; then kill it."""
    found, met = [], True
    with clusters.own_galera() as galera:
        lost = galera.nodes[2]
        urls = [node.url for node in galera.nodes]
        with in_process(urls[0]) as host:
            secrets = generate(host, "ann", 300)
        galera.wait_for("SELECT count(*) FROM access_tokens")
        with serving_on_each(urls, ACCESS_TOKENS_LAST_USED_INTERVAL=0, SQLALCHEMY_ENGINE_OPTIONS=SEES_ALL) as served:
            galera.isolate(lost)
            parts = at_once(2, lambda number: load.use(served[number], secrets, seconds=SECONDS, callers=1))
            waiting = load.Answers(parts[0].guarded + parts[1].guarded, parts[0].opened + parts[1].opened)
            found.append(f"cut off, with wsrep_sync_wait=1, remaining nodes {waiting}")
            met = waiting.good
            galera.rejoin(lost)
        with serving_on_each(urls, ACCESS_TOKENS_LAST_USED_INTERVAL=0) as served:
            for what, lose in (("cut off", lambda: galera.isolate(lost)), ("killed", lost.kill)):
                measured, right = _measure(served, secrets, lose)
                found.append(f"{what}: {measured}")
                met = met and right
                if what == "cut off":
                    galera.rejoin(lost)
                    back = wait_for(lambda: _answers(served[2], secrets[0]), "the host answers again")
                    found.append(f"it answers again {back:.1f} s after it has rejoined")
                    met = met and back < BACK_SECONDS
    return Result("; ".join(found), met)


def _answers(served: Served, secret: str) -> bool:
    return served.call("/api", secret=secret, timeout=1).status == 200


def _measure(served: list[Served], secrets: list[str], lose: Callable[[], None]) -> tuple[str, bool]:
    """Lose a node under load; the last host is the one on it."""
    lose()
    lost_at = time.monotonic()
    parts = at_once(3, lambda number: load.use(served[number], secrets, seconds=SECONDS, callers=1))
    remaining = load.Answers(parts[0].guarded + parts[1].guarded, parts[0].opened + parts[1].opened)
    agreed = lost_at + 1.6 * SUSPECT_SECONDS
    after = [answer for answer in remaining.guarded if answer.started > agreed]
    late = [answer for answer in parts[2].guarded if answer.started > agreed]
    unavailable = load.statuses(parts[2].guarded)
    slowest = load.percentile(parts[2].all, 100)
    right = remaining.good and len(remaining.guarded) >= LEAST and load.percentile(after, 99) < load.P99_MS
    right = right and set(load.statuses(late)) == {503} and set(unavailable) <= {200, 503} and slowest < BOUND_MS
    right = right and set(load.statuses(parts[2].opened)) == {200}
    return (
        f"remaining nodes {remaining}, after the group agreed p99 {load.percentile(after, 99):.0f} ms; "
        f"lost node {parts[2].counts}, max {slowest:.0f} ms"
    ), right
