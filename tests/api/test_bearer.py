"""Parsing of the Authorization header, without an application."""

import time
import tracemalloc

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from flask_access_tokens.api import bearer
from host import short

GOOD = "pat_" + "A" * 49

OTHER_SCHEMES = [
    None,
    "",
    "Basic Zm9vOmJhcg==",
    "Digest realm=bearer",
    f"Token {GOOD}",
    "Negotiate x",
    f"Bearers {GOOD}",
    f"Bearer-x {GOOD}",
    f"Bearer.{GOOD}",
    f"xBearer {GOOD}",
    f"Basic bearer {GOOD}",
    f"X-Bearer {GOOD}",
    GOOD,
    f"Bearer_{GOOD}",
    f"Bearer{GOOD}",
    f"\u212aearer {GOOD}",
]
MALFORMED = [
    "Bearer",
    "Bearer ",
    "Bearer    ",
    "Bearer\t" + GOOD,
    f"Bearer {GOOD} x",
    f"Bearer {GOOD}\t",
    f"Bearer {GOOD} ",
    f"Bearer {GOOD}\n",
    f"Bearer {GOOD}\r\nX: y",
    f"Bearer {GOOD}\0",
    f"Bearer \0{GOOD}",
    f"Bearer: {GOOD}",
    f"Bearer\xa0{GOOD}",
    f"Bearer\x85{GOOD}",
    f'Bearer "{GOOD}"',
    f'Bearer realm="x", {GOOD}',
    f"Bearer {GOOD},",
    f" Bearer {GOOD}",
    f"Bearer ,{GOOD}",
    f"Bearer token={GOOD}",
    "Bearer ＡＢＣ",
    f"Basic x, Bearer {GOOD}",
]


@pytest.mark.case("A02", "A03", "A04")
@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER", "bEaReR"])
@pytest.mark.parametrize("blanks", [1, 2, 7])
def test_a_credential_is_read_after_any_spelling_and_any_blanks(scheme: str, blanks: int) -> None:
    value = f"{scheme}{' ' * blanks}{GOOD}"
    assert bearer.read_credential(value) == GOOD
    assert bearer.count_credentials(value) == 1


@pytest.mark.case("A06")
@pytest.mark.parametrize(
    "value",
    OTHER_SCHEMES,
)
def test_another_scheme_carries_no_bearer_credential(value: str | None) -> None:
    assert bearer.count_credentials(value) == 0
    assert bearer.read_credential(value) is None


@pytest.mark.case("B01", "B03", "B06", "B10")
@pytest.mark.parametrize(
    "value",
    MALFORMED,
)
def test_a_malformed_bearer_value_counts_but_yields_no_credential(value: str) -> None:
    assert bearer.count_credentials(value) == 1
    assert bearer.read_credential(value) is None


@pytest.mark.case("B04", "B06")
@pytest.mark.parametrize(
    "value", [f"Bearer {GOOD}, Bearer {GOOD}", f"Bearer {GOOD},Bearer {GOOD}", "Bearer,bearer", "bearer a,\tBEARER b"]
)
def test_two_credentials_are_counted(value: str) -> None:
    assert bearer.count_credentials(value) == 2
    assert bearer.read_credential(value) is None


@settings(max_examples=500)
@given(st.text())
@example("Bearer " + "," * 1000)
def test_only_one_word_after_one_scheme_is_a_credential(value: str) -> None:
    found = bearer.read_credential(value)
    if found is not None:
        assert bearer.count_credentials(value) == 1
        assert found.isascii()
        assert found.replace("_", "a").isalnum()
        assert value.endswith(found)


@pytest.mark.case("B13", "B25")
@pytest.mark.parametrize("unit", ["a", " ", ",", ", ", "Bearer ", ",Bearer", "bearer\t,", "\0"], ids=short)
def test_ten_megabytes_take_no_extra_time_or_memory(unit: str) -> None:
    value = "Bearer " + unit * (10_000_000 // len(unit))
    tracemalloc.start()
    start = time.perf_counter()
    bearer.read_credential(value)
    bearer.count_credentials(value)
    spent = time.perf_counter() - start
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert spent < 0.05
    assert peak < 100_000


def test_a_header_value_of_the_maximum_length_is_read_and_a_longer_one_is_not() -> None:
    longest = "a" * (bearer.MAX_HEADER_LENGTH - len("Bearer "))
    assert bearer.read_credential(f"Bearer {longest}") == longest
    assert bearer.read_credential(f"Bearer {longest}a") is None
