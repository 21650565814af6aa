"""Requests that a guarded view dispatches itself, with a copy of its own environ."""

from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask, Response, jsonify, request
from flask_sqlalchemy import SQLAlchemy
from werkzeug.test import run_wsgi_app

from applications import application, new_token_header
from flask_access_tokens import AccessTokens, current_token, require_token, token_required
from host import bearer
from refusals import FORGED


def by_wsgi(app: Flask, environ: dict[str, Any]) -> int:
    _, status, _ = run_wsgi_app(app.wsgi_app, environ)
    return int(status[:3])


def by_context(app: Flask, environ: dict[str, Any]) -> int:
    with app.request_context(environ):
        return app.full_dispatch_request().status_code


def by_response(app: Flask, environ: dict[str, Any]) -> int:
    return Response.from_app(app.wsgi_app, environ).status_code


@pytest.mark.case("S10")
@pytest.mark.parametrize("dispatch", [by_wsgi, by_context, by_response])
def test_a_request_with_a_copied_environ_is_checked_by_its_own_credential(
    dispatch: Callable[[Flask, dict[str, Any]], int],
) -> None:
    app = application()
    AccessTokens(app, SQLAlchemy(app))
    seen: list[str | None] = []

    @app.get("/me")
    @token_required
    def me() -> str:
        seen.append(current_token.owner_id)
        return "in"

    @app.get("/open", endpoint="open")
    def view() -> str:
        seen.append(current_token.owner_id if current_token else None)
        return "in"

    @app.post("/batch")
    @token_required
    def batch() -> Any:
        statuses = []
        for header in (None, bearer(FORGED)["Authorization"], "Bearer x", bob):
            for path in ("/me", "/open"):
                environ = dict(request.environ, PATH_INFO=path, REQUEST_METHOD="GET")
                environ.pop("HTTP_AUTHORIZATION")
                if header is not None:
                    environ["HTTP_AUTHORIZATION"] = header
                statuses.append(dispatch(app, environ))
        require_token()
        return jsonify(statuses=statuses, owner=current_token.owner_id)

    bob = new_token_header(app, "bob")["Authorization"]
    answer = app.test_client().post("/batch", headers=new_token_header(app, "ann"))
    assert answer.get_json() == {"statuses": [401, 200, 401, 200, 401, 200, 200, 200], "owner": "ann"}
    assert seen == [None, None, None, "bob", None]
    assert answer.headers["Vary"] == "Authorization"
    assert "WWW-Authenticate" not in answer.headers
