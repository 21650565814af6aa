"""Many rows at once, read or deleted in batches, so that no statement holds a connection or locks for long."""

from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, and_, delete, or_, true

from .. import clock
from ..state import State
from .connections import read_rows
from .deletion import join_families
from .entities import Token
from .rows import select_tokens, token_from_row
from .table import is_of_owner, token_table
from .transactions import in_transaction

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


def delete_where(
    state: State, condition: ColumnElement[bool], owner_id: str | None
) -> Iterator[tuple[list[Token], int]]:
    """Delete the tokens that meet a condition, those of one owner or of all, and commit each batch.

    Yields the tokens of each batch, and how many of them were still there.
    """
    table = token_table(state)
    statement = select_tokens(state).where(condition).order_by(table.c.id).limit(BATCH)
    after: ColumnElement[bool] = true()

    def delete_batch(connection: Connection) -> tuple[Sequence[Row[Any]], list[Token], int]:
        rows, moment = read_rows(state, statement.where(after)), clock.now()
        chosen = [token_from_row(row, moment) for row in rows if owner_id is None or is_of_owner(row, owner_id)]
        if not chosen:
            return rows, chosen, 0
        ids = table.c.id.in_([token.id for token in chosen])
        count = connection.execute(delete(table).where(ids, condition)).rowcount
        join_families(connection, state, chosen)
        return rows, chosen, count

    while True:
        rows, chosen, count = in_transaction(state, delete_batch)
        yield chosen, count
        if len(rows) < BATCH:
            return
        after = table.c.id > rows[-1][0]
