"""Rows of the token table: how they are selected, and how one becomes a :class:`Token`."""

import uuid
from collections.abc import Sequence
from datetime import datetime
from functools import partial
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, and_, exists, extract, func, literal, literal_column, select
from sqlalchemy.orm import Session, aliased

from ..clock import as_utc
from ..state import State
from .connections import connection_of
from .entities import EXPIRING, Token, status_at
from .table import compares_exactly, is_of_owner, of_owner, token_table

COLUMNS = (
    "id",
    "owner_id",
    "name",
    "description",
    "scopes",
    "created_at",
    "expires_at",
    "last_used_at",
    "last_used_from",
    "hint",
    "generated_by",
    "replaces",
)
"""The columns that make a token, in the order in which they are selected."""

FURTHER = len(COLUMNS) + 1
"""The place of the first further column in a row: after the columns comes whether the token has a successor."""


def select_tokens(state: State, *more: str) -> Select[Any]:
    """Return a SELECT of what makes a token, followed by further columns. The caller adds the condition.

    It selects attributes of the model, so that criteria that the host adds to its own queries apply.
    """
    model, successor = state.model, aliased(state.model)
    replaced = exists().where(successor.replaces == model.id)
    columns = (getattr(model, key) for key in COLUMNS)
    return select(*columns, replaced, *(getattr(model, key) for key in more))


def of_exact_owner(state: State, reader: Connection | Session, owner_id: str) -> ColumnElement[bool]:
    """Return the condition that a row belongs to exactly this owner, compared in Python where a collation might."""
    mine = of_owner(state, owner_id)
    if compares_exactly(state):
        return mine
    model = state.model
    rows = reader.execute(select(model.id, model.owner_id).where(mine)).all()
    return and_(mine, model.id.not_in([row[0] for row in rows if not is_of_owner(row, owner_id)]))


def is_expiring(state: State, reader: Connection | Session, moment: datetime) -> ColumnElement[bool]:
    """Return the condition that a token is expiring at a time, as :func:`.entities.status_at` has it."""
    model, successor = state.model, aliased(state.model)
    expires = token_table(state).c.expires_at
    # Databases subtract times in different ways, but each has a number for a time.
    dialect = connection_of(state, reader).dialect.name
    number: Any = func.julianday if dialect == "sqlite" else partial(extract, "epoch")
    if dialect in ("mysql", "mariadb"):
        number = partial(func.timestampdiff, literal_column("MICROSECOND"), literal_column("'1970-01-01'"))
    return and_(
        expires > moment,
        expires <= moment + EXPIRING,
        3 * number(expires) + number(model.created_at) <= 4 * number(literal(moment, expires.type)),
        ~exists().where(successor.replaces == model.id),
    )


def own_nonces(token_id: uuid.UUID) -> tuple[str, str]:
    """Return what marks the row of a successor that a token asked for itself: its own, and one that replaced that."""
    return token_id.hex, f"+{token_id.hex[:31]}"


def token_from_row(row: Sequence[Any], moment: datetime) -> Token:
    """Return the token of a row that :func:`select_tokens` selected, with its status at a time."""
    id_, owner_id, name, description, scopes, created_at, expires_at, last_used_at = row[:8]
    last_used_from, hint, generated_by, replaces, replaced = row[8:FURTHER]
    created_at, expires_at = as_utc(created_at), expires_at and as_utc(expires_at)
    return Token(
        id_,
        str(owner_id),
        name,
        description,
        tuple(scopes.split(" ")) if scopes else (),
        created_at,
        expires_at,
        last_used_at and as_utc(last_used_at),
        last_used_from,
        hint,
        generated_by,
        replaces,
        replaced,
        status_at(moment, created_at, expires_at, replaced=replaced),
    )


def parse_token_id(token_id: object) -> uuid.UUID | None:
    """Return a token ID that was given as a UUID or as text; None for anything else."""
    if isinstance(token_id, uuid.UUID):
        return token_id
    try:
        return uuid.UUID(str(token_id))
    except ValueError:
        return None
