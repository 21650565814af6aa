"""Connections: which one is used, and that the host's transaction is left alone."""

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pymysql
import pytest
import sqlalchemy as sa
from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from flask_sqlalchemy.session import Session as HostSession
from sqlalchemy.exc import OperationalError, SQLAlchemyError
from sqlalchemy.orm import sessionmaker
from sqlalchemy.pool import Pool, SingletonThreadPool, StaticPool

from databases import close_connections
from flask_access_tokens import (
    AccessTokens,
    current_token,
    token_required,
    tokens,
)
from flask_access_tokens.store.connections import error_summary
from host import Host, bearer, stop_thread
from load import wait_until
from things import counted, with_things


def test_the_check_leaves_the_scope_of_the_host_s_session_empty(stored_host: Host) -> None:
    header = bearer(stored_host.generate().secret)

    @stored_host.app.get("/scope")
    @token_required
    def scope() -> list[bool]:
        return [stored_host.db.session.registry.has()]

    assert stored_host.client().get("/scope", headers=header).get_json() == [False]


def test_a_session_factory_that_is_reconfigured_is_asked_again_for_its_engine(
    make_host: Callable[..., Host], tmp_path: Path
) -> None:
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
def test_the_check_and_the_operations_use_the_primary_even_where_a_session_reads_from_a_replica(
    tmp_path: Path,
) -> None:
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
        wait_until(lambda: tokens.owned_by("ann")[0].last_used_at is not None)
        stop_thread(app)
        assert tokens.delete("ann", made.token.id)
        assert app.test_client().get("/api", headers=bearer(made.secret)).status_code == 401
        db.session.remove()
        db.engine.dispose()
    with replica.connect() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM access_tokens").scalar() == 0
    replica.dispose()


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
def test_a_last_used_update_commits_nothing_of_a_session_that_outlives_the_request(
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


@pytest.mark.parametrize(
    ("error", "summary"),
    [
        (OperationalError("SELECT 1", {}, ValueError("gone away\nand more")), "ValueError: gone away"),
        (OperationalError("SELECT 1", {}, ValueError("  \n")), "ValueError"),
        (OperationalError("SELECT 1", {}, ValueError()), "ValueError"),
        (SQLAlchemyError("SELECT secrets"), "SQLAlchemyError"),
    ],
)
def test_the_log_of_a_store_error_has_only_the_driver_s_first_line(error: Exception, summary: str) -> None:
    assert error_summary(error) == summary


REFUSE = {
    "postgresql": [
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS"
        " $$BEGIN RAISE EXCEPTION 'refused: % %', NEW.owner_id, NEW.digest; END$$",
        "CREATE TRIGGER refuse BEFORE INSERT ON access_tokens FOR EACH ROW EXECUTE FUNCTION refuse()",
    ],
    "mariadb": [
        "CREATE TRIGGER refuse BEFORE INSERT ON access_tokens FOR EACH ROW"
        " BEGIN DECLARE reason TEXT DEFAULT CONCAT('refused: ', NEW.owner_id, ' ', NEW.digest);"
        " SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = reason; END",
    ],
}


@pytest.mark.parametrize("kind", REFUSE)
def test_no_digest_and_no_owner_id_of_a_failed_statement_is_logged_or_raised(
    make_host: Callable[..., Host], server_database: Callable[..., str], caplog: pytest.LogCaptureFixture, kind: str
) -> None:
    host = make_host(server_database(kind, "refusing"))
    with host.app.app_context():
        for statement in REFUSE[kind]:
            host.db.session.execute(sa.text(statement.replace(":", "\\:")))
        host.db.session.commit()
    caplog.set_level("DEBUG")
    answer = host.client("ann@example.org").post("/access-tokens/new", data={"name": "phone", "lifetime_days": "1"})
    assert answer.status_code == 503
    assert "refused: … …" in caplog.text
    assert "ann@example.org" not in caplog.text
    with pytest.raises(SQLAlchemyError) as error:
        host.generate("ann@example.org")
    assert "parameters hidden" in str(error.value)


@pytest.mark.parametrize("kind", ["postgresql", "mariadb"])
def test_the_pool_logs_no_digest_and_no_owner_id_when_its_connections_break(
    make_host: Callable[..., Host], server_database: Callable[[str], str], caplog: pytest.LogCaptureFixture, kind: str
) -> None:
    host = make_host(server_database(kind), SQLALCHEMY_ENGINE_OPTIONS={"pool_size": 1})
    made, client = host.generate("ann@example.org"), host.client("ann@example.org")
    (row,) = host.rows()
    with host.app.app_context():
        engine = host.db.engine
    caplog.set_level("DEBUG", engine.pool.logger.name)
    for ask in (
        lambda: client.get("/api", headers=bearer(made.secret)),
        lambda: client.get("/access-tokens/"),
        lambda: client.post("/access-tokens/new", data={"name": "phone", "lifetime_days": "1"}),
    ):
        close_connections(engine)
        ask()
    assert "nvalidate connection" in caplog.text
    assert row["digest"] not in caplog.text
    assert "ann@example.org" not in caplog.text


def test_a_connection_whose_rollback_fails_is_not_kept_from_the_pool(
    make_host: Callable[..., Host], server_database: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a Galera node that was cut off from the others, which refuses every statement, ROLLBACK included."""
    host = make_host(server_database("mariadb"))
    made, client = host.generate(), host.client("ann")
    with host.app.app_context():
        engine = host.db.engine

    def refuse(connection: Any, *_: Any) -> None:
        raise pymysql.err.OperationalError(1047, "WSREP has not yet prepared node for application use")

    gc.disable()
    try:
        for statement in ("SELECT", "DELETE", "INSERT"):
            with monkeypatch.context() as refusing, refuse_statements(engine, statement):
                refusing.setattr(engine.dialect, "do_rollback", refuse)
                for ask in (
                    lambda: client.get("/api", headers=bearer(made.secret)),
                    lambda: client.get("/access-tokens/"),
                    lambda: client.post("/access-tokens/new", data={"name": "phone", "lifetime_days": "1"}),
                    lambda: client.post(f"/access-tokens/{made.token.id}/delete"),
                ):
                    assert ask().status_code in (200, 303, 503)
                    assert engine.pool.checkedout() == 0  # type: ignore[attr-defined]
    finally:
        gc.enable()
    assert client.get("/access-tokens/").status_code == 200


@contextmanager
def refuse_statements(engine: sa.Engine, kind: str) -> Iterator[None]:
    """Let each statement of a kind fail."""

    def refuse(connection: Any, cursor: Any, statement: str, parameters: Any, *_: Any) -> tuple[str, Any]:
        return ("SELECT nothing FROM nowhere", ()) if statement.startswith(kind) else (statement, parameters)

    sa.event.listen(engine, "before_cursor_execute", refuse, retval=True)
    try:
        yield
    finally:
        sa.event.remove(engine, "before_cursor_execute", refuse)
