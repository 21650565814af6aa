"""What the panel's templates say, in a host's layout, in a host's page and alone."""

import re
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from flask import render_template_string

from flask_access_tokens import clock, tokens
from host import Host, bearer
from markup import Page

LIST = "/access-tokens/"
NEW = "/access-tokens/new"
EMBEDDED = "<h2>Mine</h2>{% include 'access_tokens/_page.html' %}"


def age(host: Host, token: tokens.Token, **values: Any) -> None:
    """Set the times of a token's row."""
    table = host.access_tokens.model.__table__
    with host.app.app_context():
        host.db.session.execute(sa.update(table).where(table.c.id == token.id).values(**values))
        host.db.session.commit()


def embed(host: Host, template: str = EMBEDDED) -> None:
    """Give the host a page with the panel in it."""

    @host.app.get("/settings")
    def settings() -> str:
        return render_template_string(template, panel="the host's own", t="the host's own", form="the host's own")


def names(page: Page) -> list[str]:
    """The names in the list, from the top."""
    return [element.text.strip() for element in page.all("th", scope="row")]


def presets(page: Page) -> list[str]:
    return [
        element.attributes["data-value"]
        for element in page.all("button", data_fills="access-tokens-lifetime_days")
        if "data-value" in element.attributes
    ]


@pytest.mark.parametrize(
    ("longest", "offered"),
    [
        (-1, ["7", "30", "60", "90", "365", "-1"]),
        (365, ["7", "30", "60", "90", "365"]),
        (60, ["7", "30", "60"]),
        (5, []),
    ],
)
def test_presets_above_the_hosts_maximum_vanish(
    make_host: Callable[..., Host], longest: int, offered: list[str]
) -> None:
    host = make_host(ACCESS_TOKENS_MAX_LIFETIME_DAYS=longest)
    assert presets(Page(host.client("ann").get(NEW))) == offered


def test_the_form_says_the_date_in_words(host: Host) -> None:
    page = Page(host.client("ann").get(NEW, query_string={"lifetime_days": "30"}))
    ending = clock.now() + timedelta(days=30)
    assert f"Expires on {ending.day} {ending:%B} {ending.year}." in page.text
    page = Page(host.client("ann").get(NEW, query_string={"lifetime_days": "-1"}))
    assert "Never expires." in page.text
    assert (
        "Expires on"
        not in Page(host.client("ann").get(NEW, query_string={"lifetime_days": "many"})).all("main")[0].text
    )


def test_every_field_has_its_help_and_the_form_its_own_messages(host: Host) -> None:
    page = Page(host.client("ann").get(NEW))
    assert "novalidate" in page.form("/new").attributes
    ids = {element.attributes.get("id"): element.text.strip() for element in page.elements}
    for name in ("name", "description", "lifetime_days", "scopes"):
        field = next(element for element in page.elements if element.attributes.get("name") == name)
        described = field.attributes["aria-describedby"].split()
        assert all(ids[each] for each in described), name


def test_suggested_names_leave_out_those_that_are_taken(host: Host) -> None:
    def suggested() -> list[str]:
        return [
            element.text
            for element in Page(host.client("ann").get(NEW)).all("button", data_fills="access-tokens-name")
        ]

    assert "Laptop" in suggested()
    host.generate("ann", "LAPTOP")
    host.generate("bob", "Nightly backup")
    assert "Laptop" not in suggested()
    assert "Nightly backup" in suggested()


def test_expired_tokens_stand_last_and_say_so(host: Host) -> None:
    gone = host.generate("ann", "gone").token
    host.generate("ann", "soon", lifetime_days=15)
    host.generate("ann", "later", lifetime_days=16)
    age(host, gone, expires_at=clock.now() - timedelta(days=3))
    for sort in ("", "name", "-name", "created", "expires", "-expires", "-used"):
        page = Page(host.client("ann").get(LIST, query_string={"sort": sort}))
        assert names(page)[-1] == "gone", sort
    rows = [row.text for row in page.all("tr")[1:]]
    assert {
        row.split()[0]: [word for word in ("Active", "Expiring soon", "Expired") if word in row] for row in rows
    } == {
        "gone": ["Expired"],
        "soon": ["Expiring soon"],
        "later": ["Active"],
    }
    assert "3 days ago" in rows[-1]


def test_counts_lead_to_what_they_count(host: Host) -> None:
    age(host, host.generate("ann", "old").token, expires_at=clock.now())
    host.generate("ann", "soon", lifetime_days=2)
    host.generate("ann", "new")
    client = host.client("ann")
    page = Page(client.get(LIST))
    links = {element.text: element.attributes["href"] for element in page.all("a") if re.search(r"\d$", element.text)}
    assert list(links) == ["All 3", "Active 1", "Expiring soon 1", "Expired 1", "Never used 3"]
    assert names(Page(client.get(links["Expired 1"]))) == ["old"]
    assert names(Page(client.get(links["Expiring soon 1"]))) == ["soon"]


def test_links_keep_the_state_of_the_list_and_drop_what_is_unknown(host: Host) -> None:
    host.generate("ann", "robot")
    page = Page(host.client("ann").get(LIST, query_string={"q": "ROB", "sort": "-name", "status": "odd", "page": "x"}))
    assert [element.attributes["value"] for element in page.all("input", type="search")] == ["ROB"]
    (generate,) = [element for element in page.all("a") if element.text == "Generate new token"]
    assert generate.attributes["href"] == f"{NEW}?q=ROB&sort=-name"
    (column,) = page.all("th", aria_sort="descending")
    assert column.text.strip() == "Name"


def test_machine_times_are_valid_and_exact_times_say_utc(host: Host) -> None:
    token = host.generate("ann", "clock").token
    age(host, token, last_used_at=clock.now() - timedelta(hours=5))
    page = Page(host.client("ann").get(LIST))
    times = page.all("time")
    assert len(times) == 6
    for time in times:
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,3})?Z", time.attributes["datetime"])
        assert (time.attributes.get("title") or time.text).endswith(" UTC")
    assert [time.text for time in times if "title" in time.attributes] == ["just now", "in 12 months", "5 hours ago"]


def test_the_first_use_is_told_to_the_owner_alone(host: Host) -> None:
    new = host.generate("ann", "robot")
    address = f"{LIST}{new.token.id}/use"
    assert host.client("ann").get(address).get_json() == {"used": None}
    host.client().get("/api", headers=bearer(new.secret))
    told = host.client("ann").get(address)
    assert told.get_json()["distance"] == "just now"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", told.get_json()["used"])
    assert told.headers["Cache-Control"] == "no-store"
    assert host.client("bob").get(address).status_code == 404
    assert host.client().get(address).status_code == 401


def test_without_self_service_the_list_shows_no_way_to_the_form(make_host: Callable[..., Host]) -> None:
    host = make_host(ACCESS_TOKENS_SELF_SERVICE=False)
    assert "/new" not in host.client("ann").get(LIST).get_data(as_text=True)
    host.generate("ann", "robot")
    answer = host.client("ann").get(LIST).get_data(as_text=True)
    assert "/new" not in answer
    assert "Delete token robot" in answer


def test_a_wish_that_is_refused_as_a_whole_is_told_above_the_form(make_host: Callable[..., Host]) -> None:
    host = make_host(ACCESS_TOKENS_MAX_PER_OWNER=1)
    host.generate("ann", "one")
    page = Page(host.client("ann").post(NEW, data={"name": "two", "lifetime_days": "1"}))
    (notice,) = page.all("p", id="access-tokens-notice")
    assert "You already have 1 token" in notice.text
    assert "autofocus" in notice.attributes
    assert len([element for element in page.elements if "autofocus" in element.attributes]) == 1


@pytest.mark.parametrize("given", ["a value", "a function"])
def test_the_hosts_nonce_stands_on_our_tags(host: Host, given: str) -> None:
    host.app.jinja_env.globals["csp_nonce"] = "abc123" if given == "a value" else lambda: "abc123"
    page = Page(host.client("ann").get(LIST))
    assert [element.attributes["nonce"] for element in (*page.all("link"), *page.all("script"))] == [
        "abc123",
        "abc123",
    ]


def test_one_file_shadowed_replaces_one_piece(host: Host, tmp_path: Path) -> None:
    (tmp_path / "access_tokens").mkdir()
    (tmp_path / "access_tokens" / "_empty.html").write_text("<p>Nothing here, {{ panel.owner }}.</p>")
    host.app.jinja_loader.searchpath.append(str(tmp_path))  # type: ignore[union-attr]
    page = Page(host.client("ann").get(LIST))
    assert "Nothing here, ann." in page.text
    assert "Access tokens" in page.all("h1")[0].text


def test_a_layout_needs_no_block_but_content(host: Host, tmp_path: Path) -> None:
    (tmp_path / "layout.html").write_text("<title>{{ t }}</title><nav>Host</nav>{% block content %}{% endblock %}")
    host.app.jinja_loader.searchpath.append(str(tmp_path))  # type: ignore[union-attr]
    host.app.jinja_env.globals["t"] = "the host's own"
    host.app.config["ACCESS_TOKENS_BASE_TEMPLATE"] = "layout.html"
    page = Page(host.client("ann").get(LIST))
    assert page.all("title")[0].text == "the host's own"
    assert len(page.all("section", id="access-tokens")) == 1


def test_one_line_puts_the_panel_into_a_page_of_the_host(host: Host) -> None:
    embed(host)
    host.generate("ann", "robot")
    client = host.client("ann")
    with host.statements() as ran:
        page = Page(client.get("/settings", query_string={"q": "the host's own search", "page": "7"}))
    assert names(page) == ["robot"]
    assert "data-own-page" not in page.all("div", class_="access-tokens")[0].attributes
    assert len(ran) == 2


def test_a_stranger_sees_no_panel_in_a_page_of_the_host(host: Host) -> None:
    embed(host)
    assert host.client().get("/settings").get_data(as_text=True) == "<h2>Mine</h2>"
    new = host.generate("ann", "robot")
    assert "robot" not in host.client().get("/settings", headers=bearer(new.secret)).get_data(as_text=True)


@pytest.mark.parametrize("off", [False, lambda owner: owner == "bob"])
def test_with_the_flag_off_there_is_no_panel_in_a_page_of_the_host(host: Host, off: Any) -> None:
    embed(host)
    host.app.config["ACCESS_TOKENS_ENABLED"] = off
    assert host.client("ann").get("/settings").get_data(as_text=True) == "<h2>Mine</h2>"


def test_a_page_of_the_host_stands_where_the_store_fails(host: Host, caplog: pytest.LogCaptureFixture) -> None:
    embed(host)
    with host.app.app_context():
        host.db.drop_all()
    answer = host.client("ann").get("/settings")
    assert answer.status_code == 200
    assert answer.get_data(as_text=True) == "<h2>Mine</h2>"
    assert "cannot be listed" in caplog.text


def test_the_guard_against_inherited_htmx_attributes_stands_on_the_panel(host: Host) -> None:
    (panel,) = Page(host.client("ann").get(LIST, headers={"HX-Request": "true"})).all("section", id="access-tokens")
    guard = {name: value for name, value in panel.attributes.items() if name.startswith("hx-")}
    assert guard == {
        "hx-disinherit": "*",
        "hx-history": "false",
        "hx-boost": "false",
        "hx-boost:inherited": "false",
        "hx-select": "",
        "hx-select:inherited": "",
        "hx-confirm": "",
        "hx-confirm:inherited": "",
        "hx-push-url": "false",
        "hx-push-url:inherited": "false",
        "hx-replace-url": "false",
        "hx-replace-url:inherited": "false",
    }


def test_every_acting_element_names_its_target_and_its_swap(host: Host) -> None:
    new = host.generate("ann", "robot")
    client = host.client("ann")
    acting = [
        element
        for path in (LIST, NEW, f"{LIST}{new.token.id}/delete")
        for element in Page(client.get(path)).elements
        if {"hx-get", "hx-post"} & set(element.attributes)
    ]
    assert len(acting) > 10
    for element in acting:
        attributes = element.attributes
        assert attributes["hx-target"] == "#access-tokens"
        assert attributes["hx-swap"] == "outerHTML"
        assert attributes.get("hx-get", attributes.get("hx-post")) == attributes.get("href", attributes.get("action"))


def test_every_template_and_custom_property_is_described() -> None:
    package = Path(tokens.__file__).parent
    described = (Path(__file__).parents[2] / "docs" / "page.md").read_text()
    for template in (package / "page" / "templates" / "access_tokens").iterdir():
        assert f"`{template.name}`" in described
    style = (package / "page" / "static" / "access-tokens.css").read_text()
    listed, used = style.split("*/", 1)
    properties = set(re.findall(r"--access-tokens-[a-z-]+", used))
    assert properties == set(re.findall(r"--access-tokens-[a-z-]+", listed))
    assert properties == set(re.findall(r"^\| `(--access-tokens-[a-z-]+)`", described, re.MULTILINE))
