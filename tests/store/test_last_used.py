"""The last-used update: when it is written, and that it never fails or delays a request."""

import logging
import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import sqlalchemy as sa
from flask import has_request_context
from sqlalchemy.exc import OperationalError

from flask_access_tokens import (
    current_token,
    secret,
    token_required,
    tokens,
)
from flask_access_tokens.store import last_used, uses
from host import Clock, Host, bearer
from uses import last_uses
from wire import wire


@pytest.mark.case("F09")
def test_the_first_use_is_recorded_and_the_next_an_interval_later(stored_host: Host, clock: Clock) -> None:
    made, client = stored_host.generate(), stored_host.client()
    header = bearer(made.secret)
    clock.pass_(seconds=5)
    first = clock.moment
    client.get("/api", headers=header)
    for seconds, recorded in ((1, False), (58, False), (1, True)):
        clock.pass_(seconds=seconds)
        client.get("/api", headers=header)
        with stored_host.app.app_context():
            (token,) = tokens.owned_by("ann")
        assert token.last_used_at == (clock.moment if recorded else first)


def test_a_view_sees_the_use_before_this_one(host: Host, clock: Clock) -> None:
    host.app.get("/last")(token_required(lambda: str(current_token.last_used_at)))
    client, header = host.client(), bearer(host.generate().secret)
    first = clock.moment
    assert client.get("/last", headers=header).text == "None"
    clock.pass_(minutes=5)
    assert client.get("/last", headers=header).text == str(first)


def test_a_refused_use_is_not_recorded(host: Host) -> None:
    host.client().post("/write", headers=bearer(host.generate().secret))
    assert host.rows()[0]["last_used_at"] is None


def test_a_use_is_recorded_even_if_the_view_fails(stored_host: Host) -> None:
    stored_host.app.config["PROPAGATE_EXCEPTIONS"] = False
    stored_host.app.get("/broken")(token_required(lambda: 1 / 0))
    stored_host.client().get("/broken", headers=bearer(stored_host.generate().secret))
    assert stored_host.rows()[0]["last_used_at"] is not None


def test_a_use_is_recorded_only_on_the_token_that_was_used(stored_host: Host, clock: Clock) -> None:
    used, _ = stored_host.generate("ann", "used"), stored_host.generate("ann", "other")
    stored_host.client().get("/api", headers=bearer(used.secret))
    assert last_uses(stored_host) == {"used": clock.moment, "other": None}


def test_of_two_uses_at_once_the_first_is_recorded(stored_host: Host, clock: Clock) -> None:
    header = bearer(stored_host.generate("ann").secret)

    @stored_host.app.get("/slow")
    @token_required
    def slow() -> str:
        # In a thread, as in another worker: it writes its own use before this one does.
        other = threading.Thread(target=lambda: stored_host.app.test_client().get("/api", headers=header))
        other.start()
        other.join()
        clock.pass_(seconds=1)
        return "done"

    first = clock.moment
    assert stored_host.client().get("/slow", headers=header).text == "done"
    assert last_uses(stored_host) == {"laptop": first}


def test_a_use_is_recorded_no_sooner_when_the_token_moves_to_a_new_pepper(stored_host: Host, clock: Clock) -> None:
    client, header = stored_host.client(), bearer(stored_host.generate("ann").secret)
    first = clock.moment
    client.get("/api", headers=header)
    clock.pass_(seconds=30)
    stored_host.app.config["ACCESS_TOKENS_PEPPERS"] = ["one"]
    client.get("/api", headers=header)
    assert stored_host.rows()[0]["scheme"] == secret.schemes(["one"])[0]
    assert last_uses(stored_host) == {"laptop": first}
    clock.pass_(seconds=30)
    stored_host.app.config["ACCESS_TOKENS_PEPPERS"] = ["two", "one"]
    client.get("/api", headers=header)
    assert stored_host.rows()[0]["scheme"] == secret.schemes(["two"])[0]
    assert last_uses(stored_host) == {"laptop": clock.moment}


@pytest.mark.parametrize("kind", ["postgresql", "mariadb"])
def test_a_locked_row_is_skipped_by_the_last_used_update_without_an_error(
    make_host: Callable[..., Host], server_database: Callable[[str], str], kind: str
) -> None:
    host = make_host(server_database(kind))
    client, header = host.client(), bearer(host.generate("ann").secret)
    with host.app.app_context():
        table = host.access_tokens.model.__table__
        with host.db.engine.begin() as somebody:
            somebody.execute(sa.select(table).with_for_update())
            assert client.get("/api", headers=header).status_code == 200
            assert last_uses(host) == {"laptop": None}
    assert host.app.extensions["access_tokens"].failed_updates == 0
    client.get("/api", headers=header)
    assert last_uses(host)["laptop"] is not None


def test_a_last_used_update_on_sqlite_is_one_statement_and_leaves_the_busy_timeout(
    make_host: Callable[..., Host], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = make_host(f"sqlite:///{tmp_path / 'host.sqlite3'}", SQLALCHEMY_ENGINE_OPTIONS={"pool_size": 1})
    header = bearer(host.generate("ann").secret)
    with host.app.app_context(), host.db.engine.connect() as connection:
        busy_timeout = connection.exec_driver_sql("PRAGMA busy_timeout").scalar()
    with wire(host, monkeypatch) as sent:
        host.client().get("/api", headers=header)
    after_the_check = [statement for statement in sent if "access_tokens" in statement][1:]
    assert [statement.split()[0] for statement in after_the_check] == ["UPDATE"]
    assert "PRAGMA busy_timeout = 100" in sent
    with host.app.app_context(), host.db.engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA busy_timeout").scalar() == busy_timeout


def test_a_last_used_update_is_skipped_while_every_connection_is_in_use(
    make_host: Callable[..., Host], tmp_path: Path
) -> None:
    options = {"pool_size": 1, "max_overflow": 0, "pool_timeout": 0.1}
    host = make_host(f"sqlite:///{tmp_path / 'host.sqlite3'}", SQLALCHEMY_ENGINE_OPTIONS=options)
    header = bearer(host.generate("ann", scopes=["read"]).secret)
    held: list[Any] = []

    @host.access_tokens.scopes_loader
    def keep(_: str) -> list[str]:
        """Take the connection that the check has just returned."""
        if has_request_context() and not held:
            held.append(host.db.engine.connect())
        return ["read"]

    assert host.client().get("/api", headers=header).status_code == 200
    held[0].close()
    assert last_uses(host) == {"laptop": None}
    assert host.app.extensions["access_tokens"].failed_updates == 0
    host.client().get("/api", headers=header)
    assert last_uses(host)["laptop"] is not None


@pytest.mark.case("E18")
def test_a_failing_last_used_update_fails_no_request_and_logs_one_line_a_minute(
    stored_host: Host, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: Any) -> None:
        raise OperationalError("UPDATE secrets", {}, Exception("disk full"))

    monkeypatch.setattr(uses, "update_rows", broken)
    header = bearer(stored_host.generate().secret)
    caplog.set_level(logging.WARNING, "flask_access_tokens")
    for _ in range(5):
        stored_host.app.extensions["access_tokens"].updates_resume_at = 0
        assert stored_host.client().get("/api", headers=header).status_code == 200
    assert stored_host.app.extensions["access_tokens"].failed_updates == 5
    (record,) = [record for record in caplog.records if record.name == "flask_access_tokens"]
    assert record.getMessage() == "Last-used times are not being written (Exception: disk full); 1 failed so far."
    assert "UPDATE" not in caplog.text


def test_a_failing_last_used_update_is_retried_after_a_second_and_logged_again_after_a_minute(
    host: Host, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    moment = 1000
    for module in (uses, last_used):
        monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: moment))
    tried: list[int] = []

    def broken(*_: Any) -> None:
        tried.append(moment)
        raise OperationalError(None, None, Exception("disk full"))

    monkeypatch.setattr(uses, "update_rows", broken)
    client, header = host.client(), bearer(host.generate().secret)
    caplog.set_level(logging.WARNING, "flask_access_tokens")
    for passed in (0, 0, 1, 59, 0, 59, 1):
        moment += passed
        client.get("/api", headers=header)
    assert tried == [1000, 1001, 1060, 1119, 1120]
    counted = [record.getMessage().partition("; ")[2] for record in caplog.records]
    assert counted == ["1 failed so far.", "3 failed so far.", "5 failed so far."]
