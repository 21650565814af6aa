"""A host with Flask-Login whose user ids change with the e-mail address and the password, as in Redash."""

import hashlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask, jsonify
from flask_login import LoginManager, UserMixin, current_user, login_required, login_user
from flask_sqlalchemy import SQLAlchemy

from flask_access_tokens import AccessTokens, current_token, token_required, tokens
from host import bearer
from pages import PAGE
from visits import CONFIG, command, generate_on_page, names_on_page, running, warnings_about_owner


def create_app(url: str = "sqlite://", with_owner: bool = True) -> Flask:
    app = Flask("host")
    app.config.update(CONFIG, SQLALCHEMY_DATABASE_URI=url, WTF_CSRF_ENABLED=False)
    db = SQLAlchemy(app)
    login_manager = LoginManager(app)

    class User(UserMixin, db.Model):  # type: ignore[name-defined,misc]
        __tablename__ = "users"
        id = db.Column(db.Integer, primary_key=True)
        email = db.Column(db.String(100), nullable=False)
        password_hash = db.Column(db.String(100), nullable=False, default="old")

        def get_id(self) -> str:
            return f"{self.id}-{hashlib.md5(f'{self.email},{self.password_hash}'.encode()).hexdigest()}"

    class Note(db.Model):  # type: ignore[name-defined,misc]
        __tablename__ = "notes"
        id = db.Column(db.Integer, primary_key=True)
        author_id = db.Column(db.ForeignKey(User.id))
        author = db.relationship(User, backref="notes")

    @login_manager.user_loader
    def load_user(session_id: str) -> Any:
        user = db.session.get(User, int(session_id.partition("-")[0]))
        return user if user and user.get_id() == session_id else None

    app.models = User, Note  # type: ignore[attr-defined]
    AccessTokens(app, db, **({"owner": User.id} if with_owner else {}))

    @app.get("/log-in/<name>")
    def log_in(name: str) -> str:
        login_user(db.session.execute(db.select(User).filter_by(email=name)).scalar_one())
        return name

    @app.get("/me")
    @token_required
    @login_required
    def me() -> Any:
        return jsonify(token=current_token.owner_id, user=current_user.id, email=current_user.email)

    @app.post("/notes")
    @token_required
    def write() -> Any:
        note = Note(author=current_user._get_current_object())
        db.session.add(note)
        db.session.commit()
        return jsonify(author=note.author_id, notes=len(current_user.notes), same=current_token.owner is note.author)

    @app.get("/home")
    @login_required
    def home() -> str:
        return str(current_user.email)

    return app


@pytest.fixture
def app() -> Iterator[Flask]:
    with running(create_app()) as app:
        add(app, "ann", "bob")
        yield app


@pytest.fixture
def stored_app(database_url: str) -> Iterator[Flask]:
    """The host on each of the three databases."""
    app = create_app(database_url)
    with app.app_context():
        app.extensions["sqlalchemy"].drop_all()  # another host may have left a table with other columns
    with running(app):
        add(app, "ann", "bob")
        yield app


def add(app: Flask, *names: str) -> list[int]:
    """Add users and return their ids."""
    User, _ = app.models  # type: ignore[attr-defined]  # noqa: N806
    session = app.extensions["sqlalchemy"].session
    with app.app_context():
        users = [User(email=name) for name in names]
        session.add_all(users)
        session.commit()
        return [user.id for user in users]


def change(app: Flask, name: str, **values: Any) -> None:
    User, _ = app.models  # type: ignore[attr-defined]  # noqa: N806
    with app.app_context():
        session = app.extensions["sqlalchemy"].session
        session.execute(sa.update(User).filter_by(email=name).values(**values))
        session.commit()


def logged_in(app: Flask, name: str) -> Any:
    client = app.test_client()
    assert client.get(f"/log-in/{name}").text == name
    return client


def generated(app: Flask, name: str) -> str:
    return generate_on_page(logged_in(app, name))


def email_under(app: Flask, secret: str, client: Any = None) -> str | None:
    """Whose token it is, or None where it is refused."""
    answer = (client or app.test_client()).get("/me", headers=bearer(secret))
    assert answer.status_code in (200, 401)
    return answer.get_json()["email"] if answer.status_code == 200 else None


def test_a_token_acts_for_the_user_and_not_for_their_session_id(stored_app: Flask) -> None:
    answer = stored_app.test_client().get("/me", headers=bearer(generated(stored_app, "ann")))
    assert answer.get_json() == {"token": "1", "user": 1, "email": "ann"}


def test_a_token_outlives_a_change_of_the_password_and_of_the_address(stored_app: Flask) -> None:
    client = logged_in(stored_app, "ann")
    secret = generate_on_page(client)
    change(stored_app, "ann", password_hash="new", email="anna")
    assert email_under(stored_app, secret) == "anna"
    assert client.get(PAGE).status_code == 401  # the session has ended
    assert names_on_page(logged_in(stored_app, "anna")) == ["laptop"]


def test_current_user_is_the_owner_of_the_token_whoever_is_signed_in(app: Flask) -> None:
    secret = generated(app, "ann")
    for client in (app.test_client(), logged_in(app, "ann"), logged_in(app, "bob")):
        assert email_under(app, secret, client) == "ann"


def test_the_session_is_not_changed_by_a_token(app: Flask) -> None:
    secret, client = generated(app, "ann"), logged_in(app, "bob")
    assert "Set-Cookie" not in client.get("/me", headers=bearer(secret)).headers
    assert "Set-Cookie" not in app.test_client().get("/me", headers=bearer(secret)).headers
    assert client.get("/home").text == "bob"


def test_current_user_is_an_object_of_the_hosts_session(stored_app: Flask) -> None:
    secret, client = generated(stored_app, "ann"), logged_in(stored_app, "bob")
    for number, each in enumerate((stored_app.test_client(), client), start=1):
        answer = each.post("/notes", headers=bearer(secret))
        assert answer.get_json() == {"author": 1, "notes": number, "same": True}


def test_login_required_of_flask_login_accepts_the_token_of_the_view_and_no_other(app: Flask) -> None:
    secret = generated(app, "ann")
    assert email_under(app, secret) == "ann"
    assert app.test_client().get("/me").status_code == 401
    assert logged_in(app, "ann").get("/me").status_code == 401
    assert app.test_client().get("/home", headers=bearer(secret)).status_code == 401


def delete_object(session: Any, user: Any, user_id: int) -> None:
    session.delete(session.get(user, user_id))


def delete_in_bulk(session: Any, user: Any, user_id: int) -> None:
    session.execute(sa.delete(user).where(user.id == user_id))


def delete_by_query(session: Any, user: Any, user_id: int) -> None:
    session.query(user).filter_by(id=user_id).delete()


def delete_in_raw_sql(session: Any, user: Any, user_id: int) -> None:
    session.execute(sa.text("DELETE FROM users WHERE id = :id"), {"id": user_id})


DELETIONS = [delete_object, delete_in_bulk, delete_by_query, delete_in_raw_sql]


def delete_user(app: Flask, user_id: int, how: Callable[..., None]) -> None:
    with app.app_context():
        session = app.extensions["sqlalchemy"].session
        how(session, app.models[0], user_id)  # type: ignore[attr-defined]
        session.commit()


@pytest.mark.parametrize("how", DELETIONS)
def test_a_token_is_refused_once_its_owner_is_deleted(stored_app: Flask, how: Callable[..., None]) -> None:
    anns, bobs = generated(stored_app, "ann"), generated(stored_app, "bob")
    delete_user(stored_app, 2, how)
    assert email_under(stored_app, bobs) is None
    assert email_under(stored_app, bobs, logged_in(stored_app, "ann")) is None
    assert email_under(stored_app, anns) == "ann"


def test_the_tokens_of_an_owner_are_deleted_in_the_same_flush(stored_app: Flask) -> None:
    secret = generated(stored_app, "bob")
    with stored_app.app_context():
        session = stored_app.extensions["sqlalchemy"].session
        model = stored_app.extensions["access_tokens"].model
        session.delete(session.get(stored_app.models[0], 2))  # type: ignore[attr-defined]
        session.flush()
        assert session.execute(sa.select(sa.func.count()).select_from(model)).scalar_one() == 0
        session.rollback()
    assert email_under(stored_app, secret) == "bob"  # and come back with them


@pytest.mark.parametrize("how", DELETIONS)
def test_the_next_user_with_the_same_id_does_not_inherit_a_token(app: Flask, how: Callable[..., None]) -> None:
    secret = generated(app, "bob")
    delete_user(app, 2, how)
    assert add(app, "cid") == [2]  # SQLite uses an id again
    assert email_under(app, secret) is None
    assert names_on_page(logged_in(app, "cid")) == []


@pytest.mark.parametrize("how", DELETIONS)
def test_the_tokens_of_deleted_owners_are_found_and_pruned(app: Flask, how: Callable[..., None]) -> None:
    anns, bobs = generated(app, "ann"), generated(app, "bob")
    with app.app_context():
        assert list(tokens.orphans()) == []
        bobs_id = tokens.find(bobs).id  # type: ignore[union-attr]
    delete_user(app, 2, how)
    with app.app_context():
        # Whatever the deletion has left, and nothing else.
        assert {token.id for token in tokens.orphans()} <= {bobs_id}
    command(app, "prune", "--orphans")
    with app.app_context():
        assert list(tokens.orphans()) == []
        assert tokens.find(bobs) is None
    assert email_under(app, anns) == "ann"


def test_a_token_that_raw_sql_left_behind_is_an_orphan(app: Flask) -> None:
    generated(app, "ann")
    secret = generated(app, "bob")
    delete_user(app, 2, delete_in_raw_sql)
    with app.app_context():
        assert [token.owner_id for token in tokens.orphans()] == ["2"]
    assert "--orphans" in command(app, "prune", "--help")
    command(app, "prune")  # without the option they stay
    with app.app_context():
        assert [token.owner_id for token in tokens.orphans()] == ["2"]
    assert email_under(app, secret) is None


def test_a_warning_names_owner_where_get_id_is_not_the_primary_key(caplog: pytest.LogCaptureFixture) -> None:
    with running(create_app(with_owner=False)) as app:
        add(app, "ann")
        client = logged_in(app, "ann")
        for _ in range(2):
            client.get(PAGE)
        assert len(warnings_about_owner(caplog)) == 1


def test_there_is_no_warning_where_owner_is_given(app: Flask, caplog: pytest.LogCaptureFixture) -> None:
    email_under(app, generated(app, "ann"))
    assert warnings_about_owner(caplog) == []
