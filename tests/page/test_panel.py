"""What the panel's templates render: in a host's layout, embedded in a host's page, and alone."""

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


def set_times(host: Host, token: tokens.Token, **values: Any) -> None:
    """Set the times of a token's row."""
    table = host.access_tokens.model.__table__
    with host.app.app_context():
        host.db.session.execute(sa.update(table).where(table.c.id == token.id).values(**values))
        host.db.session.commit()


def embed(host: Host, template: str = EMBEDDED) -> None:
    """Add a page that embeds the panel to the host."""

    @host.app.get("/settings")
    def settings() -> str:
        return render_template_string(template, panel="the host's own", t="the host's own", form="the host's own")


def names(page: Page) -> list[str]:
    """The names in the list, in order."""
    return [element.text.strip() for element in page.all("th", scope="row")]


def presets(page: Page) -> list[str]:
    return [element.attributes["value"] for element in page.all("input", name="lifetime_preset")]


@pytest.mark.parametrize(
    ("longest", "offered"),
    [
        (-1, ["7", "30", "60", "90", "365", "-1", ""]),
        (365, ["7", "30", "60", "90", "365", ""]),
        (60, ["7", "30", "60", ""]),
        (5, []),
    ],
)
def test_presets_above_the_hosts_maximum_are_hidden(
    make_host: Callable[..., Host], longest: int, offered: list[str]
) -> None:
    host = make_host(ACCESS_TOKENS_MAX_LIFETIME_DAYS=longest)
    assert presets(Page(host.client("ann").get(NEW))) == offered


def test_the_form_shows_the_expiry_date_in_words(host: Host) -> None:
    page = Page(host.client("ann").get(NEW, query_string={"lifetime_days": "30"}))
    ending = clock.now() + timedelta(days=30)
    assert f"A lifetime of 30 days ends on {ending.day} {ending:%B} {ending.year}." in page.text
    page = Page(host.client("ann").get(NEW, query_string={"lifetime_days": "-1"}))
    assert "With -1, the token never expires." in page.text
    assert (
        "ends on" not in Page(host.client("ann").get(NEW, query_string={"lifetime_days": "many"})).all("main")[0].text
    )


def test_every_field_has_a_description_and_browser_validation_is_off(host: Host) -> None:
    page = Page(host.client("ann").get(NEW))
    assert "novalidate" in page.form("/new").attributes
    ids = {element.attributes.get("id"): element.text.strip() for element in page.elements}
    for name in ("name", "description", "lifetime_days", "scopes"):
        field = next(element for element in page.elements if element.attributes.get("name") == name)
        described = field.attributes["aria-describedby"].split()
        assert all(ids[each] for each in described), name


def test_suggested_names_exclude_those_already_in_use(host: Host) -> None:
    def suggested() -> list[str]:
        return [element.attributes["value"] for element in Page(host.client("ann").get(NEW)).all("option")]

    assert "Laptop" in suggested()
    host.generate("ann", "LAPTOP")
    host.generate("bob", "Nightly backup")
    assert "Laptop" not in suggested()
    assert "Nightly backup" in suggested()


def test_expired_tokens_are_listed_last_and_marked_as_expired(host: Host) -> None:
    expired = host.generate("ann", "gone").token
    soon = host.generate("ann", "soon", lifetime_days=15).token
    host.generate("ann", "later", lifetime_days=15)
    set_times(host, expired, expires_at=clock.now() - timedelta(days=3))
    set_times(host, soon, created_at=clock.now() - timedelta(days=45))
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


def test_counts_link_to_the_tokens_they_count(host: Host) -> None:
    set_times(host, host.generate("ann", "old").token, expires_at=clock.now())
    soon = host.generate("ann", "soon", lifetime_days=2).token
    set_times(host, soon, created_at=clock.now() - timedelta(days=7))
    for name in ("new", "phone", "laptop", "robot"):
        host.generate("ann", name)
    client = host.client("ann")
    page = Page(client.get(LIST))
    links = {element.text: element.attributes["href"] for element in page.all("a") if re.search(r"\d$", element.text)}
    assert list(links) == ["All 6", "Active 5", "Expiring soon 1", "Expired 1", "Never used 6"]
    assert names(Page(client.get(links["Expired 1"]))) == ["old"]
    assert names(Page(client.get(links["Expiring soon 1"]))) == ["soon"]
    assert "soon" in names(Page(client.get(links["Active 5"])))


def test_search_and_filters_appear_where_a_person_has_more_than_a_handful_of_tokens(host: Host) -> None:
    client = host.client("ann")
    for number in range(5):
        host.generate("ann", f"robot {number}")
    assert Page(client.get(LIST)).all("input", type="search") == []
    assert len(Page(client.get(LIST, query_string={"q": "robot 1"})).all("input", type="search")) == 1
    host.generate("ann", "laptop")
    page = Page(client.get(LIST))
    assert len(page.all("input", type="search")) == 1
    assert page.all("select") == []
    assert "of 6 tokens" not in page.text
    assert "5 of 6 tokens." in Page(client.get(LIST, query_string={"q": "robot"})).text


def test_links_keep_the_state_of_the_list_and_drop_unknown_values(host: Host) -> None:
    host.generate("ann", "robot")
    page = Page(host.client("ann").get(LIST, query_string={"q": "ROB", "sort": "-name", "status": "odd", "page": "x"}))
    assert [element.attributes["value"] for element in page.all("input", type="search")] == ["ROB"]
    (generate,) = [element for element in page.all("a") if element.text == "Generate new token"]
    assert generate.attributes["href"] == f"{NEW}?q=ROB&sort=-name"
    (column,) = page.all("th", aria_sort="descending")
    assert column.text.strip() == "Name"


@pytest.mark.parametrize(("by", "shown"), [("cli", "Command line"), ("op-1", "op-1"), ("ann", None)])
def test_the_details_tell_who_generated_a_token_for_its_owner(host: Host, by: str, shown: str | None) -> None:
    host.generate("ann", by=by)
    text = host.client("ann").get("/access-tokens/").get_data(as_text=True)
    assert ("<dt>Generated by</dt>" in text) == (shown is not None)
    if shown is not None:
        assert f"<dt>Generated by</dt><dd>{shown}</dd>" in text


def test_datetime_attributes_are_valid_and_exact_times_are_in_utc(host: Host) -> None:
    token = host.generate("ann", "clock").token
    set_times(host, token, last_used_at=clock.now() - timedelta(hours=5))
    page = Page(host.client("ann").get(LIST))
    times = page.all("time")
    assert len(times) == 6
    for time in times:
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,3})?Z", time.attributes["datetime"])
        assert (time.attributes.get("title") or time.text).endswith(" UTC")
    assert [time.text for time in times if "title" in time.attributes] == ["just now", "in 12 months", "5 hours ago"]


def test_the_first_use_is_reported_to_the_owner_only(host: Host) -> None:
    new = host.generate("ann", "robot")
    address = f"{LIST}{new.token.id}/use"
    assert host.client("ann").get(address).get_json() == {"used": None}
    host.client().get("/api", headers=bearer(new.secret))
    answer = host.client("ann").get(address)
    assert answer.get_json()["distance"] == "just now"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", answer.get_json()["used"])
    assert answer.headers["Cache-Control"] == "no-store"
    assert host.client("bob").get(address).status_code == 404
    assert host.client().get(address).status_code == 401


def test_without_self_service_the_list_has_no_link_to_the_form(make_host: Callable[..., Host]) -> None:
    host = make_host(ACCESS_TOKENS_SELF_SERVICE=False)
    assert "/new" not in host.client("ann").get(LIST).get_data(as_text=True)
    host.generate("ann", "robot")
    answer = host.client("ann").get(LIST).get_data(as_text=True)
    assert "/new" not in answer
    assert "Delete token robot" in answer


def test_an_error_of_the_whole_form_is_shown_above_the_form(make_host: Callable[..., Host]) -> None:
    host = make_host(ACCESS_TOKENS_MAX_PER_OWNER=1)
    host.generate("ann", "one")
    page = Page(host.client("ann").post(NEW, data={"name": "two", "lifetime_days": "1"}))
    (notice,) = page.all("p", id="access-tokens-notice")
    assert "You already have 1 token" in notice.text
    assert "autofocus" in notice.attributes
    assert len([element for element in page.elements if "autofocus" in element.attributes]) == 1


@pytest.mark.parametrize("given", ["a value", "a function"])
def test_the_hosts_nonce_is_on_the_tags_of_the_panel(host: Host, given: str) -> None:
    host.app.jinja_env.globals["csp_nonce"] = "abc123" if given == "a value" else lambda: "abc123"
    page = Page(host.client("ann").get(LIST))
    assert [element.attributes["nonce"] for element in (*page.all("link"), *page.all("script"))] == [
        "abc123",
        "abc123",
    ]


def test_a_host_may_override_a_single_template(host: Host, tmp_path: Path) -> None:
    (tmp_path / "access_tokens").mkdir()
    (tmp_path / "access_tokens" / "_empty.html").write_text("<p>Nothing here, {{ panel.owner }}.</p>")
    host.app.jinja_loader.searchpath.append(str(tmp_path))  # type: ignore[union-attr]
    page = Page(host.client("ann").get(LIST))
    assert "Nothing here, ann." in page.text
    assert "Access tokens" in page.all("h1")[0].text


def test_a_layout_needs_only_the_content_block(host: Host, tmp_path: Path) -> None:
    (tmp_path / "layout.html").write_text("<title>{{ t }}</title><nav>Host</nav>{% block content %}{% endblock %}")
    host.app.jinja_loader.searchpath.append(str(tmp_path))  # type: ignore[union-attr]
    host.app.jinja_env.globals["t"] = "the host's own"
    host.app.config["ACCESS_TOKENS_BASE_TEMPLATE"] = "layout.html"
    page = Page(host.client("ann").get(LIST))
    assert page.all("title")[0].text == "the host's own"
    assert len(page.all("section", id="access-tokens")) == 1


def test_one_include_embeds_the_panel_in_a_page_of_the_host(host: Host) -> None:
    embed(host)
    host.generate("ann", "robot")
    client = host.client("ann")
    with host.statements() as ran:
        page = Page(client.get("/settings", query_string={"q": "the host's own search", "page": "7"}))
    assert names(page) == ["robot"]
    assert "data-own-page" not in page.all("div", class_="access-tokens")[0].attributes
    assert len(ran) == 2


def test_an_anonymous_visitor_sees_no_panel_in_a_page_of_the_host(host: Host) -> None:
    embed(host)
    assert host.client().get("/settings").get_data(as_text=True) == "<h2>Mine</h2>"
    new = host.generate("ann", "robot")
    assert "robot" not in host.client().get("/settings", headers=bearer(new.secret)).get_data(as_text=True)


@pytest.mark.parametrize("off", [False, lambda owner: owner == "bob"])
def test_with_the_flag_off_there_is_no_panel_in_a_page_of_the_host(host: Host, off: Any) -> None:
    embed(host)
    host.app.config["ACCESS_TOKENS_ENABLED"] = off
    assert host.client("ann").get("/settings").get_data(as_text=True) == "<h2>Mine</h2>"


def test_a_page_of_the_host_still_renders_when_the_database_fails(
    host: Host, caplog: pytest.LogCaptureFixture
) -> None:
    embed(host)
    with host.app.app_context():
        host.db.drop_all()
    answer = host.client("ann").get("/settings")
    assert answer.status_code == 200
    assert answer.get_data(as_text=True) == "<h2>Mine</h2>"
    assert "cannot be listed" in caplog.text


def test_the_panel_overrides_inherited_htmx_attributes(host: Host) -> None:
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


def test_every_htmx_element_sets_its_target_and_its_swap(host: Host) -> None:
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


def test_every_template_and_custom_property_is_documented() -> None:
    package = Path(tokens.__file__).parent
    described = (Path(__file__).parents[2] / "docs" / "page.md").read_text()
    templates = package / "page" / "templates" / "access_tokens"
    for template in filter(Path.is_file, templates.rglob("*")):
        assert f"`{template.relative_to(templates).as_posix()}`" in described
    style = "".join(path.read_text() for path in (package / "page" / "static").glob("*.css"))
    properties = set(re.findall(r"var\((--access-tokens-[a-z-]+)", style))
    assert properties == set(re.findall(r"^\| `(--access-tokens-[a-z-]+)`", described, re.MULTILINE))
