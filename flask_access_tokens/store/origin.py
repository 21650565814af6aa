"""The origin of a use: the address and the program of a request, as one text for a column."""

import re
from io import BytesIO

from flask import Request

from ..secret import MAX_LENGTH as MAX_SECRET_LENGTH
from ..secret import iter_secrets
from ..state import State

MAX_LENGTH = 255

_NO_ADDRESS = "-"
_NOT_PRINTABLE = re.compile(r"[^\x20-\x7e]+")
_NOT_VISIBLE = re.compile(r"[^\x21-\x7e]+")
_PRODUCT = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
"""A product name (RFC 9110 §10.1.5)."""


def origin_of(state: State, request: Request) -> str | None:
    """Return the address of a request, a blank and its ``User-Agent``; None where both are missing.

    Both are whatever a client or a proxy sends. What is not printable ASCII (RFC 9110 §5.5 calls it opaque) becomes a
    question mark, and a secret of the application becomes an ellipsis.
    """
    address = _NOT_VISIBLE.sub("?", request.remote_addr or "")
    # Not request.user_agent: the host's class may parse it, and fail.
    program = _NOT_PRINTABLE.sub("?", request.headers.get("User-Agent", "")).strip()
    if not address and not program:
        return None
    whole = f"{address or _NO_ADDRESS} {program}"
    # Not all of it is searched. A secret at the cut may be incomplete, so what may be a part of one is dropped.
    origin = whole[: MAX_LENGTH + MAX_SECRET_LENGTH]
    dropped = MAX_SECRET_LENGTH if origin != whole else 0
    for secret in iter_secrets(BytesIO(origin.encode("ascii")), state.prefixes, state.adopted):
        origin = origin.replace(str(secret), "...")
    return origin[: len(origin) - dropped][:MAX_LENGTH].rstrip()


def address_of(origin: str) -> str:
    """Return the address of an origin; "" where it was missing."""
    address = origin.partition(" ")[0]
    return "" if address == _NO_ADDRESS else address


def program_of(origin: str) -> str:
    """Return the ``User-Agent`` of an origin; "" where it was missing."""
    return origin.partition(" ")[2]


def product_of(program: str) -> str:
    """Return the name of the first product in a ``User-Agent``; "" where there is none.

    Browsers and some other programs all claim to be Mozilla, which names none of them.
    """
    found = _PRODUCT.match(program)
    return found[0] if found is not None and found[0] != "Mozilla" else ""
