"""Hosts that begin transactions themselves: the check and the operations never begin one in their place."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask, session
from flask_sqlalchemy import SQLAlchemy
from flask_sqlalchemy.session import Session as BaseSession
from sqlalchemy.orm import with_loader_criteria

from applications import application
from flask_access_tokens import AccessTokenMixin, AccessTokens, token_required, tokens
from flask_access_tokens.tokens import NewToken
from host import Host, bearer
from pages import NEW, PAGE, delete_path, shown_names, token_fields
from things import counted, with_things


@pytest.mark.parametrize("uses", ["the token", "an operation"])
def test_a_guarded_view_may_begin_a_transaction(stored_host: Host, uses: str) -> None:
    thing, db = with_things(stored_host), stored_host.db
    header = bearer(stored_host.generate().secret)

    @stored_host.app.post("/begin")
    @token_required
    def begin() -> str:
        if uses == "an operation":
            tokens.owned_by("ann")
        with db.session.begin():
            db.session.add(thing(name="new"))
        return "added"

    for number in (1, 2):
        assert stored_host.client().post("/begin", headers=header).status_code == 200
        assert counted(stored_host, thing) == number
    assert stored_host.rows()[0]["last_used_at"] is not None


def test_a_guarded_view_may_choose_the_isolation_level_of_its_transaction(stored_host: Host) -> None:
    db = stored_host.db
    header = bearer(stored_host.generate().secret)

    @stored_host.app.get("/level")
    @token_required
    def level() -> str:
        options = {"isolation_level": "SERIALIZABLE"}
        return str(db.session.connection(execution_options=options).get_isolation_level())

    for _ in range(2):
        assert stored_host.client().get("/level", headers=header).text == "SERIALIZABLE"
    assert stored_host.rows()[0]["last_used_at"] is not None


@pytest.fixture
def explicit_host(make_host: Callable[..., Host], database_url: str) -> Iterator[Flask]:
    """A host whose sessions begin no transaction unless they are told to."""
    app = application(WTF_CSRF_ENABLED=False, ACCESS_TOKENS_LAST_USED_INTERVAL=0)
    app.config["SQLALCHEMY_DATABASE_URI"] = database_url
    db = SQLAlchemy(app, session_options={"autobegin": False})
    access_tokens = AccessTokens(app, db)
    access_tokens.identity_loader(lambda: session.get("person"))
    model = access_tokens.model

    @app.get("/sign-in")
    def sign_in() -> str:
        session["person"] = "ann"
        return "signed in"

    def uses() -> dict[str, bool]:
        with db.session.begin():
            return {token.name: token.last_used_at is not None for token in db.session.scalars(sa.select(model))}

    app.get("/uses")(uses)
    app.get("/guarded-uses", endpoint="guarded_uses")(token_required(uses))
    with app.app_context():
        db.create_all()
    yield app
    with app.app_context():
        db.engine.dispose()


@pytest.fixture
def stored(explicit_host: Flask, make_host: Callable[..., Host], database_url: str) -> NewToken:
    """A token that another application has stored in the same database."""
    return make_host(database_url).generate("ann", "t-laptop")


def test_a_token_is_checked_where_sessions_begin_no_transaction_by_themselves(
    explicit_host: Flask, stored: NewToken
) -> None:
    client = explicit_host.test_client()
    assert client.get("/uses").get_json() == {"t-laptop": False}
    answer = client.get("/guarded-uses", headers=bearer(stored.secret))
    assert (answer.status_code, answer.get_json()) == (200, {"t-laptop": True})
    assert client.get("/uses").get_json() == {"t-laptop": True}


def test_the_operations_work_where_sessions_begin_no_transaction_by_themselves(
    explicit_host: Flask, stored: NewToken
) -> None:
    client = explicit_host.test_client()
    assert client.get("/uses").get_json() == {"t-laptop": False}
    with explicit_host.app_context():
        assert tokens.find(stored.secret) is not None
        assert [token.name for token in tokens.owned_by("ann")] == ["t-laptop"]
        assert tokens.page("ann").matching == 1
        new = tokens.generate("ann", "t-new")
        assert tokens.delete("ann", stored.token.id) is True
        assert client.get("/uses").get_json() == {"t-new": False}
        assert tokens.get("ann", new.token.id) is not None
        assert tokens.delete_all("ann") == 1
    assert client.get("/uses").get_json() == {}


def test_the_page_works_where_sessions_begin_no_transaction_by_themselves(
    explicit_host: Flask, stored: NewToken
) -> None:
    client = explicit_host.test_client()
    client.get("/sign-in")
    assert client.get("/uses").get_json() == {"t-laptop": False}
    assert shown_names(client.get(PAGE)) == ["t-laptop"]
    assert client.post(NEW, data=token_fields("t-new")).status_code == 200
    assert client.get("/uses").get_json() == {"t-laptop": False, "t-new": False}
    assert client.post(delete_path(stored.token)).status_code == 303
    assert client.get("/uses").get_json() == {"t-new": False}


def test_an_operation_joins_a_transaction_that_the_host_has_begun(explicit_host: Flask, stored: NewToken) -> None:
    db = explicit_host.extensions["sqlalchemy"]
    with explicit_host.app_context():
        with db.session.begin():
            assert [token.name for token in tokens.owned_by("ann")] == ["t-laptop"]
            assert db.session().in_transaction()
        db.session.begin()
        assert tokens.delete("ann", stored.token.id) is True
    assert explicit_host.test_client().get("/uses").get_json() == {}


def test_the_check_flushes_no_object_that_the_host_has_not_completed(stored_host: Host) -> None:
    thing = with_things(stored_host)
    sa.event.listen(stored_host.db.session, "do_orm_execute", lambda _: None)
    # Its name is longer than the column, or its id is no number: a flush fails on every database.
    stored_host.app.before_request(lambda: stored_host.db.session.add(thing(id="not a number")))
    header = bearer(stored_host.generate().secret)
    assert stored_host.client().get("/api", headers=header).status_code == 200


def test_criteria_that_a_session_class_adds_to_what_it_executes_apply_to_the_check() -> None:
    class FilteredSession(BaseSession):
        def execute(self, statement: Any, *arguments: Any, **options: Any) -> Any:
            hidden = with_loader_criteria(ApiToken, ApiToken.name != "hidden")
            return super().execute(statement.options(hidden), *arguments, **options)

    app = Flask("host")
    app.config.update(TESTING=True, SECRET_KEY="a key for tests", SQLALCHEMY_DATABASE_URI="sqlite://")
    db = SQLAlchemy(app, session_options={"class_": FilteredSession})

    class ApiToken(AccessTokenMixin, db.Model):
        __tablename__ = "api_tokens"

    AccessTokens(app, db, model=ApiToken)
    app.get("/api")(token_required(lambda: "in"))
    with app.app_context():
        db.create_all()
        headers = [bearer(tokens.generate("ann", name).secret) for name in ("shown", "hidden")]
        db.session.remove()
    assert [app.test_client().get("/api", headers=header).status_code for header in headers] == [200, 401]
    with app.app_context():
        db.engine.dispose()
