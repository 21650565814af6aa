"""The one strict reading of an Authorization header (RFC 6750 §2.1, RFC 9110 §11.4)."""

import re

LONGEST = 1024
"""No credential of ours is longer; reading on would be work done for a stranger."""

_TCHAR = r"!#$%&'*+.^_`|~0-9A-Za-z-"
_SCHEME = re.compile(rf"(?:^|,)[ \t]*bearer(?![{_TCHAR}])", re.IGNORECASE | re.ASCII)
_CREDENTIAL = re.compile(r"bearer +([A-Za-z0-9_]+)", re.IGNORECASE | re.ASCII)


def count(value: str | None) -> int:
    """How many bearer credentials a header carries, good or bad; servers join two lines by a comma."""
    return len(_SCHEME.findall(value[:LONGEST])) if value else 0


def credential(value: str | None) -> str | None:
    """What stands after the scheme of a header that carries one bearer credential of our alphabet, or None."""
    match = _CREDENTIAL.fullmatch(value) if value and len(value) <= LONGEST else None
    return match[1] if match else None
