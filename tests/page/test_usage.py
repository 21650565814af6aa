"""What a new token can call: the curl command, or a warning that it opens nothing."""

from typing import Any

from catalogs import NEW, client_of, set_up_babel
from flask_access_tokens import token_required
from host import Host
from markup import Page
from pages import SECRET, Make, token_fields

NO_SCOPES = "This token has no scopes, so it can't call any route of this application."
WRONG_SCOPES = "With the scopes it has, this token can't call any route of this application."
SCOPE_NEEDED = "With none selected, the token can't call any route of this application."


def guard(host: Host, **scopes: str | None) -> None:
    """Require a scope in each of the host's views that are named, and nothing at all in the others."""
    for endpoint in ("api", "write", "optional"):
        view: Any = lambda: "called"  # noqa: E731
        scope = scopes.get(endpoint)
        host.app.view_functions[endpoint] = token_required(scope)(view) if scope else view


def generated(host: Host, *scopes: str) -> str:
    """The page after Ann generated a token with these scopes."""
    answer = host.client("ann").post(NEW, data=token_fields("t-a", scopes=list(scopes)))
    assert answer.status_code == 200
    assert SECRET.search(answer.text)
    return " ".join(Page(answer).text.split())


def form(host: Host) -> str:
    return " ".join(Page(host.client("ann").get(NEW)).text.split())


def test_without_a_guarded_route_the_header_is_shown_and_no_warning(host: Host) -> None:
    guard(host)
    text = generated(host)
    assert "curl" not in text
    assert "send this header with each request" in text
    assert "Authorization: Bearer $TOKEN" in text
    assert "can't call" not in text
    assert "can't call" not in form(host)


def test_a_token_that_opens_no_route_comes_with_a_warning_and_no_command(host: Host) -> None:
    guard(host, api="read", write="write")
    text = generated(host)
    assert NO_SCOPES in text
    assert "curl" not in text
    assert "Waiting for its first use" not in text
    assert SCOPE_NEEDED in form(host)
    text = generated(host, "read")
    assert "can't call" not in text
    assert "http://localhost/api" in text


def test_a_token_whose_scopes_open_no_route_comes_with_a_warning(host: Host) -> None:
    guard(host, write="write")
    assert WRONG_SCOPES in generated(host, "read")
    assert NO_SCOPES in generated(host)


def test_a_route_that_a_curl_command_cannot_call_needs_no_warning(host: Host) -> None:
    guard(host, write="write")
    host.app.add_url_rule("/things/<name>", "thing", token_required(lambda name: name))
    assert "curl" not in generated(host)
    assert "can't call" not in generated(host)
    assert "can't call" not in generated(host, "write")
    assert "can't call" not in form(host)


def test_a_route_that_another_one_hides_counts_as_none(host: Host) -> None:
    guard(host, write="write")
    host.app.add_url_rule("/api", "hidden", token_required(lambda: "hidden"))
    assert NO_SCOPES in generated(host)


def test_a_form_keeps_its_warning_after_an_error(host: Host) -> None:
    guard(host, api="read")
    client = host.client("ann")
    for sent, status in (({"name": ""}, 422), (token_fields("t-a", access_tokens_nonce="x"), 400)):
        answer = client.post(NEW, data=sent)
        assert answer.status_code == status
        assert SCOPE_NEEDED in Page(answer).text


def test_an_owner_who_can_grant_no_scope_is_warned_too(make_host: Make) -> None:
    host = make_host(ACCESS_TOKENS_SCOPES={})
    guard(host, api="read")
    assert "You can't grant any scopes. A token without scopes can't call any route" in form(host)


def test_the_warnings_are_translated(make_host: Make) -> None:
    host = make_host()
    set_up_babel(host)
    guard(host, write="write")
    client = client_of(host)
    assert "Ohne eine Auswahl kann das Token keine Route" in client.get(NEW).text
    for scopes, said in (([], "Dieses Token hat keine Berechtigungen"), (["read"], "Mit seinen Berechtigungen")):
        assert said in client.post(NEW, data=token_fields("t-a", scopes=scopes)).text
    host.app.config["ACCESS_TOKENS_SCOPES"] = {}
    assert "Sie können keine Berechtigungen vergeben." in client.get(NEW).text
