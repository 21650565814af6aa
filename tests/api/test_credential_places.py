"""Credentials of adopted secrets, and in the places that ``ACCESS_TOKENS_ALSO_FROM`` adds."""

import secrets
from collections.abc import Callable
from typing import Any

import pytest
from flask_sqlalchemy import SQLAlchemy
from werkzeug.test import EnvironBuilder, run_wsgi_app

from applications import application
from flask_access_tokens import AccessTokens, tokens
from host import Host, bearer
from pages import NEW, PAGE
from refusals import BARE, DISABLED, FORGED, INVALID, TWICE, assert_refused
from visits import FOREIGN

HEX = r"[0-9a-f]{32}"
PLACES = ["X-API-Key", "Authorization: Token"]


@pytest.fixture
def placed(host: Host) -> Host:
    """A host that takes adopted secrets, and credentials from two further places."""
    host.app.config.update(ACCESS_TOKENS_ADOPTED=HEX, ACCESS_TOKENS_ALSO_FROM=PLACES)
    return host


def adopted(host: Host, owner_id: str = "ann", **values: Any) -> str:
    text = secrets.token_hex(16)
    with host.app.app_context():
        tokens.adopt(owner_id, text, "Old key", **values)
    return text


def everywhere(text: str) -> list[dict[str, str]]:
    return [bearer(text), {"X-API-Key": text}, {"Authorization": f"Token {text}"}, {"Authorization": f"TOKEN  {text}"}]


def test_own_and_adopted_tokens_are_accepted_in_every_place(placed: Host) -> None:
    for text in (placed.generate("ann").secret, adopted(placed)):
        for headers in everywhere(text):
            answer = placed.client().get("/api", headers=headers)
            assert (answer.status_code, answer.get_json()["owner"]) == (200, "ann")


@pytest.mark.parametrize("place", PLACES)
def test_a_place_that_is_not_configured_is_never_read(host: Host, place: str) -> None:
    text = host.generate().secret
    header = {"Authorization": f"Token {text}"} if " " in place else {place: text}
    assert_refused(host.client().get("/api", headers=header), 401, BARE)
    host.app.config["ACCESS_TOKENS_ALSO_FROM"] = place
    assert host.client().get("/api", headers=header).status_code == 200


def test_the_query_string_and_other_schemes_are_never_read(placed: Host) -> None:
    text = placed.generate().secret
    for query in ("X-API-Key", "api_key", "access_token"):
        assert_refused(placed.client().get(f"/api?{query}={text}"), 401, BARE)
    assert_refused(placed.client().get("/api", headers={"Authorization": f"ApiKey {text}"}), 401, BARE)
    beside = {"Authorization": "Basic Zm9vOmJhcg==", "X-API-Key": text}
    assert placed.client().get("/api", headers=beside).status_code == 200


def test_credentials_in_two_places_are_a_bad_request_without_sql(placed: Host, reasons: list[str]) -> None:
    one, two = placed.generate().secret, adopted(placed)
    requests = [
        {"Authorization": f"Bearer {one}", "X-API-Key": one},
        {"Authorization": f"Token {one}", "X-API-Key": "x"},
        {"Authorization": f"Bearer {one}, Token {two}"},
        {"X-API-Key": f"{one}, {two}"},
        {"X-API-Key": f"{one},{one}"},
    ]
    with placed.statements() as seen:
        for headers in requests:
            assert_refused(placed.client().get("/api", headers=headers), 400, TWICE)
    assert (seen, reasons) == ([], ["malformed"] * len(requests))


@pytest.mark.parametrize(
    "value",
    [
        "{} ",
        " {}",
        "{}x",
        "{}\0",
        "{}\xa0",
        '"{}"',
        "'{}'",
        "{};x",
        "{}\\",
        "Bearer {}",
        "x",
        ",",
        "{},",
        "é",
        "a" * 1025,
        "{}" + " " * 1000,
    ],
)
@pytest.mark.parametrize("key", ["HTTP_X_API_KEY", "HTTP_AUTHORIZATION"])
def test_a_malformed_credential_is_refused_without_sql(placed: Host, reasons: list[str], key: str, value: str) -> None:
    value = value.format(adopted(placed))
    environ = EnvironBuilder("/api").get_environ()
    environ[key] = value if key == "HTTP_X_API_KEY" else f"Token {value}"
    if key == "HTTP_AUTHORIZATION" and value.startswith(" "):
        return  # more than one space after a scheme is allowed
    with placed.statements() as seen:
        _, status, headers = run_wsgi_app(placed.app, environ)
    assert (status[:3], headers["WWW-Authenticate"]) == ("401", INVALID)
    assert (seen, reasons) == ([], ["malformed"])


@pytest.mark.parametrize("value", ["", " ", "\t"])
def test_a_blank_header_is_no_credential(placed: Host, value: str) -> None:
    environ = EnvironBuilder("/optional").get_environ() | {"HTTP_X_API_KEY": value}
    _, status, _ = run_wsgi_app(placed.app, environ)
    assert status[:3] == "200"


@pytest.mark.parametrize("headers", everywhere("0" * 31) + everywhere("x, y") + everywhere("f" * 32))
def test_a_bad_credential_is_never_taken_for_anonymous_or_for_a_session(placed: Host, headers: dict[str, str]) -> None:
    placed.app.add_url_rule("/shared", view_func=shared())
    client = placed.client("ann")
    assert client.get("/shared").status_code == 200
    for path in ("/optional", "/shared"):
        assert client.get(path, headers=headers).status_code in (400, 401)


def shared() -> Any:
    from flask_access_tokens import token_required

    @token_required(or_session=True)
    def view() -> str:
        return "in"

    return view


@pytest.mark.parametrize("headers", everywhere(FORGED))
def test_the_feature_flag_counts_every_place(placed: Host, reasons: list[str], headers: dict[str, str]) -> None:
    placed.app.config["ACCESS_TOKENS_ENABLED"] = False
    with placed.statements() as seen:
        assert_refused(placed.client().get("/api", headers=headers), 401, DISABLED)
    assert (seen, reasons) == ([], ["disabled"])


def test_vary_names_every_configured_header(placed: Host) -> None:
    placed.app.add_url_rule("/varies", view_func=varies())
    headers = {"X-API-Key": placed.generate().secret}
    for answer in (
        placed.client().get("/api"),
        placed.client().get("/api", headers=headers),
        placed.client().get("/varies", headers=headers),
    ):
        assert {"authorization", "x-api-key"} <= set(answer.vary.as_set())
    assert "accept" in placed.client().get("/varies", headers=headers).vary


def varies() -> Any:
    from flask_access_tokens import token_required

    @token_required
    def view() -> Any:
        return "in", {"Vary": "Accept"}

    return view


def test_an_accepted_credential_in_a_header_needs_no_csrf_token(make_host: Callable[..., Host]) -> None:
    host = make_host(csrf=True, ACCESS_TOKENS_ADOPTED=HEX, ACCESS_TOKENS_ALSO_FROM=PLACES)
    host.app.post("/open", endpoint="open")(lambda: "changed")
    for text in (host.generate("ann", scopes=["write"]).secret, adopted(host, scopes=["write"])):
        for headers in everywhere(text):
            assert host.client().post("/write", headers=headers).status_code == 200
            assert host.client().post("/open", headers=headers).status_code == 200
    for headers in everywhere(FORGED) + everywhere(secrets.token_hex(16)):
        assert host.client().post("/write", headers=headers).status_code == 401
        assert host.client().post("/open", headers=headers).status_code == 400


def test_the_page_refuses_a_credential_of_ours_in_any_place_and_no_other(placed: Host) -> None:
    client = placed.client("ann")
    for text in (placed.generate("ann").secret, adopted(placed)):
        for headers in [*everywhere(text), {"X-API-Key": f"x, {text}"}, {"Authorization": f"Basic x, Token {text}"}]:
            for path in (PAGE, NEW):
                assert client.get(path, headers=headers).status_code == 401
    for headers in (FOREIGN, {"X-API-Key": "gateway-17"}, {"Authorization": "Token gateway"}):
        assert client.get(PAGE, headers=headers).status_code == 200
    placed.app.config.update(ACCESS_TOKENS_ADOPTED=None, ACCESS_TOKENS_ALSO_FROM=())
    assert client.get(PAGE, headers={"X-API-Key": placed.generate("ann").secret}).status_code == 200


def test_a_credential_that_no_form_matches_is_refused_without_sql(placed: Host) -> None:
    with placed.statements() as seen:
        for text in ("f" * 31, "f" * 33, "F" * 32, "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhbm4ifQ.c2lnbmF0dXJl", "12|abc"):
            for headers in everywhere(text):
                assert_refused(placed.client().get("/api", headers=headers), 401, INVALID)
    assert seen == []


def test_a_pattern_that_is_taken_away_refuses_adopted_tokens_and_no_own(placed: Host) -> None:
    old, own = adopted(placed), placed.generate().secret
    placed.app.config["ACCESS_TOKENS_ADOPTED"] = None
    assert [placed.client().get("/api", headers=bearer(text)).status_code for text in (old, own)] == [401, 200]
    assert placed.find(old) is None
    with placed.app.app_context():
        assert not tokens.is_well_formed(old)


@pytest.mark.parametrize(
    ("place", "reason"),
    [
        ("Cookie", "browsers send this header themselves"),
        ("Authorization", "browsers send this header themselves"),
        ("accept", "browsers send this header themselves"),
        ("Proxy-Authorization", "browsers send this header themselves"),
        ("Sec-Token", "browsers send this header themselves"),
        ("Authorization: Basic", "this scheme carries no token"),
        ("authorization: Bearer", "it is read already"),
        ("Authorization: ", "not the name of a scheme"),
        ("Authorization: Token x", "not the name of a scheme"),
        ("?api_key", "not the name of a header"),
        ("api key", "not the name of a header"),
        ("X-Clé", "not the name of a header"),
        ("X-Key: Token", "not the name of a header"),
        ("", "not the name of a header"),
    ],
)
def test_a_place_that_cannot_be_used_is_refused_with_the_reason(place: str, reason: str) -> None:
    app = application(ACCESS_TOKENS_ALSO_FROM=["X-Fine", place])
    with pytest.raises(ValueError, match="ACCESS_TOKENS_ALSO_FROM") as error:
        AccessTokens(app, SQLAlchemy(app))
    assert reason in str(error.value)
    assert "A query string cannot be used" in str(error.value)


@pytest.mark.parametrize("again", ["x-api-key", "X_API_Key"])
def test_a_header_is_configured_once(again: str) -> None:
    app = application(ACCESS_TOKENS_ALSO_FROM=["X-API-Key", again])
    with pytest.raises(ValueError, match="it is read already"):
        AccessTokens(app, SQLAlchemy(app))
