"""The endpoints for gateways and services: verify, and introspection in the order of RFC 7662."""

from datetime import timedelta
from typing import Any

import pytest

from flask_access_tokens import tokens
from host import Clock, Host, bearer
from programs import INTROSPECT, VERIFY, used
from refusals import BARE, FORGED, INVALID, assert_refused


def verify(host: Host, secret: str, query: str = "") -> Any:
    return host.client().get(f"{VERIFY}?{query}", headers=bearer(secret))


def introspect(host: Host, secret: str, service: str | None = None) -> Any:
    """The answer to a service that asks about a secret."""
    service = service or host.generate("service", scopes=["introspect"]).secret
    return host.client().post(INTROSPECT, headers=bearer(service), data={"token": secret})


def test_verify_gives_a_gateway_the_owner_the_token_id_and_the_scopes(stored_open_host: Host) -> None:
    host = stored_open_host
    new = host.generate("ann", scopes=["read", "write"])
    with used(host) as ids:
        answer = verify(host, new.secret, "scope=read")
    assert answer.status_code == 200
    assert answer.headers["X-Access-Token-Owner"] == "ann"
    assert answer.headers["X-Access-Token-ID"] == answer.json["id"] == str(new.token.id)
    assert answer.headers["X-Access-Token-Scopes"] == "read write"
    assert ids == [new.token.id]
    assert verify(host, new.secret).json["last_used_at"] is not None


def test_verify_encodes_what_a_header_could_not_carry(open_host: Host) -> None:
    open_host.app.config["ACCESS_TOKENS_SCOPES"] = {"50%": "Half", "a/b:c": "Some"}
    secret = open_host.generate("Änn 100% <ann@example.org>", scopes=["50%", "a/b:c"]).secret
    answer = verify(open_host, secret)
    assert answer.headers["X-Access-Token-Owner"] == "%C3%84nn%20100%25%20<ann@example.org>"
    assert answer.headers["X-Access-Token-Scopes"] == "50%25 a/b:c"
    assert verify(open_host, open_host.generate("ann").secret).headers["X-Access-Token-Scopes"] == ""


@pytest.mark.parametrize("query", ["scope=read+write", "scope=read&scope=write", "scope=read+write&scope=read"])
@pytest.mark.case("R4")
def test_verify_needs_every_scope_of_the_query(open_host: Host, query: str) -> None:
    assert verify(open_host, open_host.generate(scopes=["read", "write"]).secret, query).status_code == 200
    description = "The access token lacks the scope: write"
    assert_refused(
        verify(open_host, open_host.generate(scopes=["read"]).secret, query),
        403,
        f'Bearer realm="api", error="insufficient_scope", error_description="{description}", scope="read write"',
    )


@pytest.mark.parametrize(
    "query", ["scope=", "scope=read++write", "scope=+read", 'scope="', "scope=%C3%A4", "scope=a%0D%0Ab"]
)
def test_verify_refuses_what_is_no_scope_before_it_gets_into_a_challenge(open_host: Host, query: str) -> None:
    with open_host.statements() as seen:
        answer = verify(open_host, FORGED, query)
    assert (answer.status_code, answer.json["error"], seen) == (400, "invalid_request", [])
    assert "WWW-Authenticate" not in answer.headers


def test_rfc_7662_2_1_a_service_needs_a_token_of_its_own_with_the_scope(open_host: Host) -> None:
    asked = open_host.generate("ann").secret
    with open_host.statements() as seen:
        assert_refused(open_host.client().post(INTROSPECT, data={"token": asked}), 401, BARE)
    assert seen == []
    assert_refused(introspect(open_host, asked, FORGED), 401, INVALID)
    poor = introspect(open_host, asked, open_host.generate("service", scopes=["read"]).secret)
    assert (poor.status_code, poor.json["error"]) == (403, "insufficient_scope")


@pytest.mark.parametrize("data", [{}, {"token": ""}, {"token": ["a", "b"]}, {"token_type_hint": "access_token"}])
def test_rfc_7662_2_1_anything_but_one_token_in_a_form_is_a_bad_request(open_host: Host, data: Any) -> None:
    header = bearer(open_host.generate(scopes=["introspect"]).secret)
    answer = open_host.client().post(INTROSPECT, data=data, headers=header)
    assert (answer.status_code, answer.json["error"]) == (400, "invalid_request")
    query = open_host.client().post(f"{INTROSPECT}?token={FORGED}", headers=header)
    assert query.status_code == 400


def test_rfc_7662_2_2_an_active_token_is_described(stored_open_host: Host, clock: Clock) -> None:
    host = stored_open_host
    new = host.generate("ann", scopes=["read", "write"], lifetime_days=1)
    answer = introspect(host, new.secret)
    moment = int(new.token.created_at.timestamp())
    assert answer.json == {
        "active": True,
        "scope": "read write",
        "token_type": "Bearer",
        "sub": "ann",
        "jti": str(new.token.id),
        "iat": moment,
        "exp": moment + 24 * 60 * 60,
    }
    assert (answer.content_type, answer.headers["Cache-Control"]) == ("application/json", "no-store")


def test_rfc_7662_2_2_what_a_token_does_not_have_is_left_out(open_host: Host) -> None:
    answer = introspect(open_host, open_host.generate("ann", lifetime_days=-1).secret)
    assert set(answer.json) == {"active", "token_type", "sub", "jti", "iat"}


def test_rfc_7662_2_2_the_scopes_are_those_in_effect(open_host: Host) -> None:
    new = open_host.generate("ann", scopes=["read", "write"])
    open_host.access_tokens.scopes_loader(lambda owner_id: ["write"] if owner_id == "ann" else ["introspect"])
    assert introspect(open_host, new.secret).json["scope"] == "write"


def test_rfc_7662_2_2_everything_that_is_refused_is_inactive_and_nothing_more(
    stored_open_host: Host, clock: Clock
) -> None:
    host = stored_open_host
    expired, deleted, replaced, gone, off, good = (
        host.generate(owner, lifetime_days=days)
        for owner, days in (("ann", 1), ("ann", 9), ("ann", 9), ("gone", 9), ("off", 9), ("ann", 9))
    )
    with host.app.app_context():
        tokens.delete("ann", deleted.token.id)
        tokens.rotate("ann", replaced.token.id, overlap_hours=1)
    clock.moment += timedelta(days=1)
    host.access_tokens.owner_loader(lambda owner_id: owner_id != "gone")
    host.app.config["ACCESS_TOKENS_ENABLED"] = lambda owner_id: owner_id != "off"
    refused = [one.secret for one in (expired, deleted, replaced, gone, off)]
    with used(host) as ids:
        for text in [*refused, FORGED, "x", f"Bearer {good.secret}", "pat_é"]:
            answer = introspect(host, text)
            assert (answer.status_code, answer.data) == (200, b'{"active":false}\n')
    assert not {one.token.id for one in (expired, deleted, replaced, gone, off)} & set(ids)
    assert introspect(host, good.secret).json["active"] is True


def test_introspection_counts_as_a_use_of_both_tokens(stored_open_host: Host) -> None:
    host = stored_open_host
    asked, service = host.generate("ann"), host.generate("service", scopes=["introspect"])
    with used(host) as ids:
        introspect(host, asked.secret, service.secret)
    assert ids == [service.token.id, asked.token.id]
    assert all(row["last_used_at"] is not None for row in host.rows())


def test_the_address_of_the_service_is_not_taken_for_that_of_the_program(open_host: Host) -> None:
    open_host.app.config["ACCESS_TOKENS_LAST_USED_FROM"] = True
    asked, service = open_host.generate("ann"), open_host.generate("service", scopes=["introspect"])
    introspect(open_host, asked.secret, service.secret)
    origins = {row["owner_id"]: row["last_used_from"] for row in open_host.rows()}
    assert origins == {"ann": None, "service": origins["service"]}
    assert origins["service"].startswith("127.0.0.1")


def test_a_service_may_ask_about_its_own_token(open_host: Host) -> None:
    service = open_host.generate("service", scopes=["introspect"])
    assert introspect(open_host, service.secret, service.secret).json["jti"] == str(service.token.id)
