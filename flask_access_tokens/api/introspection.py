"""What other services ask about a token: ``verify`` for a gateway, ``introspect`` (RFC 7662) for a service."""

from typing import Any
from urllib.parse import quote

from flask import Response, abort, request

from ..signals import token_used
from ..state import SCOPE, current_state
from ..store.entities import Token
from ..store.last_used import note_use
from .check import check_secret
from .form import sent_secret
from .guard import authenticate
from .responses import as_json, refusal, token_json

_AS_IT_IS = "".join(chr(code) for code in range(0x21, 0x7F) if chr(code) != "%")
"""Visible ASCII without the sign that begins an encoded character."""


def verify() -> Response:
    """Check the token of a request for a gateway, which passes the headers of the answer on.

    It needs each scope that the query names as ``scope``.
    """
    token = authenticate(*_needed_scopes())
    response = as_json(**token_json(token))
    response.headers["X-Access-Token-Owner"] = _in_header(token.owner_id)
    response.headers["X-Access-Token-ID"] = str(token.id)
    response.headers["X-Access-Token-Scopes"] = " ".join(map(_in_header, token.scopes))
    return response


def introspect() -> Response:
    """Tell a service about the token of the secret that the form sends, which counts as a use of that token.

    The service's own token needs the scope for it (RFC 7662 §2.1). For every token that the guard would refuse, the
    answer is the same (RFC 7662 §2.2).
    """
    state = current_state()
    authenticate(state.config["ACCESS_TOKENS_INTROSPECTION_SCOPE"])
    secret = sent_secret(state)
    verdict = None if secret is None else check_secret(state, secret)
    if verdict is None or verdict.match is None or verdict.reason:
        return as_json(active=False)
    token = verdict.match.token
    if not note_use(state, verdict.match, from_here=False):
        return as_json(active=False)
    token_used.send(state.app, token=token)
    return as_json(**_claims(token))


def _needed_scopes() -> list[str]:
    """Return the scopes that the query names, each in a parameter of its own or several with spaces between them.

    :raises HTTPException: 400 for a value that is not a scope, because a challenge names the scopes (RFC 6749 §3.3).
    """
    scopes = [scope for sent in request.args.getlist("scope") for scope in sent.split(" ")]
    if not all(map(SCOPE.fullmatch, scopes)):
        abort(refusal(400, "invalid_request", "The query has a value that is not a scope (RFC 6749, section 3.3)."))
    return list(dict.fromkeys(scopes))


def _claims(token: Token) -> dict[str, Any]:
    """Return the members of an introspection response for an active token; times are seconds since 1970."""
    claims: dict[str, Any] = {
        "active": True,
        "token_type": "Bearer",
        "sub": token.owner_id,
        "jti": str(token.id),
        "iat": int(token.created_at.timestamp()),
    }
    if token.scopes:  # an empty text would be no scope (RFC 6749 §3.3)
        claims["scope"] = " ".join(token.scopes)
    if token.expires_at is not None:
        claims["exp"] = int(token.expires_at.timestamp())
    return claims


def _in_header(value: str) -> str:
    """Return a value with everything percent-encoded as UTF-8 that is not visible ASCII."""
    return quote(value, safe=_AS_IT_IS)
