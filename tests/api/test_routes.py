"""The list of guarded routes, and the check for problems in it."""

from functools import partial, wraps
from typing import Any

import pytest
from flask import Blueprint
from flask.views import MethodView
from werkzeug.routing import Rule

from flask_access_tokens import require_token, token_required
from host import SCOPES, Host, bearer

OWN = ["GET\t/api\tany token", "GET\t/optional\tany token (optional)", "POST\t/write\twrite"]


def listed(host: Host) -> list[str]:
    """The lines that the command prints in addition to the test host's own routes."""
    result = host.call("routes", "--check")
    assert result.exit_code == 0, result.output
    lines: list[str] = result.stdout.splitlines()
    assert set(OWN) <= set(lines)
    return [line for line in lines if line not in OWN]


def problems(host: Host) -> str:
    """The problems that the check reports; without the option they are reported too, with exit code 0."""
    checked = host.call("routes", "--check")
    assert checked.exit_code == 1
    assert "Traceback" not in checked.output
    plain = host.call("routes")
    assert (plain.exit_code, plain.stderr) == (0, checked.stderr)
    text: str = checked.stderr
    return text


@pytest.mark.case("C13")
def test_every_kind_of_guard_is_listed_with_the_scopes_it_needs(host: Host) -> None:
    def view(**_: object) -> str:
        return "in"

    class Half(MethodView):
        @token_required("write")
        def post(self) -> str:
            return "in"

        def get(self) -> str:
            return "open"

    class Whole(MethodView):
        decorators = [token_required("read")]  # noqa: RUF012

        def get(self) -> str:
            return "in"

        put = get

    blueprint, inner = Blueprint("outer", __name__, url_prefix="/outer"), Blueprint("inner", __name__)
    blueprint.before_request(partial(require_token, "read"))
    inner.get("/both")(token_required("write")(view))
    blueprint.register_blueprint(inner)
    host.app.register_blueprint(blueprint)
    host.app.add_url_rule("/half", view_func=Half.as_view("half"))
    host.app.add_url_rule("/whole", view_func=Whole.as_view("whole"))
    host.app.add_url_rule("/with/<int:number>", "number", token_required(view))
    assert listed(host) == [
        "POST\t/half\twrite",
        "GET\t/outer/both\twrite read",
        "GET\t/whole\tread",
        "PUT\t/whole\tread",
        "GET\t/with/<int:number>\tany token",
    ]


@pytest.mark.case("C13")
def test_every_guarded_route_refuses_a_token_with_all_scopes_but_the_needed_one(host: Host) -> None:
    for scope in SCOPES:
        host.app.add_url_rule(f"/{scope}-it", f"{scope}_it", token_required(scope)(lambda: "in"))
    for scope in SCOPES:
        header = bearer(host.generate(scopes=[other for other in SCOPES if other != scope]).secret)
        for asked in SCOPES:
            status = host.client().get(f"/{asked}-it", headers=header).status_code
            assert status == (403 if asked == scope else 200)


def test_an_unguarded_route_is_not_listed(host: Host) -> None:
    assert listed(host) == []


@pytest.mark.case("C13")
def test_a_guard_above_its_route_is_reported(host: Host) -> None:
    @token_required
    @host.app.get("/wrong")
    def wrong() -> str:
        return "open to everybody"

    assert host.client().get("/wrong").status_code == 200
    assert "wrong is guarded outside its route" in problems(host)


@pytest.mark.case("C13")
def test_a_guard_above_its_route_is_reported_through_another_decorator(host: Host) -> None:
    def other(view: Any) -> Any:
        @wraps(view)
        def wrapper() -> Any:
            return view()

        return wrapper

    @token_required
    @other
    @host.app.get("/wrong")
    @other
    def wrong() -> str:
        return "open to everybody"

    assert host.client().get("/wrong").status_code == 200
    assert "wrong is guarded outside its route" in problems(host)


@pytest.mark.case("C13")
def test_a_guarded_view_that_another_rule_hides_is_reported(host: Host) -> None:
    host.app.add_url_rule("/same", "first", lambda: "open to everybody")
    host.app.add_url_rule("/same", "second", token_required(lambda: "in"))
    assert host.client().get("/same").status_code == 200
    assert "GET /same: second is not reachable" in problems(host)


@pytest.mark.case("S20", "S24")
def test_only_a_rule_that_another_one_hides_is_reported(host: Host) -> None:
    guarded = token_required(lambda: "in")
    options = {"socket": {"websocket": True}, "redirect": {"redirect_to": "/there"}, "built": {"build_only": True}}
    for name, values in options.items():
        host.app.url_map.add(Rule(f"/{name}", endpoint=name, methods=["GET"], **values))
        host.app.view_functions[name] = guarded
    host.app.add_url_rule("/new", "page", guarded)
    host.app.add_url_rule("/old", "page", alias=True)
    for endpoint, values in (("moved", {"redirect_to": "/there"}), ("hidden", {})):
        host.app.add_url_rule("/moved", endpoint, token_required(lambda: "in"), **values)
    assert [line for line in problems(host).splitlines() if "not reachable" in line] == [
        "GET /moved: hidden is not reachable, because another rule matches. Remove one of the two rules."
    ]


@pytest.mark.case("C13")
def test_a_guarded_view_without_a_rule_is_reported(host: Host) -> None:
    host.app.view_functions["lost"] = token_required(lambda: "in")
    assert "lost is guarded, but has no rule" in problems(host)


@pytest.mark.case("C13")
def test_a_guard_for_an_undeclared_scope_is_reported(host: Host) -> None:
    host.app.get("/typo")(token_required("raed")(lambda: "in"))
    assert "GET /typo: no token can have raed" in problems(host)


def test_a_host_with_subdomains_slashes_and_defaults_has_no_problem(host: Host) -> None:
    for number, rule in enumerate(("/a/", "/b/c", "/d/e")):
        domain = "api" if number == 2 else None
        host.app.add_url_rule(rule, f"v{number}", token_required(lambda: "in"), subdomain=domain)
    host.app.add_url_rule("/page/", "page", token_required(lambda number: "in"), defaults={"number": 1})
    host.app.add_url_rule("/page/<int:number>", "page", host.app.view_functions["page"])
    assert len(listed(host)) == 5


def test_a_host_with_a_server_name_has_no_problem(host: Host) -> None:
    host.app.config["SERVER_NAME"] = "host.example:8443"
    assert listed(host) == []
