"""The check of a secret: whether its token is accepted now, and why not."""

from dataclasses import dataclass

from .. import secret
from ..secret import Secret
from ..state import State
from ..store.lookup import Match, lookup


@dataclass(slots=True)
class Verdict:
    """What a check found."""

    match: Match | None
    reason: str = ""
    """``unknown``, ``expired``, ``replaced``, ``disabled`` or ``owner``; "" if the token is accepted."""


def check_secret(state: State, credential: Secret) -> Verdict:
    """Check a secret: one SELECT, and the host's loaders where it has some.

    The scopes of an accepted token are those that have an effect now.

    :raises StoreError: where the database cannot be used.
    """
    match = lookup(state, secret.candidate_digests(credential, state.peppers))
    if match is None:
        return Verdict(None, "unknown")
    token = match.token
    if token.expired:
        return Verdict(match, "replaced" if token.replaced else "expired")
    if not state.enabled(token.owner_id):
        return Verdict(match, "disabled")
    if not match.owner_may_act(state):
        return Verdict(match, "owner")
    if token.scopes:
        # A scope that the host no longer declares, or the owner may no longer grant, has no effect.
        allowed = state.allowed_scopes(token.owner_id)
        token.scopes = tuple(scope for scope in token.scopes if scope in allowed)
    return Verdict(match)
