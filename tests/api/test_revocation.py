"""The endpoint for revocation, in the order of RFC 7009."""

import hashlib
from datetime import timedelta
from secrets import token_hex
from typing import Any

import pytest

from flask_access_tokens import tokens
from host import Clock, Host, bearer
from programs import FORM, REVOKE, heard, status
from refusals import FORGED


def revoke(host: Host, secret: str, **more: Any) -> Any:
    return host.client().post(REVOKE, data={"token": secret, **more})


def test_rfc_7009_2_1_whoever_has_a_secret_ends_its_token_at_once(stored_open_host: Host) -> None:
    host = stored_open_host
    found, other = host.generate("ann"), host.generate("ann")
    with heard(host) as signals:
        answer = revoke(host, found.secret)
    assert (answer.status_code, answer.data) == (200, b"")
    assert signals == [("token-deleted", found.token.id, "leak")]
    assert [status(host, one.secret) for one in (found, other)] == [401, 200]


def test_a_line_break_after_the_secret_does_not_keep_its_token_alive(open_host: Host) -> None:
    assert revoke(open_host, f"{open_host.generate().secret}\r\n").status_code == 200
    assert open_host.rows() == []


@pytest.mark.parametrize("hint", ["access_token", "refresh_token", "anything"])
def test_rfc_7009_2_1_a_hint_at_the_type_is_ignored(open_host: Host, hint: str) -> None:
    assert revoke(open_host, open_host.generate().secret, token_type_hint=hint).status_code == 200
    assert open_host.rows() == []


@pytest.mark.parametrize(
    "sent",
    [
        {},
        {"data": ""},
        {"data": "token=", "content_type": FORM},
        {"data": "token=+", "content_type": FORM},
        {"data": "token_type_hint=access_token", "content_type": FORM},
        {"data": "token={}&token={}", "content_type": FORM},
        {"data": "token={}"},
        {"data": "token={}", "content_type": "text/plain"},
        {"data": '{{"token": "{}"}}', "content_type": "application/json"},
        {"query_string": "token={}"},
        {"query_string": "token={}", "data": "", "content_type": FORM},
    ],
    ids=str,
)
def test_rfc_7009_2_1_anything_but_one_token_in_a_form_is_a_bad_request(open_host: Host, sent: dict[str, str]) -> None:
    secret = open_host.generate().secret
    sent = {key: value.format(secret, secret) if "{" in value else value for key, value in sent.items()}
    with open_host.statements() as seen:
        answer = open_host.client().post(REVOKE, **sent)
    assert (answer.status_code, answer.json["error"], seen) == (400, "invalid_request", [])
    assert (answer.content_type, answer.headers["Cache-Control"]) == ("application/json", "no-store")
    assert len(open_host.rows()) == 1


def test_a_form_in_several_parts_is_a_bad_request(open_host: Host) -> None:
    data = {"token": open_host.generate().secret}
    answer = open_host.client().post(REVOKE, data=data, content_type="multipart/form-data")
    assert (answer.status_code, len(open_host.rows())) == (400, 1)


def test_a_long_form_is_not_read(open_host: Host) -> None:
    answer = open_host.client().post(REVOKE, data={"token": open_host.generate().secret, "more": "x" * 20_000})
    assert (answer.status_code, answer.json["error"], len(open_host.rows())) == (413, "invalid_request", 1)


def test_rfc_7009_2_2_the_answer_does_not_tell_whether_there_was_such_a_token(stored_open_host: Host) -> None:
    host = stored_open_host
    secret = host.generate().secret
    answers = [revoke(host, text) for text in (secret, secret, FORGED, "x", "pat_é", f"{secret} x")]
    for answer in answers:
        assert (answer.status_code, answer.data) == (200, b"")
        assert list(answer.headers) == list(answers[0].headers)


def test_rfc_7009_2_2_what_is_no_secret_costs_no_sql(open_host: Host) -> None:
    with open_host.statements() as seen:
        for text in ("x", "pat_x", FORGED[:-1], FORGED + "0", FORGED.swapcase()):
            assert revoke(open_host, text).status_code == 200
    assert seen == []


def test_no_authorization_is_asked_for_and_one_that_is_sent_is_ignored(open_host: Host) -> None:
    found, own = open_host.generate("ann"), open_host.generate("bob")
    for header in (bearer(own.secret), bearer(FORGED), bearer("x, Bearer y"), {"Authorization": "Basic eA=="}):
        answer = open_host.client().post(REVOKE, data={"token": found.secret}, headers=header)
        assert (answer.status_code, "WWW-Authenticate" in answer.headers) == (200, False)
    assert [status(open_host, one.secret) for one in (found, own)] == [401, 200]


def test_expired_and_refused_tokens_are_deleted_too(stored_open_host: Host, clock: Clock) -> None:
    host = stored_open_host
    expired, gone = host.generate("ann", lifetime_days=1), host.generate("bob")
    clock.moment += timedelta(days=1)
    host.access_tokens.owner_loader(lambda _: None)
    for one in (expired, gone):
        assert revoke(host, one.secret).status_code == 200
    assert host.rows() == []


def test_the_successor_of_a_revoked_token_lives_on(open_host: Host) -> None:
    old = open_host.generate("ann")
    with open_host.app.app_context():
        new = tokens.rotate("ann", old.token.id)
    revoke(open_host, old.secret)
    assert [status(open_host, one.secret) for one in (old, new)] == [401, 200]


def test_rfc_7009_2_2_1_without_the_store_the_client_is_told_to_try_again(open_host: Host) -> None:
    secret = open_host.generate().secret
    with open_host.app.app_context():
        open_host.db.drop_all()
    answer = revoke(open_host, secret)
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "2")
    assert answer.json["error"] == "temporarily_unavailable"


def test_a_form_without_a_length_is_not_read(open_host: Host) -> None:
    answer = open_host.client().post(
        REVOKE, data=b"token=x", content_type=FORM, headers={"Transfer-Encoding": "chunked"}
    )
    assert (answer.status_code, answer.json["error"]) == (411, "invalid_request")


def test_every_token_of_an_adopted_secret_is_deleted(open_host: Host) -> None:
    open_host.app.config["ACCESS_TOKENS_ADOPTED"] = "[0-9a-f]{32}"
    secret = token_hex(16)
    with open_host.app.app_context():
        for algorithm in ("sha256", "sha512"):
            digest = hashlib.new(algorithm, secret.encode()).hexdigest()
            tokens.adopt("ann", tokens.Digest(algorithm, digest), "old")
    assert len(open_host.rows()) == 2
    assert open_host.client().post(REVOKE, data={"token": secret}).status_code == 200
    assert open_host.rows() == []
