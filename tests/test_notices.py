"""Expiry notices: which tokens get one, and when."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import mapped_column

from flask_access_tokens import notices, token_expiring, tokens
from flask_access_tokens.store import batches
from flask_access_tokens.tokens import NewToken
from host import Clock, Host, bearer
from owned import OwnedHost

Told = list[tuple[str, int]]


def notify(host: Host) -> Any:
    """Run the command, which must succeed."""
    result = host.call("notify")
    assert result.exit_code == 0, result.output
    return result


def used(host: Host, new: NewToken) -> NewToken:
    """Use a token, which is told of more than once then."""
    assert host.client().get("/api", headers=bearer(new.secret)).status_code == 200
    return new


def noticed(host: Host) -> list[int | None]:
    """The last notice of each token as its row has it, by the tokens' names."""
    return [row["noticed_days"] for row in sorted(host.rows(), key=lambda row: str(row["name"]))]


@pytest.fixture
def told(request: pytest.FixtureRequest) -> Iterator[Told]:
    """The name and the days of each notice that a receiver was sent."""
    host = request.getfixturevalue("stored_host" if "stored_host" in request.fixturenames else "host")
    sent: Told = []

    def note(_: Any, token: tokens.Token, days: int) -> None:
        sent.append((token.name, days))

    with token_expiring.connected_to(note, host.app):
        yield sent


def test_each_window_is_told_once_and_nothing_after_the_expiry(stored_host: Host, clock: Clock, told: Told) -> None:
    used(stored_host, stored_host.generate("ann", "year", lifetime_days=365))
    used(stored_host, stored_host.generate("ann", "forever", lifetime_days=-1))
    seen = []
    clock.pass_(days=333)
    for days in range(334, 368):
        clock.pass_(days=1)
        notify(stored_host)
        seen += [(days, *notice) for notice in told]
        told.clear()
    assert seen == [(335, "year", 30), (358, "year", 7), (364, "year", 1)]


def test_a_run_that_comes_late_tells_only_the_shortest_window(host: Host, clock: Clock, told: Told) -> None:
    used(host, host.generate("ann", "late", lifetime_days=365))
    clock.pass_(days=359)
    notify(host)
    notify(host)
    assert told == [("late", 7)]


def test_the_window_is_reached_at_its_very_instant(host: Host, clock: Clock, told: Told) -> None:
    host.generate("ann", "laptop", lifetime_days=90)
    clock.pass_(days=60, microseconds=-1)
    notify(host)
    assert told == []
    clock.pass_(microseconds=1)
    notify(host)
    assert told == [("laptop", 30)]


@pytest.mark.parametrize(("lifetime", "expected"), [(31, [30, 7, 1]), (30, [30, 7, 1]), (5, [7, 1]), (1, [1])])
def test_a_short_lived_token_reaches_its_first_window_when_it_is_generated(
    host: Host, clock: Clock, told: Told, lifetime: int, expected: list[int]
) -> None:
    token = used(host, host.generate("ann", "short", lifetime_days=lifetime)).token
    assert token.expires_at
    for days in (left for left in (lifetime, 30, 7, 1, 0.5) if left <= lifetime):
        clock.moment = token.expires_at - timedelta(days=days)
        notify(host)
    assert [days for _, days in told] == expected


def test_a_token_that_was_never_used_is_told_of_once(stored_host: Host, clock: Clock, told: Told) -> None:
    stored_host.generate("ann", "unused", lifetime_days=90)
    soon = stored_host.generate("ann", "used later", lifetime_days=90)
    clock.pass_(days=60)
    notify(stored_host)
    assert sorted(told) == [("unused", 30), ("used later", 30)]
    told.clear()
    used(stored_host, soon)
    clock.pass_(days=23)
    notify(stored_host)
    clock.pass_(days=6)
    notify(stored_host)
    assert told == [("used later", 7), ("used later", 1)]


def test_a_replaced_token_is_not_told_of_and_its_successor_is(stored_host: Host, clock: Clock, told: Told) -> None:
    stored_host.app.config["ACCESS_TOKENS_OVERLAP_HOURS"] = 24 * 20
    old = used(stored_host, stored_host.generate("ann", "old", lifetime_days=90))
    with stored_host.app.app_context():
        clock.pass_(days=60)
        new = tokens.rotate("ann", old.token.id)
        tokens.update("ann", new.token.id, name="new")
    notify(stored_host)
    assert told == []
    clock.pass_(days=60)
    notify(stored_host)
    assert told == [("new", 30)]


def test_nobody_is_told_of_a_token_that_does_not_work(host: Host, clock: Clock, told: Told) -> None:
    people = {"ann": "Ann", "bob": "Bob"}
    host.access_tokens.owner_loader(people.get)
    host.generate("ann", "works", lifetime_days=90)
    host.generate("bob", "owner gone", lifetime_days=90)
    host.generate("bob", "flag off", lifetime_days=90)
    clock.pass_(days=85)
    del people["bob"]
    notify(host)
    assert told == [("works", 7)]
    people["bob"] = "Bob"
    host.app.config["ACCESS_TOKENS_ENABLED"] = lambda owner_id: owner_id != "bob"
    notify(host)
    host.app.config["ACCESS_TOKENS_ENABLED"] = False
    result = notify(host)
    assert (result.stdout, result.stderr) == (
        "0 notices sent.\n",
        "Access tokens are disabled, so no notice is due.\n",
    )
    assert told == [("works", 7)]
    assert noticed(host) == [None, None, 7]
    host.app.config["ACCESS_TOKENS_ENABLED"] = True
    notify(host)
    assert len(told) == 3


def test_the_receiver_has_the_owner_and_an_owner_who_is_gone_or_inactive_is_told_nothing(clock: Clock) -> None:
    host = OwnedHost("sqlite://", is_active=mapped_column(sa.Boolean, default=True))
    ann, bob, eve = host.add("Ann"), host.add("Bob", is_active=False), host.add("Eve")
    for owner in (ann, bob, eve):
        host.generate(owner)
    host.run(lambda session: session.execute(sa.delete(host.user).where(host.user.id == eve)))
    clock.pass_(days=364)
    names = []

    def note(_: Any, token: tokens.Token, days: int) -> None:
        names.append(token.owner.name)

    with token_expiring.connected_to(note, host.app), host.app.app_context():
        assert [token.owner_id for token, _ in notices.due()] == [str(ann)]
        assert notices.send_due() == (1, 0)
        host.db.engine.dispose()
    assert names == ["Ann"]


def test_windows_can_be_changed_and_none_means_no_notices(host: Host, clock: Clock, told: Told) -> None:
    used(host, host.generate("ann", "laptop", lifetime_days=365))
    host.app.config["ACCESS_TOKENS_NOTICE_DAYS"] = ()
    clock.pass_(days=355)
    notify(host)
    assert told == []
    host.app.config["ACCESS_TOKENS_NOTICE_DAYS"] = [5, 14]
    notify(host)
    clock.pass_(days=6)
    notify(host)
    assert told == [("laptop", 14), ("laptop", 5)]


def test_every_token_of_many_batches_is_told_of_once(
    stored_host: Host, clock: Clock, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches, "BATCH", 2)
    for number in range(7):
        stored_host.generate(f"owner {number % 3}", str(number), lifetime_days=30)
    clock.pass_(days=25)
    assert notify(stored_host).stdout == "7 notices sent.\n"
    assert notify(stored_host).stdout == "0 notices sent.\n"
    assert sorted(told) == [(str(number), 7) for number in range(7)]


def test_a_dry_run_lists_what_would_be_sent_and_sends_nothing(stored_host: Host, clock: Clock, told: Told) -> None:
    token = stored_host.generate("ann", "=1+1", lifetime_days=90).token
    stored_host.generate("ann", "later", lifetime_days=365)
    clock.pass_(days=85)
    for _ in range(2):
        listed = stored_host.call("notify", "--dry-run")
        assert listed.exit_code == 0
        assert listed.stdout.splitlines() == ["TOKEN ID\tOWNER\tNAME\tDAYS", f"{token.id}\tann\t'=1+1\t7"]
    assert told == []
    notify(stored_host)
    assert told == [("=1+1", 7)]
    assert len(stored_host.call("notify", "--dry-run").stdout.splitlines()) == 1


def test_without_a_receiver_the_command_says_what_to_connect_and_marks_nothing(
    make_host: Callable[..., Host], clock: Clock
) -> None:
    host, other = make_host(), make_host()
    host.generate("ann", lifetime_days=30)
    clock.pass_(days=25)

    def note(_: Any, token: tokens.Token, days: int) -> None:
        raise AssertionError("It is connected to another application.")

    with token_expiring.connected_to(note, other.app):
        result = host.call("notify")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "@token_expiring.connect_via(app)" in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert noticed(host) == [None]


def test_a_database_that_cannot_be_used_is_one_line(host: Host, told: Told) -> None:
    with host.app.app_context():
        host.db.drop_all()
    result = host.call("notify")
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: The token store cannot be used: ")
    assert len(result.stderr.splitlines()) == 1
