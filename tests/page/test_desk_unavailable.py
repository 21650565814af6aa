"""The operators' desk when the database is unavailable, has closed its connections, or has a replica."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from flask_sqlalchemy.session import Session

from desk_pages import (
    DESK,
    DESK_DELETE,
    DESK_FIND,
    DESK_NEW,
    answer_to,
    find_data,
    generated_data,
    listed_names,
    selection,
    stored_names,
    with_operator,
)
from flask_access_tokens import AccessTokens, secret, tokens
from host import Host
from pages import HTMX, NOBODY, SECRET, Make, token_fields

DETAILS = ("select", "insert", "sql", "127.0.0.1", "hush", "wares", "nowhere", "traceback", "operational", "deleted")


def requests_of(token_id: object, forms: dict[str, Any]) -> list[tuple[str, str, Any]]:
    """Every request of the desk that reads or writes tokens, as its method, its URL and its data."""
    chosen, everything = f"{DESK_DELETE}?token={token_id}", f"{DESK_DELETE}?owner=ann&everything=1"
    return [
        ("GET", DESK, None),
        ("GET", f"{DESK}?owner=ann&status=asleep&sort=used", None),
        ("GET", chosen, None),
        ("GET", everything, None),
        ("POST", chosen, forms.get("deletion", {})),
        ("POST", everything, forms.get("deletion", {})),
        ("POST", f"{DESK_NEW}?owner=ann", forms.get("new", token_fields("t-x"))),
        ("POST", DESK_FIND, {"text": str(secret.generate("pat")), **forms.get("find", {})}),
    ]


def assert_unavailable(client: Any, token_id: object, forms: dict[str, Any]) -> None:
    for method, path, data in requests_of(token_id, forms):
        for headers in ({}, HTMX):
            answer = client.open(path, method=method, data=data, headers=headers)
            assert answer.status_code == 503, (method, path)
            assert 1 <= int(answer.headers["Retry-After"]) <= 5
            assert answer.headers["Cache-Control"] == "no-store"
            content = f"{answer.text} {answer.headers}".lower()
            assert [word for word in DETAILS if word in content] == []
            assert not SECRET.search(answer.text)


@pytest.mark.case("D14")
def test_a_missing_table_is_503_on_every_route_of_the_desk(stored_host: Host) -> None:
    host = with_operator(stored_host)
    made = host.generate("ann", "t-a")
    olga = host.client("olga")
    path = selection(made.token)
    forms = {
        "deletion": answer_to(olga, path),
        "new": generated_data(olga, "ann"),
        "find": find_data(olga, made.secret),
    }
    with host.app.app_context():
        host.db.drop_all()
    assert_unavailable(olga, made.token.id, forms)
    assert olga.get(f"{DESK_NEW}?owner=ann").status_code == 200
    assert host.client("ann").get(DESK).status_code == 404


@pytest.mark.case("D14")
@pytest.mark.parametrize("kind", ["postgresql+psycopg", "mariadb+pymysql", "sqlite"])
def test_an_unreachable_database_is_503_on_every_route_of_the_desk(kind: str) -> None:
    address = "sqlite:////nowhere/else/host.sqlite3" if kind == "sqlite" else f"{kind}://joe:hush@127.0.0.1:1/wares"
    host = with_operator(Host(address))
    assert_unavailable(host.client("olga"), NOBODY, {})
    assert host.client("ann").get(DESK).status_code == 404


@pytest.mark.case("D14")
def test_a_database_error_in_a_loader_of_the_host_s_is_503_at_the_desk(host: Host) -> None:
    def load(*_: Any) -> Any:
        return host.db.session.execute(sa.text("SELECT name FROM people")).scalar()

    with_operator(host).generate("ann", "t-a")
    olga = host.client("olga")
    host.access_tokens.owner_loader(load)
    for path in (DESK, f"{DESK_NEW}?owner=ann"):
        answer = olga.get(path)
        assert (answer.status_code, "people" in answer.text) == (503, False)
    host.access_tokens.operator_loader(load)
    assert olga.get(DESK).status_code == 503


@pytest.mark.case("D14")
def test_the_host_s_503_handler_answers_for_the_desk_too(host: Host) -> None:
    with_operator(host).app.register_error_handler(503, lambda error: ("back soon", 503))
    with host.app.app_context():
        host.db.drop_all()
    answer = host.client("olga").get(DESK)
    assert (answer.status_code, answer.text) == (503, "back soon")
    assert answer.headers["Retry-After"]


@pytest.mark.case("E11")
def test_a_connection_that_the_server_has_closed_costs_no_request_of_the_desk(
    make_host: Make, server_database: Any
) -> None:
    host = with_operator(make_host(server_database("postgresql")))
    gone, kept = host.generate("ann", "t-gone"), host.generate("ann", "t-kept")
    olga = host.client("olga")
    other = sa.create_engine(server_database("postgresql"), poolclass=sa.NullPool)

    def cut() -> None:
        with other.connect() as connection:
            connection.exec_driver_sql(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )

    question, form = answer_to(olga, selection(gone.token)), generated_data(olga, "ann", name="t-new")
    text = find_data(olga, kept.secret)
    cut()
    assert listed_names(olga.get(f"{DESK}?owner=ann")) == ["t-kept", "t-gone"]
    cut()
    assert listed_names(olga.post(DESK_FIND, data=text)) == ["t-kept"]
    cut()
    assert olga.get(f"{DESK_DELETE}?owner=ann&everything=1").status_code == 200
    cut()
    assert olga.post(selection(gone.token), data=question).status_code == 303
    cut()
    assert SECRET.search(olga.post(f"{DESK_NEW}?owner=ann", data=form).text)
    assert stored_names(host) == ["t-kept", "t-new"]


@pytest.fixture
def replicated(tmp_path: Path) -> Iterator[Any]:
    """A host whose session reads from a replica that nothing has reached yet."""
    replica = sa.create_engine(f"sqlite:///{tmp_path / 'replica.sqlite3'}")

    class Routing(Session):
        def get_bind(self, mapper: Any = None, *, clause: Any = None, **arguments: Any) -> Any:
            writes = self._flushing or isinstance(clause, (sa.Insert, sa.Update, sa.Delete))
            return db.engine if writes else replica

    app = Flask("host")
    app.config.update(SECRET_KEY="a key for tests", SQLALCHEMY_DATABASE_URI=f"sqlite:///{tmp_path / 'host.sqlite3'}")
    app.config.update(TESTING=True, WTF_CSRF_ENABLED=False)
    db = SQLAlchemy(app, session_options={"class_": Routing})
    AccessTokens(app, db).operator_loader(lambda: "olga")
    with app.app_context():
        db.metadata.create_all(replica)
        db.metadata.create_all(db.engine)
    yield app
    with app.app_context():
        db.session.remove()
        db.engine.dispose()
    replica.dispose()


@pytest.mark.case("E24")
def test_the_desk_reads_from_the_primary(replicated: Flask) -> None:
    with replicated.app_context():
        made = tokens.generate("ann", "t-new")
    olga = replicated.test_client()
    assert listed_names(olga.get(DESK)) == ["t-new"]
    assert listed_names(olga.post(DESK_FIND, data={"text": made.secret})) == ["t-new"]
    question = answer_to(olga, f"{DESK_DELETE}?status=unused&everything=1")
    assert olga.post(f"{DESK_DELETE}?status=unused&everything=1", data=question).status_code == 303
    assert listed_names(olga.get(DESK)) == []
