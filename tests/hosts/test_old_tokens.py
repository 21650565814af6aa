"""A host that changes from API tokens of its own, checked by Flask-HTTPAuth, to access tokens."""

import secrets
from collections.abc import Iterator
from typing import Any

import pytest
from flask import Blueprint, Flask, jsonify, request
from flask_httpauth import HTTPTokenAuth
from flask_sqlalchemy import SQLAlchemy

from flask_access_tokens import AccessTokens, current_token, require_token, tokens
from host import bearer
from refusals import FORGED
from visits import CONFIG, FOREIGN, command, new_secret, running

OLD_TOKEN = secrets.token_hex(16)
NOT_OURS = 'Bearer realm="old"'


@pytest.fixture
def app() -> Iterator[Flask]:
    app = Flask("host")
    app.config.update(CONFIG, ACCESS_TOKENS_SCOPES={"read": "Read notes"})
    db = SQLAlchemy(app)
    old = HTTPTokenAuth(realm="old")

    class User(db.Model):  # type: ignore[name-defined,misc]
        id = db.Column(db.Integer, primary_key=True)
        name = db.Column(db.String(100), nullable=False)
        token = db.Column(db.String(32), unique=True)

    @old.verify_token
    def verify_token(token: str) -> Any:
        return db.session.execute(db.select(User).filter_by(token=token)).scalar_one_or_none()

    AccessTokens(app, db, owner=User.id)
    api = Blueprint("api", __name__, url_prefix="/api")

    @api.before_request
    def require_old_or_new_token() -> Any:
        sent = request.authorization
        if sent is not None and sent.type == "bearer" and not tokens.is_well_formed(sent.token or ""):
            return old.login_required(lambda: None)()  # a refusal, or None
        return require_token("read")

    @api.route("/me", methods=["GET", "POST"])
    def me() -> Any:
        user = current_token.owner if current_token else old.current_user()
        return jsonify(user=user.name, new=bool(current_token))

    app.register_blueprint(api)
    with running(app):
        with app.app_context():
            db.session.add_all([User(name="ann", token=OLD_TOKEN), User(name="bob")])
            db.session.commit()
        yield app


def test_an_old_client_and_a_new_client_both_get_in(app: Flask) -> None:
    new = bearer(new_secret(app, 2, scopes=["read"]))
    for method in ("GET", "POST"):
        answer = app.test_client().open("/api/me", method=method, headers=bearer(OLD_TOKEN))
        assert answer.get_json() == {"user": "ann", "new": False}
        answer = app.test_client().open("/api/me", method=method, headers=new)
        assert answer.get_json() == {"user": "bob", "new": True}


def test_a_bad_token_of_ours_is_refused_with_our_challenge(app: Flask) -> None:
    gone = new_secret(app, 2, scopes=["read"])
    with app.app_context():
        tokens.delete_all(2)
    for text in (gone, FORGED):
        answer = app.test_client().get("/api/me", headers=bearer(text))
        assert answer.status_code == 401
        assert answer.headers["WWW-Authenticate"].startswith('Bearer realm="api", error="invalid_token"')


def test_a_new_token_without_the_scope_is_refused(app: Flask) -> None:
    answer = app.test_client().get("/api/me", headers=bearer(new_secret(app, 2)))
    assert answer.status_code == 403
    assert 'scope="read"' in answer.headers["WWW-Authenticate"]


def test_a_bad_old_token_is_refused_with_the_old_challenge(app: Flask) -> None:
    for headers in (bearer("x" * 32), FOREIGN, bearer(FORGED[:-1])):
        answer = app.test_client().get("/api/me", headers=headers)
        assert (answer.status_code, answer.headers.getlist("WWW-Authenticate")) == (401, [NOT_OURS])


def test_a_request_without_a_token_is_asked_for_a_new_one(app: Flask) -> None:
    for headers in ({}, {"Authorization": "Basic YW5uOng="}):
        answer = app.test_client().get("/api/me", headers=headers)
        assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, 'Bearer realm="api"')


def test_whether_a_text_is_well_formed_is_told_without_a_query(app: Flask) -> None:
    secret = new_secret(app, 2)
    with app.app_context():
        db = app.extensions["sqlalchemy"]
        db.session.remove()
        assert tokens.is_well_formed(secret)
        assert tokens.is_well_formed(FORGED)
        assert not any(map(tokens.is_well_formed, ("", OLD_TOKEN, secret[:-1], f"{secret}0", f" {secret}", "pat_")))
        assert not db.session().in_transaction()


def test_the_check_of_the_routes_accepts_the_blueprint(app: Flask) -> None:
    command(app, "routes", "--check")
