"""CSRF protection of the page's forms."""

from typing import Any

import pytest
from flask import session
from itsdangerous import URLSafeTimedSerializer
from werkzeug.middleware.proxy_fix import ProxyFix

from catalogs import NEW, PAGE
from desk_pages import DESK, DESK_FIND
from host import Host
from markup import Page
from pages import HTMX, SECRET, Make, answer_to_question, delete_path, form_data, is_fragment, names, token_fields


@pytest.mark.case("D01")
def test_a_form_without_its_own_csrf_token_changes_nothing(protected_host: Host) -> None:
    host = protected_host
    token = host.generate("ann", "t-kept").token
    ann, bob = host.client("ann"), host.client("bob")
    good = {NEW: form_data(ann, name="t-typed"), delete_path(token): answer_to_question(ann, token)}
    bobs = form_data(bob)["csrf_token"]
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
def test_an_expired_form_is_rendered_again_with_the_values_entered(protected_host: Host) -> None:
    host = protected_host
    token = host.generate("ann", "t-old").token
    client = host.client("ann")
    form = form_data(client, name="t-typed", description="for builds", scopes=["write"])
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


FOREIGN = {"name": "t-foreign", "description": "d-foreign", "lifetime_days": "-1", "scopes": ["read", "write"]}


@pytest.mark.case("D01")
@pytest.mark.parametrize("made_for", ["nobody", "another person", "another site", "another person's session"])
def test_the_values_of_a_form_that_the_page_did_not_make_are_dropped(protected_host: Host, made_for: str) -> None:
    host = protected_host
    ann, bob = host.client("ann"), host.client("bob")
    bobs = form_data(bob)
    sent: dict[str, Any] = {
        "nobody": {},
        "another person": {"access_tokens_nonce": bobs["access_tokens_nonce"]},
        "another site": {"access_tokens_nonce": URLSafeTimedSerializer("guessed").dumps(["x", "ann"])},
        "another person's session": {
            "access_tokens_nonce": bobs["access_tokens_nonce"],
            "csrf_token": bobs["csrf_token"],
        },
    }[made_for]
    # The address is the sender's choice as well.
    for headers, status in (({}, 400), (HTMX, 200)):
        answer = ann.post(NEW, query_string=FOREIGN, data={**FOREIGN, **sent}, headers=headers)
        assert answer.status_code == status
        assert "This form has expired." in answer.text
        assert "foreign" not in answer.text
        fresh = Page(answer).form("/new").fields
        assert (fresh["name"], fresh["description"], fresh["lifetime_days"], fresh["scopes"]) == (
            [""],
            [""],
            ["365"],
            [],
        )
    assert host.rows() == []
    assert ann.post(NEW, data={**fresh, "name": "t-own"}).status_code == 200
    assert names(host) == ["t-own"]


@pytest.mark.case("D02")
def test_a_csrf_token_in_a_header_is_enough(protected_host: Host) -> None:
    client = protected_host.client("ann")
    headers = {**HTMX, "X-CSRFToken": form_data(client)["csrf_token"][0]}
    generated = client.post(NEW, data=token_fields("t-made"), headers=headers)
    assert generated.status_code == 200
    assert SECRET.search(generated.text)
    (token,) = [found for found in [protected_host.find(SECRET.findall(generated.text)[0])] if found]
    assert client.post(delete_path(token), headers=headers).status_code == 200
    assert names(protected_host) == []


@pytest.mark.case("D01")
def test_the_hosts_own_name_for_the_csrf_field_is_used(make_host: Make) -> None:
    host = make_host(csrf=True, WTF_CSRF_FIELD_NAME="forgery")
    token = host.generate("ann", "t-old").token
    client = host.client("ann")
    form = form_data(client, name="t-new")
    assert form["forgery"]
    assert client.post(NEW, data={**form, "forgery": "wrong"}).status_code == 400
    assert client.post(NEW, data=form).status_code == 200
    assert client.post(delete_path(token), data=answer_to_question(client, token)).status_code == 303
    assert names(host) == ["t-new"]


@pytest.mark.case("S25")
def test_the_host_s_csrf_token_may_be_in_a_field_that_is_called_nonce(make_host: Make) -> None:
    host = make_host(csrf=True, WTF_CSRF_FIELD_NAME="nonce")
    host.access_tokens.operator_loader(lambda: session.get("person"))
    client = host.client("ann")
    form = form_data(client, name="t-new")
    assert client.post(NEW, data={**form, "nonce": "wrong"}).status_code == 400
    secret = SECRET.findall(client.post(NEW, data=form).text)[0]
    sent = {**Page(client.get(DESK)).form("/find").fields, "text": secret}
    assert "t-new" in client.post(DESK_FIND, data=sent).text
    assert client.post(DESK_FIND, data={**sent, "nonce": "wrong"}).status_code == 400


@pytest.mark.case("D01")
def test_a_hosts_csrf_error_handler_does_not_replace_the_pages_form(make_host: Make) -> None:
    host = make_host(csrf=True)
    host.app.register_error_handler(400, lambda error: ("host says no", 400))
    client = host.client("ann")
    answer = client.post(NEW, data=form_data(client, name="t-typed", csrf_token="wrong"))
    assert "t-typed" in answer.text
    assert "host says no" not in answer.text


@pytest.mark.case("D04")
def test_get_and_head_change_nothing(protected_host: Host) -> None:
    host = protected_host
    token = host.generate("ann", "t-kept").token
    client = host.client("ann")
    csrf = form_data(client)["csrf_token"][0]
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
    generated = client.post(NEW, data=sent, headers=headers, **at)
    assert generated.status_code == 200
    assert client.post(delete_path(token), data=sent, headers=headers, **at).status_code == 303
    assert names(host) == ["t-new"]
