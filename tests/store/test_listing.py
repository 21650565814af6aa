"""The listing: pages, search, filters and order."""

from datetime import timedelta

import pytest

from flask_access_tokens import (
    tokens,
)
from host import Clock, Host, bearer


def test_a_page_holds_one_owner_s_tokens_only(stored_host: Host) -> None:
    for number in range(3):
        stored_host.generate("ann", f"Laptop {number}")
    stored_host.generate("bob", "Laptop of Bob")
    with stored_host.app.app_context():
        for number in (-1, 0, 1, 2, 10**9):
            page = tokens.page("bob", number=number, search="laptop", size=2)
            assert [token.name for token in page.tokens] == ["Laptop of Bob"]
        page = tokens.page("ann", number=2, size=2, sort="name")
        assert ([token.name for token in page.tokens], page.pages, page.matching) == (["Laptop 2"], 2, 3)


def in_every_state(host: Host, clock: Clock) -> None:
    """Generate tokens for Ann at the boundaries of every status, and one of each for Bob."""
    today = clock.moment

    def add(name: str, lifetime_days: int, **ago: float) -> str:
        clock.moment = today - timedelta(**ago)
        host.generate("bob", "of Bob", lifetime_days=lifetime_days)
        return host.generate("ann", name, lifetime_days=lifetime_days).secret

    add("gone", 10, days=10)
    add("Edge", 10, days=10, microseconds=-1)
    soon = add("soon", 60, days=45)
    add("later", 60, days=45, microseconds=-1)
    forever = add("Never", -1, days=1)
    for hours, text in ((3, soon), (2, forever)):
        clock.moment = today - timedelta(hours=hours)
        assert host.client().get("/api", headers=bearer(text)).status_code == 200
    clock.moment = today


@pytest.mark.parametrize(
    ("sort", "names"),
    [
        ("", ["Never", "Edge", "later", "soon", "gone"]),
        ("nonsense", ["Never", "Edge", "later", "soon", "gone"]),
        ("-nonsense", ["Never", "Edge", "later", "soon", "gone"]),
        ("created", ["soon", "later", "Edge", "Never", "gone"]),
        ("-created", ["Never", "Edge", "later", "soon", "gone"]),
        ("name", ["Edge", "later", "Never", "soon", "gone"]),
        ("-name", ["soon", "Never", "later", "Edge", "gone"]),
        ("expires", ["Edge", "soon", "later", "Never", "gone"]),
        ("-expires", ["Never", "later", "soon", "Edge", "gone"]),
        ("used", ["Edge", "later", "soon", "Never", "gone"]),
        ("-used", ["Never", "soon", "Edge", "later", "gone"]),
    ],
)
def test_live_tokens_come_before_expired_ones_in_the_requested_order(
    stored_host: Host, clock: Clock, sort: str, names: list[str]
) -> None:
    in_every_state(stored_host, clock)
    with stored_host.app.app_context():
        found = [token.name for token in tokens.page("ann", sort=sort).tokens]
    unused = [name for name in found if name in ("Edge", "later")]
    if sort.endswith("used"):  # neither was used, so their random ids decide
        names = [unused.pop(0) if name in ("Edge", "later") else name for name in names]
    assert found == names


@pytest.mark.parametrize(
    ("status", "names"),
    [
        ("", {"gone", "Edge", "soon", "later", "Never"}),
        ("odd", {"gone", "Edge", "soon", "later", "Never"}),
        ("active", {"Edge", "soon", "later", "Never"}),
        ("expiring", {"Edge", "soon"}),
        ("expired", {"gone"}),
        ("unused", {"gone", "Edge", "later"}),
    ],
)
def test_a_status_filters_one_owner_s_tokens_and_all_are_counted(
    stored_host: Host, clock: Clock, status: str, names: set[str]
) -> None:
    in_every_state(stored_host, clock)
    with stored_host.app.app_context():
        page = tokens.page("ann", status=status)
        assert {token.name for token in page.tokens} == names
        assert {token.owner_id for token in page.tokens} == {"ann"}
        assert page.counts == {"all": 5, "active": 4, "expiring": 2, "expired": 1, "unused": 3}
        for size in (1, 2):
            few = tokens.page("ann", status=status, size=size, number=10**9)
            assert (few.matching, few.pages, few.number) == (len(names), -(-len(names) // size), few.pages)
            assert few.tokens == [] or few.tokens[-1].id == page.tokens[-1].id
        if status == "active":
            assert {token.status for token in page.tokens} == {"active", "expiring"}
        elif status in ("expiring", "expired"):
            assert {token.status for token in page.tokens} == {status}


def test_the_first_page_is_the_default_and_has_25_tokens(host: Host) -> None:
    for number in range(26):
        host.generate("ann", f"robot {number}")
    with host.app.app_context():
        page = tokens.page("ann")
    assert (len(page.tokens), page.number, page.pages, page.matching) == (25, 1, 2, 26)


def test_a_search_finds_name_description_scope_hint_and_token_id(stored_host: Host) -> None:
    found = stored_host.generate("ann", "Über-Backup", description="Copies the notes", scopes=["write"]).token
    stored_host.generate("ann", "laptop", description="Reads", scopes=["read"])
    stored_host.generate("bob", "Über-Backup", description="Copies the notes", scopes=["write"])
    hint = found.hint
    searches = ["ÜBER", "copies THE", "writ", hint, hint[-4:], hint.replace("…", "..."), str(found.id)]
    with stored_host.app.app_context():
        for search in searches:
            page = tokens.page("ann", search=search)
            assert [token.id for token in page.tokens] == [found.id], search
            assert (page.matching, page.counts["all"]) == (1, 2)
        for search in (str(found.id)[:13], "%", "_ber", "zebra"):
            assert tokens.page("ann", search=search).tokens == []
