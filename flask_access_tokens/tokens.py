"""The operations on tokens: generate, adopt, find, list, update, rotate and delete them.

Each needs an application context. Those that write commit the host's session.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import chain, islice
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, func, or_, select, true
from sqlalchemy import update as update_table
from sqlalchemy.exc import DBAPIError

from . import clock, policy
from . import secret as _secret
from .adoption import adopt
from .policy import TokenRefused
from .rotation import rotate
from .secret import Digest
from .signals import acting, tell_deleted, token_generated
from .state import current_state
from .store.batches import BATCH, iter_where
from .store.connections import StoreError, read_rows
from .store.deletion import delete_tokens, delete_where
from .store.entities import NewToken, Page, Token
from .store.insertion import MAX_NONCE, AlreadyGenerated, insert_new, new_token
from .store.listing import page
from .store.owners import is_orphan, no_such_owner, unknown_owners
from .store.reads import find, find_all, get, owned_by
from .store.rotation import AlreadyReplaced
from .store.table import of_owner, token_table
from .store.transactions import in_transaction, is_conflict

__all__ = [
    "AlreadyGenerated",
    "AlreadyReplaced",
    "Digest",
    "NewToken",
    "Page",
    "StoreError",
    "Token",
    "TokenRefused",
    "adopt",
    "count_by_scheme",
    "delete",
    "delete_all",
    "delete_many",
    "find",
    "find_all",
    "generate",
    "get",
    "is_well_formed",
    "iter_all",
    "orphans",
    "owned_by",
    "page",
    "prune",
    "rotate",
    "update",
]


def generate(
    owner_id: object,
    name: str,
    *,
    description: str = "",
    lifetime_days: int | None = None,
    scopes: Iterable[str] = (),
    nonce: str | None = None,
    by: str | None = None,
    reason: str | None = None,
) -> NewToken:
    """Generate a token for an owner and commit it.

    :param owner_id: the host's ID of the owner: an int, a UUID or text.
    :param name: one line of 1 to 100 characters.
    :param description: one line of at most 255 characters.
    :param lifetime_days: days until the token expires; None for the configured default, -1 for never.
    :param scopes: the names of declared scopes that this owner may grant.
    :param nonce: text of 1 to 32 characters for which at most one token of this owner is ever generated.
    :param by: who acts, for the signal and ``generated_by``: an owner ID, the ID of an operator, ``"cli"`` or another
        word of yours.
    :param reason: why, for the signal.
    :return: the token and its secret.
    :raises TokenRefused: where a name, lifetime or scope is not allowed, the owner does not exist, or they hold as
        many tokens as they may; nothing is stored then.
    :raises ValueError: for an owner ID, a nonce or a ``by`` of another form.
    :raises StoreError: where the database cannot be used.
    """
    if nonce is not None and not 0 < len(nonce) <= MAX_NONCE:
        raise ValueError(f"A nonce is text of 1 to {MAX_NONCE} characters.")
    state = current_state()
    owner, by = policy.validate_owner_id(owner_id), policy.validate_actor(by)
    if unknown_owners(state, [owner]):
        raise no_such_owner()
    granted = policy.validate_scopes(owner, scopes)
    days = policy.default_lifetime() if lifetime_days is None else policy.validate_lifetime(lifetime_days)
    new = new_token(
        state,
        owner,
        clock.now(),
        days,
        name=policy.validate_name(name),
        description=policy.validate_description(description),
        scopes=granted,
        by=by,
    )
    insert_new(state, new, nonce)
    token_generated.send(state.app, token=new.token, **acting(by, reason))
    return new


def is_well_formed(text: str) -> bool:
    """Return whether text has the form of a secret of this application: a known prefix, the length, the checksum.

    Text that ``ACCESS_TOKENS_ADOPTED`` matches has it too. No database is queried, so this distinguishes secrets
    from other bearer tokens at no cost.
    """
    state = current_state()
    return isinstance(text, str) and _secret.recognize(text, state.prefixes, state.adopted) is not None


def delete(owner_id: object, token_id: object, *, by: str | None = None) -> bool:
    """Delete one token of an owner and commit. It is refused from then on.

    :param token_id: a UUID, or its text.
    :param by: who acts, for the signal: an owner ID, the ID of an operator, ``"cli"`` or another word of yours.
    :return: whether it was deleted: False where they have none with this ID.
    :raises TypeError: for a token, or a secret, instead of an ID.
    :raises StoreError: where the database cannot be used.
    """
    state = current_state()
    token = get(owner_id, token_id)
    if token is None:
        return False

    try:
        deleted, _ = delete_tokens(state, [token], token.owner_id)
    except DBAPIError as error:
        # Where the conflict was with another deletion of this token, that one has answered the question.
        if not is_conflict(error) or get(owner_id, token.id) is not None:
            raise
        deleted = []
    return bool(tell_deleted(state.app, deleted, by))


def update(
    owner_id: object, token_id: object, *, name: str | None = None, description: str | None = None
) -> Token | None:
    """Change the name or the description of a token and commit it. Its secret stays valid.

    :param token_id: a UUID, or its text.
    :param name: one line of 1 to 100 characters; None to keep the name.
    :param description: one line of at most 255 characters; None to keep the description.
    :return: the token as it is now, or None where the owner has none with this ID.
    :raises TypeError: for a token, or a secret, instead of an ID.
    :raises TokenRefused: where a text is not allowed; nothing is stored then.
    :raises StoreError: where the database cannot be used.
    """
    state = current_state()
    values: dict[str, Any] = {} if name is None else {"name": policy.validate_name(name)}
    if description is not None:
        values["description"] = policy.validate_description(description)
    token = get(owner_id, token_id)
    if token is None or not values:
        return token

    def update_row(connection: Connection) -> bool:
        mine = and_(of_owner(state, token.owner_id), token_table(state).c.id == token.id)
        return connection.execute(update_table(token_table(state)).where(mine).values(values)).rowcount == 1

    # Not read again: if that failed, the row would be changed all the same.
    return replace(token, **values) if in_transaction(state, update_row) else None


def delete_all(owner_id: object, *, by: str | None = None) -> int:
    """Delete every token of an owner and commit, in batches, until none is left.

    A token that is rotated meanwhile does not outlive it.

    :param by: who acts, for the signal: an owner ID, the ID of an operator, ``"cli"`` or another word of yours.
    :return: how many there were.
    :raises StoreError: where the database cannot be used.
    """
    state = current_state()
    owner = policy.validate_owner_id(owner_id)
    return sum(
        len(tell_deleted(state.app, deleted, by)) for deleted in delete_where(state, of_owner(state, owner), owner)
    )


def delete_many(
    found: Iterable[Token],
    *,
    by: str | None = None,
    reason: str | None = None,
    unless_used: bool = False,
    rotated_since: datetime | None = None,
) -> list[Token]:
    """Delete tokens of any owners, such as those of :func:`find_all`, and commit, in batches.

    :param by: who acts, for the signal: an owner ID, the ID of an operator, ``"cli"`` or another word of yours.
    :param reason: why, for the signal.
    :param unless_used: keep those that were used since they were read.
    :param rotated_since: also delete the successors that were generated after this time, an aware datetime.
    :return: those that were deleted, which excludes those that were no longer there.
    :raises StoreError: where the database cannot be used; the batches before stay deleted.
    """
    state, remaining, deleted = current_state(), iter(found), list[Token]()
    while batch := list(islice(remaining, BATCH)):
        gone, successors = delete_tokens(state, batch, unless_used=unless_used)
        deleted += tell_deleted(state.app, gone, by, reason)
        if rotated_since is not None:
            newer = [token for token in successors if token.created_at > rotated_since]
            remaining = chain(newer, remaining)
    return deleted


def prune(expired_days: int = 30, *, orphans: bool = False, dry_run: bool = False, by: str | None = None) -> int:
    """Delete the tokens of all owners that expired more than a number of days ago, in batches.

    :param expired_days: whole days from 0.
    :param orphans: also delete the tokens whose owner does not exist.
    :param dry_run: only count them.
    :param by: who acts, for the signal: an owner ID, the ID of an operator, ``"cli"`` or another word of yours.
    :return: how many were deleted, or would be.
    :raises ValueError: where ``expired_days`` is negative or not a whole number.
    :raises RuntimeError: for orphans, where the extension was set up without ``owner=``.
    :raises StoreError: where the database cannot be used.
    """
    if type(expired_days) is not int or not 0 <= expired_days <= policy.MAX_DAYS:
        raise ValueError(f"expired_days is {expired_days!r}. Give a whole number of days from 0 to {policy.MAX_DAYS}.")
    state = current_state()
    doomed: ColumnElement[bool] = token_table(state).c.expires_at < clock.now() - timedelta(days=expired_days)
    if orphans:
        doomed = or_(doomed, is_orphan(state))
    if not dry_run:
        return sum(len(tell_deleted(state.app, deleted, by)) for deleted in delete_where(state, doomed))
    (row,) = read_rows(state, select(func.count(state.model.id)).where(doomed))
    return int(row[0])


def iter_all() -> Iterator[Token]:
    """Iterate over the tokens of all owners, in batches, so that no connection is held in between.

    :raises StoreError: where the database cannot be used.
    """
    return iter_where(current_state(), true())


def orphans() -> Iterator[Token]:
    """Iterate over the tokens whose owner does not exist, in batches.

    :raises RuntimeError: where the extension was set up without ``owner=``.
    :raises StoreError: where the database cannot be used.
    """
    state = current_state()
    return iter_where(state, is_orphan(state))


def count_by_scheme() -> dict[str, int]:
    """Return the number of tokens by the scheme of their digest, which tells when a pepper is no longer needed.

    :raises StoreError: where the database cannot be used.
    """
    state = current_state()
    model = state.model
    rows = read_rows(state, select(model.scheme, func.count(model.id)).group_by(model.scheme))
    return {row[0]: row[1] for row in rows}
