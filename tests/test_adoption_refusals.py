"""What is not adopted: weak secrets, and values that are not allowed."""

import hashlib
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from flask_access_tokens import tokens
from flask_access_tokens.tokens import Digest, Token, TokenRefused
from host import Clock, Host, bearer

HEX = r"[0-9a-f]{32}"
KEY = "ffa14ba65ae45fb0951bebf4b02225b4"


def adopt(host: Host, secret: Any, **values: Any) -> Token:
    with host.app.app_context():
        return tokens.adopt("ann", secret, **{"name": "Old key"} | values)


@pytest.mark.parametrize(
    ("pattern", "text", "reason"),
    [
        (r"\w+", "admin", "5 characters"),
        (r"\w+", "a1" * 20, "only 2 different"),
        (r"\w+", "0123456789abcdef01234567", "at most 96 bits"),
        (r"[0-9a-f-]{36}", "9c5b94b1-35ad-49bb-b118-8e8fc24abf80", "UUID of version 4"),
        (r"[0-9a-f-]{36}", "6ba7b810-9dad-11d1-80b4-00c04fd430c8", "UUID of version 1"),
        (r".+", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhbm4ifQ.c2lnbmF0dXJl", "JSON Web Token"),
        (r".+", "ewogImFsZyI6IkhTMjU2In0.eyJzdWIiOiJhbm4ifQ.c2lnbmF0dXJl", "JSON Web Token"),
        (
            r".+",
            "eyJhbGciOiJkaXIiLCJlbmMiOiJBMTI4R0NNIn0..48V1_ALb6US04U3b.5eym8TW_c8SuK0ltJ3rpYIzOeDQz7TALvtu6UG9oMo4vpzs9t"
            "X_EFShS8iB7j6ji.XFBoMYUZodetZdvTiFvSkQ",
            "JSON Web Token",
        ),
        (HEX, "ffa14ba65ae45fb0951bebf4b02225b49e6035f3", "ACCESS_TOKENS_ADOPTED does not match it"),
        (r".+", "a secret with blanks in it 0123456789", "Its client needs a new token"),
        (r".+", "it,has'commas,and'quotes,0123456789", "Its client needs a new token"),
        (None, "9b2f6c1ed07a4853b6e41fa2c5d8039e", "ACCESS_TOKENS_ADOPTED is not set"),
        (None, Digest("sha256", hashlib.sha256(b"x").hexdigest()), "ACCESS_TOKENS_ADOPTED is not set"),
    ],
)
def test_a_weak_secret_is_refused_with_the_reason(host: Host, pattern: str | None, text: Any, reason: str) -> None:
    host.app.config["ACCESS_TOKENS_ADOPTED"] = pattern
    with pytest.raises(TokenRefused) as refused:
        adopt(host, text)
    assert reason in str(refused.value)
    assert str(text) not in str(refused.value)
    assert refused.value.field == "secret"
    assert host.rows() == []


def test_a_random_uuid_is_adopted_where_it_is_allowed(host: Host) -> None:
    host.app.config["ACCESS_TOKENS_ADOPTED"] = r"[0-9a-f-]{36}"
    adopt(host, "9c5b94b1-35ad-49bb-b118-8e8fc24abf80", allow_uuid4=True)
    assert host.client().get("/api", headers=bearer("9c5b94b1-35ad-49bb-b118-8e8fc24abf80")).status_code == 200


NOW = datetime(2031, 5, 6, 7, 8, 9, 123456, tzinfo=UTC)
"""The time of the clock of the tests."""


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("created_at", datetime(2030, 1, 1), "is not an aware datetime"),
        ("created_at", NOW + timedelta(microseconds=1), "in the future"),
        ("created_at", datetime(1969, 12, 31, tzinfo=UTC), "before 1970"),
        ("created_at", datetime.min.replace(tzinfo=timezone(timedelta(hours=1))), "before 1970"),
        ("created_at", "2030-01-01", "is not an aware datetime"),
        ("last_used_at", NOW + timedelta(days=1), "in the future"),
        ("expires_at", NOW, "has already expired"),
        ("expires_at", datetime(2032, 1, 1), "is not an aware datetime"),
        ("expires_at", datetime.max.replace(tzinfo=UTC), "after 9998"),
        ("expires_at", datetime.max.replace(tzinfo=timezone(timedelta(hours=-5))), "after 9998"),
        ("expires_at", NOW + timedelta(days=90, microseconds=1), "later than 90 days"),
        ("name", "", "Enter a name"),
        ("description", "two\nlines", "Use one line"),
        ("scopes", ["all"], "does not declare the scope 'all'"),
    ],
)
def test_a_value_that_is_not_allowed_stores_nothing(
    host: Host, clock: Clock, field: str, value: Any, reason: str
) -> None:
    host.app.config.update(ACCESS_TOKENS_ADOPTED=HEX, ACCESS_TOKENS_MAX_LIFETIME_DAYS=90)
    with pytest.raises(TokenRefused, match=reason) as refused:
        adopt(host, KEY, **{field: value})
    assert refused.value.field == field
    assert host.rows() == []


@pytest.mark.parametrize("wrong", [None, 7, b"0" * 32])
def test_a_secret_is_text_or_a_digest(host: Host, wrong: Any) -> None:
    with pytest.raises(ValueError, match="A secret is a string or a Digest"):
        adopt(host, wrong)


@pytest.mark.parametrize(
    ("algorithm", "digits"), [("sha256", "0" * 63), ("sha512", "0" * 64), ("md5", "0" * 32), ("sha256", "g" * 64)]
)
def test_a_digest_has_its_algorithm_and_length(algorithm: str, digits: str) -> None:
    with pytest.raises(ValueError, match="digest is") as error:
        Digest(algorithm, digits)
    assert digits not in str(error.value)


def test_a_digest_is_read_in_any_case_and_never_shown() -> None:
    digest = Digest("sha256", "AB" * 32)
    assert (digest.hexadecimal, repr(digest)) == ("ab" * 32, "Digest(algorithm='sha256')")
