"""Who may open the operators' desk: the operator in their session. For everybody else it does not exist."""

from collections.abc import Callable
from typing import Any

import pytest
from flask import abort, session
from flask_login import UserMixin, current_user
from sqlalchemy.exc import NoResultFound
from werkzeug.local import LocalProxy

from desk_pages import (
    DESK,
    DESK_DELETE,
    DESK_FIND,
    DESK_NEW,
    answer_to,
    find_data,
    generated_data,
    selection,
    with_operator,
)
from flask_access_tokens import secret, tokens
from host import Host, bearer
from login import logged_in, with_flask_login
from markup import Page
from pages import HTMX, PAGE, delete_path, edit_path, form_data, status_of

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
KINDS: tuple[dict[str, str], ...] = ({}, HTMX, {**HTMX, "HX-Boosted": "true"})


def attempts(token: tokens.Token) -> list[tuple[str, str]]:
    """Every method with every URL of the desk, with and without the slash at the end."""
    queries = {
        "": ("", "?owner=ann"),
        "find": ("",),
        "delete": ("", f"?token={token.id}", "?owner=ann&everything=1"),
        "new": ("", "?owner=ann"),
        "nothing": ("",),
    }
    paths = [f"{path}{slash}" for path in queries for slash in ("", "/")]
    return [
        (method, f"{DESK.rstrip('/')}{f'/{path}' if path.strip('/') else path}{query}")
        for path in paths
        for query in queries[path.strip("/")]
        for method in METHODS
    ]


def stolen_fields(host: Host, token: tokens.Token, made: str) -> dict[str, Any]:
    """The fields of every form of the desk, as an operator's browser would send them."""
    olga = host.client("olga")
    fields = {**find_data(olga, made), **generated_data(olga, "ann"), **answer_to(olga, selection(token))}
    del fields["csrf_token"]
    return fields


def hidden_from(host: Host, client: Any, fields: dict[str, Any], headers: dict[str, str] | None = None) -> None:
    """Assert that to a client every URL of the desk is like one that never existed, and that nothing is changed."""
    (token,) = [token for token in _stored(host) if token.name == "t-kept"]
    unknown = host.client().get("/no-such-page").text
    before = host.rows()
    for kind in KINDS:
        for method, path in attempts(token):
            answer = client.open(path, method=method, headers={**kind, **(headers or {})}, data=fields)
            assert answer.status_code == 404, (method, path, kind)
            assert answer.text == ("" if method == "HEAD" else unknown), (method, path, kind)
            assert not {"Allow", "Location", "HX-Redirect"} & set(answer.headers.keys())
    assert host.rows() == before


def _stored(host: Host) -> list[tokens.Token]:
    with host.app.app_context():
        return list(tokens.iter_all())


@pytest.fixture
def guarded(login_host: Host) -> tuple[Host, dict[str, Any]]:
    """A host with an operator and a token of Ann, and what an operator's browser would send."""
    host = with_operator(login_host)
    made = host.generate("ann", "t-kept")
    return host, stolen_fields(host, made.token, made.secret)


def with_own_csrf_token(client: Any, fields: dict[str, Any]) -> dict[str, Any]:
    return {**fields, "csrf_token": form_data(client).get("csrf_token", "")}


@pytest.mark.parametrize("person", ["ann", "bob"])
def test_for_owners_the_desk_does_not_exist(guarded: tuple[Host, dict[str, Any]], person: str) -> None:
    host, fields = guarded
    client = host.client(person)
    hidden_from(host, client, with_own_csrf_token(client, fields))


def test_for_a_signed_out_visitor_the_desk_does_not_exist(guarded: tuple[Host, dict[str, Any]]) -> None:
    host, fields = guarded
    hidden_from(host, host.client(), fields)


@pytest.mark.case("C08")
def test_for_a_request_with_a_token_the_desk_does_not_exist(guarded: tuple[Host, dict[str, Any]]) -> None:
    host, fields = guarded
    host.app.config["ACCESS_TOKENS_ALSO_FROM"] = ["X-API-Key"]
    olga = host.client("olga")
    own = with_own_csrf_token(olga, fields)
    for owner in ("ann", "olga"):
        header = bearer(host.generate(owner).secret)
        hidden_from(host, host.client(), fields, header)
        hidden_from(host, olga, own, header)
    hidden_from(host, olga, own, {"X-API-Key": str(secret.generate("pat"))})
    assert olga.get(DESK).status_code == 200


def test_the_operator_can_do_what_is_refused_to_everybody_else(guarded: tuple[Host, dict[str, Any]]) -> None:
    host, fields = guarded
    olga = host.client("olga")
    own = with_own_csrf_token(olga, fields)
    (token,) = _stored(host)
    assert (olga.get(DESK).status_code, olga.head(DESK).status_code) == (200, 200)
    assert "t-kept" in olga.post(DESK_FIND, data=own).text
    assert olga.post(f"{DESK_NEW}?owner=ann", data=own).status_code == 200
    assert olga.post(selection(token), data=own).status_code == 303
    assert [each.name for each in _stored(host)] == ["laptop"]
    for path in (DESK, DESK_NEW, f"{DESK_NEW}?owner=ann", f"{DESK_DELETE}?owner=ann&everything=1"):
        answer = olga.get(path)
        assert answer.headers["Cache-Control"] == "no-store"
        assert {"Cookie", "HX-Request"} <= set(answer.vary)
        assert answer.headers["Content-Security-Policy"] == "frame-ancestors 'none'"


def test_methods_that_no_view_has_are_404_for_the_operator_too(guarded: tuple[Host, dict[str, Any]]) -> None:
    host, fields = guarded
    olga = host.client("olga")
    own, before = with_own_csrf_token(olga, fields), host.rows()
    (token,) = _stored(host)
    for method, path in attempts(token):
        if method not in ("GET", "HEAD", "POST"):
            assert olga.open(path, method=method, data=own).status_code == 404, (method, path)
    assert (olga.get(DESK_FIND).status_code, olga.post(DESK, data=own).status_code) == (404, 404)
    assert host.rows() == before


@pytest.mark.case("C01")
def test_the_owners_page_knows_no_operator(guarded: tuple[Host, dict[str, Any]]) -> None:
    host, fields = guarded
    olga, (token,) = host.client("olga"), _stored(host)
    own, before = with_own_csrf_token(olga, fields), host.rows()
    for path in (delete_path(token), edit_path(token), f"/access-tokens/{token.id}/rotate"):
        for method in ("GET", "POST"):
            assert olga.open(path, method=method, data=own).status_code == 404, (method, path)
    assert olga.get(f"/access-tokens/{token.id}/use").status_code == 404
    assert "t-kept" not in olga.get(f"{PAGE}?owner=ann&q={token.id}").text
    assert host.rows() == before


def raises_not_found() -> Any:
    abort(404)


def raises_no_result() -> Any:
    raise NoResultFound


@pytest.mark.parametrize(
    "load",
    [
        lambda: None,
        lambda: False,
        lambda: "",
        lambda: 0,
        lambda: LocalProxy(lambda: None),
        lambda: LocalProxy(lambda: ""),
        raises_not_found,
        raises_no_result,
        None,
    ],
    ids=["None", "False", "empty", "zero", "a proxy of None", "a proxy of empty", "404", "no row", "no loader"],
)
def test_without_an_operator_id_the_desk_does_not_exist(
    guarded: tuple[Host, dict[str, Any]], load: Callable[[], Any] | None
) -> None:
    host, fields = guarded
    olga = host.client("olga")
    own = with_own_csrf_token(olga, fields)
    host.access_tokens._loaders.operator = load
    hidden_from(host, olga, own)


@pytest.mark.parametrize("answer", [True, object(), 1.5, "a\nb", " olga", ["olga"]])
def test_an_operator_loader_that_returns_something_else_is_an_error_that_says_what_to_return(
    host: Host, answer: Any
) -> None:
    host.access_tokens.operator_loader(lambda: answer)
    with pytest.raises(ValueError, match="The operator loader must return the ID of the operator, or None"):
        host.client("olga").get(DESK)


def test_an_operator_loader_may_be_async_and_return_a_proxy_or_a_number(host: Host) -> None:
    async def load() -> str | None:
        return "olga" if session.get("person") == "olga" else None

    host.access_tokens.operator_loader(load)
    assert (host.client("olga").get(DESK).status_code, host.client("ann").get(DESK).status_code) == (200, 404)
    for answer in (LocalProxy(lambda: "olga"), 7, LocalProxy(lambda: 7)):
        host.access_tokens.operator_loader(lambda answer=answer: answer)
        assert host.client().get(DESK).status_code == 200


@pytest.mark.case("C08")
def test_a_user_whom_flask_login_took_from_a_header_is_no_operator(login_host: Host) -> None:
    host = with_operator(login_host)
    manager = with_flask_login(host)
    made = host.generate("ann", "t-kept")
    fields = stolen_fields(host, made.token, made.secret)

    class Program(UserMixin):
        id = "olga"

    manager.request_loader(lambda request: Program() if request.headers.get("X-Key") == "of olga" else None)
    host.access_tokens.operator_loader(lambda: current_user.get_id() if current_user.get_id() == "olga" else None)
    key = {"X-Key": "of olga"}
    hidden_from(host, host.app.test_client(), fields, key)
    hidden_from(host, logged_in(host, "bob"), fields, key)
    stale = host.app.test_client()
    manager.user_loader(lambda user_id: None)
    with stale.session_transaction() as opened:
        opened.update(_user_id="olga", _fresh=True)
    hidden_from(host, stale, fields, key)
    manager.user_loader(lambda user_id: Program() if user_id == "olga" else None)
    assert logged_in(host, "olga").get(DESK, headers=key).status_code == 200


@pytest.mark.case("H01")
def test_with_the_flag_off_the_desk_does_not_exist_and_nobody_is_identified(
    guarded: tuple[Host, dict[str, Any]],
) -> None:
    host, fields = guarded
    olga = host.client("olga")
    own = with_own_csrf_token(olga, fields)
    host.access_tokens.operator_loader(lambda: pytest.fail("the operator was asked for"))
    for flag in (False, None, 1, "true"):
        host.app.config["ACCESS_TOKENS_ENABLED"] = flag
        with host.statements() as seen:
            assert [olga.post(path, data=own).status_code for path in (DESK_FIND, DESK_DELETE, DESK_NEW)] == [404] * 3
            assert olga.get(DESK).status_code == 404
        assert seen == []
    hidden_from(host, olga, own)


@pytest.mark.case("H04")
def test_a_flag_that_is_off_for_the_operator_hides_the_desk(guarded: tuple[Host, dict[str, Any]]) -> None:
    host, fields = guarded
    olga = host.client("olga")
    own = with_own_csrf_token(olga, fields)

    def off_for_olga(owner_id: str | None) -> bool:
        return owner_id != "olga"

    def broken(owner_id: str | None) -> bool:
        raise ZeroDivisionError

    for flag in (off_for_olga, broken):
        host.app.config["ACCESS_TOKENS_ENABLED"] = flag
        hidden_from(host, olga, own)
    host.app.config["ACCESS_TOKENS_ENABLED"] = lambda owner_id: owner_id == "olga"
    assert olga.get(DESK).status_code == 200
    hidden_from(host, host.client("ann"), fields)


def test_the_desk_has_its_assets_where_the_operator_owns_no_tokens(host: Host) -> None:
    with_operator(host)
    host.app.config["ACCESS_TOKENS_ENABLED"] = lambda person: person == "olga"
    host.access_tokens.identity_loader(lambda: None)
    olga = host.client("olga")
    links = [element.attributes["href"] for element in Page(olga.get(DESK)).all("link", rel="stylesheet")]
    assert any("desk.css" in link for link in links)
    for person, status in (("olga", 200), ("ann", 404), (None, 404)):
        assert {status_of(host.client(person), link) for link in links} == {status}
    host.access_tokens._loaders.identity = None
    assert {status_of(olga, link) for link in links} == {200}
