"""The kinds of views that can be guarded."""

from collections.abc import Iterator
from typing import Any

import pytest
from flask import Blueprint, Response, stream_with_context
from flask.views import MethodView, View

from flask_access_tokens import current_token, require_token, token_required
from host import Host, bearer
from refusals import BARE, FORGED, INVALID, assert_refused


@pytest.mark.case("A18")
def test_an_async_view_is_guarded(host: Host) -> None:
    @host.app.get("/view")
    @token_required("read")
    async def view() -> str:
        return current_token.owner_id

    assert_guarded(host)


@pytest.mark.case("A18")
def test_a_view_class_is_guarded_by_its_decorators(host: Host) -> None:
    class Reports(MethodView):
        decorators = [token_required("read")]  # noqa: RUF012

        def get(self) -> str:
            return current_token.owner_id

    host.app.add_url_rule("/view", view_func=Reports.as_view("reports"))
    assert_guarded(host)


@pytest.mark.case("A18")
def test_one_method_of_a_view_class_is_guarded_alone(host: Host) -> None:
    class Reports(MethodView):
        @token_required("read")
        def get(self) -> str:
            return current_token.owner_id

        def post(self) -> str:
            return "open"

    host.app.add_url_rule("/view", view_func=Reports.as_view("reports"))
    assert_guarded(host)
    assert host.client().post("/view").text == "open"


@pytest.mark.case("A18")
def test_an_async_method_and_a_plain_view_class_are_guarded(host: Host) -> None:
    class Reports(View):
        @token_required("read")
        async def dispatch_request(self) -> str:
            return current_token.owner_id

    host.app.add_url_rule("/view", view_func=Reports.as_view("reports"))
    assert_guarded(host)


@pytest.mark.case("A18")
def test_a_streamed_response_is_guarded_and_has_its_token_until_it_ends(host: Host) -> None:
    @host.app.get("/view")
    @token_required("read")
    def view() -> Response:
        def parts() -> Iterator[str]:
            for letter in current_token.owner_id:
                yield letter
                assert current_token.owner_id == "ann"

        return Response(stream_with_context(parts()))

    assert_guarded(host)


@pytest.mark.case("A18")
def test_a_generator_may_be_returned_as_it_is(host: Host) -> None:
    @host.app.get("/view")
    @token_required("read")
    def view() -> Iterator[str]:
        yield from "ann"

    client = host.client()
    assert client.get("/view", headers=bearer(host.generate(scopes=["read"]).secret)).text == "ann"
    assert_refused(client.get("/view"), 401, BARE)


@pytest.mark.case("A18")
def test_a_blueprint_is_guarded_by_one_line(host: Host) -> None:
    reports = Blueprint("reports", __name__)
    reports.before_request(require_token)
    reports.get("/view")(lambda: current_token.owner_id)
    host.app.register_blueprint(reports)
    assert_guarded(host, scope=False)


@pytest.mark.case("A18")
def test_a_blueprint_is_guarded_for_a_scope_and_so_are_the_blueprints_in_it(host: Host) -> None:
    from functools import partial

    outer, inner = Blueprint("outer", __name__), Blueprint("inner", __name__)
    outer.before_request(partial(require_token, "read"))
    inner.get("/view")(lambda: current_token.owner_id)
    outer.register_blueprint(inner)
    host.app.register_blueprint(outer)
    assert_guarded(host)


def test_a_guarded_view_in_a_guarded_blueprint_needs_the_scopes_of_both_and_one_select(host: Host) -> None:
    from functools import partial

    reports = Blueprint("reports", __name__)
    reports.before_request(partial(require_token, "read"))
    reports.get("/view")(token_required("write")(lambda: current_token.owner_id))
    host.app.register_blueprint(reports)
    client = host.client()
    for scopes, status in ((["read"], 403), (["write"], 403), (["read", "write"], 200)):
        header = bearer(host.generate(scopes=scopes).secret)
        client.get("/view", headers=header)
        with host.statements() as seen:
            assert client.get("/view", headers=header).status_code == status
        assert len(seen) <= (2 if status == 403 else 1)


def assert_guarded(host: Host, scope: bool = True) -> None:
    """Check that ``/view``, which returns the owner's id, satisfies A01, A02 and A08."""
    client = host.client()
    assert_refused(client.get("/view"), 401, BARE)
    assert_refused(client.get("/view", headers=bearer(FORGED)), 401, INVALID)
    good = client.get("/view", headers=bearer(host.generate("ann", scopes=["read"]).secret))
    assert (good.status_code, good.text) == (200, "ann")
    poor = client.get("/view", headers=bearer(host.generate("ann").secret))
    assert poor.status_code == (403 if scope else 200)


def test_require_token_is_a_plain_call_that_raises(host: Host) -> None:
    @host.app.get("/view")
    def view() -> str:
        require_token("read")
        return current_token.owner_id

    assert_guarded(host)


def test_require_token_may_be_optional(host: Host) -> None:
    @host.app.get("/view")
    def view() -> str:
        require_token(optional=True)
        return current_token.owner_id if current_token else "nobody"

    client = host.client()
    assert client.get("/view").text == "nobody"
    assert client.get("/view", headers=bearer(host.generate("ann").secret)).text == "ann"
    assert_refused(client.get("/view", headers=bearer("x")), 401, INVALID)


def test_a_function_may_be_guarded_optionally_in_one_call(host: Host) -> None:
    guarded: Any = token_required(lambda: "in", optional=True)  # type: ignore[call-overload]
    host.app.get("/view")(guarded)
    assert host.client().get("/view").text == "in"
    assert_refused(host.client().get("/view", headers=bearer("x")), 401, INVALID)


def test_a_guarded_view_keeps_its_name_and_its_arguments(host: Host) -> None:
    @host.app.get("/things/<int:number>")
    @token_required
    def things(number: int) -> str:
        """Things."""
        return str(number + 1)

    assert (things.__name__, things.__doc__) == ("things", "Things.")
    assert host.client().get("/things/6", headers=bearer(host.generate().secret)).text == "7"
