"""The hall: every verb, on every database; what the check costs; what a use leaves behind."""

import json
import logging
import sqlite3
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psycopg
import pymysql.cursors
import pytest
import sqlalchemy as sa
from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from flask_sqlalchemy.session import Session as HostSession
from host import Clock, Host, bearer
from sqlalchemy.exc import IntegrityError, OperationalError, SQLAlchemyError
from sqlalchemy.orm import sessionmaker
from sqlalchemy.pool import Pool, SingletonThreadPool, StaticPool

from flask_access_tokens import (
    AccessTokens,
    current_token,
    secret,
    token_deleted,
    token_generated,
    token_required,
    tokens,
)
from flask_access_tokens.store import last_used
from flask_access_tokens.store.connections import error_summary
from flask_access_tokens.store.lookup import Lookup
from flask_access_tokens.store.rows import COLUMNS
from flask_access_tokens.tokens import TokenRefused

OLD_ROWS = json.loads((Path(__file__).parent / "data" / "rows-of-0.1.0.json").read_text())


@contextmanager
def wire(host: Host, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The SQL that reaches the driver meanwhile, told by the driver and not by SQLAlchemy."""
    seen: list[str] = []

    def spied(cursor_class: Any) -> Callable[..., Any]:
        execute = cursor_class.execute

        def note(cursor: Any, query: Any, *args: Any, **kwargs: Any) -> Any:
            seen.append(str(query))
            return execute(cursor, query, *args, **kwargs)

        return note

    def trace(connection: Any, *_: Any) -> None:
        if isinstance(connection, sqlite3.Connection):
            connection.set_trace_callback(seen.append)

    with host.app.app_context():
        pool = host.db.engine.pool
    sa.event.listen(pool, "checkout", trace)
    with monkeypatch.context() as patch:
        patch.setattr(psycopg.Cursor, "execute", spied(psycopg.Cursor))
        patch.setattr(pymysql.cursors.Cursor, "execute", spied(pymysql.cursors.Cursor))
        yield seen
    sa.event.remove(pool, "checkout", trace)


# Generating


def test_a_generated_token_is_what_was_wished_for(stored_host: Host, clock: Clock) -> None:
    made = stored_host.generate(
        "ann", " laptop ", description="On the desk", lifetime_days=30, scopes=["write", "read"]
    )
    (row,) = stored_host.rows()
    assert row["digest"] == secret.candidate_digests(made.secret, ())["sha256"]
    assert row["scheme"] == "sha256"
    assert made.secret not in str(row)
    found = stored_host.find(made.secret)
    assert found is not None
    for token in (made.token, found):
        assert (token.owner_id, token.name, token.description) == ("ann", "laptop", "On the desk")
        assert token.scopes == ("read", "write")
        assert token.created_at == clock.moment
        assert token.expires_at == clock.moment + timedelta(days=30)
        assert token.created_at.tzinfo is UTC
        assert token.last_used_at is None
        assert token.hint == f"pat_…{made.secret[-4:]}"


@pytest.mark.parametrize("owner_id", [7, "7", uuid.UUID(int=7), "ann", "ann@example.org", "Änn 王", "-1", "x" * 255])
def test_an_owner_id_comes_back_as_equal_text_on_every_database(stored_host: Host, owner_id: object) -> None:
    made = stored_host.generate(owner_id)
    found = stored_host.find(made.secret)
    assert found is not None
    assert found.owner_id == made.token.owner_id == str(owner_id)
    with stored_host.app.app_context():
        assert [token.id for token in tokens.owned_by(owner_id)] == [made.token.id]
        assert tokens.owned_by(f"{owner_id}"[:254] + "%") == []


@pytest.mark.parametrize("owner_id", ["ann", "ANN", "änn", "ann2"])
def test_owners_that_differ_by_case_or_accent_are_different_people(stored_host: Host, owner_id: str) -> None:
    made = {name: stored_host.generate(name).token.id for name in ("ann", "ANN", "änn", "ann2")}
    with stored_host.app.app_context():
        assert [token.id for token in tokens.owned_by(owner_id)] == [made[owner_id]]
        for name in made:
            assert tokens.delete(owner_id, made[name]) is (name == owner_id)


def test_the_longest_row_fits_on_every_database(stored_host: Host) -> None:
    scopes = {f"scope:{number:03}:{'x' * 60}": "Long" for number in range(300)}
    stored_host.app.config.update(
        ACCESS_TOKENS_SCOPES=scopes, ACCESS_TOKENS_PREFIX="p" * 32, ACCESS_TOKENS_PEPPERS=["one"]
    )
    made = stored_host.generate("😀" * 255, "😀" * 100, description="😀" * 255, scopes=list(scopes), nonce="n" * 32)
    found = stored_host.find(made.secret)
    assert found is not None
    assert (found.owner_id, found.name, found.scopes) == ("😀" * 255, "😀" * 100, tuple(scopes))
    assert found.hint == f"{'p' * 32}_…{made.secret[-4:]}"


def test_scopes_may_come_from_any_iterable(host: Host) -> None:
    assert host.generate(scopes=iter({"write": 1})).token.scopes == ("write",)


def test_the_limit_counts_live_tokens_of_one_owner(stored_host: Host, clock: Clock) -> None:
    stored_host.app.config["ACCESS_TOKENS_MAX_PER_OWNER"] = 2
    stored_host.generate("bob")
    stored_host.generate("ann", lifetime_days=1)
    stored_host.generate("ann", lifetime_days=-1)
    with stored_host.app.app_context():
        with pytest.raises(TokenRefused) as refusal:
            tokens.generate("ann", "laptop")
        assert str(refusal.value) == "You already have 2 tokens, the most allowed. Delete one first."
        assert refusal.value.field is None
        assert len(tokens.owned_by("ann")) == 2
    clock.pass_(days=1)
    stored_host.generate("ann")


def test_a_limit_of_one_is_said_as_one(host: Host) -> None:
    host.app.config["ACCESS_TOKENS_MAX_PER_OWNER"] = 1
    host.generate("ann")
    with host.app.app_context(), pytest.raises(TokenRefused) as refusal:
        tokens.generate("ann", "laptop")
    assert str(refusal.value) == "You already have 1 token, the most allowed. Delete it first."


def test_one_nonce_makes_one_token(stored_host: Host) -> None:
    stored_host.generate("ann", nonce="once")
    with stored_host.app.app_context():
        with pytest.raises(tokens.AlreadyGenerated) as refusal:
            tokens.generate("ann", "laptop", nonce="once")
        message = "This token was already generated. Its secret was shown once and cannot be shown again."
        assert (str(refusal.value), refusal.value.field) == (message, None)
        assert len(tokens.owned_by("ann")) == 1
        tokens.generate("ann", "laptop", nonce="n")
        assert len(tokens.owned_by("ann")) == 2


def test_a_nonce_of_somebody_else_is_not_called_generated(stored_host: Host) -> None:
    stored_host.generate("ann", nonce="once")
    with stored_host.app.app_context():
        with pytest.raises(IntegrityError):
            tokens.generate("bob", "laptop", nonce="once")
        assert tokens.owned_by("bob") == []


@pytest.mark.parametrize("nonce", ["", "n" * 33])
def test_a_nonce_that_does_not_fit_is_an_error(host: Host, nonce: str) -> None:
    with host.app.app_context(), pytest.raises(ValueError, match=r"^A nonce is text of 1 to 32 characters\.$"):
        tokens.generate("ann", "laptop", nonce=nonce)


def test_a_refused_wish_leaves_what_the_host_began_alone(stored_host: Host) -> None:
    stored_host.app.config["ACCESS_TOKENS_MAX_PER_OWNER"] = 1
    stored_host.generate("ann")
    with stored_host.app.app_context():
        model, session = stored_host.access_tokens.model, stored_host.db.session
        found = session.scalars(sa.select(model)).one()
        found.name = "not committed yet"
        session.flush()
        with pytest.raises(TokenRefused):
            tokens.generate("ann", "another")
        assert session().in_transaction()
        assert found.name == "not committed yet"
        session.rollback()
    assert [row["name"] for row in stored_host.rows()] == ["laptop"]


# Finding


def test_find_gives_none_for_whatever_is_no_secret_of_a_live_token(host: Host, clock: Clock) -> None:
    old, gone = host.generate(lifetime_days=1).secret, host.generate()
    with host.app.app_context():
        tokens.delete("ann", gone.token.id)
        clock.pass_(days=1)
        assert tokens.find(old) is None
        assert tokens.find(gone.secret) is None
        assert tokens.find(str(secret.generate("pat"))) is None
        with host.statements() as seen:
            for text in ("", "x", None, 7, b"pat_x", f" {old}", f"{old}\n", old.swapcase(), "pat_" + "é" * 49):
                assert tokens.find(text) is None  # type: ignore[arg-type]
        assert seen == []


@pytest.mark.case("F01")
def test_a_token_ends_at_the_very_microsecond_of_its_expiry(stored_host: Host, clock: Clock) -> None:
    made, client = stored_host.generate(lifetime_days=30), stored_host.client()
    clock.pass_(days=30, microseconds=-1)
    assert client.get("/api", headers=bearer(made.secret)).status_code == 200
    for _ in range(2):
        clock.pass_(microseconds=1)
        assert client.get("/api", headers=bearer(made.secret)).status_code == 401
        assert stored_host.find(made.secret) is None


@pytest.mark.case("F06")
def test_a_token_that_never_expires_is_good_in_fifty_years(stored_host: Host, clock: Clock) -> None:
    made = stored_host.generate(lifetime_days=-1)
    assert made.token.expires_at is None
    clock.pass_(days=365.25 * 50)
    assert stored_host.client().get("/api", headers=bearer(made.secret)).status_code == 200


def test_the_longest_lifetime_is_stored_exactly(stored_host: Host, clock: Clock) -> None:
    made = stored_host.generate(lifetime_days=99_999)
    found = stored_host.find(made.secret)
    assert found is not None
    assert found.expires_at == clock.moment + timedelta(days=99_999)


@pytest.mark.case("F08")
def test_an_expired_token_is_listed_can_be_deleted_and_stays_refused(stored_host: Host, clock: Clock) -> None:
    made = stored_host.generate(lifetime_days=1)
    clock.pass_(days=2)
    with stored_host.app.app_context():
        (listed,) = tokens.owned_by("ann")
        assert (listed.status, listed.expired) == ("expired", True)
        assert tokens.delete("ann", listed.id)
        assert tokens.owned_by("ann") == []
    assert stored_host.client().get("/api", headers=bearer(made.secret)).status_code == 401


@pytest.mark.case("F11")
def test_a_token_is_good_at_once_for_a_clock_that_is_behind(stored_host: Host, clock: Clock) -> None:
    made = stored_host.generate()
    clock.pass_(seconds=-2)
    assert stored_host.client().get("/api", headers=bearer(made.secret)).status_code == 200


# What the check costs


def test_the_usual_request_is_one_select_and_no_write(stored_host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    client, header = stored_host.client(), bearer(stored_host.generate().secret)
    client.get("/api", headers=header)
    with wire(stored_host, monkeypatch) as sent:
        assert client.get("/api", headers=header).status_code == 200
    assert len(sent) == 1
    assert sent[0].startswith("SELECT")
    with stored_host.statements() as told:
        assert client.get("/api", headers=header).status_code == 200
    assert len(told) == 1


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


def test_the_check_leaves_the_scope_of_the_host_s_session_empty(stored_host: Host) -> None:
    header = bearer(stored_host.generate().secret)

    @stored_host.app.get("/scope")
    @token_required
    def scope() -> list[bool]:
        return [stored_host.db.session.registry.has()]

    assert stored_host.client().get("/scope", headers=header).get_json() == [False]


def test_a_session_that_is_set_up_anew_is_asked_anew(make_host: Callable[..., Host], tmp_path: Path) -> None:
    one, two = (make_host(f"sqlite:///{tmp_path / name}") for name in ("one.sqlite3", "two.sqlite3"))
    header = bearer(one.generate().secret)
    engines = []
    for host in (one, two):
        with host.app.app_context():
            engines.append(host.db.engine)
    factory = sessionmaker(bind=engines[0])
    one.db.session = sa.orm.scoped_session(factory)

    def status() -> int:
        return int(one.client().get("/api", headers=header).status_code)

    assert status() == 200
    factory.configure(bind=engines[1])
    assert status() == 401
    one.db.session = sa.orm.scoped_session(sessionmaker(bind=engines[0]))
    assert status() == 200


@pytest.mark.case("E24")
def test_the_check_and_the_verbs_use_the_primary_even_where_a_session_reads_from_a_replica(tmp_path: Path) -> None:
    replica = sa.create_engine(f"sqlite:///{tmp_path / 'replica.sqlite3'}")

    class Routing(HostSession):
        def get_bind(self, mapper: Any = None, *, clause: Any = None, **arguments: Any) -> Any:
            writes = self._flushing or isinstance(clause, (sa.Insert, sa.Update, sa.Delete))
            return db.engine if writes else replica

    app = Flask("host")
    app.config.update(SECRET_KEY="a key for tests", SQLALCHEMY_DATABASE_URI=f"sqlite:///{tmp_path / 'host.sqlite3'}")
    db = SQLAlchemy(app, session_options={"class_": Routing})
    AccessTokens(app, db)

    @app.get("/api")
    @token_required
    def api() -> dict[str, str]:
        return {"owner": current_token.owner_id}

    with app.app_context():
        db.metadata.create_all(replica)
        db.metadata.create_all(db.engine)
        made = tokens.generate("ann", "laptop")
        with db.engine.connect() as connection:
            assert connection.exec_driver_sql("SELECT count(*) FROM access_tokens").scalar() == 1
        assert app.test_client().get("/api", headers=bearer(made.secret)).status_code == 200
        assert [token.last_used_at is not None for token in tokens.owned_by("ann")] == [True]
        assert tokens.delete("ann", made.token.id)
        assert app.test_client().get("/api", headers=bearer(made.secret)).status_code == 401
        db.session.remove()
        db.engine.dispose()
    with replica.connect() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM access_tokens").scalar() == 0
    replica.dispose()


@pytest.mark.parametrize("value", ["", "Bearer", "Bearer x", "Bearer pat_x", "Basic x"])
def test_a_missing_or_malformed_secret_sends_nothing_to_the_driver(
    host: Host, monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    with wire(host, monkeypatch) as sent:
        assert host.client().get("/api", headers={"Authorization": value}).status_code == 401
    assert sent == []


@pytest.mark.parametrize("database_url", ["sqlite", "postgresql"], indirect=True)
def test_both_ways_to_the_row_give_the_same_token(stored_host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    stored_host.app.config["ACCESS_TOKENS_PEPPERS"] = ["one"]
    made = [stored_host.generate("ann", "é😀", scopes=["read"], lifetime_days=days) for days in (9, -1)]
    used = made[0].secret
    stored_host.client().get("/api", headers=bearer(used))
    went: list[bool] = []
    direct = Lookup._first_directly

    def noted(*args: Any) -> Any:
        went.append(True)
        return direct(*args)

    monkeypatch.setattr(Lookup, "_first_directly", noted)
    direct_ones = [stored_host.find(new.secret) for new in made]
    assert len(went) == 2
    went.clear()
    with stored_host.app.app_context():
        stored_host.db.session.execute(sa.text("SELECT 1"))
        joined_ones = [tokens.find(new.secret) for new in made]
    assert not went
    for new, straight, joined in zip(made, direct_ones, joined_ones, strict=True):
        with stored_host.statements():
            told = stored_host.find(new.secret)
        assert not went
        assert straight is not None
        for other in (told, joined):
            assert other is not None
            for name in COLUMNS:
                assert getattr(straight, name) == getattr(other, name)
                assert type(getattr(straight, name)) is type(getattr(other, name))


@pytest.mark.parametrize("name", ["before_cursor_execute", "before_execute", "handle_error"])
def test_whoever_listens_to_statements_is_told_of_the_check(stored_host: Host, name: str) -> None:
    told: list[str] = []
    header = bearer(stored_host.generate().secret)
    stored_host.client().get("/api", headers=header)
    with stored_host.app.app_context():
        engine = stored_host.db.engine
    sa.event.listen(engine, name, lambda *_: told.append(name))
    if name == "handle_error":
        with stored_host.app.app_context():
            stored_host.db.drop_all()
        assert stored_host.client().get("/api", headers=header).status_code == 503
    else:
        assert stored_host.client().get("/api", headers=header).status_code == 200
    assert told == [name]


@pytest.mark.parametrize(
    "options",
    [{"echo": True}, {"execution_options": {"schema_translate_map": {None: "main"}}}],
    ids=["echo", "schema"],
)
def test_whoever_follows_or_redirects_statements_is_obeyed(
    make_host: Callable[..., Host], monkeypatch: pytest.MonkeyPatch, options: dict[str, Any]
) -> None:
    host = make_host(SQLALCHEMY_ENGINE_OPTIONS=options)
    made = host.generate()

    def never(*_: Any) -> None:
        pytest.fail("the check went past SQLAlchemy")

    monkeypatch.setattr(Lookup, "_first_directly", never)
    assert host.client().get("/api", headers=bearer(made.secret)).status_code == 200


@pytest.mark.parametrize("kind", ["postgresql", "mariadb"])
def test_a_pooled_connection_that_the_server_closed_costs_no_answer(
    make_host: Callable[..., Host], server_database: Callable[[str], str], kind: str
) -> None:
    url = server_database(kind)
    host, other = make_host(url), Host(url)
    header = bearer(host.generate().secret)
    assert host.client().get("/api", headers=header).status_code == 200
    mine, close = {
        "postgresql": ("SELECT pg_backend_pid()", "SELECT pg_terminate_backend({})"),
        "mariadb": ("SELECT connection_id()", "KILL {}"),
    }[kind]
    with host.app.app_context(), host.db.engine.connect() as connection:
        number = connection.exec_driver_sql(mine).scalar()
    with other.app.app_context(), other.db.engine.connect() as connection:
        connection.exec_driver_sql(close.format(number))
    with other.app.app_context():
        other.db.engine.dispose()
    assert host.client().get("/api", headers=header).status_code == 200


def test_a_store_s_error_names_the_statement_and_keeps_its_parameters(stored_host: Host) -> None:
    made = stored_host.generate()
    with stored_host.app.app_context():
        stored_host.db.drop_all()
        with pytest.raises(tokens.StoreError) as error:
            tokens.find(made.secret)
    assert error.value.statement.startswith("SELECT")  # type: ignore[attr-defined]
    assert secret.candidate_digests(made.secret, ())["sha256"] not in str(error.value)


class Interrupted(BaseException):
    """What a worker's time-out raises in the middle of anything."""


@pytest.mark.parametrize("database_url", ["sqlite", "postgresql"], indirect=True)
def test_an_interruption_in_the_check_leaves_no_connection_that_commits_by_itself(
    stored_host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = stored_host.generate()

    class Interrupting:
        def __bool__(self) -> bool:
            raise Interrupted

    assert stored_host.find(made.secret) is not None
    (lookup,) = stored_host.app.extensions["access_tokens"].lookups.values()
    monkeypatch.setattr(lookup, "positional", Interrupting())
    with pytest.raises(Interrupted):
        stored_host.find(made.secret)
    with stored_host.app.app_context():
        model, session = stored_host.access_tokens.model, stored_host.db.session
        session.execute(sa.update(model).values(name="not committed"))
        session.rollback()
    assert [row["name"] for row in stored_host.rows()] == ["laptop"]


def test_a_pool_that_never_resets_its_connections_gives_no_stale_answer(
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


def test_a_deletion_counts_at_once_for_every_other_process(stored_host: Host, database_url: str) -> None:
    made, other = stored_host.generate(), Host(database_url)
    client = other.client()
    assert client.get("/api", headers=bearer(made.secret)).status_code == 200
    with stored_host.app.app_context():
        assert tokens.delete("ann", made.token.id)
    assert client.get("/api", headers=bearer(made.secret)).status_code == 401
    with other.app.app_context():
        other.db.engine.dispose()


# Uses


@pytest.mark.case("F09")
def test_the_first_use_is_stamped_and_the_next_an_interval_later(stored_host: Host, clock: Clock) -> None:
    made, client = stored_host.generate(), stored_host.client()
    header = bearer(made.secret)
    clock.pass_(seconds=5)
    first = clock.moment
    client.get("/api", headers=header)
    for seconds, stamped in ((1, False), (58, False), (1, True)):
        clock.pass_(seconds=seconds)
        client.get("/api", headers=header)
        with stored_host.app.app_context():
            (token,) = tokens.owned_by("ann")
        assert token.last_used_at == (clock.moment if stamped else first)


def test_a_view_sees_the_use_before_this_one(host: Host, clock: Clock) -> None:
    host.app.get("/last")(token_required(lambda: str(current_token.last_used_at)))
    client, header = host.client(), bearer(host.generate().secret)
    first = clock.moment
    assert client.get("/last", headers=header).text == "None"
    clock.pass_(minutes=5)
    assert client.get("/last", headers=header).text == str(first)


def test_a_refused_use_is_not_stamped(host: Host) -> None:
    host.client().post("/write", headers=bearer(host.generate().secret))
    assert host.rows()[0]["last_used_at"] is None


def test_a_use_is_stamped_though_the_view_fails(stored_host: Host) -> None:
    stored_host.app.config["PROPAGATE_EXCEPTIONS"] = False
    stored_host.app.get("/broken")(token_required(lambda: 1 / 0))
    stored_host.client().get("/broken", headers=bearer(stored_host.generate().secret))
    assert stored_host.rows()[0]["last_used_at"] is not None


def last_uses(host: Host) -> dict[str, datetime | None]:
    """When each of Ann's tokens was last used, by name."""
    with host.app.app_context():
        return {token.name: token.last_used_at for token in tokens.owned_by("ann")}


def test_a_use_is_stamped_on_the_one_token_that_was_used(stored_host: Host, clock: Clock) -> None:
    used, _ = stored_host.generate("ann", "used"), stored_host.generate("ann", "other")
    stored_host.client().get("/api", headers=bearer(used.secret))
    assert last_uses(stored_host) == {"used": clock.moment, "other": None}


def test_of_two_uses_at_once_the_first_stamp_stands(stored_host: Host, clock: Clock) -> None:
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


def test_a_token_that_moves_to_a_new_pepper_is_stamped_no_sooner(stored_host: Host, clock: Clock) -> None:
    client, header = stored_host.client(), bearer(stored_host.generate("ann").secret)
    first = clock.moment
    client.get("/api", headers=header)
    clock.pass_(seconds=30)
    peppered(stored_host, "one")
    client.get("/api", headers=header)
    assert stored_host.rows()[0]["scheme"] == secret.schemes(["one"])[0]
    assert last_uses(stored_host) == {"laptop": first}
    clock.pass_(seconds=30)
    peppered(stored_host, "two", "one")
    client.get("/api", headers=header)
    assert stored_host.rows()[0]["scheme"] == secret.schemes(["two"])[0]
    assert last_uses(stored_host) == {"laptop": clock.moment}


@pytest.mark.parametrize("kind", ["postgresql", "mariadb"])
def test_a_row_that_somebody_holds_is_left_unstamped_without_an_error(
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


def test_a_stamp_on_sqlite_is_one_statement_and_leaves_the_patience_of_the_connection(
    make_host: Callable[..., Host], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = make_host(f"sqlite:///{tmp_path / 'host.sqlite3'}", SQLALCHEMY_ENGINE_OPTIONS={"pool_size": 1})
    header = bearer(host.generate("ann").secret)
    with host.app.app_context(), host.db.engine.connect() as connection:
        patience = connection.exec_driver_sql("PRAGMA busy_timeout").scalar()
    with wire(host, monkeypatch) as sent:
        host.client().get("/api", headers=header)
    after_the_check = [statement for statement in sent if "access_tokens" in statement][1:]
    assert [statement.split()[0] for statement in after_the_check] == ["UPDATE"]
    assert "PRAGMA busy_timeout = 100" in sent
    with host.app.app_context(), host.db.engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA busy_timeout").scalar() == patience


def test_a_stamp_is_left_out_while_every_connection_is_at_work(make_host: Callable[..., Host], tmp_path: Path) -> None:
    options = {"pool_size": 1, "max_overflow": 0, "pool_timeout": 0.1}
    host = make_host(f"sqlite:///{tmp_path / 'host.sqlite3'}", SQLALCHEMY_ENGINE_OPTIONS=options)
    header = bearer(host.generate("ann").secret)
    held: list[Any] = []

    @host.app.get("/keep")
    @token_required
    def keep() -> str:
        held.append(host.db.engine.connect())
        return "kept"

    assert host.client().get("/keep", headers=header).text == "kept"
    held.pop().close()
    assert last_uses(host) == {"laptop": None}
    assert host.app.extensions["access_tokens"].failed_updates == 0
    host.client().get("/api", headers=header)
    assert last_uses(host)["laptop"] is not None


def with_things(host: Host) -> Any:
    """A table of the host's, and a view that adds a row to it."""

    class Thing(host.db.Model):  # type: ignore[name-defined,misc]
        id = sa.Column(sa.Integer, primary_key=True)
        name = sa.Column(sa.String(20))

    with host.app.app_context():
        host.db.create_all()

    @host.app.post("/things/<how>")
    @token_required
    def add(how: str) -> str:
        thing = Thing(name=how)
        host.db.session.add(thing)
        if how != "add":
            host.db.session.flush()
        if how == "commit":
            host.db.session.commit()
        return "added"

    return Thing


def counted(host: Host, model: Any) -> int:
    with host.app.app_context():
        count: int = host.db.session.execute(sa.select(sa.func.count()).select_from(model)).scalar_one()
        return count


@pytest.mark.case("E07", "E09")
@pytest.mark.parametrize(("how", "kept"), [("add", 0), ("flush", 0), ("commit", 1)])
def test_the_check_commits_nothing_of_the_view_s(stored_host: Host, how: str, kept: int) -> None:
    thing = with_things(stored_host)
    header = bearer(stored_host.generate().secret)
    assert stored_host.client().post(f"/things/{how}", headers=header).status_code == 200
    assert counted(stored_host, thing) == kept
    assert stored_host.rows()[0]["last_used_at"] is not None


@pytest.mark.case("E07", "E09")
@pytest.mark.parametrize(("how", "kept"), [("add", 0), ("flush", 0), ("commit", 1)])
def test_the_check_commits_nothing_on_the_one_connection_of_a_database_in_memory(
    host: Host, how: str, kept: int
) -> None:
    thing = with_things(host)
    header = bearer(host.generate().secret)
    assert host.client().post(f"/things/{how}", headers=header).status_code == 200
    assert counted(host, thing) == kept


@pytest.mark.case("E07")
@pytest.mark.parametrize("pool", [StaticPool, SingletonThreadPool])
def test_a_stamp_commits_nothing_of_a_session_that_outlives_the_request(
    make_host: Callable[..., Host], tmp_path: Path, pool: type[Pool]
) -> None:
    options = {"poolclass": pool, "connect_args": {"check_same_thread": False}}
    host = make_host(f"sqlite:///{tmp_path / 'host.sqlite3'}", SQLALCHEMY_ENGINE_OPTIONS=options)
    thing = with_things(host)
    with host.app.app_context():
        new = tokens.generate("ann", "laptop")
        assert host.client().post("/things/flush", headers=bearer(new.secret)).status_code == 200
        host.db.session.rollback()
        assert counted(host, thing) == 0


@pytest.mark.case("E09")
def test_the_check_expires_no_object_of_the_host_s(stored_host: Host) -> None:
    thing = with_things(stored_host)
    header = bearer(stored_host.generate().secret)
    with stored_host.app.app_context():
        stored_host.db.session.add(thing(name="mine"))
        stored_host.db.session.commit()
        mine = stored_host.db.session.scalars(sa.select(thing)).one()
        assert stored_host.client().get("/api", headers=header).status_code == 200
        assert not sa.inspect(mine).expired_attributes
        assert mine in stored_host.db.session


def test_stamps_are_written_while_an_outer_context_stays_open(stored_host: Host) -> None:
    @stored_host.app.get("/reading")
    @token_required
    def reading() -> str:
        stored_host.db.session.execute(sa.text("SELECT 1"))
        return "read"

    with stored_host.app.app_context():
        made = tokens.generate("ann", "laptop")
        client = stored_host.client()
        for path in ("/api", "/reading"):
            with stored_host.db.engine.begin() as connection:
                connection.execute(sa.update(stored_host.access_tokens.model).values(last_used_at=None))
            assert client.get(path, headers=bearer(made.secret)).status_code == 200
            stored_host.db.session.rollback()
            assert tokens.owned_by("ann")[0].last_used_at is not None, path


def test_a_check_in_the_session_of_a_hook_is_stamped_as_well(stored_host: Host) -> None:
    stored_host.app.before_request(lambda: stored_host.db.session.execute(sa.text("SELECT 1")) and None)
    made = stored_host.generate()
    assert stored_host.client().get("/api", headers=bearer(made.secret)).status_code == 200
    assert stored_host.rows()[0]["last_used_at"] is not None


def test_stamps_are_written_after_a_client_s_block(host: Host) -> None:
    made = host.generate()
    with host.client() as client:
        client.get("/api", headers=bearer(made.secret))
    assert host.rows()[0]["last_used_at"] is not None


def test_a_suite_whose_session_is_bound_to_one_connection_sees_what_it_did_not_commit(stored_host: Host) -> None:
    """The way many suites roll everything back: one connection, one outer transaction."""
    with stored_host.app.app_context():
        if stored_host.db.engine.dialect.name == "sqlite":
            # sqlite3 begins no transaction of its own accord, so SQLAlchemy has to.
            sa.event.listen(stored_host.db.engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN"))
        with stored_host.db.engine.connect() as connection:
            outer = connection.begin()
            session = stored_host.db.session
            session.remove()
            stored_host.db.session = sa.orm.scoped_session(
                sessionmaker(bind=connection, join_transaction_mode="create_savepoint")
            )
            made = tokens.generate("ann", "laptop")
            client = stored_host.client()
            assert client.get("/api", headers=bearer(made.secret)).status_code == 200
            stored_host.db.session.remove()
            assert tokens.owned_by("ann")[0].last_used_at is not None
            second = tokens.generate("ann", "second")
            stored_host.db.session.execute(sa.text("SELECT 1"))
            assert client.get("/api", headers=bearer(second.secret)).status_code == 200
            assert all(token.last_used_at for token in tokens.owned_by("ann"))
            assert tokens.delete("ann", made.token.id)
            assert client.get("/api", headers=bearer(made.secret)).status_code == 401
            tokens.generate("ann", "laptop")
            stored_host.db.session.remove()
            outer.rollback()
            stored_host.db.session = session
        assert tokens.owned_by("ann") == []


def test_a_suite_whose_session_is_bound_to_one_connection_keeps_the_uses_of_views_that_read(stored_host: Host) -> None:
    @stored_host.app.get("/reading")
    @token_required
    def reading() -> str:
        stored_host.db.session.execute(sa.text("SELECT 1"))
        return "read"

    header = bearer(stored_host.generate().secret)
    with stored_host.app.app_context():
        engine = stored_host.db.engine
    with engine.connect() as connection, connection.begin():
        session = stored_host.db.session
        factory = sessionmaker(bind=connection, join_transaction_mode="create_savepoint")
        stored_host.db.session = sa.orm.scoped_session(factory)
        assert stored_host.client().get("/reading", headers=header).text == "read"
        stored_host.db.session = session
    assert last_uses(stored_host)["laptop"] is not None


def test_a_suite_whose_session_is_bound_to_one_idle_connection_keeps_its_stamps(stored_host: Host) -> None:
    with stored_host.app.app_context():
        made = tokens.generate("ann", "laptop")
        with stored_host.db.engine.connect() as connection:
            stored_host.db.session.remove()
            session = stored_host.db.session
            stored_host.db.session = sa.orm.scoped_session(sessionmaker(bind=connection))
            assert stored_host.client().get("/api", headers=bearer(made.secret)).status_code == 200
            stored_host.db.session.remove()
            stored_host.db.session = session
    assert last_uses(stored_host)["laptop"] is not None


@pytest.mark.case("E18")
def test_a_stamp_that_fails_costs_the_request_nothing_and_one_line_a_minute(
    stored_host: Host, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: Any) -> None:
        raise OperationalError("UPDATE secrets", {}, Exception("disk full"))

    monkeypatch.setattr(last_used, "_update", broken)
    header = bearer(stored_host.generate().secret)
    caplog.set_level(logging.WARNING, "flask_access_tokens")
    for _ in range(5):
        stored_host.app.extensions["access_tokens"].updates_resume_at = 0
        assert stored_host.client().get("/api", headers=header).status_code == 200
    assert stored_host.app.extensions["access_tokens"].failed_updates == 5
    (record,) = [record for record in caplog.records if record.name == "flask_access_tokens"]
    assert record.getMessage() == "Last-used times are not being written (Exception: disk full); 1 failed so far."
    assert "UPDATE" not in caplog.text


def test_a_stamp_that_fails_is_tried_again_after_a_second_and_logged_again_after_a_minute(
    host: Host, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    moment = 1000
    monkeypatch.setattr(last_used, "time", SimpleNamespace(monotonic=lambda: moment))
    tried: list[int] = []

    def broken(*_: Any) -> None:
        tried.append(moment)
        raise OperationalError(None, None, Exception("disk full"))

    monkeypatch.setattr(last_used, "_update", broken)
    client, header = host.client(), bearer(host.generate().secret)
    caplog.set_level(logging.WARNING, "flask_access_tokens")
    for passed in (0, 0, 1, 59, 0, 59, 1):
        moment += passed
        client.get("/api", headers=header)
    assert tried == [1000, 1001, 1060, 1119, 1120]
    counted = [record.getMessage().partition("; ")[2] for record in caplog.records]
    assert counted == ["1 failed so far.", "3 failed so far.", "5 failed so far."]


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OperationalError("SELECT 1", {}, ValueError("gone away\nand more")), "ValueError: gone away"),
        (OperationalError("SELECT 1", {}, ValueError("  \n")), "ValueError"),
        (OperationalError("SELECT 1", {}, ValueError()), "ValueError"),
        (SQLAlchemyError("SELECT secrets"), "SQLAlchemyError"),
    ],
)
def test_what_a_log_says_of_a_store_s_error_is_the_driver_s_first_line_alone(error: Exception, said: str) -> None:
    assert error_summary(error) == said


# Deleting


def test_an_owner_s_tokens_come_newest_first_and_by_id_where_they_are_of_one_moment(host: Host, clock: Clock) -> None:
    old = host.generate("ann", "old").token
    clock.pass_(seconds=1)
    new = sorted(host.generate("ann", f"new {number}").token.id for number in range(8))
    with host.app.app_context():
        assert [token.id for token in tokens.owned_by("ann")] == [*new, old.id]


def test_a_person_deletes_their_own_tokens_and_nobody_else_s(stored_host: Host) -> None:
    ann, bob = stored_host.generate("ann"), stored_host.generate("bob")
    with stored_host.app.app_context():
        assert tokens.delete("bob", ann.token.id) is False
        assert tokens.delete("ann", uuid.uuid4()) is False
        assert tokens.delete("ann", str(ann.token.id)) is True
        assert tokens.delete("ann", ann.token.id) is False
        assert tokens.get("bob", ann.token.id) is None
        second = tokens.generate("bob", "second")
        for new in (bob, second):
            found = tokens.get("bob", str(new.token.id))
            assert found is not None
            assert found.id == new.token.id
        for nonsense in ("", "x", None, 7, "%", ann.secret, b"x"):
            assert tokens.delete("bob", nonsense) is False
            assert tokens.get("bob", nonsense) is None
    client = stored_host.client()
    assert client.get("/api", headers=bearer(ann.secret)).status_code == 401
    assert client.get("/api", headers=bearer(bob.secret)).status_code == 200


@pytest.mark.case("C14")
def test_delete_all_ends_every_token_of_one_owner(stored_host: Host) -> None:
    ann = [stored_host.generate("ann").secret for _ in range(3)]
    bob = stored_host.generate("bob").secret
    with stored_host.app.app_context():
        assert tokens.delete_all("ann") == 3
        assert tokens.delete_all("ann") == 0
    client = stored_host.client()
    assert {client.get("/api", headers=bearer(text)).status_code for text in ann} == {401}
    assert client.get("/api", headers=bearer(bob)).status_code == 200


@pytest.mark.case("F12")
def test_prune_removes_what_expired_long_ago_and_counts_it_beforehand(
    stored_host: Host, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tokens, "BATCH", 3)
    for _ in range(8):
        stored_host.generate("ann", "old", lifetime_days=1)
    stored_host.generate("ann", "lately", lifetime_days=20)
    stored_host.generate("ann", "live", lifetime_days=365)
    stored_host.generate("ann", "never", lifetime_days=-1)
    deleted: list[str] = []
    clock.pass_(days=31)

    def hear(sender: Flask, token: tokens.Token) -> None:
        deleted.append(token.name)

    with stored_host.app.app_context(), token_deleted.connected_to(hear, stored_host.app):
        assert tokens.prune(dry_run=True) == 0
        clock.pass_(microseconds=1)
        assert tokens.prune(dry_run=True) == 8
        assert len(tokens.owned_by("ann")) == 11
        with stored_host.statements() as seen:
            assert tokens.prune() == 8
        verbs = [statement.split()[0] for statement in seen]
        assert verbs == ["SELECT", "DELETE"] * 3
        with stored_host.statements() as seen:
            assert tokens.prune() == 0
        assert [statement.split()[0] for statement in seen] == ["SELECT"]
        assert tokens.prune(99_999) == 0
        assert sorted(token.name for token in tokens.owned_by("ann")) == ["lately", "live", "never"]
        assert tokens.prune(0) == 1
    assert deleted == ["old"] * 8 + ["lately"]


@pytest.mark.case("F05")
@pytest.mark.parametrize("days", [-1, 1.5, "30", None, True, 100_000])
def test_prune_refuses_days_that_cannot_be(host: Host, days: Any) -> None:
    with host.app.app_context(), pytest.raises(ValueError, match="whole number of days"):
        tokens.prune(days)


def test_everyone_s_tokens_come_in_batches_by_owner_each_once(
    stored_host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tokens, "BATCH", 3)
    made = [stored_host.generate(owner, f"{owner} {number}") for owner in ("bob", "ann", "eve") for number in range(4)]
    with stored_host.app.app_context(), stored_host.statements() as seen:
        found = [(token.owner_id, token.id) for token in tokens.iter_all()]
    assert sorted(found) == sorted((new.token.owner_id, new.token.id) for new in made)
    assert [owner for owner, _ in found] == ["ann"] * 4 + ["bob"] * 4 + ["eve"] * 4
    assert len(seen) == 5


# Peppers and keys


@pytest.mark.case("G01")
def test_a_thousand_tokens_survive_a_new_secret_key(host: Host) -> None:
    with host.app.app_context():
        made = [tokens.generate(f"owner {number}", "laptop").secret for number in range(1000)]
    host.app.config["SECRET_KEY"] = "another"
    client = host.client()
    for number, text in enumerate(made):
        assert client.get("/api", headers=bearer(text)).get_json()["owner"] == f"owner {number}"


def peppered(host: Host, *peppers: str) -> None:
    host.app.config["ACCESS_TOKENS_PEPPERS"] = peppers


@pytest.mark.case("G04", "G05", "G06", "G07")
def test_a_pepper_is_rotated_without_losing_a_token_that_is_used(
    stored_host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = stored_host.client()

    def status(text: str) -> int:
        return int(client.get("/api", headers=bearer(text)).status_code)

    def schemes() -> set[str]:
        return {row["scheme"] for row in stored_host.rows()}

    plain = stored_host.generate("ann").secret
    peppered(stored_host, "one")
    keyed, unused = stored_host.generate("ann").secret, stored_host.generate("ann").secret
    assert [status(text) for text in (plain, keyed)] == [200, 200]
    assert schemes() == {secret.schemes(["one"])[0]}
    peppered(stored_host, "two", "one")
    with wire(stored_host, monkeypatch) as sent:
        assert status(keyed) == 200
    assert sum(statement.startswith("SELECT") and ".hint" in statement for statement in sent) == 1
    assert status(plain) == 200
    assert schemes() == {secret.schemes(["two"])[0], secret.schemes(["one"])[0]}
    with wire(stored_host, monkeypatch) as sent:
        assert status(keyed) == 200
    assert len(sent) == 1
    counts = stored_host.call("list").stderr
    assert "1 tokens are not keyed under the newest pepper" in counts
    peppered(stored_host, "two")
    assert [status(text) for text in (plain, keyed, unused)] == [200, 200, 401]
    assert "1 tokens are keyed under a pepper that is not configured" in stored_host.call("list").stderr
    peppered(stored_host)
    assert [status(text) for text in (plain, keyed, unused)] == [401, 401, 401]
    assert "3 tokens are keyed under a pepper that is not configured" in stored_host.call("list").stderr
    peppered(stored_host, "two", "one")
    assert [status(text) for text in (plain, keyed, unused)] == [200, 200, 200]


@pytest.mark.case("G06")
def test_a_row_that_claims_another_scheme_is_never_accepted(stored_host: Host) -> None:
    made = stored_host.generate()
    with stored_host.app.app_context():
        table = stored_host.access_tokens.model.__table__
        with stored_host.db.engine.begin() as connection:
            connection.execute(sa.update(table).values(scheme=secret.schemes(["gone"])[0]))
    assert stored_host.client().get("/api", headers=bearer(made.secret)).status_code == 401


@pytest.mark.case("F14", "G07")
def test_rows_of_the_first_release_verify_in_every_later_one(stored_host: Host) -> None:
    peppered(stored_host, *dict.fromkeys(row["pepper"] for row in OLD_ROWS if row["pepper"]))
    stored_host.app.config["ACCESS_TOKENS_PREFIX"] = list(dict.fromkeys(row["prefix"] for row in OLD_ROWS))
    with stored_host.app.app_context():
        model, session = stored_host.access_tokens.model, stored_host.db.session
        for row in OLD_ROWS:
            kept = {key: value for key, value in row.items() if key not in ("secret", "prefix", "pepper", "status")}
            for time in ("created_at", "expires_at", "last_used_at"):
                kept[time] = kept[time] and datetime.fromisoformat(kept[time])
            session.add(model(**kept | {"id": uuid.UUID(kept["id"])}))
        session.commit()
    client = stored_host.client()
    for row in OLD_ROWS:
        for _ in range(2):
            answer = client.get("/api", headers=bearer(row["secret"]))
            assert answer.status_code == row["status"], row["name"]
            if row["status"] == 200:
                assert answer.get_json() == {"owner": row["owner_id"], "scopes": row["scopes"].split()}


# The page's list


def test_a_page_holds_one_owner_s_tokens_only(stored_host: Host) -> None:
    for number in range(3):
        stored_host.generate("ann", f"Laptop {number}")
    stored_host.generate("bob", "Laptop of Bob")
    with stored_host.app.app_context():
        for number in (-1, 0, 1, 2, 10**9):
            page = tokens.page("bob", number=number, search="laptop", size=2)
            assert [token.name for token in page.tokens] == ["Laptop of Bob"]
        page = tokens.page("ann", number=2, size=2, sort="name")
        assert ([token.name for token in page.tokens], page.pages, page.matching) == (["Laptop 2"], 2, 3)


def in_every_state(host: Host, clock: Clock) -> None:
    """Tokens of Ann's at the borders of every status, and one of each for Bob."""
    today = clock.moment

    def made(name: str, lifetime_days: int, **ago: float) -> str:
        clock.moment = today - timedelta(**ago)
        host.generate("bob", "of Bob", lifetime_days=lifetime_days)
        return host.generate("ann", name, lifetime_days=lifetime_days).secret

    made("gone", 10, days=10)
    made("Edge", 10, days=10, microseconds=-1)
    soon = made("soon", 20, days=5)
    made("later", 20, days=5, microseconds=-1)
    forever = made("Never", -1, days=1)
    for hours, text in ((3, soon), (2, forever)):
        clock.moment = today - timedelta(hours=hours)
        assert host.client().get("/api", headers=bearer(text)).status_code == 200
    clock.moment = today


@pytest.mark.parametrize(
    ("sort", "names"),
    [
        ("", ["Never", "later", "soon", "Edge", "gone"]),
        ("nonsense", ["Never", "later", "soon", "Edge", "gone"]),
        ("-nonsense", ["Never", "later", "soon", "Edge", "gone"]),
        ("created", ["Edge", "soon", "later", "Never", "gone"]),
        ("-created", ["Never", "later", "soon", "Edge", "gone"]),
        ("name", ["Edge", "later", "Never", "soon", "gone"]),
        ("-name", ["soon", "Never", "later", "Edge", "gone"]),
        ("expires", ["Edge", "soon", "later", "Never", "gone"]),
        ("-expires", ["Never", "later", "soon", "Edge", "gone"]),
        ("used", ["Edge", "later", "soon", "Never", "gone"]),
        ("-used", ["Never", "soon", "Edge", "later", "gone"]),
    ],
)
def test_live_tokens_stand_before_expired_ones_in_the_order_that_is_asked_for(
    stored_host: Host, clock: Clock, sort: str, names: list[str]
) -> None:
    in_every_state(stored_host, clock)
    with stored_host.app.app_context():
        found = [token.name for token in tokens.page("ann", sort=sort).tokens]
    unused = [name for name in found if name in ("Edge", "later")]
    if sort.endswith("used"):  # neither was used: their ids decide, and those are random
        names = [unused.pop(0) if name in ("Edge", "later") else name for name in names]
    assert found == names


@pytest.mark.parametrize(
    ("status", "names"),
    [
        ("", {"gone", "Edge", "soon", "later", "Never"}),
        ("odd", {"gone", "Edge", "soon", "later", "Never"}),
        ("active", {"later", "Never"}),
        ("expiring", {"Edge", "soon"}),
        ("expired", {"gone"}),
        ("unused", {"gone", "Edge", "later"}),
    ],
)
def test_a_status_filters_one_owner_s_tokens_and_all_are_counted(
    stored_host: Host, clock: Clock, status: str, names: set[str]
) -> None:
    in_every_state(stored_host, clock)
    with stored_host.app.app_context():
        page = tokens.page("ann", status=status)
        assert {token.name for token in page.tokens} == names
        assert {token.owner_id for token in page.tokens} == {"ann"}
        assert page.counts == {"all": 5, "active": 2, "expiring": 2, "expired": 1, "unused": 3}
        for size in (1, 2):
            few = tokens.page("ann", status=status, size=size, number=10**9)
            assert (few.matching, few.pages, few.number) == (len(names), -(-len(names) // size), few.pages)
            assert few.tokens == [] or few.tokens[-1].id == page.tokens[-1].id
        if status in ("active", "expiring", "expired"):
            assert {token.status for token in page.tokens} == {status}


def test_a_page_starts_with_the_first_and_holds_25(host: Host) -> None:
    for number in range(26):
        host.generate("ann", f"robot {number}")
    with host.app.app_context():
        page = tokens.page("ann")
    assert (len(page.tokens), page.number, page.pages, page.matching) == (25, 1, 2, 26)


# Signals and canaries


def test_whoever_hears_of_a_new_token_sees_no_secret(host: Host) -> None:
    heard: list[str] = []
    with token_generated.connected_to(lambda sender, token: heard.append(repr(token)), host.app):
        made = host.generate()
    assert len(heard) == 1
    assert made.secret[4:16] not in heard[0]
    assert made.secret[4:16] not in repr(made)
    assert secret.candidate_digests(made.secret, ())["sha256"] not in repr(made.token)


def test_the_verbs_outside_an_application_that_was_set_up_say_what_to_do() -> None:
    with Flask("bare").app_context(), pytest.raises(RuntimeError, match="init_app"):
        tokens.owned_by("ann")


def test_a_text_is_told_from_other_credentials_by_its_form_alone(host: Host) -> None:
    made = host.generate().secret
    host.app.config["ACCESS_TOKENS_PREFIX"] = ["new", "pat"]
    with host.app.app_context(), host.statements() as seen:
        for text in (made, str(secret.generate("new")), str(secret.generate("pat"))):
            assert tokens.is_well_formed(text) is True
        others = (
            "",
            "x",
            made[:-1],
            f"{made} ",
            made.swapcase(),
            str(secret.generate("gh")),
            "eyJhbGciOi.eyJzdWIi.c2ln",
        )
        for other in (*others, None, 7, made.encode()):
            assert tokens.is_well_formed(other) is False  # type: ignore[arg-type]
    assert seen == []
