"""Every position of a guard: what it answers under CSRFProtect, and what the list of routes shows."""

from functools import partial, wraps
from typing import Any

import pytest
from flask import Blueprint, Flask, request, session
from flask.views import MethodView, View
from flask_sqlalchemy import SQLAlchemy
from flask_wtf import CSRFProtect
from flask_wtf.csrf import generate_csrf

from applications import application
from flask_access_tokens import AccessTokens, require_token, secret, token_required, tokens
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


@pytest.mark.case("S25")
@pytest.mark.parametrize(
    "hook", [token_required, token_required("read"), partial(token_required, "read")], ids=["bare", "made", "partial"]
)
@pytest.mark.parametrize("header", [{}, bearer(str(secret.generate("pat")))], ids=["without", "with"])
def test_a_decorator_in_place_of_a_plain_call_is_an_error_that_says_what_to_write(
    app: Flask, hook: Any, header: dict[str, str]
) -> None:
    app.before_request(hook)
    app.get("/things")(lambda: "in")
    with pytest.raises(TypeError, match=r"before_request\(require_token\)"):
        app.test_client().get("/things", headers=header)


def test_a_guard_on_the_inner_of_two_blueprints_guards_its_own_views_alone(app: Flask) -> None:
    outer, inner = Blueprint("outer", __name__, url_prefix="/outer"), Blueprint("inner", __name__, url_prefix="/inner")
    inner.before_request(require_token)
    for blueprint in (outer, inner):
        blueprint.post("/")(lambda: "in")
    outer.register_blueprint(inner)
    app.register_blueprint(outer)
    assert statuses(app, "/outer/inner/") == [200, 401]
    assert statuses(app, "/outer/") == [200, 400]
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
    assert statuses(app, "/open") == [200, 400]
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
    assert statuses(app, "/things/") == [200, 400]
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


def test_a_partial_of_a_guarded_view_is_guarded(app: Flask) -> None:
    @token_required("read")
    def things(kind: str) -> str:
        return kind

    app.add_url_rule("/big", "big", partial(things, "big"), methods=["POST"])
    assert statuses(app, "/big") == [200, 401]
    assert listed(app) == ["POST\t/big\tread"]


def test_a_guarded_method_of_an_object_is_guarded(app: Flask) -> None:
    class Things:
        @token_required("read")
        def add(self) -> str:
            return "in"

    app.add_url_rule("/things", "things", Things().add, methods=["POST"])
    assert statuses(app, "/things") == [200, 401]
    assert listed(app) == ["POST\t/things\tread"]


def test_a_function_of_the_host_s_that_calls_the_guard_before_a_view_guards_it(app: Flask) -> None:
    blueprint = Blueprint("things", __name__, url_prefix="/things")

    @blueprint.before_request
    def check() -> None:
        require_token("read")

    blueprint.post("/")(lambda: "in")
    app.register_blueprint(blueprint)
    assert statuses(app, "/things/") == [200, 400]  # without a token, CSRFProtect comes first
    assert listed(app) == []


def test_a_function_of_the_host_s_that_guards_some_views_leaves_the_others_protected(app: Flask) -> None:
    def guard() -> None:
        require_token("read")

    @app.before_request
    def check() -> None:
        if request.path.startswith("/api/"):
            guard()

    app.post("/api/things", endpoint="things")(lambda: "in")
    app.post("/form", endpoint="form")(lambda: "in")

    @app.post("/hook")
    @app.extensions["csrf"].exempt
    def hook() -> str:
        return "in"

    assert statuses(app, "/api/things") == [200, 400]
    assert statuses(app, "/form") == [200, 400]
    assert statuses(app, "/hook") == [200, 200]


def test_an_error_in_the_decision_passes_no_request(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    app.config["PROPAGATE_EXCEPTIONS"] = False
    app.config["ACCESS_TOKENS_PREFIX"] = "not a prefix"
    app.post("/form")(lambda: "in")
    header = {"Authorization": "Bearer pat_x"}
    assert app.test_client().post("/form", headers=header).status_code == 500


def test_a_request_elsewhere_changes_nothing_for_a_guarded_blueprint(app: Flask) -> None:
    outer, inner = Blueprint("outer", __name__, url_prefix="/outer"), Blueprint("inner", __name__, url_prefix="/inner")

    @inner.before_request
    def check() -> None:
        require_token("read")

    inner.post("/")(lambda: "in")
    outer.post("/")(lambda: "in")
    outer.register_blueprint(inner)
    app.register_blueprint(outer)
    app.post("/form")(lambda: "in")
    unknown = bearer(str(secret.generate("pat")))
    for path in ("/nowhere", "/form", "/outer/"):
        assert app.test_client().post(path, headers=unknown).status_code in (400, 404)
        assert statuses(app, "/outer/inner/") == [200, 400]
        assert statuses(app, "/outer/") == [200, 400]


def test_method_decorators_that_flask_s_own_class_ignores_are_no_guard(app: Flask) -> None:
    class Things(MethodView):
        method_decorators = (token_required,)

        def get(self) -> str:
            return "open"

    app.add_url_rule("/things", view_func=Things.as_view("things"))
    assert app.test_client().get("/things").text == "open"
    assert listed(app) == []


def test_a_view_without_a_guard_stays_protected_from_requests_without_a_valid_token(app: Flask) -> None:
    app.post("/form")(lambda: "in")
    assert statuses(app, "/form") == [200, 400]
    foreign = {"Authorization": "Bearer eyJhbGciOiJub25lIn0.e30."}
    assert app.test_client().post("/form", headers=foreign).status_code == 400


def test_a_host_s_decorator_that_may_pass_by_the_guard_is_protected_without_a_token(app: Flask) -> None:
    def token_or_session(view: Any) -> Any:
        guarded = token_required(view)

        @wraps(guarded)
        def either() -> Any:
            return view() if "user" in session else guarded()

        return either

    app.post("/things")(token_or_session(lambda: "in"))
    app.get("/sign-in", endpoint="sign_in")(lambda: session.update(user="ann") or generate_csrf())
    assert statuses(app, "/things") == [200, 401]
    client = app.test_client()
    valid = {"X-CSRFToken": client.get("/sign-in").text}
    assert client.post("/things").status_code == 401
    assert client.post("/things", headers={"Authorization": "Bearer eyJ0.e30.c2ln"}).status_code == 401
    assert client.post("/things", headers=valid).status_code == 200
