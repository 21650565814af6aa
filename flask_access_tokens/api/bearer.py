"""Reading the ``Authorization`` header strictly (RFC 6750 §2.1, RFC 9110 §11.4).

This module imports nothing of the package, so that it can be audited alone.
"""

import re
from functools import lru_cache

MAX_HEADER_LENGTH = 1024
"""No credential of the extension is longer, so nothing beyond it is read."""

BEARER = ("bearer",)
"""The schemes that are read by default."""

_TCHAR = r"!#$%&'*+.^_`|~0-9A-Za-z-"
_CREDENTIAL = re.compile(r"bearer +([A-Za-z0-9_]+)", re.IGNORECASE | re.ASCII)
_VISIBLE = r"[!#-&(-+\--\[\]-~]+"
"""Visible ASCII characters without comma, quotes and backslash, which separate and quote values."""


def count_credentials(value: str | None, schemes: tuple[str, ...] = BEARER) -> int:
    """Return how many credentials of some schemes a header value has, well-formed or not.

    Servers join repeated header fields with a comma.
    """
    return len(_scheme(schemes).findall(value[:MAX_HEADER_LENGTH])) if value else 0


def read_credential(value: str | None) -> str | None:
    """Return the credential of a header value that is one bearer credential of ASCII letters, digits and underscores.

    None for any other value.
    """
    match = _CREDENTIAL.fullmatch(value) if value and len(value) <= MAX_HEADER_LENGTH else None
    return match[1] if match else None


def find_credentials(value: str | None) -> list[str]:
    """Return what could be a bearer credential anywhere in a header value, whatever else the value has."""
    return _CREDENTIAL.findall(value[:MAX_HEADER_LENGTH]) if value else []


def read_visible(value: str | None, schemes: tuple[str, ...]) -> str | None:
    """Return the credential of a header value that is one credential, of visible ASCII characters, of some schemes.

    None for any other value.
    """
    match = _visible(schemes).fullmatch(value) if value and len(value) <= MAX_HEADER_LENGTH else None
    return match[1] if match else None


def find_visible(value: str | None, schemes: tuple[str, ...]) -> list[str]:
    """Return what could be such a credential anywhere in a header value."""
    return _visible(schemes).findall(value[:MAX_HEADER_LENGTH]) if value else []


@lru_cache(maxsize=64)
def _scheme(schemes: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile(rf"(?:^|,)[ \t]*{_any(schemes)}(?![{_TCHAR}])", re.IGNORECASE | re.ASCII)


@lru_cache(maxsize=64)
def _visible(schemes: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile(rf"{_any(schemes)} +({_VISIBLE})", re.IGNORECASE | re.ASCII)


def _any(schemes: tuple[str, ...]) -> str:
    return f"(?:{'|'.join(map(re.escape, schemes))})"
