"""The strength of secrets of earlier systems: which are refused, and that random ones are not."""

import base64
import random
import secrets
import string
import uuid
from collections.abc import Callable

import pytest

from flask_access_tokens.strength import weakness


@pytest.mark.parametrize(
    ("secret", "reason"),
    [
        ("Xk3v9QpL2mN8rT5wZ1a", "19 characters, and needs at least 20"),
        ("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "only 1 different"),
        ("abcabcabcabcabcabcabcabcabcabcabc", "only 3 different characters, and needs at least 8"),
        ("1234123412341234123412341234123412341234", "only 4 different characters, and needs at least 5"),
        ("83921047562839104756839201475", "29 digits. At least 31"),
        ("0f1e2d3c4b5a69788796a5b4", "24 hexadecimal digits. At least 25"),
        ("0F1E2D3C4B5A69788796A5B4", "24 hexadecimal digits. At least 25"),
        ("6ba7b810-9dad-11d1-80b4-00c04fd430c8", "version 1, which can be guessed"),
        ("6BA7B810-9DAD-51D1-80B4-00C04FD430C8", "version 5, which can be guessed"),
        ("9c5b94b1-35ad-49bb-b118-8e8fc24abf80", "version 4"),
        ("{9c5b94b1-35ad-49bb-b118-8e8fc24abf80}", "version 4"),
        ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhbm4iLCJleHAiOjF9.c2lnbmF0dXJl", "JSON Web Token"),
    ],
)
def test_a_weak_secret_has_a_reason_that_does_not_contain_it(secret: str, reason: str) -> None:
    found = weakness(secret)
    assert found is not None
    assert reason in found
    assert secret not in found


def test_only_a_uuid_of_version_4_can_be_allowed() -> None:
    assert weakness(str(uuid.uuid4()), allow_uuid4=True) is None
    assert weakness(str(uuid.uuid1()), allow_uuid4=True) is not None


@pytest.mark.parametrize(
    "make",
    [
        lambda: secrets.token_hex(16),
        lambda: secrets.token_hex(20),
        lambda: secrets.token_hex(32).upper(),
        lambda: secrets.token_urlsafe(16),
        lambda: base64.b64encode(secrets.token_bytes(24)).decode(),
        lambda: "".join(secrets.choice(string.ascii_letters + string.digits) for _ in range(20)),
        lambda: "".join(secrets.choice(string.digits) for _ in range(40)),
        lambda: "sk_live_" + secrets.token_hex(16),
    ],
    ids=["hex 16", "hex 20", "upper hex 32", "urlsafe 16", "base64 24", "base62 20", "digits 40", "prefixed"],
)
def test_random_secrets_are_strong_enough(make: Callable[[], str]) -> None:
    assert [weakness(make()) for _ in range(2_000)] == [None] * 2_000


def test_the_number_of_different_characters_refuses_next_to_no_random_key() -> None:
    chance = random.Random(7)
    keys = (f"{chance.getrandbits(128):032x}" for _ in range(50_000))
    assert [key for key in keys if weakness(key) is not None] == []
