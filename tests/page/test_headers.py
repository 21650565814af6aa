"""The response headers of the page, and the responses to htmx."""

import itertools
from typing import Any

import pytest

from catalogs import NEW, PAGE
from flask_access_tokens import secret
from host import Host, bearer
from markup import Page
from pages import (
    HTMX,
    NOBODY,
    Make,
    answer_to_question,
    delete_path,
    form_data,
    is_fragment,
    shown_names,
    token_fields,
)


@pytest.mark.case("D08")
def test_every_response_of_the_page_has_its_headers(make_host: Make) -> None:
    host = make_host(csrf=True, PROPAGATE_EXCEPTIONS=False)
    token = host.generate("ann", "t-kept").token
    ann, anonymous = host.client("ann"), host.client()
    form = form_data(ann)
    answers = [
        ann.get(PAGE),
        ann.get(PAGE, headers=HTMX),
        ann.get(NEW),
        ann.get(delete_path(token)),
        ann.get(delete_path(NOBODY)),
        ann.post(NEW, data={}),
        ann.post(NEW, data=form),
        ann.post(NEW, data=form),
        ann.post(NEW, data={**form_data(ann), "lifetime_days": "x"}),
        anonymous.get(PAGE),
        anonymous.get(PAGE, headers=HTMX),
        anonymous.post(NEW),
        ann.get(PAGE, headers=bearer(str(secret.generate("pat")))),
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
def test_a_header_set_by_the_host_is_kept(host: Host, name: str, value: str) -> None:
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
def test_the_hosts_own_pages_get_none_of_the_extensions_headers(host: Host) -> None:
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
def test_htmx_gets_the_panel_alone_and_other_clients_get_the_full_page(
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
    answer = client.post(NEW, data=token_fields("t-b"), headers=headers)
    assert (answer.status_code, is_fragment(answer)) == (200, alone)
    answer = client.post(delete_path(token), headers=headers)
    assert answer.status_code == (200 if alone else 303)
    if alone:
        assert is_fragment(answer)
        assert shown_names(answer) == ["t-b"]


def test_a_second_delete_is_404_and_htmx_gets_a_refreshed_panel(stored_host: Host) -> None:
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


def test_deleting_redirects_to_the_same_part_of_the_list(host: Host) -> None:
    token = host.generate("ann", "t-a").token
    state = {"q": "t-é&x", "status": "active", "sort": "-name", "page": "2", "next": "//evil.example"}
    answer = host.client("ann").post(delete_path(token), query_string=state)
    assert answer.location.startswith(f"{PAGE}?q=t-%C3%A9%26x&status=active&sort=-name&page=2&notice=")


@pytest.mark.case("D17")
def test_no_redirect_target_is_taken_from_the_request(host: Host) -> None:
    client = host.client("ann")
    targets = ("//e.example", "/\\e.example", "https:e.example", "https://e.example/", "%0d%0aSet-Cookie:x")
    for key, target in itertools.product(("next", "q", "page"), targets):
        token = host.generate("ann", "t-a").token
        for headers in ({}, HTMX, {"Referer": target, "Origin": target, "HX-Current-URL": target}):
            answer = client.post(delete_path(token), query_string={key: target}, data={key: target}, headers=headers)
            assert answer.location is None or answer.location.startswith(PAGE)
            assert "HX-Redirect" not in answer.headers
            assert "x" not in [name for name, _ in answer.headers]
        anonymous = host.client().get(PAGE, query_string={key: target}, headers=HTMX)
        assert anonymous.headers["HX-Redirect"] == PAGE
