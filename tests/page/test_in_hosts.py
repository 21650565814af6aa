"""The page in different hosts: URL prefixes, layouts, database sessions, routes."""

import re
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask, abort, g, jsonify, request, session
from jinja2 import DictLoader
from sqlalchemy.orm import Mapped, mapped_column
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.test import Client

from catalogs import NEW, PAGE
from flask_access_tokens import token_required
from host import Host, bearer
from markup import Page
from pages import (
    HTMX,
    NOBODY,
    SECRET,
    Make,
    answer_to_question,
    delete_path,
    form_data,
    layout,
    shown_names,
    token_fields,
)


def test_the_page_is_served_under_the_configured_url_prefix(make_host: Make) -> None:
    for prefix in ("/settings/keys", "/settings/keys/", "/é"):
        host = make_host(ACCESS_TOKENS_URL_PREFIX=prefix)
        client = host.client("ann")
        base = prefix.rstrip("/")
        generated = client.post(f"{base}/new", data=form_data(client, f"{base}/new", name="t-a"))
        assert generated.status_code == 200
        assert client.get(PAGE).status_code == 404
        urls = [
            value
            for element in Page(generated).elements
            for name, value in element.attributes.items()
            if name in ("href", "action", "src")
        ]
        assert not [url for url in urls if "access-tokens" in url and "assets" not in url]


def test_under_a_script_name_every_link_and_redirect_includes_it(make_host: Make) -> None:
    host = make_host()
    client = Client(DispatcherMiddleware(Flask("outside"), {"/shop": host.app}))
    client.get("/shop/sign-in/ann")
    generated = client.post("/shop/access-tokens/new", data=token_fields("t-a"))
    assert generated.status_code == 200
    assert "http://localhost/shop/api" in generated.text
    token = host.find(SECRET.findall(generated.text)[0])
    assert token is not None
    for path in ("", "new", f"{token.id}/delete"):
        page = Page(client.get(f"/shop/access-tokens/{path}").text)
        for element in page.elements:
            for name in ("href", "action", "src", "hx-get", "hx-post"):
                url = element.attributes.get(name, "")
                assert not url.startswith("/") or url.startswith("/shop/access-tokens/"), url
    answer = client.post(f"/shop/access-tokens/{token.id}/delete")
    assert answer.headers["Location"].startswith("/shop/access-tokens/?notice=")
    client.get("/shop/sign-in/")
    anonymous = Client(DispatcherMiddleware(Flask("outside"), {"/shop": host.app}))
    assert anonymous.get("/shop/access-tokens/", headers=HTMX).headers["HX-Redirect"] == "/shop/access-tokens/"


def test_two_applications_in_one_process_are_independent(make_host: Make) -> None:
    shop = make_host(ACCESS_TOKENS_PREFIX="shop", ACCESS_TOKENS_MAX_LIFETIME_DAYS=30, ACCESS_TOKENS_URL_PREFIX="/keys")
    desk = make_host(ACCESS_TOKENS_PREFIX="desk", ACCESS_TOKENS_SCOPES={"desk:read": "Read the desk"})
    desk.app.config["ACCESS_TOKENS_ENABLED"] = lambda owner_id: owner_id == "ann"
    assert shop.client("ann").post("/keys/new", data={"name": "t-shop", "lifetime_days": "31"}).status_code == 422
    generated = shop.client("ann").post("/keys/new", data=token_fields("t-shop"))
    assert re.search(r"shop_[0-9A-Za-z]{49}", generated.text)
    assert shown_names(desk.client("ann").get(PAGE)) == []
    generated = desk.client("ann").post(NEW, data={"name": "t-desk", "lifetime_days": "-1", "scopes": "desk:read"})
    (secret,) = re.findall(r"desk_[0-9A-Za-z]{49}", generated.text)
    assert shown_names(shop.client("ann").get("/keys/")) == ["t-shop"]
    assert desk.client("bob").get(PAGE).status_code == 404
    assert shop.client("bob").get("/keys/").status_code == 200
    assert shop.client().get("/api", headers=bearer(secret)).status_code == 401


def test_the_hosts_layout_gets_the_hosts_context(host: Host) -> None:
    host.app.context_processor(lambda: {"menu": ["Wares", "Staff"]})
    host.app.jinja_env.globals["shop_name"] = lambda: "Ann & Bob"
    head = "{{ menu|join('|') }} {{ shop_name() }} {{ request.path }}"
    layout(host, head + "<main>{% block content %}{% endblock %}</main>")
    text = host.client("ann").get(PAGE).text
    assert text.startswith(f"Wares|Staff Ann &amp; Bob {PAGE}<main>")
    assert len(Page(text).all("section", id="access-tokens")) == 1


@pytest.mark.parametrize(
    ("head", "title"),
    [
        ("{% block title %}Shop{% endblock %}", "{}"),
        ("{{ title }}", "{}"),
        ("{% if title %}{{ title }} – {% endif %}Shop", "{} – Shop"),
        ("{% block title %}{{ title|default('Shop') }}{% endblock %}", "{}"),
        ("{% block title %}{% endblock %} – {{ title }}", "{0} – {0}"),
        ("Shop", "Shop"),
    ],
)
def test_a_layout_takes_the_title_from_a_block_or_a_variable(host: Host, head: str, title: str) -> None:
    host.app.context_processor(lambda: {"title": "the host's own"})
    layout(host, f"<title>{head}</title><main>{{% block content %}}{{% endblock %}}</main>")
    token = host.generate("ann", "t-a").token
    client = host.client("ann")
    for path, state in ((PAGE, "Access tokens"), (NEW, "New token"), (delete_path(token), "Delete token")):
        (element,) = Page(client.get(path)).all("title")
        assert element.text == title.format(state)
        assert Page(client.get(path, headers=HTMX)).all("title") == []


@pytest.mark.parametrize("broken", ["{{ nothing.at.all }}", "{% include 'missing.html' %}", "{{ 1 / 0 }}"])
def test_an_error_in_the_hosts_layout_propagates_and_exposes_no_secret(host: Host, broken: str) -> None:
    layout(host, "<main>{% block content %}{% endblock %}</main>" + broken)
    client = host.client("ann")
    with pytest.raises(Exception) as raised:  # noqa: PT011
        client.post(NEW, data=token_fields("t-a"))
    trace, seen = raised.tb, ""
    while trace is not None:
        if "tests" not in trace.tb_frame.f_code.co_filename:
            seen += "".join(repr(value) for value in trace.tb_frame.f_locals.values())
        trace = trace.tb_next  # type: ignore[assignment]
    assert "laptop" not in seen
    assert not SECRET.search(seen)
    host.app.config.update(TESTING=False, PROPAGATE_EXCEPTIONS=False)
    answer = client.post(NEW, data=token_fields("t-b"))
    assert answer.status_code == 500
    assert not SECRET.search(answer.text)
    assert answer.headers["Cache-Control"] == "no-store"


@pytest.fixture
def recording_host(make_host: Make, database_url: str) -> Host:
    """A host that adds a row for each page request to its own table and commits it only if COMMITS is set."""
    host = make_host(database_url, FLUSHES=False, COMMITS=False)

    class Visit(host.db.Model):  # type: ignore[name-defined,misc]
        __tablename__ = "visits"
        id: Mapped[int] = mapped_column(primary_key=True)
        path: Mapped[str] = mapped_column(sa.String(200))

    host.app.extensions["visit"] = Visit
    with host.app.app_context():
        host.db.create_all()

    @host.app.before_request
    def add_visit() -> None:
        if request.blueprint == "access_tokens":
            host.db.session.add(Visit(path=request.path))
            if host.app.config["FLUSHES"]:
                host.db.session.flush()

    @host.app.after_request
    def commit_visit(response: Any) -> Any:
        if host.app.config["COMMITS"]:
            host.db.session.commit()
        return response

    return host


def visits(host: Host) -> int:
    """The number of requests that the host has stored."""
    with host.app.app_context(), host.db.engine.connect() as connection:
        return int(connection.execute(sa.text("SELECT count(*) FROM visits")).scalar_one())


@pytest.mark.parametrize("flushes", [False, True])
def test_pending_changes_of_a_hook_are_committed_with_a_token_and_not_otherwise(
    recording_host: Host, flushes: bool
) -> None:
    host = recording_host
    host.app.config.update(FLUSHES=flushes, ACCESS_TOKENS_MAX_PER_OWNER=1)
    client = host.client("ann")
    client.get(NEW)
    assert client.post(NEW, data={"name": ""}).status_code == 422
    assert visits(host) == 0
    assert client.post(NEW, data=token_fields("t-a")).status_code == 200
    assert visits(host) == 1
    assert client.post(NEW, data=token_fields("t-b")).status_code == 422
    assert client.post(delete_path(NOBODY)).status_code == 404
    assert visits(host) == 1
    assert client.post(delete_path(host.rows()[0]["id"])).status_code == 303
    assert visits(host) == 2


@pytest.mark.parametrize("flushes", [False, True])
def test_a_refused_form_keeps_the_pending_changes_of_a_hook(recording_host: Host, flushes: bool) -> None:
    host = recording_host
    host.app.config.update(FLUSHES=flushes, COMMITS=True, ACCESS_TOKENS_MAX_PER_OWNER=1)
    client = host.client("ann")
    form = form_data(client)
    refused = [
        (NEW, form, 409),
        (NEW, {**form, "access_tokens_nonce": ""}, 422),
        (NEW, {"name": ""}, 422),
        (delete_path(NOBODY), {}, 404),
    ]
    assert client.post(NEW, data=form).status_code == 200
    for path, sent, status in refused:
        before = visits(host)
        assert client.post(path, data=sent).status_code == status
        assert visits(host) == before + 1


def test_the_hosts_objects_are_usable_in_its_layout_after_the_extensions_commit(recording_host: Host) -> None:
    host = recording_host
    visit_class = host.app.extensions["visit"]
    layout(host, "{{ g.last.path }}|{% block content %}{% endblock %}|{{ g.last.path }}")

    @host.app.before_request
    def load() -> None:
        g.last = visit_class(path="/began")
        host.db.session.add(g.last)

    client = host.client("ann")
    generated = client.post(NEW, data=token_fields("t-a"))
    assert generated.status_code == 200
    assert generated.text.startswith("/began|")
    assert generated.text.endswith("|/began")
    again = client.post(NEW, data={"name": ""})
    assert again.status_code == 422
    assert again.text.endswith("|/began")


def test_the_secret_of_a_new_token_is_shown_even_if_a_route_needs_a_subdomain(host: Host) -> None:
    host.app.add_url_rule("/a", "a", token_required(lambda tenant: tenant), subdomain="<tenant>")
    generated = host.client("ann").post(NEW, data=token_fields("t-a"))
    assert generated.status_code == 200
    assert SECRET.search(generated.text)
    assert "http://localhost/api" in generated.text


def test_the_curl_command_uses_a_route_that_the_new_token_may_call(host: Host) -> None:
    @host.app.get("/a-reports")
    @token_required("read")
    def reports() -> Any:
        return jsonify()

    client = host.client("ann")
    assert "http://localhost/api" in client.post(NEW, data=token_fields("t-a")).text
    assert "http://localhost/a-reports" in client.post(NEW, data=token_fields("t-b", scopes="read")).text


@pytest.mark.case("S25")
def test_a_host_with_csrf_tokens_of_its_own_adds_them_to_the_forms(make_host: Make) -> None:
    host = make_host()
    package = host.app.jinja_env.loader
    assert package is not None
    (ours, _, _) = package.get_source(host.app.jinja_env, "access_tokens/_hidden_fields.html")
    field = '<input type="hidden" name="nonce" value="{{ session.nonce }}">'
    host.app.jinja_loader = DictLoader({"access_tokens/_hidden_fields.html": ours + field})

    @host.app.before_request
    def check_nonce() -> None:
        session.setdefault("nonce", "of this session")
        if request.method == "POST" and request.form.get("nonce") != session["nonce"]:
            abort(403)

    client = host.client("ann")
    form = form_data(client, name="t-new")
    assert client.post(NEW, data={**form, "nonce": ""}).status_code == 403
    secret = SECRET.findall(client.post(NEW, data=form).text)[0]
    (token,) = [found for found in [host.find(secret)] if found]
    assert client.post(delete_path(token), data=answer_to_question(client, token)).status_code == 303
