"""Which requests CSRFProtect passes because of their token, and that all others are checked when it runs."""

from collections.abc import Callable
from functools import partial, wraps
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask, g, request
from flask_sqlalchemy import SQLAlchemy
from flask_sqlalchemy.session import Session
from flask_wtf import CSRFProtect

from applications import application, new_token_header
from flask_access_tokens import (
    AccessTokens,
    current_token,
    require_token,
    token_required,
    tokens,
)
from flask_access_tokens.api import check
from host import Clock, Host, bearer
from protected import protected
from refusals import FORGED
from visits import FOREIGN


@pytest.mark.case("S07")
@pytest.mark.parametrize("guard", ["hook", "or_session", "plain view"])
def test_no_function_of_the_host_s_acts_on_a_forged_request_before_csrfprotect(guard: str) -> None:
    app, acts = protected("before"), list[str]()

    @app.before_request
    def guard_some() -> None:
        if guard == "hook" and request.path.startswith("/api/"):
            require_token()

    @app.before_request
    def act() -> Any:
        if request.path == "/transfer":
            acts.append(request.method)
            return "transferred"
        return None

    def acting(view: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(view)
        def wrapper() -> Any:
            acts.append("decorator")
            return view()

        return wrapper

    view = token_required(or_session=True)(lambda: "in") if guard == "or_session" else lambda: "in"
    app.post("/notes", endpoint="notes")(acting(view))
    for path in ("/api/things", "/transfer"):
        app.post(path, endpoint=path)(lambda: "in")
    header = new_token_header(app)
    client = signed_in(app)
    for headers in ({}, bearer(FORGED), FOREIGN):
        for path in ("/transfer", "/notes", "/api/things"):
            assert client.post(path, headers=headers).status_code in (400, 401), (path, headers)
    assert acts == []
    assert app.test_client().post("/api/things", headers=header).text == "in"


def signed_in(app: Flask) -> Any:
    """A client whose session the identity loader takes for Ann's."""
    client = app.test_client()
    with client.session_transaction() as stored:
        stored["person"] = "ann"
    return client


@pytest.mark.case("S07")
def test_a_token_that_is_not_valid_is_no_csrf_token_for_a_decorator_of_the_host_s(clock: Clock) -> None:
    app = protected("before")
    app.post("/things")(lambda: "changed")  # it would take a session, or look up a token itself
    deleted, expired = new_token_header(app, "bob"), new_token_header(app, lifetime_days=1)
    valid = new_token_header(app, lifetime_days=30)
    with app.app_context():
        tokens.delete_all("bob")
    clock.pass_(days=2)
    client = signed_in(app)
    for headers in (deleted, expired, bearer(FORGED)):
        assert client.post("/things", headers=headers).status_code == 400
    assert client.post("/things", headers=valid).status_code == 200
    app.config["ACCESS_TOKENS_ENABLED"] = False
    assert client.post("/things", headers=valid).status_code == 400


@pytest.mark.case("S07")
def test_a_host_that_switches_the_check_on_later_keeps_the_exemption() -> None:
    app = protected("before")
    app.config["WTF_CSRF_CHECK_DEFAULT"] = True
    app.post("/guarded")(token_required(lambda: "in"))
    app.post("/open", endpoint="open")(lambda: "changed")
    header = new_token_header(app)
    for _ in range(2):
        assert app.test_client().post("/guarded", headers=header).status_code == 200
        assert [app.test_client().post(path).status_code for path in ("/guarded", "/open")] == [401, 400]
        app.config["WTF_CSRF_CHECK_DEFAULT"] = True


@pytest.mark.case("S07")
def test_a_token_is_looked_up_once_for_csrfprotect_and_the_guards(make_host: Callable[..., Host]) -> None:
    host = make_host(csrf=True)
    header = bearer(host.generate(scopes=["write"]).secret)
    assert host.client().post("/write", headers=header).status_code == 200
    looked_up = []
    lookup = check.lookup
    patch = pytest.MonkeyPatch()
    patch.setattr(check, "lookup", lambda *args: looked_up.append(1) or lookup(*args))
    assert host.client().post("/write", headers=header).status_code == 200
    assert host.client().post("/write", headers=bearer(FORGED)).status_code == 401
    patch.undo()
    assert len(looked_up) == 2


@pytest.mark.case("S07")
def test_a_database_that_is_down_is_503_for_a_token_wherever_its_guard_is() -> None:
    app = protected("before")
    app.before_request(lambda: require_token() if request.path == "/hook" else None)
    for path in ("/hook", "/view"):
        app.post(path, endpoint=path)(lambda: "in" if request.path == "/hook" else token_required(lambda: "in")())
    header = new_token_header(app)
    with app.app_context():
        app.extensions["sqlalchemy"].drop_all()
    for path in ("/hook", "/view"):
        answer = app.test_client().post(path, headers=header)
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "2")


@pytest.mark.case("S07")
@pytest.mark.parametrize("value", [1, "True", "yes"])
def test_every_true_value_of_the_check_keeps_the_exemption(value: object) -> None:
    app = protected("before")
    app.config["WTF_CSRF_CHECK_DEFAULT"] = value
    app.post("/guarded")(token_required(lambda: "in"))
    header = new_token_header(app)
    assert [app.test_client().post("/guarded", headers=each).status_code for each in (header, {})] == [200, 401]


def test_an_application_that_takes_over_the_configuration_of_another_one_is_exempted_too() -> None:
    first, second = protected("before"), application("second")
    for app in (first, second):
        app.post("/guarded")(token_required(lambda: current_token.owner_id))
    assert first.test_client().post("/guarded", headers=new_token_header(first)).text == "ann"
    second.config["WTF_CSRF_CHECK_DEFAULT"] = first.config["WTF_CSRF_CHECK_DEFAULT"]
    CSRFProtect(second)
    AccessTokens(second, SQLAlchemy(second))
    assert second.test_client().post("/guarded", headers=new_token_header(second, "bob")).text == "bob"
    assert second.test_client().post("/guarded").status_code == 401


@pytest.mark.case("A14")
def test_the_body_of_an_exempt_view_stays_unread() -> None:
    app = protected("before")
    app.before_request(partial(require_token, optional=True))
    app.post("/hook")(app.extensions["csrf"].exempt(lambda: request.get_data(as_text=True)))
    assert app.test_client().post("/hook", data={"signed": "text"}).text == "signed=text"


@pytest.mark.case("S07")
@pytest.mark.parametrize("chosen_by", ["do_orm_execute", "get_bind"])
def test_a_tenant_that_is_chosen_after_csrfprotect_has_its_own_tokens(chosen_by: str, tmp_path: Path) -> None:
    app = application(SQLALCHEMY_BINDS={name: f"sqlite:///{tmp_path / name}" for name in ("north", "south")})

    class ByTenant(Session):
        def get_bind(self, *args: Any, **kwargs: Any) -> Any:
            return db.engines[g.tenant] if chosen_by == "get_bind" else super().get_bind(*args, **kwargs)

    db = SQLAlchemy(app, session_options={"class_": ByTenant})
    CSRFProtect(app)
    access_tokens = AccessTokens(app, db)
    app.before_request(lambda: setattr(g, "tenant", request.headers["X-Tenant"]))
    acts: list[str] = []
    app.before_request(lambda: acts.append(request.method))
    app.post("/things")(token_required(lambda: "in"))
    headers = {}
    with app.app_context():
        db.create_all(None)
        for name in ("north", "south"):
            access_tokens.model.__table__.create(db.engines[name])
            g.tenant = name
            headers[name] = bearer(tokens.generate(name, "laptop").secret)
            db.session.remove()
    if chosen_by == "do_orm_execute":

        @sa.event.listens_for(db.session, "do_orm_execute")
        def narrow(execution: Any) -> None:
            mine = access_tokens.model.owner_id == g.tenant
            execution.statement = execution.statement.where(mine)

    statuses = [
        app.test_client().post("/things", headers={"X-Tenant": tenant, **headers[owner]}).status_code
        for tenant in ("north", "south")
        for owner in ("north", "south")
    ]
    assert statuses == [200, 401, 401, 200]
    acts.clear()
    for foreign in ({}, FOREIGN):  # such as a proxy may add to every request
        assert app.test_client().post("/things", headers={"X-Tenant": "north", **foreign}).status_code == 401
    assert acts == []
    with app.app_context():
        for engine in db.engines.values():
            engine.dispose()
