"""The guard: which requests it accepts, and what it leaves to the view."""

import json
from typing import Any

import pytest
from flask import Response, jsonify, request
from werkzeug.middleware.proxy_fix import ProxyFix

from flask_access_tokens import current_token, require_token, token_required
from host import Host, bearer
from refusals import BARE, FORGED, INVALID, TWICE, assert_refused


@pytest.mark.case("A02")
def test_a_valid_token_authenticates_its_owner(stored_host: Host) -> None:
    secret = stored_host.generate("ann", scopes=["read"]).secret
    response = stored_host.client().get("/api", headers=bearer(secret))
    assert response.get_json() == {"owner": "ann", "scopes": ["read"]}
    assert response.headers["Vary"] == "Authorization"
    assert "WWW-Authenticate" not in response.headers


@pytest.mark.parametrize("status", [204, 302, 404, 500])
def test_a_response_of_the_view_itself_is_left_unchanged(host: Host, status: int) -> None:
    host.app.get("/own")(token_required(lambda: Response(status=status)))
    response = host.client().get("/own", headers=bearer(host.generate().secret))
    assert response.status_code == status
    assert not {"WWW-Authenticate", "Cache-Control"} & set(response.headers.keys())


@pytest.mark.case("A03", "A04", "A05")
@pytest.mark.parametrize("name", ["Authorization", "authorization", "AUTHORIZATION"])
@pytest.mark.parametrize("scheme", ["Bearer ", "bearer  ", "BEARER       ", "bEaReR "])
def test_the_scheme_is_read_in_any_case_and_with_any_number_of_spaces(host: Host, name: str, scheme: str) -> None:
    header = {name: scheme + host.generate().secret}
    assert host.client().get("/api", headers=header).status_code == 200


@pytest.mark.parametrize("scope", ["", "a b", 'a"b', "a\\b", "läs", "a\r\nb", "a\tb", "\x7f"])
def test_a_guard_with_a_scope_that_breaks_the_header_raises_at_decoration(scope: str) -> None:
    with pytest.raises(ValueError, match="RFC 6749"):
        token_required(scope)
    with pytest.raises(ValueError, match="RFC 6749"):
        require_token(scope)


@pytest.mark.parametrize("scope", [None, 7, ["read"], ("read", "write")])
def test_a_guard_with_a_scope_that_is_not_a_string_raises_at_decoration(scope: Any) -> None:
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


@pytest.mark.case("A16")
def test_a_session_cookie_never_grants_access_to_the_api(host: Host) -> None:
    client = host.client("ann")
    host.generate("ann")
    answer = client.get("/api")
    assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, BARE)


@pytest.mark.case("A16")
def test_the_token_s_owner_counts_even_in_another_user_s_session(host: Host) -> None:
    secret = host.generate("ann").secret
    assert host.client("bob").get("/api", headers=bearer(secret)).get_json()["owner"] == "ann"


@pytest.mark.case("A19")
def test_an_optional_token_is_absent_or_valid_but_never_invalid(host: Host) -> None:
    client = host.client()
    assert client.get("/optional").get_json() == {"owner": None}
    assert client.get("/optional", headers={"Authorization": "Basic x"}).get_json() == {"owner": None}
    assert client.get("/optional", headers=bearer(host.generate("ann").secret)).get_json() == {"owner": "ann"}
    for bad in ("", "x", FORGED):
        assert_refused(client.get("/optional", headers=bearer(bad)), 401, INVALID)
    assert_refused(client.get("/optional", headers=bearer("a, Bearer b")), 400, TWICE)


def test_an_optional_view_s_response_varies_by_the_token_for_anonymous_requests_too(host: Host) -> None:
    assert "authorization" in host.client().get("/optional").vary


def test_behind_a_proxy_nothing_changes(host: Host) -> None:
    host.app.wsgi_app = ProxyFix(host.app.wsgi_app, x_for=1, x_proto=1, x_host=1, x_prefix=1)  # type: ignore[method-assign]
    headers = {"X-Forwarded-Proto": "https", "X-Forwarded-Host": "a.example", "X-Forwarded-Prefix": "/app"}
    assert host.client().get("/api", headers=headers | bearer(host.generate().secret)).status_code == 200
    assert_refused(host.client().get("/api", headers=headers), 401, BARE)


@pytest.mark.case("D09")
def test_a_view_s_caching_is_kept_and_a_cache_never_mixes_up_users(host: Host) -> None:
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
def test_an_error_in_the_view_is_handled_by_the_host(host: Host) -> None:
    host.app.config["PROPAGATE_EXCEPTIONS"] = False
    host.app.errorhandler(500)(lambda error: ("The host is sorry.", 500))
    host.app.get("/broken")(token_required(lambda: 1 / 0))
    answer = host.client().get("/broken", headers=bearer(host.generate().secret))
    assert (answer.status_code, answer.text) == (500, "The host is sorry.")
    assert "WWW-Authenticate" not in answer.headers
