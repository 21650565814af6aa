"""The page's door, over HTTP, as a browser without script and as htmx speak to it."""

import itertools
import re
import threading
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask, abort, g, jsonify, redirect, request, session
from flask_login import LoginManager, UserMixin, login_user
from host import REDIRECTED, Host, bearer
from jinja2 import DictLoader
from markup import Page
from sqlalchemy.orm import Mapped, mapped_column
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.middleware.proxy_fix import ProxyFix
from werkzeug.test import Client

from flask_access_tokens import AccessTokenMixin, clock, token_deleted, token_required, tokens

PAGE = "/access-tokens/"
NEW = "/access-tokens/new"
HTMX = {"HX-Request": "true"}
NOBODY = uuid.UUID("00000000-0000-4000-8000-000000000000")
SECRET = re.compile(r"pat_[0-9A-Za-z]{49}")

Make = Callable[..., Host]


def delete_path(token: tokens.Token | uuid.UUID) -> str:
    return f"/access-tokens/{token if isinstance(token, uuid.UUID) else token.id}/delete"


def use_path(token: tokens.Token) -> str:
    return f"/access-tokens/{token.id}/use"


def wish(client: Any, path: str = NEW, **fields: Any) -> dict[str, Any]:
    """What the Generate form sends when a person has opened it and typed a name."""
    return {**Page(client.get(path)).form("/new").fields, **typed("laptop"), **fields}


def typed(name: str, **fields: Any) -> dict[str, Any]:
    """What the form says of a token, without what it carries hidden."""
    return {"name": name, "lifetime_days": "30", **fields}


def answer_to_question(client: Any, token: tokens.Token) -> dict[str, Any]:
    """What the button of the delete question sends."""
    return dict(Page(client.get(delete_path(token))).form("/delete").fields)


def names(host: Host, owner: object = "ann") -> list[str]:
    """The names of what an owner holds."""
    with host.app.app_context():
        return sorted(token.name for token in tokens.owned_by(owner))


def shown_names(answer: Any) -> list[str]:
    """The names of the tokens in a list, by the action of each row."""
    said = [f"{element.attributes.get('aria-label', '')} {element.text}" for element in Page(answer).elements]
    return sorted({found[1] for text in said if (found := re.search(r"Delete token (t-\w+)", text))})


def is_fragment(answer: Any) -> bool:
    """Whether an answer is the panel alone."""
    tags = [element.tag for element in Page(answer).elements]
    return tags[0] == "section" and "html" not in tags and "main" not in tags


def with_flask_login(host: Host) -> LoginManager:
    """Let Flask-Login say who is signed in, as most hosts do."""
    manager = LoginManager(host.app)

    class User(UserMixin):
        def __init__(self, name: str) -> None:
            self.id = name

    manager.user_loader(User)
    host.access_tokens._loaders.identity = None

    @host.app.get("/log-in/<person>")
    def log_in(person: str) -> str:
        login_user(User(person), remember="remember" in request.args)
        return person

    @host.app.get("/login", endpoint="login")
    def login() -> str:
        return "Please log in"

    return manager


def logged_in(host: Host, person: str) -> Any:
    """A browser signed in through Flask-Login."""
    client = host.app.test_client()
    client.get(f"/log-in/{person}")
    return client


# The way of a token


def test_a_person_generates_uses_and_deletes_a_token(stored_host: Host) -> None:
    client = stored_host.client("ann")
    made = client.post(NEW, data=wish(client, scopes=["read"]))
    assert (made.status_code, made.location) == (200, None)
    (secret,) = SECRET.findall(made.text)
    page = Page(made)
    (field,) = [element for element in page.all("input") if element.attributes.get("value") == secret]
    assert "readonly" in field.attributes
    assert "Your new token" in made.text
    assert "cannot be shown again" in " ".join(page.text.split())
    called = stored_host.client().get("/api", headers=bearer(secret))
    assert called.get_json() == {"owner": "ann", "scopes": ["read"]}
    (token,) = [found for found in [stored_host.find(secret)] if found]
    question = Page(client.get(delete_path(token)))
    assert "cannot be undone" in question.text
    assert "will stop working" in question.text
    gone = client.post(delete_path(token), data=answer_to_question(client, token))
    assert (gone.status_code, gone.location) == (303, PAGE)
    assert stored_host.client().get("/api", headers=bearer(secret)).status_code == 401
    assert stored_host.rows() == []


@pytest.mark.case("D12")
def test_a_secret_stands_in_one_answer_and_nowhere_after_it(stored_host: Host) -> None:
    client = stored_host.client("ann")
    form = wish(client)
    made = client.post(NEW, data=form)
    (secret,) = SECRET.findall(made.text)
    body = secret.removeprefix("pat_")
    assert made.text.count(body) == 1
    assert body not in str(made.headers)
    (token,) = [found for found in [stored_host.find(secret)] if found]
    later = [
        client.get(PAGE),
        client.get(PAGE, headers=HTMX),
        client.get(NEW),
        client.get(delete_path(token)),
        client.post(NEW, data=form),
        client.get(PAGE, query_string={"q": "laptop"}),
    ]
    for answer in later:
        assert body not in answer.text
        assert body not in str(answer.headers)
    hint = f"pat_…{secret[-4:]}"
    assert token.hint == hint
    assert hint in later[0].text
    with client.session_transaction() as stored:
        assert body not in repr(dict(stored))
    assert body not in repr(token)


def test_the_row_of_a_new_token_stands_in_the_list_of_the_same_answer(stored_host: Host) -> None:
    client = stored_host.client("ann")
    for headers in ({}, HTMX):
        made = client.post(NEW, data=wish(client, name="t-new"), headers=headers)
        assert made.status_code == 200
        assert "t-new" in shown_names(made)
        assert made.text.count(SECRET.findall(made.text)[0]) == 1


def test_a_person_without_tokens_is_told_so_and_shown_the_way(host: Host) -> None:
    page = Page(host.client("ann").get(PAGE))
    assert [element.text.strip() for element in page.all("h1")] == ["Access tokens"]
    assert any(
        "Generate new token" in element.text and element.attributes.get("href") == NEW for element in page.all("a")
    )


@pytest.mark.case("F09")
def test_a_token_says_when_it_was_last_used(stored_host: Host) -> None:
    new = stored_host.generate("ann", "laptop", lifetime_days=30)
    client = stored_host.client("ann")
    assert "Never" in Page(client.get(PAGE)).text
    before = datetime.now(UTC)
    assert stored_host.client().get("/api", headers=bearer(new.secret)).status_code == 200
    (row,) = stored_host.rows()
    assert row["last_used_at"] is not None
    page = Page(client.get(PAGE))
    moments = [element.attributes["datetime"] for element in page.all("time")]
    used = max(
        datetime.fromisoformat(moment) for moment in moments if moment < (before + timedelta(days=1)).isoformat()
    )
    assert before - timedelta(seconds=1) <= used <= datetime.now(UTC)
    assert "Never" not in page.text.replace("Never used", "")


@pytest.mark.case("C01", "D08", "F09")
def test_the_script_that_waits_for_the_first_use_learns_of_its_owners_tokens_only(stored_host: Host) -> None:
    new = stored_host.generate("ann", "laptop")
    ann, bob = stored_host.client("ann"), stored_host.client("bob")
    assert ann.get(use_path(new.token)).get_json() == {"used": None}
    stored_host.client().get("/api", headers=bearer(new.secret))
    answer = ann.get(use_path(new.token))
    used = datetime.fromisoformat(answer.get_json()["used"])
    assert timedelta(0) <= datetime.now(UTC) - used < timedelta(minutes=1)
    assert answer.headers["Cache-Control"] == "no-store"
    assert {"Cookie", "HX-Request"} <= set(answer.vary)
    assert bob.get(use_path(new.token)).status_code == 404
    assert bob.post(use_path(new.token)).status_code == 405


@pytest.mark.case("F08")
def test_an_expired_token_stays_in_the_list_as_such_and_can_be_deleted(
    stored_host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    live = stored_host.generate("ann", "t-live", lifetime_days=30)
    old = stored_host.generate("ann", "t-old", lifetime_days=1)
    later = datetime.now(UTC) + timedelta(days=2)
    monkeypatch.setattr(clock, "now", lambda: later)
    client = stored_host.client("ann")
    page = Page(client.get(PAGE))
    rows = [" ".join(row.text.split()) for row in page.all("tr")]
    (expired,) = [row for row in rows if "t-old" in row]
    assert "Expired" in expired
    assert rows[-1] == expired
    assert stored_host.client().get("/api", headers=bearer(old.secret)).status_code == 401
    assert client.post(delete_path(old.token), data={}).status_code == 303
    assert names(stored_host) == ["t-live"]
    assert stored_host.client().get("/api", headers=bearer(live.secret)).status_code == 200


@pytest.mark.case("F07")
def test_a_changed_maximum_extends_nothing_and_ends_nothing(make_host: Make) -> None:
    host = make_host(ACCESS_TOKENS_MAX_LIFETIME_DAYS=30)
    host.generate("ann", "t-a", lifetime_days=30)
    before = host.rows()
    for most in (1, 365, -1):
        host.app.config["ACCESS_TOKENS_MAX_LIFETIME_DAYS"] = most
        assert host.client("ann").get(PAGE).status_code == 200
        assert host.rows() == before


# Two people


@pytest.mark.case("C01")
def test_nobody_deletes_anothers_token(stored_host: Host) -> None:
    token = stored_host.generate("ann", "t-ann")
    deleted: list[Any] = []

    def note(sender: Any, **sent: Any) -> None:
        deleted.append(sent)

    with token_deleted.connected_to(note):
        bob = stored_host.client("bob")
        assert bob.post(delete_path(token.token), data={}).status_code == 404
        assert bob.get(delete_path(token.token)).status_code == 404
        fresh = bob.post(delete_path(token.token), headers=HTMX)
        assert fresh.status_code == 200
        assert "t-ann" not in fresh.text
        asked = bob.get(delete_path(token.token), headers=HTMX)
        assert "t-ann" not in asked.text
    assert deleted == []
    assert stored_host.client().get("/api", headers=bearer(token.secret)).status_code == 200


@pytest.mark.case("C01")
def test_a_foreign_an_unknown_and_a_deleted_token_get_the_same_answer(stored_host: Host) -> None:
    foreign = stored_host.generate("ann", "t-ann").token.id
    gone = stored_host.generate("bob", "t-bob").token.id
    bob = stored_host.client("bob")
    bob.post(delete_path(gone))
    for method in ("get", "post"):
        for headers in ({}, HTMX):
            answers = [getattr(bob, method)(delete_path(one), headers=headers) for one in (foreign, gone, NOBODY)]
            assert len({(answer.status_code, answer.text) for answer in answers}) == 1
            assert answers[0].status_code == (200 if headers else 404)


@pytest.mark.case("C03")
def test_a_list_holds_its_owners_tokens_whatever_is_asked_for(stored_host: Host) -> None:
    for number in range(3):
        stored_host.generate("ann", f"t-ann{number}")
    for number in range(2):
        stored_host.generate("bob", f"t-bob{number}")
    bob = stored_host.client("bob")
    queries = [
        "",
        "page=2",
        "owner=ann",
        "user_id=ann",
        "owner_id=ann&owner_id=bob",
        "sort=owner_id",
        "status=all&owner=ann",
        "q=t-",
        "q=ann",
    ]
    for query in queries:
        answer = bob.get(f"{PAGE}?{query}")
        assert "t-ann" not in answer.text
        assert shown_names(answer) == ([] if query == "q=ann" else ["t-bob0", "t-bob1"])


OWNERS = ["o'brien", 'a"b', "a/b\\c", "😀", "%s%(x)s", "<b>", "ann@example.org", "ÀÉ", "null", "-1", "a" * 255, "__"]


def test_an_owner_id_may_be_any_text(host: Host) -> None:
    for owner in OWNERS:
        client = host.app.test_client()
        with client.session_transaction() as signed_in:
            signed_in["person"] = owner
        assert client.post(NEW, data=wish(client, name="t-mine")).status_code == 200, owner
        assert names(host, owner) == ["t-mine"]
        assert shown_names(client.get(PAGE)) == ["t-mine"]
    assert names(host, "ann") == []


def test_owner_ids_are_told_apart_exactly(stored_host: Host) -> None:
    owners = ["ann", "Ann", "ANN", "ånn", "ann.", "annn", "ann%", "_nn"]
    for owner in owners:
        stored_host.generate(owner, f"t-{owners.index(owner)}")
    for owner in owners:
        client = stored_host.app.test_client()
        with client.session_transaction() as signed_in:
            signed_in["person"] = owner
        assert shown_names(client.get(PAGE)) == [f"t-{owners.index(owner)}"]


@pytest.mark.parametrize(("kind", "ann", "bob"), [(int, 1, 2), (uuid.UUID, uuid.UUID(int=1), uuid.UUID(int=2))])
def test_owner_ids_may_be_numbers_and_uuids_in_the_hosts_own_column(
    make_host: Make, database_url: str, kind: type, ann: object, bob: object
) -> None:
    def own_model(db: Any) -> Any:
        class ApiToken(AccessTokenMixin, db.Model):
            __tablename__ = "api_tokens"
            owner_id: Mapped[kind] = mapped_column(index=True)  # type: ignore[valid-type]

        return ApiToken

    host = make_host(database_url, model=own_model)
    host.access_tokens.identity_loader(lambda: ann)
    client = host.client()
    made = client.post(NEW, data=wish(client, name="t-ann"))
    assert made.status_code == 200
    (token,) = [found for found in [host.find(SECRET.findall(made.text)[0])] if found]
    host.access_tokens.identity_loader(lambda: bob)
    assert shown_names(client.get(PAGE)) == []
    assert client.post(delete_path(token)).status_code == 404
    host.access_tokens.identity_loader(lambda: str(ann))
    assert shown_names(client.get(PAGE)) == ["t-ann"]
    assert client.post(delete_path(token)).status_code == 303


# Nobody there


def all_requests(token: tokens.Token) -> list[tuple[str, str]]:
    return [
        ("GET", PAGE),
        ("HEAD", PAGE),
        ("GET", NEW),
        ("POST", NEW),
        ("GET", delete_path(token)),
        ("POST", delete_path(token)),
        ("GET", use_path(token)),
    ]


def refused_everywhere(host: Host, client: Any, status: int, headers: dict[str, str] | None = None) -> list[Any]:
    """Every request of the page is answered with this status, and nothing changes."""
    new = host.generate("ann", "t-kept")
    before = host.rows()
    answers = [
        client.open(path, method=method, headers=headers, data=typed("t-x") if method == "POST" else None)
        for method, path in all_requests(new.token)
    ]
    assert [answer.status_code for answer in answers] == [status] * len(answers)
    assert all("t-kept" not in answer.text for answer in answers)
    assert host.rows() == before
    return answers


@pytest.fixture(params=["csrf nowhere", "csrf on every view"])
def login_host(request: pytest.FixtureRequest, make_host: Make) -> Host:
    """A host with and without CSRFProtect: its check comes before the page is asked who is there."""
    return make_host(csrf=request.param == "csrf on every view")


@pytest.mark.case("C06")
def test_a_stranger_gets_401_where_the_host_has_no_sign_in(login_host: Host) -> None:
    refused_everywhere(login_host, login_host.client(), 401)
    for answer in refused_everywhere(login_host, login_host.client(), 401, HTMX):
        assert answer.headers["HX-Redirect"] == PAGE


@pytest.mark.case("C06", "D17")
def test_a_stranger_is_led_to_the_view_that_flask_login_names(login_host: Host) -> None:
    with_flask_login(login_host).login_view = "login"
    for answer in refused_everywhere(login_host, login_host.app.test_client(), REDIRECTED):
        assert answer.location.startswith("/login?next=%2Faccess-tokens%2F")
    for answer in refused_everywhere(login_host, login_host.app.test_client(), 401, HTMX):
        assert answer.headers["HX-Redirect"].startswith("/login?next=%2Faccess-tokens%2F")
        assert answer.location is None
        assert "Please log in" not in answer.text


@pytest.mark.case("C06")
def test_a_stranger_gets_401_where_flask_login_knows_no_view(login_host: Host) -> None:
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


def words_and_a_status() -> Any:
    return "who are you?", 401


@pytest.mark.case("C06")
@pytest.mark.parametrize("say", [redirected, aborted, aborted_with_a_redirect, words_and_a_status])
def test_a_stranger_gets_what_flask_logins_unauthorized_handler_says(login_host: Host, say: Callable[[], Any]) -> None:
    with_flask_login(login_host).unauthorized_handler(say)
    leads = say in (redirected, aborted_with_a_redirect)
    answers = refused_everywhere(login_host, login_host.app.test_client(), REDIRECTED if leads else 401)
    assert {answer.location for answer in answers} == {"/welcome" if leads else None}
    answers = refused_everywhere(login_host, login_host.app.test_client(), 401, HTMX)
    assert {answer.headers["HX-Redirect"] for answer in answers} == {"/welcome" if leads else PAGE}
    assert {answer.location for answer in answers} == {None}


@pytest.mark.case("C06")
@pytest.mark.parametrize("say", [redirected, words_and_a_status])
def test_a_stranger_gets_what_the_hosts_401_handler_says(login_host: Host, say: Callable[[], Any]) -> None:
    login_host.app.register_error_handler(401, lambda error: say())
    leads = say is not words_and_a_status
    answers = refused_everywhere(login_host, login_host.client(), REDIRECTED if leads else 401)
    assert {answer.location for answer in answers} == {"/welcome" if leads else None}
    answers = refused_everywhere(login_host, login_host.client(), 401, HTMX)
    assert {answer.headers["HX-Redirect"] for answer in answers} == {"/welcome" if leads else PAGE}


@pytest.mark.case("C06")
def test_htmx_is_told_to_go_where_a_hook_of_the_host_sends_strangers(make_host: Make) -> None:
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
def test_a_page_left_open_leads_to_sign_in_and_not_to_a_csrf_error(make_host: Make) -> None:
    host = make_host(csrf=True)
    with_flask_login(host).login_view = "login"
    token = host.generate("ann", "t-kept").token
    client = logged_in(host, "ann")
    form, question = wish(client), answer_to_question(client, token)
    client.delete_cookie("session")
    for path, sent in ((NEW, form), (delete_path(token), question)):
        assert client.post(path, data=sent).location.startswith("/login")
        answer = client.post(path, data=sent, headers=HTMX)
        assert (answer.status_code, answer.headers["HX-Redirect"].partition("?")[0]) == (401, "/login")
        assert "expired" not in answer.text
    assert names(host) == ["t-kept"]


def test_a_host_without_any_identity_is_told_the_next_step(host: Host) -> None:
    host.access_tokens._loaders.identity = None
    with pytest.raises(RuntimeError, match="Decorate a function with @access_tokens"):
        host.client().get(PAGE)


@pytest.mark.case("C08")
def test_a_token_does_not_open_the_page(login_host: Host) -> None:
    secret = login_host.generate("ann", "t-door").secret
    for scheme in ("Bearer", "bEARER", "Basic eDp5, Bearer"):
        headers = {"Authorization": f"{scheme} {secret}"}
        refused_everywhere(login_host, login_host.client(), 401, headers)
        refused_everywhere(login_host, login_host.client("ann"), 401, headers)


@pytest.mark.case("C08")
def test_a_token_does_not_open_the_page_though_the_hosts_request_loader_takes_it(login_host: Host) -> None:
    manager = with_flask_login(login_host)
    manager.login_view = "login"

    class Program(UserMixin):
        def __init__(self, name: str) -> None:
            self.id = name

    @manager.request_loader
    def load(request: Any) -> Any:
        token = tokens.find(request.headers.get("Authorization", "").removeprefix("Bearer "))
        return Program(token.owner_id) if token else None

    secret = login_host.generate("ann", "t-door").secret
    refused_everywhere(login_host, login_host.app.test_client(), 401, bearer(secret))
    refused_everywhere(login_host, logged_in(login_host, "ann"), 401, bearer(secret))


@pytest.mark.case("C08")
def test_a_token_in_a_header_of_the_hosts_own_does_not_open_the_page(login_host: Host) -> None:
    manager = with_flask_login(login_host)

    @manager.request_loader
    def load(request: Any) -> Any:
        token = tokens.find(request.headers.get("X-Api-Key", ""))
        return manager.user_callback(token.owner_id) if token else None

    secret = login_host.generate("ann", "t-door").secret
    refused_everywhere(login_host, login_host.app.test_client(), 401, {"X-Api-Key": secret})
    assert shown_names(logged_in(login_host, "bob").get(PAGE, headers={"X-Api-Key": secret})) == []


def test_a_person_whom_flask_login_remembers_is_let_in(host: Host) -> None:
    with_flask_login(host)
    host.generate("ann", "t-mine")
    client = host.app.test_client()
    client.get("/log-in/ann?remember=1")
    client.delete_cookie("session")
    assert shown_names(client.get(PAGE)) == ["t-mine"]


@pytest.mark.case("C08")
def test_a_bad_token_beside_a_session_is_refused_and_another_scheme_is_not(host: Host) -> None:
    client = host.client("ann")
    for value in ("Bearer", "Bearer x", f"Bearer {'x' * 5000}", "Bearer a, Bearer b"):
        assert client.get(PAGE, headers={"Authorization": value}).status_code == 401
    for value in ("Basic eDp5", "Digest bearer", "", "Bearerx y", "Negotiate abc="):
        assert client.get(PAGE, headers={"Authorization": value}).status_code == 200


# Forgery


@pytest.fixture(params=["every view", "no view", "chosen views"])
def protected_host(request: pytest.FixtureRequest, make_host: Make) -> Host:
    """A host that protects every view, none or chosen ones: the page's forms are protected all the same."""
    if request.param == "no view":
        return make_host(WTF_CSRF_ENABLED=True)
    return make_host(csrf=True, WTF_CSRF_CHECK_DEFAULT=request.param == "every view")


@pytest.mark.case("D01")
def test_a_form_without_its_own_csrf_token_changes_nothing(protected_host: Host) -> None:
    host = protected_host
    token = host.generate("ann", "t-kept").token
    ann, bob = host.client("ann"), host.client("bob")
    good = {NEW: wish(ann, name="t-typed"), delete_path(token): answer_to_question(ann, token)}
    bobs = wish(bob)["csrf_token"]
    before = host.rows()
    for path, form in good.items():
        for csrf in (None, "", "wrong", "é\ufffd", "a.b.c", bobs):
            sent = {**form, "csrf_token": csrf}
            if csrf is None:
                del sent["csrf_token"]
            plain = ann.post(path, data=sent)
            assert plain.status_code == 400
            assert "expired" in plain.text
            htmx = ann.post(path, data=sent, headers=HTMX)
            assert htmx.status_code == 200
            assert is_fragment(htmx)
            assert "expired" in htmx.text
            if path == NEW:
                assert "t-typed" in plain.text
                assert "t-typed" in htmx.text
    assert host.rows() == before


@pytest.mark.case("D01")
def test_an_expired_form_comes_back_fresh_with_what_was_typed(protected_host: Host) -> None:
    host = protected_host
    token = host.generate("ann", "t-old").token
    client = host.client("ann")
    form = wish(client, name="t-typed", description="for builds", scopes=["write"])
    question = answer_to_question(client, token)
    host.app.config["WTF_CSRF_TIME_LIMIT"] = -1
    stale = client.post(NEW, data=form)
    asked_again = client.post(delete_path(token), data=question)
    host.app.config["WTF_CSRF_TIME_LIMIT"] = 3600
    assert (stale.status_code, asked_again.status_code) == (400, 400)
    assert names(host) == ["t-old"]
    page = Page(stale)
    assert "expired" in page.text
    assert "for builds" in stale.text
    fresh = page.form("/new").fields
    assert (fresh["name"], fresh["lifetime_days"], fresh["scopes"]) == (["t-typed"], ["30"], ["write"])
    assert client.post(NEW, data={**fresh, "description": "for builds"}).status_code == 200
    assert "expired" in Page(asked_again).text
    assert client.post(delete_path(token), data=Page(asked_again).form("/delete").fields).status_code == 303
    assert names(host) == ["t-typed"]


@pytest.mark.case("D02")
def test_a_csrf_token_in_a_header_is_enough(protected_host: Host) -> None:
    client = protected_host.client("ann")
    headers = {**HTMX, "X-CSRFToken": wish(client)["csrf_token"][0]}
    made = client.post(NEW, data=typed("t-made"), headers=headers)
    assert made.status_code == 200
    assert SECRET.search(made.text)
    (token,) = [found for found in [protected_host.find(SECRET.findall(made.text)[0])] if found]
    assert client.post(delete_path(token), headers=headers).status_code == 200
    assert names(protected_host) == []


@pytest.mark.case("D01")
def test_the_hosts_own_name_for_the_csrf_field_is_used(make_host: Make) -> None:
    host = make_host(csrf=True, WTF_CSRF_FIELD_NAME="forgery")
    token = host.generate("ann", "t-old").token
    client = host.client("ann")
    form = wish(client, name="t-new")
    assert form["forgery"]
    assert client.post(NEW, data={**form, "forgery": "wrong"}).status_code == 400
    assert client.post(NEW, data=form).status_code == 200
    assert client.post(delete_path(token), data=answer_to_question(client, token)).status_code == 303
    assert names(host) == ["t-new"]


@pytest.mark.case("D01")
def test_a_hosts_own_handler_of_csrf_errors_leaves_the_page_its_form(make_host: Make) -> None:
    host = make_host(csrf=True)
    host.app.register_error_handler(400, lambda error: ("host says no", 400))
    answer = host.client("ann").post(NEW, data=typed("t-typed"))
    assert "t-typed" in answer.text
    assert "host says no" not in answer.text


@pytest.mark.case("D04")
def test_looking_changes_nothing(protected_host: Host) -> None:
    host = protected_host
    token = host.generate("ann", "t-kept").token
    client = host.client("ann")
    csrf = wish(client)["csrf_token"][0]
    before = host.rows()
    query = {"name": "t-x", "lifetime_days": "30", "csrf_token": csrf}
    for method in ("GET", "HEAD"):
        for path in (PAGE, NEW, delete_path(token)):
            for headers in ({}, HTMX):
                answer = client.open(path, method=method, query_string=query, headers=headers)
                assert answer.status_code == 200
                assert method == "GET" or answer.data == b""
    assert host.rows() == before


@pytest.mark.case("D07")
def test_over_https_a_form_needs_a_referer_of_this_host(protected_host: Host) -> None:
    host = protected_host
    host.app.wsgi_app = ProxyFix(host.app.wsgi_app, x_proto=1, x_host=1)  # type: ignore[method-assign]
    token = host.generate("ann", "t-kept").token
    client = host.client()
    https = {"X-Forwarded-Proto": "https", "X-Forwarded-Host": "shop.example"}
    client.get("/sign-in/ann", headers=https, base_url="https://shop.example")
    at = {"base_url": "https://shop.example"}
    csrf = Page(client.get(NEW, headers=https, **at)).form("/new").fields["csrf_token"]
    sent = {"csrf_token": csrf, "name": "t-new", "lifetime_days": "30"}
    foreign = ["https://evil.example/", "http://shop.example/access-tokens/", "https://shop.example.evil.example/", ""]
    for referer in foreign:
        headers = {**https, "Referer": referer} if referer else https
        for path in (NEW, delete_path(token)):
            assert client.post(path, data=sent, headers=headers, **at).status_code == 400
    assert names(host) == ["t-kept"]
    headers = {**https, "Referer": "https://shop.example/access-tokens/new"}
    made = client.post(NEW, data=sent, headers=headers, **at)
    assert made.status_code == 200
    assert client.post(delete_path(token), data=sent, headers=headers, **at).status_code == 303
    assert names(host) == ["t-new"]


# Headers


@pytest.mark.case("D08")
def test_every_answer_of_the_page_carries_its_headers(make_host: Make) -> None:
    host = make_host(csrf=True, PROPAGATE_EXCEPTIONS=False)
    token = host.generate("ann", "t-kept").token
    ann, stranger = host.client("ann"), host.client()
    form = wish(ann)
    answers = [
        ann.get(PAGE),
        ann.get(PAGE, headers=HTMX),
        ann.get(NEW),
        ann.get(delete_path(token)),
        ann.get(delete_path(NOBODY)),
        ann.post(NEW, data={}),
        ann.post(NEW, data=form),
        ann.post(NEW, data=form),
        ann.post(NEW, data={**wish(ann), "lifetime_days": "x"}),
        stranger.get(PAGE),
        stranger.get(PAGE, headers=HTMX),
        stranger.post(NEW),
        ann.get(PAGE, headers=bearer("x")),
    ]
    host.access_tokens.identity_loader(lambda: 1 / 0)
    answers.append(ann.get(PAGE))
    host.app.config["ACCESS_TOKENS_ENABLED"] = False
    answers.append(ann.get(PAGE))
    statuses = [answer.status_code for answer in answers]
    assert statuses == [200, 200, 200, 200, 404, 400, 200, 409, 422, 401, 401, 401, 401, 500, 404]
    for answer in answers:
        assert answer.headers.getlist("Cache-Control") == ["no-store"]
        assert {"Cookie", "HX-Request"} <= set(answer.vary)
        assert answer.headers.getlist("Referrer-Policy") == ["same-origin"]
        assert answer.headers.getlist("X-Content-Type-Options") == ["nosniff"]
        assert answer.headers.getlist("Content-Security-Policy") == ["frame-ancestors 'none'"]


@pytest.mark.case("D08")
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Content-Security-Policy", "default-src 'self'; frame-ancestors 'self'"),
        ("X-Frame-Options", "SAMEORIGIN"),
        ("Referrer-Policy", "strict-origin"),
        ("Vary", "Accept-Language"),
    ],
)
def test_a_header_that_the_host_sets_stands(host: Host, name: str, value: str) -> None:
    @host.app.after_request
    def own(response: Any) -> Any:
        response.headers[name] = value
        return response

    answer = host.client("ann").get(PAGE)
    if name == "Vary":
        assert {"Accept-Language", "Cookie", "HX-Request"} <= set(answer.vary)
    else:
        assert answer.headers.getlist(name) == [value]
    framing = name in ("Content-Security-Policy", "X-Frame-Options")
    assert ("frame-ancestors 'none'" in str(answer.headers)) is not framing
    assert answer.headers["Cache-Control"] == "no-store"


@pytest.mark.case("D08")
def test_the_hosts_own_pages_get_none_of_our_headers(host: Host) -> None:
    answer = host.client("ann").get("/sign-in/bob")
    assert "Content-Security-Policy" not in answer.headers
    assert "Referrer-Policy" not in answer.headers
    assert "no-store" not in answer.headers.get("Cache-Control", "")


# htmx


@pytest.mark.parametrize(
    ("headers", "alone"),
    [
        ({}, False),
        ({"HX-Request": "true"}, True),
        ({"HX-Request": "false"}, False),
        ({"HX-Request": "1"}, False),
        ({"HX-Request": "true", "HX-Boosted": "true"}, False),
        ({"HX-Request": "true", "HX-History-Restore-Request": "true"}, False),
        ({"HX-Boosted": "true"}, False),
        ({"X-Requested-With": "XMLHttpRequest"}, False),
    ],
)
def test_the_panel_comes_alone_to_htmx_and_in_the_layout_to_everyone_else(
    host: Host, headers: dict[str, str], alone: bool
) -> None:
    token = host.generate("ann", "t-a").token
    client = host.client("ann")
    for path in (PAGE, NEW, delete_path(token)):
        answer = client.get(path, headers=headers)
        assert is_fragment(answer) is alone
        assert len(Page(answer).all("section", id="access-tokens")) == 1
    answer = client.post(NEW, data={"name": ""}, headers=headers)
    assert (answer.status_code, is_fragment(answer)) == (200 if alone else 422, alone)
    answer = client.post(NEW, data=typed("t-b"), headers=headers)
    assert (answer.status_code, is_fragment(answer)) == (200, alone)
    answer = client.post(delete_path(token), headers=headers)
    assert answer.status_code == (200 if alone else 303)
    if alone:
        assert is_fragment(answer)
        assert shown_names(answer) == ["t-b"]


def test_a_second_delete_is_404_and_refreshes_the_panel_of_htmx(stored_host: Host) -> None:
    stored_host.generate("ann", "t-other")
    token = stored_host.generate("ann", "t-gone").token
    client = stored_host.client("ann")
    form = answer_to_question(client, token)
    assert client.post(delete_path(token), data=form).status_code == 303
    assert client.post(delete_path(token), data=form).status_code == 404
    assert client.get(delete_path(token)).status_code == 404
    for again in (
        client.post(delete_path(token), data=form, headers=HTMX),
        client.get(delete_path(token), headers=HTMX),
    ):
        assert again.status_code == 200
        assert is_fragment(again)
        assert shown_names(again) == ["t-other"]


def test_deleting_comes_back_to_the_same_part_of_the_list(host: Host) -> None:
    token = host.generate("ann", "t-a").token
    state = {"q": "t-é&x", "status": "active", "sort": "-name", "page": "2", "next": "//evil.example"}
    answer = host.client("ann").post(delete_path(token), query_string=state)
    assert answer.location == f"{PAGE}?q=t-%C3%A9%26x&status=active&sort=-name&page=2"


@pytest.mark.case("D17")
def test_no_redirect_leads_where_the_address_says(host: Host) -> None:
    client = host.client("ann")
    places = ("//e.example", "/\\e.example", "https:e.example", "https://e.example/", "%0d%0aSet-Cookie:x")
    for key, place in itertools.product(("next", "q", "page"), places):
        token = host.generate("ann", "t-a").token
        for headers in ({}, HTMX, {"Referer": place, "Origin": place, "HX-Current-URL": place}):
            answer = client.post(delete_path(token), query_string={key: place}, data={key: place}, headers=headers)
            assert answer.location is None or answer.location.startswith(PAGE)
            assert "HX-Redirect" not in answer.headers
            assert "x" not in [name for name, _ in answer.headers]
        gone = host.client().get(PAGE, query_string={key: place}, headers=HTMX)
        assert gone.headers["HX-Redirect"] == PAGE


# The same form twice


@pytest.mark.case("E04")
def test_the_same_form_makes_one_token(stored_host: Host) -> None:
    client = stored_host.client("ann")
    form = wish(client, name="t-once")
    assert SECRET.search(client.post(NEW, data=form).text)
    for headers, status in (({}, 409), (HTMX, 200)):
        again = client.post(NEW, data=form, headers=headers)
        assert again.status_code == status
        assert "already generated" in Page(again).text
        assert shown_names(again) == ["t-once"]
        assert not SECRET.search(again.text)
    assert names(stored_host) == ["t-once"]
    assert client.post(NEW, data=wish(client, name="t-twice")).status_code == 200


@pytest.mark.case("E04")
def test_the_same_form_in_two_threads_at_once_makes_one_token(make_host: Make, database_url: str) -> None:
    host = make_host(database_url)
    for number in range(3):
        if number == 2:
            host.app.config["ACCESS_TOKENS_MAX_PER_OWNER"] = 3
        client = host.client("ann")
        form = wish(client, name=f"t-{number}")
        cookie = client.get_cookie("session")
        together = threading.Barrier(4)
        answers: list[Any] = []

        def post(form: dict[str, Any] = form, value: str = cookie.value) -> None:
            browser = host.app.test_client()
            browser.set_cookie("session", value)
            together.wait()  # noqa: B023
            answers.append(browser.post(NEW, data=form))  # noqa: B023

        threads = [threading.Thread(target=post) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(answer.status_code for answer in answers) == [200, 409, 409, 409]
        for answer in answers:
            assert bool(SECRET.search(answer.text)) is (answer.status_code == 200)
            assert ("already generated" in Page(answer).text) is (answer.status_code == 409)
    assert names(host) == ["t-0", "t-1", "t-2"]


@pytest.mark.case("E04")
def test_a_form_is_good_for_the_person_who_opened_it(host: Host) -> None:
    ann, bob = host.client("ann"), host.client("bob")
    form = wish(ann, name="t-ann")
    assert bob.post(NEW, data=form).status_code == 400
    assert names(host, "bob") == []
    assert ann.post(NEW, data=form).status_code == 200


@pytest.mark.case("E04")
def test_a_broken_one_time_value_is_an_expired_form(host: Host) -> None:
    client = host.client("ann")
    form = wish(client)
    (nonce,) = form["nonce"]
    for broken in (f"{nonce}x", nonce[::-1], "x", ".", "..", "é", "\x00", "W10.x.y", "a" * 10_000):
        answer = client.post(NEW, data={**form, "nonce": broken, "name": "t-typed"})
        assert answer.status_code == 400
        assert "expired" in answer.text
        assert "t-typed" in answer.text
    assert names(host) == []


def test_a_refused_form_keeps_its_one_time_value(host: Host) -> None:
    client = host.client("ann")
    form = wish(client, lifetime_days="x")
    corrected = Page(client.post(NEW, data=form)).form("/new").fields
    assert corrected["nonce"] == form["nonce"]
    assert client.post(NEW, data={**corrected, "lifetime_days": "7"}).status_code == 200


# Keys


@pytest.mark.case("G02")
def test_a_replaced_key_makes_an_open_form_expire(make_host: Make) -> None:
    host = make_host(csrf=True)
    host.access_tokens.identity_loader(lambda: request.headers.get("X-Person"))
    client, ann = host.client(), {"X-Person": "ann"}
    form = {**Page(client.get(NEW, headers=ann)).form("/new").fields, "name": "t-typed"}
    host.app.config["SECRET_KEY"] = "another key"
    answer = client.post(NEW, data=form, headers=ann)
    assert answer.status_code == 400
    assert "expired" in answer.text
    assert "t-typed" in answer.text
    assert names(host) == []
    assert client.post(NEW, data=Page(answer).form("/new").fields, headers=ann).status_code == 200


@pytest.mark.case("G02")
def test_a_form_under_an_older_key_is_good_while_the_key_is_a_fallback(host: Host) -> None:
    client = host.client("ann")
    form = wish(client)
    host.app.config.update(SECRET_KEY="another key", SECRET_KEY_FALLBACKS=["a key for tests"])
    client.get("/sign-in/ann")  # before Flask 3.1 a session has no fallback
    assert client.post(NEW, data=form).status_code == 200
    assert client.post(NEW, data=form).status_code == 409
    fresh = wish(client)
    host.app.config["SECRET_KEY_FALLBACKS"] = None
    client.get("/sign-in/ann")
    assert client.post(NEW, data=fresh).status_code == 200


@pytest.mark.case("G02")
def test_a_form_left_open_for_more_than_a_day_expires(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    client = host.client("ann")
    form = wish(client, name="t-typed")
    monkeypatch.setattr("flask_access_tokens.page.forms.FORM_AGE", -1)
    answer = client.post(NEW, data=form)
    assert answer.status_code == 400
    assert "t-typed" in answer.text
    assert names(host) == []


# The flag


def status_of(client: Any, path: str) -> int:
    """The status of a file, which is closed."""
    with client.get(path) as answer:
        return int(answer.status_code)


def asset_path(client: Any) -> str:
    """An asset of the page, as the page names it."""
    page = Page(client.get(PAGE))
    places = [
        value for element in page.elements for name, value in element.attributes.items() if name in ("href", "src")
    ]
    return next(place for place in places if "/assets/" in place)


@pytest.mark.case("H01")
def test_with_the_flag_off_nothing_is_there(login_host: Host) -> None:
    host, client = login_host, login_host.client("ann")
    asset = asset_path(client)
    assert status_of(client, asset) == 200
    for value in (False, None, 0, 1, "true", [True]):
        host.app.config["ACCESS_TOKENS_ENABLED"] = value
        with host.statements() as seen:
            assert status_of(client, asset) == 404
            assert client.get(PAGE).status_code == 404
            assert client.post(NEW, data=typed("x")).status_code == 404
            assert client.post(delete_path(NOBODY)).status_code == 404
        assert seen == []
    for person in (client, host.client()):
        for headers in ({}, HTMX, bearer("x")):
            refused_everywhere(host, person, 404, headers)
    host.app.config["ACCESS_TOKENS_ENABLED"] = True
    assert client.get(PAGE).status_code == 200


@pytest.mark.case("H04")
def test_the_flag_may_be_on_for_one_and_off_for_another(login_host: Host) -> None:
    host = login_host
    asked: list[str | None] = []

    def enabled(owner_id: str | None) -> bool:
        asked.append(owner_id)
        return owner_id != "bob"

    host.app.config["ACCESS_TOKENS_ENABLED"] = enabled
    ann, bob = host.client("ann"), host.client("bob")
    assert ann.get(PAGE).status_code == 200
    assert status_of(ann, asset_path(ann)) == 200
    assert status_of(bob, asset_path(ann)) == 404
    refused_everywhere(host, bob, 404)
    refused_everywhere(host, host.client(), 401)
    refused_everywhere(host, bob, 401, bearer("x"))
    assert set(asked) == {"ann", "bob", None}


@pytest.mark.case("H04")
def test_a_flag_that_hides_the_page_from_strangers_hides_its_sign_in_too(login_host: Host) -> None:
    login_host.app.config["ACCESS_TOKENS_ENABLED"] = lambda owner_id: owner_id is not None
    refused_everywhere(login_host, login_host.client(), 404)
    refused_everywhere(login_host, login_host.client("ann"), 404, bearer("x"))


@pytest.mark.case("H04")
def test_a_flag_that_fails_or_does_not_answer_yes_or_no_counts_as_off(login_host: Host) -> None:
    for answer in (0, 1, None, "yes", ZeroDivisionError(), SystemError()):

        def enabled(owner_id: str | None, answer: Any = answer) -> Any:
            if isinstance(answer, Exception):
                raise answer
            return answer

        login_host.app.config["ACCESS_TOKENS_ENABLED"] = enabled
        assert login_host.client("ann").get(PAGE).status_code == 404
        assert login_host.client("ann").post(NEW, data=typed("x")).status_code == 404
        assert login_host.client().get(PAGE).status_code == 404


# What the host allows


def test_without_self_service_people_see_and_delete_but_do_not_generate(login_host: Host) -> None:
    host = login_host
    host.app.config["ACCESS_TOKENS_SELF_SERVICE"] = False
    token = host.generate("ann", "t-a").token
    client = host.client("ann")
    page = Page(client.get(PAGE))
    assert not [element for element in page.elements if "/new" in element.attributes.get("href", "")]
    assert not [form for form in page.forms if form.attributes.get("action", "").endswith("/new")]
    assert "Generate" not in page.text
    for headers in ({}, HTMX):
        for answer in (client.get(NEW, headers=headers), client.post(NEW, data=typed("x"), headers=headers)):
            assert answer.status_code == 403
    assert host.client().get(NEW).status_code == 401
    assert names(host) == ["t-a"]
    assert client.post(delete_path(token), data=answer_to_question(client, token)).status_code == 303


def test_at_the_limit_a_person_is_told_so_and_nothing_is_stored(make_host: Make, database_url: str) -> None:
    host = make_host(database_url, ACCESS_TOKENS_MAX_PER_OWNER=2)
    client = host.client("ann")
    for number in range(2):
        assert client.post(NEW, data=wish(client, name=f"t-{number}")).status_code == 200
    for headers, status in (({}, 422), (HTMX, 200)):
        answer = client.post(NEW, data=wish(client, name="t-typed"), headers=headers)
        assert answer.status_code == status
        text = " ".join(Page(answer).text.split())
        assert "You already have 2 tokens, the most allowed" in text
        assert "t-typed" in answer.text
        assert not SECRET.search(answer.text)
    assert names(host) == ["t-0", "t-1"]
    assert host.client("bob").post(NEW, data=typed("t-bob")).status_code == 200


def test_lifetimes_beyond_the_hosts_maximum_are_not_offered(host: Host) -> None:
    def offered() -> set[str]:
        page = Page(host.client("ann").get(NEW))
        return {element.attributes["data-value"] for element in page.elements if "data-value" in element.attributes}

    assert offered() >= {"7", "30", "60", "90", "365", "-1"}
    host.app.config["ACCESS_TOKENS_MAX_LIFETIME_DAYS"] = 60
    assert offered() >= {"7", "30", "60"}
    assert not offered() & {"90", "365", "-1"}


# The store


@pytest.mark.case("D14")
def test_a_missing_table_is_503_and_says_nothing_of_the_store(stored_host: Host) -> None:
    token = stored_host.generate("ann", "t-a").token
    client = stored_host.client("ann")
    form = wish(client)
    with stored_host.app.app_context():
        stored_host.db.drop_all()
    unreachable(client, form, token)


@pytest.mark.case("D14")
@pytest.mark.parametrize("kind", ["postgresql+psycopg", "mariadb+pymysql", "sqlite"])
def test_a_store_that_is_not_there_is_503_and_says_nothing_of_it(kind: str) -> None:
    address = "sqlite:////nowhere/else/host.sqlite3" if kind == "sqlite" else f"{kind}://joe:hush@127.0.0.1:1/wares"
    host = Host(address)
    unreachable(host.client("ann"), typed("t-x"), NOBODY)
    stale = Host(address, csrf=True).client("ann").post(delete_path(NOBODY), data={"csrf_token": "stale"})
    assert (stale.status_code, stale.headers["Retry-After"]) == (503, "2")


def unreachable(client: Any, form: dict[str, Any], token: Any) -> None:
    requests = [("GET", PAGE), ("GET", NEW), ("POST", NEW), ("GET", delete_path(token)), ("POST", delete_path(token))]
    for method, path in requests:
        for headers in ({}, HTMX):
            answer = client.open(path, method=method, data=form if method == "POST" else None, headers=headers)
            assert answer.status_code == 503, (method, path)
            assert 1 <= int(answer.headers["Retry-After"]) <= 5
            assert answer.headers["Cache-Control"] == "no-store"
            told = f"{answer.text} {answer.headers}".lower()
            for word in (
                "select",
                "insert",
                "sql",
                "127.0.0.1",
                "hush",
                "wares",
                "nowhere",
                "traceback",
                "operational",
            ):
                assert word not in told
            assert "deleted" not in told
            assert not SECRET.search(answer.text)


@pytest.mark.case("D14")
def test_the_hosts_503_handler_is_asked(make_host: Make) -> None:
    host = make_host()
    host.app.register_error_handler(503, lambda error: ("back soon", 503))
    with host.app.app_context():
        host.db.drop_all()
    answer = host.client("ann").get(PAGE)
    assert (answer.status_code, answer.text) == (503, "back soon")
    assert answer.headers["Retry-After"]


@pytest.mark.case("D14")
def test_a_store_that_fails_while_the_host_finds_who_is_there_is_503(host: Host) -> None:
    def identity() -> Any:
        return host.db.session.execute(sa.text("SELECT name FROM people")).scalar()

    host.access_tokens.identity_loader(identity)
    answer = host.client().get(PAGE)
    assert answer.status_code == 503
    assert "people" not in answer.text


@pytest.mark.case("F15")
def test_the_page_takes_as_many_statements_for_ten_thousand_tokens_as_for_ten(stored_host: Host) -> None:
    client = stored_host.client("ann")

    def counts() -> list[int]:
        found = []
        for query in ("", "?page=2", "?status=active&sort=-name", "?q=t-1", "?status=expired&q=x"):
            with stored_host.statements() as seen:
                assert client.get(f"{PAGE}{query}").status_code == 200
            found.append(len(seen))
        with stored_host.statements() as seen:
            assert client.post(NEW, data=typed("t-new")).status_code == 200
        return [*found, len(seen)]

    store_many(stored_host, 10)
    few = counts()
    store_many(stored_host, 10_000)
    assert counts() == few
    assert max(few) <= 6


def store_many(host: Host, number: int) -> None:
    moment = datetime.now(UTC)
    rows = [
        {
            "id": uuid.uuid4(),
            "owner_id": "ann",
            "name": f"t-{one}",
            "description": "",
            "digest": uuid.uuid4().hex * 2,
            "scheme": "sha256",
            "hint": "pat_…0000",
            "scopes": "",
            "created_at": moment,
        }
        for one in range(number)
    ]
    with host.app.app_context():
        host.db.session.execute(sa.insert(host.access_tokens.model.__table__), rows)
        host.db.session.commit()


def test_long_lists_come_in_pages(stored_host: Host) -> None:
    store_many(stored_host, 60)
    client = stored_host.client("ann")
    pages = [shown_names(client.get(PAGE, query_string={"page": number})) for number in (1, 2, 3)]
    assert [len(page) for page in pages] == [25, 25, 10]
    assert len({name for page in pages for name in page}) == 60
    first, last = (Page(client.get(PAGE, query_string={"page": number})) for number in (1, 3))
    words = [[" ".join(link.text.split()) for link in page.all("a")] for page in (first, last)]
    assert "Next" in words[0]
    assert "Previous" in words[1]
    assert "Previous" not in words[0]
    assert "Next" not in words[1]


def test_a_search_finds_parts_of_names_in_any_case(stored_host: Host) -> None:
    for name in ("t-Laptop", "t-ÉCOLE", "t-100percent", "t-a_b"):
        stored_host.generate("ann", name)
    client = stored_host.client("ann")
    found = {
        "lap": ["t-Laptop"],
        "LAPTOP": ["t-Laptop"],
        " lap ": ["t-Laptop"],
        "école": ["t-ÉCOLE"],
        "%": [],
        "_": ["t-a_b"],
    }
    for typed, expected in found.items():
        assert shown_names(client.get(PAGE, query_string={"q": typed})) == expected


QUERIES = [
    *(
        f"page={number}"
        for number in ("-1", "0", "abc", "1.5", "2", "9" * 8, "9" * 20, "²", "٣", "", "1&page=2", "%00", "1e3")
    ),
    *(
        f"sort={key}"
        for key in ("__class__", "name", "-name", "--name", "-", "owner_id", "digest", "name;drop", "%00", "")
    ),
    *(f"status={status}" for status in ("x", "all", "active", "expiring", "expired", "unused", "%00", "__init__", "")),
    *(
        f"q={typed}"
        for typed in ("%00", "%25", "_", "%27", "%22%3E", "%F0%9F%98%80", "x" * 10_000, "%ff", "%ed%a0%80", "%5C", "")
    ),
    "owner=ann&user_id=bob&unknown=1",
    "q[]=1&q=2&status[]=x",
    "&&==&%",
    "name=%00&lifetime_days=%00&scopes=%00",
]


def test_whatever_the_address_says_the_page_answers(stored_host: Host) -> None:
    token = stored_host.generate("ann", "t-a").token
    client = stored_host.client("ann")
    for query in QUERIES:
        assert client.get(f"{PAGE}?{query}").status_code == 200, query
    for query in (*QUERIES[::4], QUERIES[-1]):
        assert client.get(f"{NEW}?{query}", headers=HTMX).status_code == 200, query
        assert client.get(f"{delete_path(token)}?{query}").status_code == 200, query
        assert client.post(f"{delete_path(NOBODY)}?{query}").status_code == 404, query
        assert client.post(f"{NEW}?{query}", data={}).status_code == 422, query


def test_an_address_with_raw_bytes_is_never_a_failure(host: Host) -> None:
    token = host.generate("ann", "t-a").token
    client = host.client("ann")
    raw = {"environ_overrides": {"QUERY_STRING": "q=\xff\xfe&page=\xed\xa0\x80"}}
    for path in (PAGE, NEW, delete_path(token)):
        assert client.get(path, **raw).status_code in (200, 400)
    assert client.post(NEW, data=typed("t-b"), **raw).status_code in (200, 400)
    assert client.post(delete_path(token), **raw).status_code in (303, 400)


def test_a_token_id_is_a_uuid_in_its_usual_form_in_either_case(host: Host) -> None:
    token = host.generate("ann", "t-a").token
    client = host.client("ann")
    assert client.get(f"/access-tokens/{str(token.id).upper()}/delete").status_code == 200
    for text in (
        token.id.hex,
        f"{{{token.id}}}",
        f"urn:uuid:{token.id}",
        "1",
        "x",
        "%00",
        f"{token.id}%0a",
        "a" * 5000,
        "../new",
    ):
        for method in ("get", "post"):
            assert getattr(client, method)(f"/access-tokens/{text}/delete").status_code in (404, 405), text
    assert names(host) == ["t-a"]


def test_methods_that_the_page_does_not_speak_are_refused(stored_host: Host) -> None:
    token = stored_host.generate("ann", "t-a").token
    before = stored_host.rows()
    client = stored_host.client("ann")
    for path in (PAGE, NEW, delete_path(token)):
        for method in ("PUT", "DELETE", "PATCH", "TRACE", "BREW"):
            answer = client.open(path, method=method, data=typed("t-x"), headers={"X-HTTP-Method-Override": "POST"})
            assert answer.status_code == 405
        assert client.options(path).status_code == 200
    assert client.post(PAGE, data=typed("t-x")).status_code == 405
    assert client.post(f"{PAGE}?_method=DELETE", data={"_method": "DELETE"}).status_code == 405
    assert stored_host.rows() == before


def test_assets_are_those_of_the_package_and_no_other_file(host: Host) -> None:
    client = host.client()
    asset = asset_path(host.client("ann"))
    with client.get(asset) as answer:
        assert answer.status_code == 200
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
    folder = asset.rpartition("/")[0]
    others = [
        "../views.py",
        "..%2fviews.py",
        "%2e%2e/views.py",
        "%2fetc%2fpasswd",
        "..\\views.py",
        "%00",
        "x" * 5000,
        ".",
    ]
    for name in others:
        assert status_of(client, f"{folder}/{name}") in (404, 308), name


# The host's own


def test_the_page_lives_where_the_host_puts_it(make_host: Make) -> None:
    for prefix in ("/settings/keys", "/settings/keys/", "/é"):
        host = make_host(ACCESS_TOKENS_URL_PREFIX=prefix)
        client = host.client("ann")
        base = prefix.rstrip("/")
        made = client.post(f"{base}/new", data=wish(client, f"{base}/new", name="t-a"))
        assert made.status_code == 200
        assert client.get(PAGE).status_code == 404
        places = [
            value
            for element in Page(made).elements
            for name, value in element.attributes.items()
            if name in ("href", "action", "src")
        ]
        assert not [place for place in places if "access-tokens" in place and "assets" not in place]


def test_below_a_script_name_every_link_and_redirect_has_it(make_host: Make) -> None:
    host = make_host()
    client = Client(DispatcherMiddleware(Flask("outside"), {"/shop": host.app}))
    client.get("/shop/sign-in/ann")
    made = client.post("/shop/access-tokens/new", data=typed("t-a"))
    assert made.status_code == 200
    assert "http://localhost/shop/api" in made.text
    token = host.find(SECRET.findall(made.text)[0])
    assert token is not None
    for path in ("", "new", f"{token.id}/delete"):
        page = Page(client.get(f"/shop/access-tokens/{path}").text)
        for element in page.elements:
            for name in ("href", "action", "src", "hx-get", "hx-post"):
                place = element.attributes.get(name, "")
                assert not place.startswith("/") or place.startswith("/shop/access-tokens/"), place
    answer = client.post(f"/shop/access-tokens/{token.id}/delete")
    assert answer.headers["Location"] == "/shop/access-tokens/"
    client.get("/shop/sign-in/")
    stranger = Client(DispatcherMiddleware(Flask("outside"), {"/shop": host.app}))
    assert stranger.get("/shop/access-tokens/", headers=HTMX).headers["HX-Redirect"] == "/shop/access-tokens/"


def test_two_applications_in_one_process_do_not_mix(make_host: Make) -> None:
    shop = make_host(ACCESS_TOKENS_PREFIX="shop", ACCESS_TOKENS_MAX_LIFETIME_DAYS=30, ACCESS_TOKENS_URL_PREFIX="/keys")
    desk = make_host(ACCESS_TOKENS_PREFIX="desk", ACCESS_TOKENS_SCOPES={"desk:read": "Read the desk"})
    desk.app.config["ACCESS_TOKENS_ENABLED"] = lambda owner_id: owner_id == "ann"
    assert shop.client("ann").post("/keys/new", data={"name": "t-shop", "lifetime_days": "31"}).status_code == 422
    made = shop.client("ann").post("/keys/new", data=typed("t-shop"))
    assert re.search(r"shop_[0-9A-Za-z]{49}", made.text)
    assert shown_names(desk.client("ann").get(PAGE)) == []
    made = desk.client("ann").post(NEW, data={"name": "t-desk", "lifetime_days": "-1", "scopes": "desk:read"})
    (secret,) = re.findall(r"desk_[0-9A-Za-z]{49}", made.text)
    assert shown_names(shop.client("ann").get("/keys/")) == ["t-shop"]
    assert desk.client("bob").get(PAGE).status_code == 404
    assert shop.client("bob").get("/keys/").status_code == 200
    assert shop.client().get("/api", headers=bearer(secret)).status_code == 401


def layout(host: Host, template: str) -> None:
    """Give the host a layout of its own."""
    host.app.jinja_loader = DictLoader({"base.html": template})
    host.app.config["ACCESS_TOKENS_BASE_TEMPLATE"] = "base.html"


def test_the_hosts_layout_gets_the_hosts_context(host: Host) -> None:
    host.app.context_processor(lambda: {"menu": ["Wares", "Staff"]})
    host.app.jinja_env.globals["shop_name"] = lambda: "Ann & Bob"
    head = "{{ menu|join('|') }} {{ shop_name() }} {{ request.path }}"
    layout(host, head + "<main>{% block content %}{% endblock %}</main>")
    text = host.client("ann").get(PAGE).text
    assert text.startswith(f"Wares|Staff Ann &amp; Bob {PAGE}<main>")
    assert len(Page(text).all("section", id="access-tokens")) == 1


@pytest.mark.parametrize("broken", ["{{ nothing.at.all }}", "{% include 'missing.html' %}", "{{ 1 / 0 }}"])
def test_an_error_in_the_hosts_layout_is_the_hosts_and_shows_no_secret(host: Host, broken: str) -> None:
    layout(host, "<main>{% block content %}{% endblock %}</main>" + broken)
    client = host.client("ann")
    with pytest.raises(Exception) as raised:  # noqa: PT011
        client.post(NEW, data=typed("t-a"))
    trace, seen = raised.tb, ""
    while trace is not None:
        if "tests" not in trace.tb_frame.f_code.co_filename:
            seen += "".join(repr(value) for value in trace.tb_frame.f_locals.values())
        trace = trace.tb_next  # type: ignore[assignment]
    assert "laptop" not in seen
    assert not SECRET.search(seen)
    host.app.config.update(TESTING=False, PROPAGATE_EXCEPTIONS=False)
    answer = client.post(NEW, data=typed("t-b"))
    assert answer.status_code == 500
    assert not SECRET.search(answer.text)
    assert answer.headers["Cache-Control"] == "no-store"


@pytest.fixture
def diary_host(make_host: Make, database_url: str) -> Host:
    """A host that notes each page request in its own table, and commits it, where it does, after the view."""
    host = make_host(database_url, FLUSHES=False, COMMITS=False)

    class Visit(host.db.Model):  # type: ignore[name-defined,misc]
        __tablename__ = "visits"
        id: Mapped[int] = mapped_column(primary_key=True)
        path: Mapped[str] = mapped_column(sa.String(200))

    host.app.extensions["visit"] = Visit
    with host.app.app_context():
        host.db.create_all()

    @host.app.before_request
    def note() -> None:
        if request.blueprint == "access_tokens":
            host.db.session.add(Visit(path=request.path))
            if host.app.config["FLUSHES"]:
                host.db.session.flush()

    @host.app.after_request
    def keep(response: Any) -> Any:
        if host.app.config["COMMITS"]:
            host.db.session.commit()
        return response

    return host


def visits(host: Host) -> int:
    """How many requests the host has stored."""
    with host.app.app_context(), host.db.engine.connect() as connection:
        return int(connection.execute(sa.text("SELECT count(*) FROM visits")).scalar_one())


@pytest.mark.parametrize("flushes", [False, True])
def test_what_a_hook_began_is_stored_with_a_token_and_with_nothing_else(diary_host: Host, flushes: bool) -> None:
    host = diary_host
    host.app.config.update(FLUSHES=flushes, ACCESS_TOKENS_MAX_PER_OWNER=1)
    client = host.client("ann")
    client.get(NEW)
    assert client.post(NEW, data={"name": ""}).status_code == 422
    assert visits(host) == 0
    assert client.post(NEW, data=typed("t-a")).status_code == 200
    assert visits(host) == 1
    assert client.post(NEW, data=typed("t-b")).status_code == 422
    assert client.post(delete_path(NOBODY)).status_code == 404
    assert visits(host) == 1
    assert client.post(delete_path(host.rows()[0]["id"])).status_code == 303
    assert visits(host) == 2


@pytest.mark.parametrize("flushes", [False, True])
def test_a_refusal_leaves_alone_what_a_hook_began(diary_host: Host, flushes: bool) -> None:
    host = diary_host
    host.app.config.update(FLUSHES=flushes, COMMITS=True, ACCESS_TOKENS_MAX_PER_OWNER=1)
    client = host.client("ann")
    form = wish(client)
    refused = [
        (NEW, form, 409),
        (NEW, {**form, "nonce": ""}, 422),
        (NEW, {"name": ""}, 422),
        (delete_path(NOBODY), {}, 404),
    ]
    assert client.post(NEW, data=form).status_code == 200
    for path, sent, status in refused:
        before = visits(host)
        assert client.post(path, data=sent).status_code == status
        assert visits(host) == before + 1


def test_the_hosts_objects_are_usable_in_its_layout_after_a_commit_of_ours(diary_host: Host) -> None:
    host = diary_host
    visit_class = host.app.extensions["visit"]
    layout(host, "{{ g.last.path }}|{% block content %}{% endblock %}|{{ g.last.path }}")

    @host.app.before_request
    def load() -> None:
        g.last = visit_class(path="/began")
        host.db.session.add(g.last)

    client = host.client("ann")
    made = client.post(NEW, data=typed("t-a"))
    assert made.status_code == 200
    assert made.text.startswith("/began|")
    assert made.text.endswith("|/began")
    again = client.post(NEW, data={"name": ""})
    assert again.status_code == 422
    assert again.text.endswith("|/began")


def test_a_route_that_needs_a_subdomain_does_not_cost_a_new_token_its_secret(host: Host) -> None:
    host.app.add_url_rule("/a", "a", token_required(lambda tenant: tenant), subdomain="<tenant>")
    made = host.client("ann").post(NEW, data=typed("t-a"))
    assert made.status_code == 200
    assert SECRET.search(made.text)
    assert "http://localhost/api" in made.text


def test_the_curl_line_names_a_route_that_the_new_token_opens(host: Host) -> None:
    @host.app.get("/a-reports")
    @token_required("read")
    def reports() -> Any:
        return jsonify()

    client = host.client("ann")
    assert "http://localhost/api" in client.post(NEW, data=typed("t-a")).text
    assert "http://localhost/a-reports" in client.post(NEW, data=typed("t-b", scopes="read")).text
