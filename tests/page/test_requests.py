"""Unusual requests to the page: long lists, malformed query strings, other methods, files."""

import pytest

from catalogs import NEW, PAGE
from host import Host
from markup import Page
from pages import HTMX, NOBODY, asset_path, delete_path, names, shown_names, status_of, store_many, token_fields


@pytest.mark.case("F15")
def test_the_page_runs_as_many_statements_for_a_thousand_tokens_as_for_ten(stored_host: Host) -> None:
    client = stored_host.client("ann")

    def counts() -> list[int]:
        found = []
        for query in ("", "?page=2", "?status=active&sort=-name", "?q=t-1", "?status=expired&q=x"):
            with stored_host.statements() as seen:
                assert client.get(f"{PAGE}{query}").status_code == 200
            found.append(len(seen))
        with stored_host.statements() as seen:
            assert client.post(NEW, data=token_fields("t-new")).status_code == 200
        return [*found, len(seen)]

    store_many(stored_host, 10)
    few = counts()
    store_many(stored_host, 1_000)
    assert counts() == few
    assert max(few) <= 6


def test_long_lists_are_paginated(stored_host: Host) -> None:
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
    for search, expected in found.items():
        assert shown_names(client.get(PAGE, query_string={"q": search})) == expected


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
        f"q={search}"
        for search in ("%00", "%25", "_", "%27", "%22%3E", "%F0%9F%98%80", "x" * 10_000, "%ff", "%ed%a0%80", "%5C", "")
    ),
    "owner=ann&user_id=bob&unknown=1",
    "q[]=1&q=2&status[]=x",
    "&&==&%",
    "name=%00&lifetime_days=%00&scopes=%00",
]


def test_no_query_string_causes_a_server_error(stored_host: Host) -> None:
    token = stored_host.generate("ann", "t-a").token
    client = stored_host.client("ann")
    for query in QUERIES:
        assert client.get(f"{PAGE}?{query}").status_code == 200, query
    for query in (*QUERIES[::4], QUERIES[-1]):
        assert client.get(f"{NEW}?{query}", headers=HTMX).status_code == 200, query
        assert client.get(f"{delete_path(token)}?{query}").status_code == 200, query
        assert client.post(f"{delete_path(NOBODY)}?{query}").status_code == 404, query
        assert client.post(f"{NEW}?{query}", data={}).status_code == 422, query


def test_raw_bytes_in_a_query_string_never_cause_a_server_error(host: Host) -> None:
    token = host.generate("ann", "t-a").token
    client = host.client("ann")
    raw = {"environ_overrides": {"QUERY_STRING": "q=\xff\xfe&page=\xed\xa0\x80"}}
    for path in (PAGE, NEW, delete_path(token)):
        assert client.get(path, **raw).status_code in (200, 400)
    assert client.post(NEW, data=token_fields("t-b"), **raw).status_code in (200, 400)
    assert client.post(delete_path(token), **raw).status_code in (303, 400)


def test_a_token_id_is_a_uuid_in_canonical_form_in_either_case(host: Host) -> None:
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


def test_methods_that_the_page_does_not_support_are_refused(stored_host: Host) -> None:
    token = stored_host.generate("ann", "t-a").token
    before = stored_host.rows()
    client = stored_host.client("ann")
    for path in (PAGE, NEW, delete_path(token)):
        for method in ("PUT", "DELETE", "PATCH", "TRACE", "BREW"):
            answer = client.open(
                path, method=method, data=token_fields("t-x"), headers={"X-HTTP-Method-Override": "POST"}
            )
            assert answer.status_code == 405
        assert client.options(path).status_code == 200
    assert client.post(PAGE, data=token_fields("t-x")).status_code == 405
    assert client.post(f"{PAGE}?_method=DELETE", data={"_method": "DELETE"}).status_code == 405
    assert stored_host.rows() == before


def test_only_the_assets_of_the_package_are_served(host: Host) -> None:
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
