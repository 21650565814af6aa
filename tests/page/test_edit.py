"""Editing the name and the description of a token."""

from typing import Any

import pytest

from host import Host, bearer
from markup import Page
from pages import HTMX, NOBODY, PAGE, edit_path, is_fragment, names


def edit_data(client: Any, path: str, **fields: Any) -> dict[str, Any]:
    """The data that the form submits, after some fields were changed."""
    return {**Page(client.get(path)).form("/edit").fields, **fields}


def test_a_person_edits_the_name_and_the_description_of_a_token(stored_host: Host) -> None:
    new = stored_host.generate("ann", "t-old", description="Old", scopes=["read"])
    client, path = stored_host.client("ann"), edit_path(new.token)
    form = Page(client.get(path))
    assert [element.text.strip() for element in form.all("h1")] == ["Edit token"]
    fields = form.form("/edit").fields
    assert (fields["name"], fields["description"]) == (["t-old"], ["Old"])
    answer = client.post(path, query_string={"sort": "name"}, data=edit_data(client, path, name=" t-new "))
    assert answer.status_code == 303
    assert answer.location.startswith(f"{PAGE}?sort=name&notice=")
    assert "Token “t-new” was saved." in Page(client.get(answer.location)).text
    (row,) = stored_host.rows()
    assert (row["name"], row["description"], row["scopes"]) == ("t-new", "Old", "read")
    assert stored_host.client().get("/api", headers=bearer(new.secret)).status_code == 200


def test_with_htmx_the_answer_is_the_list_with_a_notice(host: Host) -> None:
    token = host.generate("ann", "t-old").token
    client, path = host.client("ann"), edit_path(token)
    answer = client.post(path, data=edit_data(client, path, name="t-new"), headers=HTMX)
    assert answer.status_code == 200
    assert is_fragment(answer)
    assert "Token “t-new” was saved." in answer.text


def test_a_refused_value_is_shown_at_its_field_and_nothing_is_stored(host: Host) -> None:
    token = host.generate("ann", "t-old", description="Old").token
    client, path = host.client("ann"), edit_path(token)
    answer = client.post(path, data=edit_data(client, path, name="", description="d" * 256))
    page = Page(answer)
    assert answer.status_code == 422
    (name,) = page.all("input", name="name")
    assert name.attributes["aria-invalid"] == "true"
    assert "autofocus" in name.attributes
    assert "Enter a name" in page.text
    assert "Use at most 255." in page.text
    assert page.form("/edit").fields["description"] == ["d" * 256]
    assert [(row["name"], row["description"]) for row in host.rows()] == [("t-old", "Old")]


@pytest.mark.case("C01")
def test_nobody_can_edit_another_persons_an_unknown_or_a_deleted_token(stored_host: Host) -> None:
    foreign = stored_host.generate("ann", "t-ann").token
    own = stored_host.generate("bob", "t-bob").token
    bob = stored_host.client("bob")
    sent = edit_data(bob, edit_path(own), name="t-mine")
    for method in ("get", "post"):
        for headers in ({}, HTMX):
            answers = [
                getattr(bob, method)(edit_path(token), headers=headers, **({"data": sent} if method == "post" else {}))
                for token in (foreign.id, NOBODY)
            ]
            assert len({(answer.status_code, answer.text) for answer in answers}) == 1
            assert answers[0].status_code == (200 if headers else 404)
            assert "t-ann" not in answers[0].text
    assert (names(stored_host), names(stored_host, "bob")) == (["t-ann"], ["t-bob"])


def test_an_expired_form_keeps_the_values_entered_and_a_forged_one_does_not(protected_host: Host) -> None:
    token = protected_host.generate("ann", "t-old").token
    client, path = protected_host.client("ann"), edit_path(token)
    own = edit_data(client, path, name="t-typed", csrf_token="wrong")
    for sent, shown in ((own, "t-typed"), ({"name": "t-forged"}, "t-old")):
        answer = client.post(path, data=sent)
        assert answer.status_code == 400
        assert "This form has expired." in answer.text
        fields = Page(answer).form("/edit").fields
        assert fields["name"] == [shown]
        assert names(protected_host) == ["t-old"]
    assert client.post(path, data={**fields, "name": "t-new"}).status_code == 303
    assert names(protected_host) == ["t-new"]


@pytest.mark.parametrize("forged", ["", "x", "WyJhbm4iLCJQYXkgbm93LiJd.aAAAAA.x"])
def test_a_notice_that_the_page_did_not_sign_is_not_shown(host: Host, forged: str) -> None:
    token = host.generate("ann", "t-a").token
    client = host.client("ann")
    assert "access-tokens-notice" not in client.get(PAGE, query_string={"notice": forged}).text
    location = client.post(edit_path(token), data=edit_data(client, edit_path(token))).location
    assert "was saved" in client.get(location).text
    assert "was saved" not in host.client("bob").get(location).text, "the notice of another person"
