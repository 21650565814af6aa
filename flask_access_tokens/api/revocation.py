"""Revocation (RFC 7009): whoever has a secret may delete its token."""

from flask import Response, abort, current_app

from ..rotation import delete_own
from ..secret import candidate_digests
from ..state import current_state
from ..store.lookup import lookup
from .form import sent_secret


def revoke() -> Response:
    """Delete the token of the secret that the form sends, expired or not, and the successors that it asked for.

    No other credential is asked for, so that whoever finds a secret in public can delete its token. The answer
    does not tell whether there was such a token (RFC 7009 §2.2).
    """
    state = current_state()
    if state.disabled:
        abort(404)
    secret = sent_secret(state)
    candidates = {} if secret is None else candidate_digests(secret, state.peppers)
    # An adopted secret may have several tokens, but no more than digests.
    for _ in candidates:
        match = lookup(state, candidates)
        if match is None:
            break
        delete_own(match.token, "leak")
    return current_app.response_class()
