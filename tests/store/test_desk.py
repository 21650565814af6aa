"""The operators' list: filters, order and pages over the tokens of all owners, and their bounded numbers."""

import random
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy.orm import Mapped

from flask_access_tokens import AccessTokenMixin, AccessTokens, tokens
from flask_access_tokens.store import desk
from flask_access_tokens.store import summary as summaries
from flask_access_tokens.store.desk import Listing
from flask_access_tokens.store.entities import status_at
from flask_access_tokens.store.filters import STATUSES, Filter
from flask_access_tokens.store.order import SORTS
from flask_access_tokens.store.summary import Summary, summary
from flask_access_tokens.tokens import Token
from host import Clock, Host

NOON = datetime(2031, 5, 6, 12, 0, 0, 123456, tzinfo=UTC)
DAY = timedelta(days=1)
SCOPES = ["", "read", "read write", "write", "reports:read", "Read", "read_all", "read%"]
COLUMNS = {"created": "created_at", "expires": "expires_at", "used": "last_used_at"}
TOLD = [status for status in STATUSES if status != "owner-gone"]


def fill(host: Host, count: int) -> list[Token]:
    """Insert tokens of any state, many of them with the same times, and return them."""
    chance = random.Random(count)
    times = [NOON + timedelta(days=days) for days in (-200, -91, -90, -89, -7, -1, 0, 1, 15, 30, 100)]
    times += [NOON - 90 * DAY - timedelta(microseconds=1), NOON + timedelta(microseconds=1)]
    past = [time for time in times if time <= NOON]
    rows = [
        {
            "id": uuid.UUID(int=chance.getrandbits(128), version=4),
            "owner_id": chance.choice(["ann", "bob", "eve"]),
            "name": f"laptop {number}",
            "description": "",
            "digest": f"{number:064}",
            "scheme": "sha256",
            "hint": chance.choice(["pat_…Ab1z", "pat_…ab1z", "old_…Ab1z", "…Ab1z", "pat_…0000"]),
            "scopes": chance.choice(SCOPES),
            "created_at": chance.choice([time for time in past if time < NOON]),
            "expires_at": chance.choice([None, *times]),
            "last_used_at": chance.choice([None, *past]),
        }
        for number in range(count)
    ]
    with host.app.app_context():
        host.db.session.execute(sa.insert(host.access_tokens.model), rows)
        host.db.session.commit()
        return list(tokens.iter_all())


def shows(token: Token, chosen: Filter) -> bool:
    """Whether a filter shows a token at noon, as the documentation defines it."""
    live = token.expires_at is None or token.expires_at > NOON
    idle_since = token.last_used_at or token.created_at
    by_status = {
        "": True,
        "active": live,
        "expiring": status_at(NOON, token.created_at, token.expires_at, replaced=token.replaced) == "expiring",
        "expired": not live,
        "unused": token.last_used_at is None,
        "asleep": live and idle_since < NOON - 90 * DAY,
        "no-expiration": token.expires_at is None,
    }
    found_by = {token.owner_id, token.hint, str(token.id)}
    if token.hint.startswith(("pat_…", "…")):
        found_by.add(token.hint[-4:])
    return (
        by_status[chosen.status]
        and chosen.owner in ("", token.owner_id)
        and (not chosen.scope or chosen.scope in token.scopes)
        and (not chosen.search or chosen.search in found_by)
    )


def pages(host: Host, chosen: Filter, sort: str, size: int = 7) -> Iterator[Listing]:
    """Every page of a filter at noon."""
    after = ""
    for _ in range(200 // size):
        with host.app.app_context():
            listing = desk.filtered(state_of(host), chosen, sort=sort, after=after, size=size, moment=NOON)
        yield listing
        if not listing.after:
            return
        after = listing.after


def state_of(host: Host) -> Any:
    return host.app.extensions["access_tokens"]


def place(token: Token, sort: str) -> tuple[int, datetime]:
    """Where a token stands in a list: never used before any use, never expires after any date."""
    time: datetime | None = getattr(token, COLUMNS[sort.removeprefix("-")])
    if time is None:
        return (1 if "expires" in sort else -1), NOON
    return 0, time


@pytest.fixture(params=[1000, 5])
def counted(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """The number up to which tokens are counted."""
    for module in (desk, summaries):
        monkeypatch.setattr(module, "MOST_COUNTED", request.param)
    return int(request.param)


FILTERS = [
    Filter(),
    *(Filter(status=status) for status in TOLD),
    *(Filter(scope=scope) for scope in ("read", "Read", "read_all", "read%", "write", "none")),
    Filter(owner="ann"),
    Filter(owner="eve", status="expired", scope="read"),
    Filter(status="asleep", scope="read"),
    Filter(status="expiring", scope="write"),
    Filter(status="active", scope="read"),
    *(Filter(search=search) for search in ("bob", "Ab1z", "ab1z", "pat_…ab1z", "old_…Ab1z", "BOB", "nobody")),
    Filter(search="Ab1z", owner="bob", status="active"),
]


@pytest.mark.case("S22")
@pytest.mark.parametrize("status", ["active", "expiring", "expired", "unused"])
def test_a_status_means_the_same_at_the_desk_as_on_the_page(stored_host: Host, clock: Clock, status: str) -> None:
    clock.moment = NOON
    fill(stored_host, 150)
    with stored_host.app.app_context():
        for lifetime in (1, 3, 20, 61):
            for left in (lifetime / 4 - 0.001, lifetime / 4 + 0.001, 14.999, 15.001):
                clock.moment = NOON - (lifetime - left) * DAY
                tokens.generate("ann", f"{left} of {lifetime} days left", lifetime_days=lifetime)
        clock.moment = NOON - 19 * DAY
        replaced = tokens.generate("ann", "replaced", lifetime_days=20)
        clock.moment = NOON
        tokens.rotate("ann", replaced.token.id, overlap_hours=24)
        page = tokens.page("ann", status=status, size=1000)
        shown = desk.filtered(state_of(stored_host), Filter(owner="ann", status=status), size=1000)
        assert {token.id for token in shown.tokens} == {token.id for token in page.tokens}
        assert shown.matching == page.counts[status] == len(page.tokens) > 5


def test_the_pages_of_each_filter_and_order_show_every_token_once(stored_host: Host, counted: int) -> None:
    stored = fill(stored_host, 80)
    for chosen, sort in product(FILTERS, SORTS):
        expected = sorted(
            (token for token in stored if shows(token, chosen)),
            key=lambda token: place(token, sort),
            reverse=sort.startswith("-"),
        )
        listed = list(pages(stored_host, chosen, sort))
        found = [token for listing in listed for token in listing.tokens]
        assert [place(token, sort) for token in found] == [place(token, sort) for token in expected], (chosen, sort)
        assert sorted(token.id for token in found) == sorted(token.id for token in expected), (chosen, sort)
        assert all(len(listing.tokens) == 7 for listing in listed[:-1]), (chosen, sort)
        bounded = min(len(expected), counted + 1)
        assert [listing.matching for listing in listed] == [bounded] * len(listed), (chosen, sort)
    for chosen in FILTERS:
        number = sum(shows(token, chosen) for token in stored)
        with stored_host.app.app_context():
            assert desk.count(state_of(stored_host), chosen, NOON) == min(number, counted + 1), chosen


@pytest.mark.parametrize(
    "after", ["", "x", "1.2", f"never.{uuid.UUID(int=1)}", f"{10**18 - 1}.{'f' * 32}", "1_0." + "0" * 32]
)
def test_a_key_of_no_page_gives_the_first_page(host: Host, after: str) -> None:
    fill(host, 9)
    with host.app.app_context():
        listing = desk.filtered(state_of(host), Filter(), after=after, size=5)
        first = desk.filtered(state_of(host), Filter(), size=5)
    assert [token.id for token in listing.tokens] == [token.id for token in first.tokens]


def test_a_page_goes_on_after_its_last_token_even_if_that_was_deleted(stored_host: Host, counted: int) -> None:
    stored = fill(stored_host, 30)
    with stored_host.app.app_context():
        first = desk.filtered(state_of(stored_host), Filter(), size=10)
        tokens.delete_many(first.tokens)
        further = list(desk.filtered(state_of(stored_host), Filter(), after=first.after, size=30).tokens)
    assert len({token.id for token in [*first.tokens, *further]}) == len(stored)


@pytest.mark.parametrize(
    ("status", "sort"),
    [("", "-created"), ("active", "-created"), ("expiring", "expires"), ("expired", "-expires"), ("asleep", "used")],
)
def test_each_status_has_its_usual_order(host: Host, status: str, sort: str) -> None:
    fill(host, 60)
    for unknown in ("", "name", "-", "--used"):
        assert list(pages(host, Filter(status=status), unknown)) != []
        assert [listing.after for listing in pages(host, Filter(status=status), unknown)] == [
            listing.after for listing in pages(host, Filter(status=status), sort)
        ]


@pytest.mark.parametrize(
    "chosen",
    [
        Filter(status="odd"),
        Filter(status="owner-gone"),  # cannot be told without owner=
        Filter(owner="\0"),
        Filter(owner=" ann"),
        Filter(owner="a" * 256),
        Filter(search="\0"),
        Filter(search="\ud800"),
        Filter(scope="\0"),
        Filter(scope="read write"),
        Filter(scope="%"),
    ],
    ids=ascii,
)
def test_a_filter_that_cannot_match_shows_nothing(stored_host: Host, chosen: Filter) -> None:
    fill(stored_host, 20)
    state = state_of(stored_host)
    with stored_host.app.app_context():
        assert desk.filtered(state, chosen) == Listing([], "", 0)
        assert desk.count(state, chosen) == 0
        assert summary(state, chosen, NOON) == Summary(0, [], 0, None, 0)


def test_a_filter_that_cannot_match_asks_no_database_that_has_no_tokens(tmp_path: Path) -> None:
    app = Flask("host")
    app.config["SECRET_KEY"] = "a key for tests"
    app.config["SQLALCHEMY_BINDS"] = {"tokens": f"sqlite:///{tmp_path / 'tokens.sqlite3'}"}
    db = SQLAlchemy(app)

    class ApiToken(AccessTokenMixin, db.Model):  # type: ignore[name-defined]
        __bind_key__ = "tokens"
        owner_id: Mapped[int]

    AccessTokens(app, db, model=ApiToken)
    with app.app_context():
        db.create_all("tokens")
        sa.event.listen(db.session, "do_orm_execute", lambda execution: None)
        state = app.extensions["access_tokens"]
        for chosen in (Filter(owner="abc"), Filter(owner="\0"), Filter(status="odd")):
            assert desk.filtered(state, chosen) == Listing([], "", 0)
            assert desk.count(state, chosen) == 0
        db.engines["tokens"].dispose()


def test_the_overview_counts_the_live_tokens_that_operators_look_for(
    stored_host: Host, clock: Clock, counted: int
) -> None:
    stored, clock.moment = fill(stored_host, 80), NOON
    with stored_host.app.app_context(), stored_host.statements() as statements:
        numbers = desk.overview(state_of(stored_host))
    assert list(numbers) == ["active", "expiring", "asleep", "no-expiration"]
    for status, number in numbers.items():
        assert number == min(counted + 1, sum(shows(token, Filter(status=status)) for token in stored))
    assert len(statements) == 1


def test_a_page_takes_few_statements(host: Host, counted: int) -> None:
    fill(host, 80)
    for chosen, sort in product(FILTERS, SORTS):
        after = ""
        for _ in range(3):
            with host.app.app_context(), host.statements() as statements:
                after = desk.filtered(state_of(host), chosen, sort=sort, after=after, size=5, moment=NOON).after
            assert len(statements) <= 3, (chosen, sort)
            bounded = ["LIMIT" in statement or " IN (" in statement for statement in statements]
            assert all(bounded), (chosen, sort)


def test_chosen_tokens_are_found_by_their_ids_whoever_owns_them(
    stored_host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(desk, "BATCH", 3)
    stored = fill(stored_host, 8)
    ids = [token.id for token in stored]
    with stored_host.app.app_context():
        found = desk.chosen_tokens(state_of(stored_host), [*reversed(ids), uuid.uuid4(), ids[0]])
        assert [token.id for token in found] == list(reversed(ids))
        assert desk.chosen_tokens(state_of(stored_host), []) == []


def test_the_summary_says_how_many_tokens_whose_and_how_lately_used(stored_host: Host, counted: int) -> None:
    stored, state = fill(stored_host, 80), state_of(stored_host)
    for chosen in (Filter(), Filter(owner="ann"), Filter(status="unused"), Filter(status="expired", scope="write")):
        shown = [token for token in stored if shows(token, chosen)]
        used = [token.last_used_at for token in shown if token.last_used_at is not None]
        recently = [time for time in used if time > NOON - 7 * DAY]
        with stored_host.app.app_context():
            of_filter, of_tokens = summary(state, chosen, NOON), summary(state, shown, NOON)
        assert of_filter.number == min(len(shown), counted + 1)
        assert of_filter.used_recently == min(len(recently), counted + 1)
        assert of_tokens.number == len(shown)
        assert of_tokens.used_recently == len(recently)
        owner_ids = sorted({token.owner_id for token in shown})
        assert (of_tokens.owner_ids, of_tokens.owners) == (owner_ids, len(owner_ids))
        assert set(of_filter.owner_ids) <= set(owner_ids)
        assert (of_filter.owner_ids, of_filter.owners) == (owner_ids, len(owner_ids)) or len(shown) > counted
        for found in (of_filter, of_tokens):
            assert (found.last_used and found.last_used.last_used_at) == max(used, default=None)


def test_the_summary_names_five_owners_at_most(host: Host) -> None:
    for number in range(7):
        host.generate(f"owner {number}")
    with host.app.app_context():
        found = summary(state_of(host), Filter(), NOON)
    assert (found.owner_ids, found.owners) == ([f"owner {number}" for number in range(5)], 7)
