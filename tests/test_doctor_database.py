"""What the doctor finds in the connections to the tokens, their settings, and the rows."""

import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from flask import session
from flask_login import LoginManager, UserMixin

from databases import run_on_server
from flask_access_tokens import clock as package_clock
from flask_access_tokens import tokens
from host import Host, bearer
from owned import OwnedHost
from sound import SOUND, durable, found


@pytest.fixture
def host(make_host: Callable[..., Host], database_url: str) -> Host:
    """A host in which nothing is wrong."""
    return make_host(durable(database_url), **SOUND)


@pytest.mark.parametrize("kind", ["postgresql+psycopg", "mariadb+pymysql", "sqlite"])
def test_a_database_that_cannot_be_reached_is_one_finding_without_its_password(kind: str) -> None:
    url = "sqlite:////nowhere/else/host.sqlite3" if kind == "sqlite" else f"{kind}://joe:hush@127.0.0.1:1/wares"
    host = Host(url, **SOUND)
    host.app.get("/typo")(lambda: "open")
    messages = found(host.app)
    assert messages.keys() == {"database-unavailable"}
    assert "OperationalError" in messages["database-unavailable"]
    assert "hush" not in messages["database-unavailable"]


def test_tokens_under_a_lost_pepper_are_counted(host: Host) -> None:
    for pepper in ("lost one", "lost two"):
        host.app.config["ACCESS_TOKENS_PEPPERS"] = [pepper]
        host.generate()
    host.app.config["ACCESS_TOKENS_PEPPERS"] = ["lost two"]
    message = found(host.app)["pepper-missing"]
    assert message.startswith("1 token is keyed under a pepper that is not configured")
    assert "lost" not in message
    host.app.config["ACCESS_TOKENS_PEPPERS"] = []
    assert found(host.app)["pepper-missing"].startswith("2 tokens are keyed")


def with_users(host: Host, get_id: Callable[[Any], str] | None) -> Any:
    """Let the users of Flask-Login be mapped, and those of Ann's and Bob's IDs exist."""
    members: dict[str, Any] = {
        "__tablename__": "people",
        "id": sa.Column(sa.Integer, primary_key=True),
        "serial": sa.Column(sa.String(32), unique=True),
    }
    if get_id is not None:
        members["get_id"] = get_id
    user: Any = type("User", (UserMixin, host.db.Model), members)
    host.access_tokens._loaders.identity = None
    with host.app.app_context():
        host.db.create_all()
        host.db.session.add_all([user(serial="ann's"), user(serial="bob's")])
        host.db.session.commit()
    return user


def test_a_session_id_that_is_not_the_key_is_found_where_tokens_belong_to_it(host: Host) -> None:
    user = with_users(host, lambda user: str(user.serial))

    def load(session_id: str) -> Any:
        return host.db.session.execute(sa.select(user).filter_by(serial=session_id)).scalar_one_or_none()

    LoginManager(host.app).user_loader(load)
    host.generate("of nobody")
    assert found(host.app) == {}
    host.generate("bob's")
    messages = found(host.app)
    assert messages.keys() == {"session-id"}
    assert "owner=User.id" in messages["session-id"]
    host.access_tokens.identity_loader(lambda: session.get("person"))
    assert found(host.app) == {}


@pytest.mark.parametrize("get_id", [None, lambda user: f"{user.id}"], ids=["of Flask-Login", "of the host"])
def test_a_session_id_that_is_the_key_is_not_found(host: Host, get_id: Any) -> None:
    user = with_users(host, get_id)
    LoginManager(host.app).user_loader(lambda session_id: host.db.session.get(user, int(session_id)))
    host.generate("1")
    assert found(host.app) == {}


def test_a_check_that_fails_is_a_finding_and_the_others_run(host: Host) -> None:
    def load(session_id: str) -> Any:
        raise KeyError(f"tenant of {session_id}")

    LoginManager(host.app).user_loader(load)
    host.access_tokens._loaders.identity = None
    host.app.config["ACCESS_TOKENS_PEPPERS"] = ["lost"]
    host.generate("ann")
    host.app.config["ACCESS_TOKENS_PEPPERS"] = []
    messages = found(host.app)
    assert messages.keys() == {"pepper-missing", "check-failed"}
    assert messages["check-failed"].startswith("The check of the session IDs failed (KeyError).")


def test_a_session_that_needs_a_request_is_a_failed_check_and_no_lost_database(host: Host) -> None:
    sa.event.listen(host.db.session, "after_begin", lambda *_: session["tenant"])
    messages = found(host.app)
    assert messages.keys() == {"check-failed"}
    assert messages["check-failed"].startswith("The check of the connection to the database failed (RuntimeError).")


def test_foreign_keys_that_sqlite_does_not_enforce_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    host = OwnedHost(f"sqlite:///{tmp_path / 'host.sqlite3'}")
    host.app.config.update(SOUND)
    messages = found(host.app)
    assert messages.keys() == {"foreign-keys-off"}
    assert "PRAGMA foreign_keys = ON on each new connection: the guide" in messages["foreign-keys-off"]
    monkeypatch.setenv("FLASK_DEBUG", "1")
    assert found(host.app) == {}
    with host.app.app_context():
        host.db.engine.dispose()


@pytest.mark.parametrize("seconds", [-60, 60])
def test_clocks_that_are_apart_are_found(
    make_host: Callable[..., Host],
    server_database: Callable[..., str],
    monkeypatch: pytest.MonkeyPatch,
    seconds: int,
) -> None:
    hosts = [make_host(durable(server_database(kind)), **SOUND) for kind in ("postgresql", "mariadb")]
    monkeypatch.setattr(package_clock, "now", lambda: datetime.now(UTC) + timedelta(seconds=seconds))
    for host in hosts:
        messages = found(host.app)
        assert messages.keys() == {"clock"}
        assert "60 seconds apart" in messages["clock"]


def test_clocks_that_are_two_seconds_apart_are_not_found(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(package_clock, "now", lambda: datetime.now(UTC) + timedelta(seconds=2))
    assert found(host.app) == {}


def test_the_clock_of_a_server_in_another_time_zone_is_the_same(
    make_host: Callable[..., Host], server_database: Callable[..., str]
) -> None:
    zones = {
        "postgresql": {"options": "-c synchronous_commit=on -c timezone=Asia/Tokyo"},
        "mariadb": {"init_command": "SET SESSION time_zone = '+09:00'"},
    }
    for kind, options in zones.items():
        host = make_host(server_database(kind), **SOUND, SQLALCHEMY_ENGINE_OPTIONS={"connect_args": options})
        assert found(host.app) == {}


SETTINGS: list[tuple[str, dict[str, Any], str]] = [
    ("postgresql", {"connect_args": {"options": "-c synchronous_commit=off"}}, "synchronous-commit"),
    ("mariadb", {"isolation_level": "READ UNCOMMITTED"}, "read-uncommitted"),
]


@pytest.mark.parametrize(("kind", "options", "code"), SETTINGS, ids=str)
def test_a_setting_that_breaks_a_promise_is_found(
    make_host: Callable[..., Host], server_database: Callable[..., str], kind: str, options: Any, code: str
) -> None:
    url = server_database(kind) if code == "synchronous-commit" else durable(server_database(kind))
    assert found(make_host(url, **SOUND, SQLALCHEMY_ENGINE_OPTIONS=options).app).keys() == {code}


@pytest.mark.parametrize("level", ["READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"])
def test_other_isolation_levels_are_not_found(
    make_host: Callable[..., Host], server_database: Callable[..., str], level: str
) -> None:
    for kind in ("postgresql", "mariadb"):
        url = durable(server_database(kind))
        assert found(make_host(url, **SOUND, SQLALCHEMY_ENGINE_OPTIONS={"isolation_level": level}).app) == {}


READ_ONLY: dict[str, dict[str, Any]] = {
    "postgresql": {"options": "-c synchronous_commit=on -c default_transaction_read_only=on"},
    "mariadb": {"init_command": "SET SESSION TRANSACTION READ ONLY"},
}


@pytest.mark.parametrize("database_url", ["sqlite", *READ_ONLY], indirect=True)
def test_a_database_that_accepts_no_writes_is_found(make_host: Callable[..., Host], database_url: str) -> None:
    make_host(database_url).generate()
    kind = sa.make_url(database_url).get_backend_name()
    url = f"sqlite:///file:{sa.make_url(database_url).database}?mode=ro&uri=true" if kind == "sqlite" else database_url
    host = Host(url, **SOUND, SQLALCHEMY_ENGINE_OPTIONS={"connect_args": READ_ONLY.get(kind, {})})
    messages = found(host.app)
    assert messages.keys() == {"last-used"}
    assert "read" in messages["last-used"].partition(")")[0].lower()
    assert "UPDATE access_tokens" not in messages["last-used"]
    with host.app.app_context():
        host.db.engine.dispose()


@pytest.fixture
def reader(make_host: Callable[..., Host], server: Any, server_database: Callable[..., str]) -> Iterator[str]:
    """A role of PostgreSQL that may read the tokens, and may not write them."""
    role = f"reader_{uuid.uuid4().hex[:8]}"
    url = sa.make_url(server_database("postgresql"))
    make_host(durable(server_database("postgresql"))).generate()
    run_on_server(server("postgresql"), f"CREATE ROLE {role}")
    run_on_server(url, f"GRANT SELECT ON access_tokens TO {role}")
    yield role
    run_on_server(url, f"DROP OWNED BY {role}")
    run_on_server(server("postgresql"), f"DROP ROLE {role}")


def test_a_role_that_may_not_update_the_last_use_is_found(
    reader: str, server: Any, server_database: Callable[..., str]
) -> None:
    url = sa.make_url(server_database("postgresql"))
    options = {"connect_args": {"options": f"-c synchronous_commit=on -c role={reader}"}}
    host = Host(server_database("postgresql"), **SOUND, SQLALCHEMY_ENGINE_OPTIONS=options)
    for column in ("last_used_at", "last_used_from"):
        assert "permission denied" in found(host.app)["last-used"]
        run_on_server(url, f"GRANT UPDATE ({column}) ON access_tokens TO {reader}")
    assert found(host.app) == {}
    with host.app.app_context():
        host.db.engine.dispose()


@pytest.mark.parametrize("options", [{}, {"isolation_level": "AUTOCOMMIT"}], ids=["in transactions", "autocommit"])
def test_nothing_is_changed(make_host: Callable[..., Host], database_url: str, options: dict[str, Any]) -> None:
    host = make_host(durable(database_url), **SOUND, SQLALCHEMY_ENGINE_OPTIONS=options)
    used, unused = host.generate("ann"), host.generate("bob")
    assert host.client().get("/api", headers=bearer(used.secret)).status_code == 200
    before = host.rows()
    assert found(host.app) == {}
    assert host.rows() == before
    with host.app.app_context():
        assert tokens.get("bob", unused.token.id) is not None
        assert host.db.engine.pool.checkedout() == 0  # type: ignore[attr-defined]
