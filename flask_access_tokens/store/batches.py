"""Many rows, read in batches, so that no statement holds a connection for long."""

from collections.abc import Iterator

from sqlalchemy import ColumnElement, and_, or_, true

from .. import clock
from ..state import State
from .connections import read_rows
from .entities import Token
from .rows import select_tokens, token_from_row
from .table import token_table

BATCH = 500
"""Rows that one statement reads or deletes."""


def iter_where(state: State, condition: ColumnElement[bool]) -> Iterator[Token]:
    """Iterate over the tokens of all owners that meet a condition."""
    columns = token_table(state).c
    statement = select_tokens(state).where(condition).order_by(columns.owner_id, columns.id).limit(BATCH)
    after: ColumnElement[bool] = true()
    while True:
        rows, moment = read_rows(state, statement.where(after)), clock.now()
        for row in rows:
            yield token_from_row(row, moment)
        if len(rows) < BATCH:
            return
        last = rows[-1]
        after = or_(columns.owner_id > last[1], and_(columns.owner_id == last[1], columns.id > last[0]))
