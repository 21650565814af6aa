"""The host's settings: the feature flag, self-service and limits."""

from typing import Any

import pytest

from catalogs import NEW, PAGE
from flask_access_tokens import secret
from host import Host, bearer
from markup import Page
from pages import (
    HTMX,
    NOBODY,
    SECRET,
    Make,
    answer_to_question,
    asset_path,
    delete_path,
    form_data,
    names,
    refused_everywhere,
    status_of,
    token_fields,
)


@pytest.mark.case("H01")
def test_with_the_flag_off_every_request_gets_404(login_host: Host) -> None:
    host, client = login_host, login_host.client("ann")
    asset = asset_path(client)
    assert status_of(client, asset) == 200
    for value in (False, None, 0, 1, "true", [True]):
        host.app.config["ACCESS_TOKENS_ENABLED"] = value
        with host.statements() as seen:
            assert status_of(client, asset) == 404
            assert client.get(PAGE).status_code == 404
            assert client.post(NEW, data=token_fields("x")).status_code == 404
            assert client.post(delete_path(NOBODY)).status_code == 404
        assert seen == []
    for person in (client, host.client()):
        for headers in ({}, HTMX, bearer(str(secret.generate("pat")))):
            refused_everywhere(host, person, 404, headers)
    host.app.config["ACCESS_TOKENS_ENABLED"] = True
    assert client.get(PAGE).status_code == 200


@pytest.mark.case("H04")
def test_the_flag_may_be_on_for_one_person_and_off_for_another(login_host: Host) -> None:
    host = login_host
    owner_ids: list[str | None] = []

    def enabled(owner_id: str | None) -> bool:
        owner_ids.append(owner_id)
        return owner_id != "bob"

    host.app.config["ACCESS_TOKENS_ENABLED"] = enabled
    ann, bob = host.client("ann"), host.client("bob")
    assert ann.get(PAGE).status_code == 200
    assert status_of(ann, asset_path(ann)) == 200
    assert status_of(bob, asset_path(ann)) == 404
    refused_everywhere(host, bob, 404)
    refused_everywhere(host, host.client(), 401)
    refused_everywhere(host, bob, 401, bearer(str(secret.generate("pat"))))
    assert set(owner_ids) == {"ann", "bob", None}


@pytest.mark.case("H04")
def test_a_flag_that_is_off_for_anonymous_visitors_hides_the_sign_in_too(login_host: Host) -> None:
    login_host.app.config["ACCESS_TOKENS_ENABLED"] = lambda owner_id: owner_id is not None
    refused_everywhere(login_host, login_host.client(), 404)
    refused_everywhere(login_host, login_host.client("ann"), 404, bearer(str(secret.generate("pat"))))


@pytest.mark.case("H04")
def test_a_flag_that_raises_or_returns_no_boolean_counts_as_off(login_host: Host) -> None:
    for answer in (0, 1, None, "yes", ZeroDivisionError(), SystemError()):

        def enabled(owner_id: str | None, answer: Any = answer) -> Any:
            if isinstance(answer, Exception):
                raise answer
            return answer

        login_host.app.config["ACCESS_TOKENS_ENABLED"] = enabled
        assert login_host.client("ann").get(PAGE).status_code == 404
        assert login_host.client("ann").post(NEW, data=token_fields("x")).status_code == 404
        assert login_host.client().get(PAGE).status_code == 404


def test_without_self_service_people_can_list_and_delete_but_not_generate(login_host: Host) -> None:
    host = login_host
    host.app.config["ACCESS_TOKENS_SELF_SERVICE"] = False
    token = host.generate("ann", "t-a").token
    client = host.client("ann")
    page = Page(client.get(PAGE))
    assert not [element for element in page.elements if "/new" in element.attributes.get("href", "")]
    assert not [form for form in page.forms if form.attributes.get("action", "").endswith("/new")]
    assert "Generate" not in page.text
    for headers in ({}, HTMX):
        for answer in (client.get(NEW, headers=headers), client.post(NEW, data=token_fields("x"), headers=headers)):
            assert answer.status_code == 403
    assert host.client().get(NEW).status_code == 401
    assert names(host) == ["t-a"]
    assert client.post(delete_path(token), data=answer_to_question(client, token)).status_code == 303


def test_at_the_limit_the_page_shows_an_error_and_stores_nothing(make_host: Make, database_url: str) -> None:
    host = make_host(database_url, ACCESS_TOKENS_MAX_PER_OWNER=2)
    client = host.client("ann")
    for number in range(2):
        assert client.post(NEW, data=form_data(client, name=f"t-{number}")).status_code == 200
    for headers, status in (({}, 422), (HTMX, 200)):
        answer = client.post(NEW, data=form_data(client, name="t-typed"), headers=headers)
        assert answer.status_code == status
        text = " ".join(Page(answer).text.split())
        assert "You already have 2 tokens, the most allowed" in text
        assert "t-typed" in answer.text
        assert not SECRET.search(answer.text)
    assert names(host) == ["t-0", "t-1"]
    assert host.client("bob").post(NEW, data=token_fields("t-bob")).status_code == 200


def test_lifetimes_beyond_the_hosts_maximum_are_not_offered(host: Host) -> None:
    def offered() -> set[str]:
        page = Page(host.client("ann").get(NEW))
        return {element.attributes["value"] for element in page.all("input", name="lifetime_preset")}

    assert offered() >= {"7", "30", "60", "90", "365", "-1"}
    host.app.config["ACCESS_TOKENS_MAX_LIFETIME_DAYS"] = 60
    assert offered() >= {"7", "30", "60"}
    assert not offered() & {"90", "365", "-1"}
