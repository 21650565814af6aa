"""Pools without a free connection, rows and tables that are locked."""

import logging
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from flask_access_tokens import tokens
from host import Host, bearer
from load import at_once, forged
from place import ARGUMENTS


@pytest.mark.case("E14")
def test_an_exhausted_pool_answers_503_and_recovers(make_host: Callable[..., Host], database_url: str) -> None:
    options = {"pool_size": 1, "max_overflow": 0, "pool_timeout": 1}
    host = make_host(database_url, SQLALCHEMY_ENGINE_OPTIONS=options)
    with host.app.app_context():
        text = tokens.generate("ann", "laptop").secret
        engine = host.db.engine
    asked: list[Callable[[], Any]] = [
        lambda: host.client().get("/api", headers=bearer(text)),
        lambda: host.client("ann").get("/access-tokens/"),
        lambda: host.client("ann").post("/access-tokens/new", data={"name": "phone", "lifetime_days": "1"}),
    ]
    with engine.connect():
        started = time.monotonic()
        answers = at_once(3, lambda number: asked[number]())
        assert 1 <= time.monotonic() - started < 4
        assert [(answer.status_code, answer.headers["Retry-After"]) for answer in answers] == [(503, "2")] * 3
        assert host.client().get("/api", headers=bearer("nonsense")).status_code == 401
    assert host.client().get("/api", headers=bearer(text)).status_code == 200
    assert host.client("ann").get("/access-tokens/").status_code == 200


@pytest.mark.case("E15")
def test_one_connection_per_request_is_enough(make_host: Callable[..., Host], database_url: str) -> None:
    options: dict[str, Any] = {"pool_size": 2, "max_overflow": 0, "pool_timeout": 5}
    if database_url.startswith("sqlite"):
        options["connect_args"] = ARGUMENTS["sqlite"]
    host = make_host(database_url, SQLALCHEMY_ENGINE_OPTIONS=options, ACCESS_TOKENS_LAST_USED_INTERVAL=0)

    @host.app.before_request
    def open_session() -> None:
        host.db.session.execute(sa.text("SELECT count(*) FROM access_tokens")).all()

    with host.app.app_context():
        texts = [tokens.generate("ann", f"laptop {number}").secret for number in range(8)]

    def work(number: int) -> list[int]:
        api, page = host.client(), host.client(f"ann {number}")
        found = []
        for turn in range(31):
            found.append(api.get("/api", headers=bearer(texts[number])).status_code)
            if turn % 15 == 0:
                found.append(page.get("/access-tokens/").status_code)
                form = {"name": f"phone {turn}", "lifetime_days": "1"}
                found.append(page.post("/access-tokens/new", data=form).status_code)
            else:
                found.append(api.get("/api", headers=bearer(forged())).status_code)
        return found

    found = Counter(status for each in at_once(8, work) for status in each)
    assert found.keys() == {200, 401}
    assert sum(found.values()) >= 500


@pytest.mark.case("E18")
def test_a_last_used_update_that_cannot_be_written_fails_no_request(
    make_host: Callable[..., Host], database_url: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    writer = make_host(database_url)
    with writer.app.app_context():
        text = tokens.generate("ann", "laptop").secret
    reader = Host(*_read_only(database_url, tmp_path))
    caplog.set_level(logging.INFO, "flask_access_tokens")
    state = reader.app.extensions["access_tokens"]
    for _ in range(3):
        state.updates_resume_at = 0
        started = time.monotonic()
        assert reader.client().get("/api", headers=bearer(text)).status_code == 200
        assert time.monotonic() - started < 1
    (record,) = caplog.records
    assert (record.levelno, record.exc_info) == (logging.WARNING, None)
    assert "Last-used times are not being written" in record.getMessage()
    assert text not in record.getMessage()
    assert state.failed_updates == 3
    with reader.app.app_context():
        reader.db.engine.dispose()


def _read_only(url: str, folder: Path) -> tuple[str]:
    if url.startswith("sqlite"):
        return (f"sqlite:///file:{folder / 'host.sqlite3'}?mode=ro&uri=true",)
    mark = "?" if "?" not in url else "&"
    if url.startswith("postgresql"):
        return (f"{url}{mark}options=-c%20default_transaction_read_only%3Don",)
    return (f"{url}{mark}init_command=SET%20SESSION%20TRANSACTION%20READ%20ONLY",)


@pytest.mark.case("E18")
def test_a_locked_row_delays_no_request(stored_host: Host) -> None:
    with stored_host.app.app_context():
        text = tokens.generate("ann", "laptop").secret
        engine = stored_host.db.engine
    lock = "UPDATE access_tokens SET name = 'held'"
    with engine.connect() as other:
        other.exec_driver_sql(lock if engine.dialect.name == "sqlite" else "SELECT id FROM access_tokens FOR UPDATE")
        for _ in range(3):
            started = time.monotonic()
            assert stored_host.client().get("/api", headers=bearer(text)).status_code == 200
            assert time.monotonic() - started < 1
        other.rollback()
    with stored_host.app.app_context():
        stored_host.app.extensions["access_tokens"].updates_resume_at = 0
        assert stored_host.client().get("/api", headers=bearer(text)).status_code == 200
        assert tokens.owned_by("ann")[0].last_used_at is not None


@pytest.mark.case("E18")
@pytest.mark.parametrize("database_url", ["postgresql", "mariadb"], indirect=True)
def test_a_locked_table_delays_one_request_a_little_and_then_none(
    make_host: Callable[..., Host], database_url: str
) -> None:
    host = make_host(database_url)
    with host.app.app_context():
        text = tokens.generate("ann", "laptop").secret
        engine = host.db.engine
    postgresql = engine.dialect.name == "postgresql"
    lock = "LOCK TABLE access_tokens IN EXCLUSIVE MODE" if postgresql else "LOCK TABLES access_tokens READ"
    with engine.connect() as other:
        other.exec_driver_sql(lock)
        took = []
        for _ in range(3):
            started = time.monotonic()
            assert host.client().get("/api", headers=bearer(text)).status_code == 200
            took.append(time.monotonic() - started)
        if not postgresql:
            other.exec_driver_sql("UNLOCK TABLES")
        other.rollback()
    # MariaDB counts this wait in whole seconds.
    assert took[0] < (0.6 if postgresql else 1.8)
    assert max(took[1:]) < 0.3
