"""Secrets: how they are generated, recognized and digested.

This module imports nothing of the package, so that it can be audited alone.
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
BODY_LENGTH = 43
"""Base62 characters that hold 256 bits."""
CHECKSUM_LENGTH = 6
"""Base62 characters that hold a CRC-32."""
MAX_PREFIX_LENGTH = 32

UNKEYED = "sha256"
_KEYED = "hmac-sha256:"
_PREFIX = re.compile(r"[A-Za-z][A-Za-z0-9]*(?:_[A-Za-z0-9]+)*", re.ASCII)


class Secret:
    """The text that a client carries, masked in its repr so that crash reports cannot show it.

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
        raise TypeError("A secret cannot be pickled.")


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
                f"ACCESS_TOKENS_PREFIX {prefix!r} cannot be used: set up to {MAX_PREFIX_LENGTH} ASCII letters and"
                " digits that begin with a letter; words may be joined by one underscore."
            )
    return tuple(prefixes)


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


def hint(secret: Secret) -> str:
    """Return the part of a secret that may be shown: the prefix, an ellipsis and the last 4 characters."""
    text = str(secret)
    return f"{text.rpartition('_')[0]}_…{text[-4:]}"


def pattern(prefixes: Iterable[str]) -> str:
    """Return a regular expression for secret scanners that finds secrets with these prefixes."""
    return rf"\b(?:{'|'.join(prefixes)})_[0-9A-Za-z]{{{BODY_LENGTH + CHECKSUM_LENGTH}}}\b"


def candidate_digests(secret: Secret | str, peppers: Iterable[str | bytes]) -> dict[str, str]:
    """Return every digest that the row of a secret may carry, by scheme; the first is the one to store.

    One round of SHA-256 is enough, because 256-bit random numbers cannot be enumerated. The unkeyed digest comes last,
    so that setting the first pepper loses no token.
    """
    keys = [_key(pepper) for pepper in peppers]  # first: where one is bad, no frame holds the text
    text = str(secret).encode()
    digests = {_KEYED + name: hmac.digest(key, text, "sha256").hex() for name, key in keys}
    digests[UNKEYED] = sha256(text).hexdigest()
    return digests


def schemes(peppers: Iterable[str | bytes]) -> list[str]:
    """Return the schemes under which a row is accepted; the first is the one to store."""
    return [*(_KEYED + _key(pepper)[0] for pepper in peppers), UNKEYED]


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
