"""A host with Flask-RESTful and CSRFProtect, whose resources are guarded in each way that Flask-RESTful offers."""

from collections.abc import Iterator
from typing import Any

import pytest
from flask import Blueprint, Flask
from flask_restful import Api, Resource
from flask_sqlalchemy import SQLAlchemy
from flask_wtf import CSRFProtect

from flask_access_tokens import AccessTokens, current_token, token_required
from host import bearer
from refusals import FORGED
from visits import CONFIG, FOREIGN, add_csrf_view, command, csrf_header, new_secret, running

SCOPES = {"read": "Read notes", "write": "Change notes"}


class Note(Resource):
    def get(self) -> Any:
        return {"read by": current_token.owner_id if current_token else None}

    def post(self) -> Any:
        return {"written by": current_token.owner_id if current_token else None}


class ByList(Note):
    method_decorators = [token_required("write")]  # noqa: RUF012


class ByMethod(Note):
    method_decorators = {"post": [token_required("write")]}  # noqa: RUF012


class ByDecorator(Note):
    @token_required("read")
    def get(self) -> Any:
        return super().get()

    @token_required("write")
    def post(self) -> Any:
        return super().post()


GUARDED = ["/list", "/method", "/decorator", "/api/note", "/blueprint/note"]


@pytest.fixture(params=["before", "after"])
def app(request: pytest.FixtureRequest) -> Iterator[Flask]:
    """The host, which sets CSRFProtect up before its resources or after."""
    app = Flask("host")
    app.config.update(CONFIG, ACCESS_TOKENS_SCOPES=SCOPES)
    AccessTokens(app, SQLAlchemy(app))
    if request.param == "before":
        CSRFProtect(app)
    api = Api(app)
    api.add_resource(ByList, "/list")
    api.add_resource(ByMethod, "/method")
    api.add_resource(ByDecorator, "/decorator")
    api.add_resource(Note, "/open")
    Api(app, prefix="/api", decorators=[token_required("write")]).add_resource(Note, "/note", endpoint="api_note")
    blueprint = Blueprint("v1", __name__, url_prefix="/blueprint")
    Api(blueprint, decorators=[token_required("write")]).add_resource(Note, "/note", endpoint="note")
    app.register_blueprint(blueprint)
    add_csrf_view(app)
    if request.param == "after":
        CSRFProtect(app)
    with running(app):
        yield app


@pytest.mark.parametrize("path", GUARDED)
def test_a_token_writes_without_a_csrf_token(app: Flask, path: str) -> None:
    answer = app.test_client().post(path, headers=bearer(new_secret(app, "ann", scopes=["write"])))
    assert (answer.status_code, answer.get_json()) == (200, {"written by": "ann"})


@pytest.mark.parametrize("path", GUARDED)
def test_a_refusal_has_a_challenge_and_is_no_csrf_error(app: Flask, path: str) -> None:
    client = app.test_client()
    for headers in ({}, bearer(FORGED), FOREIGN, csrf_header(client)):
        answer = client.post(path, headers=headers)
        assert (answer.status_code, answer.headers["Cache-Control"]) == (401, "no-store")
        assert answer.headers.getlist("WWW-Authenticate")[0].startswith('Bearer realm="api"')
        assert "CSRF" not in answer.text


@pytest.mark.parametrize("path", GUARDED)
def test_a_token_without_the_scope_is_refused(app: Flask, path: str) -> None:
    answer = app.test_client().post(path, headers=bearer(new_secret(app, "ann", scopes=["read"])))
    assert answer.status_code == 403
    assert 'scope="write"' in answer.headers["WWW-Authenticate"]


def test_each_method_has_its_own_guard(app: Flask) -> None:
    client, reader = app.test_client(), bearer(new_secret(app, "ann", scopes=["read"]))
    assert client.get("/decorator", headers=reader).get_json() == {"read by": "ann"}
    assert client.get("/decorator").status_code == 401
    assert client.get("/method").get_json() == {"read by": None}
    assert client.get("/list", headers=reader).status_code == 403


def test_a_resource_without_a_guard_keeps_its_csrf_protection(app: Flask) -> None:
    client, header = app.test_client(), bearer(new_secret(app, "ann", scopes=["write"]))
    for headers in ({}, bearer(FORGED), FOREIGN):
        assert client.post("/open", headers=headers).status_code == 400
    assert client.post("/open", headers=csrf_header(client)).get_json() == {"written by": None}
    assert client.post("/list", headers=header).status_code == 200


def test_the_routes_are_listed_with_their_scopes(app: Flask) -> None:
    listed = [tuple(line.split("\t")) for line in command(app, "routes").splitlines()]
    assert [route for route in listed if route[1].strip("/").split("/")[0] != "access-tokens"] == [
        ("GET", "/api/note", "write"),
        ("POST", "/api/note", "write"),
        ("GET", "/blueprint/note", "write"),
        ("POST", "/blueprint/note", "write"),
        ("GET", "/decorator", "read"),
        ("POST", "/decorator", "write"),
        ("GET", "/list", "write"),
        ("POST", "/list", "write"),
        ("POST", "/method", "write"),
    ]


def test_every_guard_passes_the_check_of_the_routes(app: Flask) -> None:
    assert "/list" in command(app, "routes", "--check")
