"""Rows: the PostgreSQL primary is killed or frozen, and its standby takes over."""

import time
from concurrent.futures import ThreadPoolExecutor

import psycopg

from load import load as in_background
from load import wait_until

from . import load
from .hosts import Served, generate, in_process, serving
from .pgbouncer import PgBouncer
from .postgresql import Pair, Server
from .rows import Clusters, Result
from .storm import Storm

AFTER_PROMOTION = 1.0
"""Seconds in which a good answer is to come."""
TIMEOUTS = (
    "connect_timeout=2",
    "keepalives_idle=1",
    "keepalives_interval=1",
    "keepalives_count=2",
    "tcp_user_timeout=2000",
    "options=-c%20statement_timeout%3D2000",
)
"""Of these only ``connect_timeout`` helps against a frozen server: its kernel goes on acknowledging packets, and it is
the server that would end a statement."""
PROBES, PROBE_SECONDS = 2, 2
"""The primary is fenced when this many new sessions in a row were not answered in time."""
FENCED_MS = (PROBES * PROBE_SECONDS + 3) * 1000
"""The bound for an answer: until the primary is fenced and the standby promoted."""
QUERY_TIMEOUT = 2
BOUNCED_MS = (3 * QUERY_TIMEOUT + 2) * 1000
"""The bound behind PgBouncer: a statement without an answer, the wait for another connection, and that statement."""


def primary_killed(clusters: Clusters) -> Result:
    """Kill the primary under a storm, and promote the standby."""
    tokens = clusters.some(300, 100)
    with clusters.own_pair() as pair:
        database = clusters.new_database()
        with in_process(pair.url(database), create=True) as host:
            (secret,) = generate(host, "ann", 1)
        with serving(pair.url_of_both(database, "connect_timeout=2"), workers=4, threads=2) as served:
            storm = Storm(served)
            with in_background(8, storm.step):
                wait_until(lambda: len(storm.kept) + len(storm.deleted) >= tokens, 60)
                pair.primary.kill()
                pair.promote()
                good_after = _good_after(served, secret)
                enough = len(storm.kept) + len(storm.deleted) + tokens
                wait_until(lambda: len(storm.kept) + len(storm.deleted) >= enough, 60)
            lost, revived = storm.lost(), storm.revived()
    met = not lost and not revived and not storm.failed and good_after < AFTER_PROMOTION
    statuses = ", ".join(f"{count:,} × {status or 'no answer'}" for status, count in sorted(storm.seen.items()))
    return Result(
        f"{lost} of {len(storm.kept):,} kept lost, {revived} of {len(storm.deleted):,} deleted alive; {statuses}; "
        f"good {good_after * 1000:.0f} ms after promotion",
        met,
    )


def primary_frozen(clusters: Clusters) -> Result:
    """Freeze the primary behind PgBouncer, which ends what it does not answer; then freeze it and fence it."""
    bounced, bounded = _behind_pgbouncer(clusters)
    fenced, good = _fenced(clusters)
    return Result(f"PgBouncer: {bounced}; fenced: {fenced}", bounded and good)


def _behind_pgbouncer(clusters: Clusters) -> tuple[str, bool]:
    pair = clusters.pair
    database = clusters.new_database()
    bouncer = PgBouncer(pair.primary.port, query_timeout=QUERY_TIMEOUT)
    options = {"connect_args": {"prepare_threshold": None}}
    try:
        url = bouncer.url(database)
        with in_process(url, create=True, SQLALCHEMY_ENGINE_OPTIONS=options) as host:
            secrets = generate(host, "ann", 20)
        with serving(url, SQLALCHEMY_ENGINE_OPTIONS=options) as served:
            load.use(served, secrets, seconds=1)
            pair.primary.freeze()
            try:
                found = load.use(served, secrets, seconds=clusters.some(12, 6), timeout=20)
            finally:
                pair.primary.thaw()
            wait_until(lambda: served.call("/api", secret=secrets[0]).status == 200)
    finally:
        bouncer.close()
    slowest = load.percentile(found.guarded, 100)
    right = load.statuses(found.guarded).keys() <= {200, 503} and slowest < BOUNCED_MS
    right = right and set(load.statuses(found.opened)) == {200}
    return f"{found.counts}, max {slowest:.0f} ms", right


def _fenced(clusters: Clusters) -> tuple[str, bool]:
    with clusters.own_pair() as pair:
        database = clusters.new_database()
        with in_process(pair.url(database), create=True) as host:
            secrets = generate(host, "ann", 20)
        with serving(pair.url_of_both(database, *TIMEOUTS)) as served, ThreadPoolExecutor(1) as background:
            load.use(served, secrets, seconds=1)
            pair.primary.freeze()
            frozen_at = time.monotonic()
            done: list[bool] = []
            calls = background.submit(load.use, served, secrets, until=lambda: bool(done), timeout=20)
            try:
                _fence_when_silent(pair)
                promoted_at = time.monotonic()
                good_after = _good_after(served, secrets[0])
            finally:
                done.append(True)
            found = calls.result()
    waited = sum(answer.ended > promoted_at - 1 and answer.started < promoted_at - 2 for answer in found.guarded)
    slowest = load.percentile(found.guarded, 100)
    right = load.statuses(found.all).keys() <= {200, 503} and slowest < FENCED_MS and good_after < AFTER_PROMOTION
    return (
        f"{found.counts}, {waited} of them until then, max {slowest:.0f} ms; promoted after "
        f"{promoted_at - frozen_at:.1f} s, good {good_after * 1000:.0f} ms later"
    ), right


def _fence_when_silent(pair: Pair) -> None:
    """Probe the primary with new sessions; kill it and promote the standby when it is silent."""
    silent = 0
    while silent < PROBES:
        silent = 0 if _answers(pair.primary) else silent + 1
    pair.primary.kill()
    pair.promote()


def _answers(server: Server) -> bool:
    where = f"host=127.0.0.1 port={server.port} user=postgres dbname=postgres connect_timeout={PROBE_SECONDS}"
    try:
        psycopg.connect(where).close()
    except psycopg.OperationalError:
        return False
    return True


def _good_after(served: Served, secret: str) -> float:
    """The seconds until a check is answered 200."""
    started = time.monotonic()
    wait_until(lambda: served.call("/api", secret=secret).status == 200, 30)
    return time.monotonic() - started
