"""The notice that a list shows after a redirect: signed, so that no link makes the page say something."""

from flask import current_app, request
from itsdangerous import BadSignature, URLSafeTimedSerializer

NOTICE_AGE = 60
"""Seconds for which a list shows the notice in its query string."""


def signer(purpose: str) -> URLSafeTimedSerializer:
    """Return a serializer that signs values of the page for one purpose."""
    keys = [*(current_app.config.get("SECRET_KEY_FALLBACKS") or ()), current_app.secret_key]
    return URLSafeTimedSerializer(keys, salt=f"flask-access-tokens.{purpose}")


def sign_notice(owner_id: str, notice: str) -> str:
    """Return a notice as a value for the query string of its owner's list."""
    return str(signer("notice").dumps([owner_id, notice]))


def sent_notice(owner_id: str) -> str:
    """Return the notice in the query string; "" without one, and for one that is old or another owner's."""
    try:
        for_owner, notice = signer("notice").loads(request.args.get("notice", ""), max_age=NOTICE_AGE)
    except BadSignature:
        return ""
    return str(notice) if for_owner == owner_id else ""
