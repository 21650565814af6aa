"""The secret is in one response and not in logs, locals, rows or errors; and the canary detects a leak."""

import logging
import sys
import traceback
from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask, session
from jinja2 import DictLoader

import flask_access_tokens
from canary import Canary
from crashes import Broken, breaks, locals_of_ours
from desk_pages import DESK_NEW, answer_to, generated_data, selection, with_operator
from flask_access_tokens import (
    current_token,
    secret,
    token_deleted,
    token_generated,
    token_rejected,
    token_reused,
    token_rotated,
    token_used,
    tokens,
)
from host import Clock, Host, bearer
from programs import INTROSPECT, OPEN, REVOKE, ROTATE, SELF


@pytest.mark.case("D13")
def test_the_canary_finds_a_secret_wherever_it_looks(canary: Canary) -> None:
    found = Canary()
    made = secret.generate("pat")
    found.remember(made)
    body = str(made)[4:16]
    app = Flask("leaking")
    app.secret_key = "a key"

    @app.get("/")
    def leak() -> str:
        session["secret"] = str(made)
        session["long"] = "x" * 2000
        return "leaked"

    found.search("nothing", "a text without it")
    assert found.found == []
    found.search("a text", f"… {body} …")
    found.search("a log", f"x{made}x")
    found.search_cookies("a cookie", app.test_client().get("/").headers.getlist("Set-Cookie"))
    assert found.found == ["a text", "a log", "a cookie"]
    assert canary.found == ["a cookie"]
    canary.found.clear()


@pytest.mark.case("D13")
def test_a_secret_is_in_no_log_at_the_debug_level(
    make_host: Callable[..., Host],
    database_url: str,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
    canary: Canary,
) -> None:
    caplog.set_level(logging.DEBUG)
    host = make_host(database_url, SQLALCHEMY_ECHO="debug", SQLALCHEMY_RECORD_QUERIES=True)
    host.app.config["PROPAGATE_EXCEPTIONS"] = False
    host.app.get("/broken")(flask_access_tokens.token_required(lambda: 1 / 0))
    made = host.generate("ann", scopes=["read"])
    client = host.client()
    statuses = [
        client.get("/api", headers=bearer(made.secret)).status_code,
        client.post("/write", headers=bearer(made.secret)).status_code,
        client.get("/broken", headers=bearer(made.secret)).status_code,
        client.get("/api", headers=bearer(f"{made.secret} x")).status_code,
    ]
    host.call("list")
    host.call("find", stdin=made.secret)
    host.call("delete", "ann", str(made.token.id))
    statuses.append(client.get("/api", headers=bearer(made.secret)).status_code)
    with host.app.app_context():
        host.db.drop_all()
    statuses.append(client.get("/api", headers=bearer(made.secret)).status_code)
    assert statuses == [200, 403, 500, 401, 401, 503]
    assert "SELECT" in caplog.text
    for kind, text in (("log", caplog.text), ("output", "".join(capfd.readouterr()))):
        canary.search(kind, text)
    assert canary.found == []


def in_the_owner_loader(host: Host) -> None:
    host.access_tokens.owner_loader(breaks)


def in_the_scopes_loader(host: Host) -> None:
    host.access_tokens.scopes_loader(breaks)


def in_the_view(host: Host) -> None:
    host.app.view_functions["api"] = flask_access_tokens.token_required(breaks)


def in_a_hook_after_the_view(host: Host) -> None:
    host.app.after_request(breaks)


def in_the_peppers(host: Host) -> None:
    host.app.config["ACCESS_TOKENS_PEPPERS"] = [object()]


def in_the_prefix(host: Host) -> None:
    host.app.config["ACCESS_TOKENS_PREFIX"] = "not a prefix"


def in_the_database(host: Host) -> None:
    with host.app.app_context():
        sa.event.listen(host.db.engine, "before_cursor_execute", breaks, once=True)


@pytest.mark.case("D13")
@pytest.mark.parametrize(
    "breakage",
    [
        in_the_owner_loader,
        in_the_scopes_loader,
        in_the_view,
        in_a_hook_after_the_view,
        in_the_peppers,
        in_the_prefix,
        in_the_database,
    ],
)
def test_no_local_of_ours_shows_the_secret_when_a_request_fails(
    host: Host, canary: Canary, breakage: Callable[[Host], None]
) -> None:
    header = bearer(host.generate("ann", scopes=["read"]).secret)
    breakage(host)
    with pytest.raises(Exception) as caught:  # noqa: PT011
        host.client().get("/api", headers=header)
    canary.search("locals", locals_of_ours(caught.value))
    assert canary.found == []


@pytest.mark.case("D13")
@pytest.mark.parametrize("signal", [token_used, token_rejected], ids=lambda signal: signal.name)
def test_no_local_of_ours_shows_the_secret_to_a_failing_receiver(host: Host, canary: Canary, signal: Any) -> None:
    path = "/api" if signal is token_used else "/scoped"
    host.app.get("/scoped")(flask_access_tokens.token_required("write")(lambda: "in"))
    texts = [host.generate("ann").secret]
    texts += (
        [] if signal is token_used else [str(secret.generate("pat")), f"{texts[0]}x", f"{texts[0]}, Bearer {texts[0]}"]
    )
    for text in texts:
        with signal.connected_to(breaks, host.app), pytest.raises(Broken) as caught:
            host.client().get(path, headers=bearer(text))
        canary.search("locals", locals_of_ours(caught.value))
    assert canary.found == []


@pytest.mark.case("D13")
@pytest.mark.parametrize("where", ["receiver", "commit", "insert", "owner", "name"])
def test_no_local_of_ours_shows_the_secret_when_generating_fails(host: Host, canary: Canary, where: str) -> None:
    with host.app.app_context():
        if where == "commit":
            sa.event.listen(host.db.session, "before_commit", breaks, once=True)
        if where == "insert":
            sa.event.listen(host.db.engine, "before_cursor_execute", breaks, once=True)
        if where == "receiver":
            token_generated.connect(breaks, host.app)
        with pytest.raises(Exception) as caught:  # noqa: PT011
            tokens.generate(None if where == "owner" else "ann", "" if where == "name" else "laptop")
    token_generated.disconnect(breaks, host.app)
    canary.search("locals", locals_of_ours(caught.value))
    assert canary.found == []


@pytest.fixture
def page_host(host: Host) -> Host:
    """A host whose layout fails on the page that shows the secret."""
    layout = "{% block title %}{% endblock %}{% block content %}{% endblock %}{{ breaks() }}"
    host.app.jinja_env.globals["breaks"] = breaks
    host.app.jinja_loader = DictLoader({"layout.html": layout})
    host.app.config["ACCESS_TOKENS_BASE_TEMPLATE"] = "layout.html"
    return host


@pytest.mark.case("D13")
@pytest.mark.parametrize(("person", "path"), [("ann", "/access-tokens/new"), ("olga", f"{DESK_NEW}?owner=ann")])
def test_no_local_of_ours_shows_the_secret_when_the_host_s_layout_fails(
    page_host: Host, canary: Canary, person: str, path: str
) -> None:
    client = with_operator(page_host).client(person)
    with pytest.raises(Broken) as caught:
        client.post(path, data={"name": "laptop", "lifetime_days": "30"})
    assert len(page_host.rows()) == 1
    shown = locals_of_ours(caught.value)
    assert "generate" in shown
    canary.search("locals", shown)
    assert canary.found == []


@pytest.mark.case("D13")
def test_no_local_of_ours_shows_a_secret_when_a_receiver_fails_at_the_desk(host: Host, canary: Canary) -> None:
    token = with_operator(host).generate("ann").token
    olga = host.client("olga")
    for signal, path, form in (
        (token_generated, f"{DESK_NEW}?owner=ann", generated_data(olga, "ann")),
        (token_deleted, selection(token), answer_to(olga, selection(token))),
    ):
        with signal.connected_to(breaks, host.app), pytest.raises(Broken) as caught:
            olga.post(path, data=form)
        canary.search("locals", locals_of_ours(caught.value))
    assert canary.found == []


@pytest.mark.case("D13")
def test_no_local_of_ours_shows_the_secret_when_a_command_fails(host: Host, canary: Canary) -> None:
    made = host.generate("ann")
    for signal, arguments, stdin in (
        (token_generated, ["generate", "ann", "CI"], ""),
        (token_deleted, ["delete", "ann", str(made.token.id)], made.secret),
        (token_deleted, ["delete", "--stdin"], f"{host.generate('ann').secret} {host.generate('ann').secret}"),
    ):
        with signal.connected_to(breaks, host.app):
            result = host.call(*arguments, stdin=stdin)
        assert isinstance(result.exception, Broken)
        canary.search("locals", locals_of_ours(result.exception))
        canary.search("output", result.output)
    assert canary.found == []


@pytest.mark.case("D13")
def test_no_local_variable_shows_a_secret_while_an_endpoint_calls_the_host(
    make_host: Callable[..., Host], canary: Canary, clock: Clock
) -> None:
    host = make_host(**OPEN)
    client, service = host.client(), host.generate("service", scopes=["introspect"]).secret

    def crash(signal: Any, path: str, sent: str, header: str = "") -> None:
        with signal.connected_to(breaks, host.app), pytest.raises(Broken) as caught:
            client.post(path, headers=bearer(header) if header else {}, data={"token": sent})
        canary.search(f"locals in {path}", locals_of_ours(caught.value))

    crash(token_deleted, REVOKE, host.generate("ann").secret)
    old = host.generate("ann").secret
    crash(token_rotated, ROTATE, "", old)
    crash(token_deleted, ROTATE, "", old)
    new = client.post(ROTATE, headers=bearer(old)).json["secret"]
    assert client.get(SELF, headers=bearer(new)).status_code == 200
    crash(token_reused, ROTATE, "", old)
    crash(token_used, INTROSPECT, new, service)
    clock.pass_(days=1)
    crash(token_reused, ROTATE, "", old)
    asked = host.generate("ann").secret
    host.access_tokens.owner_loader(lambda owner_id: owner_id == "service" or breaks())
    with pytest.raises(Broken) as caught:
        client.post(INTROSPECT, headers=bearer(service), data={"token": asked})
    canary.search("locals in introspect", locals_of_ours(caught.value))
    assert canary.found == []


@pytest.mark.case("D13")
def test_no_local_of_ours_shows_a_secret_while_others_are_read_and_looked_up(host: Host, canary: Canary) -> None:
    texts = [host.generate("ann").secret for _ in range(3)]

    class Stream:
        blocks = iter(texts)

        def read(self, size: int) -> bytes:
            return (next(self.blocks, None) or breaks()).encode()  # type: ignore[no-any-return]

    stream: Any = Stream()
    with host.app.app_context():
        with pytest.raises(Broken) as reading:
            list(tokens.find_all(secret.iter_secrets(stream, ["pat"])))
        sa.event.listen(host.db.engine, "before_cursor_execute", breaks, once=True)
        with pytest.raises(Broken) as looking_up:
            list(tokens.find_all(texts))
    for caught in (reading, looking_up):
        canary.search("locals", locals_of_ours(caught.value))
    assert canary.found == []


@pytest.mark.case("D13")
def test_the_search_of_locals_sees_what_a_crash_reporter_would(host: Host) -> None:
    host.access_tokens.owner_loader(breaks)
    with pytest.raises(Broken) as caught:
        host.client().get("/api", headers=bearer(host.generate("ann").secret))
    shown = locals_of_ours(caught.value)
    assert "credential" in shown
    assert "match" in shown


@pytest.mark.case("D13")
def test_an_uncaught_error_printed_by_python_shows_no_secret(host: Host, canary: Canary) -> None:
    header = bearer(host.generate("ann").secret)
    host.access_tokens.owner_loader(breaks)
    try:
        host.client().get("/api", headers=header)
    except Broken:
        canary.search("traceback", "".join(traceback.format_exception(*sys.exc_info())))
    assert canary.found == []


@pytest.mark.case("D12", "D13")
def test_no_stored_token_object_can_show_its_secret(host: Host) -> None:
    kept: list[Any] = []

    @host.app.get("/kept")
    @flask_access_tokens.token_required
    def keep() -> str:
        kept.append(current_token._get_current_object())  # type: ignore[attr-defined]
        return repr(current_token)

    made = host.generate("ann")
    shown = host.client().get("/kept", headers=bearer(made.secret)).text
    values = [str(getattr(kept[0], name, "")) for name in dir(kept[0]) if name != "owner"]
    for text in (shown, *values):
        assert made.secret[4:16] not in text
