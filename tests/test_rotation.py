"""Rotation: a token and its successor, and the time during which both work."""

from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from flask_access_tokens import rotation, token_rejected, token_rotated, tokens
from flask_access_tokens.tokens import AlreadyReplaced, NewToken, TokenRefused
from host import Clock, Host, bearer
from load import at_once


def rotate(host: Host, new: NewToken, **values: Any) -> NewToken:
    with host.app.app_context():
        return tokens.rotate(new.token.owner_id, new.token.id, **values)


def status(host: Host, secret: str) -> int:
    return int(host.client().get("/api", headers=bearer(secret)).status_code)


def stored(host: Host, new: NewToken) -> tokens.Token:
    with host.app.app_context():
        token = tokens.get(new.token.owner_id, new.token.id)
    assert token is not None
    return token


def test_both_secrets_work_until_the_overlap_ends(stored_host: Host, clock: Clock) -> None:
    old = stored_host.generate("ann", "t-pair", description="Both", scopes=["read"], lifetime_days=30)
    new = rotate(stored_host, old, overlap_hours=2)
    assert new.secret != old.secret
    successor, predecessor = stored(stored_host, new), stored(stored_host, old)
    assert (successor.name, successor.description, successor.scopes) == ("t-pair", "Both", ("read",))
    assert (successor.status, successor.replaces, successor.replaced) == ("active", old.token.id, False)
    assert successor.expires_at == successor.created_at + timedelta(days=30)
    assert (predecessor.status, predecessor.replaces, predecessor.replaced) == ("replaced", None, True)
    assert predecessor.expires_at == successor.created_at + timedelta(hours=2)
    assert [status(stored_host, secret) for secret in (old.secret, new.secret)] == [200, 200]
    assert stored(stored_host, old).last_used_at is not None
    clock.pass_(hours=2)
    assert [status(stored_host, secret) for secret in (old.secret, new.secret)] == [401, 200]
    assert stored(stored_host, old).status == "expired"


def test_without_an_overlap_the_old_secret_is_refused_at_once_as_replaced(stored_host: Host) -> None:
    old = stored_host.generate("ann")
    new = rotate(stored_host, old, overlap_hours=0)
    reasons: list[tuple[str, Any]] = []

    def note(_: Any, reason: str, token_id: Any) -> None:
        reasons.append((reason, token_id))

    with token_rejected.connected_to(note, stored_host.app):
        answer = stored_host.client().get("/api", headers=bearer(old.secret))
    assert (answer.status_code, answer.json["error"]) == (401, "invalid_token")
    assert answer.json["error_description"] == "The access token has been replaced."
    assert reasons == [("replaced", old.token.id)]
    assert status(stored_host, new.secret) == 200


def test_the_overlap_is_as_configured_and_never_extends_a_token(host: Host) -> None:
    host.app.config["ACCESS_TOKENS_OVERLAP_HOURS"] = 72
    first, second = host.generate("ann", lifetime_days=90), host.generate("ann", lifetime_days=1)
    new = rotate(host, first)
    assert stored(host, first).expires_at == new.token.created_at + timedelta(hours=72)
    rotate(host, second)
    assert stored(host, second).expires_at == second.token.expires_at


@pytest.mark.case("S18")
@pytest.mark.parametrize(("configured", "most"), [(24, "168"), (1200, "1,200")])
@pytest.mark.parametrize("hours", [-1, 1201, 366 * 24, 1.5, True, "1"])
def test_an_overlap_that_is_not_allowed_changes_nothing(host: Host, hours: Any, configured: int, most: str) -> None:
    host.app.config["ACCESS_TOKENS_OVERLAP_HOURS"] = configured
    old = host.generate("ann")
    with pytest.raises(TokenRefused, match=rf"Enter 0 to {most} hours\.") as refusal:
        rotate(host, old, overlap_hours=hours)
    assert refusal.value.field == "overlap_hours"
    answer = host.client("ann").post(f"/access-tokens/{old.token.id}/rotate", data={"overlap_hours": "1201"})
    assert (answer.status_code, f"Enter 0 to {most} hours." in answer.text) == (422, True)
    ran = host.call("rotate", "ann", str(old.token.id), "--overlap-hours", "1201")
    assert (ran.exit_code, ran.stderr) == (1, f"Error: Enter 0 to {most} hours.\n")
    assert len(host.rows()) == 1
    assert stored(host, old).status == "active"


@pytest.mark.parametrize(("days", "most", "expected"), [(30, -1, 30), (30, 7, 7), (-1, -1, None), (-1, 60, 60)])
def test_the_lifetime_is_that_of_the_predecessor_or_the_maximum(
    host: Host, days: int, most: int, expected: int | None
) -> None:
    old = host.generate("ann", lifetime_days=days)
    host.app.config["ACCESS_TOKENS_MAX_LIFETIME_DAYS"] = most
    new = rotate(host, old).token
    assert (new.expires_at and new.expires_at - new.created_at) == (expected and timedelta(days=expected))


def test_a_lifetime_can_be_given(host: Host) -> None:
    new = rotate(host, host.generate("ann"), lifetime_days=3).token
    assert new.expires_at == new.created_at + timedelta(days=3)
    with pytest.raises(TokenRefused):
        rotate(host, host.generate("ann"), lifetime_days=0)


def test_the_successor_has_only_scopes_that_the_owner_may_still_grant(host: Host) -> None:
    old = host.generate("ann", scopes=["read", "write"])
    host.access_tokens.scopes_loader(lambda _: ["read"])
    assert rotate(host, old).token.scopes == ("read",)


def test_an_expired_token_is_rotated_and_stays_expired(stored_host: Host, clock: Clock) -> None:
    old = stored_host.generate("ann", lifetime_days=1)
    clock.pass_(days=2)
    new = rotate(stored_host, old)
    assert stored(stored_host, old).expires_at == old.token.expires_at
    assert [status(stored_host, secret) for secret in (old.secret, new.secret)] == [401, 200]


def test_a_token_has_one_successor_which_can_be_rotated_itself(stored_host: Host) -> None:
    old = stored_host.generate("ann")
    new = rotate(stored_host, old)
    with pytest.raises(AlreadyReplaced, match="Rotate the token that replaced it"):
        rotate(stored_host, old)
    newest = rotate(stored_host, new)
    assert [status(stored_host, one.secret) for one in (old, new, newest)] == [200, 200, 200]


def test_a_token_whose_successor_is_deleted_works_until_its_overlap_ends(stored_host: Host, clock: Clock) -> None:
    old = stored_host.generate("ann")
    new = rotate(stored_host, old, overlap_hours=6 * 24)
    with stored_host.app.app_context():
        assert tokens.delete("ann", new.token.id)
    assert stored(stored_host, old).status == "active"
    clock.pass_(days=6)
    assert status(stored_host, old.secret) == 401


@pytest.mark.case("S18")
@pytest.mark.parametrize("days", [-1, 365])
def test_a_token_whose_successor_is_deleted_is_not_rotated_to_one_of_another_lifetime(
    stored_host: Host, clock: Clock, days: int
) -> None:
    host = stored_host
    old = host.generate("ann", lifetime_days=days)
    new = rotate(host, old)
    with host.app.app_context():
        tokens.delete("ann", new.token.id)
    for passed in (0, 24):
        clock.pass_(hours=passed)
        with pytest.raises(TokenRefused, match="The lifetime of this token is no longer known") as refusal:
            rotate(host, old)
        assert refusal.value.field == "lifetime_days"
        answer = host.client("ann").post(f"/access-tokens/{old.token.id}/rotate", data={"overlap_hours": "1"})
        assert (answer.status_code, "no longer known" in answer.text) == (422, True)
    assert len(host.rows()) == 1
    new = rotate(host, old, lifetime_days=30)
    assert new.token.expires_at == new.token.created_at + timedelta(days=30)


@pytest.mark.case("S18")
def test_a_token_that_expires_before_its_overlap_ends_is_rotated_again_after_its_successor_is_deleted(
    stored_host: Host, clock: Clock
) -> None:
    old = stored_host.generate("ann", lifetime_days=1)
    clock.pass_(hours=1)
    with stored_host.app.app_context():
        tokens.delete("ann", rotate(stored_host, old).token.id)
    new = rotate(stored_host, old).token
    assert new.expires_at == new.created_at + timedelta(days=1)


def test_another_persons_and_an_unknown_token_are_not_rotated(stored_host: Host) -> None:
    old = stored_host.generate("ann")
    with stored_host.app.app_context():
        for owner, token_id in (("bob", old.token.id), ("ann", "nothing"), ("ann", None)):
            with pytest.raises(TokenRefused, match="You have no such token"):
                tokens.rotate(owner, token_id)
    assert len(stored_host.rows()) == 1


@pytest.mark.parametrize("limit", [-1, 1])
def test_of_eight_rotations_at_once_one_succeeds(stored_host: Host, limit: int) -> None:
    stored_host.app.config["ACCESS_TOKENS_MAX_PER_OWNER"] = limit
    old = stored_host.generate("ann")
    outcomes: Counter[str] = Counter()

    def attempt(_: int) -> None:
        try:
            rotate(stored_host, old)
            outcomes["rotated"] += 1
        except AlreadyReplaced:
            outcomes["refused"] += 1

    at_once(8, attempt)
    assert outcomes == {"rotated": 1, "refused": 7}
    assert len(stored_host.rows()) == 2
    assert status(stored_host, old.secret) == 200


def test_a_pair_counts_once_against_the_limit(stored_host: Host, clock: Clock) -> None:
    stored_host.app.config["ACCESS_TOKENS_MAX_PER_OWNER"] = 2
    old = stored_host.generate("ann", "pair")
    rotate(stored_host, old)
    stored_host.generate("ann", "second")
    with stored_host.app.app_context(), pytest.raises(TokenRefused, match="the most allowed"):
        tokens.generate("ann", "third")
    clock.pass_(hours=24)
    with stored_host.app.app_context(), pytest.raises(TokenRefused, match="the most allowed"):
        tokens.generate("ann", "third")


@pytest.mark.parametrize("limited_from_the_start", [True, False])
def test_a_third_token_that_works_in_a_row_counts(stored_host: Host, limited_from_the_start: bool) -> None:
    config = stored_host.app.config
    config["ACCESS_TOKENS_MAX_PER_OWNER"] = 2 if limited_from_the_start else -1
    first = stored_host.generate("ann", "row")
    config["ACCESS_TOKENS_MAX_PER_OWNER"] = 2
    second = rotate(stored_host, first)
    third = rotate(stored_host, second)
    with stored_host.app.app_context(), pytest.raises(TokenRefused, match="the most allowed"):
        tokens.generate("ann", "other")
    assert [status(stored_host, one.secret) for one in (first, second, third)] == [200, 200, 200]


def test_a_rotation_beyond_the_limit_changes_nothing(stored_host: Host) -> None:
    stored_host.app.config["ACCESS_TOKENS_MAX_PER_OWNER"] = 1
    first = stored_host.generate("ann")
    second = rotate(stored_host, first)
    with pytest.raises(TokenRefused, match="the most allowed"):
        rotate(stored_host, second)
    assert len(stored_host.rows()) == 2
    assert stored(stored_host, second).status == "active"
    assert stored(stored_host, second).expires_at == second.token.expires_at


def test_rotating_an_expired_token_needs_a_free_place(stored_host: Host, clock: Clock) -> None:
    stored_host.app.config["ACCESS_TOKENS_MAX_PER_OWNER"] = 1
    old = stored_host.generate("ann", "old", lifetime_days=1)
    clock.pass_(days=1)
    stored_host.generate("ann", "other")
    with pytest.raises(TokenRefused, match="the most allowed"):
        rotate(stored_host, old)
    assert len(stored_host.rows()) == 2


def test_a_signal_tells_of_the_pair_and_of_who_acted(host: Host) -> None:
    old = host.generate("ann")
    received: list[dict[str, Any]] = []

    def note(_: Any, **sent: Any) -> None:
        received.append(sent)

    with token_rotated.connected_to(note, host.app):
        new = rotate(host, old, by="operator 7")
    (sent,) = received
    assert set(sent) == {"token", "predecessor", "by"}
    assert (sent["token"].id, sent["predecessor"].id, sent["by"]) == (new.token.id, old.token.id, "operator 7")
    assert sent["predecessor"].status == "replaced"


def test_a_replaced_token_is_not_listed_as_expiring(stored_host: Host) -> None:
    old = stored_host.generate("ann", lifetime_days=365)
    rotate(stored_host, old, overlap_hours=1)
    with stored_host.app.app_context():
        page = tokens.page("ann", status="expiring")
    assert (page.tokens, page.counts["expiring"], page.counts["active"]) == ([], 0, 2)
    assert "Replaced" in stored_host.client("ann").get("/access-tokens/").text


def test_the_command_line_prints_the_new_secret_alone(stored_host: Host) -> None:
    old = stored_host.generate("ann")
    ran = stored_host.call("rotate", "ann", str(old.token.id), "--overlap-hours", "3", "--lifetime-days", "9")
    assert ran.exit_code == 0, ran.output
    secret = ran.stdout.strip()
    assert [status(stored_host, one) for one in (old.secret, secret)] == [200, 200]
    assert f"Token {old.token.id} works until " in ran.stderr
    again = stored_host.call("rotate", "ann", str(old.token.id))
    assert (again.exit_code, again.stdout) == (1, "")
    assert "This token was already rotated." in again.stderr


def test_a_configured_overlap_that_cannot_work_is_an_error(make_host: Callable[..., Host]) -> None:
    for hours in (-1, 1.5, None, True, 99_999):
        with pytest.raises(ValueError, match="ACCESS_TOKENS_OVERLAP_HOURS"):
            make_host(ACCESS_TOKENS_OVERLAP_HOURS=hours)


@pytest.mark.parametrize("kind", ["postgresql", "mariadb"])
def test_a_rotation_that_comes_second_keeps_what_the_host_has_begun(
    make_host: Callable[..., Host], server_database: Callable[[str], str], monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    host = make_host(server_database(kind))
    old, other = host.generate("ann"), host.generate("bob", "before")
    insert, once = rotation.insert_successor, list[bool]()

    def insert_second(*arguments: Any, **keywords: Any) -> None:
        if not once:
            once.append(True)
            at_once(1, lambda _: rotate(host, old))
        insert(*arguments, **keywords)

    monkeypatch.setattr(rotation, "insert_successor", insert_second)
    model = host.access_tokens.model
    with host.app.app_context():
        host.db.session.execute(sa.update(model).where(model.id == other.token.id).values(name="changed by the host"))
        with pytest.raises(AlreadyReplaced):
            tokens.rotate("ann", old.token.id)
        host.db.session.commit()
        (kept,) = tokens.owned_by("bob")
    assert kept.name == "changed by the host"


def test_a_database_that_fails_after_the_commit_does_not_cost_the_secret(host: Host) -> None:
    old = host.generate()
    down: list[Any] = []

    def go_down(connection: Any) -> None:
        down.append(connection)

    def fail(*_: Any) -> None:
        if down:
            raise sa.exc.OperationalError("", {}, Exception("gone"))

    with host.app.app_context():
        engine = host.db.engine
    sa.event.listen(engine, "commit", go_down)
    sa.event.listen(engine, "before_cursor_execute", fail)
    new = rotate(host, old)
    sa.event.remove(engine, "commit", go_down)
    sa.event.remove(engine, "before_cursor_execute", fail)
    assert len(down) == 1
    assert status(host, new.secret) == 200
