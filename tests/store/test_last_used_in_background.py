"""The last-used update of an application that is served: written by a thread, which delays no request."""

import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from flask_access_tokens.store import uses
from flask_access_tokens.tokens import NewToken
from host import Clock, Host, bearer
from load import wait_until
from uses import last_uses

LOCKS = {
    "postgresql": ("LOCK TABLE access_tokens IN EXCLUSIVE MODE", "ROLLBACK"),
    "mariadb": ("LOCK TABLES access_tokens READ", "UNLOCK TABLES"),
}

USE_AND_EXIT = """
import os, sys
from host import Host, bearer

host = Host(sys.argv[1], TESTING=False)
secrets = sys.argv[2:]

def use(secret):
    assert host.client().get("/api", headers=bearer(secret)).status_code == 200

use(secrets.pop())
if secrets:
    if child := os.fork():
        os.waitpid(child, 0)
    else:
        with host.app.app_context():
            host.db.engine.dispose(close=False)
        use(secrets.pop())
"""


def use(host: Host, new: NewToken) -> None:
    assert host.client().get("/api", headers=bearer(new.secret)).status_code == 200


def is_used(host: Host) -> bool:
    return None not in last_uses(host).values()


@pytest.fixture
def serve(make_host: Callable[..., Host], server_database: Callable[[str], str]) -> Callable[..., Host]:
    """A function that makes a host on a kind of server, set up as when it is served."""

    def make(kind: str, **options: Any) -> Host:
        return make_host(server_database(kind), TESTING=False, SQLALCHEMY_ENGINE_OPTIONS=options)

    return make


def test_a_use_is_recorded_soon_after_the_request(stored_host: Host, clock: Clock) -> None:
    stored_host.app.testing = False
    used, _ = stored_host.generate("ann", "used"), stored_host.generate("ann", "other")
    moment = clock.moment
    use(stored_host, used)
    wait_until(lambda: last_uses(stored_host) == {"used": moment, "other": None})


def test_a_token_under_an_older_pepper_moves_to_the_newest(stored_host: Host, clock: Clock) -> None:
    stored_host.app.testing = False
    made = stored_host.generate("ann")
    before = stored_host.rows()[0]["scheme"]
    stored_host.app.config["ACCESS_TOKENS_PEPPERS"] = ["one"]
    use(stored_host, made)
    wait_until(lambda: stored_host.rows()[0]["scheme"] != before)
    assert last_uses(stored_host) == {"laptop": clock.moment}


@pytest.mark.case("E18")
@pytest.mark.parametrize("kind", LOCKS)
def test_an_update_that_hangs_delays_no_request_even_with_a_pool_of_one_connection(
    serve: Callable[..., Host], monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr(uses, "short_waits", lambda *_: nullcontext())
    host = serve(kind, pool_size=1, max_overflow=0, pool_timeout=20)
    made = host.generate("ann")
    lock, unlock = LOCKS[kind]
    with host.app.app_context():
        engine = sa.create_engine(host.db.engine.url)
    with engine.connect() as other:
        other.exec_driver_sql(lock)
        for _ in range(3):
            use(host, made)
            assert host.client().get("/optional").status_code == 200
        assert last_uses(host) == {"laptop": None}
        other.exec_driver_sql(unlock)
    engine.dispose()
    wait_until(lambda: is_used(host))
    assert host.app.extensions["access_tokens"].failed_updates == 0


def test_uses_that_a_locked_table_held_up_are_written_later_in_one_transaction(serve: Callable[..., Host]) -> None:
    host = serve("postgresql")
    state = host.app.extensions["access_tokens"]
    made = [host.generate("ann", f"laptop {number}") for number in range(3)]
    with host.app.app_context(), host.db.engine.connect() as other:
        other.exec_driver_sql(LOCKS["postgresql"][0])
        for new in made:
            use(host, new)
        failed = state.failed_updates
        wait_until(lambda: state.failed_updates > failed)
        other.rollback()
        wait_until(lambda: is_used(host))
        transactions = other.exec_driver_sql("SELECT count(DISTINCT xmin::text) FROM access_tokens").scalar()
    assert transactions == 1


def test_a_full_pool_delays_the_update_and_no_request(serve: Callable[..., Host]) -> None:
    host = serve("postgresql", pool_size=2, max_overflow=0, pool_timeout=0.2)
    made = host.generate("ann")
    with host.app.app_context():
        pool = host.db.engine.pool
        with host.db.engine.connect():
            use(host, made)
            wait_until(lambda: is_used(host))
            assert pool.checkedout() == 1


def test_without_threads_a_use_is_recorded_in_the_request(
    stored_host: Host, monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    stored_host.app.testing = False
    made = stored_host.generate("ann")
    monkeypatch.setattr(threading.Thread, "start", refuse)
    use(stored_host, made)
    assert last_uses(stored_host) == {"laptop": clock.moment}


@pytest.mark.parametrize("count", [1, 2], ids=["one process", "a forked process"])
def test_uses_are_recorded_at_the_end_of_a_process(stored_host: Host, database_url: str, count: int) -> None:
    secrets = [stored_host.generate("ann", f"laptop {number}").secret for number in range(count)]
    support = str(Path(__file__).parents[1] / "support")
    command = [sys.executable, "-c", f"import sys; sys.path.insert(0, {support!r})\n{USE_AND_EXIT}"]
    subprocess.run([*command, database_url, *secrets], check=True, timeout=60)
    assert is_used(stored_host)
