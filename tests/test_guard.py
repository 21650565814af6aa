"""The API's door, over HTTP: the answers of the contract, in every kind of host."""

import json
import os
import random
import re
import string
import threading
import timeit
import tracemalloc
import uuid
from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Blueprint, Flask, Response, g, jsonify, redirect, request, session, stream_with_context
from flask.views import MethodView, View
from flask_cors import CORS, cross_origin
from host import REDIRECTED, Host, bearer
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from werkzeug.exceptions import HTTPException
from werkzeug.middleware.proxy_fix import ProxyFix
from werkzeug.test import EnvironBuilder, run_wsgi_app

from flask_access_tokens import clock, current_token, require_token, secret, token_rejected, token_required, tokens
from flask_access_tokens.store.lookup import lookup
from flask_access_tokens.tokens import Token

BARE = 'Bearer realm="api"'
INVALID = (
    'Bearer realm="api", error="invalid_token",'
    ' error_description="The access token is malformed, unknown or no longer valid."'
)
EXPIRED = 'Bearer realm="api", error="invalid_token", error_description="The access token has expired."'
DISABLED = 'Bearer realm="api", error="invalid_token", error_description="Access tokens are disabled."'
TWICE = 'Bearer realm="api", error="invalid_request", error_description="Send one access token."'

USUAL_NAMES = {"Cache-Control", "Content-Type", "Retry-After", "Vary", "WWW-Authenticate"}

FORGED = str(secret.generate("pat"))
MANY = 100_000 if os.environ.get("CI") == "true" else 3_000


def assert_refused(response: Any, status: int, challenge: str | None) -> None:
    """Hold a refusal against the contract: status, challenge, headers and body."""
    assert response.status_code == status
    assert response.headers.getlist("WWW-Authenticate") == ([challenge] if challenge else [])
    assert response.headers["Cache-Control"] == "no-store"
    assert "authorization" in response.vary
    assert "Set-Cookie" not in response.headers
    assert all(value.isascii() for _, value in response.headers)
    # Names are the same in any case; some clients look for the usual one all the same.
    usual = {name for name in USUAL_NAMES if name in response.headers}
    assert usual <= {name for name, _ in response.headers}
    if response.request.method != "HEAD":
        assert response.get_json()["error"]


@pytest.fixture
def reasons(host: Host) -> Iterator[list[str]]:
    """Why the host refused, by its signals."""
    heard: list[str] = []

    def hear(sender: Flask, reason: str, token_id: uuid.UUID | None) -> None:
        heard.append(reason)

    with token_rejected.connected_to(hear, host.app):
        yield heard


# The contract


@pytest.mark.case("A02")
def test_a_good_token_lets_its_owner_in(stored_host: Host) -> None:
    secret = stored_host.generate("ann", scopes=["read"]).secret
    response = stored_host.client().get("/api", headers=bearer(secret))
    assert response.get_json() == {"owner": "ann", "scopes": ["read"]}
    assert response.headers["Vary"] == "Authorization"
    assert "WWW-Authenticate" not in response.headers


@pytest.mark.parametrize("status", [204, 302, 404, 500])
def test_an_answer_of_the_view_s_own_stays_as_it_is(host: Host, status: int) -> None:
    host.app.get("/own")(token_required(lambda: Response(status=status)))
    response = host.client().get("/own", headers=bearer(host.generate().secret))
    assert response.status_code == status
    assert not {"WWW-Authenticate", "Cache-Control"} & set(response.headers.keys())


@pytest.mark.parametrize(("status", "challenged"), [(200, False), (299, False), (300, True), (404, True)])
def test_a_view_that_catches_the_refusal_may_answer_all_the_same(host: Host, status: int, challenged: bool) -> None:
    @host.app.get("/lenient")
    def lenient() -> Response:
        try:
            require_token()
        except HTTPException:
            return Response(status=status)
        return Response()

    response = host.client().get("/lenient")
    assert response.status_code == status
    assert ("WWW-Authenticate" in response.headers) is challenged


@pytest.mark.case("A01", "R1")
def test_a_request_without_a_token_gets_the_bare_challenge(host: Host) -> None:
    assert_refused(host.client().get("/api"), 401, BARE)


@pytest.mark.case("A03", "A04", "A05")
@pytest.mark.parametrize("name", ["Authorization", "authorization", "AUTHORIZATION"])
@pytest.mark.parametrize("scheme", ["Bearer ", "bearer  ", "BEARER       ", "bEaReR "])
def test_the_scheme_is_read_in_any_case_and_with_any_number_of_blanks(host: Host, name: str, scheme: str) -> None:
    header = {name: scheme + host.generate().secret}
    assert host.client().get("/api", headers=header).status_code == 200


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
        ("", "unauthorized", "Send an access token."),
        ("Basic x", "unauthorized", "Send an access token."),
        ("Bearer x", "invalid_token", "The access token is malformed, unknown or no longer valid."),
        (f"Bearer {FORGED}", "invalid_token", "The access token is malformed, unknown or no longer valid."),
        ("Bearer x, Bearer y", "invalid_request", "Send one access token."),
    ],
    ids=["none", "another scheme", "malformed", "unknown", "two"],
)
def test_the_body_says_what_the_challenge_says(host: Host, header: str, error: str, description: str) -> None:
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
def test_every_challenge_keeps_to_the_characters_of_the_grammar() -> None:
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


@pytest.mark.parametrize("scope", ["", "a b", 'a"b', "a\\b", "läs", "a\r\nb", "a\tb", "\x7f"])
def test_a_guard_with_a_scope_that_breaks_the_header_is_an_error_where_it_is_written(scope: str) -> None:
    with pytest.raises(ValueError, match="RFC 6749"):
        token_required(scope)
    with pytest.raises(ValueError, match="RFC 6749"):
        require_token(scope)


@pytest.mark.parametrize("scope", [None, 7, ["read"], ("read", "write")])
def test_a_guard_with_a_scope_that_is_no_text_is_an_error_where_it_is_written(scope: Any) -> None:
    with pytest.raises(TypeError, match="reports:read"):
        token_required(scope)


@pytest.mark.case("A11")
def test_head_is_answered_like_get_without_a_body(host: Host) -> None:
    client, good = host.client(), bearer(host.generate().secret)
    for headers in (good, {}):
        get, head = client.get("/api", headers=headers), client.head("/api", headers=headers)
        assert head.status_code == get.status_code
        assert list(head.headers) == list(get.headers)
        assert head.data == b""


@pytest.mark.case("A14")
def test_a_token_in_a_query_or_a_form_is_never_read(host: Host) -> None:
    secret, client = host.generate(scopes=["write"]).secret, host.client()
    assert_refused(client.get(f"/api?access_token={secret}"), 401, BARE)
    assert_refused(client.post("/write", data={"access_token": secret}), 401, BARE)
    client.set_cookie("access_token", secret)
    assert_refused(client.get("/api"), 401, BARE)
    assert client.get(f"/api?access_token={FORGED}", headers=bearer(secret)).status_code == 200


@pytest.mark.case("A14")
def test_the_guard_leaves_the_body_for_the_view_to_read(host: Host) -> None:
    @host.app.post("/upload")
    @token_required(optional=True)
    def upload() -> bytes:
        return request.stream.read()

    data = {"access_token": FORGED}
    assert host.client().post("/upload", data=data).data == f"access_token={FORGED}".encode()
    assert host.client().post("/upload", data=data, headers=bearer(host.generate().secret)).data


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
def test_a_host_that_sends_the_refused_to_its_own_sign_in_still_shows_the_challenge(host: Host) -> None:
    host.app.errorhandler(401)(lambda error: redirect("/sign-in"))
    answer = host.client().get("/api")
    assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (REDIRECTED, BARE)


@pytest.mark.case("A16")
def test_a_session_cookie_never_opens_the_api(host: Host) -> None:
    client = host.client("ann")
    host.generate("ann")
    answer = client.get("/api")
    assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, BARE)


@pytest.mark.case("A16")
def test_the_token_s_owner_counts_even_in_somebody_else_s_session(host: Host) -> None:
    secret = host.generate("ann").secret
    assert host.client("bob").get("/api", headers=bearer(secret)).get_json()["owner"] == "ann"


@pytest.mark.case("A19")
def test_an_optional_token_is_none_or_good_but_never_bad(host: Host) -> None:
    client = host.client()
    assert client.get("/optional").get_json() == {"owner": None}
    assert client.get("/optional", headers={"Authorization": "Basic x"}).get_json() == {"owner": None}
    assert client.get("/optional", headers=bearer(host.generate("ann").secret)).get_json() == {"owner": "ann"}
    for bad in ("", "x", FORGED):
        assert_refused(client.get("/optional", headers=bearer(bad)), 401, INVALID)
    assert_refused(client.get("/optional", headers=bearer("a, Bearer b")), 400, TWICE)


def test_an_optional_view_s_answer_varies_by_the_token_for_the_anonymous_too(host: Host) -> None:
    assert "authorization" in host.client().get("/optional").vary


# Bad input


@pytest.mark.case("B01", "B03", "B06", "B10")
@pytest.mark.parametrize(
    "value",
    [
        "Bearer",
        "Bearer ",
        "Bearer    ",
        "Bearer {} x",
        "Bearer {}\t",
        "Bearer {} ",
        "Bearer pat {}",
        'Bearer realm="x", {}',
        "Bearer {}\n",
        "Bearer {}\r\nX-Other: y",
        "Bearer \0{}",
        "Bearer {}\0",
        "Bearer\t{}",
        "Bearer\xa0{}",
        "Bearer \x85{}",
        'Bearer "{}"',
        "Bearer {},",
    ],
)
def test_a_malformed_value_is_refused_without_sql(host: Host, reasons: list[str], value: str) -> None:
    value = value.format(host.generate().secret)
    with host.statements() as seen:
        status, headers, body = answer_of(host, value)
    assert (status, headers["WWW-Authenticate"]) == (401, INVALID)
    assert json.loads(body)["error"] == "invalid_token"
    assert (seen, reasons) == ([], ["malformed"])


def answer_of(host: Host, value: str) -> tuple[int, Any, bytes]:
    """The answer to a value as a WSGI server hands it over, whatever stands in it."""
    environ = EnvironBuilder("/api").get_environ()
    environ["HTTP_AUTHORIZATION"] = value
    body, status, headers = run_wsgi_app(host.app, environ)
    return int(status[:3]), headers, b"".join(body)


@pytest.mark.case("B04", "B06", "R3")
@pytest.mark.parametrize("join", [", Bearer ", ",Bearer ", ",\tbearer "])
def test_two_tokens_are_a_bad_request_without_sql(host: Host, reasons: list[str], join: str) -> None:
    value = host.generate().secret + join + host.generate().secret
    with host.statements() as seen:
        assert_refused(host.client().get("/api", headers=bearer(value)), 400, TWICE)
    assert (seen, reasons) == ([], ["malformed"])


@pytest.mark.case("B12")
def test_a_secret_is_compared_exactly_on_every_database(stored_host: Host) -> None:
    with stored_host.app.app_context():
        secrets = [tokens.generate("ann", "laptop").secret for _ in range(3)]
    client = stored_host.client()
    for text in secrets:
        for other in (text.swapcase(), text.upper(), text.lower(), f"{text} ", text.replace("a", "á"), text[:-1]):
            status, headers, _ = answer_of(stored_host, f"Bearer {other}")
            assert other == text or (status, headers["WWW-Authenticate"]) == (401, INVALID)
        assert client.get("/api", headers=bearer(text)).status_code == 200


@pytest.mark.case("B12")
def test_a_digest_that_differs_by_case_or_scheme_is_never_taken_for_the_row_s(stored_host: Host) -> None:
    made = stored_host.generate()
    digest = secret.candidate_digests(made.secret, ())["sha256"]
    state = stored_host.app.extensions["access_tokens"]
    with stored_host.app.app_context():
        for wrong in ({"sha256": digest.upper()}, {"sha256": f"{digest} "}, {"other": digest}):
            assert lookup(state, wrong) is None
        found = lookup(state, {"sha256": digest})
        assert found is not None
        assert found.token.id == made.token.id


@pytest.mark.case("B13")
@pytest.mark.parametrize("size", [8_000, 9_000, 70_000, 10_000_000])
def test_a_huge_value_costs_no_time_no_memory_and_no_sql(host: Host, size: int) -> None:
    answer_of(host, "Bearer x")
    for value in ("Bearer " + "a" * size, "Bearer " + "Bearer," * (size // 7)):
        with host.statements() as seen:
            tracemalloc.start()
            status, _, _ = answer_of(host, value)
            _, peak = tracemalloc.get_traced_memory()
            tracemalloc.stop()
            # The fastest of many: whatever else the machine does can only slow one down.
            spent = min(timeit.repeat(lambda value=value: answer_of(host, value), number=1, repeat=20))
        assert status in (400, 401)
        assert spent < 0.005
        assert peak < 1_000_000
        assert seen == []


@pytest.mark.case("B14")
def test_every_changed_character_is_refused_without_sql(host: Host) -> None:
    secret = host.generate().secret
    with host.statements() as seen:
        for place in range(4, len(secret)):
            wrong = secret[:place] + ("B" if secret[place] == "A" else "A") + secret[place + 1 :]
            assert_refused(host.client().get("/api", headers=bearer(wrong)), 401, INVALID)
    assert seen == []


def test_a_right_secret_under_a_prefix_that_is_not_configured_is_refused_without_sql(host: Host) -> None:
    with host.statements() as seen:
        assert_refused(host.client().get("/api", headers=bearer(str(secret.generate("gh")))), 401, INVALID)
    assert seen == []


ODD = st.one_of(
    st.text(),
    st.text().map("Bearer {}".format),
    st.text(string.printable).map("Bearer {}".format),
    st.lists(st.sampled_from(["Bearer", "bearer", " ", ",", "\t", "pat_", FORGED, "Basic", '"', "=", "\0", "é"])).map(
        "".join
    ),
    st.tuples(st.integers(0, len(FORGED)), st.characters()).map(
        lambda change: f"Bearer {FORGED[: change[0]]}{change[1]}{FORGED[change[0] + 1 :]}"
    ),
)


def ask_with(host: Host, values: Iterable[str]) -> None:
    """Hold the answer to each value, as a WSGI server hands it over, against the contract: SQL only for a secret."""
    blank = EnvironBuilder("/api").get_environ()
    with host.statements() as seen:
        for value in values:
            seen.clear()
            _, status, headers = run_wsgi_app(host.app, blank | {"HTTP_AUTHORIZATION": value})
            assert status[:3] in ("400", "401"), value
            assert headers["WWW-Authenticate"] in (BARE, INVALID, TWICE), value
            holds = re.fullmatch(rf"bearer +{FORGED}", value, re.IGNORECASE) and FORGED in value
            assert bool(seen) == bool(holds), value


@pytest.mark.case("B25")
@settings(max_examples=500, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ODD)
@example(f"Bearer {FORGED}")
def test_no_header_value_ever_breaks_the_guard(host: Host, value: str) -> None:
    ask_with(host, [value])


@pytest.mark.case("B25")
def test_no_mutation_of_a_good_header_value_breaks_the_guard(host: Host) -> None:
    chance = random.Random(20)
    pieces = ["Bearer", "bearer", "Basic", " ", ",", "\t", "\0", "\r\n", "_", "pat", '"', "=", "é", "\xa0", FORGED]

    def mutated() -> str:
        value = list(f"Bearer {FORGED}")
        for _ in range(chance.randint(0, 4)):
            place = chance.randint(0, len(value))
            piece = chance.choice([*pieces, chr(chance.randrange(0xD800))])
            value[place : place + chance.randint(0, 3)] = piece if chance.random() < 0.9 else piece * 300
        return "".join(value)

    ask_with(host, (mutated() for _ in range(MANY)))


# Scopes


@pytest.mark.case("C12")
def test_a_token_without_scopes_opens_only_what_asks_for_none(stored_host: Host) -> None:
    client, header = stored_host.client(), bearer(stored_host.generate().secret)
    assert client.get("/api", headers=header).status_code == 200
    assert client.post("/write", headers=header).status_code == 403


@pytest.mark.case("C11")
def test_a_scope_that_the_owner_lost_is_refused_at_the_next_request(host: Host) -> None:
    may = {"ann": ["read", "write"], "bob": ["read", "write"]}
    host.access_tokens.scopes_loader(lambda owner_id: may[owner_id])
    ann, bob = (bearer(host.generate(owner, scopes=["write"]).secret) for owner in ("ann", "bob"))
    client = host.client()
    assert client.post("/write", headers=ann).status_code == 200
    may["ann"] = ["read"]
    assert client.post("/write", headers=ann).status_code == 403
    assert client.get("/api", headers=ann).get_json()["scopes"] == []
    assert client.post("/write", headers=bob).status_code == 200
    may["ann"] = ["write"]
    assert client.post("/write", headers=ann).status_code == 200


@pytest.mark.case("C15")
def test_a_scope_that_was_renamed_grants_nothing(stored_host: Host) -> None:
    header = bearer(stored_host.generate(scopes=["write"]).secret)
    stored_host.app.config["ACCESS_TOKENS_SCOPES"] = {"read": "Read", "change": "Change"}
    client = stored_host.client()
    assert client.post("/write", headers=header).status_code == 403
    assert client.get("/api", headers=header).get_json()["scopes"] == []


def test_an_error_in_the_scopes_loader_lets_nobody_in(host: Host) -> None:
    header = bearer(host.generate(scopes=["write"]).secret)
    host.app.config["PROPAGATE_EXCEPTIONS"] = False
    host.access_tokens.scopes_loader(lambda owner_id: 1 / 0)
    assert host.client().post("/write", headers=header).status_code == 500


# Owners


def test_an_owner_that_the_loader_does_not_know_is_refused(host: Host, reasons: list[str]) -> None:
    people = {"ann": "Ann", "bob": "Bob"}
    host.access_tokens.owner_loader(people.get)
    host.app.get("/me")(token_required(lambda: str(current_token.owner)))
    header, client = bearer(host.generate("ann").secret), host.client()
    assert client.get("/me", headers=header).text == "Ann"
    del people["ann"]
    assert_refused(client.get("/me", headers=header), 401, INVALID)
    assert reasons == ["owner"]


def test_the_owner_is_loaded_once_a_request(host: Host) -> None:
    asked: list[str] = []

    @host.access_tokens.owner_loader
    def load(owner_id: str) -> str:
        asked.append(owner_id)
        return owner_id

    host.app.get("/me")(token_required(lambda: f"{current_token.owner}{current_token.owner}"))
    assert host.client().get("/me", headers=bearer(host.generate("ann").secret)).text == "annann"
    assert asked == ["ann"]


def test_without_any_loader_the_token_decides_and_its_owner_is_an_error_with_the_next_step(host: Host) -> None:
    host.app.get("/me")(token_required(lambda: str(current_token.owner)))
    header = bearer(host.generate("ann").secret)
    assert host.client().get("/api", headers=header).status_code == 200
    with pytest.raises(RuntimeError, match=r"@access_tokens\.owner_loader"):
        host.client().get("/me", headers=header)


def test_async_loaders_are_awaited(host: Host) -> None:
    @host.access_tokens.owner_loader
    async def load(owner_id: str) -> str | None:
        return {"ann": "Ann"}.get(owner_id)

    assert host.client().get("/api", headers=bearer(host.generate("ann").secret)).status_code == 200
    assert_refused(host.client().get("/api", headers=bearer(host.generate("bob").secret)), 401, INVALID)


# The flag


@pytest.mark.case("H02", "H03")
def test_the_flag_off_refuses_without_sql_and_on_again_nothing_is_lost(stored_host: Host) -> None:
    client, header = stored_host.client(), bearer(stored_host.generate().secret)
    for off in (False, None, 0, 1, "", "true", "false", [True]):
        stored_host.app.config["ACCESS_TOKENS_ENABLED"] = off
        with stored_host.statements() as seen:
            assert_refused(client.get("/api", headers=header), 401, DISABLED)
            assert_refused(client.get("/optional", headers=header), 401, DISABLED)
            assert_refused(client.get("/api"), 401, BARE)
            assert client.get("/optional").status_code == 200
        assert seen == []
    assert stored_host.rows()[0]["last_used_at"] is None
    stored_host.app.config["ACCESS_TOKENS_ENABLED"] = True
    assert client.get("/api", headers=header).status_code == 200


@pytest.mark.case("H04")
def test_the_flag_may_differ_by_owner(host: Host, reasons: list[str]) -> None:
    host.app.config["ACCESS_TOKENS_ENABLED"] = lambda owner_id: owner_id == "ann"
    client = host.client()
    assert client.get("/api", headers=bearer(host.generate("ann").secret)).status_code == 200
    assert_refused(client.get("/api", headers=bearer(host.generate("bob").secret)), 401, DISABLED)
    assert reasons == ["disabled"]


@pytest.mark.parametrize("answer", [1, "yes", None, [True]])
def test_a_flag_that_answers_anything_but_true_is_off(host: Host, answer: object) -> None:
    host.app.config["ACCESS_TOKENS_ENABLED"] = lambda owner_id: answer
    assert_refused(host.client().get("/api", headers=bearer(host.generate().secret)), 401, DISABLED)


def test_a_flag_that_raises_is_off_and_says_so_in_the_log(host: Host, caplog: pytest.LogCaptureFixture) -> None:
    host.app.config["ACCESS_TOKENS_ENABLED"] = lambda owner_id: 1 / 0
    assert_refused(host.client().get("/api", headers=bearer(host.generate().secret)), 401, DISABLED)
    assert "counts as off" in caplog.text


# The store


def assert_unavailable(response: Any) -> None:
    """Hold a 503 against the contract: when to come back, and nothing of the store."""
    assert_refused(response, 503, None)
    assert 1 <= int(response.headers["Retry-After"]) <= 5
    description = "The access token cannot be checked now. Try again in a moment."
    assert response.get_json() == {"error": "temporarily_unavailable", "error_description": description}
    assert_silent_on_the_store(response)


def assert_silent_on_the_store(response: Any) -> None:
    shown = f"{response.headers}{response.text}".lower()
    for word in ("select", "access_tokens", "sqlite", "psycopg", "pymysql", "127.0.0.1", "traceback", "/nowhere"):
        assert word not in shown


@pytest.mark.case("R5", "D14", "E23")
def test_a_missing_table_is_503_and_one_line_in_the_log(stored_host: Host, caplog: pytest.LogCaptureFixture) -> None:
    header = bearer(stored_host.generate().secret)
    with stored_host.app.app_context():
        stored_host.db.drop_all()
    client = stored_host.client()
    assert_unavailable(client.get("/api", headers=header))
    assert_unavailable(client.get("/optional", headers=header))
    assert_refused(client.get("/api", headers=bearer("x")), 401, INVALID)
    assert_refused(client.get("/api"), 401, BARE)
    lines = [record.getMessage() for record in caplog.records if record.name == "flask_access_tokens"]
    assert len(lines) == 2
    assert not any("SELECT" in line or "\n" in line for line in lines)
    assert all(re.fullmatch(r"The token store cannot be used: \w+: .*access_tokens.*", line) for line in lines)


@pytest.mark.case("R5", "D14", "E10")
@pytest.mark.parametrize(
    "url",
    [
        "sqlite:////nowhere/at/all.sqlite3",
        "postgresql+psycopg://nobody:password@127.0.0.1:1/none",
        "mariadb+pymysql://nobody:password@127.0.0.1:1/none",
    ],
)
def test_a_store_that_cannot_be_reached_is_503_and_tells_nobody_where_it_is(
    url: str, caplog: pytest.LogCaptureFixture
) -> None:
    host = Host(url)
    assert_unavailable(host.client().get("/api", headers=bearer(FORGED)))
    assert re.match(r"The token store cannot be used: OperationalError: .*\w", caplog.messages[-1])
    assert "password" not in caplog.text
    assert_refused(host.client().get("/api", headers=bearer("x")), 401, INVALID)


@pytest.mark.case("R5", "D14")
def test_a_store_that_fails_in_the_owner_loader_is_503_as_well(host: Host) -> None:
    @host.access_tokens.owner_loader
    def load(owner_id: str) -> Any:
        return host.db.session.execute(sa.text("SELECT * FROM nowhere")).first()

    assert_unavailable(host.client().get("/api", headers=bearer(host.generate().secret)))


@pytest.mark.case("R5")
def test_a_503_survives_the_host_s_own_handlers(host: Host) -> None:
    host.app.errorhandler(HTTPException)(lambda error: (jsonify(error="sorry"), error.code))
    header = bearer(host.generate().secret)
    with host.app.app_context():
        host.db.drop_all()
    answer = host.client().get("/api", headers=header)
    assert_refused(answer, 503, None)
    assert answer.headers["Retry-After"] == "2"
    assert answer.get_json() == {"error": "sorry"}
    assert_silent_on_the_store(answer)


# The shapes of views


@pytest.mark.case("A18")
def test_an_async_view_is_guarded(host: Host) -> None:
    @host.app.get("/view")
    @token_required("read")
    async def view() -> str:
        return current_token.owner_id

    assert_guarded(host)


@pytest.mark.case("A18")
def test_a_view_class_is_guarded_by_its_decorators(host: Host) -> None:
    class Reports(MethodView):
        decorators = [token_required("read")]  # noqa: RUF012

        def get(self) -> str:
            return current_token.owner_id

    host.app.add_url_rule("/view", view_func=Reports.as_view("reports"))
    assert_guarded(host)


@pytest.mark.case("A18")
def test_one_method_of_a_view_class_is_guarded_alone(host: Host) -> None:
    class Reports(MethodView):
        @token_required("read")
        def get(self) -> str:
            return current_token.owner_id

        def post(self) -> str:
            return "open"

    host.app.add_url_rule("/view", view_func=Reports.as_view("reports"))
    assert_guarded(host)
    assert host.client().post("/view").text == "open"


@pytest.mark.case("A18")
def test_an_async_method_and_a_plain_view_class_are_guarded(host: Host) -> None:
    class Reports(View):
        @token_required("read")
        async def dispatch_request(self) -> str:
            return current_token.owner_id

    host.app.add_url_rule("/view", view_func=Reports.as_view("reports"))
    assert_guarded(host)


@pytest.mark.case("A18")
def test_a_streamed_answer_is_guarded_and_knows_its_token_to_the_end(host: Host) -> None:
    @host.app.get("/view")
    @token_required("read")
    def view() -> Response:
        def parts() -> Iterator[str]:
            for letter in current_token.owner_id:
                yield letter
                assert current_token.owner_id == "ann"

        return Response(stream_with_context(parts()))

    assert_guarded(host)


@pytest.mark.case("A18")
def test_a_generator_may_be_returned_as_it_is(host: Host) -> None:
    @host.app.get("/view")
    @token_required("read")
    def view() -> Iterator[str]:
        yield from "ann"

    client = host.client()
    assert client.get("/view", headers=bearer(host.generate(scopes=["read"]).secret)).text == "ann"
    assert_refused(client.get("/view"), 401, BARE)


@pytest.mark.case("A18")
def test_a_blueprint_is_guarded_by_one_line(host: Host) -> None:
    reports = Blueprint("reports", __name__)
    reports.before_request(require_token)
    reports.get("/view")(lambda: current_token.owner_id)
    host.app.register_blueprint(reports)
    assert_guarded(host, scope=False)


@pytest.mark.case("A18")
def test_a_blueprint_is_guarded_for_a_scope_and_so_are_the_blueprints_in_it(host: Host) -> None:
    from functools import partial

    outer, inner = Blueprint("outer", __name__), Blueprint("inner", __name__)
    outer.before_request(partial(require_token, "read"))
    inner.get("/view")(lambda: current_token.owner_id)
    outer.register_blueprint(inner)
    host.app.register_blueprint(outer)
    assert_guarded(host)


def test_a_guarded_view_in_a_guarded_blueprint_needs_the_scopes_of_both_and_one_select(host: Host) -> None:
    from functools import partial

    reports = Blueprint("reports", __name__)
    reports.before_request(partial(require_token, "read"))
    reports.get("/view")(token_required("write")(lambda: current_token.owner_id))
    host.app.register_blueprint(reports)
    client = host.client()
    for scopes, status in ((["read"], 403), (["write"], 403), (["read", "write"], 200)):
        header = bearer(host.generate(scopes=scopes).secret)
        client.get("/view", headers=header)
        with host.statements() as seen:
            assert client.get("/view", headers=header).status_code == status
        assert len(seen) <= (2 if status == 403 else 1)


def assert_guarded(host: Host, scope: bool = True) -> None:
    """Hold ``/view``, which answers the owner's id, against A01, A02 and A08."""
    client = host.client()
    assert_refused(client.get("/view"), 401, BARE)
    assert_refused(client.get("/view", headers=bearer(FORGED)), 401, INVALID)
    good = client.get("/view", headers=bearer(host.generate("ann", scopes=["read"]).secret))
    assert (good.status_code, good.text) == (200, "ann")
    poor = client.get("/view", headers=bearer(host.generate("ann").secret))
    assert poor.status_code == (403 if scope else 200)


def test_require_token_is_a_plain_call_that_raises(host: Host) -> None:
    @host.app.get("/view")
    def view() -> str:
        require_token("read")
        return current_token.owner_id

    assert_guarded(host)


def test_require_token_may_be_optional(host: Host) -> None:
    @host.app.get("/view")
    def view() -> str:
        require_token(optional=True)
        return current_token.owner_id if current_token else "nobody"

    client = host.client()
    assert client.get("/view").text == "nobody"
    assert client.get("/view", headers=bearer(host.generate("ann").secret)).text == "ann"
    assert_refused(client.get("/view", headers=bearer("x")), 401, INVALID)


def test_a_function_may_be_guarded_optionally_in_one_call(host: Host) -> None:
    guarded: Any = token_required(lambda: "in", optional=True)  # type: ignore[call-overload]
    host.app.get("/view")(guarded)
    assert host.client().get("/view").text == "in"
    assert_refused(host.client().get("/view", headers=bearer("x")), 401, INVALID)


def test_a_guarded_view_keeps_its_name_and_its_arguments(host: Host) -> None:
    @host.app.get("/things/<int:number>")
    @token_required
    def things(number: int) -> str:
        """Things."""
        return str(number + 1)

    assert (things.__name__, things.__doc__) == ("things", "Things.")
    assert host.client().get("/things/6", headers=bearer(host.generate().secret)).text == "7"


# CORS


PREFLIGHT = {
    "Origin": "https://elsewhere.example",
    "Access-Control-Request-Method": "GET",
    "Access-Control-Request-Headers": "authorization",
}


@pytest.mark.case("A12")
def test_a_preflight_passes_under_global_cors_and_refusals_keep_its_headers(host: Host) -> None:
    CORS(host.app)
    client = host.client()
    preflight = client.options("/api", headers=PREFLIGHT)
    assert preflight.status_code == 200
    assert preflight.headers["Access-Control-Allow-Headers"] == "authorization"
    for header, status in ((bearer(host.generate().secret), 200), (bearer(FORGED), 401), ({}, 401)):
        answer = client.get("/api", headers={"Origin": PREFLIGHT["Origin"], **header})
        assert answer.status_code == status
        assert answer.headers["Access-Control-Allow-Origin"] in ("*", PREFLIGHT["Origin"])
        assert "authorization" in answer.vary


@pytest.mark.case("A12")
@pytest.mark.parametrize("methods", [["GET"], ["GET", "OPTIONS"]])
def test_a_preflight_passes_with_cross_origin_above_the_guard(host: Host, methods: list[str]) -> None:
    view = cross_origin()(token_required(lambda: current_token.owner_id))
    host.app.add_url_rule("/view", "view", view, methods=methods)
    host.app.add_url_rule("/open", "open", cross_origin()(lambda: "open"), methods=methods)
    client = host.client()
    try:
        client.options("/open", headers=PREFLIGHT)
    except TypeError as error:  # it calls a function of Flask whose signature has changed
        pytest.skip(f"Flask-Cors's decorator does not work with this Flask: {error}")
    preflight = client.options("/view", headers=PREFLIGHT)
    assert preflight.status_code == 200
    assert preflight.headers["Access-Control-Allow-Origin"] in ("*", PREFLIGHT["Origin"])
    assert client.get("/view").status_code == 401
    good = {"Origin": PREFLIGHT["Origin"], **bearer(host.generate("ann").secret)}
    answer = client.get("/view", headers=good)
    assert answer.text == "ann"
    assert answer.headers["Access-Control-Allow-Origin"] in ("*", PREFLIGHT["Origin"])


@pytest.mark.case("A12")
def test_a_preflight_does_not_run_what_stands_below_the_guard(host: Host) -> None:
    host.app.add_url_rule("/view", "view", token_required(cross_origin()(lambda: current_token.owner_id)))
    preflight = host.client().options("/view", headers=PREFLIGHT)
    assert preflight.status_code == 200
    assert preflight.text == ""
    assert "Access-Control-Allow-Origin" not in preflight.headers


def own_options_by_methods(app: Flask, view: Callable[[], str]) -> None:
    app.add_url_rule("/view", "view", token_required(view), methods=["GET", "OPTIONS"])


def own_options_by_rule(app: Flask, view: Callable[[], str]) -> None:
    app.add_url_rule(
        "/view", "view", token_required(view), methods=["GET", "OPTIONS"], provide_automatic_options=False
    )


def own_options_by_attribute(app: Flask, view: Callable[[], str]) -> None:
    view.provide_automatic_options = False  # type: ignore[attr-defined]
    app.add_url_rule("/view", "view", token_required(view), methods=["GET", "OPTIONS"])


def own_options_by_class(app: Flask, view: Callable[[], str]) -> None:
    class Own(MethodView):
        decorators = [token_required]  # noqa: RUF012
        provide_automatic_options = False

        def get(self) -> str:
            return view()

        options = get

    app.add_url_rule("/view", view_func=Own.as_view("view"))


def own_options_by_blueprint(app: Flask, view: Callable[[], str]) -> None:
    view.provide_automatic_options = False  # type: ignore[attr-defined]
    blueprint = Blueprint("own", __name__)
    blueprint.before_request(require_token)
    blueprint.add_url_rule("/view", "view", view, methods=["GET", "OPTIONS"])
    app.register_blueprint(blueprint)


@pytest.mark.case("A12")
@pytest.mark.parametrize(
    "register",
    [
        own_options_by_methods,
        own_options_by_rule,
        own_options_by_attribute,
        own_options_by_class,
        own_options_by_blueprint,
    ],
)
def test_a_view_that_takes_options_itself_never_runs_without_a_token(
    host: Host, register: Callable[..., None]
) -> None:
    ran: list[str] = []

    def view() -> str:
        ran.append(request.method)
        return "ran"

    register(host.app, view)
    client = host.client()
    preflight = client.options("/view", headers=PREFLIGHT)
    assert preflight.status_code == 200
    assert preflight.text == ""
    assert_refused(client.options("/view"), 401, BARE)
    assert_refused(client.options("/view", headers={"Origin": PREFLIGHT["Origin"]}), 401, BARE)
    assert_refused(client.options("/view", headers={"Access-Control-Request-Method": "GET"}), 401, BARE)
    assert ran == []
    assert client.options("/view", headers=bearer(host.generate().secret)).text == "ran"


def test_options_passes_a_guarded_blueprint_and_a_guarded_application(host: Host) -> None:
    host.app.before_request(require_token)
    client = host.client()
    assert client.options("/api", headers=PREFLIGHT).status_code == 200
    plain = client.options("/api")
    assert (plain.status_code, sorted(plain.allow)) == (200, ["GET", "HEAD", "OPTIONS"])
    assert client.options("/nowhere", headers=PREFLIGHT).status_code == 404
    assert client.options("/nowhere").status_code == 404
    assert client.get("/nowhere").status_code == 401


# Other company


def test_behind_a_proxy_nothing_changes(host: Host) -> None:
    host.app.wsgi_app = ProxyFix(host.app.wsgi_app, x_for=1, x_proto=1, x_host=1, x_prefix=1)  # type: ignore[method-assign]
    headers = {"X-Forwarded-Proto": "https", "X-Forwarded-Host": "a.example", "X-Forwarded-Prefix": "/app"}
    assert host.client().get("/api", headers=headers | bearer(host.generate().secret)).status_code == 200
    assert_refused(host.client().get("/api", headers=headers), 401, BARE)


@pytest.mark.case("D09")
def test_a_view_s_caching_is_kept_and_a_cache_never_mixes_people_up(host: Host) -> None:
    @host.app.get("/cached")
    @token_required(optional=True)
    def cached() -> Response:
        response = jsonify(owner=current_token.owner_id if current_token else None)
        response.headers["Cache-Control"] = "public, max-age=60"
        response.headers["Vary"] = "Accept-Encoding"
        return response

    store: dict[tuple[str | None, ...], bytes] = {}
    vary: list[str] = []
    client = host.client()

    def through_a_cache(headers: dict[str, str]) -> Any:
        key = tuple(headers.get(name.title()) for name in vary)
        if not vary or key not in store:
            answer = client.get("/cached", headers=headers)
            assert answer.headers["Cache-Control"] == "public, max-age=60"
            assert answer.headers["Vary"] == "Accept-Encoding, Authorization"
            vary[:] = sorted(answer.vary.as_set())
            store[tuple(headers.get(name.title()) for name in vary)] = answer.data
            return json.loads(answer.data)
        return json.loads(store[key])

    ann, bob = bearer(host.generate("ann").secret), bearer(host.generate("bob").secret)
    for _ in range(2):
        assert through_a_cache(ann) == {"owner": "ann"}
        assert through_a_cache(bob) == {"owner": "bob"}
        assert through_a_cache({}) == {"owner": None}
    assert vary == ["accept-encoding", "authorization"]
    assert len(store) == 3


@pytest.mark.case("D15")
def test_an_error_in_the_view_is_the_host_s_to_answer(host: Host) -> None:
    host.app.config["PROPAGATE_EXCEPTIONS"] = False
    host.app.errorhandler(500)(lambda error: ("The host is sorry.", 500))
    host.app.get("/broken")(token_required(lambda: 1 / 0))
    answer = host.client().get("/broken", headers=bearer(host.generate().secret))
    assert (answer.status_code, answer.text) == (500, "The host is sorry.")
    assert "WWW-Authenticate" not in answer.headers


# The token of the request


def test_current_token_tells_everything_but_the_secret(stored_host: Host) -> None:
    @stored_host.app.get("/all")
    @token_required
    def everything() -> Any:
        token = current_token
        return {
            name: str(getattr(token, name))
            for name in [
                "id",
                "name",
                "description",
                "owner_id",
                "scopes",
                "hint",
                "created_at",
                "expires_at",
                "last_used_at",
            ]
        }

    made = stored_host.generate("ann", "laptop", description="On the desk", scopes=["write", "read"])
    told = stored_host.client().get("/all", headers=bearer(made.secret)).get_json()
    assert told["id"] == str(made.token.id)
    assert (told["name"], told["description"], told["owner_id"]) == ("laptop", "On the desk", "ann")
    assert told["scopes"] == "('read', 'write')"
    assert told["created_at"] == str(made.token.created_at)
    assert told["expires_at"] == str(made.token.expires_at)
    assert told["created_at"].endswith("+00:00")
    assert told["last_used_at"] == "None"


def test_current_token_is_falsy_without_a_token_and_an_error_tells_what_to_do(host: Host) -> None:
    message = (
        "This request has no access token. Guard the view with @token_required; under optional=True ask"
        ' "if current_token" first.'
    )

    def assert_none() -> None:
        assert not current_token
        with pytest.raises(RuntimeError, match=f"^{re.escape(message)}$"):
            _ = current_token.owner_id

    assert_none()
    with host.app.test_request_context("/"):
        assert_none()
        assert "pat_" not in repr(current_token)
    with host.client() as client:
        client.get("/optional")
        assert_none()


def test_current_token_lasts_as_long_as_the_client_s_block(host: Host) -> None:
    with host.client() as client:
        client.get("/api", headers=bearer(host.generate("ann").secret))
        assert current_token.owner_id == "ann"
        client.get("/optional")
        assert not current_token
    assert not current_token


def test_a_token_does_not_leak_into_the_next_request_of_an_outer_context(stored_host: Host) -> None:
    with stored_host.app.app_context():
        secret, client = tokens.generate("ann", "laptop").secret, stored_host.client()
        assert client.get("/optional", headers=bearer(secret)).get_json() == {"owner": "ann"}
        assert not current_token
        assert client.get("/optional").get_json() == {"owner": None}
        assert client.get("/api").status_code == 401
        bob = tokens.generate("bob", "laptop").secret
        assert client.get("/api", headers=bearer(bob)).get_json()["owner"] == "bob"


def test_a_request_inside_a_request_has_its_own_token(host: Host) -> None:
    other = bearer(host.generate("bob").secret)

    @host.app.get("/through")
    @token_required
    def through() -> Any:
        inside = host.app.test_client().get("/api", headers=other).get_json()["owner"]
        return [current_token.owner_id, inside]

    assert host.client().get("/through", headers=bearer(host.generate("ann").secret)).get_json() == ["ann", "bob"]


@pytest.mark.case("E22")
def test_two_applications_in_one_process_never_mix(make_host: Callable[..., Host], tmp_path: Any) -> None:
    one, two = (make_host(f"sqlite:///{tmp_path / name}") for name in ("one.sqlite3", "two.sqlite3"))
    secrets = [(host, f"{owner}-{number}") for number, host in enumerate((one, two)) for owner in ("ann", "bob")]
    headers = [(host, owner, bearer(host.generate(owner).secret)) for host, owner in secrets]
    wrong: list[object] = []

    def ask() -> None:
        for host, owner, header in headers * 10:
            for asked in (one, two):
                answer = asked.client().get("/api", headers=header)
                expected = (200, owner) if asked is host else (401, None)
                if (answer.status_code, answer.get_json().get("owner")) != expected:
                    wrong.append(answer.get_json())

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_every_door_says_what_is_missing_in_an_application_that_was_not_set_up() -> None:
    app = Flask("bare")
    app.config["TESTING"] = True
    app.get("/api")(token_required(lambda: "in"))
    with pytest.raises(RuntimeError, match="init_app"):
        app.test_client().get("/api")


def test_what_the_host_keeps_in_g_and_the_session_is_left_alone(host: Host) -> None:
    @host.app.get("/mine")
    @token_required
    def mine() -> Any:
        return {"session": dict(session), "token in g": any(isinstance(value, Token) for value in vars(g).values())}

    answer = host.client("bob").get("/mine", headers=bearer(host.generate().secret))
    assert answer.get_json() == {"session": {"person": "bob"}, "token in g": False}
