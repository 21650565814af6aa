"""The limit of live tokens."""

import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
import sqlalchemy as sa

from flask_access_tokens import tokens
from flask_access_tokens.store import limits
from flask_access_tokens.tokens import TokenRefused
from host import Clock, Host, bearer
from load import at_once


def test_the_limit_counts_live_tokens_of_one_owner(stored_host: Host, clock: Clock) -> None:
    stored_host.app.config["ACCESS_TOKENS_MAX_PER_OWNER"] = 2
    stored_host.generate("bob")
    stored_host.generate("ann", lifetime_days=1)
    stored_host.generate("ann", lifetime_days=-1)
    with stored_host.app.app_context():
        with pytest.raises(TokenRefused) as refusal:
            tokens.generate("ann", "laptop")
        assert str(refusal.value).startswith("You already have 2 tokens, the most allowed. Delete one first. ")
        assert refusal.value.field is None
        assert len(tokens.owned_by("ann")) == 2
    clock.pass_(days=1)
    stored_host.generate("ann")


def test_a_limit_of_one_is_in_the_singular(host: Host) -> None:
    host.app.config["ACCESS_TOKENS_MAX_PER_OWNER"] = 1
    host.generate("ann")
    with host.app.app_context(), pytest.raises(TokenRefused) as refusal:
        tokens.generate("ann", "laptop")
    assert str(refusal.value) == (
        "You already have 1 token, the most allowed. Delete it first."
        " “laptop” has never been used; it was generated just now."
    )


def test_the_refusal_names_the_token_that_has_gone_unused_for_longest(stored_host: Host, clock: Clock) -> None:
    stored_host.app.config["ACCESS_TOKENS_MAX_PER_OWNER"] = 3
    secrets = [stored_host.generate("ann", name).secret for name in ("oldest", "unused", "newest")]

    def hint() -> str:
        with stored_host.app.app_context(), pytest.raises(TokenRefused) as refusal:
            tokens.generate("ann", "one more")
        return str(refusal.value).rpartition("Delete one first. ")[2]

    def use(secret: str) -> None:
        clock.pass_(hours=1)
        assert stored_host.client().get("/api", headers=bearer(secret)).status_code == 200

    stored_host.generate("bob", "of Bob")
    use(secrets[0])
    use(secrets[2])
    assert hint() == "“unused” has never been used; it was generated 2 hours ago."
    use(secrets[1])
    assert hint() == "“oldest” has gone unused for longest; it was last used 2 hours ago."


def count_live(host: Host) -> int:
    with host.app.app_context():
        return sum(not token.expired for token in tokens.owned_by("ann"))


def generate_until_refused(host: Host) -> int:
    """Generate tokens until the limit, and return how many Ann has then."""
    with host.app.app_context(), suppress(TokenRefused):
        while True:
            tokens.generate("ann", "one more", lifetime_days=1)
    return count_live(host)


def test_a_limit_that_is_lowered_raised_or_switched_off_and_on_again_holds(stored_host: Host, clock: Clock) -> None:
    config = stored_host.app.config
    stored_host.generate("bob")
    for limit in (6, 3, 8, 4, 12):
        config["ACCESS_TOKENS_MAX_PER_OWNER"] = limit
        before = count_live(stored_host)
        assert generate_until_refused(stored_host) == max(limit, before)
        with stored_host.app.app_context():
            for token in tokens.owned_by("ann")[: limit // 2]:
                tokens.delete("ann", token.id)
    config["ACCESS_TOKENS_MAX_PER_OWNER"] = -1
    for _ in range(3):
        stored_host.generate("ann")
    before = count_live(stored_host)
    config["ACCESS_TOKENS_MAX_PER_OWNER"] = before + 2
    assert generate_until_refused(stored_host) == before + 2
    clock.pass_(days=1)
    assert count_live(stored_host) == 3
    assert generate_until_refused(stored_host) == before + 2


def test_tokens_from_before_the_limit_count(stored_host: Host) -> None:
    for _ in range(2):
        stored_host.generate("ann")
    stored_host.app.config["ACCESS_TOKENS_MAX_PER_OWNER"] = 3
    assert generate_until_refused(stored_host) == 3
    assert sorted(row["seat"] is None for row in stored_host.rows()) == [False, True, True]


def test_a_place_of_a_deleted_token_is_free_again(stored_host: Host) -> None:
    stored_host.app.config["ACCESS_TOKENS_MAX_PER_OWNER"] = 2
    made = [stored_host.generate("ann") for _ in range(2)]
    for new in made:
        with stored_host.app.app_context():
            tokens.delete("ann", new.token.id)
        assert generate_until_refused(stored_host) == 2


@pytest.mark.case("S18")
@pytest.mark.parametrize("way", ["delete", "delete_many"])
def test_tokens_whose_successors_are_deleted_during_a_generation_keep_the_places_of_the_pairs(
    stored_host: Host, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    host = stored_host
    host.app.config["ACCESS_TOKENS_MAX_PER_OWNER"] = 4
    host.generate("ann", "single")
    with host.app.app_context():
        successors = [tokens.rotate("ann", host.generate("ann", "pair").token.id).token for _ in range(2)]

    def delete_successors() -> None:
        with host.app.app_context():
            if way == "delete":
                assert all(tokens.delete("ann", token.id) for token in successors)
            else:
                assert len(tokens.delete_many(successors)) == len(successors)
            with suppress(TokenRefused):
                tokens.generate("ann", "other")

    free = limits.free_places

    def free_before_the_deletions(*arguments: Any) -> list[int]:
        found = free(*arguments)
        monkeypatch.setattr(limits, "free_places", free)
        if host.db.engine.dialect.name == "sqlite":
            at_the_end.append(delete_successors)  # nobody else writes during a transaction
        else:
            at_once(1, lambda _: delete_successors())
        return found

    at_the_end: list[Any] = []
    monkeypatch.setattr(limits, "free_places", free_before_the_deletions)
    with host.app.app_context(), suppress(TokenRefused):
        tokens.generate("ann", "one more")
    for work in at_the_end:
        work()
    generate_until_refused(host)
    assert count_live(host) == 4


LEVELS = [
    ("postgresql", "READ COMMITTED"),
    ("postgresql", "REPEATABLE READ"),
    ("postgresql", "SERIALIZABLE"),
    ("mariadb", "READ COMMITTED"),
    ("mariadb", "REPEATABLE READ"),
    ("mariadb", "SERIALIZABLE"),
]


@pytest.mark.case("E01")
@pytest.mark.parametrize(("kind", "level"), LEVELS)
def test_the_limit_is_exact_at_every_isolation_level(
    make_host: Callable[..., Host], server_database: Callable[[str], str], kind: str, level: str
) -> None:
    host = make_host(
        server_database(kind),
        SQLALCHEMY_ENGINE_OPTIONS={"isolation_level": level, "pool_size": 8},
        ACCESS_TOKENS_MAX_PER_OWNER=3,
    )

    def generate(_: int) -> str:
        with host.app.app_context():
            try:
                return str(tokens.generate("ann", "laptop").token.id)
            except TokenRefused:
                return "refused"

    for _ in range(3):
        outcomes = at_once(8, generate)
        assert outcomes.count("refused") == 5
        with host.app.app_context():
            assert len(tokens.owned_by("ann")) == 3
            tokens.delete_all("ann")


@pytest.mark.parametrize("kind", ["postgresql", "mariadb"])
def test_a_transaction_of_the_host_that_does_not_see_the_other_tokens_does_not_exceed_the_limit(
    make_host: Callable[..., Host], server_database: Callable[[str], str], kind: str
) -> None:
    options = {"isolation_level": "REPEATABLE READ"}
    host = make_host(server_database(kind), SQLALCHEMY_ENGINE_OPTIONS=options, ACCESS_TOKENS_MAX_PER_OWNER=2)
    with host.app.app_context():
        assert host.db.session.execute(sa.text("SELECT count(*) FROM access_tokens")).scalar() == 0

        def generate_two() -> None:
            host.generate("ann")
            host.generate("ann")

        other = threading.Thread(target=generate_two)
        other.start()
        other.join()
        with pytest.raises(TokenRefused):
            tokens.generate("ann", "third")
        host.db.session.rollback()
        assert len(tokens.owned_by("ann")) == 2
