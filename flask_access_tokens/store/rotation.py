"""The rows of a rotation: a token and its one successor."""

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, and_, insert, or_, select, update
from sqlalchemy.exc import DBAPIError, IntegrityError

from .. import clock
from ..policy import TokenRefused
from ..state import UNLIMITED, State
from ..texts import gettext as _
from .connections import reading
from .entities import NewToken, Token
from .insertion import row_of
from .limits import free_places, insert_within_limit, take_seat
from .rows import select_tokens
from .table import is_of_owner, of_owner, token_table
from .transactions import in_transaction, is_conflict


class AlreadyReplaced(TokenRefused):
    """The token has a successor already, and can have no other."""


def already_replaced() -> AlreadyReplaced:
    """Return the refusal of a second successor."""
    return AlreadyReplaced(_("This token was already rotated. Rotate the token that replaced it."))


def insert_successor(state: State, new: NewToken, predecessor: Token, ends: datetime) -> None:
    """Insert the successor of a token, let the predecessor end, and commit.

    A unique constraint on ``replaces`` lets one of two rotations at once succeed.

    :param ends: when the predecessor stops working, if it does not expire before.
    :raises AlreadyReplaced: where the predecessor has a successor already.
    :raises TokenRefused: where the predecessor is gone, or the owner would hold more tokens than allowed.
    """
    row, table = row_of(state, new), token_table(state)
    mine = of_owner(state, predecessor.owner_id)

    def replace(connection: Connection) -> None:
        _insert(connection, state, row, predecessor)
        later = or_(table.c.expires_at.is_(None), table.c.expires_at > ends)
        same = and_(mine, table.c.id == predecessor.id)
        connection.execute(update(table).where(same, later).values(expires_at=ends))
        if connection.execute(select(table.c.id).where(same)).first() is None:
            raise TokenRefused(_("You have no such token; it may have been deleted already."))

    try:
        in_transaction(state, replace)
    except (DBAPIError, TokenRefused) as error:
        known = isinstance(error, (IntegrityError, TokenRefused)) or is_conflict(error)
        if known and _has_successor(state, predecessor):
            raise already_replaced() from None
        raise


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
    taken = _seat(connection, state, predecessor)
    older = and_(mine, table.c.id == predecessor.replaces, table.c.expires_at > clock.now())
    if connection.execute(select(table.c.id).where(older)).first() is None:
        connection.execute(update(table).where(mine, table.c.id == predecessor.id).values(seat=None))
        connection.execute(insert(table), row | {"seat": taken})
        return
    free = free_places(connection, state, owner_id, limit)
    connection.execute(insert(table), row)
    take_seat(connection, state, owner_id, predecessor.id if taken is None else row["id"], free)


def _seat(connection: Connection, state: State, token: Token) -> str | None:
    table = token_table(state)
    statement = select(table.c.seat).where(of_owner(state, token.owner_id), table.c.id == token.id)
    found: str | None = connection.execute(statement).scalar()
    return found


def _has_successor(state: State, token: Token) -> bool:
    statement = select_tokens(state).where(of_owner(state, token.owner_id), token_table(state).c.replaces == token.id)
    with reading(state) as reader:
        return any(is_of_owner(row, token.owner_id) for row in reader.execute(statement))
