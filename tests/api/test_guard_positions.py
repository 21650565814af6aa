"""Every position of a guard: CSRFProtect skips the view, and the list of routes shows what it requires."""

from functools import partial
from typing import Any

import pytest
from flask import Blueprint, Flask
from flask.views import View
from flask_sqlalchemy import SQLAlchemy
from flask_wtf import CSRFProtect

from applications import application
from flask_access_tokens import AccessTokens, require_token, token_required, tokens
from host import bearer


@pytest.fixture
def app() -> Flask:
    """An application under CSRFProtect with one scope and no guarded view."""
    app = application(ACCESS_TOKENS_SCOPES={"read": "Read", "write": "Write"})
    db = SQLAlchemy(app)
    AccessTokens(app, db)
    CSRFProtect(app)
    with app.app_context():
        db.create_all()
    return app


def statuses(app: Flask, path: str) -> list[int]:
    """The statuses of a POST with a token for everything, and of one without a token."""
    with app.app_context():
        header = bearer(tokens.generate("ann", "laptop", scopes=["read", "write"]).secret)
    client = app.test_client()
    return [client.post(path, headers=header).status_code, client.post(path).status_code]


def listed(app: Flask) -> list[str]:
    """The lines of ``flask access-tokens routes``."""
    lines: list[str] = app.test_cli_runner().invoke(args=["access-tokens", "routes"]).output.splitlines()
    return lines


def test_a_blueprint_guarded_by_a_plain_call(app: Flask) -> None:
    blueprint = Blueprint("things", __name__, url_prefix="/things")
    blueprint.before_request(require_token)
    blueprint.post("/")(lambda: "in")
    app.register_blueprint(blueprint)
    assert statuses(app, "/things/") == [200, 401]
    assert listed(app) == ["POST\t/things/\tany token"]


def test_an_application_guarded_by_a_plain_call(app: Flask) -> None:
    app.before_request(require_token)
    app.post("/things")(lambda: "in")
    assert statuses(app, "/things") == [200, 401]
    assert "POST\t/things\tany token" in listed(app)


def test_a_guard_on_the_inner_of_two_blueprints_guards_its_own_views_alone(app: Flask) -> None:
    outer, inner = Blueprint("outer", __name__, url_prefix="/outer"), Blueprint("inner", __name__, url_prefix="/inner")
    inner.before_request(require_token)
    for blueprint in (outer, inner):
        blueprint.post("/")(lambda: "in")
    outer.register_blueprint(inner)
    app.register_blueprint(outer)
    assert statuses(app, "/outer/inner/") == [200, 401]
    assert statuses(app, "/outer/") == [400, 400]
    assert listed(app) == ["POST\t/outer/inner/\tany token"]


def test_the_dispatch_request_of_a_view_class(app: Flask) -> None:
    class Things(View):
        methods = ("POST",)

        @token_required("read")
        def dispatch_request(self) -> str:
            return "in"

    class Open(View):
        methods = ("POST",)

        def dispatch_request(self) -> str:
            return "in"

    app.add_url_rule("/things", view_func=Things.as_view("things"))
    app.add_url_rule("/open", view_func=Open.as_view("open"))
    assert statuses(app, "/things") == [200, 401]
    assert statuses(app, "/open") == [400, 400]
    assert listed(app) == ["POST\t/things\tread"]


def test_two_guards_on_one_view_require_the_scopes_of_both(app: Flask) -> None:
    app.post("/things")(token_required("read")(token_required("write")(lambda: "in")))
    assert statuses(app, "/things") == [200, 401]
    assert listed(app) == ["POST\t/things\tread write"]


def test_a_hook_that_is_no_guard_changes_nothing(app: Flask) -> None:
    def hook(*_: Any) -> None:
        pass

    blueprint = Blueprint("things", __name__, url_prefix="/things")
    blueprint.before_request(hook)
    blueprint.before_request(partial(hook, "read"))
    blueprint.post("/")(lambda: "in")
    app.register_blueprint(blueprint)
    assert statuses(app, "/things/") == [400, 400]
    assert listed(app) == []


def test_a_guarded_view_that_is_guarded_again_elsewhere_is_in_its_place(app: Flask) -> None:
    inner = token_required(lambda: "in")
    app.post("/any", endpoint="any")(inner)
    app.post("/read", endpoint="read")(token_required("read")(inner))
    checked = app.test_cli_runner().invoke(args=["access-tokens", "routes", "--check"])
    assert (checked.exit_code, checked.output.splitlines()) == (0, ["POST\t/any\tany token", "POST\t/read\tread"])


def test_the_check_of_csrf_tokens_is_on_outside_a_request_and_in_other_applications(app: Flask) -> None:
    app.post("/things")(token_required(lambda: "in"))
    assert bool(app.config["WTF_CSRF_CHECK_DEFAULT"]) is True
    other = application("other")
    other.post("/things")(lambda: str(bool(app.config["WTF_CSRF_CHECK_DEFAULT"])))
    assert other.test_client().post("/things").text == "True"
