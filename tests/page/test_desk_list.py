"""The list of the operators' desk: its filters, its order, its pages and its numbers."""

from datetime import timedelta
from pathlib import Path
from urllib.parse import parse_qs, quote, urlsplit

import pytest
import sqlalchemy as sa

from desk_pages import (
    DESK,
    DESK_DELETE,
    DESK_NEW,
    change,
    listed,
    listed_names,
    matching,
    overview,
    store_rows,
    with_operator,
)
from host import Clock, Host, bearer
from markup import Page
from owned import OwnedHost
from pages import HTMX, Make, is_fragment


def ids_of(page: Page) -> dict[str, dict[str, str]]:
    return {each.attributes["id"]: each.attributes for each in page.elements if "id" in each.attributes}


@pytest.fixture
def filled(stored_host: Host, clock: Clock) -> Host:
    """A host with tokens of every status, of Ann and of Bob."""
    host = with_operator(stored_host)
    start = clock.moment
    for name, owner, days, used, age, scopes in (
        ("t-new", "ann", 365, None, 0, ("read",)),
        ("t-soon", "ann", 10, 1, 8, ("read", "write")),
        ("t-expired", "bob", 7, None, 20, ()),
        ("t-never", "bob", -1, 10, 100, ("write",)),
        ("t-asleep", "bob", 365, 91, 200, ()),
        ("t-forgotten", "cy", -1, None, 95, ()),
    ):
        clock.moment = start - timedelta(days=age)
        token = host.generate(owner, name, lifetime_days=days, scopes=scopes).token
        if used is not None:
            change(host, token, last_used_at=start - timedelta(days=used))
    clock.moment = start
    return host


def test_each_filter_shows_what_it_says_in_its_usual_order(filled: Host) -> None:
    olga = filled.client("olga")
    for query, names in {
        "": "t-new t-soon t-expired t-forgotten t-never t-asleep",
        "status=active": "t-new t-soon t-forgotten t-never t-asleep",
        "status=expiring": "t-soon",
        "status=expired": "t-expired",
        "status=unused": "t-new t-expired t-forgotten",
        "status=asleep": "t-forgotten t-asleep",
        "status=no-expiration": "t-forgotten t-never",
        "owner=ann": "t-new t-soon",
        "owner=+ann+": "t-new t-soon",
        "owner=ANN": "",
        "owner=an": "",
        "owner=cy&status=asleep": "t-forgotten",
        "scope=read": "t-new t-soon",
        "scope=write": "t-soon t-never",
        "scope=READ": "",
        "scope=rea": "",
        "q=bob": "t-expired t-never t-asleep",
        "q=bob&status=unused": "t-expired",
        "q=t-new": "",
        "sort=created": "t-asleep t-never t-forgotten t-expired t-soon t-new",
        "sort=-expires": "t-never t-forgotten t-new t-asleep t-soon t-expired",
        "sort=used&status=no-expiration": "t-forgotten t-never",
        "sort=-used&owner=bob": "t-never t-asleep t-expired",
    }.items():
        answer = olga.get(f"{DESK}?{query}")
        found = listed_names(answer)
        if query == "sort=-expires":
            found[:2] = sorted(found[:2], reverse=True)  # both never expire, and come in the order of their IDs
        assert " ".join(found) == names, query
        assert matching(answer).split()[0] == str(len(names.split())), query
        narrowed = query.partition("&")[2] if query.startswith("sort") else query
        assert ("Delete all of these" in Page(answer).text) is bool(names and narrowed), query


def test_a_search_finds_the_end_of_a_secret_and_a_token_id(filled: Host) -> None:
    olga = filled.client("olga")
    made = filled.generate("dan", "t-searched")
    for text in (
        made.secret[-4:],
        made.token.hint,
        made.token.hint.replace("…", "..."),
        str(made.token.id),
        str(made.token.id).upper(),
        made.token.id.hex,
    ):
        assert listed(olga.get(DESK, query_string={"q": text})) == [("dan", "t-searched")], text
    for text in (made.secret[-3:], made.secret[-5:], str(made.token.id)[:8], "%", "____", made.secret[4:12]):
        assert listed_names(olga.get(DESK, query_string={"q": text})) == [], text


def test_the_overview_counts_and_links_to_what_operators_look_for(filled: Host) -> None:
    olga = filled.client("olga")
    shown = olga.get(f"{DESK}?status=expired&owner=bob")
    assert overview(shown) == {"active": "5", "expiring": "1", "asleep": "2", "no-expiration": "2"}
    for status, number in overview(shown).items():
        link = ids_of(Page(shown))[f"access-tokens-overview-{status}"]["href"]
        answer = olga.get(link)
        assert len(listed_names(answer)) == int(number)
        assert ids_of(Page(answer))[f"access-tokens-overview-{status}"]["aria-current"] == "true"


def test_the_columns_link_to_each_order_and_say_the_present_one(filled: Host) -> None:
    olga = filled.client("olga")
    for query, sorted_by in {
        "": ("created", "descending"),
        "sort=created": ("created", "ascending"),
        "sort=-used": ("used", "descending"),
        "sort=expires": ("expires", "ascending"),
        "status=asleep": ("used", "ascending"),
        "status=expiring": ("expires", "ascending"),
        "status=expired": ("expires", "descending"),
    }.items():
        page = Page(olga.get(f"{DESK}?{query}"))
        heads = {each.text.strip(): each.attributes.get("aria-sort") for each in page.all("th", scope="col")}
        titles = {"created": "Created", "expires": "Expires", "used": "Last used"}
        assert {title: value for title, value in heads.items() if value} == {titles[sorted_by[0]]: sorted_by[1]}
        links = {key: ids_of(page)[f"access-tokens-sort-{key}"]["href"] for key in titles}
        sorts = {key: parse_qs(urlsplit(link).query)["sort"][0] for key, link in links.items()}
        reverse = sorted_by[0] if sorted_by[1] == "descending" else f"-{sorted_by[0]}"
        assert sorts == {"created": "-created", "expires": "expires", "used": "-used"} | {sorted_by[0]: reverse}


def test_next_leads_through_all_pages_and_first_page_back(make_host: Make, database_url: str) -> None:
    host = with_operator(make_host(database_url))
    store_rows(host, 60, ["ann", "bob"])
    olga = host.client("olga")
    for query in ("", "?status=active&sort=created", "?owner=ann", "?sort=expires", "?sort=-used"):
        names: list[str] = []
        path, pages = f"{DESK}{query}", 0
        while path:
            answer = olga.get(path)
            links = ids_of(Page(answer))
            assert "after" not in links["access-tokens-sort-used"]["href"]
            assert ("access-tokens-first" in links) is bool(pages)
            if pages:
                first = links["access-tokens-first"]["href"]
                assert listed_names(olga.get(first)) == names[:25]
            names += listed_names(answer)
            path, pages = links.get("access-tokens-next", {}).get("href", ""), pages + 1
        number = 30 if "owner" in query else 60
        assert (len(names), len(set(names)), pages) == (number, number, -(-number // 25)), query
        expected = sorted(names, key=lambda name: int(name[2:]))
        assert query[:5] == "?sort" or names in (expected, expected[::-1])


def test_numbers_are_exact_up_to_1000_and_more_is_said_beyond(make_host: Make, database_url: str) -> None:
    host = with_operator(make_host(database_url))
    store_rows(host, 1000, expires_at=None)
    olga = host.client("olga")
    assert matching(olga.get(DESK)) == "1,000 tokens"
    assert overview(olga.get(DESK))["no-expiration"] == "1,000"
    store_rows(host, 1, ["bob"], expires_at=None)
    shown = olga.get(DESK)
    assert (matching(shown), overview(shown)["active"], overview(shown)["asleep"]) == ("1,000+ tokens", "1,000+", "0")
    assert matching(olga.get(f"{DESK}?owner=ann")) == "1,000 tokens of owner ann"
    assert "Delete 1,000+ tokens?" in Page(olga.get(f"{DESK_DELETE}?status=active&everything=1")).text
    question = Page(olga.get(f"{DESK_DELETE}?status=active&everything=1")).text
    assert "They belong to ann, bob and others." in question or "They belong to ann and others." in question
    assert "At most 5,000 are deleted at a time." in question


LONG = "x" * 60_000
BAD = [LONG, "x" * 256, "\0", "a\x01b", "\u202e", "é" * 300, "'", "%", "_", "\\", "<b>", "a b", "-1", "0", "🎉"]
KEYS = [f"{time}.{'0' * 32}" for time in ("-62135596800000000", "253402300799999999", "-9" * 9, "9" * 18, "x", "٣")]


PATHS = {DESK: {200}, DESK_DELETE: {200, 422, 404}}


@pytest.mark.parametrize(
    ("key", "paths"),
    [
        *((key, PATHS) for key in ("status", "scope", "q", "after", "token")),
        ("owner", PATHS | {DESK_NEW: {200, 422}}),
    ],
)
def test_no_value_of_a_parameter_breaks_the_desk(filled: Host, key: str, paths: dict[str, set[int]]) -> None:
    olga = filled.client("olga")
    encoded = [quote(value) for value in [*BAD, *KEYS]] + ["%FF", "%ED%A0%80", "%C0%AF", "%", "%zz", "+"]
    before = filled.rows()
    for value in encoded:
        for path, statuses in paths.items():
            answer = olga.get(f"{path}?{key}={value}")
            assert answer.status_code in statuses, (path, value[:60])
            assert "<b>" not in answer.text
            assert len(answer.text) < 400_000
    assert filled.rows() == before


def test_an_unreadable_query_string_is_400_for_the_operator_and_404_for_everybody_else(host: Host) -> None:
    with_operator(host)
    for person, status in (("olga", 400), ("ann", 404), (None, 404)):
        client = host.client(person)
        for path in (DESK, DESK_DELETE, DESK_NEW):
            answer = client.get(path, environ_overrides={"QUERY_STRING": "owner=\xff"})
            assert answer.status_code == status


def test_what_the_list_does_not_know_is_in_none_of_its_links(filled: Host) -> None:
    olga = filled.client("olga")
    junk = f"foo=bar&page=2&status=bogus&scope=a%20b&sort=name&after=nonsense&owner=&q=+&everything=1&scope={LONG}"
    for headers in ({}, HTMX):
        answer = olga.get(f"{DESK}?{junk}", headers=headers)
        assert is_fragment(answer) is bool(headers)
        assert (listed_names(answer), len(listed_names(answer))) == (listed_names(olga.get(DESK)), 6)
        for text in ("bogus", "nonsense", "foo=", "page=2", "sort=name", "everything", "First page", LONG):
            assert text not in answer.text, text
    kept = "owner=bob&status=active&sort=created"
    for element in Page(olga.get(f"{DESK}?{kept}&foo=bar")).all("a"):
        assert "foo" not in element.attributes["href"]
    action = ids_of(Page(olga.get(f"{DESK}?{kept}")))["access-tokens-delete-everything"]["href"]
    assert parse_qs(urlsplit(action).query) == {**parse_qs(kept), "everything": ["1"]}


def test_an_empty_list_says_whether_a_filter_hides_tokens(host: Host) -> None:
    olga = with_operator(host).client("olga")
    assert "There are no tokens yet." in olga.get(DESK).text
    host.generate("ann")
    assert "No tokens match." in olga.get(f"{DESK}?owner=bob").text


def test_a_row_says_what_is_known_of_a_token(make_host: Make) -> None:
    host = with_operator(make_host(ACCESS_TOKENS_LAST_USED_FROM=True))
    made = host.generate("ann", "t-one", description="for builds", lifetime_days=-1, scopes=["read"], by="otto")
    host.generate("ann", "t-two", by="cli")
    host.client().get("/api", headers={**bearer(made.secret), "User-Agent": "robot/1.0"})
    text = " ".join(Page(host.client("olga").get(DESK)).text.split())
    for part in (made.token.hint, str(made.token.id), "for builds", "read", "No expiration", "by otto", "robot/1.0"):
        assert part in text, part
    assert "on the command line" in text
    assert made.secret[4:20] not in text


def test_tokens_whose_owner_is_gone_are_found_and_deleted(tmp_path: Path) -> None:
    owned = OwnedHost(f"sqlite:///{tmp_path / 'host.sqlite3'}")
    owned.access_tokens.operator_loader(lambda: "olga")
    ann, bob = owned.add("Ann"), owned.add("Bob")
    for owner in (ann, bob):
        owned.generate(owner)
    owned.run(lambda session: session.execute(sa.text(f"DELETE FROM people WHERE id = {bob}")))
    olga = owned.app.test_client()
    assert overview(olga.get(DESK))["owner-gone"] == "1"
    shown = olga.get(f"{DESK}?status=owner-gone")
    assert [owner for owner, _ in listed(shown)] == [str(bob)]
    assert "Owner gone" in Page(shown).all("td", data_label="Owner")[0].text
    path = f"{DESK_DELETE}?status=owner-gone&everything=1"
    assert olga.post(path, data=Page(olga.get(path)).form("/delete").fields).status_code == 303
    assert owned.owners() == [str(ann)]
    for value in ("abc", "1.5", "99999999999999999999", "٣"):
        assert listed_names(olga.get(DESK, query_string={"owner": value})) == []
        assert listed_names(olga.get(DESK, query_string={"q": value})) == []
