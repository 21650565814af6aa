"""The secret, without an application."""

import io
import pickle
import re
import tracemalloc
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flask_access_tokens import secret
from flask_access_tokens.secret import ALPHABET, Secret

WORD = st.text(ALPHABET, min_size=1, max_size=8)
PREFIXES = st.builds(
    lambda letter, rest, words: "_".join([letter + rest, *words])[: secret.MAX_PREFIX_LENGTH].rstrip("_"),
    st.sampled_from(ALPHABET[10:]),
    st.text(ALPHABET, max_size=8),
    st.lists(WORD, max_size=3),
)


@given(PREFIXES)
def test_a_secret_generated_with_any_prefix_is_recognized(prefix: str) -> None:
    accepted = secret.validate_prefixes(prefix)
    text = str(secret.generate(prefix))
    assert secret.is_well_formed(text, accepted)
    assert re.fullmatch(secret.pattern(accepted), text)


@given(PREFIXES, PREFIXES)
def test_a_secret_of_another_prefix_is_not_recognized(mine: str, other: str) -> None:
    assert secret.is_well_formed(str(secret.generate(other)), (mine,)) is (mine == other)


@pytest.mark.case("B14")
def test_every_single_wrong_character_is_detected_by_the_checksum() -> None:
    text = str(secret.generate("pat"))
    for place in range(len("pat_"), len(text)):
        for character in set(ALPHABET) - {text[place]}:
            assert not secret.is_well_formed(text[:place] + character + text[place + 1 :], ("pat",))


def test_two_swapped_adjacent_characters_are_detected() -> None:
    text = str(secret.generate("pat"))
    for place in range(len("pat_"), len(text) - 1):
        turned = text[:place] + text[place + 1] + text[place] + text[place + 2 :]
        assert turned == text or not secret.is_well_formed(turned, ("pat",))


@given(st.text(max_size=80))
def test_no_text_breaks_the_recognition(text: str) -> None:
    assert secret.is_well_formed(text, ("pat",)) is False


@given(st.text(min_size=49, max_size=49))
def test_nothing_but_base62_has_a_right_checksum(rest: str) -> None:
    assert secret.is_well_formed(f"pat_{rest}", ("pat",)) is False


def test_a_checksum_that_is_padded_with_zeros_is_recognized() -> None:
    padded = next(text for text in (str(secret.generate("pat")) for _ in range(5000)) if text[-6] == "0")
    assert secret.is_well_formed(padded, ("pat",))


def test_the_checksum_is_the_documented_one() -> None:
    """The values of the first release, which external secret scanners compute as well."""
    assert secret.is_well_formed("pat_" + "0" * 43 + "2GjXJC", ("pat",))


def test_every_character_of_a_body_is_drawn_from_all_of_the_alphabet() -> None:
    drawn = Counter("".join(str(secret.generate("pat"))[4:47] for _ in range(2000)))
    assert set(drawn) == set(ALPHABET)
    expected = 2000 * 43 / 62
    assert all(0.8 * expected < count < 1.2 * expected for count in drawn.values())


def test_a_hint_is_the_prefix_an_ellipsis_and_the_last_four_characters() -> None:
    text = "my_app_" + "A" * 45 + "1234"
    assert secret.hint(Secret(text)) == "my_app_…1234"


@pytest.mark.parametrize(
    "prefix",
    ["", "_", "a_", "_a", "a__b", "1a", "a-b", "a b", "a\n", "ä", "１", "a" * 33, "a.b", 7, None, b"pat"],
)
def test_a_prefix_that_breaks_the_form_is_refused(prefix: object) -> None:
    with pytest.raises(ValueError, match="ACCESS_TOKENS_PREFIX") as error:
        secret.validate_prefixes(["fine", prefix])
    assert str(error.value).startswith(f"ACCESS_TOKENS_PREFIX is {prefix!r}. Set 1 to 32 ASCII letters and digits,")


@pytest.mark.parametrize("configured", [["new", "my_old"], ("new", "my_old")])
def test_prefixes_are_taken_in_the_order_they_are_configured(configured: object) -> None:
    assert secret.validate_prefixes(configured) == ("new", "my_old")


@pytest.mark.parametrize("configured", [[], (), None, 7, {"pat"}])
def test_no_prefix_at_all_is_refused(configured: object) -> None:
    message = "ACCESS_TOKENS_PREFIX must be a string or a list of strings, newest first."
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        secret.validate_prefixes(configured)


def test_the_pattern_finds_secrets_in_a_text_and_nothing_else() -> None:
    found = re.compile(secret.pattern(("new", "my_old")))
    new, old = str(secret.generate("new")), str(secret.generate("my_old"))
    text = f'key="{new}" {old};x{new} \\n{old} _{new}_ 是{old}是 {new}A new_{"a" * 48} other_{"a" * 49}'
    assert found.findall(text) == [new, old, new, old, new, old]


def secrets_in(data: bytes, *prefixes: str) -> list[str]:
    """The secrets in a text."""
    return [str(found) for found in secret.iter_secrets(io.BytesIO(data), prefixes)]


@given(st.binary(max_size=300), st.binary(max_size=300), st.integers(1, 200), st.sampled_from(["pat", "my_pat"]))
def test_a_secret_is_found_between_any_bytes_wherever_they_are_divided_into_blocks(
    before: bytes, after: bytes, block: int, prefix: str
) -> None:
    made = str(secret.generate(prefix))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(secret, "_BLOCK", block)
        assert secrets_in(before + made.encode() + after, "pat", "my_pat") == [made]


@pytest.mark.parametrize(
    "around",
    [
        "{}",
        '"{}"',
        "={}&",
        "%3D{}%26",
        r"\u003d{}",
        r"\n{}\n",
        "x{}x",
        "_{}_",
        "Bearer%20{}",
        "é{}é",
        "pat_{}",
        "{}pat_x",
    ],
)
def test_a_secret_is_found_whatever_it_is_glued_to(around: str) -> None:
    made = str(secret.generate("pat"))
    assert secrets_in(around.format(made).encode(), "pat") == [made]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "latin-1", "cp500"])
def test_a_secret_is_found_in_every_encoding_that_has_the_bytes_of_ascii(encoding: str) -> None:
    made = str(secret.generate("pat"))
    found = secrets_in(f"The secret is {made}, or was.".encode(encoding), "pat")
    assert found == ([] if encoding == "cp500" else [made])


def test_each_secret_is_found_once_in_the_order_of_the_text() -> None:
    first, second = str(secret.generate("pat")), str(secret.generate("my_pat"))
    glued = f"{first}{second}{first}" * 3
    assert secrets_in(f"{glued} {second}".encode(), "pat", "my_pat") == [first, second]
    assert secrets_in(second.encode(), "pat") == []


def test_what_only_looks_like_a_secret_is_not_found() -> None:
    made = str(secret.generate("pat"))
    mistyped = made[:-1] + ("a" if made[-1] != "a" else "b")
    other = str(secret.generate("other"))
    assert secrets_in(f"{mistyped} {made[:-1]} {made[4:]} PAT{made[3:]} {other}".encode(), "pat") == []
    assert secrets_in(b"", "pat") == []


def test_a_long_text_takes_the_memory_of_a_block() -> None:
    made = str(secret.generate("pat")).encode()

    class Log(io.RawIOBase):
        left = 16

        def read(self, size: int = -1) -> bytes:
            self.left -= 1
            return (
                (b"a line of a log\n" * (size // 16))[: size if self.left else 0]
                if self.left > 1
                else made * self.left
            )

    log: Any = Log()
    tracemalloc.start()
    try:
        assert [str(found).encode() for found in secret.iter_secrets(log, ("pat",))] == [made]
        assert tracemalloc.get_traced_memory()[1] < 6 * 2**20
    finally:
        tracemalloc.stop()


@pytest.mark.case("D13")
def test_a_secret_is_masked_wherever_python_prints_it() -> None:
    made = secret.generate("pat")
    body = str(made)[4:]
    for shown in (repr(made), repr([made]), repr({"a": made}), f"{made!r}", str(vars(type(made)))):
        assert body not in shown
    assert repr(made) == "<Secret>"
    with pytest.raises(TypeError, match=r"^A secret cannot be pickled\.$"):
        pickle.dumps(made)
    assert not hasattr(made, "__dict__")


def test_a_digest_is_lower_case_hexadecimal_sha_256() -> None:
    known = secret.candidate_digests("pat_abc", ())
    assert known == {"sha256": "28d38ed101bae184d6a39ab52ee9f7f1d56698cdb256b10670bc37577ccad3d2"}


@pytest.mark.case("G04")
def test_digests_come_newest_first_and_the_unkeyed_one_last() -> None:
    schemes = list(secret.candidate_digests("pat_abc", ("new", "old")))
    assert [*schemes, "sha512"] == secret.schemes(("new", "old"))
    assert schemes[0] == secret.schemes(("new",))[0]
    assert schemes[1] == secret.schemes(("old",))[0]
    assert schemes[2] == "sha256"


def test_a_pepper_gives_the_same_key_as_text_and_as_bytes() -> None:
    assert secret.candidate_digests("pat_abc", ("key",)) == secret.candidate_digests("pat_abc", (b"key",))


def test_a_pepper_s_name_in_the_scheme_does_not_reveal_the_pepper() -> None:
    name = secret.schemes(("a pepper",))[0]
    assert re.fullmatch("hmac-sha256:[0-9a-f]{12}", name)
    assert "a pepper" not in name


def test_a_prefix_may_have_32_characters_and_no_more() -> None:
    assert secret.validate_prefixes("p" * 32) == ("p" * 32,)
    with pytest.raises(ValueError, match="Set 1 to 32"):
        secret.validate_prefixes("p" * 33)
