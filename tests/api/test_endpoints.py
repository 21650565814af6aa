"""The endpoints for programs: which are open, what all of them answer, and what a program learns of its token."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from flask import jsonify
from flask.json.provider import DefaultJSONProvider
from werkzeug.exceptions import HTTPException

from flask_access_tokens import tokens
from host import Clock, Host, bearer
from programs import INTROSPECT, METHODS, NAMES, OPEN, REVOKE, ROTATE, SELF, VERIFY, heard, status
from refusals import BARE, DISABLED, FORGED, INVALID, assert_refused


def call(host: Host, path: str, secret: str) -> Any:
    """The response to a request with a session, which carries the secret in the header and in the form."""
    sent = {"data": {"token": secret}} if METHODS[path] == "POST" else {}
    return host.client("ann").open(path, method=METHODS[path], headers=bearer(secret), **sent)


def test_without_the_setting_every_endpoint_is_404_to_every_method_without_sql(host: Host) -> None:
    secret = host.generate().secret
    with host.statements() as seen:
        for path in METHODS:
            for method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"):
                answer = host.client().open(path, method=method, headers=bearer(secret))
                assert (answer.status_code, "Allow" in answer.headers) == (404, False), (method, path)
    assert seen == []


@pytest.mark.parametrize("name", NAMES)
def test_the_setting_opens_what_it_names_alone_at_once(make_host: Callable[..., Host], name: str) -> None:
    host = make_host(**OPEN | {"ACCESS_TOKENS_ENDPOINTS": ()})
    secret = host.generate(scopes=["introspect"]).secret
    host.app.config["ACCESS_TOKENS_ENDPOINTS"] = (name,)
    answers = {path.rpartition("/")[2]: call(host, path, secret).status_code for path in METHODS}
    assert answers == dict.fromkeys(NAMES, 404) | {name: 200}


def test_introspection_is_closed_without_its_scope(open_host: Host) -> None:
    open_host.app.config["ACCESS_TOKENS_INTROSPECTION_SCOPE"] = None
    assert call(open_host, INTROSPECT, open_host.generate().secret).status_code == 404


@pytest.mark.case("R1", "R2")
@pytest.mark.parametrize("path", [SELF, ROTATE, VERIFY, INTROSPECT])
def test_an_endpoint_refuses_as_a_guarded_view_does(open_host: Host, path: str) -> None:
    client, method = open_host.client("ann"), METHODS[path]
    assert_refused(client.open(path, method=method), 401, BARE)
    assert_refused(client.open(path, method=method, headers=bearer(FORGED)), 401, INVALID)
    assert_refused(client.open(f"{path}?access_token={open_host.generate().secret}", method=method), 401, BARE)


@pytest.mark.parametrize("path", METHODS)
def test_no_answer_is_to_be_stored_and_none_depends_on_a_cookie_or_sets_one(open_host: Host, path: str) -> None:
    answer = call(open_host, path, open_host.generate(scopes=["introspect"]).secret)
    assert (answer.status_code, answer.headers["Cache-Control"]) == (200, "no-store")
    assert "Set-Cookie" not in answer.headers
    assert "cookie" not in answer.vary
    assert ("authorization" in answer.vary) is (path != REVOKE)


@pytest.mark.parametrize("path", METHODS)
def test_another_method_is_405_and_options_tells_which_there_are(open_host: Host, path: str) -> None:
    wrong = open_host.client().put(path)
    assert (wrong.status_code, wrong.json["error"], wrong.headers["Cache-Control"]) == (
        405,
        "method_not_allowed",
        "no-store",
    )
    options = open_host.client().options(path)
    assert options.status_code == 200
    expected = {SELF: {"GET", "HEAD", "DELETE", "OPTIONS"}, VERIFY: {"GET", "HEAD", "OPTIONS"}}
    for answer in (wrong, options):
        assert set(answer.allow) == expected.get(path, {"POST", "OPTIONS"})


def test_an_application_that_protects_everything_from_csrf_lets_programs_in(make_host: Callable[..., Host]) -> None:
    host = make_host(csrf=True, **OPEN)
    for path in (ROTATE, INTROSPECT, REVOKE):
        assert call(host, path, host.generate(scopes=["introspect"]).secret).status_code == 200
    assert host.client("ann").post(ROTATE).status_code == 401
    assert host.client().delete(SELF, headers=bearer(host.generate().secret)).status_code == 204


def test_the_list_of_guarded_routes_is_the_host_s_own(open_host: Host, host: Host) -> None:
    assert open_host.call("routes").output == host.call("routes").output
    assert open_host.call("routes", "--check").exit_code == 0


@pytest.mark.case("H02")
def test_with_the_flag_off_nothing_is_told_without_sql(open_host: Host) -> None:
    secret = open_host.generate().secret
    for value in (False, None, "true"):
        open_host.app.config["ACCESS_TOKENS_ENABLED"] = value
        with open_host.statements() as seen:
            for path in (SELF, ROTATE, VERIFY, INTROSPECT):
                assert_refused(call(open_host, path, secret), 401, DISABLED)
            assert call(open_host, REVOKE, secret).status_code == 404
        assert seen == []
    open_host.app.config["ACCESS_TOKENS_ENABLED"] = lambda owner_id: owner_id != "ann"
    assert_refused(call(open_host, SELF, secret), 401, DISABLED)
    assert len(open_host.rows()) == 1


@pytest.mark.case("R5", "E10")
@pytest.mark.parametrize("own_handlers", [False, True])
def test_without_the_store_every_endpoint_is_503(stored_open_host: Host, own_handlers: bool) -> None:
    host, secret = stored_open_host, stored_open_host.generate().secret
    if own_handlers:
        host.app.errorhandler(HTTPException)(lambda error: (jsonify(error="sorry"), error.code))
    with host.app.app_context():
        host.db.drop_all()
    for path in METHODS:
        answer = call(host, path, secret)
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "2"), path
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.json["error"] == ("sorry" if own_handlers else "temporarily_unavailable")
        assert "WWW-Authenticate" not in answer.headers
    assert host.client().delete(SELF, headers=bearer(secret)).status_code == 503


def test_a_program_learns_what_its_token_is(stored_open_host: Host, clock: Clock) -> None:
    host = stored_open_host
    new = host.generate("ann", "Nightly “report”", description="Ask Bob", scopes=["read"], lifetime_days=30)
    assert status(host, new.secret) == 200
    clock.pass_(minutes=5)
    answer = call(host, SELF, new.secret)
    assert answer.json == {
        "id": str(new.token.id),
        "name": "Nightly “report”",
        "description": "Ask Bob",
        "owner_id": "ann",
        "scopes": ["read"],
        "created_at": "2031-05-06T07:08:09Z",
        "expires_at": "2031-06-05T07:08:09Z",
        "last_used_at": "2031-05-06T07:08:09Z",
        "hint": new.token.hint,
        "status": "active",
        "replaces": None,
        "replaced": False,
    }
    assert answer.text.isascii()
    head = host.client().head(SELF, headers=bearer(new.secret))
    assert (head.status_code, head.data) == (200, b"")


def test_a_program_learns_of_never_and_of_the_scopes_that_have_an_effect(open_host: Host) -> None:
    new = open_host.generate(scopes=["read", "write"], lifetime_days=-1)
    open_host.access_tokens.scopes_loader(lambda _: ["write"])
    told = call(open_host, SELF, new.secret).json
    assert (told["scopes"], told["expires_at"], told["last_used_at"]) == (["write"], None, None)


def test_a_program_learns_that_its_token_was_replaced_and_by_which(open_host: Host) -> None:
    old = open_host.generate()
    with open_host.app.app_context():
        new = tokens.rotate("ann", old.token.id)
    told = call(open_host, SELF, old.secret).json
    assert (told["status"], told["replaced"], told["replaces"]) == ("replaced", True, None)
    told = call(open_host, SELF, new.secret).json
    assert (told["status"], told["replaced"], told["replaces"]) == ("active", False, str(old.token.id))


def test_a_program_deletes_its_own_token_and_no_other(stored_open_host: Host) -> None:
    host = stored_open_host
    mine, other = host.generate("ann"), host.generate("ann")
    with heard(host) as signals:
        answer = host.client().delete(SELF, headers=bearer(mine.secret))
    assert (answer.status_code, answer.data) == (204, b"")
    assert signals == [("token-deleted", mine.token.id, "token")]
    assert [status(host, one.secret) for one in (mine, other)] == [401, 200]
    assert_refused(host.client().delete(SELF, headers=bearer(mine.secret)), 401, INVALID)


def test_an_expired_token_is_told_nothing(open_host: Host, clock: Clock) -> None:
    mine = open_host.generate("ann", lifetime_days=1)
    clock.moment += timedelta(days=1)
    for path in (SELF, ROTATE, VERIFY, INTROSPECT):
        assert call(open_host, path, mine.secret).json["error"] == "invalid_token"
    assert open_host.client().delete(SELF, headers=bearer(mine.secret)).status_code == 401
    assert len(open_host.rows()) == 1


def test_the_members_are_those_of_the_standards_whatever_the_json_provider_of_the_host_does(open_host: Host) -> None:
    class Envelopes(DefaultJSONProvider):
        def response(self, *args: Any, **kwargs: Any) -> Any:
            return super().response({"data": self._prepare_response_obj(args, kwargs)})

    open_host.app.json = Envelopes(open_host.app)
    client, header = open_host.client(), bearer(open_host.generate(scopes=["introspect"]).secret)
    told = client.get(SELF, headers=header).json
    assert (told["name"], list(told)) == ("laptop", sorted(told))
    assert client.get(VERIFY, headers=header).json["name"] == "laptop"
    assert client.post(INTROSPECT, data={"token": "x"}, headers=header).json == {"active": False}
    assert client.post(REVOKE).json["error"] == "invalid_request"
