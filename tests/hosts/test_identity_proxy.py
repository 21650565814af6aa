"""A host behind a proxy that adds a bearer credential of its own to every request, as oauth2-proxy does."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest
from flask import Flask, jsonify
from flask_login import LoginManager, UserMixin, current_user, login_required
from flask_sqlalchemy import SQLAlchemy
from flask_wtf import CSRFProtect

from flask_access_tokens import AccessTokens, current_token, token_required
from markup import Page
from pages import NEW, PAGE, delete_path, token_fields
from refusals import FORGED
from visits import (
    CONFIG,
    FOREIGN,
    add_csrf_view,
    csrf_header,
    generate_on_page,
    names_on_page,
    new_secret,
    owned,
    running,
    sign_in,
)


class IdentityProxy:
    """Put the identity provider's token into every request, in place of any other credential.

    :param path: requests whose path begins so are passed on unchanged.
    """

    def __init__(self, application: Callable[..., Iterable[bytes]], path: str = "/api/") -> None:
        self.application = application
        self.path = path

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        if not environ["PATH_INFO"].startswith(self.path):
            environ["HTTP_AUTHORIZATION"] = FOREIGN["Authorization"]
            environ["HTTP_X_FORWARDED_USER"] = "ann"
        return self.application(environ, start_response)


@pytest.fixture(params=["Flask-Login", "identity loader"])
def app(request: pytest.FixtureRequest) -> Iterator[Flask]:
    app = Flask("host")
    app.config.update(CONFIG)
    app.wsgi_app = IdentityProxy(app.wsgi_app)  # type: ignore[method-assign]
    db = SQLAlchemy(app)
    login_manager = LoginManager(app)
    CSRFProtect(app)

    class User(UserMixin, db.Model):  # type: ignore[name-defined,misc]
        id = db.Column(db.Integer, primary_key=True)
        name = db.Column(db.String(100), nullable=False)

    login_manager.user_loader(lambda user_id: db.session.get(User, int(user_id)))
    access_tokens = AccessTokens(app, db)
    if request.param == "identity loader":
        access_tokens.identity_loader(lambda: current_user.id if current_user.is_authenticated else None)
    app.notes = []  # type: ignore[attr-defined]

    @app.post("/notes")
    @login_required
    def write() -> str:
        app.notes.append(current_user.name)  # type: ignore[attr-defined]
        return "written"

    @app.route("/api/notes", methods=["GET", "POST"])
    @app.route("/behind/notes", methods=["GET", "POST"])
    @token_required
    def notes() -> Any:
        return jsonify(owner=current_token.owner_id)

    @app.post("/behind/optional")
    @token_required(optional=True)
    def optional() -> str:
        app.notes.append("optional")  # type: ignore[attr-defined]
        return "written"

    add_csrf_view(app)
    with running(app):
        with app.app_context():
            db.session.add_all([User(name="ann"), User(name="bob")])
            db.session.commit()
        yield app


def test_the_page_works_for_whoever_is_signed_in(app: Flask) -> None:
    client = sign_in(app, 1)
    generate_on_page(client)
    assert names_on_page(client) == ["laptop"]
    assert names_on_page(sign_in(app, 2)) == []
    assert owned(app, 1) == ["laptop"]


def test_a_token_is_deleted_on_the_page(app: Flask) -> None:
    client = sign_in(app, 1)
    new_secret(app, "1")
    with app.app_context():
        (token,) = app.extensions["access_tokens"].db.session.query(app.extensions["access_tokens"].model)
        path = delete_path(token.id)
    assert client.post(path).status_code != 200
    assert owned(app, 1) == ["laptop"]
    answer = client.post(path, data=Page(client.get(path)).form("/delete").fields)
    assert answer.status_code in (200, 302, 303)
    assert owned(app, 1) == []


def test_the_page_asks_a_visitor_to_sign_in_whom_only_the_proxy_knows(app: Flask) -> None:
    for path in (PAGE, NEW):
        assert app.test_client().get(path).status_code == 401
    assert app.test_client().post(NEW, data=token_fields("stolen")).status_code == 401


def test_the_forms_of_the_page_keep_their_csrf_protection(app: Flask) -> None:
    client = sign_in(app, 1)
    for fields in ({}, {"csrf_token": "forged"}, {"csrf_token": csrf_header(sign_in(app, 2))["X-CSRFToken"]}):
        assert client.post(NEW, data=token_fields("stolen", **fields)).status_code == 400
    assert owned(app, 1) == []


def test_a_view_for_the_session_keeps_its_csrf_protection(app: Flask) -> None:
    client = sign_in(app, 1)
    assert client.post("/notes").status_code == 400
    assert app.notes == []  # type: ignore[attr-defined]
    assert client.post("/notes", headers=csrf_header(client)).text == "written"
    assert app.notes == ["ann"]  # type: ignore[attr-defined]


def test_a_guarded_view_refuses_the_credential_of_the_proxy(app: Flask) -> None:
    client = sign_in(app, 1)
    for headers in ({}, csrf_header(client)):
        assert client.get("/behind/notes", headers=headers).status_code == 401
        assert client.post("/behind/notes", headers=headers).status_code == 401
        assert client.post("/behind/optional", headers=headers).status_code == 401
    assert app.notes == []  # type: ignore[attr-defined]


def test_a_guarded_view_past_the_proxy_accepts_tokens(app: Flask) -> None:
    headers = {"Authorization": f"Bearer {new_secret(app, '1')}"}
    assert app.test_client().post("/api/notes", headers=headers).get_json() == {"owner": "1"}
    assert app.test_client().post("/api/notes", headers=FOREIGN).status_code == 401


def test_the_page_past_the_proxy_refuses_a_token_of_ours_beside_a_session(app: Flask) -> None:
    app.wsgi_app = app.wsgi_app.application  # type: ignore[attr-defined,method-assign]
    client, secret = sign_in(app, 1), new_secret(app, "1")
    for text in (secret, FORGED):
        assert client.get(PAGE, headers={"Authorization": f"Bearer {text}"}).status_code == 401
    assert client.get(PAGE, headers=FOREIGN).status_code == 200
