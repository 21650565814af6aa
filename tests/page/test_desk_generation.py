"""Generating for an owner at the operators' desk: the secret is shown once, to the operator alone."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from canary import Canary
from crashes import unreadable_after_generation
from desk_pages import (
    DESK,
    DESK_FIND,
    DESK_NEW,
    answer_to,
    find_data,
    generated_data,
    listed,
    notice,
    stored_names,
    with_operator,
)
from flask_access_tokens import token_generated, tokens
from form import error_of
from host import Host, bearer
from markup import Page
from owned import OwnedHost
from pages import HTMX, NEW, PAGE, SECRET, Make, is_fragment, token_fields

FOR_ANN = f"{DESK_NEW}?owner=ann"


@contextmanager
def generations(host: Host) -> Iterator[list[tuple[str, str, str | None, str | None]]]:
    """Collect the owner, the name, ``by`` and ``reason`` of each token that is generated in the block."""
    seen: list[tuple[str, str, str | None, str | None]] = []

    def note(sender: Any, token: tokens.Token, by: str | None = None, reason: str | None = None, **_: Any) -> None:
        seen.append((token.owner_id, token.name, by, reason))

    with token_generated.connected_to(note, host.app):
        yield seen


@pytest.fixture
def desk_host(make_host: Make) -> Host:
    """A host with CSRF protection, an operator, and owners of whom two exist."""
    host = with_operator(make_host(csrf=True))
    host.access_tokens.owner_loader(lambda owner_id: owner_id if owner_id in ("ann", "bob", "olga") else None)
    return host


def test_a_token_for_an_owner_is_the_owner_s_and_names_the_operator(stored_host: Host) -> None:
    host = with_operator(stored_host)
    olga = host.client("olga")
    form = generated_data(olga, "ann", name="CI", description="for builds", scopes=["read"], reason=" asked by mail ")
    with generations(host) as seen:
        answer = olga.post(FOR_ANN, data=form)
    assert answer.status_code == 200
    assert seen == [("ann", "CI", "olga", "asked by mail")]
    (text,) = SECRET.findall(answer.text)
    (row,) = host.rows()
    assert (row["owner_id"], row["generated_by"], row["scopes"]) == ("ann", "olga", "read")
    assert host.client().get("/api", headers=bearer(text)).json == {"owner": "ann", "scopes": ["read"]}
    assert listed(answer) == [("ann", "CI")]
    assert "New token for ann" in Page(answer).text
    own = Page(host.client("ann").get(PAGE))
    assert "CI" in own.text
    assert [each.text for each in own.all("dd")][-1] == "olga"
    assert "CI" not in host.client("bob").get(PAGE).text


@pytest.mark.case("D12")
def test_the_secret_is_in_the_answer_once_and_nowhere_else(desk_host: Host, canary: Canary) -> None:
    host = desk_host
    olga = host.client("olga")
    for headers in ({}, HTMX):
        answer = olga.post(FOR_ANN, data=generated_data(olga, "ann"), headers=headers)
        assert (answer.status_code, is_fragment(answer)) == (200, bool(headers))
        (text,) = SECRET.findall(answer.text)
        (field,) = Page(answer).all("input", id="access-tokens-secret")
        assert field.attributes["value"] == text
        assert answer.headers["Cache-Control"] == "no-store"
        canary.search("the answer", answer.text.replace(text, ""))
        token = host.find(text)
        assert token is not None
        for client in (olga, host.client("ann")):
            for path in (DESK, FOR_ANN, f"{DESK}?owner=ann", PAGE, f"/access-tokens/all/delete?token={token.id}"):
                canary.search(path, client.get(path).text)
        canary.search("the text that was looked up", olga.post(DESK_FIND, data=find_data(olga, text)).text)
    assert canary.found == []


@pytest.mark.parametrize("what", ["FROM access_tokens", "FROM people"], ids=["tokens", "owners"])
def test_the_secret_is_shown_even_if_the_list_cannot_be_read(tmp_path: Path, what: str) -> None:
    host = OwnedHost(f"sqlite:///{tmp_path / 'host.sqlite3'}")
    host.access_tokens.operator_loader(lambda: "olga")
    ann = host.add("Ann")
    olga = host.app.test_client()
    form = generated_data(olga, str(ann))
    with unreadable_after_generation(host, what):
        answer = olga.post(f"{DESK_NEW}?owner={ann}", data=form)
    assert answer.status_code == 200
    assert SECRET.search(answer.text)
    assert listed(answer) == []
    assert listed(olga.get(DESK)) == [(str(ann), "laptop")]


def test_the_same_form_generates_one_token(stored_host: Host) -> None:
    host = with_operator(stored_host)
    olga = host.client("olga")
    form = generated_data(olga, "ann", name="t-once")
    assert olga.post(FOR_ANN, data=form).status_code == 200
    for headers, status in (({}, 409), (HTMX, 200)):
        again = olga.post(FOR_ANN, data=form, headers=headers)
        assert again.status_code == status
        assert "already generated" in notice(again)
        assert not SECRET.search(again.text)
    assert stored_names(host) == ["t-once"]


@pytest.mark.parametrize(
    "owner", ["cy", "ANN", "ann\u200b", "a\x00b", "a\nb", "x" * 256, "x" * 60_000, "ann,bob", "<b>"], ids=range(9)
)
def test_an_owner_who_is_not_there_is_asked_for_again(desk_host: Host, owner: str) -> None:
    olga = desk_host.client("olga")
    form = generated_data(olga, "ann")
    for method in ("GET", "POST"):
        for headers, status in (({}, 422), (HTMX, 200)):
            answer = olga.open(DESK_NEW, method=method, query_string={"owner": owner}, data=form, headers=headers)
            assert answer.status_code == status
            (field,) = Page(answer).all("input", name="owner", type="text")
            assert field.attributes["aria-invalid"] == "true"
            assert error_of(answer, "owner").startswith("No owner has this ID, or the owner is inactive.")
    assert desk_host.rows() == []


def test_an_owner_has_to_be_chosen_first(desk_host: Host) -> None:
    olga = desk_host.client("olga")
    (field,) = Page(olga.get(DESK_NEW)).all("input", name="owner")
    assert "aria-invalid" not in field.attributes
    for query in ("owner=", "owner=+"):
        answer = olga.get(f"{DESK_NEW}?{query}")
        assert (answer.status_code, "Enter the ID of an owner." in answer.text) == (422, True)
    form = generated_data(olga, "ann")
    assert olga.post(DESK_NEW, data={**form, "owner": "ann", "owner_id": "ann"}).status_code == 422
    assert olga.get(f"{DESK_NEW}?owner=+ann+").status_code == 200
    assert desk_host.rows() == []


@pytest.mark.case("C07")
def test_no_field_of_the_form_chooses_the_owner_or_the_generator(desk_host: Host) -> None:
    olga = desk_host.client("olga")
    extra = {"owner": "bob", "owner_id": "bob", "by": "ann", "generated_by": "ann", "digest": "0" * 64, "maker": "x"}
    assert olga.post(FOR_ANN, data={**generated_data(olga, "ann"), **extra}).status_code == 200
    (row,) = desk_host.rows()
    assert (row["owner_id"], row["generated_by"]) == ("ann", "olga")
    assert olga.post(f"{FOR_ANN}&owner=bob", data=generated_data(olga, "ann")).status_code == 200
    assert {row["owner_id"] for row in desk_host.rows()} == {"ann"}


def test_an_owner_that_is_mapped_has_to_exist_and_may_have_to_be_active(tmp_path: Path) -> None:
    host = OwnedHost(f"sqlite:///{tmp_path / 'host.sqlite3'}", is_active=property(lambda user: user.name != "Bob"))
    host.access_tokens.operator_loader(lambda: "olga")
    ann, bob = host.add("Ann"), host.add("Bob")
    olga = host.app.test_client()
    for owner, status in ((ann, 200), (bob, 422), (99, 422), ("abc", 422), ("1_0", 422), ("9" * 30, 422), ("١", 422)):
        assert olga.get(DESK_NEW, query_string={"owner": owner}).status_code == status, owner
    assert SECRET.search(olga.post(f"{DESK_NEW}?owner={ann}", data=generated_data(olga, str(ann))).text)
    assert host.owners() == [str(ann)]


def test_a_loader_that_cannot_read_an_id_refuses_it(host: Host) -> None:
    with_operator(host).access_tokens.owner_loader(lambda owner_id: int(owner_id) == 7)
    olga = host.client("olga")
    assert olga.get(f"{DESK_NEW}?owner=seven").status_code == 422
    assert olga.get(f"{DESK_NEW}?owner=7").status_code == 200


def test_an_owner_who_lost_their_account_while_the_form_was_open_gets_no_token(desk_host: Host) -> None:
    olga = desk_host.client("olga")
    form = generated_data(olga, "ann")
    desk_host.access_tokens.owner_loader(lambda owner_id: None)
    answer = olga.post(FOR_ANN, data=form)
    assert (answer.status_code, desk_host.rows()) == (422, [])


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", ""),
        ("name", "x" * 101),
        ("name", "a\nb"),
        ("description", "x" * 256),
        ("lifetime_days", "0"),
        ("lifetime_days", "1e3"),
        ("lifetime_days", "１２"),
        ("lifetime_days", "9" * 5000),
        ("reason", "two\nlines"),
        ("reason", "x" * 256),
        ("reason", "\u202e"),
    ],
    ids=range(11),
)
def test_a_refused_value_comes_back_with_its_error_and_keeps_the_rest(desk_host: Host, field: str, value: str) -> None:
    olga = desk_host.client("olga")
    kept = {"name": "t-typed", "description": "for builds", "reason": "asked", "scopes": ["write"]}
    form = generated_data(olga, "ann", **{**kept, field: value})
    for headers, status in (({}, 422), (HTMX, 200)):
        answer = olga.post(FOR_ANN, data=form, headers=headers)
        assert answer.status_code == status
        assert error_of(answer, field)
        again = Page(answer).form("/new")
        assert again.attributes["action"] == FOR_ANN
        assert again.fields["access_tokens_nonce"] == form["access_tokens_nonce"]
        for other in {"name", "reason"} - {field}:
            assert again.fields[other] == [kept[other]]
        assert again.fields["scopes"] == ["write"]
    assert desk_host.rows() == []


@pytest.mark.case("C10")
def test_the_scopes_are_those_that_the_owner_may_grant(desk_host: Host) -> None:
    asked: list[str] = []

    def scopes(owner_id: str) -> list[str]:
        asked.append(owner_id)
        return ["read"] if owner_id == "ann" else ["read", "write"]

    desk_host.access_tokens.scopes_loader(scopes)
    olga = desk_host.client("olga")
    boxes = Page(olga.get(FOR_ANN)).all("input", name="scopes")
    assert [box.attributes["value"] for box in boxes] == ["read"]
    for wanted in (["write"], ["read", "write"], ["read", "read"], ["admin"]):
        assert olga.post(FOR_ANN, data=generated_data(olga, "ann", scopes=wanted)).status_code == 422
    assert desk_host.rows() == []
    assert olga.post(FOR_ANN, data=generated_data(olga, "ann", scopes=["read"])).status_code == 200
    assert set(asked) == {"ann"}


def test_the_limits_of_the_owner_hold_for_the_operator(desk_host: Host) -> None:
    desk_host.app.config.update(ACCESS_TOKENS_MAX_PER_OWNER=1, ACCESS_TOKENS_MAX_LIFETIME_DAYS=30)
    olga = desk_host.client("olga")
    assert olga.post(FOR_ANN, data=generated_data(olga, "ann", lifetime_days="31")).status_code == 422
    assert olga.post(FOR_ANN, data=generated_data(olga, "ann", lifetime_days="-1")).status_code == 422
    assert olga.post(FOR_ANN, data=generated_data(olga, "ann", lifetime_days="30")).status_code == 200
    answer = olga.post(FOR_ANN, data=generated_data(olga, "ann", name="t-second"))
    assert (answer.status_code, len(desk_host.rows())) == (422, 1)
    assert "t-second" in answer.text
    assert notice(answer) == "This owner already has the most tokens allowed. Delete one of them first."
    assert olga.post(f"{DESK_NEW}?owner=bob", data=generated_data(olga, "bob")).status_code == 200


def test_without_self_service_operators_generate_and_owners_do_not(desk_host: Host) -> None:
    desk_host.app.config["ACCESS_TOKENS_SELF_SERVICE"] = False
    olga, ann = desk_host.client("olga"), desk_host.client("ann")
    answer = olga.post(FOR_ANN, data=generated_data(olga, "ann", name="t-given"))
    assert SECRET.search(answer.text)
    for client in (ann, olga):
        assert client.get(NEW).status_code == 403
        assert client.post(NEW, data=token_fields("t-own")).status_code == 403
    assert "t-given" in ann.get(PAGE).text
    assert stored_names(desk_host) == ["t-given"]


def test_a_link_fills_in_the_form_and_says_so(desk_host: Host) -> None:
    olga = desk_host.client("olga")
    link = f"{FOR_ANN}&name=CI&lifetime_days=7&scopes=read&scopes=none&reason=forged&access_tokens_nonce=x"
    answer = olga.get(link)
    assert "A link filled in this form." in answer.text
    form = Page(answer).form("/new")
    assert (form.fields["name"], form.fields["scopes"], form.fields["reason"]) == (["CI"], ["read"], [""])
    assert form.fields["access_tokens_nonce"] != ["x"]
    refused = olga.post(form.attributes["action"], data={**form.fields, "lifetime_days": "0"})
    assert "A link filled in this form." in refused.text
    assert olga.post(form.attributes["action"], data=form.fields).status_code == 200
    (row,) = desk_host.rows()
    assert (row["owner_id"], row["name"]) == ("ann", "CI")


def test_an_operator_who_generates_for_themselves_is_not_named(desk_host: Host) -> None:
    olga = desk_host.client("olga")
    assert olga.post(f"{DESK_NEW}?owner=olga", data=generated_data(olga, "olga")).status_code == 200
    assert [row["generated_by"] for row in desk_host.rows()] == [None]


def test_the_curl_line_holds_no_secret_and_says_where_the_token_has_no_use(desk_host: Host) -> None:
    olga = desk_host.client("olga")
    answer = olga.post(FOR_ANN, data=generated_data(olga, "ann"))
    (command,) = Page(answer).all("pre", id="access-tokens-command")
    assert command.text == 'curl -H "Authorization: Bearer $TOKEN" http://localhost/api'
    assert "data-waits-for" not in answer.text
    assert answer_to(olga, FOR_ANN)["csrf_token"]
