"""A program rotates its own token: once, again where the answer was lost, and where a secret was stolen."""

from collections import Counter
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from catalogs import set_up_babel
from flask_access_tokens import token_generated, token_used, tokens
from flask_access_tokens.state import current_state
from flask_access_tokens.store import rotation
from flask_access_tokens.tokens import AlreadyReplaced, NewToken
from host import Clock, Host, bearer
from load import at_once, wait_until
from programs import ROTATE, chain, heard, ids, rotate, rotated, status
from refusals import INVALID, assert_refused


def test_a_program_replaces_its_secret_and_both_work_until_the_overlap_ends(
    stored_open_host: Host, clock: Clock
) -> None:
    host = stored_open_host
    old = host.generate("ann", "Backup", description="Nightly", scopes=["read"], lifetime_days=30)
    clock.pass_(days=20)
    with heard(host) as signals:
        answer = rotate(host, old.secret)
    assert (answer.status_code, answer.headers["Cache-Control"]) == (200, "no-store")
    token = answer.json["token"]
    assert token == {
        "id": token["id"],
        "name": "Backup",
        "description": "Nightly",
        "owner_id": "ann",
        "scopes": ["read"],
        "created_at": "2031-05-26T07:08:09Z",
        "expires_at": "2031-06-25T07:08:09Z",
        "last_used_at": None,
        "hint": token["hint"],
        "status": "active",
        "replaces": str(old.token.id),
        "replaced": False,
    }
    assert answer.json["predecessor_expires_at"] == "2031-05-27T07:08:09Z"
    assert [(name, str(id_), by) for name, id_, by in signals] == [("token-rotated", token["id"], "token")]
    new = answer.json["secret"]
    assert [status(host, secret) for secret in (old.secret, new)] == [200, 200]
    clock.pass_(days=1)
    assert [status(host, secret) for secret in (old.secret, new)] == [401, 200]


def test_it_depends_on_its_endpoint_and_not_on_self_service(open_host: Host) -> None:
    open_host.app.config["ACCESS_TOKENS_SELF_SERVICE"] = False
    secret = open_host.generate().secret
    assert rotate(open_host, secret).status_code == 200
    open_host.app.config["ACCESS_TOKENS_ENDPOINTS"] = ["self", "revoke", "verify", "introspect"]
    assert rotate(open_host, secret).status_code == 404


def test_the_overlap_the_longest_lifetime_and_the_scopes_are_those_of_now(open_host: Host) -> None:
    old = open_host.generate("ann", scopes=["read", "write"], lifetime_days=90)
    open_host.app.config.update(ACCESS_TOKENS_OVERLAP_HOURS=0, ACCESS_TOKENS_MAX_LIFETIME_DAYS=7)
    open_host.access_tokens.scopes_loader(lambda _: ["read"])
    new = rotated(open_host, old.secret)
    assert new["token"]["scopes"] == ["read"]
    assert status(open_host, old.secret) == 401
    (row,) = (row for row in open_host.rows() if row["replaces"] is not None)
    assert row["expires_at"] - row["created_at"] == timedelta(days=7)


def test_parameters_are_not_read(open_host: Host) -> None:
    old = open_host.generate("ann", lifetime_days=5)
    sent = {"lifetime_days": "300", "scopes": "write", "owner_id": "bob", "overlap_hours": "999", "name": "x"}
    answer = open_host.client().post(f"{ROTATE}?lifetime_days=300", data=sent, headers=bearer(old.secret))
    new = answer.json["token"]
    assert (new["owner_id"], new["scopes"], new["name"]) == ("ann", [], "laptop")
    with open_host.app.app_context():
        token = tokens.get("ann", new["id"])
    assert token is not None
    assert token.expires_at == token.created_at + timedelta(days=5)


def test_an_unused_successor_is_made_anew_and_the_overlap_is_not_extended(
    stored_open_host: Host, clock: Clock
) -> None:
    host = stored_open_host
    old = host.generate("ann", "Backup", scopes=["read"], lifetime_days=30)
    first = rotated(host, old.secret)
    clock.pass_(hours=1)
    with heard(host) as signals:
        second = rotated(host, old.secret)
    assert second["secret"] != first["secret"]
    assert second["token"]["replaces"] == first["token"]["replaces"] == str(old.token.id)
    assert second["token"]["expires_at"] == "2031-06-05T08:08:09Z"
    assert (second["token"]["name"], second["token"]["scopes"]) == ("Backup", ["read"])
    assert second["predecessor_expires_at"] == first["predecessor_expires_at"] == "2031-05-07T07:08:09Z"
    assert [(name, str(id_), by) for name, id_, by in signals] == [
        ("token-deleted", first["token"]["id"], "token"),
        ("token-rotated", second["token"]["id"], "token"),
    ]
    assert ids(host) == {str(old.token.id), second["token"]["id"]}
    assert [status(host, secret) for secret in (old.secret, first["secret"], second["secret"])] == [200, 401, 200]


def test_a_used_successor_is_kept_and_the_program_is_told(stored_open_host: Host) -> None:
    host = stored_open_host
    old = host.generate("ann")
    new = rotated(host, old.secret)["secret"]
    assert status(host, new) == 200
    with heard(host) as signals:
        answer = rotate(host, old.secret)
    assert (answer.status_code, answer.json["error"]) == (409, "token_reused")
    assert answer.headers["Cache-Control"] == "no-store"
    assert "WWW-Authenticate" not in answer.headers
    assert signals == [("token-reused", old.token.id, None)]
    assert [status(host, secret) for secret in (old.secret, new)] == [200, 200]


def test_a_successor_that_was_replaced_itself_counts_as_used(open_host: Host) -> None:
    old = open_host.generate("ann")
    new = rotated(open_host, old.secret)
    with open_host.app.app_context():
        tokens.rotate("ann", new["token"]["id"])
    answer = rotate(open_host, old.secret)
    assert (answer.status_code, answer.json["error"]) == (409, "token_reused")
    assert len(open_host.rows()) == 3


def test_the_successor_that_a_person_generated_is_not_taken_over(open_host: Host) -> None:
    old = open_host.generate("ann")
    with open_host.app.app_context():
        by_hand = tokens.rotate("ann", old.token.id)
    with heard(open_host) as signals:
        answer = rotate(open_host, old.secret)
    assert (answer.status_code, answer.json["error"]) == (409, "token_reused")
    assert [name for name, _, _ in signals] == ["token-reused"]
    assert [status(open_host, secret) for secret in (old.secret, by_hand.secret)] == [200, 200]


@pytest.mark.parametrize("limit", [-1, 1])
@pytest.mark.parametrize("before", [False, True])
def test_of_eight_requests_at_once_one_successor_remains_and_it_works(
    stored_open_host: Host, limit: int, before: bool
) -> None:
    host = stored_open_host
    host.app.config["ACCESS_TOKENS_MAX_PER_OWNER"] = limit
    old = host.generate("ann")
    if before:
        rotated(host, old.secret)
    answers = at_once(8, lambda _: rotate(host, old.secret))
    outcomes = Counter((answer.status_code, answer.json.get("error")) for answer in answers)
    assert outcomes[200, None] >= 1
    assert set(outcomes) <= {(200, None), (409, "conflict")}
    assert len(host.rows()) == 2
    secrets = [answer.json["secret"] for answer in answers if answer.status_code == 200]
    assert sorted(status(host, secret) for secret in secrets) == [200, *[401] * (len(secrets) - 1)]

    def used() -> bool:
        """Whether the row of the successor shows a use: after a conflict, none is written for a second."""
        assert 200 in [status(host, secret) for secret in secrets]
        return any(row["replaces"] and row["last_used_at"] for row in host.rows())

    wait_until(used)
    again = rotate(host, old.secret)
    assert (again.status_code, again.json["error"]) == (409, "token_reused")


@pytest.mark.parametrize("event", ["used", "rotated", "deleted"])
@pytest.mark.parametrize("in_transaction", [False, True])
def test_a_successor_that_is_used_at_the_same_moment_is_not_discarded(
    stored_open_host: Host, monkeypatch: pytest.MonkeyPatch, event: str, in_transaction: bool
) -> None:
    host = stored_open_host
    if in_transaction:

        @host.app.before_request
        def begin() -> None:
            host.db.session.execute(sa.text("SELECT 1"))

        @host.app.after_request
        def commit(response: Any) -> Any:
            host.db.session.commit()
            return response

    old = host.generate("ann")
    new = rotated(host, old.secret)
    with host.app.app_context():
        unused = rotation.successor_of(current_state(), old.token)
    if event == "used":
        assert status(host, new["secret"]) == 200
    else:
        with host.app.app_context():
            {"rotated": tokens.rotate, "deleted": tokens.delete}[event]("ann", new["token"]["id"])
    before = ids(host)
    monkeypatch.setattr("flask_access_tokens.rotation.successor_of", lambda *_: unused)
    answer = rotate(host, old.secret)
    assert (answer.status_code, answer.json["error"]) == (409, "conflict")
    assert ids(host) == before


def test_a_token_that_is_deleted_at_the_same_moment_has_no_successor(
    stored_open_host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = stored_open_host
    find = rotation.successor_of

    @host.app.after_request
    def commit(response: Any) -> Any:
        host.db.session.commit()
        return response

    def delete_first(state: Any, token: Any) -> Any:
        found = find(state, token)
        tokens.delete(token.owner_id, token.id)
        host.db.session.execute(sa.text("SELECT 1"))  # a transaction that a refusal does not end
        return found

    for rotated_before in (False, True):
        old = host.generate("ann")
        if rotated_before:
            rotated(host, old.secret)
        with monkeypatch.context() as patch:
            patch.setattr("flask_access_tokens.rotation.successor_of", delete_first)
            assert_refused(rotate(host, old.secret), 401, INVALID)
    assert [row["replaces"] for row in host.rows()] == [None]


@pytest.mark.case("S18")
def test_a_token_whose_successor_was_deleted_is_not_rotated_because_its_lifetime_is_not_known(
    stored_open_host: Host,
) -> None:
    host = stored_open_host
    old = host.generate("ann", lifetime_days=-1)
    new = rotated(host, old.secret)
    with host.app.app_context():
        tokens.delete("ann", new["token"]["id"])
    answer = rotate(host, old.secret)
    assert (answer.status_code, answer.json["error"]) == (409, "successor_deleted")
    assert len(host.rows()) == 1


@pytest.mark.case("S18")
@pytest.mark.parametrize("database_url", ["sqlite", "postgresql"], indirect=True)  # MariaDB's snapshot begins earlier
@pytest.mark.parametrize("limit", [-1, 20])
def test_rotations_at_once_are_answered_although_a_loader_reads_through_the_host_s_session(
    stored_open_host: Host, limit: int
) -> None:
    host = stored_open_host
    host.app.config["ACCESS_TOKENS_MAX_PER_OWNER"] = limit

    def load(owner_id: str) -> str:
        host.db.session.execute(sa.text("SELECT count(*) FROM access_tokens"))
        return owner_id

    host.access_tokens.owner_loader(load)
    for _ in range(3):
        secrets = [host.generate("ann").secret for _ in range(3)] * 2
        answers = at_once(6, lambda number: rotate(host, secrets[number]))  # noqa: B023
        assert {answer.status_code for answer in answers} <= {200, 409}
        assert [answer.status_code for answer in answers].count(200) >= 3
        with host.app.app_context():
            tokens.delete_all("ann")


def test_a_successor_that_is_made_anew_takes_over_its_place(stored_open_host: Host) -> None:
    host = stored_open_host
    host.app.config["ACCESS_TOKENS_MAX_PER_OWNER"] = 2
    old = host.generate("ann")
    host.generate("ann", "other")
    for _ in range(3):
        rotated(host, old.secret)
    with host.app.app_context(), pytest.raises(tokens.TokenRefused, match="the most allowed"):
        tokens.generate("ann", "third")


def test_an_expired_successor_has_lost_its_place(stored_open_host: Host, clock: Clock) -> None:
    host = stored_open_host
    host.app.config.update(ACCESS_TOKENS_MAX_PER_OWNER=1, ACCESS_TOKENS_OVERLAP_HOURS=72)
    old = host.generate("ann", lifetime_days=9)
    host.app.config["ACCESS_TOKENS_MAX_LIFETIME_DAYS"] = 1
    rotated(host, old.secret)
    clock.pass_(days=1)
    host.generate("ann", "other")
    before = ids(host)
    answer = rotate(host, old.secret)
    assert (answer.status_code, answer.json["error"], ids(host)) == (409, "limit_reached", before)
    host.app.config["ACCESS_TOKENS_MAX_PER_OWNER"] = 2
    assert rotate(host, old.secret).status_code == 200


def test_beyond_the_limit_nothing_changes_and_the_answer_is_english_for_everybody(open_host: Host) -> None:
    asked = []
    set_up_babel(open_host, locale_selector=lambda: asked.append(1) or "de")
    open_host.app.config["ACCESS_TOKENS_MAX_PER_OWNER"] = 1
    second = chain(open_host, 2)[1]
    answer = rotate(open_host, second)
    assert answer.status_code == 409
    assert answer.json == {
        "error": "limit_reached",
        "error_description": "The owner has as many access tokens as allowed. Delete one first.",
    }
    assert (len(open_host.rows()), asked) == (2, [])


def test_a_token_makes_no_other_token_than_its_successor(open_host: Host) -> None:
    old: NewToken = open_host.generate("ann")
    generated: list[Any] = []

    def note(_: Any, **sent: Any) -> None:
        generated.append(sent)

    with token_generated.connected_to(note, open_host.app):
        for _ in range(3):
            rotated(open_host, old.secret)
    assert (generated, len(open_host.rows())) == ([], 2)
    with open_host.app.app_context(), pytest.raises(AlreadyReplaced):
        tokens.rotate("ann", old.token.id)


def test_a_token_that_is_gone_when_it_is_rotated_is_refused_with_a_challenge_whatever_the_host_answers(
    open_host: Host,
) -> None:
    open_host.app.register_error_handler(401, lambda _: ({"host": True}, 401))
    old = open_host.generate()

    def delete(*_: Any, **extra: Any) -> None:
        tokens.delete("ann", old.token.id)

    with token_used.connected_to(delete, open_host.app):
        answer = rotate(open_host, old.secret)
    assert (answer.status_code, answer.json) == (401, {"host": True})
    assert answer.headers["WWW-Authenticate"].startswith('Bearer realm="api", error="invalid_token"')
