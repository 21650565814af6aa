"""The endpoint for revocation, in the order of RFC 7009."""

import hashlib
import shutil
from datetime import timedelta
from pathlib import Path
from secrets import token_hex
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from flask_sqlalchemy.session import Session

from flask_access_tokens import AccessTokens, tokens
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


@pytest.mark.parametrize(
    "environ", [{"HTTP_TRANSFER_ENCODING": "chunked"}, {"CONTENT_LENGTH": "", "wsgi.input_terminated": True}], ids=str
)
def test_a_form_without_a_length_is_not_read(open_host: Host, environ: dict[str, Any]) -> None:
    form = {"token": open_host.generate().secret}
    answer = open_host.client().post(REVOKE, data=form, environ_overrides=environ)
    print(
        "DBG",
        answer.status_code,
        answer.request.environ.get("CONTENT_LENGTH"),
        answer.request.environ.get("wsgi.input_terminated"),
    )
    assert (answer.status_code, answer.json["error"]) == (411, "invalid_request")
    assert len(open_host.rows()) == 1


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


def test_a_revocation_ends_where_a_replica_still_has_the_token(tmp_path: Path) -> None:
    files = {name: tmp_path / name for name in ("primary", "replica")}

    class Routing(Session):
        def get_bind(self, mapper: Any = None, clause: Any = None, **more: Any) -> sa.Engine:
            return self._db.engines["replica" if isinstance(clause, sa.Select) else None]

    app = Flask("host")
    app.config.update(
        SECRET_KEY="a key for tests",
        SQLALCHEMY_DATABASE_URI=f"sqlite:///{files['primary']}",
        SQLALCHEMY_BINDS={"replica": f"sqlite:///{files['replica']}"},
        ACCESS_TOKENS_ENDPOINTS=["revoke"],
    )
    db = SQLAlchemy(app, session_options={"class_": Routing})
    AccessTokens(app, db).identity_loader(lambda: None)
    with app.app_context():
        sa.event.listen(db.session, "do_orm_execute", lambda statement: None)  # else, one connection reads and writes
        db.metadata.create_all(db.engine)
        shutil.copy(files["primary"], files["replica"])
        secret = tokens.generate("ann", "laptop").secret
        shutil.copy(files["primary"], files["replica"])
        assert app.test_client().post(REVOKE, data={"token": secret}).status_code == 200
        with db.engine.connect() as connection:
            assert connection.exec_driver_sql("SELECT count(*) FROM access_tokens").scalar() == 0
        for engine in db.engines.values():
            engine.dispose()
