"""The token table, and the condition that a row of it belongs to an owner."""

import uuid
from collections.abc import Sequence
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, Integer, String, Table, literal

from ..models import AccessTokenMixin
from ..state import State


def token_table(state: State) -> Table:
    """Return the table of the application's tokens."""
    table: Table = state.model.__table__  # type: ignore[attr-defined]
    return table


def of_owner(state: State, owner_id: str) -> ColumnElement[bool]:
    """Return the condition that a row belongs to an owner, as the collation of the host's column compares.

    Rows are compared again in Python, by :func:`is_of_owner`.

    :raises ValueError: where the host's column holds IDs of another kind.
    """
    column = token_table(state).c.owner_id
    condition: ColumnElement[bool] = column == comparable(column, owner_value(state, owner_id))
    return condition


def comparable(column: Any, value: Any) -> Any:
    """Return an owner ID to be compared with a column; one out of the column's range equals nothing.

    As integers of 64 bits: PostgreSQL raises an error for an ID that a shorter type cannot hold.
    """
    if not isinstance(column.type, Integer):
        return value
    return literal(value if -(2**63) <= value < 2**63 else None, BigInteger())


def is_of_owner(row: Sequence[Any], owner_id: str) -> bool:
    """Return whether a row that begins with :data:`COLUMNS` belongs to exactly this owner."""
    return str(row[1]) == owner_id


def compares_exactly(state: State) -> bool:
    """Return whether no collation of the host's decides which owner IDs are equal."""
    kind = token_table(state).c.owner_id.type
    return kind is AccessTokenMixin.__dict__["owner_id"].column.type or not isinstance(kind, String)


def owner_value(state: State, owner_id: str) -> Any:
    """Return an owner ID as the host's column holds it, whether or not it is in the range of the column.

    :raises ValueError: where the column holds IDs of another kind.
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
    # int() and UUID() accept several spellings of one ID.
    if str(value) != owner_id:
        raise ValueError(f"Owner ID {owner_id!r} does not fit the column owner_id, which holds {kind.__name__}.")
    return value
