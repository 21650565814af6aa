"""Secrets: how they are generated, recognized and digested.

This module imports nothing of the package, so that it can be audited alone.
"""

import hmac
import re
import secrets
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import sha256, sha512
from typing import BinaryIO
from zlib import crc32

from itsdangerous import Signer

ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
BODY_LENGTH = 43
"""Base62 characters that hold 256 bits."""
CHECKSUM_LENGTH = 6
"""Base62 characters that hold a CRC-32."""
HINT_TAIL = 4
"""Characters of a secret at the end of its hint."""
MAX_PREFIX_LENGTH = 32
MAX_LENGTH = 1024
"""Characters. No credential is longer, an adopted one included."""

UNKEYED = "sha256"
ADOPTED_SHA512 = "sha512"
"""The scheme of a row that holds the SHA-256 digest of the SHA-512 digest, in hexadecimal, of an adopted secret."""

_KEYED = "hmac-sha256:"
_VISIBLE = re.compile(r"[!#-&(-+\--\[\]-~]+", re.ASCII)
_HEXADECIMAL = re.compile(r"[0-9a-f]+", re.ASCII)
_DIGEST_LENGTHS = {UNKEYED: 64, ADOPTED_SHA512: 128}
_REST = rf"_[0-9A-Za-z]{{{BODY_LENGTH + CHECKSUM_LENGTH}}}"
_REST_IN_TEXT = re.compile(_REST)
_BETWEEN_WORDS = re.compile(r"%[0-9A-Fa-f]{2}|\\(?:u[0-9A-Fa-f]{4}|.)?|[^0-9A-Za-z_|~\\%-]+|%", re.ASCII | re.DOTALL)
"""What separates words in a text: escapes of URLs and of JSON, and most other characters."""
_JOINED_WORD = re.compile(r"[0-9A-Za-z]+", re.ASCII)
_LONG_RUN = re.compile(rf"(?<![\w.~+/-])[\w.~+/-]{{{MAX_LENGTH + 1},}}", re.ASCII)
"""No secret stands apart in it."""
_SHORTEST_WORD = 12
"""Characters. Shorter ones are not worth the time, and found where they match as a part of the text."""
_BLOCK = 2**20
"""Bytes of a text that are read at once."""
_PREFIX = re.compile(r"[A-Za-z][A-Za-z0-9]*(?:_[A-Za-z0-9]+)*", re.ASCII)


class Secret:
    """The text that a client carries, masked in its repr so that crash reports cannot show it.

    ``str(secret)`` is the text itself.

    :param adopted: whether it has the form of the adopted ones, and not our own.
    """

    __slots__ = ("__text", "adopted")

    def __init__(self, text: str, *, adopted: bool = False) -> None:
        self.__text = text
        self.adopted = adopted

    def __str__(self) -> str:
        return self.__text

    def __repr__(self) -> str:
        return "<Secret>"

    def __reduce__(self) -> str:
        raise TypeError("A secret cannot be pickled.")


@dataclass(frozen=True, slots=True)
class Digest:
    """The digest that an earlier system stored of a secret, to be adopted in place of the secret.

    :param algorithm: ``"sha256"`` or ``"sha512"``, of the secret without a salt.
    :param hexadecimal: the digest in hexadecimal.
    :raises ValueError: for anything else.
    """

    algorithm: str
    hexadecimal: str = field(repr=False)

    def __post_init__(self) -> None:
        length = _DIGEST_LENGTHS.get(self.algorithm)
        if length is None:
            raise ValueError('The algorithm of a digest is "sha256" or "sha512"; no other can be adopted.')
        lower = self.hexadecimal.lower() if isinstance(self.hexadecimal, str) else ""
        if len(lower) != length or not _HEXADECIMAL.fullmatch(lower):
            raise ValueError(f"A {self.algorithm} digest is {length} hexadecimal digits.")
        object.__setattr__(self, "hexadecimal", lower)

    @property
    def stored(self) -> str:
        """What the row of a token holds of it."""
        return sha256(self.hexadecimal.encode()).hexdigest() if self.algorithm == ADOPTED_SHA512 else self.hexadecimal


def validate_prefixes(configured: object) -> tuple[str, ...]:
    """Return the configured prefixes, the newest first.

    :param configured: one prefix or a list of them.
    :raises ValueError: where one cannot be used.
    """
    prefixes = (configured,) if isinstance(configured, str) else configured
    if not isinstance(prefixes, (list, tuple)) or not prefixes:
        raise ValueError("ACCESS_TOKENS_PREFIX must be a string or a list of strings, newest first.")
    for prefix in prefixes:
        if not isinstance(prefix, str) or len(prefix) > MAX_PREFIX_LENGTH or not _PREFIX.fullmatch(prefix):
            raise ValueError(
                f"ACCESS_TOKENS_PREFIX is {prefix!r}. Set 1 to {MAX_PREFIX_LENGTH} ASCII letters and digits, a letter"
                " first, with no blanks. Single underscores may join words, such as 'my_app'; the underscore after it"
                " is added."
            )
    return tuple(prefixes)


def validate_adopted(configured: object) -> re.Pattern[str] | None:
    """Return the pattern of adopted secrets; None where there is none.

    :raises ValueError: where it is not a regular expression, or matches the empty string.
    """
    if configured is None:
        return None
    try:
        pattern = re.compile(configured, re.ASCII) if isinstance(configured, str) else None
    except (re.error, ValueError, OverflowError) as error:  # the latter for flags and for repetitions
        raise ValueError(f"ACCESS_TOKENS_ADOPTED is not a regular expression: {error}.") from None
    if pattern is None or pattern.fullmatch(""):
        raise ValueError(
            f"ACCESS_TOKENS_ADOPTED is {configured!r}. Set a regular expression that matches the secrets of the"
            ' earlier system as a whole, and little else, such as r"[0-9a-f]{32}".'
        )
    return pattern


def generate(prefix: str) -> Secret:
    """Return a new secret: the prefix, 256 random bits and a checksum of both."""
    body = "".join(secrets.choice(ALPHABET) for _ in range(BODY_LENGTH))
    return Secret(f"{prefix}_{body}{_checksum(f'{prefix}_{body}')}")


def is_well_formed(text: str, prefixes: Collection[str]) -> bool:
    """Return whether text has the form of a secret: one of the prefixes, the length and the checksum."""
    prefix, _, rest = text.rpartition("_")
    return (
        len(rest) == BODY_LENGTH + CHECKSUM_LENGTH
        and prefix in prefixes
        and rest.isascii()
        and rest.isalnum()
        and _checksum(text[:-CHECKSUM_LENGTH]) == text[-CHECKSUM_LENGTH:]
    )


def recognize(text: str, prefixes: Collection[str], adopted: re.Pattern[str] | None) -> Secret | None:
    """Return a credential as a secret if it has our own form or that of adopted ones; None for any other.

    :param adopted: the pattern of adopted secrets. If it has a group ``secret``, that part is the secret.
    """
    if is_well_formed(text, prefixes):
        return Secret(text)
    match = adopted.fullmatch(text) if adopted is not None and _VISIBLE.fullmatch(text) else None
    if match is None:
        return None
    return Secret(match.groupdict().get("secret") or text, adopted=True)


def can_be_sent(text: str) -> bool:
    """Return whether a credential may have these characters: visible ASCII without comma, quotes and backslash."""
    return _VISIBLE.fullmatch(text) is not None


def iter_secrets(
    stream: BinaryIO, prefixes: Collection[str], adopted: re.Pattern[str] | None = None
) -> Iterator[Secret]:
    """Iterate over the secrets in a text of any length, each once, in the order in which they first appear.

    It reads bytes, so the encoding matters little: NUL bytes are skipped, which makes text in UTF-16 and UTF-32
    readable. Other characters may directly precede and follow a secret; the checksum decides. It uses memory for one
    block, and 32 bytes for each secret.

    :param stream: the text; it need be neither seekable nor valid in any encoding.
    :param adopted: the pattern of adopted secrets; whatever it matches is one, because they have no checksum.
    """
    # At least one character less than the longest secret.
    overlap = MAX_LENGTH if adopted is not None else max(map(len, prefixes)) + BODY_LENGTH + CHECKSUM_LENGTH
    seen: set[bytes] = set()
    rest: Secret | None = Secret("")
    while rest is not None:
        found, rest = _next_secrets(stream, prefixes, adopted, rest, overlap)
        for each in found:
            digest = sha256(str(each).encode()).digest()
            if digest not in seen:
                seen.add(digest)
                yield each


def _next_secrets(
    stream: BinaryIO, prefixes: Collection[str], adopted: re.Pattern[str] | None, rest: Secret, overlap: int
) -> tuple[list[Secret], Secret | None]:
    """Return the secrets in the next block of a stream, and its end, where one may begin; None after the last block.

    :param rest: the end of the block before, masked, so that no frame holds a part of the text while others run.
    """
    block = stream.read(_BLOCK)
    if not block:
        return [], None
    text = str(rest) + block.decode("latin-1").replace("\0", "")
    # One prefix may end with another, such as "my_pat" with "pat".
    found = [
        Secret(text[match.start() - len(prefix) : match.end()])
        for match in _REST_IN_TEXT.finditer(text)
        for prefix in prefixes
        if text.endswith(prefix, 0, match.start())
    ]
    found = [each for each in found if is_well_formed(str(each), prefixes)]
    if adopted is not None:
        # As words, which the pattern has to match as a whole, and wherever else it matches.
        words = _BETWEEN_WORDS.split(text)
        words += [
            part for word in words for part in (*word.split("|"), word.strip("_|~-"), *_JOINED_WORD.findall(word))
        ]
        words += _VISIBLE.findall(text)
        texts = [word for word in dict.fromkeys(words) if _SHORTEST_WORD <= len(word) <= MAX_LENGTH]
        # In short parts: for a long one, a pattern with an open repetition, such as "[a-z]+-", takes quadratic time.
        texts += [
            match[0]
            for run in _VISIBLE.findall(_LONG_RUN.sub(" ", text))
            for start in range(0, len(run), MAX_LENGTH)
            for match in adopted.finditer(run[start : start + 2 * MAX_LENGTH])
            if len(match[0]) <= MAX_LENGTH
        ]
        found += [each for each in (recognize(one, prefixes, adopted) for one in texts) if each is not None]
    return found, Secret(text[-overlap:])


def hint(secret: Secret | Digest) -> str:
    """Return the part that may be shown: the prefix, if any, an ellipsis and the last 4 characters.

    For a digest, which reveals nothing of the secret, it is the algorithm and the last 4 digits.
    """
    if isinstance(secret, Digest):
        return f"{secret.algorithm}…{secret.hexadecimal[-HINT_TAIL:]}"
    text = str(secret)
    return f"…{text[-HINT_TAIL:]}" if secret.adopted else f"{text.rpartition('_')[0]}_…{text[-HINT_TAIL:]}"


def hints_ending_in(text: str, prefixes: Iterable[str]) -> list[str]:
    """Return the hints that a search means: the one it spells out, or all that may have its 4 characters.

    :param prefixes: the prefixes of secrets; adopted secrets and digests have none.
    """
    if len(text) != HINT_TAIL:
        return [text.replace("...", "…")]
    return [f"{beginning}…{text}" for beginning in (*(f"{each}_" for each in prefixes), "", *_DIGEST_LENGTHS)]


def pattern(prefixes: Iterable[str]) -> str:
    """Return a regular expression for secret scanners; its first group is the secret.

    It works in RE2 and Go, PCRE and Python. On the left, anything may precede a secret: a word boundary would miss
    those after an escape such as ``\\n`` or ``%3D``. On the right, a longer run of letters and digits is no secret.
    """
    return rf"({unbounded_pattern(prefixes)})(?:\b|[^0-9A-Za-z])"


def unbounded_pattern(prefixes: Iterable[str]) -> str:
    """Return a regular expression for secrets alone, which leaves to the caller what may precede and follow them."""
    return f"(?:{'|'.join(prefixes)}){_REST}"


def candidate_digests(secret: Secret | str, peppers: Iterable[str | bytes]) -> dict[str, str]:
    """Return every digest that the row of a secret may carry, by scheme; the first is the one to store.

    One round of SHA-256 is enough, because 256-bit random numbers cannot be enumerated. The unkeyed digest comes after
    the keyed ones, so that setting the first pepper loses no token. For an adopted secret, the digest of its SHA-512
    digest comes last.
    """
    keys = [_key(pepper) for pepper in peppers]  # first: where one is bad, no frame holds the text
    text = str(secret).encode()
    digests = {_KEYED + name: hmac.digest(key, text, "sha256").hex() for name, key in keys}
    digests[UNKEYED] = sha256(text).hexdigest()
    if isinstance(secret, Secret) and secret.adopted:
        digests[ADOPTED_SHA512] = Digest(ADOPTED_SHA512, sha512(text).hexdigest()).stored
    return digests


def schemes(peppers: Iterable[str | bytes]) -> list[str]:
    """Return the schemes under which a row is accepted; the first is the one to store."""
    return [*(_KEYED + _key(pepper)[0] for pepper in peppers), UNKEYED, ADOPTED_SHA512]


@lru_cache(maxsize=64)
def _key(pepper: str | bytes) -> tuple[str, bytes]:
    """Return a short name for a pepper and the key derived from it.

    The name is part of the row's scheme, so that rows under a pepper that is gone can be counted.
    """
    key = Signer(pepper, salt="flask-access-tokens.digest", key_derivation="hmac", digest_method=sha256).derive_key()
    return sha256(b"name of " + key).hexdigest()[:12], key


def _checksum(text: str) -> str:
    number = crc32(text.encode())
    digits = ""
    for _ in range(CHECKSUM_LENGTH):
        number, digit = divmod(number, 62)
        digits = ALPHABET[digit] + digits
    return digits
