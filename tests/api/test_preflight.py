"""CORS preflight requests and other OPTIONS requests."""

from collections.abc import Callable

import pytest
from flask import Blueprint, Flask, request
from flask.views import MethodView
from flask_cors import CORS, cross_origin

from flask_access_tokens import current_token, require_token, token_required
from host import Host, bearer
from refusals import BARE, FORGED, assert_refused

PREFLIGHT = {
    "Origin": "https://elsewhere.example",
    "Access-Control-Request-Method": "GET",
    "Access-Control-Request-Headers": "authorization",
}


@pytest.mark.case("A12")
def test_a_preflight_passes_under_global_cors_and_refusals_keep_its_headers(host: Host) -> None:
    CORS(host.app)
    client = host.client()
    preflight = client.options("/api", headers=PREFLIGHT)
    assert preflight.status_code == 200
    assert preflight.headers["Access-Control-Allow-Headers"] == "authorization"
    for header, status in ((bearer(host.generate().secret), 200), (bearer(FORGED), 401), ({}, 401)):
        answer = client.get("/api", headers={"Origin": PREFLIGHT["Origin"], **header})
        assert answer.status_code == status
        assert answer.headers["Access-Control-Allow-Origin"] in ("*", PREFLIGHT["Origin"])
        assert "authorization" in answer.vary


@pytest.mark.case("A12")
@pytest.mark.parametrize("methods", [["GET"], ["GET", "OPTIONS"]])
def test_a_preflight_passes_with_cross_origin_above_the_guard(host: Host, methods: list[str]) -> None:
    view = cross_origin()(token_required(lambda: current_token.owner_id))
    host.app.add_url_rule("/view", "view", view, methods=methods)
    host.app.add_url_rule("/open", "open", cross_origin()(lambda: "open"), methods=methods)
    client = host.client()
    try:
        client.options("/open", headers=PREFLIGHT)
    except TypeError as error:  # Flask-CORS calls a function of Flask whose signature has changed
        pytest.skip(f"Flask-Cors's decorator does not work with this Flask: {error}")
    preflight = client.options("/view", headers=PREFLIGHT)
    assert preflight.status_code == 200
    assert preflight.headers["Access-Control-Allow-Origin"] in ("*", PREFLIGHT["Origin"])
    assert client.get("/view").status_code == 401
    good = {"Origin": PREFLIGHT["Origin"], **bearer(host.generate("ann").secret)}
    answer = client.get("/view", headers=good)
    assert answer.text == "ann"
    assert answer.headers["Access-Control-Allow-Origin"] in ("*", PREFLIGHT["Origin"])


@pytest.mark.case("A12")
def test_a_preflight_does_not_run_the_decorators_below_the_guard(host: Host) -> None:
    host.app.add_url_rule("/view", "view", token_required(cross_origin()(lambda: current_token.owner_id)))
    preflight = host.client().options("/view", headers=PREFLIGHT)
    assert preflight.status_code == 200
    assert preflight.text == ""
    assert "Access-Control-Allow-Origin" not in preflight.headers


def own_options_by_methods(app: Flask, view: Callable[[], str]) -> None:
    app.add_url_rule("/view", "view", token_required(view), methods=["GET", "OPTIONS"])


def own_options_by_rule(app: Flask, view: Callable[[], str]) -> None:
    app.add_url_rule(
        "/view", "view", token_required(view), methods=["GET", "OPTIONS"], provide_automatic_options=False
    )


def own_options_by_attribute(app: Flask, view: Callable[[], str]) -> None:
    view.provide_automatic_options = False  # type: ignore[attr-defined]
    app.add_url_rule("/view", "view", token_required(view), methods=["GET", "OPTIONS"])


def own_options_by_class(app: Flask, view: Callable[[], str]) -> None:
    class Own(MethodView):
        decorators = [token_required]  # noqa: RUF012
        provide_automatic_options = False

        def get(self) -> str:
            return view()

        options = get

    app.add_url_rule("/view", view_func=Own.as_view("view"))


def own_options_by_blueprint(app: Flask, view: Callable[[], str]) -> None:
    view.provide_automatic_options = False  # type: ignore[attr-defined]
    blueprint = Blueprint("own", __name__)
    blueprint.before_request(require_token)
    blueprint.add_url_rule("/view", "view", view, methods=["GET", "OPTIONS"])
    app.register_blueprint(blueprint)


@pytest.mark.case("A12")
@pytest.mark.parametrize(
    "register",
    [
        own_options_by_methods,
        own_options_by_rule,
        own_options_by_attribute,
        own_options_by_class,
        own_options_by_blueprint,
    ],
)
def test_a_view_that_takes_options_itself_never_runs_without_a_token(
    host: Host, register: Callable[..., None]
) -> None:
    ran: list[str] = []

    def view() -> str:
        ran.append(request.method)
        return "ran"

    register(host.app, view)
    client = host.client()
    preflight = client.options("/view", headers=PREFLIGHT)
    assert preflight.status_code == 200
    assert preflight.text == ""
    assert "OPTIONS" in preflight.allow
    assert_refused(client.options("/view"), 401, BARE)
    assert_refused(client.options("/view", headers={"Origin": PREFLIGHT["Origin"]}), 401, BARE)
    assert_refused(client.options("/view", headers={"Access-Control-Request-Method": "GET"}), 401, BARE)
    assert ran == []
    assert client.options("/view", headers=bearer(host.generate().secret)).text == "ran"


def test_options_passes_a_guarded_blueprint_and_a_guarded_application(host: Host) -> None:
    host.app.before_request(require_token)
    client = host.client()
    assert client.options("/api", headers=PREFLIGHT).status_code == 200
    plain = client.options("/api")
    assert (plain.status_code, sorted(plain.allow)) == (200, ["GET", "HEAD", "OPTIONS"])
    assert client.options("/nowhere", headers=PREFLIGHT).status_code == 404
    assert client.options("/nowhere").status_code == 404
    assert client.get("/nowhere").status_code == 401


def test_a_function_after_the_guard_may_read_the_token_because_no_preflight_request_reaches_it(host: Host) -> None:
    owners: list[str] = []
    api = Blueprint("v1", __name__, url_prefix="/v1")
    api.before_request(require_token)
    api.before_request(lambda: owners.append(current_token.owner_id))
    api.get("/me")(lambda: current_token.owner_id)
    host.app.register_blueprint(api)
    client = host.client()
    preflight = {"Origin": "https://elsewhere.example", "Access-Control-Request-Method": "GET"}
    for headers in ({}, preflight):
        answer = client.options("/v1/me", headers=headers)
        assert (answer.status_code, set(answer.allow)) == (200, {"GET", "HEAD", "OPTIONS"})
    assert client.get("/v1/me", headers=bearer(host.generate("ann").secret)).text == "ann"
    assert owners == ["ann"]


def test_an_unknown_path_below_a_guarded_application_is_not_found_by_a_preflight_request_either(host: Host) -> None:
    host.app.before_request(require_token)
    host.app.before_request(lambda: current_token.owner_id and None)
    assert host.client().options("/nowhere").status_code == 404
