"""The state of the operators' list in the query string: its filter, its order and its page."""

from collections.abc import Mapping
from io import BytesIO

from flask import request

from ..policy import MAX_OWNER_LENGTH
from ..secret import iter_secrets
from ..state import SCOPE, current_state
from ..store.filters import Filter, statuses
from ..store.order import SORTS, parse_key
from .panel import without_blanks

_MAX_SCOPE_LENGTH = 1000
"""Characters of the name of a scope to filter by. SQLite refuses to compare with a pattern of more than 50,000."""


def list_params() -> dict[str, str]:
    """Return the state of the list, without what is unknown."""
    keys = ("owner", "status", "scope", "q", "sort", "after")
    args = {key: "" if _holds_secret(key) else request.args.get(key, "").strip() for key in keys}
    offered = statuses(current_state())
    return without_blanks(
        {
            "owner": args["owner"][:MAX_OWNER_LENGTH],
            "status": args["status"] if args["status"] in offered else "",
            "scope": args["scope"] if _is_scope(args["scope"]) else "",
            "q": args["q"][:MAX_OWNER_LENGTH],
            "sort": args["sort"] if args["sort"] in SORTS else "",
            "after": args["after"] if parse_key(args["after"]) is not None else "",
        }
    )


def searches_for_secret() -> bool:
    """Return whether somebody has entered a secret into the search or a filter, which no link is to repeat."""
    return any(map(_holds_secret, ("q", "owner", "scope")))


def drops_filter() -> bool:
    """Return whether the query string narrows the list by a value that the list leaves out, so that it shows more."""
    params = list_params()
    return any(request.args.get(key, "").strip() != params.get(key, "") for key in ("owner", "status", "scope", "q"))


def filter_of(params: Mapping[str, str]) -> Filter:
    """Return the filter of a list."""
    return Filter(
        owner=params.get("owner", ""),
        status=params.get("status", ""),
        scope=params.get("scope", ""),
        search=params.get("q", ""),
    )


def _is_scope(text: str) -> bool:
    return len(text) <= _MAX_SCOPE_LENGTH and SCOPE.fullmatch(text) is not None


def _holds_secret(key: str) -> bool:
    """Return whether a parameter is or contains a secret, such as a header that was pasted."""
    text = BytesIO(request.args.get(key, "").encode(errors="ignore"))
    return any(True for _ in iter_secrets(text, current_state().prefixes))
