"""Reading the ``Authorization`` header strictly (RFC 6750 §2.1, RFC 9110 §11.4).

This module imports nothing of the package, so that it can be audited alone.
"""

import re

MAX_HEADER_LENGTH = 1024
"""No credential of the extension is longer, so nothing beyond it is read."""

_TCHAR = r"!#$%&'*+.^_`|~0-9A-Za-z-"
_SCHEME = re.compile(rf"(?:^|,)[ \t]*bearer(?![{_TCHAR}])", re.IGNORECASE | re.ASCII)
_CREDENTIAL = re.compile(r"bearer +([A-Za-z0-9_]+)", re.IGNORECASE | re.ASCII)


def count_credentials(value: str | None) -> int:
    """Return how many bearer credentials a header value has, well-formed or not.

    Servers join repeated header fields with a comma.
    """
    return len(_SCHEME.findall(value[:MAX_HEADER_LENGTH])) if value else 0


def read_credential(value: str | None) -> str | None:
    """Return the credential of a header value that is one bearer credential of ASCII letters, digits and underscores.

    None for any other value.
    """
    match = _CREDENTIAL.fullmatch(value) if value and len(value) <= MAX_HEADER_LENGTH else None
    return match[1] if match else None


def find_credentials(value: str | None) -> list[str]:
    """Return what could be a bearer credential anywhere in a header value, whatever else the value has."""
    return _CREDENTIAL.findall(value[:MAX_HEADER_LENGTH]) if value else []
