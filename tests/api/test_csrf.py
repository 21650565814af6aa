"""Guarded views together with the host's CSRFProtect."""

from collections.abc import Callable
from functools import partial, wraps
from typing import Any

import pytest
from flask import Blueprint
from flask.views import MethodView
from flask_sqlalchemy import SQLAlchemy
from flask_wtf import CSRFProtect

from applications import application, new_token_header
from flask_access_tokens import (
    AccessTokens,
    current_token,
    require_token,
    token_required,
)
from host import bearer
from protected import protected
from refusals import FORGED
from visits import FOREIGN


@pytest.mark.case("D05")
@pytest.mark.parametrize("order", ["before", "after"])
def test_a_guarded_post_passes_and_its_sibling_stays_protected(order: str) -> None:
    app = protected(order)
    app.post("/guarded")(token_required(lambda: current_token.owner_id))
    app.post("/sibling", endpoint="sibling")(lambda: "changed")
    client, header = app.test_client(), new_token_header(app)
    assert client.post("/guarded", headers=header).text == "ann"
    assert client.post("/guarded").status_code == 401
    assert client.post("/sibling", headers=header).status_code == 200
    for headers in ({}, bearer(FORGED), FOREIGN):
        assert client.post("/sibling", headers=headers).status_code == 400


@pytest.mark.case("D05")
def test_a_view_of_the_same_name_stays_protected() -> None:
    app = protected("before")

    def save() -> str:
        return "changed"

    guarded, opened = token_required(save), save
    assert guarded.__name__ == opened.__name__
    assert guarded.__module__ == opened.__module__
    app.add_url_rule("/guarded", "guarded", guarded, methods=["POST"])
    app.add_url_rule("/open", "open", opened, methods=["POST"])
    client, header = app.test_client(), new_token_header(app)
    assert client.post("/guarded", headers=header).status_code == 200
    assert [client.post(path).status_code for path in ("/guarded", "/open")] == [401, 400]


def without_wraps(view: Callable[..., Any]) -> Callable[..., Any]:
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return view(*args, **kwargs)

    return wrapper


def with_wraps(view: Callable[..., Any]) -> Callable[..., Any]:
    return wraps(view)(without_wraps(view))


@pytest.mark.case("D05")
def test_a_decorator_without_wraps_exempts_no_other_view() -> None:
    app = protected("before")
    app.add_url_rule("/inside", "inside", token_required(without_wraps(lambda: "in")), methods=["POST"])
    app.add_url_rule("/outside", "outside", without_wraps(token_required(lambda: "in")), methods=["POST"])
    app.add_url_rule("/open", "open", without_wraps(lambda: "changed"), methods=["POST"])
    client, header = app.test_client(), new_token_header(app)
    assert [client.post(path, headers=header).status_code for path in ("/inside", "/outside")] == [200, 200]
    # Without a token, CSRFProtect answers before a guard that cannot be detected.
    assert [client.post(path).status_code for path in ("/inside", "/outside", "/open")] == [401, 400, 400]


@pytest.mark.case("D05")
def test_a_view_that_copied_a_guard_s_attributes_stays_protected() -> None:
    app = protected("before")

    def save() -> str:
        return "changed"

    guarded = token_required(save)

    def imposter() -> str:
        return "changed"

    imposter.__dict__.update(guarded.__dict__)
    del imposter.__dict__["__wrapped__"]
    app.add_url_rule("/guarded", "guarded", with_wraps(guarded), methods=["POST"])
    app.add_url_rule("/imposter", "imposter", imposter, methods=["POST"])
    client, header = app.test_client(), new_token_header(app)
    assert client.post("/guarded", headers=header).status_code == 200
    assert [client.post(path).status_code for path in ("/guarded", "/imposter")] == [401, 400]


@pytest.mark.case("D05")
def test_an_optional_view_is_exempt_only_for_a_request_with_a_bearer_token() -> None:
    app = protected("after")
    app.post("/optional")(token_required(optional=True)(lambda: current_token.owner_id if current_token else "anon"))
    client, header = app.test_client(), new_token_header(app)
    assert client.post("/optional", headers=header).text == "ann"
    assert client.post("/optional").status_code == 400
    assert client.post("/optional", headers={"Authorization": "Basic x"}).status_code == 400
    assert client.post("/optional", headers=bearer("x")).status_code == 401


@pytest.mark.case("D05")
def test_guarded_blueprints_and_classes_are_exempt_and_others_are_not() -> None:
    app = protected("before")
    outer, inner, opened = (Blueprint(name, __name__, url_prefix=f"/{name}") for name in ("outer", "inner", "opened"))
    outer.before_request(partial(require_token, "read"))
    for blueprint in (outer, inner, opened):
        blueprint.post("/")(lambda: "changed")
    outer.register_blueprint(inner)
    app.register_blueprint(outer)
    app.register_blueprint(opened)

    class Half(MethodView):
        @token_required
        def post(self) -> str:
            return "changed"

        def put(self) -> str:
            return "changed"

    class Whole(MethodView):
        decorators = [token_required("read")]  # noqa: RUF012

        def post(self) -> str:
            return "changed"

    app.add_url_rule("/half", view_func=Half.as_view("half"))
    app.add_url_rule("/whole", view_func=Whole.as_view("whole"))
    app.config["ACCESS_TOKENS_SCOPES"] = {"read": "Read"}
    client, header = app.test_client(), new_token_header(app, scopes=["read"])
    for path in ("/outer/", "/outer/inner/", "/half", "/whole"):
        assert client.post(path, headers=header).status_code == 200, path
        assert client.post(path).status_code == 401, path
    assert client.post("/opened/").status_code == 400
    assert client.put("/half").status_code == 400


@pytest.mark.case("D05")
def test_one_csrf_object_protects_two_applications_each_by_its_own_views() -> None:
    csrf, apps = CSRFProtect(), []
    for name in ("one", "two"):
        app = application(name)
        AccessTokens(app, SQLAlchemy(app))
        csrf.init_app(app)
        apps.append(app)
    one, two = apps
    one.add_url_rule("/save", "save", token_required(lambda: "changed"), methods=["POST"])
    two.add_url_rule("/save", "save", lambda: "changed", methods=["POST"])
    of_one, of_two = new_token_header(one), new_token_header(two)
    assert [one.test_client().post("/save", headers=header).status_code for header in (of_one, of_two)] == [200, 401]
    assert [two.test_client().post("/save", headers=header).status_code for header in (of_one, of_two)] == [400, 200]


def test_a_host_that_checks_selected_views_itself_keeps_doing_so() -> None:
    app = application(WTF_CSRF_CHECK_DEFAULT=False)
    AccessTokens(app, SQLAlchemy(app))
    csrf = CSRFProtect(app)
    app.post("/checked")(lambda: csrf.protect() or "changed")
    app.post("/open", endpoint="open")(lambda: "changed")
    assert app.config["WTF_CSRF_CHECK_DEFAULT"] is False
    assert app.test_client().post("/checked").status_code == 400
    assert app.test_client().post("/open").status_code == 200


def test_a_host_that_exempts_views_itself_keeps_doing_so() -> None:
    app = application()
    AccessTokens(app, SQLAlchemy(app))
    csrf = CSRFProtect(app)
    app.post("/hook")(csrf.exempt(lambda: "changed"))
    assert app.test_client().post("/hook").status_code == 200
