"""The limit: how many live tokens an owner may hold, held by a unique constraint."""

import random
import uuid
from collections.abc import Iterable
from contextlib import suppress
from hashlib import sha256
from typing import Any

from sqlalchemy import Connection, and_, insert, or_, update
from sqlalchemy.exc import IntegrityError

from .. import clock
from ..policy import TokenRefused
from ..state import UNLIMITED, State
from ..texts import gettext as _
from ..texts import ngettext, relative_time
from .connections import read_rows
from .reads import owned_by
from .rows import FURTHER, select_tokens, token_from_row
from .table import is_of_owner, of_owner, token_table
from .transactions import savepoint

_CANDIDATES = 100
"""Places that are tried at most beyond those that are known to be taken."""


def insert_within_limit(connection: Connection, state: State, owner_id: str, row: dict[str, Any]) -> None:
    """Insert the row of a new token, with a seat where the owner's tokens are limited.

    A seat is a place among the owner's tokens, numbered from 0, and unique in the table. So the limit is exact at
    every isolation level and on every node of a cluster, whatever a transaction can see of others. A live token
    without a seat, from before there was a limit, counts as well.

    :raises TokenRefused: where the owner holds as many tokens as allowed; nothing was inserted then.
    """
    limit = state.config["ACCESS_TOKENS_MAX_PER_OWNER"]
    table = token_table(state)
    if limit == UNLIMITED:
        connection.execute(insert(table), row)
        return
    free = free_places(connection, state, owner_id, limit)
    with savepoint(connection):
        # First without a seat, so that a duplicate seat is told from another violation, such as that of the nonce.
        connection.execute(insert(table), row)
        take_seat(connection, state, owner_id, row["id"], free)


def take_seat(connection: Connection, state: State, owner_id: str, token_id: uuid.UUID, free: list[int]) -> None:
    """Give one of the free places to a token that is in the table already.

    :raises TokenRefused: where others have taken them all.
    """
    table = token_table(state)
    mine = and_(of_owner(state, owner_id), table.c.id == token_id)
    for place in free:
        with suppress(IntegrityError), savepoint(connection):
            connection.execute(update(table).where(mine).values(seat=seat(owner_id, place)))
            return
    raise _refusal(state, owner_id, state.config["ACCESS_TOKENS_MAX_PER_OWNER"])


def seat(owner_id: str, place: int) -> str:
    """Return the seat of a place: its number, and as much of a digest of the owner ID as the column holds."""
    return f"{place}:{sha256(owner_id.encode()).hexdigest()}"[:64]


def free_places(connection: Connection, state: State, owner_id: str, limit: int) -> list[int]:
    """Return free places in a random order, after expired tokens have given theirs back.

    A replaced token without a seat does not count: its successor counts for the pair.

    :raises TokenRefused: where the owner holds as many tokens as allowed.
    """
    table, moment = token_table(state), clock.now()
    expires = table.c.expires_at
    relevant = or_(expires.is_(None), expires > moment, table.c.seat.is_not(None))
    rows = read_rows(state, select_tokens(state, "seat").where(of_owner(state, owner_id), relevant))
    held = [(token_from_row(row, moment), row[FURTHER]) for row in rows if is_of_owner(row, owner_id)]
    expired = [token.id for token, _ in held if token.expired]
    live = [taken for token, taken in held if not token.expired and not (token.replaced and taken is None)]
    if len(live) >= limit:
        raise _refusal(state, owner_id, len(live))
    if expired:
        given_back = and_(of_owner(state, owner_id), table.c.id.in_(expired), expires <= moment)
        connection.execute(update(table).where(given_back).values(seat=None))
    places = {int(taken.partition(":")[0]) for taken in live if taken is not None}
    allowed = _allowed_places(limit - live.count(None), places)
    # At random, so that those who generate at the same moment seldom meet.
    sample = random.sample(range(allowed), min(allowed, len(places) + _CANDIDATES))
    free = [place for place in sample if place not in places]
    if not free:
        raise _refusal(state, owner_id, limit)
    return free


def _allowed_places(limit: int, places: Iterable[int]) -> int:
    """Return the greatest number such that as many places, with the tokens beyond them, do not exceed the limit.

    Tokens beyond them were generated under a higher limit. The number only grows while tokens come and go, so a
    transaction that sees an old state never takes a place that would exceed the limit.
    """
    for place in sorted(places, reverse=True):
        if place < limit:
            break
        limit -= 1
    return limit


def _refusal(state: State, owner_id: str, held: int) -> TokenRefused:
    """Return the refusal, which names the live token that has gone unused for longest."""
    message = ngettext(
        "You already have %(num)s token, the most allowed. Delete it first.",
        "You already have %(num)s tokens, the most allowed. Delete one first.",
        held,
    )
    live = [token for token in owned_by(owner_id) if not token.expired]
    if not live:
        return TokenRefused(message)
    oldest = min(live, key=lambda token: (token.last_used_at is not None, token.last_used_at or token.created_at))
    if oldest.last_used_at is None:
        hint = _(
            "“%(name)s” has never been used; it was generated %(distance)s.",
            name=oldest.name,
            distance=relative_time(oldest.created_at, clock.now()),
        )
    else:
        hint = _(
            "“%(name)s” has gone unused for longest; it was last used %(distance)s.",
            name=oldest.name,
            distance=relative_time(oldest.last_used_at, clock.now()),
        )
    return TokenRefused(f"{message} {hint}")
