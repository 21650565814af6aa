"""A host with Flask-Principal and Flask-Login, as in the documentation of Flask-Principal."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
from flask import Blueprint, Flask, current_app, g, jsonify, session
from flask_login import LoginManager, UserMixin, current_user, login_user
from flask_principal import Identity, Permission, Principal, RoleNeed, UserNeed, identity_changed, identity_loaded
from flask_sqlalchemy import SQLAlchemy

from flask_access_tokens import AccessTokens, current_token, require_token, token_required
from host import bearer
from visits import CONFIG, generate_on_page, running

admin_permission = Permission(RoleNeed("admin"))


def create_app(order: str) -> Flask:
    app = Flask("host")
    app.config.update(CONFIG, WTF_CSRF_ENABLED=False)
    db = SQLAlchemy(app)
    login_manager = LoginManager(app)

    class User(UserMixin, db.Model):  # type: ignore[name-defined,misc]
        id = db.Column(db.Integer, primary_key=True)
        name = db.Column(db.String(100), nullable=False)
        role = db.Column(db.String(20), nullable=False)

    login_manager.user_loader(lambda user_id: db.session.get(User, int(user_id)))
    if order == "Principal first":
        Principal(app)
    AccessTokens(app, db, owner=User.id)
    if order == "AccessTokens first":
        Principal(app)

    @identity_loaded.connect_via(app)
    def on_identity_loaded(sender: Flask, identity: Any) -> None:
        identity.user = current_user
        if hasattr(current_user, "id"):
            identity.provides.add(UserNeed(current_user.id))
        if hasattr(current_user, "role"):
            identity.provides.add(RoleNeed(current_user.role))

    app.receivers = [on_identity_loaded]  # type: ignore[attr-defined]  # signals refer to them weakly

    @app.get("/log-in/<name>")
    def log_in(name: str) -> str:
        user = db.session.execute(db.select(User).filter_by(name=name)).scalar_one()
        login_user(user)
        identity_changed.send(current_app._get_current_object(), identity=Identity(user.id))
        return name

    @app.get("/admin")
    @admin_permission.require(403)
    def admin() -> str:
        return str(current_user.name)

    @app.get("/api/admin")
    @token_required
    @admin_permission.require(403)
    def api_admin() -> Any:
        return jsonify(token=current_token.owner_id, user=g.identity.user.name, id=str(g.identity.id))

    blueprint = Blueprint("v1", __name__, url_prefix="/v1")
    blueprint.before_request(partial(require_token))
    blueprint.get("/admin", endpoint="admin")(admin_permission.require(403)(lambda: current_user.name))
    blueprint.get("/own", endpoint="own")(lambda: str(Permission(UserNeed(current_user.id)).can()))
    app.register_blueprint(blueprint)
    app.get("/session")(lambda: dict(session))
    with app.app_context():
        db.create_all()
        db.session.add_all([User(name="ann", role="reader"), User(name="bob", role="admin")])
        db.session.commit()
    return app


@pytest.fixture(params=["Principal first", "AccessTokens first"])
def app(request: pytest.FixtureRequest) -> Iterator[Flask]:
    with running(create_app(request.param)) as app:
        yield app


def logged_in(app: Flask, name: str) -> Any:
    client = app.test_client()
    assert client.get(f"/log-in/{name}").text == name
    return client


@pytest.fixture
def headers(app: Flask) -> dict[str, dict[str, str]]:
    """The headers of the tokens of Ann, a reader, and Bob, an admin."""
    return {name: bearer(generate_on_page(logged_in(app, name))) for name in ("ann", "bob")}


@pytest.mark.parametrize("session_of", [None, "ann", "bob"])
@pytest.mark.parametrize("path", ["/api/admin", "/v1/admin"])
def test_a_permission_is_that_of_the_tokens_owner_whoever_is_signed_in(
    app: Flask, headers: dict[str, dict[str, str]], path: str, session_of: str | None
) -> None:
    client = logged_in(app, session_of) if session_of else app.test_client()
    assert client.get(path, headers=headers["bob"]).status_code == 200
    assert client.get(path, headers=headers["ann"]).status_code == 403
    assert client.get(path).status_code == 401


def test_the_identity_is_the_owner(app: Flask, headers: dict[str, dict[str, str]]) -> None:
    answer = app.test_client().get("/api/admin", headers=headers["bob"])
    assert answer.get_json() == {"token": "2", "user": "bob", "id": "2"}
    assert app.test_client().get("/v1/own", headers=headers["ann"]).text == "True"


def test_a_token_sets_no_cookie_and_leaves_no_identity_in_the_session(
    app: Flask, headers: dict[str, dict[str, str]]
) -> None:
    for path in ("/api/admin", "/v1/admin", "/v1/own"):
        for sent in headers.values():
            client = app.test_client()
            assert "Set-Cookie" not in client.get(path, headers=sent).headers
            assert client.get("/session").get_json() == {}


def test_the_session_keeps_its_own_identity(app: Flask, headers: dict[str, dict[str, str]]) -> None:
    client = logged_in(app, "ann")
    before = client.get("/session").get_json()
    assert client.get("/api/admin", headers=headers["bob"]).status_code == 200
    assert client.get("/session").get_json() == before
    assert before["identity.id"] == 1
    assert client.get("/admin").status_code == 403
    assert logged_in(app, "bob").get("/admin").text == "bob"


def test_a_token_has_no_permission_in_a_view_without_a_guard(app: Flask, headers: dict[str, dict[str, str]]) -> None:
    assert app.test_client().get("/admin", headers=headers["bob"]).status_code == 403
    assert logged_in(app, "ann").get("/admin", headers=headers["bob"]).status_code == 403
