"""The operators' desk in hosts of several tenants: an operator sees and changes the tokens of one tenant alone."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from flask import session

from desk_pages import DESK, DESK_DELETE, DESK_FIND, DESK_NEW, listed_names, matching, notice, overview, selection
from flask_access_tokens import tokens
from markup import Page
from tenant_hosts import DRIVERS, HOSTS, Databases
from tenants import TENANTS, Tenants

OTHER = {"north": "south", "south": "north"}
KINDS = [name for name in HOSTS if not name.endswith(DRIVERS[1:])]
"""Every way to keep tenants apart, with one driver. Other tests run with all, and the desk reads as these do."""


@pytest.fixture
def databases(server_database: Callable[..., str], tmp_path: Path) -> Iterator[Databases]:
    with ExitStack() as stack:
        yield Databases(server_database, tmp_path, stack)


@pytest.fixture(params=KINDS)
def tenants(request: pytest.FixtureRequest, databases: Databases) -> Tenants:
    """A host of two tenants with an operator; a test that uses it runs with every way to keep them apart."""
    host = HOSTS[request.param](databases)
    loaders = host.app.extensions["access_tokens"].loaders
    loaders.operator = lambda: "olga" if session.get("person") == "olga" else None
    return host


def test_an_operator_sees_the_tokens_and_the_numbers_of_one_tenant(tenants: Tenants) -> None:
    made = tenants.generate()
    text = " ".join(each.secret for each in made.values())
    for tenant in TENANTS:
        olga = tenants.client(tenant, "olga")
        other = made[OTHER[tenant]].token
        shown = olga.get(DESK)
        assert (listed_names(shown), matching(shown)) == ([f"t-{tenant}"], "1 token")
        assert overview(shown) == {"active": "1", "expiring": "0", "asleep": "0", "no-expiration": "0"}
        for query in ("status=active", "status=unused", "owner=ann", "sort=used", "sort=-expires"):
            shown = olga.get(f"{DESK}?{query}")
            assert (listed_names(shown), matching(shown).split(" of ")[0]) == ([f"t-{tenant}"], "1 token"), query
        for query in (f"q={other.id}", f"q={other.hint[-4:]}"):
            shown = olga.get(f"{DESK}?{query}")
            assert (listed_names(shown), matching(shown)) == ([], "0 tokens"), query
        assert listed_names(olga.post(DESK_FIND, data={"text": text})) == [f"t-{tenant}"]
        answer = olga.post(DESK_FIND, data={"text": made[OTHER[tenant]].secret})
        assert notice(answer) == "No token has this secret. It may have been deleted."


def test_an_operator_deletes_no_token_of_another_tenant(tenants: Tenants) -> None:
    made = tenants.generate()
    tenants.run("south", tokens.generate, "bob", "t-bob")
    olga = tenants.client("north", "olga")
    assert olga.get(selection(made["south"].token)).status_code == 404
    both = selection(*(each.token for each in made.values()))
    for path in (f"{DESK_DELETE}?status=active&everything=1", f"{DESK_DELETE}?status=unused&everything=1", both):
        question = Page(olga.get(path))
        assert "Delete 1 token?" in question.text, path
        # Those that were selected are named one by one.
        assert ("“t-north” of ann" if path == both else "Owner: ann.") in question.text, path
        assert "t-south" not in question.text
    assert olga.post(both, data=question.form("/delete").fields).status_code == 303
    assert (tenants.uses("north"), tenants.uses("south")) == ({}, {"t-south": False, "t-bob": False})
    tenants.run("north", tokens.generate, "ann", "t-north")
    path = f"{DESK_DELETE}?status=unused&everything=1"
    answer = tenants.client("south", "olga").get(path)
    assert "Delete 2 tokens?" in Page(answer).text
    assert tenants.client("south", "olga").post(path, data=Page(answer).form("/delete").fields).status_code == 303
    assert (tenants.uses("north"), tenants.uses("south")) == ({"t-north": False}, {})


def test_an_operator_generates_in_their_own_tenant(tenants: Tenants) -> None:
    tenants.generate()
    olga = tenants.client("south", "olga")
    fields = Page(olga.get(f"{DESK_NEW}?owner=bob")).form("/new").fields
    answer = olga.post(f"{DESK_NEW}?owner=bob", data={**fields, "name": "t-new"})
    assert answer.status_code == 200
    assert tenants.uses("north") == {"t-north": False}
    assert tenants.uses("south") == {"t-south": False, "t-new": False}
