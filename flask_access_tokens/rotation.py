"""Rotation: a token is replaced by its successor, and both work until the overlap ends."""

from datetime import timedelta

from . import clock, policy
from .policy import TokenRefused
from .signals import acting, token_rotated
from .state import State, current_state
from .store.entities import NewToken, Token
from .store.insertion import new_token
from .store.reads import get
from .store.rotation import already_replaced, insert_successor
from .texts import gettext as _


def rotate(
    owner_id: object,
    token_id: object,
    *,
    overlap_hours: int | None = None,
    lifetime_days: int | None = None,
    by: str | None = None,
) -> NewToken:
    """Generate the successor of a token and commit it. The predecessor works until the overlap ends or it expires.

    The successor has the same name, description, lifetime and, as far as the owner may grant them now, scopes. An
    expired token can be rotated too. A token has one successor at most.

    :param token_id: a UUID, or its text.
    :param overlap_hours: whole hours from 0, where the predecessor stops working at once; None for the configured
        overlap.
    :param lifetime_days: days until the successor expires, -1 for never; None for the lifetime of the predecessor, or
        the maximum where that is shorter.
    :param by: who acts, for the signal: an owner ID, the ID of an operator, ``"cli"`` or another word of yours.
    :return: the successor and its secret.
    :raises AlreadyReplaced: where the token has a successor.
    :raises TokenRefused: where the owner has no such token, the overlap or the lifetime is not allowed, or the owner
        holds as many tokens as they may; nothing is changed then. A pair counts once.
    :raises StoreError: where the database cannot be used.
    """
    hours = policy.validate_overlap(overlap_hours)
    days = None if lifetime_days is None else policy.validate_lifetime(lifetime_days)
    token = get(owner_id, token_id)
    if token is None:
        raise TokenRefused(_("You have no such token; it may have been deleted already."))
    if token.replaced:
        raise already_replaced()
    return _replace(current_state(), token, hours, days, by)


def _replace(
    state: State,
    token: Token,
    overlap_hours: int,
    lifetime_days: int | None,
    by: str | None,
) -> NewToken:
    if lifetime_days is None:
        lifetime_days = policy.successor_lifetime(token.created_at, token.expires_at)
    allowed = state.allowed_scopes(token.owner_id) if token.scopes else []
    moment = clock.now()
    new = new_token(
        state,
        token.owner_id,
        moment,
        lifetime_days,
        name=token.name,
        description=token.description,
        scopes=tuple(scope for scope in allowed if scope in token.scopes),
        replaces=token.id,
    )
    ends = moment + timedelta(hours=overlap_hours)
    insert_successor(state, new, token, ends)
    predecessor = get(token.owner_id, token.id) or token
    token_rotated.send(state.app, token=new.token, predecessor=predecessor, **acting(by))
    return new
