"""Rotation: a token is replaced by its successor, and both work until the overlap ends."""

from datetime import datetime, timedelta

from . import clock, policy
from .policy import TokenRefused
from .signals import acting, tell_deleted, token_deleted, token_reused, token_rotated
from .state import State, current_state, logger
from .store.deletion import delete_with_own_successors
from .store.entities import NewToken, Token, as_replaced
from .store.insertion import new_token
from .store.reads import get
from .store.rotation import (
    already_replaced,
    insert_again,
    insert_successor,
    successor_of,
    token_gone,
)
from .store.rows import own_nonces
from .texts import gettext as _


class SuccessorUsed(TokenRefused):
    """The token has a successor that was used or rotated, so its secret has arrived, or that a person generated."""


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
    :param overlap_hours: whole hours from 0, where the predecessor stops working at once, to 168 or the configured
        overlap; None for the configured one.
    :param lifetime_days: days until the successor expires, -1 for never; None for the lifetime of the predecessor, or
        the maximum where that is shorter.
    :param by: who acts, for the signal and ``generated_by``: an owner ID, the ID of an operator, ``"cli"`` or another
        word of yours.
    :return: the successor and its secret.
    :raises TypeError: for a token, or a secret, instead of an ID.
    :raises AlreadyReplaced: where the token has a successor.
    :raises TokenRefused: where the owner has no such token, the overlap or the lifetime is not allowed, or not given
        although the successor was deleted, or the owner holds as many tokens as they may; nothing is changed then. A
        pair counts once.
    :raises StoreError: where the database cannot be used.
    """
    by = policy.validate_actor(by)
    hours = policy.validate_overlap(overlap_hours)
    days = None if lifetime_days is None else policy.validate_lifetime(lifetime_days)
    token = get(owner_id, token_id)
    if token is None:
        raise token_gone()
    if token.replaced:
        raise already_replaced()
    return _replace(current_state(), token, hours, days, by)[0]


def rotate_own(token: Token) -> tuple[NewToken, Token]:
    """Generate the successor of a token for the program that uses it, and commit it.

    Where the token has a successor that was never used, the answer with its secret was lost: it is deleted, and
    another one generated. The overlap is as configured, and is not extended by this.

    :return: the successor, and the token as it is now.
    :raises SuccessorUsed: where the successor was used.
    :raises AlreadyReplaced: where the token was rotated, or its successor used, at the same moment.
    :raises TokenGone: where the token was deleted at the same moment.
    :raises TokenRefused: where the successor was deleted, or the owner holds as many tokens as they may.
    :raises StoreError: where the database cannot be used.
    """
    state = current_state()
    successor, is_own = successor_of(state, token)
    if successor is None:
        return _replace(state, token, policy.validate_overlap(None), None, "token", own_nonces(token.id)[0])
    used = successor.last_used_at is not None or successor.id in state.unwritten
    if used or successor.replaced or not is_own:
        token_reused.send(state.app, token=token)
        raise SuccessorUsed(_("This token was already rotated. Rotate the token that replaced it."))
    new = _successor(state, successor, token, clock.now(), None, "token")
    insert_again(state, new, successor, token)
    token_deleted.send(state.app, token=successor, by="token")
    token_rotated.send(state.app, token=new.token, predecessor=token, by="token")
    return new, token


def delete_own(token: Token, by: str) -> None:
    """Delete a token for whoever has its secret, with the successors that it asked for itself, and commit it.

    Otherwise, a thief who has rotated it would delete it, and with it what tells of the theft.

    :raises StoreError: where the database cannot be used.
    """
    state = current_state()
    tell_deleted(state.app, delete_with_own_successors(state, token), by)


def raise_alarm(token: Token) -> None:
    """Delete a replaced token that is used after its overlap, and the successors that it asked for itself.

    A successor that a person generated stays, and so does whatever replaced that. Where a person generated the first
    one, nothing is deleted: whoever has the replaced secret has nothing else.

    :raises StoreError: where the database cannot be used.
    """
    state = current_state()
    deleted = delete_with_own_successors(state, token, alarm=True)
    if not deleted:
        return
    logger.warning(
        "The secret of the replaced token %s was sent to rotate after its overlap. It may have been stolen: the token"
        " was deleted with the successors that it had asked for, %d tokens in all.",
        token.id,
        len(deleted),
    )
    token_reused.send(state.app, token=token)
    tell_deleted(state.app, deleted, "leak")


def _replace(
    state: State,
    token: Token,
    overlap_hours: int,
    lifetime_days: int | None,
    by: str | None,
    nonce: str | None = None,
) -> tuple[NewToken, Token]:
    moment = clock.now()
    ends = moment + timedelta(hours=overlap_hours)
    new = _successor(state, token, token, moment, lifetime_days, by)
    insert_successor(state, new, token, ends, nonce, lifetime_given=lifetime_days is not None)
    # Not read again: if that failed, the successor would be there, and its secret lost.
    predecessor = as_replaced(token, moment, ends)
    token_rotated.send(state.app, token=new.token, predecessor=predecessor, **acting(by))
    return new, predecessor


def _successor(
    state: State, like: Token, replaced: Token, moment: datetime, lifetime_days: int | None, by: str | None
) -> NewToken:
    """Return a new successor of a token.

    :param like: the token whose owner, name, description, scopes and lifetime it takes over.
    """
    if lifetime_days is None:
        lifetime_days = policy.successor_lifetime(like.created_at, like.expires_at)
    allowed = state.allowed_scopes(like.owner_id) if like.scopes else []
    return new_token(
        state,
        like.owner_id,
        moment,
        lifetime_days,
        name=like.name,
        description=like.description,
        scopes=tuple(scope for scope in allowed if scope in like.scopes),
        by=by,
        replaces=replaced.id,
    )
