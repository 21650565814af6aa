"""The last-used update in test suites of hosts: outer contexts, sessions bound to one connection."""

import sqlalchemy as sa
from sqlalchemy.orm import sessionmaker

from flask_access_tokens import (
    token_required,
    tokens,
)
from host import Host, bearer
from uses import last_uses


def test_last_used_updates_are_written_while_an_outer_context_stays_open(stored_host: Host) -> None:
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


def test_a_use_that_is_checked_in_the_session_of_a_hook_is_recorded_as_well(stored_host: Host) -> None:
    stored_host.app.before_request(lambda: stored_host.db.session.execute(sa.text("SELECT 1")) and None)
    made = stored_host.generate()
    assert stored_host.client().get("/api", headers=bearer(made.secret)).status_code == 200
    assert stored_host.rows()[0]["last_used_at"] is not None


def test_last_used_updates_are_written_after_a_client_s_block(host: Host) -> None:
    made = host.generate()
    with host.client() as client:
        client.get("/api", headers=bearer(made.secret))
    assert host.rows()[0]["last_used_at"] is not None


def test_a_suite_whose_session_is_bound_to_one_connection_sees_what_it_did_not_commit(stored_host: Host) -> None:
    """Many suites roll everything back this way: one connection with one outer transaction."""
    with stored_host.app.app_context():
        if stored_host.db.engine.dialect.name == "sqlite":
            # sqlite3 does not begin a transaction by itself, so SQLAlchemy has to.
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


def test_a_suite_whose_session_is_bound_to_one_idle_connection_keeps_its_last_used_updates(stored_host: Host) -> None:
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
