"""Rows of the token table: how they are selected, and how one becomes a :class:`Token`."""

import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, Table, select

from ..clock import as_utc
from ..state import State
from .entities import Token, status_at

COLUMNS = (
    "id",
    "owner_id",
    "name",
    "description",
    "scopes",
    "created_at",
    "expires_at",
    "last_used_at",
    "hint",
)
"""The columns that make a token, in the order in which they are selected."""


def token_table(state: State) -> Table:
    """Return the table of the application's tokens."""
    table: Table = state.model.__table__  # type: ignore[attr-defined]
    return table


def select_tokens(state: State, *more: str) -> Select[Any]:
    """Return a SELECT of the columns of a token, followed by further columns. The caller adds the condition."""
    columns = token_table(state).c
    return select(*(columns[key] for key in (*COLUMNS, *more)))


def of_owner(state: State, owner_id: str) -> ColumnElement[bool]:
    """Return the condition that a row belongs to an owner.

    :raises ValueError: where the host's column cannot hold such an ID.
    """
    condition: ColumnElement[bool] = token_table(state).c.owner_id == owner_value(state, owner_id)
    return condition


def token_from_row(row: Sequence[Any], moment: datetime) -> Token:
    """Return the token of a row that begins with :data:`COLUMNS`, with its status at a time."""
    id_, owner_id, name, description, scopes, created_at, expires_at, last_used_at, hint = row[:9]
    expires_at = expires_at and as_utc(expires_at)
    return Token(
        id_,
        str(owner_id),
        name,
        description,
        tuple(scopes.split(" ")) if scopes else (),
        as_utc(created_at),
        expires_at,
        last_used_at and as_utc(last_used_at),
        hint,
        status_at(moment, expires_at),
    )


def owner_value(state: State, owner_id: str) -> Any:
    """Return an owner ID as the host's column holds it.

    :raises ValueError: where the column cannot hold it.
    """
    try:
        kind = token_table(state).c.owner_id.type.python_type
    except NotImplementedError:
        return owner_id
    if kind is not int and kind is not uuid.UUID:
        return owner_id
    try:
        value = kind(owner_id)
    except ValueError:
        value = None
    # int() and UUID() accept several spellings of one ID; every database holds 64 bits.
    if str(value) != owner_id or (isinstance(value, int) and value.bit_length() > 63):
        raise ValueError(f"Owner ID {owner_id!r} does not fit the column owner_id, which holds {kind.__name__}.")
    return value


def parse_token_id(token_id: object) -> uuid.UUID | None:
    """Return a token ID that was given as a UUID or as text; None for anything else."""
    if isinstance(token_id, uuid.UUID):
        return token_id
    try:
        return uuid.UUID(str(token_id))
    except ValueError:
        return None
