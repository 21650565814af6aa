"""Rows: an owner's limit holds, whichever node and isolation level the calls for the last places run on."""

import time
import uuid
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

from flask_access_tokens import tokens
from host import Host
from load import at_once, someone
from scenarios import FORM, NEW

from . import load
from .hosts import in_process, on_each, owned_by, serving_on_each
from .rows import Clusters, Result

LIMIT, CALLERS = 5, 16
LIMITED: dict[str, Any] = {"ACCESS_TOKENS_MAX_PER_OWNER": LIMIT}
POOL = {"pool_size": 20}
SEES_ALL = {"connect_args": {"init_command": "SET SESSION wsrep_sync_wait=1"}}
"""A session on Galera that waits for what other nodes have acknowledged before it reads."""
LEVELS = ("READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE")
AT_ONCE = 1.0
"""Seconds."""


def on_galera(clusters: Clusters) -> Result:
    nodes = clusters.galera.nodes
    rounds = clusters.some(50, 10)
    before = clusters.galera.conflicts()
    with on_each([node.url for node in nodes], SQLALCHEMY_ENGINE_OPTIONS=POOL, **LIMITED) as hosts:
        owners, seen = _race(hosts, rounds)
        with in_process(nodes[0].url, SQLALCHEMY_ENGINE_OPTIONS=SEES_ALL) as reader:
            text, met = _judge(reader, owners, seen)
    asked = clusters.some(5, 2)
    with serving_on_each([node.url for node in nodes], **LIMITED) as served:
        answers = []
        for _ in range(asked):
            cookie = served[0].sign_in(someone("ann"))
            answers += at_once(CALLERS, lambda n, c=cookie: served[n % 3].call(NEW, form=FORM, cookie=c))
    met = met and load.statuses(answers) == {200: LIMIT * asked, 422: (CALLERS - LIMIT) * asked}
    conflicts = clusters.galera.conflicts() - before
    return Result(f"{text}; over HTTP {load.named(answers)}; {conflicts} conflicts", met)


def on_postgresql(clusters: Clusters) -> Result:
    rounds = clusters.some(50, 10)
    found, met = [], True
    url = clusters.pair.url(clusters.new_database())
    for level in LEVELS:
        options = {**POOL, "isolation_level": level}
        with in_process(url, create=True, SQLALCHEMY_ENGINE_OPTIONS=options, **LIMITED) as host:
            owners, seen = _race([host], rounds)
            text, right = _judge(host, owners, seen)
        found.append(f"{level}: {text}")
        met = met and right
    return Result("; ".join(found), met)


def no_lock_survives(clusters: Clusters) -> Result:
    """Generate on every node after a storm of conflicts, and look for user locks in the pools."""
    urls = [node.url for node in clusters.galera.nodes]
    with on_each(urls, SQLALCHEMY_ENGINE_OPTIONS=POOL, WTF_CSRF_ENABLED=False, **LIMITED) as hosts:
        _race(hosts, clusters.some(20, 5))
        found: list[int] = []
        started = time.monotonic()
        for host in hosts:
            client = host.client(someone("ann"))
            found += [client.get(NEW).status_code, client.post(NEW, data=FORM).status_code]
        took = time.monotonic() - started
        locks = sum(_user_locks(host) for host in hosts)
    met = set(found) == {200} and took < AT_ONCE and not locks
    statuses = ", ".join(f"{count} × {status}" for status, count in Counter(found).items())
    return Result(f"{statuses} in {took * 1000:.0f} ms; {locks} user locks in the pools", met)


def _race(hosts: Sequence[Host], rounds: int) -> tuple[list[str], Counter[str]]:
    """Let callers generate tokens for a new owner in each round; return the owners and what the calls came to."""
    seen: Counter[str] = Counter()
    owners = [f"ann-{uuid.uuid4().hex[:12]}" for _ in range(rounds)]
    for owner in owners:
        seen.update(at_once(CALLERS, lambda number, owner=owner: _generate(hosts[number % len(hosts)], owner)))
    return owners, seen


def _generate(host: Host, owner: str) -> str:
    with host.app.app_context():
        try:
            tokens.generate(owner, "laptop")
        except tokens.TokenRefused:
            return "refused"
        except Exception as error:
            cause = getattr(error, "orig", None)
            return f"{type(error).__name__} {getattr(cause, 'sqlstate', None) or getattr(cause, 'args', [''])[0]}"
        return "made"


def _judge(reader: Host, owners: Sequence[str], seen: Counter[str]) -> tuple[str, bool]:
    held = [len(owned_by(reader, owner)) for owner in owners]
    over = sum(max(0, count - LIMIT) for count in held)
    made = LIMIT * len(owners)
    met = seen == {"made": made, "refused": CALLERS * len(owners) - made} and held == [LIMIT] * len(owners)
    return f"{over} over; " + ", ".join(f"{count:,} {what}" for what, count in seen.most_common()), met


def _user_locks(host: Host) -> int:
    """The number of user locks that idle connections in a host's pool hold. They are released."""
    with host.app.app_context(), ExitStack() as stack:
        engine = host.db.engine
        idle = int(engine.pool.checkedin())
        connections = [stack.enter_context(engine.connect()) for _ in range(idle)]
        return sum(connection.exec_driver_sql("SELECT RELEASE_ALL_LOCKS()").scalar_one() for connection in connections)
