"""Rows: what is acknowledged on one Galera node holds on the others, where they read with ``wsrep_sync_wait=1``."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from statistics import median
from typing import Any

from flask_access_tokens import tokens
from host import Host
from load import at_once, someone, wait_until

from .galera import Node
from .hosts import delete, in_process, problems
from .rows import Clusters, Result
from .rows_limits import SEES_ALL

CALLERS = 4
PLAIN: dict[str, Any] = {}
DIRTY = {"connect_args": {"init_command": "SET SESSION wsrep_sync_wait=1, SESSION wsrep_dirty_reads=ON"}}
PAUSE = 0.02
"""Seconds for which the lagging node applies nothing, and then everything, by turns."""


def delete_then_check(clusters: Clusters) -> Result:
    """Delete on one node and check on another, which lags."""
    first, second, _ = clusters.galera.nodes
    count = clusters.some(2000, 200)
    with (
        in_process(first.url) as here,
        in_process(second.url, SQLALCHEMY_ENGINE_OPTIONS=SEES_ALL) as waits,
        in_process(second.url, SQLALCHEMY_ENGINE_OPTIONS=PLAIN) as plain,
    ):
        let_in = _let_in(here, waits, second, count)
        without = _let_in(here, plain, second, count)
        secret = _generate(here, someone("ann"), 1)[0][0]
        wait_until(lambda: plain.find(secret) is not None)
        cost = _cost(waits, plain, secret, clusters.some(3000, 600))
    found = problems(second.url)
    others = [problems(second.url, SQLALCHEMY_ENGINE_OPTIONS=options) for options in (SEES_ALL, DIRTY)]
    return Result(
        f"{let_in} of {count:,} let in; with wsrep_sync_wait=0, which the package {'finds' if found else 'overlooks'},"
        f" {without:,} of {count:,}; a check with =1 takes {cost:+.0f} µs (median)",
        let_in == 0 and found == ["galera-sync-wait"] and others == [[], ["galera-dirty-reads"]],
    )


def generate_then_delete(clusters: Clusters) -> Result:
    """Generate on one node and delete on another, which lags."""
    first, second, _ = clusters.galera.nodes
    count = clusters.some(1000, 200)
    with (
        in_process(first.url) as here,
        in_process(second.url, SQLALCHEMY_ENGINE_OPTIONS=SEES_ALL) as waits,
        in_process(second.url) as plain,
    ):
        missed, without = (_missed(here, there, second, count) for there in (waits, plain))
    return Result(
        f"{missed} of {count:,} not found; with wsrep_sync_wait=0 {without:,} of {count:,}",
        missed == 0,
    )


def _let_in(here: Host, there: Host, lagging: Node, count: int) -> int:
    """The number of secrets that one host accepts after another one has acknowledged the deletion."""

    def delete_and_check(_: int) -> int:
        owner, found = someone("ann"), 0
        for secret, token_id in _generate(here, owner, count // CALLERS):
            wait_until(lambda secret=secret: there.find(secret) is not None)
            assert delete(here, owner, token_id)
            found += there.find(secret) is not None
        return found

    with _lag(lagging):
        return sum(at_once(CALLERS, delete_and_check))


def _missed(here: Host, there: Host, lagging: Node, count: int) -> int:
    """The number of new tokens that another host could not delete."""

    def generate_and_delete(_: int) -> int:
        owner, missed = someone("ann"), 0
        for _ in range(count // CALLERS):
            ((_secret, token_id),) = _generate(here, owner, 1)
            missed += not delete(there, owner, token_id)
        return missed

    with _lag(lagging):
        return sum(at_once(CALLERS, generate_and_delete))


def _generate(host: Host, owner: str, times: int) -> list[tuple[str, object]]:
    """Generate tokens and return their secrets and IDs."""
    with host.app.app_context():
        new = [tokens.generate(owner, "laptop") for _ in range(times)]
    return [(each.secret, each.token.id) for each in new]


@contextmanager
def _lag(node: Node) -> Iterator[None]:
    """Let a node fall behind again and again until the block ends."""
    stop = threading.Event()

    def hold() -> None:
        connection = node.connect()
        with connection, connection.cursor() as cursor:
            while not stop.is_set():
                cursor.execute("FLUSH TABLES WITH READ LOCK")
                stop.wait(PAUSE)
                cursor.execute("UNLOCK TABLES")
                stop.wait(PAUSE)

    thread = threading.Thread(target=hold)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _cost(waits: Host, plain: Host, secret: str, count: int) -> float:
    """The microseconds that a check takes longer where the session waits for other nodes."""
    added = []
    for number in range(count):
        times = {}
        for host in (waits, plain) if number % 2 else (plain, waits):
            started = time.perf_counter()
            assert host.find(secret) is not None
            times[host] = time.perf_counter() - started
        added.append(times[waits] - times[plain])
    return median(added) * 1e6
