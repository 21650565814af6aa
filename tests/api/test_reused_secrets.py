"""A replaced secret that comes to rotate again after its overlap ends the successors that it asked for."""

import itertools
from collections import Counter
from typing import Any

import pytest
import sqlalchemy as sa
from flask import request

from flask_access_tokens import require_token, tokens
from host import Clock, Host, bearer
from load import at_once
from programs import REVOKE, ROTATE, SELF, chain, heard, rotate, rotated, status
from refusals import FORGED, INVALID, assert_refused

REPLACED = 'Bearer realm="api", error="invalid_token", error_description="The access token has been replaced."'


def rotate_by_hand(host: Host, secret: str, **values: Any) -> str:
    """The secret of the successor that a person generates."""
    token = host.find(secret)
    assert token is not None
    with host.app.app_context():
        return tokens.rotate(token.owner_id, token.id, **values).secret


def delete_by_hand(host: Host, secret: str) -> None:
    token = host.find(secret)
    assert token is not None
    assert host.client("ann").post(f"/access-tokens/{token.id}/delete").status_code == 303


@pytest.mark.parametrize("presented", [0, 1])
def test_a_replaced_secret_after_its_overlap_ends_what_it_asked_for_and_no_other_token(
    stored_open_host: Host, clock: Clock, presented: int, caplog: pytest.LogCaptureFixture
) -> None:
    host = stored_open_host
    others = [host.generate(owner).secret for owner in ("ann", "bob")]
    secrets = chain(host, 3)
    with host.app.app_context():
        family = [token.id for secret in secrets if (token := tokens.find(secret)) is not None]
    clock.pass_(days=1)
    with heard(host) as signals:
        assert_refused(rotate(host, secrets[presented]), 401, REPLACED)
    assert signals[0] == ("token-reused", family[presented], None)
    assert signals[1:] == [("token-deleted", id_, "leak") for id_ in family[presented:]]
    assert [status(host, secret) for secret in secrets] == [401, 401, 401]
    assert [status(host, secret) for secret in others] == [200, 200]
    assert len(host.rows()) == 2 + presented
    assert_refused(rotate(host, secrets[presented]), 401, INVALID)
    (line,) = (record.getMessage() for record in caplog.records if record.name == "flask_access_tokens")
    assert str(family[presented]) in line
    assert f"{3 - presented} tokens" in line


@pytest.mark.case("S09")
@pytest.mark.parametrize("overlap", [0, 24])
def test_whoever_has_a_leaked_secret_cannot_end_the_successor_that_a_person_generated(
    stored_open_host: Host, clock: Clock, overlap: int, caplog: pytest.LogCaptureFixture
) -> None:
    host = stored_open_host
    leaked = host.generate("ann").secret
    by_hand = rotate_by_hand(host, leaked, overlap_hours=overlap)
    later = rotated(host, by_hand)["secret"]
    clock.pass_(days=1)
    with heard(host) as signals:
        assert_refused(rotate(host, leaked), 401, REPLACED)
        host.client().post(REVOKE, data={"token": leaked})
        assert_refused(rotate(host, leaked), 401, INVALID)
    assert [name for name, _, _ in signals] == ["token-deleted"]
    assert status(host, later) == 200
    assert [each for each in caplog.records if each.name == "flask_access_tokens"] == []


@pytest.mark.case("S09")
@pytest.mark.parametrize("way", ["self", "revoke", "revoke after the overlap"])
def test_a_thief_who_deletes_the_stolen_token_ends_the_successor_too(
    stored_open_host: Host, clock: Clock, way: str
) -> None:
    host = stored_open_host
    stolen, successor, newest = chain(host, 3)
    by_hand = rotate_by_hand(host, newest)
    ids = [row["id"] for row in sorted(host.rows(), key=lambda row: str(row["replaces"]))]
    with heard(host) as signals:
        if way == "self":
            assert host.client().delete(SELF, headers=bearer(stolen)).status_code == 204
        else:
            clock.pass_(days=1 if "after" in way else 0)
            assert host.client().post(REVOKE, data={"token": stolen}).status_code == 200
    assert [(name, by) for name, _, by in signals] == [("token-deleted", "token" if way == "self" else "leak")] * 3
    assert {id_ for _, id_, _ in signals} < set(ids)
    assert [status(host, secret) for secret in (stolen, successor, newest, by_hand)] == [401, 401, 401, 200]


@pytest.mark.case("S09")
@pytest.mark.parametrize("way", ["delete", "delete_many", "prune"])
def test_who_asked_for_a_successor_is_known_whatever_was_deleted_in_between(
    open_host: Host, clock: Clock, way: str
) -> None:
    host, config = open_host, open_host.app.config
    for asked in itertools.product((True, False), repeat=3):
        for between in ((1,), (2,), (1, 2)):
            secrets = [host.generate("ann").secret]
            for itself in asked:
                # The overlap of those to be pruned has to end first.
                config["ACCESS_TOKENS_OVERLAP_HOURS"] = 0 if way == "prune" and len(secrets) - 1 in between else 1
                make = rotated if itself else rotate_by_hand
                made = make(host, secrets[-1])
                secrets.append(made["secret"] if itself else made)
            with host.app.app_context():
                found = [token and token.id for token in tokens.find_all(secrets)]
                doomed = [token for token in tokens.owned_by("ann") if token.id in [found[place] for place in between]]
                if way == "prune":
                    clock.pass_(microseconds=1)
                    assert tokens.prune(0) == len(between)
                elif way == "delete_many":
                    assert len(tokens.delete_many(doomed)) == len(between)
                else:
                    assert all(tokens.delete("ann", token.id) for token in doomed)
            clock.pass_(hours=2)
            rotate(host, secrets[0])
            assert status(host, secrets[-1]) == (401 if all(asked) else 200), (asked, between)
            with host.app.app_context():
                tokens.delete_all("ann")


def test_a_replaced_secret_after_its_overlap_ends_nothing_elsewhere(open_host: Host, clock: Clock) -> None:
    first, second = chain(open_host, 2)
    clock.pass_(days=1)
    with heard(open_host) as signals:
        assert status(open_host, first) == 401
        for method in ("GET", "DELETE"):
            assert_refused(open_host.client().open(SELF, method=method, headers=bearer(first)), 401, REPLACED)
        assert open_host.client().get(ROTATE, headers=bearer(first)).status_code == 405
        open_host.app.config["ACCESS_TOKENS_ENDPOINTS"] = ["self"]
        assert rotate(open_host, first).status_code == 404
    assert (signals, status(open_host, second)) == ([], 200)


def test_expired_deleted_and_forged_secrets_end_nothing(open_host: Host, clock: Clock) -> None:
    first, second = chain(open_host, 2)
    with open_host.app.app_context():
        token = tokens.find(first)
        assert token is not None
        tokens.delete("ann", token.id)
    expired = open_host.generate("ann", lifetime_days=1)
    clock.pass_(days=1)
    with heard(open_host) as signals:
        for secret in (first, expired.secret, FORGED):
            assert rotate(open_host, secret).status_code == 401
    assert (signals, status(open_host, second), len(open_host.rows())) == ([], 200, 2)


def test_a_secret_that_is_reused_eight_times_at_once_is_reported_once(stored_open_host: Host, clock: Clock) -> None:
    host = stored_open_host
    secrets = chain(host, 3)
    clock.pass_(days=1)
    with heard(host) as signals:
        answers = at_once(8, lambda _: rotate(host, secrets[0]))
    assert {answer.status_code for answer in answers} == {401}
    assert host.rows() == []
    assert Counter(name for name, _, _ in signals) == {"token-reused": 1, "token-deleted": 3}
    assert len({id_ for name, id_, _ in signals if name == "token-deleted"}) == 3


def test_no_token_of_a_family_outlives_it_by_being_rotated_at_the_same_moment(
    stored_open_host: Host, clock: Clock
) -> None:
    host = stored_open_host
    for _ in range(4):
        first, *_, newest = chain(host, 3)
        clock.pass_(days=1)
        secrets = [first, newest, newest, newest]
        answers = at_once(4, lambda number: rotate(host, secrets[number]))  # noqa: B023
        assert answers[0].status_code == 401
        assert {answer.status_code for answer in answers} <= {200, 401, 409}
        assert host.rows() == []


def test_a_family_that_cannot_be_deleted_now_is_503_and_is_deleted_when_asked_again(
    open_host: Host, clock: Clock
) -> None:
    first, second = chain(open_host, 2)
    clock.pass_(days=1)

    def fail(connection: Any, cursor: Any, statement: str, *_: Any) -> None:
        if statement.startswith("DELETE"):
            raise sa.exc.OperationalError(statement, {}, Exception("the disk is full"))

    with open_host.app.app_context():
        engine = open_host.db.engine
    sa.event.listen(engine, "before_cursor_execute", fail)
    answer = rotate(open_host, first)
    sa.event.remove(engine, "before_cursor_execute", fail)
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "2")
    assert "WWW-Authenticate" not in answer.headers
    assert status(open_host, second) == 200
    assert_refused(rotate(open_host, first), 401, REPLACED)
    assert open_host.rows() == []


def test_deleting_a_token_in_the_middle_lets_its_predecessor_have_no_second_successor(
    stored_open_host: Host, clock: Clock
) -> None:
    host = stored_open_host
    first, second, third = chain(host, 3)
    delete_by_hand(host, second)
    assert rotate(host, first).status_code == 409
    assert [status(host, secret) for secret in (first, second, third)] == [200, 401, 200]
    clock.pass_(days=1)
    assert_refused(rotate(host, first), 401, REPLACED)
    assert host.rows() == []


def test_a_guard_that_runs_before_every_view_does_not_keep_the_family_alive(open_host: Host, clock: Clock) -> None:
    open_host.app.before_request(lambda: None if "sign-in" in request.path else require_token())
    first, _ = chain(open_host, 2)
    clock.pass_(days=1)
    assert_refused(rotate(open_host, first), 401, REPLACED)
    assert open_host.rows() == []


def test_while_the_feature_is_off_for_the_owner_no_family_is_deleted(open_host: Host, clock: Clock) -> None:
    first, _ = chain(open_host, 2)
    clock.pass_(days=1)
    open_host.app.config["ACCESS_TOKENS_ENABLED"] = lambda _: False
    assert rotate(open_host, first).status_code == 401
    assert len(open_host.rows()) == 2
