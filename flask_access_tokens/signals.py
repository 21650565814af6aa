"""The signals of the extension. Their sender is the application, and none carries a secret."""

from typing import Any

from blinker import Namespace
from flask import Flask

_namespace = Namespace()

_BY = "by (who acted, where that is known)"
_REASON = "reason (why, where that was given)"

token_generated = _namespace.signal(
    "token-generated", f"Sent after a token was generated. Keywords: token, {_BY}, {_REASON}."
)
token_used = _namespace.signal(
    "token-used",
    "Sent when a guarded view or an endpoint accepts a token, or a service introspects it. Keyword: token.",
)
token_rotated = _namespace.signal(
    "token-rotated",
    f"Sent after a token was rotated. Keywords: token (the successor), predecessor, {_BY}.",
)
token_reused = _namespace.signal(
    "token-reused",
    "Sent when a replaced secret is sent to rotate although its successor is in use, or after its overlap, if"
    " successors were deleted: it may have been stolen. Keyword: token (the replaced one).",
)
token_expiring = _namespace.signal(
    "token-expiring",
    "Sent by ``notify`` when a token has reached one of ACCESS_TOKENS_NOTICE_DAYS. Keywords: token, days.",
)
token_deleted = _namespace.signal(
    "token-deleted", f"Sent after a token was deleted. Keywords: token, {_BY}, {_REASON}."
)
token_rejected = _namespace.signal(
    "token-rejected",
    "Sent when a guarded view or an endpoint refuses a request. Keywords: reason (missing, malformed, unknown,"
    " expired, replaced, owner, scope or disabled) and token_id (None where no row was found).",
)


def acting(by: str | None, reason: str | None = None) -> dict[str, Any]:
    """Return the keywords of a signal that say who acted, an owner ID or ``"cli"`` for example, and why."""
    return {key: value for key, value in (("by", by), ("reason", reason)) if value is not None}


def tell_deleted(app: Flask, deleted: list[Any], by: str | None, reason: str | None = None) -> list[Any]:
    """Send :data:`token_deleted` for each of some tokens, and return them."""
    for token in deleted:
        token_deleted.send(app, token=token, **acting(by, reason))
    return deleted
