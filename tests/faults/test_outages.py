"""A database that stops, drops its connections, freezes or lacks its table."""

import logging
import re
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa

from databases import PostgreSQL
from flask_access_tokens import tokens
from host import Host, bearer
from load import at_once, forged, load, someone, statuses, wait_until
from missing import missing
from place import Served, open_place
from scenarios import FORM, NEW, Callers

on_servers = pytest.mark.parametrize("served", ["postgresql", "mariadb"], indirect=True)
"""SQLite has no server to stop."""


def wait_for_recovery(served: Served, text: str) -> None:
    """Wait until eight concurrent requests all succeed."""
    wait_until(lambda: statuses(at_once(8, lambda _: served.use(text))) == {200: 8})


@pytest.mark.case("E10", "E11", "E14")
@on_servers
def test_a_stopped_store_answers_503_everywhere_and_recovers_without_a_restart(served: Served) -> None:
    ann = someone("ann")
    (text,) = served.place.generate(ann)
    (token,) = served.place.owned_by(ann)
    call = served.gunicorn.call
    cookie = served.gunicorn.sign_in(ann)
    at_once(8, lambda _: served.use(text))  # so that the workers have open connections when the store stops
    served.proxy.refuse()
    for _ in range(4):
        asked = [
            served.use(text),
            served.use(forged()),
            call("/optional", secret=text),
            call("/access-tokens/", cookie=cookie),
            call(NEW, form=FORM, cookie=cookie),
            call(f"/access-tokens/{token.id}/delete", cookie=cookie),
            call(f"/access-tokens/{token.id}/delete", form={}, cookie=cookie),
        ]
        assert statuses(asked) == {503: 7}
        assert {answer.headers["Retry-After"] for answer in asked} <= {"1", "2", "3", "4", "5"}
        assert not any("WWW-Authenticate" in answer.headers for answer in asked)
        assert not any(re.search("SELECT|127.0.0.1|psycopg|pymysql", answer.text) for answer in asked)
    assert served.use(f"{text[:-1]}{'0' if text[-1] != '0' else '1'}").status == 401
    assert served.use("nonsense").status == 401
    served.proxy.open()
    wait_for_recovery(served, text)
    assert [token.id for token in served.place.owned_by(ann)] == [token.id]


@pytest.mark.case("E12")
@on_servers
def test_a_store_that_is_repeatedly_disconnected_under_load_never_refuses_a_valid_token(served: Served) -> None:
    callers = Callers(served.place, served.gunicorn, good=2)

    def wait_for_more(kind: str) -> None:
        before = callers.seen[kind]
        wait_until(lambda: callers.seen[kind] >= before + 5)

    with load(4, callers.step):
        for _ in range(3):
            wait_for_more("good 200")
            served.proxy.refuse()
            wait_for_more("good 503")
            wait_for_more("forged 503")
            served.proxy.open()
            wait_for_more("good 200")
            wait_for_more("forged 401")
            served.proxy.cut()
        wait_for_recovery(served, callers.good[0])
    assert callers.wrong() == {}


@pytest.mark.case("E13")
@on_servers
def test_a_frozen_store_delays_responses_but_never_makes_them_wrong(served: Served) -> None:
    (text,) = served.place.generate(someone("ann"))
    at_once(8, lambda _: served.use(text))
    thaw = threading.Timer(0.5, served.proxy.thaw)
    served.proxy.freeze()
    thaw.start()
    answers = at_once(8, lambda number: served.use(text if number % 2 else forged()))
    assert statuses(answers[1::2]).keys() <= {200, 503}
    assert statuses(answers[::2]).keys() <= {401, 503}
    wait_for_recovery(served, text)


@pytest.mark.case("E12", "E13")
def test_a_killed_and_a_frozen_postgresql_lose_no_token(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    if PostgreSQL.binaries() is None:
        missing("The programs of a PostgreSQL server are not installed")
    server = PostgreSQL()
    request.addfinalizer(server.close)
    with open_place("postgresql", tmp_path, sa.make_url(server.url), durable=True) as place:
        assert place.proxy is not None
        with place.serving() as gunicorn:
            served = Served(place, gunicorn)
            callers = Callers(place, gunicorn, good=2)
            with load(4, callers.step):
                wait_until(lambda: callers.seen["good 200"] >= 5)
                server.kill()
                wait_until(lambda: callers.seen["good 503"] >= 5 and callers.seen["forged 503"] >= 5)
                server.start()
                wait_for_recovery(served, callers.good[0])
                server.freeze()
                threading.Timer(0.5, server.thaw).start()
                wait_for_recovery(served, callers.good[0])
            assert callers.wrong() == {}
        assert "Error handling request" not in gunicorn.log.read_text()


@pytest.mark.case("E10", "E11")
def test_a_locked_sqlite_file_answers_503_and_recovers(make_host: Callable[..., Host], tmp_path: Path) -> None:
    path = tmp_path / "host.sqlite3"
    host = make_host(f"sqlite:///{path}", SQLALCHEMY_ENGINE_OPTIONS={"connect_args": {"timeout": 0.1}})
    with host.app.app_context():
        made = tokens.generate("ann", "laptop")
    ann = host.client("ann")
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    answers = [
        host.client().get("/api", headers=bearer(made.secret)),
        host.client().get("/api", headers=bearer(forged())),
        ann.get("/access-tokens/"),
        ann.post("/access-tokens/new", data={"name": "phone", "lifetime_days": "1"}),
        ann.post(f"/access-tokens/{made.token.id}/delete"),
    ]
    assert [answer.status_code for answer in answers] == [503] * 5
    assert {answer.headers["Retry-After"] for answer in answers} == {"2"}
    other.execute("ROLLBACK")
    other.close()
    assert host.client().get("/api", headers=bearer(made.secret)).status_code == 200


@pytest.mark.case("E23")
def test_a_missing_table_answers_503_with_one_clear_line(stored_host: Host, caplog: pytest.LogCaptureFixture) -> None:
    with stored_host.app.app_context():
        stored_host.db.drop_all()
    caplog.set_level(logging.INFO, "flask_access_tokens")
    ann = stored_host.client("ann")
    for path, headers in (("/api", bearer(forged())), ("/access-tokens/", {})):
        answer = ann.get(path, headers=headers)
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "2")
        (record,) = caplog.records
        assert record.levelno == logging.ERROR
        assert "access_tokens" in record.getMessage()
        assert "SELECT" not in record.getMessage()
        assert "\n" not in record.getMessage()
        assert record.exc_info is None
        caplog.clear()
