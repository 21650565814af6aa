"""The operators' list: filters, order and pages over the tokens of all owners, and their bounded numbers."""

import random
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from flask_access_tokens import tokens
from flask_access_tokens.store import desk, ranges
from flask_access_tokens.store.desk import Listing
from flask_access_tokens.store.filters import STATUSES, Filter
from flask_access_tokens.store.order import SORTS
from flask_access_tokens.tokens import Token
from host import Host

NOON = datetime(2031, 5, 6, 12, 0, 0, 123456, tzinfo=UTC)
DAY = timedelta(days=1)
SCOPES = ["", "read", "read write", "write", "reports:read", "Read", "read_all", "read%"]
COLUMNS = {"created": "created_at", "expires": "expires_at", "used": "last_used_at"}
TOLD = [status for status in STATUSES if status != "owner-gone"]


def fill(host: Host, count: int) -> list[Token]:
    """Insert tokens of any state, many of them with the same times, and return them."""
    chance = random.Random(count)
    times = [NOON + timedelta(days=days) for days in (-200, -91, -90, -89, -7, -1, 0, 1, 30, 31, 100)]
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
            "created_at": chance.choice(past),
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
        "expiring": live and token.expires_at is not None and token.expires_at <= NOON + 30 * DAY,
        "expired": not live,
        "unused": live and token.last_used_at is None,
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


@pytest.fixture(params=[(1000, 20_000), (5, 20_000), (5, 10)], ids=["few match", "near ones match", "far ones match"])
def counted(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """The number up to which tokens are counted, and sorted in Python; an index gives the order of more."""
    counted, nearby = request.param
    monkeypatch.setattr(ranges, "MOST_COUNTED", counted)
    monkeypatch.setattr(desk, "MOST_COUNTED", counted)
    monkeypatch.setattr(desk, "_NEARBY", nearby)
    return int(counted)


FILTERS = [
    Filter(),
    *(Filter(status=status) for status in TOLD),
    *(Filter(scope=scope) for scope in ("read", "Read", "read_all", "read%", "write", "none")),
    Filter(owner="ann"),
    Filter(owner="eve", status="expired", scope="read"),
    Filter(status="asleep", scope="read"),
    Filter(status="expiring", scope="write"),
    *(Filter(search=search) for search in ("bob", "Ab1z", "ab1z", "pat_…ab1z", "old_…Ab1z", "BOB", "nobody")),
    Filter(search="Ab1z", owner="bob", status="active"),
]


@pytest.mark.parametrize("sort", SORTS)
def test_the_pages_of_each_filter_and_order_show_every_token_once(stored_host: Host, counted: int, sort: str) -> None:
    stored = fill(stored_host, 80)
    for chosen in FILTERS:
        expected = sorted(
            (token for token in stored if shows(token, chosen)),
            key=lambda token: place(token, sort),
            reverse=sort.startswith("-"),
        )
        listed = list(pages(stored_host, chosen, sort))
        found = [token for listing in listed for token in listing.tokens]
        assert [place(token, sort) for token in found] == [place(token, sort) for token in expected], chosen
        assert sorted(token.id for token in found) == sorted(token.id for token in expected), chosen
        assert all(len(listing.tokens) == 7 for listing in listed[:-1]), chosen
        bounded = min(len(expected), counted + 1)
        assert [listing.matching for listing in listed] == [bounded] * len(listed), chosen
        with stored_host.app.app_context():
            assert desk.count(state_of(stored_host), chosen, NOON) == bounded, chosen
