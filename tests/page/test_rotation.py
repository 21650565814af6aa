"""Rotating a token on the page."""

from typing import Any

import pytest
import sqlalchemy as sa

from flask_access_tokens import tokens
from host import Host, bearer
from markup import Page
from pages import HTMX, NOBODY, PAGE, is_fragment


def rotate_path(token: Any) -> str:
    return f"{PAGE}{getattr(token, 'id', token)}/rotate"


def question(client: Any, path: str, **fields: Any) -> dict[str, Any]:
    """The data that the question submits, after some fields were changed."""
    return {**Page(client.get(path)).form("/rotate").fields, **fields}


def status(host: Host, secret: str) -> int:
    return int(host.client().get("/api", headers=bearer(secret)).status_code)


def new_secret(answer: Any) -> str:
    (field,) = Page(answer).all("input", id="access-tokens-secret")
    return str(field.attributes["value"])


def test_a_person_rotates_a_token_and_both_secrets_work(stored_host: Host) -> None:
    old = stored_host.generate("ann", "t-old", scopes=["read"])
    client, path = stored_host.client("ann"), rotate_path(old.token)
    page = Page(client.get(path))
    assert "Rotate token “t-old”?" in page.text
    assert page.form("/rotate").fields["overlap_hours"] == ["24"]
    answer = client.post(path, data=question(client, path, overlap_hours="1"))
    assert answer.status_code == 200
    assert "The old token works until" in answer.text
    assert answer.headers["Cache-Control"] == "no-store"
    secret = new_secret(answer)
    assert [status(stored_host, one) for one in (old.secret, secret)] == [200, 200]
    listed = client.get(PAGE).text
    assert "Replaced, works until" in listed
    assert secret not in listed
    old_row, new_row = sorted(stored_host.rows(), key=lambda row: row["created_at"])
    assert (new_row["replaces"], new_row["name"], new_row["scopes"]) == (old_row["id"], "t-old", "read")


def test_a_replaced_token_whose_expiration_the_host_removed_is_shown_as_active(host: Host) -> None:
    old = host.generate("ann", "t-old")
    model = host.access_tokens.model
    with host.app.app_context():
        tokens.rotate("ann", old.token.id)
        host.db.session.execute(sa.update(model).where(model.id == old.token.id).values(expires_at=None))
        host.db.session.commit()
    answer = host.client("ann").get(PAGE)
    assert answer.status_code == 200
    assert "Replaced" not in answer.text


def test_without_an_overlap_the_page_says_that_the_old_token_no_longer_works(host: Host) -> None:
    old = host.generate("ann", "t-old")
    client, path = host.client("ann"), rotate_path(old.token)
    answer = client.post(path, data=question(client, path, overlap_hours="0"), headers=HTMX)
    assert is_fragment(answer)
    assert "The old token no longer works." in answer.text
    assert [status(host, one) for one in (old.secret, new_secret(answer))] == [401, 200]


def test_a_second_submission_makes_no_second_token(stored_host: Host) -> None:
    old = stored_host.generate("ann", "t-old")
    client, path = stored_host.client("ann"), rotate_path(old.token)
    data = question(client, path)
    assert client.post(path, data=data).status_code == 200
    for answer in (client.post(path, data=data), client.get(path)):
        assert answer.status_code == 409
        assert "This token was already rotated." in answer.text
    assert len(stored_host.rows()) == 2


@pytest.mark.parametrize("hours", ["", "-1", "1.5", "100000", "x", "٣"])
def test_an_overlap_that_is_not_offered_is_refused(host: Host, hours: str) -> None:
    old = host.generate("ann", "t-old")
    client, path = host.client("ann"), rotate_path(old.token)
    answer = client.post(path, data=question(client, path, overlap_hours=hours))
    assert answer.status_code == 422
    assert "Enter 0 to 168 hours." in answer.text
    assert len(host.rows()) == 1


@pytest.mark.case("C01")
def test_nobody_can_rotate_another_persons_or_an_unknown_token(stored_host: Host) -> None:
    foreign = stored_host.generate("ann", "t-ann").token
    bob = stored_host.client("bob")
    for method in ("get", "post"):
        for headers in ({}, HTMX):
            answers = [getattr(bob, method)(rotate_path(token), headers=headers) for token in (foreign, NOBODY)]
            assert len({(answer.status_code, answer.text) for answer in answers}) == 1
            assert answers[0].status_code == (200 if headers else 404)
    assert len(stored_host.rows()) == 1


def test_a_rotation_needs_the_csrf_token(protected_host: Host) -> None:
    old = protected_host.generate("ann", "t-old").token
    client, path = protected_host.client("ann"), rotate_path(old)
    answer = client.post(path, data={"overlap_hours": "0"})
    assert answer.status_code == 400
    assert "This form has expired." in answer.text
    assert Page(answer).form("/rotate").fields["overlap_hours"] == ["24"]
    assert len(protected_host.rows()) == 1
    assert client.post(path, data=question(client, path)).status_code == 200


def test_without_self_service_there_is_no_way_to_rotate(host: Host) -> None:
    old = host.generate("ann", "t-old").token
    client = host.client("ann")
    assert rotate_path(old) in client.get(PAGE).text
    host.app.config["ACCESS_TOKENS_SELF_SERVICE"] = False
    assert rotate_path(old) not in client.get(PAGE).text
    assert [client.get(rotate_path(old)).status_code, client.post(rotate_path(old)).status_code] == [403, 403]
    assert len(host.rows()) == 1


def test_an_expired_token_is_rotated_without_a_choice_of_the_overlap(host: Host, clock: Any) -> None:
    old = host.generate("ann", "t-old", lifetime_days=1)
    clock.pass_(days=2)
    client, path = host.client("ann"), rotate_path(old.token)
    page = Page(client.get(path))
    assert "This token has expired and will not work again." in page.text
    assert not page.all("input", type="radio")
    answer = client.post(path, data=question(client, path))
    assert [status(host, one) for one in (old.secret, new_secret(answer))] == [401, 200]


def test_the_configured_overlap_is_offered_and_chosen(host: Host) -> None:
    host.app.config["ACCESS_TOKENS_OVERLAP_HOURS"] = 72
    client, path = host.client("ann"), rotate_path(host.generate("ann").token)
    page = Page(client.get(path))
    assert page.form("/rotate").fields["overlap_hours"] == ["72"]
    assert [radio.attributes["value"] for radio in page.all("input", type="radio")] == ["0", "1", "24", "72", "168"]
    assert "3 days" in page.text


def test_a_rotation_beyond_the_limit_says_so_and_changes_nothing(host: Host) -> None:
    host.app.config["ACCESS_TOKENS_MAX_PER_OWNER"] = 1
    first = host.generate("ann", "t-old")
    client = host.client("ann")
    client.post(rotate_path(first.token), data=question(client, rotate_path(first.token)))
    (second,) = [row for row in host.rows() if row["replaces"] is not None]
    path = rotate_path(second["id"])
    answer = client.post(path, data=question(client, path))
    assert answer.status_code == 422
    assert "the most allowed" in answer.text
    assert len(host.rows()) == 2


def test_the_question_before_a_successor_is_deleted_tells_that_its_predecessor_still_works(host: Host) -> None:
    old = host.generate("ann", "t-old")
    client, path = host.client("ann"), rotate_path(old.token)
    client.post(path, data=question(client, path, overlap_hours="1"))
    (new,) = [row for row in host.rows() if row["replaces"] is not None]
    asked = client.get(f"{PAGE}{new['id']}/delete").text
    assert f"The token that it replaced, {old.token.hint}, works until " in asked
    assert "The token that it replaced" not in client.get(f"{PAGE}{old.token.id}/delete").text
