"""The first use of a successor: no program that sends the old secret throws away a token that was used."""

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from flask_access_tokens import token_expiring
from host import Host, stop_thread
from load import wait_until
from programs import OPEN, ROTATE, ids, rotate, rotated, status
from workers import Gunicorn

SERVED = {**OPEN, "TESTING": False}


@pytest.fixture
def served(make_host: Callable[..., Host], database_url: str) -> Host:
    """A host on each of the three databases, set up as when it is served."""
    return make_host(database_url, **SERVED)


@pytest.fixture
def other(served: Host, database_url: str) -> Iterator[Host]:
    """The same host in another process: it knows only what is in the database."""
    other = Host(database_url, **SERVED)
    yield other
    stop_thread(other.app)
    with other.app.app_context():
        other.db.engine.dispose()


@contextmanager
def locked_rows(host: Host) -> Iterator[Callable[[], None]]:
    """Lock every row, or the file of SQLite, until what is yielded is called or the block ends."""
    with host.app.app_context():
        url = host.db.engine.url
    if url.get_backend_name() == "sqlite":
        with closing(sqlite3.connect(str(url.database), isolation_level=None, check_same_thread=False)) as file:
            file.execute("BEGIN IMMEDIATE")
            yield lambda: file.rollback()
        return
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    with engine.connect() as connection:
        connection.exec_driver_sql("SELECT id FROM access_tokens FOR UPDATE").all()
        yield connection.rollback


def uses(host: Host) -> list[bool]:
    """Whether each successor shows a use."""
    return [row["last_used_at"] is not None for row in host.rows() if row["replaces"] is not None]


def refusal(answer: Any) -> tuple[int, Any]:
    return answer.status_code, answer.json.get("error")


@pytest.mark.case("S08")
def test_a_use_is_known_everywhere_as_soon_as_it_is_answered(served: Host, other: Host) -> None:
    old = served.generate("ann")
    new = rotated(served, old.secret)["secret"]
    assert status(served, new) == 200
    assert uses(served) == [True]
    assert refusal(rotate(other, old.secret)) == (409, "token_reused")


@pytest.mark.case("S08")
def test_a_use_while_the_row_is_locked_is_let_in_and_never_thrown_away(served: Host, other: Host) -> None:
    old = served.generate("ann")
    new = rotated(served, old.secret)["secret"]
    before = ids(served)
    with locked_rows(served) as unlock:
        assert status(served, new) == 200
        started = time.monotonic()
        assert [status(served, new) for _ in range(3)] == [200] * 3
        assert time.monotonic() - started < 1, "only the first use waits"
        assert refusal(rotate(served, old.secret)) == (409, "token_reused")
        if "sqlite" not in str(served.app.config["SQLALCHEMY_DATABASE_URI"]):
            assert refusal(rotate(other, old.secret)) == (409, "conflict")
        unlock()
    wait_until(lambda: uses(served) == [True])
    assert refusal(rotate(other, old.secret)) == (409, "token_reused")
    assert (ids(served), status(other, new)) == (before, 200)


@pytest.mark.case("S08")
def test_a_short_lock_only_delays_the_first_use(served: Host) -> None:
    old = served.generate("ann")
    new = rotated(served, old.secret)["secret"]
    with locked_rows(served) as unlock:
        timer = threading.Timer(0.2, unlock)
        timer.start()
        assert status(served, new) == 200
        assert uses(served) == [True]
        timer.join()


@pytest.mark.case("S08")
@pytest.mark.parametrize("database_url", ["postgresql", "mariadb"], indirect=True)
def test_a_locked_successor_is_not_replaced_until_it_is_known_to_be_unused(served: Host) -> None:
    old = served.generate("ann")
    first = rotated(served, old.secret)
    with locked_rows(served):
        assert refusal(rotate(served, old.secret)) == (409, "conflict")
    assert rotated(served, old.secret)["token"]["id"] != first["token"]["id"]


@pytest.mark.case("S08")
@pytest.mark.parametrize("database_url", ["postgresql", "mariadb"], indirect=True)
def test_a_use_while_its_notice_is_sent_is_not_thrown_away(served: Host) -> None:
    old = served.generate("ann", lifetime_days=5)
    new = rotated(served, old.secret)["secret"]
    sending, sent = threading.Event(), threading.Event()

    def send(_: Any, **extra: Any) -> None:
        sending.set()
        sent.wait(30)

    with token_expiring.connected_to(send, served.app):
        run = threading.Thread(target=served.call, args=("notify",))
        run.start()
        assert sending.wait(30)
        assert status(served, new) == 200
        assert refusal(rotate(served, old.secret)) == (409, "token_reused")
        sent.set()
        run.join()
    wait_until(lambda: uses(served) == [True])
    assert refusal(rotate(served, old.secret)) == (409, "token_reused")


@pytest.mark.case("S08")
@pytest.mark.parametrize("database_url", ["postgresql", "mariadb"], indirect=True)
def test_a_use_of_any_token_whose_row_is_locked_is_written_once_it_is_free(served: Host) -> None:
    made = served.generate("ann")
    with locked_rows(served):
        assert status(served, made.secret) == 200
        (_, noted), *_ = wait_for_batch(served)
    wait_until(lambda: served.rows()[0]["last_used_at"] is not None)
    assert noted.token_id == made.token.id


def wait_for_batch(host: Host) -> list[Any]:
    """The uses that the thread has tried and keeps."""
    state = host.app.extensions["access_tokens"]
    wait_until(lambda: any(use.noted_at + 0.2 < time.monotonic() for _, use in state.writer._pending.values()))
    return list(state.writer._pending.values())


@pytest.mark.case("S08")
def test_of_two_workers_each_knows_what_the_other_one_has_let_in(
    make_host: Callable[..., Host], database_url: str, tmp_path: Path
) -> None:
    host = make_host(database_url, **OPEN)
    gunicorn = Gunicorn({"url": database_url, **OPEN}, tmp_path, workers=2)
    try:
        for _ in range(8):
            old = host.generate("ann").secret
            new = gunicorn.call(ROTATE, form={}, secret=old).json["secret"]
            assert gunicorn.call("/api", secret=new).status == 200
            answers = [gunicorn.call(ROTATE, form={}, secret=old) for _ in range(3)]
            assert {(answer.status, answer.json["error"]) for answer in answers} == {(409, "token_reused")}
            assert gunicorn.call("/api", secret=new).status == 200
    finally:
        gunicorn.stop()


@pytest.mark.case("S08")
@pytest.mark.parametrize("testing", [False, True])
def test_a_use_of_a_successor_that_is_replaced_in_that_moment_is_refused(
    served: Host, other: Host, testing: bool
) -> None:
    served.app.testing = testing
    old = served.generate("ann")
    new = rotated(served, old.secret)["secret"]
    meanwhile = [old.secret]

    def load(owner_id: str) -> str:
        while meanwhile:
            assert rotate(other, meanwhile.pop()).status_code == 200
        return owner_id

    served.access_tokens.owner_loader(load)
    assert [status(served, new) for _ in range(2)] == [401, 401]
    assert uses(served) == [False]
