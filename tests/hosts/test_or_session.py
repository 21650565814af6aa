"""Views that a browser and a program share, in a host with Flask-Login, with CSRFProtect and without."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
from flask import Blueprint, Flask, jsonify, request
from flask_login import LoginManager, UserMixin, current_user
from flask_sqlalchemy import SQLAlchemy
from flask_wtf import CSRFProtect

from flask_access_tokens import AccessTokens, current_token, require_token, token_required
from host import bearer
from refusals import FORGED
from visits import CONFIG, FOREIGN, add_csrf_view, csrf_header, new_secret, running, sign_in


@pytest.fixture(params=["CSRFProtect", "no CSRFProtect"])
def app(request: pytest.FixtureRequest) -> Iterator[Flask]:
    with running(create_app(protected=request.param == "CSRFProtect")) as app:
        yield app


def create_app(protected: bool) -> Flask:
    app = Flask("host")
    app.config.update(CONFIG, ACCESS_TOKENS_SCOPES={"read": "Read notes", "write": "Change notes"})
    db = SQLAlchemy(app)
    login_manager = LoginManager(app)
    if protected:
        CSRFProtect(app)

    class User(UserMixin, db.Model):  # type: ignore[name-defined,misc]
        id = db.Column(db.Integer, primary_key=True)
        name = db.Column(db.String(100), nullable=False)
        api_key = db.Column(db.String(100), nullable=False)

    @login_manager.user_loader
    def load_user(user_id: str) -> Any:
        return db.session.get(User, int(user_id))

    @login_manager.request_loader
    def load_user_by_key(request: Any) -> Any:
        key = request.headers.get("X-Api-Key")
        return db.session.execute(db.select(User).filter_by(api_key=key)).scalar_one_or_none() if key else None

    AccessTokens(app, db, owner=User.id)
    app.notes = []  # type: ignore[attr-defined]

    def notes() -> Any:
        if request.method != "GET":
            app.notes.append(current_user.name)  # type: ignore[attr-defined]
        return jsonify(user=current_user.name, token=current_token.owner_id if current_token else None)

    methods = ["GET", "POST", "PUT", "DELETE"]
    app.route("/notes", methods=methods)(token_required("write", or_session=True)(notes))
    app.route("/plain", methods=methods, endpoint="plain")(token_required(or_session=True)(notes))
    blueprint = Blueprint("v1", __name__, url_prefix="/v1")
    blueprint.before_request(partial(require_token, "write", or_session=True))
    blueprint.route("/notes", methods=methods)(notes)
    app.register_blueprint(blueprint)
    hooked = Blueprint("v2", __name__, url_prefix="/v2")
    hooked.before_request(lambda: require_token("write", or_session=True))
    hooked.route("/notes", methods=methods)(notes)
    app.register_blueprint(hooked)
    add_csrf_view(app)
    with app.app_context():
        db.create_all()
        db.session.add_all(User(name=name, api_key=f"key of {name}") for name in ("ann", "bob"))
        db.session.commit()
    return app


PATHS = pytest.mark.parametrize("path", ["/notes", "/plain", "/v1/notes", "/v2/notes"])
UNSAFE = ("POST", "PUT", "DELETE")


@PATHS
def test_a_session_reads(app: Flask, path: str) -> None:
    assert sign_in(app, 1).get(path).get_json() == {"user": "ann", "token": None}


@PATHS
def test_a_session_writes_only_with_a_csrf_token(app: Flask, path: str) -> None:
    client = sign_in(app, 1)
    for method in UNSAFE:
        assert client.open(path, method=method).status_code == 400
        assert client.open(path, method=method, headers={"X-CSRFToken": "forged"}).status_code == 400
    assert app.notes == []  # type: ignore[attr-defined]
    headers = csrf_header(client)
    for method in UNSAFE:
        assert client.open(path, method=method, headers=headers).get_json() == {"user": "ann", "token": None}
    assert client.post(path, data={"csrf_token": headers["X-CSRFToken"]}).status_code == 200


@PATHS
def test_the_csrf_token_of_another_session_is_refused(app: Flask, path: str) -> None:
    headers = csrf_header(sign_in(app, 2))
    assert sign_in(app, 1).post(path, headers=headers).status_code == 400
    assert app.notes == []  # type: ignore[attr-defined]


@PATHS
def test_a_token_reads_and_writes_without_a_csrf_token_whoever_is_signed_in(app: Flask, path: str) -> None:
    headers = bearer(new_secret(app, 2, scopes=["write"]))
    for client in (app.test_client(), sign_in(app, 1), sign_in(app, 2)):
        for method in ("GET", *UNSAFE):
            answer = client.open(path, method=method, headers=headers)
            assert answer.get_json() == {"user": "bob", "token": "2"}


@pytest.mark.parametrize("path", ["/notes", "/v1/notes", "/v2/notes"])
def test_a_token_needs_the_scope_and_a_session_does_not(app: Flask, path: str) -> None:
    headers = bearer(new_secret(app, 1, scopes=["read"]))
    for client in (app.test_client(), sign_in(app, 1)):
        for method in ("GET", *UNSAFE):
            assert client.open(path, method=method, headers=headers).status_code == 403
    assert sign_in(app, 1).get(path).status_code == 200


@PATHS
@pytest.mark.parametrize("headers", [bearer(FORGED), FOREIGN, bearer("x")])
def test_a_bad_credential_is_refused_beside_a_session_and_has_no_effect(
    app: Flask, path: str, headers: dict[str, str]
) -> None:
    client = sign_in(app, 1)
    for method in ("GET", *UNSAFE):
        for each in (headers, {**headers, **csrf_header(client)}):
            answer = client.open(path, method=method, headers=each)
            if path == "/v2/notes" and answer.status_code == 400:
                continue  # CSRFProtect comes before a function that calls the guard
            assert answer.status_code == 401
            assert 'error="invalid_token"' in answer.headers["WWW-Authenticate"]
    assert app.notes == []  # type: ignore[attr-defined]
    assert client.get("/notes").status_code == 200  # the session is still good


@pytest.mark.parametrize("path", ["/notes", "/plain", "/v1/notes"])
def test_nobody_is_asked_for_a_token(app: Flask, path: str) -> None:
    client = app.test_client()
    for method in ("GET", *UNSAFE):
        for headers in ({}, csrf_header(client), {"Authorization": "Basic YW5uOng="}):
            answer = client.open(path, method=method, headers=headers)
            assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, 'Bearer realm="api"')
    assert app.notes == []  # type: ignore[attr-defined]


def test_nobody_gets_past_a_hook_that_the_extension_cannot_see_before_it_runs(app: Flask) -> None:
    client = app.test_client()
    assert client.get("/v2/notes").status_code == 401
    for method in UNSAFE:
        assert client.open("/v2/notes", method=method).status_code in (400, 401)  # CSRFProtect may come first
        assert client.open("/v2/notes", method=method, headers=csrf_header(client)).status_code == 401
    assert app.notes == []  # type: ignore[attr-defined]


@PATHS
def test_a_user_whom_a_request_loader_finds_is_no_session(app: Flask, path: str) -> None:
    key = {"X-Api-Key": "key of ann"}
    client = app.test_client()
    for method in ("GET", *UNSAFE):
        assert client.open(path, method=method, headers=key).status_code in (400, 401)
        assert client.open(path, method=method, headers={**key, **csrf_header(client)}).status_code == 401
    assert app.notes == []  # type: ignore[attr-defined]
    assert sign_in(app, 2).get(path, headers=key).get_json() == {"user": "bob", "token": None}


def test_answers_to_a_token_and_to_a_session_are_told_apart_by_caches(app: Flask) -> None:
    for answer in (
        sign_in(app, 1).get("/notes"),
        app.test_client().get("/notes"),
        app.test_client().get("/notes", headers=bearer(new_secret(app, 1, scopes=["write"]))),
    ):
        assert "authorization" in answer.vary
    assert "cookie" in sign_in(app, 1).get("/notes").vary


def test_the_session_is_not_changed_by_a_token(app: Flask) -> None:
    client = sign_in(app, 1)
    answer = client.post("/notes", headers=bearer(new_secret(app, 2, scopes=["write"])))
    assert "Set-Cookie" not in answer.headers
    assert client.get("/notes").get_json()["user"] == "ann"
