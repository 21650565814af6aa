"""The rows of a rotation: a token and its one successor."""

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from functools import partial
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, and_, delete, insert, or_, select, update
from sqlalchemy.exc import DBAPIError, IntegrityError

from .. import clock
from ..policy import TokenRefused
from ..state import UNLIMITED, State
from ..texts import gettext as _
from .batches import BATCH, iter_where
from .connections import read_rows
from .entities import NewToken, Token
from .insertion import row_of
from .limits import free_places, insert_within_limit, take_seat
from .reads import get
from .rows import FURTHER, own_nonces, select_tokens, token_from_row
from .table import is_of_owner, of_owner, token_table
from .transactions import in_transaction, is_conflict, savepoint

_SHORTENED = 0
"""``noticed_days`` of a token whose expiration a rotation has brought forward: no notice of it is due."""


class AlreadyReplaced(TokenRefused):
    """The token has a successor already, and can have no other."""


class TokenGone(TokenRefused):
    """The token was deleted at the same moment, or its owner never had it."""


def already_replaced() -> AlreadyReplaced:
    """Return the refusal of a second successor."""
    return AlreadyReplaced(_("This token was already rotated. Rotate the token that replaced it."))


def token_gone() -> TokenGone:
    """Return the refusal of a token that is not there."""
    return TokenGone(_("You have no such token; it may have been deleted already."))


def successor_of(state: State, token: Token) -> tuple[Token | None, bool]:
    """Return the token that replaced a token, or None, and whether the token asked for it itself."""
    mine = of_owner(state, token.owner_id)
    statement = select_tokens(state, "nonce").where(mine, token_table(state).c.replaces == token.id)
    for row in read_rows(state, statement):
        if is_of_owner(row, token.owner_id):
            return token_from_row(row, clock.now()), row[FURTHER] == own_nonces(token.id)[0]
    return None, False


def insert_successor(
    state: State,
    new: NewToken,
    predecessor: Token,
    ends: datetime,
    nonce: str | None = None,
    *,
    lifetime_given: bool = False,
) -> None:
    """Insert the successor of a token, let the predecessor end, and commit.

    A unique constraint on ``replaces`` lets one of two rotations at once succeed.

    :param ends: when the predecessor stops working, if it does not expire before.
    :param lifetime_given: whether the lifetime of the successor is another one than that of the predecessor.
    :raises AlreadyReplaced: where the predecessor has a successor already.
    :raises TokenGone: where the predecessor is gone.
    :raises TokenRefused: where the owner would hold more tokens than allowed, or the predecessor had another successor
        and its lifetime is therefore not known.
    """
    row, table = row_of(state, new) | {"nonce": nonce}, token_table(state)
    mine = of_owner(state, predecessor.owner_id)

    def replace(connection: Connection) -> None:
        shortened = _lock(connection, state, predecessor) == _SHORTENED
        if shortened and not lifetime_given and not _has_successor(connection, state, predecessor):
            raise TokenRefused(
                _("The lifetime of this token is no longer known: its successor was deleted. Generate a new token."),
                "lifetime_days",
            )
        _insert(connection, state, row, predecessor)
        later = or_(table.c.expires_at.is_(None), table.c.expires_at > ends)
        ending = update(table).where(mine, table.c.id == predecessor.id, later)
        connection.execute(ending.values(expires_at=ends, noticed_days=_SHORTENED))

    try:
        in_transaction(state, partial(_whole_or_not, state, predecessor, replace))
    except (DBAPIError, TokenRefused) as error:
        known = isinstance(error, (IntegrityError, TokenRefused)) or is_conflict(error)
        if known and successor_of(state, predecessor)[0] is not None:
            raise already_replaced() from None
        if known and get(predecessor.owner_id, predecessor.id) is None:
            raise token_gone() from None
        raise


def insert_again(state: State, new: NewToken, unused: Token, predecessor: Token) -> None:
    """Delete the unused successor of a token, insert another one in its place, and commit.

    :raises AlreadyReplaced: where the successor was used, rotated or deleted at the same moment.
    :raises TokenGone: where the predecessor is gone.
    :raises TokenRefused: where the successor has expired, and the owner would hold more tokens than allowed.
    """
    row, table = row_of(state, new) | {"nonce": own_nonces(predecessor.id)[0]}, token_table(state)
    limit = state.config["ACCESS_TOKENS_MAX_PER_OWNER"]
    owner_id, needs_place = predecessor.owner_id, unused.expired and limit != UNLIMITED

    def insert_other(connection: Connection) -> None:
        _lock(connection, state, predecessor, wait=False)
        mine = of_owner(state, owner_id)
        # Whoever has locked it may be about to write its first use.
        idle = select(table.c.seat).where(mine, table.c.id == unused.id, table.c.last_used_at.is_(None))
        discarded = connection.execute(idle.with_for_update(skip_locked=True)).first()
        if discarded is None or _has_successor(connection, state, unused):
            raise already_replaced()
        # Others may have the place of an expired one. It is looked for while the pair still counts once.
        free = free_places(connection, state, owner_id, limit) if needs_place else []
        connection.execute(delete(table).where(mine, table.c.id == unused.id))
        connection.execute(insert(table), row | {"seat": None if needs_place else discarded.seat})
        if needs_place:
            take_seat(connection, state, owner_id, row["id"], free)

    try:
        in_transaction(state, partial(_whole_or_not, state, predecessor, insert_other))
    except (IntegrityError, AlreadyReplaced):
        gone = get(predecessor.owner_id, predecessor.id) is None
        raise (token_gone() if gone else already_replaced()) from None


def _whole_or_not(
    state: State, predecessor: Token, work: Callable[[Connection], None], connection: Connection
) -> None:
    """Undo work that is refused: a refusal does not end a transaction that the host began.

    Work is done once more where what violated a unique constraint is gone again.

    :raises AlreadyReplaced: where another successor is there, by the unique constraint.
    """
    for again in (True, False):
        try:
            with savepoint(connection):
                return work(connection)
        except IntegrityError:
            if _has_successor(connection, state, predecessor):
                raise already_replaced() from None
            if not again:
                raise


def _has_successor(connection: Connection, state: State, token: Token) -> bool:
    table = token_table(state)
    found = select(table.c.id).where(of_owner(state, token.owner_id), table.c.replaces == token.id)
    # A locking read sees it at every isolation level of MariaDB.
    return connection.execute(found.with_for_update(read=True)).first() is not None


def _lock(connection: Connection, state: State, token: Token, *, wait: bool = True) -> int | None:
    """Keep others from rotating or deleting a token before the transaction ends, and return its last notice, in days.

    :param wait: whether to wait for whoever has locked it.
    :raises TokenGone: where it was deleted already.
    :raises AlreadyReplaced: if it was locked, or deleted, and is not waited for.
    """
    table = token_table(state)
    same = and_(of_owner(state, token.owner_id), table.c.id == token.id)
    row = connection.execute(select(table.c.noticed_days).where(same).with_for_update(skip_locked=not wait)).first()
    if row is None:
        raise token_gone() if wait else already_replaced()
    # Written as well: at REPEATABLE READ on PostgreSQL, a deletion that waits for the lock does not see the successor.
    connection.execute(update(table).where(same).values(expires_at=table.c.expires_at))
    noticed: int | None = row[0]
    return noticed


def iter_successors(state: State, token_ids: Iterable[UUID]) -> Iterator[Token]:
    """Iterate over the successors of tokens of all owners, and over theirs, whether the tokens are still there or not.

    :raises StoreError: where the database cannot be used.
    """
    seen = set(token_ids)
    remaining = list(seen)
    while remaining:
        batch, remaining = remaining[:BATCH], remaining[BATCH:]
        for token in iter_where(state, token_table(state).c.replaces.in_(batch)):
            if token.id not in seen:
                seen.add(token.id)
                remaining.append(token.id)
                yield token


def _insert(connection: Connection, state: State, row: dict[str, Any], predecessor: Token) -> None:
    """Insert the row of a successor within the limit, for which a pair counts once.

    The successor takes over the seat, because a replaced token without one does not count. A place more is taken where
    the predecessor has a predecessor itself that still works.
    """
    table, owner_id, limit = token_table(state), predecessor.owner_id, state.config["ACCESS_TOKENS_MAX_PER_OWNER"]
    if limit == UNLIMITED:
        connection.execute(insert(table), row)
        return
    if predecessor.expired:
        insert_within_limit(connection, state, owner_id, row)
        return
    mine = of_owner(state, owner_id)
    place = select(table.c.seat).where(mine, table.c.id == predecessor.id).with_for_update()
    taken = connection.execute(place).scalar()
    older = and_(mine, table.c.id == predecessor.replaces, table.c.expires_at > clock.now())
    if connection.execute(select(table.c.id).where(older)).first() is None:
        connection.execute(update(table).where(mine, table.c.id == predecessor.id).values(seat=None))
        connection.execute(insert(table), row | {"seat": taken})
        return
    free = free_places(connection, state, owner_id, limit)
    connection.execute(insert(table), row)
    take_seat(connection, state, owner_id, predecessor.id if taken is None else row["id"], free)
