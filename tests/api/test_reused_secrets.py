"""A replaced secret that comes to rotate again after its overlap ends the whole family."""

from collections import Counter
from typing import Any

import pytest
import sqlalchemy as sa
from flask import request

from flask_access_tokens import require_token, tokens
from host import Clock, Host, bearer
from load import at_once
from programs import REVOKE, ROTATE, SELF, chain, heard, rotate, status
from refusals import FORGED, INVALID, assert_refused

REPLACED = 'Bearer realm="api", error="invalid_token", error_description="The access token has been replaced."'


@pytest.mark.parametrize("presented", [0, 1])
def test_a_replaced_secret_after_its_overlap_ends_the_whole_family_and_no_other_token(
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
    assert sorted(signals[1:], key=str) == sorted((("token-deleted", id_, "leak") for id_ in family), key=str)
    assert [status(host, secret) for secret in secrets] == [401, 401, 401]
    assert [status(host, secret) for secret in others] == [200, 200]
    assert len(host.rows()) == 2
    assert_refused(rotate(host, secrets[presented]), 401, INVALID)
    (line,) = (record.getMessage() for record in caplog.records if record.name == "flask_access_tokens")
    assert str(family[presented]) in line
    assert "3 tokens" in line


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


@pytest.mark.parametrize("leak", ["self", "revoke", "page"])
def test_deleting_a_token_in_the_middle_lets_its_predecessor_have_no_second_successor(
    stored_open_host: Host, clock: Clock, leak: str
) -> None:
    host = stored_open_host
    first, second, third = chain(host, 3)
    if leak == "self":
        assert host.client().delete(SELF, headers=bearer(second)).status_code == 204
    elif leak == "revoke":
        assert host.client().post(REVOKE, data={"token": second}).status_code == 200
    else:
        token = host.find(second)
        assert token is not None
        assert host.client("ann").post(f"/access-tokens/{token.id}/delete").status_code == 303
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
