"""The secret: made, recognised and digested here, and nowhere else.

This room imports nothing of its own house, so it can be audited alone.
"""

import hmac
import re
import secrets
from collections.abc import Collection, Iterable
from functools import lru_cache
from hashlib import sha256
from zlib import crc32

from itsdangerous import Signer

ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
BODY, CHECKSUM = 43, 6
"""43 base62 characters hold 256 bits; 6 hold a CRC-32."""

PLAIN = "sha256"
_KEYED = "hmac-sha256:"
_PREFIX = re.compile(r"[A-Za-z][A-Za-z0-9]*(?:_[A-Za-z0-9]+)*", re.ASCII)
MAX_PREFIX = 32


class Secret:
    """The text a client carries, masked in every repr, so that a crash report cannot show it.

    ``str(secret)`` is the text itself.
    """

    __slots__ = ("__text",)

    def __init__(self, text: str) -> None:
        self.__text = text

    def __str__(self) -> str:
        return self.__text

    def __repr__(self) -> str:
        return "<Secret>"

    def __reduce__(self) -> str:
        raise TypeError("A secret is not pickled.")


def prefixes(configured: object) -> tuple[str, ...]:
    """The prefixes a host configured, newest first; a ``ValueError`` says what is wrong with them."""
    listed = (configured,) if isinstance(configured, str) else configured
    if not isinstance(listed, (list, tuple)) or not listed:
        raise ValueError("ACCESS_TOKENS_PREFIX must be a text or a list of texts, newest first.")
    for prefix in listed:
        if not isinstance(prefix, str) or len(prefix) > MAX_PREFIX or not _PREFIX.fullmatch(prefix):
            raise ValueError(
                f"ACCESS_TOKENS_PREFIX {prefix!r} cannot be used: take up to {MAX_PREFIX} ASCII letters and digits,"
                " a letter first; words may be joined by one underscore."
            )
    return tuple(listed)


def make(prefix: str) -> Secret:
    """A new secret: the prefix, 256 random bits and a checksum over both."""
    body = "".join(secrets.choice(ALPHABET) for _ in range(BODY))
    return Secret(f"{prefix}_{body}{_checksum(f'{prefix}_{body}')}")


def recognise(text: str, accepted: Collection[str]) -> bool:
    """Whether a text has the form of a secret: one of the prefixes, the length and the checksum."""
    prefix, _, rest = text.rpartition("_")
    return (
        len(rest) == BODY + CHECKSUM
        and prefix in accepted
        and rest.isascii()
        and rest.isalnum()
        and _checksum(text[:-CHECKSUM]) == text[-CHECKSUM:]
    )


def hint(secret: Secret) -> str:
    """The part of a secret that may be shown: the prefix, an ellipsis and the last 4 characters."""
    text = str(secret)
    return f"{text.rpartition('_')[0]}_…{text[-4:]}"


def pattern(accepted: Iterable[str]) -> str:
    """A regular expression that finds secrets with these prefixes in a text, for secret scanners."""
    return rf"\b(?:{'|'.join(accepted)})_[0-9A-Za-z]{{{BODY + CHECKSUM}}}\b"


def digests(secret: Secret | str, peppers: Iterable[str | bytes]) -> dict[str, str]:
    """Every digest a row of this secret may carry, by scheme; the first is the one to store.

    One round of SHA-256 is enough: nobody can list 256-bit numbers.
    The unkeyed digest stands last, so that the first pepper loses no token.
    """
    keys = [_key(pepper) for pepper in peppers]  # first: where one is bad, no frame holds the text
    text = str(secret).encode()
    found = {_KEYED + name: hmac.digest(key, text, "sha256").hex() for name, key in keys}
    found[PLAIN] = sha256(text).hexdigest()
    return found


def schemes(peppers: Iterable[str | bytes]) -> list[str]:
    """The schemes under which a row can be accepted, the one to store first."""
    return [*(_KEYED + _key(pepper)[0] for pepper in peppers), PLAIN]


@lru_cache(maxsize=64)
def _key(pepper: str | bytes) -> tuple[str, bytes]:
    """A pepper's short name and the key derived from it.

    The name stands in the row's scheme, so that rows under a lost pepper can be counted.
    """
    key = Signer(pepper, salt="flask-access-tokens.digest", key_derivation="hmac", digest_method=sha256).derive_key()
    return sha256(b"name of " + key).hexdigest()[:12], key


def _checksum(text: str) -> str:
    number = crc32(text.encode())
    digits = ""
    for _ in range(CHECKSUM):
        number, digit = divmod(number, 62)
        digits = ALPHABET[digit] + digits
    return digits
