"""What the endpoints answer with: a token, or an error, as JSON in English."""

import json
from datetime import datetime
from typing import Any

from flask import Response, current_app

from ..store.entities import Token


def token_json(token: Token) -> dict[str, Any]:
    """Return what a program may know of its own token."""
    return {
        "id": str(token.id),
        "name": token.name,
        "description": token.description,
        "owner_id": token.owner_id,
        "scopes": list(token.scopes),
        "created_at": time_json(token.created_at),
        "expires_at": time_json(token.expires_at),
        "last_used_at": time_json(token.last_used_at),
        "hint": token.hint,
        "status": token.status,
        "replaces": None if token.replaces is None else str(token.replaces),
        "replaced": token.replaced,
    }


def time_json(moment: datetime | None) -> str | None:
    """Return a time in UTC to the second (RFC 3339 §5.6); None for never."""
    return None if moment is None else moment.isoformat(timespec="seconds").replace("+00:00", "Z")


def refusal(status: int, error: str, description: str) -> Response:
    """Return an error response that no error handler of the host's replaces (RFC 6749 §5.2).

    :param error: its code, for programs.
    :param description: a sentence in ASCII, for the developer.
    """
    return as_json(status, error=error, error_description=description)


def as_json(status: int = 200, /, **members: Any) -> Response:
    """Return a JSON object with exactly these members, which the host's JSON provider could wrap or rename."""
    text = json.dumps(members, sort_keys=True, separators=(",", ":"))
    return current_app.response_class(f"{text}\n", status, mimetype="application/json")
