"""The refusals of the guard: status, challenge, headers and body (RFC 6750 §3)."""

import logging
import re
import string
from datetime import timedelta

import pytest
from flask import Response, jsonify, redirect
from werkzeug.exceptions import HTTPException

from flask_access_tokens import clock, require_token, token_required, tokens
from host import REDIRECTED, Clock, Host, bearer
from refusals import BARE, EXPIRED, FORGED, INVALID, MISSING, assert_refused


@pytest.mark.case("A01", "R1")
def test_a_request_without_a_token_gets_the_bare_challenge(host: Host) -> None:
    assert_refused(host.client().get("/api"), 401, BARE)


@pytest.mark.case("A06", "R1")
@pytest.mark.parametrize("value", ["", "Basic Zm9vOmJhcg==", 'Digest username="ann"', "Token {}", "Negotiate x", "{}"])
def test_another_scheme_is_answered_as_no_token(host: Host, value: str) -> None:
    header = {"Authorization": value.format(host.generate().secret)}
    assert_refused(host.client().get("/api", headers=header), 401, BARE)


@pytest.mark.case("A07", "R2")
def test_unknown_deleted_expired_and_malformed_tokens_are_refused(
    stored_host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = stored_host.client()
    deleted, old = stored_host.generate("ann"), stored_host.generate("ann", lifetime_days=1)
    with stored_host.app.app_context():
        assert tokens.delete("ann", deleted.token.id)
    answers = [client.get("/api", headers=bearer(text)) for text in (FORGED, deleted.secret, "pat_x", "x")]
    for answer in answers:
        assert_refused(answer, 401, INVALID)
        assert answer.data == answers[0].data
        assert list(answer.headers) == list(answers[0].headers)
    later = clock.now() + timedelta(days=1)
    monkeypatch.setattr(clock, "now", lambda: later)
    assert_refused(client.get("/api", headers=bearer(old.secret)), 401, EXPIRED)


@pytest.mark.parametrize(
    ("header", "error", "description"),
    [
        ("", "unauthorized", MISSING),
        ("Basic x", "unauthorized", MISSING),
        (f"Token {FORGED}", "unauthorized", MISSING),
        (FORGED, "unauthorized", MISSING),
        ("Bearer x", "invalid_token", "The access token is malformed, unknown or no longer valid."),
        (f"Bearer {FORGED}", "invalid_token", "The access token is malformed, unknown or no longer valid."),
        ("Bearer x, Bearer y", "invalid_request", "The request has more than one access token. Send one."),
    ],
    ids=["none", "Basic", "another scheme", "no scheme", "malformed", "unknown", "two"],
)
def test_the_body_has_the_error_of_the_challenge(host: Host, header: str, error: str, description: str) -> None:
    response = host.client().get("/api", headers={"Authorization": header})
    assert response.get_json() == {"error": error, "error_description": description}
    assert response.content_type == "application/json"


@pytest.mark.case("A08", "R4")
def test_a_missing_scope_names_every_scope_that_is_needed_once(host: Host) -> None:
    host.app.get("/both")(token_required("write", "read", "write")(lambda: "in"))
    secret = host.generate(scopes=["read"]).secret
    response = host.client().get("/both", headers=bearer(secret))
    description = "The access token lacks the scope: write"
    assert_refused(
        response,
        403,
        f'Bearer realm="api", error="insufficient_scope", error_description="{description}", scope="write read"',
    )
    assert response.get_json() == {"error": "insufficient_scope", "error_description": description}
    neither = host.client().get("/both", headers=bearer(host.generate().secret))
    assert neither.get_json()["error_description"] == "The access token lacks the scope: write read"


@pytest.mark.case("A10")
def test_every_challenge_has_only_the_characters_that_the_grammar_allows() -> None:
    scopes = {letter: "All" for letter in string.printable if re.fullmatch(r"[\x21\x23-\x5B\x5D-\x7E]", letter)}
    host = Host(ACCESS_TOKENS_SCOPES=scopes, ACCESS_TOKENS_REALM="the API of Ann's (staging)")
    with host.app.app_context():
        host.db.create_all()
    host.app.get("/all")(token_required(*scopes)(lambda: "in"))
    good = host.generate().secret
    value = r"[\x20\x21\x23-\x5B\x5D-\x7E]*"
    challenge = rf'Bearer [a-z_]+="{value}"(, [a-z_]+="{value}")*'
    for text in ("", "x", FORGED, good, f"{good}, Bearer {good}"):
        answer = host.client().get("/all", headers=bearer(text))
        assert re.fullmatch(challenge, answer.headers["WWW-Authenticate"])


@pytest.mark.case("A15")
def test_the_challenge_survives_a_handler_for_every_http_error(host: Host) -> None:
    @host.app.errorhandler(HTTPException)
    def as_json(error: HTTPException) -> tuple[Response, int | None]:
        return jsonify(error=error.name), error.code

    assert_all_challenges(host, {"error": "Unauthorized"})


@pytest.mark.case("A15")
def test_the_challenge_survives_a_handler_for_401_and_403(host: Host) -> None:
    @host.app.errorhandler(401)
    @host.app.errorhandler(403)
    def own(error: HTTPException) -> Response:
        response = jsonify(error="own")
        response.status_code = error.code or 500
        response.headers["WWW-Authenticate"] = "Basic"
        response.headers["Cache-Control"] = "public, max-age=600"
        return response

    assert_all_challenges(host, {"error": "own"})


@pytest.mark.case("A15")
def test_the_challenge_survives_a_handler_for_every_exception(host: Host) -> None:
    host.app.config["PROPAGATE_EXCEPTIONS"] = False

    @host.app.errorhandler(Exception)
    def anything(error: Exception) -> tuple[Response, int]:
        return jsonify(error="sorry"), getattr(error, "code", 500)

    assert_all_challenges(host, {"error": "sorry"})


def assert_all_challenges(host: Host, body: dict[str, str]) -> None:
    client, poor = host.client(), bearer(host.generate().secret)
    answer = client.get("/api")
    assert_refused(answer, 401, BARE)
    assert answer.get_json() == body
    assert_refused(client.get("/api", headers=bearer(FORGED)), 401, INVALID)
    assert_refused(
        client.post("/write", headers=poor),
        403,
        'Bearer realm="api", error="insufficient_scope",'
        ' error_description="The access token lacks the scope: write", scope="write"',
    )


@pytest.mark.case("A15")
def test_a_host_that_redirects_refused_requests_to_its_sign_in_still_sends_the_challenge(host: Host) -> None:
    host.app.errorhandler(401)(lambda error: redirect("/sign-in"))
    answer = host.client().get("/api")
    assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (REDIRECTED, BARE)


@pytest.mark.parametrize("status", [200, 404])
def test_a_view_that_catches_the_refusal_may_still_respond(host: Host, status: int) -> None:
    @host.app.get("/lenient")
    def lenient() -> Response:
        try:
            require_token()
        except HTTPException:
            return Response(status=status)
        return Response()

    response = host.client().get("/lenient")
    assert (response.status_code, response.headers["WWW-Authenticate"]) == (status, BARE)


@pytest.mark.parametrize("status", [200, 202, 302, 404])
def test_the_challenge_survives_a_handler_that_answers_with_another_status(host: Host, status: int) -> None:
    host.app.errorhandler(401)(lambda error: ("please sign in", status))
    answer = host.client().get("/api")
    assert (answer.status_code, answer.text) == (status, "please sign in")
    assert answer.headers["WWW-Authenticate"] == 'Bearer realm="api"'
    assert answer.headers["Cache-Control"] == "no-store"


def test_a_refusal_that_a_later_guard_of_the_same_request_overrides_leaves_no_challenge(host: Host) -> None:
    @host.app.get("/either")
    def either() -> str:
        try:
            require_token("write")
        except HTTPException:
            require_token("read")
        return "read"

    answer = host.client().get("/either", headers=bearer(host.generate(scopes=["read"]).secret))
    assert answer.text == "read"
    assert "WWW-Authenticate" not in answer.headers


@pytest.mark.case("S25")
def test_a_request_with_its_secret_elsewhere_is_told_the_header_and_hears_nothing_of_its_secret(host: Host) -> None:
    secret, client = host.generate("ann").secret, host.client()
    for arguments in (
        {"headers": {"Authorization": f"Token {secret}"}},
        {"headers": {"Authorization": secret}},
        {"auth": ("ann", secret)},
        {"headers": {"X-API-Key": secret}},
        {"query_string": {"access_token": secret}},
    ):
        response = client.get("/api", **arguments)
        assert_refused(response, 401, BARE)
        assert "Authorization: Bearer TOKEN" in response.json["error_description"]
        assert secret[4:] not in response.text
    assert re.fullmatch(r"[\x20\x21\x23-\x5B\x5D-\x7E]+", MISSING)  # RFC 6750 §3


@pytest.mark.case("S25")
def test_the_reason_of_each_refusal_is_in_the_log_at_the_debug_level(
    host: Host, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "flask_access_tokens")
    client, new = host.client(), host.generate("ann", lifetime_days=1)

    def reason(method: str, path: str, authorization: str = "") -> str:
        caplog.clear()
        client.open(f"{path}?password=hush", method=method, headers={"Authorization": authorization})
        (record,) = caplog.records
        assert (record.name, record.levelname) == ("flask_access_tokens", "DEBUG")
        assert new.secret[4:] not in record.getMessage()
        return record.getMessage()

    assert reason("GET", "/api") == "A request was refused: missing, token None, 'GET', endpoint 'api'"
    assert reason("GET", "/api", "Bearer x").startswith("A request was refused: malformed, token None")
    assert reason("GET", "/api", f"Bearer {FORGED}").startswith("A request was refused: unknown, token None")
    of_scope = f"A request was refused: scope, token {new.token.id}, 'POST', endpoint 'write'"
    assert reason("POST", "/write", f"Bearer {new.secret}") == of_scope
    clock.pass_(days=2)
    assert f": expired, token {new.token.id}" in reason("GET", "/api", f"Bearer {new.secret}")
