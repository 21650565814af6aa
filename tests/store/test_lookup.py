"""The lookup: one SELECT, on the connection that the host's session selects."""

from collections.abc import Callable
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session, scoped_session

from databases import close_connections
from flask_access_tokens import (
    secret,
    tokens,
)
from flask_access_tokens.store.direct import DirectSelect
from flask_access_tokens.store.rows import COLUMNS
from host import Host, bearer
from wire import wire


def test_the_usual_request_is_one_select_and_no_write(stored_host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    client, header = stored_host.client(), bearer(stored_host.generate().secret)
    client.get("/api", headers=header)
    with wire(stored_host, monkeypatch) as sent:
        assert client.get("/api", headers=header).status_code == 200
    assert len(sent) == 1
    assert sent[0].startswith("SELECT")
    with stored_host.statements() as seen:
        assert client.get("/api", headers=header).status_code == 200
    assert len(seen) == 1


def test_an_unknown_secret_is_one_select_and_no_write(stored_host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    stored_host.client().get("/api", headers=bearer(str(secret.generate("pat"))))
    with wire(stored_host, monkeypatch) as sent:
        assert stored_host.client().get("/api", headers=bearer(str(secret.generate("pat")))).status_code == 401
    assert [statement.split()[0] for statement in sent] == ["SELECT"]


def test_on_postgresql_the_check_opens_no_transaction(
    make_host: Callable[..., Host], server_database: Callable[[str], str]
) -> None:
    host = make_host(server_database("postgresql"))
    client, header = host.client(), bearer(host.generate().secret)
    client.get("/api", headers=header)
    with host.app.app_context():
        pool = host.db.engine.pool
    given_back: list[Any] = []

    def note(connection: Any, *_: Any) -> None:
        given_back.append((connection.info.transaction_status, connection.autocommit))

    sa.event.listen(pool, "reset", note)
    assert client.get("/api", headers=header).status_code == 200
    sa.event.remove(pool, "reset", note)
    assert given_back == [(psycopg.pq.TransactionStatus.IDLE, False)]


@pytest.mark.parametrize("value", ["", "Bearer", "Bearer x", "Bearer pat_x", "Basic x"])
def test_a_missing_or_malformed_secret_sends_nothing_to_the_driver(
    host: Host, monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    with wire(host, monkeypatch) as sent:
        assert host.client().get("/api", headers={"Authorization": value}).status_code == 401
    assert sent == []


@pytest.mark.parametrize("database_url", ["sqlite", "postgresql"], indirect=True)
def test_both_lookup_paths_return_the_same_token(stored_host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    stored_host.app.config["ACCESS_TOKENS_PEPPERS"] = ["one"]
    made = [stored_host.generate("ann", "é😀", scopes=["read"], lifetime_days=days) for days in (9, -1)]
    used = made[0].secret
    stored_host.client().get("/api", headers=bearer(used))
    went: list[bool] = []
    direct = DirectSelect.first

    def noted(*args: Any) -> Any:
        went.append(True)
        return direct(*args)

    monkeypatch.setattr(DirectSelect, "first", noted)
    direct_ones = [stored_host.find(new.secret) for new in made]
    assert len(went) == 2
    went.clear()
    with stored_host.app.app_context():
        stored_host.db.session.execute(sa.text("SELECT 1"))
        joined_ones = [tokens.find(new.secret) for new in made]
    assert not went
    for new, straight, joined in zip(made, direct_ones, joined_ones, strict=True):
        with stored_host.statements():
            seen = stored_host.find(new.secret)
        assert not went
        assert straight is not None
        for other in (seen, joined):
            assert other is not None
            for name in COLUMNS:
                assert getattr(straight, name) == getattr(other, name)
                assert type(getattr(straight, name)) is type(getattr(other, name))


def checked_once(host: Host) -> tuple[dict[str, str], sa.Engine]:
    """The header of a token whose use is recorded already, and the engine that checks it."""
    header = bearer(host.generate().secret)
    host.client().get("/api", headers=header)
    with host.app.app_context():
        return header, host.db.engine


@pytest.mark.parametrize(
    "name",
    ["before_cursor_execute", "after_cursor_execute", "before_execute", "after_execute", "engine_connect", "begin"],
)
def test_event_listeners_for_statements_see_the_check(stored_host: Host, name: str) -> None:
    events: list[str] = []
    header, engine = checked_once(stored_host)
    sa.event.listen(engine, name, lambda *_: events.append(name))
    assert stored_host.client().get("/api", headers=header).status_code == 200
    assert events == [name]


def test_a_listener_for_execution_by_the_driver_sees_the_check(stored_host: Host) -> None:
    statements: list[str] = []
    header, engine = checked_once(stored_host)
    sa.event.listen(engine, "do_execute", lambda cursor, statement, *_: statements.append(statement))
    assert stored_host.client().get("/api", headers=header).status_code == 200
    assert [statement.split()[0] for statement in statements] == ["SELECT"]


def test_a_listener_for_errors_sees_those_of_the_check(stored_host: Host) -> None:
    errors: list[Any] = []
    header, engine = checked_once(stored_host)
    with stored_host.app.app_context():
        stored_host.db.drop_all()
    sa.event.listen(engine, "handle_error", errors.append)
    assert stored_host.client().get("/api", headers=header).status_code == 503
    assert len(errors) == 1


@pytest.mark.parametrize(
    "options",
    [{"echo": True}, {"execution_options": {"schema_translate_map": {None: "main"}}}],
    ids=["echo", "schema"],
)
def test_echo_and_execution_options_apply_to_the_check(
    make_host: Callable[..., Host], monkeypatch: pytest.MonkeyPatch, options: dict[str, Any]
) -> None:
    host = make_host(SQLALCHEMY_ENGINE_OPTIONS=options)
    made = host.generate()

    def never(*_: Any) -> None:
        pytest.fail("the check bypassed SQLAlchemy")

    monkeypatch.setattr(DirectSelect, "first", never)
    assert host.client().get("/api", headers=bearer(made.secret)).status_code == 200


@pytest.mark.parametrize("kind", ["postgresql", "mariadb"])
def test_pooled_connections_that_the_server_closed_fail_no_request(
    make_host: Callable[..., Host], server_database: Callable[[str], str], kind: str
) -> None:
    host = make_host(server_database(kind))
    made, client = host.generate(), host.client("ann")
    with host.app.app_context():
        engine = host.db.engine
    for ask in (
        lambda: client.get("/api", headers=bearer(made.secret)),
        lambda: client.get("/access-tokens/"),
        lambda: client.post("/access-tokens/new", data={"name": "phone", "lifetime_days": "1"}),
        lambda: client.get(f"/access-tokens/{made.token.id}/delete"),
    ):
        with engine.connect(), engine.connect(), engine.connect():
            pass
        close_connections(engine)
        assert ask().status_code == 200


def test_a_store_error_names_the_statement_and_hides_its_parameters(stored_host: Host) -> None:
    made = stored_host.generate()
    with stored_host.app.app_context():
        stored_host.db.drop_all()
        with pytest.raises(tokens.StoreError) as error:
            tokens.find(made.secret)
    assert error.value.statement.startswith("SELECT")  # type: ignore[attr-defined]
    assert secret.candidate_digests(made.secret, ())["sha256"] not in str(error.value)


class Interrupted(BaseException):
    """An exception that a worker's timeout raises at an arbitrary point."""


@pytest.mark.parametrize("database_url", ["sqlite", "postgresql"], indirect=True)
def test_an_interruption_in_the_check_leaves_no_connection_that_commits_by_itself(
    stored_host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = stored_host.generate()

    class Interrupting:
        def __bool__(self) -> bool:
            raise Interrupted

    assert stored_host.find(made.secret) is not None
    lookups = stored_host.app.extensions["access_tokens"].lookups.values()
    (direct,) = [lookup for lookup in lookups if isinstance(lookup, DirectSelect)]
    monkeypatch.setattr(direct, "positional", Interrupting())
    with pytest.raises(Interrupted):
        stored_host.find(made.secret)
    with stored_host.app.app_context():
        model, session = stored_host.access_tokens.model, stored_host.db.session
        session.execute(sa.update(model).values(name="not committed"))
        session.rollback()
    assert [row["name"] for row in stored_host.rows()] == ["laptop"]


def test_a_pool_that_never_resets_its_connections_causes_no_stale_response(
    make_host: Callable[..., Host], database_url: str
) -> None:
    host = make_host(database_url, SQLALCHEMY_ENGINE_OPTIONS={"pool_reset_on_return": None})
    other = Host(database_url)
    made = host.generate()
    client = host.client()
    for _ in range(3):
        assert client.get("/api", headers=bearer(made.secret)).status_code == 200
    with other.app.app_context():
        assert tokens.delete("ann", made.token.id)
        other.db.engine.dispose()
    for _ in range(3):
        assert client.get("/api", headers=bearer(made.secret)).status_code == 401


def test_a_deletion_takes_effect_at_once_in_every_other_process(stored_host: Host, database_url: str) -> None:
    made, other = stored_host.generate(), Host(database_url)
    client = other.client()
    assert client.get("/api", headers=bearer(made.secret)).status_code == 200
    with stored_host.app.app_context():
        assert tokens.delete("ann", made.token.id)
    assert client.get("/api", headers=bearer(made.secret)).status_code == 401
    with other.app.app_context():
        other.db.engine.dispose()


class OwnScope(scoped_session[Session]):
    """A scope of the host's own, which may do more than keep sessions."""


@pytest.mark.parametrize("configured", ["a bind", "a scope"])
def test_a_session_that_the_host_configures_reads_the_check_itself(
    stored_host: Host, monkeypatch: pytest.MonkeyPatch, configured: str
) -> None:
    header, engine = checked_once(stored_host)
    if configured == "a bind":
        stored_host.db.session.session_factory.configure(bind=engine)
    else:
        scope = stored_host.db.session
        stored_host.db.session = OwnScope(scope.session_factory, scopefunc=scope.registry.scopefunc)

    def never(*_: Any) -> None:
        pytest.fail("the check bypassed the session")

    monkeypatch.setattr(DirectSelect, "first", never)
    assert stored_host.client().get("/api", headers=header).status_code == 200
    with stored_host.app.app_context():
        stored_host.db.session.remove()
