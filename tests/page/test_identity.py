"""Who may open the page: sessions, sign-in and tokens."""

from collections.abc import Callable
from typing import Any

import pytest
from flask import abort, redirect, request, session
from flask_login import UserMixin

from catalogs import NEW, PAGE
from flask_access_tokens import secret, tokens
from host import REDIRECTED, Host, bearer
from login import logged_in, with_flask_login
from pages import HTMX, Make, answer_to_question, delete_path, form_data, names, refused_everywhere, shown_names


@pytest.mark.case("C06")
def test_an_anonymous_visitor_gets_401_where_the_host_has_no_sign_in(login_host: Host) -> None:
    refused_everywhere(login_host, login_host.client(), 401)
    for answer in refused_everywhere(login_host, login_host.client(), 401, HTMX):
        assert answer.headers["HX-Redirect"] == PAGE


@pytest.mark.case("C06", "D17")
def test_an_anonymous_visitor_is_redirected_to_flask_logins_login_view(login_host: Host) -> None:
    with_flask_login(login_host).login_view = "login"
    for answer in refused_everywhere(login_host, login_host.app.test_client(), REDIRECTED):
        assert answer.location.startswith("/login?next=%2Faccess-tokens%2F")
    for answer in refused_everywhere(login_host, login_host.app.test_client(), 401, HTMX):
        assert answer.headers["HX-Redirect"].startswith("/login?next=%2Faccess-tokens%2F")
        assert answer.location is None
        assert "Please log in" not in answer.text


@pytest.mark.case("C06")
def test_an_anonymous_visitor_gets_401_where_flask_login_has_no_login_view(login_host: Host) -> None:
    with_flask_login(login_host)
    refused_everywhere(login_host, login_host.app.test_client(), 401)
    for answer in refused_everywhere(login_host, login_host.app.test_client(), 401, HTMX):
        assert answer.headers["HX-Redirect"] == PAGE


def redirected() -> Any:
    return redirect("/welcome")


def aborted() -> Any:
    abort(401)


def aborted_with_a_redirect() -> Any:
    abort(redirect("/welcome"))


def text_and_status() -> Any:
    return "who are you?", 401


@pytest.mark.case("C06")
@pytest.mark.parametrize("respond", [redirected, aborted, aborted_with_a_redirect, text_and_status])
def test_an_anonymous_visitor_gets_the_response_of_flask_logins_unauthorized_handler(
    login_host: Host, respond: Callable[[], Any]
) -> None:
    with_flask_login(login_host).unauthorized_handler(respond)
    redirects = respond in (redirected, aborted_with_a_redirect)
    answers = refused_everywhere(login_host, login_host.app.test_client(), REDIRECTED if redirects else 401)
    assert {answer.location for answer in answers} == {"/welcome" if redirects else None}
    answers = refused_everywhere(login_host, login_host.app.test_client(), 401, HTMX)
    assert {answer.headers["HX-Redirect"] for answer in answers} == {"/welcome" if redirects else PAGE}
    assert {answer.location for answer in answers} == {None}


@pytest.mark.case("C06")
@pytest.mark.parametrize("respond", [redirected, text_and_status])
def test_an_anonymous_visitor_gets_the_response_of_the_hosts_401_handler(
    login_host: Host, respond: Callable[[], Any]
) -> None:
    login_host.app.register_error_handler(401, lambda error: respond())
    redirects = respond is not text_and_status
    answers = refused_everywhere(login_host, login_host.client(), REDIRECTED if redirects else 401)
    assert {answer.location for answer in answers} == {"/welcome" if redirects else None}
    answers = refused_everywhere(login_host, login_host.client(), 401, HTMX)
    assert {answer.headers["HX-Redirect"] for answer in answers} == {"/welcome" if redirects else PAGE}


@pytest.mark.case("C06")
def test_htmx_follows_the_redirect_of_a_hosts_before_request_hook(make_host: Make) -> None:
    host = make_host()

    @host.app.before_request
    def members_only() -> Any:
        return None if session.get("person") or request.path.startswith("/sign-in") else redirect("/welcome")

    answers = refused_everywhere(host, host.client(), REDIRECTED)
    assert {answer.location for answer in answers} == {"/welcome"}
    answers = refused_everywhere(host, host.client(), 401, HTMX)
    assert {answer.headers["HX-Redirect"] for answer in answers} == {"/welcome"}
    assert {answer.location for answer in answers} == {None}


@pytest.mark.case("C06")
def test_a_form_sent_after_the_session_ended_redirects_to_the_sign_in(make_host: Make) -> None:
    host = make_host(csrf=True)
    with_flask_login(host).login_view = "login"
    token = host.generate("ann", "t-kept").token
    client = logged_in(host, "ann")
    form, question = form_data(client), answer_to_question(client, token)
    client.delete_cookie("session")
    for path, sent in ((NEW, form), (delete_path(token), question)):
        assert client.post(path, data=sent).location.startswith("/login")
        answer = client.post(path, data=sent, headers=HTMX)
        assert (answer.status_code, answer.headers["HX-Redirect"].partition("?")[0]) == (401, "/login")
        assert "expired" not in answer.text
    assert names(host) == ["t-kept"]


@pytest.mark.case("S19")
def test_without_an_identity_loader_nobody_is_signed_in_and_the_log_says_once_how_to_set_one(
    login_host: Host, caplog: pytest.LogCaptureFixture
) -> None:
    login_host.access_tokens._loaders.identity = None
    refused_everywhere(login_host, login_host.client("ann"), 401)
    (line,) = (record.getMessage() for record in caplog.records if record.name == "flask_access_tokens")
    assert "Decorate a function with @access_tokens.identity_loader" in line


@pytest.mark.case("C08")
def test_a_token_gives_no_access_to_the_page(login_host: Host) -> None:
    secret = login_host.generate("ann", "t-api").secret
    for scheme in ("Bearer", "bEARER", "Basic eDp5, Bearer"):
        headers = {"Authorization": f"{scheme} {secret}"}
        refused_everywhere(login_host, login_host.client(), 401, headers)
        refused_everywhere(login_host, login_host.client("ann"), 401, headers)


@pytest.mark.case("C08")
def test_a_token_gives_no_access_to_the_page_even_if_the_hosts_request_loader_accepts_it(login_host: Host) -> None:
    manager = with_flask_login(login_host)
    manager.login_view = "login"

    class Program(UserMixin):
        def __init__(self, name: str) -> None:
            self.id = name

    @manager.request_loader
    def load(request: Any) -> Any:
        token = tokens.find(request.headers.get("Authorization", "").removeprefix("Bearer "))
        return Program(token.owner_id) if token else None

    secret = login_host.generate("ann", "t-api").secret
    refused_everywhere(login_host, login_host.app.test_client(), 401, bearer(secret))
    refused_everywhere(login_host, logged_in(login_host, "ann"), 401, bearer(secret))


@pytest.mark.case("C08")
def test_a_token_in_a_custom_header_of_the_host_gives_no_access_to_the_page(login_host: Host) -> None:
    manager = with_flask_login(login_host)

    @manager.request_loader
    def load(request: Any) -> Any:
        token = tokens.find(request.headers.get("X-Api-Key", ""))
        return manager.user_callback(token.owner_id) if token else None

    secret = login_host.generate("ann", "t-api").secret
    refused_everywhere(login_host, login_host.app.test_client(), 401, {"X-Api-Key": secret})
    assert shown_names(logged_in(login_host, "bob").get(PAGE, headers={"X-Api-Key": secret})) == []


def test_a_person_whom_flask_login_remembers_has_access(host: Host) -> None:
    with_flask_login(host)
    host.generate("ann", "t-mine")
    client = host.app.test_client()
    client.get("/log-in/ann?remember=1")
    client.delete_cookie("session")
    assert shown_names(client.get(PAGE)) == ["t-mine"]


@pytest.mark.case("C08")
def test_a_token_of_this_form_sent_with_a_session_is_refused_and_a_proxy_s_own_is_not(host: Host) -> None:
    client, unknown = host.client("ann"), str(secret.generate("pat"))
    for value in (f"Bearer {unknown}", f"bearer  {unknown}", f"Bearer a, Bearer {unknown}", f"Bearer {unknown} x"):
        assert client.get(PAGE, headers={"Authorization": value}).status_code == 401, value
    for value in ("Basic eDp5", "Digest bearer", "", "Bearer", "Bearer x", "Bearer eyJ0.e30.c2ln", "Negotiate abc="):
        assert client.get(PAGE, headers={"Authorization": value}).status_code == 200, value
