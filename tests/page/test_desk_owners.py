"""What the operators' desk says of owners, in hosts that map them, load them, or know nothing of them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import sqlalchemy as sa
from flask_login import UserMixin

from desk_pages import (
    DESK,
    DESK_DELETE,
    DESK_NEW,
    answer_to,
    find_data,
    generated_data,
    listed,
    overview,
    selection,
    shadow,
    with_operator,
)
from host import Host, bearer
from login import with_flask_login
from markup import Page
from owned import OwnedHost
from pages import PAGE, Make


def owner_cells(client: Any, query: str = "") -> list[str]:
    """The text of each row's owner."""
    return [" ".join(cell.text.split()) for cell in Page(client.get(f"{DESK}{query}")).all("td", data_label="Owner")]


@pytest.fixture
def make_owned(tmp_path: Path) -> Callable[..., OwnedHost]:
    def make(**members: Any) -> OwnedHost:
        host = OwnedHost(f"sqlite:///{tmp_path / 'host.sqlite3'}", **members)
        host.access_tokens.operator_loader(lambda: "olga")
        return host

    return make


def test_a_mapped_owner_is_named_by_the_str_of_its_own_class(make_owned: Callable[..., OwnedHost]) -> None:
    host = make_owned(__str__=lambda user: f"Dr. {user.name}")
    ann, bob = host.add("Ann"), host.add("Bob")
    host.generate(ann)
    host.generate(bob)
    olga = host.app.test_client()
    assert sorted(owner_cells(olga)) == [f"{ann} Dr. Ann", f"{bob} Dr. Bob"]
    assert owner_cells(olga, f"?owner={bob}") == [f"{bob} Dr. Bob"]


def test_a_mapped_owner_without_a_str_is_known_by_the_id_alone(make_owned: Callable[..., OwnedHost]) -> None:
    host = make_owned()
    ann = host.add("Ann")
    host.generate(ann)
    olga = host.app.test_client()
    assert owner_cells(olga) == [str(ann)]
    assert "User" not in olga.get(DESK).text
    host.run(lambda session: session.execute(sa.text("DELETE FROM people")))
    assert owner_cells(olga) == [f"{ann} Owner gone"]


@pytest.mark.case("S22")
def test_a_token_whose_owner_is_gone_has_no_green_status(make_owned: Callable[..., OwnedHost]) -> None:
    host = make_owned()
    ann, bob = host.add("Ann"), host.add("Bob")
    host.generate(ann)
    host.generate(bob)
    host.run(lambda session: session.execute(sa.text("DELETE FROM people WHERE name = 'Ann'")))
    page = Page(host.app.test_client().get(DESK))
    rows = [row for row in page.all("tr") if "access-tokens-row" in row.attributes.get("class", "")]
    shown = {row.attributes["class"].split()[1] for row in rows}
    assert shown == {"access-tokens-is-active", "access-tokens-is-owner-gone"}
    statuses = [each.text for each in page.all("span") if each.attributes.get("class") == "access-tokens-status"]
    assert sorted(statuses) == ["Active", "Owner gone"]
    assert overview(host.app.test_client().get(DESK))["active"] == "1"


class Record:
    """A base class whose text shows every value of an object, as some hosts' base models do."""

    def __init__(self, **values: str) -> None:
        self.__dict__.update(values)

    def __str__(self) -> str:
        return str(self.__dict__)


class Person(Record):
    """A person without a text of their own."""


class Named(Record):
    def __str__(self) -> str:
        return str(self.__dict__["name"] or self.__dict__["id"])


@pytest.mark.parametrize(
    ("owner", "cell"),
    [
        (Named(id="ann", name="Ann A.", password="pw-hash"), "ann Ann A."),
        (Person(id="ann", name="Ann A.", password="pw-hash"), "ann"),
        (Named(id="ann", name="", password="pw-hash"), "ann"),
        ({"id": "ann", "password": "pw-hash"}, "ann"),
        (("ann", "pw-hash"), "ann"),
        (True, "ann"),
        (7, "ann"),
        (None, "ann Owner gone or inactive"),
        (False, "ann Owner gone or inactive"),
    ],
    ids=["own text", "text of a base class", "the ID as text", "dict", "tuple", "True", "7", "None", "False"],
)
def test_a_loaded_owner_is_named_by_the_str_of_its_own_class(host: Host, owner: Any, cell: str) -> None:
    with_operator(host).access_tokens.owner_loader(lambda owner_id: owner)
    host.generate("ann")
    olga = host.client("olga")
    assert owner_cells(olga) == [cell]
    assert "pw-hash" not in olga.get(DESK).text


def test_a_host_may_name_owners_by_a_template_of_its_own(host: Host) -> None:
    with_operator(host).access_tokens.owner_loader(lambda owner_id: Person(email=f"{owner_id}@shop.example"))
    shadow(host, _owner="<b>{{ owner.email if owner else 'nobody' }}</b> {{ token.owner_id }}")
    host.generate("ann")
    made = host.generate("bob")
    olga = host.client("olga")
    assert owner_cells(olga) == ["bob@shop.example bob", "ann@shop.example ann"]
    found = olga.post(f"{DESK}find", data=find_data(olga, made.secret))
    assert "bob@shop.example" in found.text
    host.access_tokens.owner_loader(lambda owner_id: None)
    assert owner_cells(olga) == ["nobody bob", "nobody ann"]


def test_a_host_that_checks_no_owner_is_told_nothing_of_owners_that_are_gone(host: Host) -> None:
    with_operator(host)
    host.generate("ann")
    olga = host.client("olga")
    assert owner_cells(olga) == owner_cells(olga, "?status=owner-gone") == ["ann"]
    assert "owner-gone" not in overview(olga.get(DESK))
    assert "Owner gone" not in olga.get(DESK).text
    assert olga.get(f"{DESK_DELETE}?status=owner-gone&everything=1").status_code == 422


def test_an_owner_who_may_not_act_is_not_said_to_be_gone(host: Host) -> None:
    manager = with_flask_login(with_operator(host))

    class User(UserMixin):
        is_active = False

    manager.user_loader(lambda user_id: User())
    host.generate("ann")
    olga = host.client("olga")
    assert owner_cells(olga) == ["ann Owner gone or inactive"]
    assert "owner-gone" not in overview(olga.get(DESK))


def test_an_inactive_owner_that_is_mapped_is_there(make_owned: Callable[..., OwnedHost]) -> None:
    host = make_owned(is_active=False)
    ann = host.add("Ann")
    host.generate(ann)
    olga = host.app.test_client()
    assert owner_cells(olga) == [str(ann)]
    assert overview(olga.get(DESK))["owner-gone"] == "0"


HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' hx-get='/x' hx-trigger='load",
    "{{ 7*7 }}{% raw %}",
    "javascript:alert(1)//&amp;",
)


@pytest.mark.case("B21")
@pytest.mark.parametrize("text", HOSTILE)
def test_texts_of_owners_are_shown_and_never_run(host: Host, text: str) -> None:
    with_operator(host).access_tokens.owner_loader(lambda owner_id: Named(name=f"n-{text}", id=owner_id))
    made = host.generate(text, text[:100], description=text, by=f"by {text}")
    second = host.generate(text, "second")
    host.client().get("/api", headers={**bearer(made.secret), "User-Agent": text})
    olga = host.client("olga")
    query = {"owner": text}
    form = answer_to(olga, f"{DESK_NEW}?owner={quote(text)}", name="")
    ann = host.client()
    with ann.session_transaction() as signed_in:
        signed_in["person"] = text
    answers = [
        olga.get(DESK),
        olga.get(DESK, query_string={"owner": text, "q": text, "scope": text, "status": text, "after": text}),
        olga.get(selection(made.token, second.token)),
        olga.get(DESK_DELETE, query_string={**query, "everything": "1"}),
        olga.post(f"{DESK}find", data=find_data(olga, made.secret)),
        olga.get(DESK_NEW, query_string=query),
        olga.get(DESK_NEW, query_string={"owner": f"{text}\x01"}),
        olga.post(DESK_NEW, query_string=query, data={**form, "reason": f"{text}\n"}),
        olga.post(DESK_NEW, query_string=query, data={**form, "name": "third"}),
        ann.get(PAGE),
    ]
    for answer in answers:
        page = Page(answer)
        assert page.all("img") == []
        assert [each for each in page.all("script") if "src" not in each.attributes] == []
        assert [each for each in page.elements if each.attributes.get("hx-get", "").startswith("/x")] == []
        assert [each for each in page.elements if {"onerror", "onload"} & set(each.attributes)] == []
        assert "4949" not in page.text
        assert "{{ 49 }}" not in page.text
        assert all(each.attributes["href"].startswith("/access-tokens/") for each in page.all("a"))
    for shown in (answers[0], answers[-1]):
        assert text in Page(shown).text
    assert (text, "second") in listed(answers[0])
    assert answers[2].status_code == answers[3].status_code == answers[8].status_code == 200


def test_two_applications_in_one_process_have_two_desks(make_host: Make) -> None:
    north, south, closed = with_operator(make_host()), with_operator(make_host(), "otto"), make_host()
    for host, name in ((north, "t-north"), (south, "t-south"), (closed, "t-closed")):
        host.generate("ann", name)
    assert listed(north.client("olga").get(DESK)) == [("ann", "t-north")]
    assert listed(south.client("otto").get(DESK)) == [("ann", "t-south")]
    assert south.client("olga").get(DESK).status_code == 404
    assert closed.client("olga").get(DESK).status_code == 404


def test_a_form_of_one_application_is_worth_nothing_in_another(make_host: Make) -> None:
    north = with_operator(make_host(csrf=True))
    south = with_operator(make_host(csrf=True, SECRET_KEY="another key"))
    form = generated_data(north.client("olga"), "ann")
    olga = south.client("olga")
    own = generated_data(olga, "ann")
    assert (
        olga.post(
            f"{DESK_NEW}?owner=ann", data={**own, "access_tokens_nonce": form["access_tokens_nonce"]}
        ).status_code
        == 400
    )
    assert south.rows() == []
