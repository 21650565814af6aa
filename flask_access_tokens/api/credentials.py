"""The credentials of a request: how many it has, and whether one has the form of a secret of this application.

Only headers are read, never a query string, form or cookie (RFC 9700 §4.3.2). Functions take the request and not its
environ, which crash reporters would print with its headers.
"""

from flask import Request

from ..places import Places
from ..secret import Secret, is_well_formed, recognize
from ..state import State
from . import bearer

_AUTHORIZATION = "HTTP_AUTHORIZATION"


def count(state: State, req: Request) -> int:
    """Return how many credentials a request has in all places, well-formed or not."""
    places = state.places
    if places is None:
        return bearer.count_credentials(req.environ.get(_AUTHORIZATION))
    return len(_sent(req, places))


def read(state: State, req: Request) -> tuple[Secret | None, int]:
    """Return the one credential of a request if it has the form of a secret, and how many credentials it has.

    None for a malformed credential, for more than one, and for none.
    """
    places = state.places
    if places is None:
        prefixes = state.prefixes  # first: where they are bad, no frame holds the text
        text = bearer.read_credential(req.environ.get(_AUTHORIZATION))
        if text is not None and is_well_formed(text, prefixes):
            return Secret(text), 1
        del text  # crash reporters print the local variables of every frame
    return _read_any(state, req, places)


def holds_secret(state: State, req: Request) -> bool:
    """Return whether anything in the places of a request has the form of a secret of this application.

    A proxy may put a credential of its own on every request.
    """
    prefixes, adopted, places = state.prefixes, state.adopted, state.places  # first, as above
    value = req.environ.get(_AUTHORIZATION)
    found = bearer.find_credentials(value)
    if adopted is not None or places is not None:
        found += bearer.find_visible(value, bearer.BEARER if places is None else places.schemes)
    for key in () if places is None else places.keys:
        found += _parts(req.environ.get(key))
    return any(recognize(text, prefixes, adopted) is not None for text in found)


def _read_any(state: State, req: Request, places: Places | None) -> tuple[Secret | None, int]:
    prefixes, adopted = state.prefixes, state.adopted  # first, as above
    if places is not None:
        sent = _sent(req, places)
    else:
        value = req.environ.get(_AUTHORIZATION)
        sent = [None] * bearer.count_credentials(value)
        if adopted is not None and len(sent) == 1:
            sent = [bearer.read_visible(value, bearer.BEARER)]
    text = sent[0] if len(sent) == 1 else None
    return (None if text is None else recognize(text, prefixes, adopted)), len(sent)


def _sent(req: Request, places: Places) -> list[str | None]:
    """Return every credential in the places of a request; None stands for a malformed one."""
    value = req.environ.get(_AUTHORIZATION)
    text = bearer.read_visible(value, places.schemes)
    # Where the whole value is one credential it has no comma, so it is the only one there.
    sent: list[str | None] = [text] if text is not None else [None] * bearer.count_credentials(value, places.schemes)
    for key in places.keys:
        value = req.environ.get(key)
        parts = _parts(value)
        sent += [value] if parts == [value] else [None] * len(parts)
    return sent


def _parts(value: str | None) -> list[str]:
    """Return the values of a header, which servers join with a comma where it is repeated; blank ones do not count."""
    if not value or not value.strip(" \t"):
        return []
    parts = [part.strip(" \t") for part in value[: bearer.MAX_HEADER_LENGTH].split(",")]
    found = [part for part in parts if part]
    return found or [value[:1]]
