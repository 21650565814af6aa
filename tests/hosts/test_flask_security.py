"""A host with Flask-Security: its users, its sessions, its password change, its roles and its own tokens."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from flask import Flask, jsonify
from flask_security import (
    Security,
    SQLAlchemyUserDatastore,
    auth_required,
    current_user,
    hash_password,
    roles_required,
)
from flask_security.changeable import admin_change_password
from flask_security.models import fsqla_v3 as fsqla
from flask_sqlalchemy import SQLAlchemy

from flask_access_tokens import AccessTokens, current_token, token_required, tokens
from host import bearer
from pages import NEW, PAGE, token_fields
from sound import found
from visits import CONFIG, generate_on_page, names_on_page, owned, running, warnings_about_owner

SECURITY = {
    "SECURITY_PASSWORD_SALT": "a salt for tests",
    "SECURITY_PASSWORD_HASH": "plaintext",
    "SECURITY_HASHING_SCHEMES": ["hex_md5"],
    "SECURITY_DEPRECATED_HASHING_SCHEMES": [],
    "SECURITY_CHANGEABLE": True,
    "SECURITY_SEND_PASSWORD_CHANGE_EMAIL": False,
    "WTF_CSRF_ENABLED": False,
}
PASSWORD = "correct horse"


def create_app(with_owner: bool = True) -> Flask:
    app = Flask("host")
    app.config.update(CONFIG, **SECURITY)
    db = SQLAlchemy(app)
    fsqla.FsModels.set_db_info(db)

    class Role(db.Model, fsqla.FsRoleMixin):  # type: ignore[name-defined,misc]
        pass

    class User(db.Model, fsqla.FsUserMixin):  # type: ignore[name-defined,misc]
        pass

    app.security = Security(app, SQLAlchemyUserDatastore(db, User, Role))  # type: ignore[attr-defined]
    app.access_tokens = AccessTokens(app, db, **({"owner": User.id} if with_owner else {}))  # type: ignore[attr-defined]

    @app.get("/me")
    @token_required
    def me() -> Any:
        return jsonify(token=current_token.owner_id, user=current_user.email)

    @app.get("/admin")
    @token_required
    @roles_required("admin")
    def admin() -> Any:
        return jsonify(user=current_user.email)

    @app.get("/home")
    @auth_required("session")
    def home() -> Any:
        return jsonify(user=current_user.email)

    return app


def add_people(app: Flask) -> Flask:
    """Add Ann, and Bob the admin."""
    with app.app_context():
        store = app.security.datastore  # type: ignore[attr-defined]
        for name, roles in (("ann", []), ("bob", [store.find_or_create_role("admin")])):
            store.create_user(email=f"{name}@example.com", password=hash_password(PASSWORD), roles=roles)
        store.commit()
    return app


@pytest.fixture
def app() -> Iterator[Flask]:
    with running(create_app()) as app:
        yield add_people(app)


@pytest.fixture
def unconfigured() -> Iterator[Flask]:
    """The same host without ``owner=``."""
    with running(create_app(with_owner=False)) as app:
        yield add_people(app)


def log_in(app: Flask, name: str, password: str = PASSWORD) -> Any:
    """A test client that Flask-Security's own form has signed in."""
    client = app.test_client()
    answer = client.post("/login", data={"email": f"{name}@example.com", "password": password})
    assert answer.status_code in (302, 303), answer.text
    return client


def auth_token(app: Flask, name: str) -> str:
    """A token of Flask-Security's own, as its login returns it."""
    credentials = {"email": f"{name}@example.com", "password": PASSWORD}
    answer = app.test_client().post("/login?include_auth_token", json=credentials)
    return str(answer.get_json()["response"]["user"]["authentication_token"])


def user_id(app: Flask, name: str) -> int:
    with app.app_context():
        return int(app.security.datastore.find_user(email=f"{name}@example.com").id)  # type: ignore[attr-defined]


def test_a_token_from_the_page_acts_for_the_user_who_generated_it(app: Flask) -> None:
    secret = generate_on_page(log_in(app, "ann"))
    answer = app.test_client().get("/me", headers=bearer(secret))
    assert answer.get_json() == {"token": str(user_id(app, "ann")), "user": "ann@example.com"}
    assert owned(app, user_id(app, "ann")) == ["laptop"]


def test_the_page_asks_a_visitor_to_sign_in(app: Flask) -> None:
    assert app.test_client().get(PAGE).location.startswith("/login?next=")


@pytest.mark.parametrize("by", ["the user", "an operator"])
def test_a_token_outlives_a_change_of_the_password(app: Flask, by: str) -> None:
    client = log_in(app, "ann")
    secret = generate_on_page(client)
    if by == "the user":
        form = {"password": PASSWORD, "new_password": "new " + PASSWORD, "new_password_confirm": "new " + PASSWORD}
        assert client.post("/change", data=form).status_code in (302, 303)
    else:
        with app.app_context():
            store = app.security.datastore  # type: ignore[attr-defined]
            admin_change_password(store.find_user(email="ann@example.com"), "new " + PASSWORD, notify=False)
            store.commit()
        assert client.get(PAGE).status_code in (302, 303)  # the session has ended
    assert app.test_client().get("/me", headers=bearer(secret)).status_code == 200
    assert names_on_page(log_in(app, "ann", "new " + PASSWORD)) == ["laptop"]


@pytest.mark.parametrize("session", [None, "ann", "bob"])
def test_a_role_lets_in_the_token_of_an_admin_and_no_other_whatever_the_session_says(
    app: Flask, session: str | None
) -> None:
    anns, bobs = (generate_on_page(log_in(app, name)) for name in ("ann", "bob"))
    client = log_in(app, session) if session else app.test_client()
    assert client.get("/admin", headers=bearer(bobs)).get_json() == {"user": "bob@example.com"}
    assert client.get("/admin", headers=bearer(anns)).status_code == 403
    assert client.get("/admin").status_code == 401


def test_the_role_of_the_session_is_back_with_the_next_request(app: Flask) -> None:
    anns, client = generate_on_page(log_in(app, "ann")), log_in(app, "bob")
    assert client.get("/me", headers=bearer(anns)).get_json()["user"] == "ann@example.com"
    assert client.get("/home").get_json() == {"user": "bob@example.com"}


def test_a_token_opens_no_view_of_flask_security(app: Flask) -> None:
    secret = generate_on_page(log_in(app, "ann"))
    headers = {**bearer(secret), "Accept": "application/json"}
    assert app.test_client().get("/home", headers=headers).status_code == 401
    assert app.test_client().get("/change", headers=headers).status_code == 401


def no_loader() -> None:
    raise AssertionError("not set")


def loader_of_the_id() -> Any:
    return current_user.id if current_user.is_authenticated else None


def loader_of_the_user() -> Any:
    return current_user if current_user.is_authenticated else None


def set_loader(app: Flask, load: Callable[[], Any]) -> None:
    if load is not no_loader:
        app.access_tokens.identity_loader(load)  # type: ignore[attr-defined]


LOADERS = [no_loader, loader_of_the_id, loader_of_the_user]


@pytest.mark.parametrize("load", LOADERS)
def test_an_auth_token_of_flask_security_never_opens_the_page(app: Flask, load: Callable[[], Any]) -> None:
    set_loader(app, load)
    token = auth_token(app, "ann")
    headers = {"Authentication-Token": token}
    assert app.test_client().get(PAGE).status_code != 200
    for client in (app.test_client(), with_ended_session(app)):
        for path in (PAGE, NEW):
            assert client.get(f"{path}?auth_token={token}").status_code != 200
            assert client.get(path, headers=headers).status_code != 200
        assert client.post(f"{NEW}?auth_token={token}", data=token_fields("stolen")).status_code != 200
        assert client.post(NEW, data=token_fields("stolen"), headers=headers).status_code != 200
        assert client.post(NEW, json={**token_fields("stolen"), "auth_token": token}).status_code != 200
    assert owned(app, user_id(app, "ann")) == []


def with_ended_session(app: Flask) -> Any:
    """A client with a session cookie that its owner's change of password has ended."""
    client = app.test_client()
    with client.session_transaction() as session:
        session["_user_id"] = "0" * 32
    return client


@pytest.mark.parametrize("load", LOADERS)
def test_a_loader_that_reads_current_user_opens_the_page_to_the_session(app: Flask, load: Callable[[], Any]) -> None:
    set_loader(app, load)
    client = log_in(app, "ann")
    generate_on_page(client)
    assert names_on_page(client) == ["laptop"]
    assert owned(app, user_id(app, "ann")) == ["laptop"]


def test_an_auth_token_beside_a_session_shows_the_tokens_of_the_session(app: Flask) -> None:
    generate_on_page(log_in(app, "ann"))
    assert names_on_page(log_in(app, "bob")) == []
    assert "laptop" not in log_in(app, "bob").get(f"{PAGE}?auth_token={auth_token(app, 'ann')}").text


def test_the_token_of_a_deactivated_user_is_refused_until_they_are_active_again(app: Flask) -> None:
    secret = generate_on_page(log_in(app, "ann"))
    for act, status in (("deactivate_user", 401), ("activate_user", 200)):
        with app.app_context():
            store = app.security.datastore  # type: ignore[attr-defined]
            getattr(store, act)(store.find_user(email="ann@example.com"))
            store.commit()
        assert app.test_client().get("/me", headers=bearer(secret)).status_code == status


def test_the_tokens_of_a_user_whom_flask_security_deletes_are_gone(app: Flask) -> None:
    secret = generate_on_page(log_in(app, "ann"))
    with app.app_context():
        store = app.security.datastore  # type: ignore[attr-defined]
        store.delete_user(store.find_user(email="ann@example.com"))
        store.commit()
        assert tokens.find(secret) is None
    assert app.test_client().get("/me", headers=bearer(secret)).status_code == 401


def test_a_warning_names_owner_where_the_ids_change_with_the_password(
    unconfigured: Flask, caplog: pytest.LogCaptureFixture
) -> None:
    client = log_in(unconfigured, "ann")
    for _ in range(2):
        client.get(PAGE)
    assert len(warnings_about_owner(caplog)) == 1


def test_there_is_no_warning_where_owner_is_given(app: Flask, caplog: pytest.LogCaptureFixture) -> None:
    client = log_in(app, "ann")
    app.test_client().get("/me", headers=bearer(generate_on_page(client)))
    assert warnings_about_owner(caplog) == []


def test_the_doctor_finds_that_tokens_belong_to_what_changes_with_the_password(
    unconfigured: Flask, app: Flask
) -> None:
    for host, finds in ((unconfigured, True), (app, False)):
        generate_on_page(log_in(host, "ann"))
        assert ("session-id" in found(host)) == finds
