"""The deletion of tokens, whose successors then replace their predecessors."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Connection, Row, delete, or_, select, true, update

from .. import clock
from ..clock import as_utc
from ..state import State
from .batches import BATCH
from .connections import Reader, read
from .entities import Token
from .rows import of_exact_owner, own_nonces, select_tokens, token_from_row
from .table import of_owner, token_table
from .transactions import in_transaction


def delete_tokens(
    state: State, tokens: Sequence[Token], owner_id: str | None = None, *, unless_used: bool = False
) -> tuple[list[Token], list[Token]]:
    """Delete tokens in one transaction, and commit it.

    :param owner_id: whose they are; None for tokens of any owners.
    :param unless_used: keep those that were used since they were read.
    :return: those that were still there, and the successors of these. There will be no other successor.
    """
    last_uses = {token.id: token.last_used_at for token in tokens}

    def delete_present(connection: Connection) -> tuple[set[UUID], list[Token]]:
        rows = _locked(connection, state, owner_id, state.model.id.in_(last_uses))
        if unless_used:
            rows = [row for row in rows if (row.last_used_at and as_utc(row.last_used_at)) == last_uses[row.id]]
        return {row.id for row in rows}, _delete(connection, state, owner_id, rows)

    deleted, successors = in_transaction(state, delete_present)
    return [token for token in tokens if token.id in deleted], successors


def delete_where(state: State, condition: ColumnElement[bool], owner_id: str | None = None) -> Iterator[list[Token]]:
    """Delete the tokens that meet a condition until none is left, and commit each batch, which is yielded.

    A token may be rotated after a batch was read: its successor is in a later one.

    :param owner_id: whose tokens they are; None for those of all owners.
    """
    tried: list[UUID] | None = None

    def found(reader: Reader) -> list[UUID]:
        exact = condition if owner_id is None else of_exact_owner(state, reader, owner_id)
        rows = reader.execute(select(state.model.id).where(condition, exact).order_by(state.model.id).limit(BATCH))
        return [row[0] for row in rows]

    def delete_batch(connection: Connection) -> tuple[list[UUID], list[Token]]:
        ids = read(state, found)
        rows = _locked(connection, state, owner_id, condition, state.model.id.in_(ids)) if ids else []
        _delete(connection, state, owner_id, rows)
        return ids, _tokens(rows)

    while True:
        ids, deleted = in_transaction(state, delete_batch)
        yield deleted
        # Once more after none is found: the first is read in the host's transaction, which may see an older state. A
        # replica may still show those that were deleted.
        if ids == tried:
            return
        tried = ids


def delete_with_own_successors(state: State, token: Token, *, alarm: bool = False) -> list[Token]:
    """Delete a token, the successor for which it asked itself, and so on, in one transaction, and commit it.

    A successor that a person generated stays, and so does whatever replaced that.

    :param alarm: delete nothing where there is no such successor.
    :return: the tokens that were deleted.
    """

    def delete_chain(connection: Connection) -> list[Token]:
        model, chain = state.model, list[Row[Any]]()
        following = [model.id == token.id]
        # Each under the lock of the one before, so that no other successor comes in between.
        while found := _locked(connection, state, token.owner_id, *following):
            chain += found
            following = [model.replaces == chain[-1].id, model.nonce.in_(own_nonces(chain[-1].id))]
        if alarm and len(chain) < 2:
            return []
        _delete(connection, state, token.owner_id, chain)
        return _tokens(chain)

    return in_transaction(state, delete_chain)


def _locked(
    connection: Connection, state: State, owner_id: str | None, *conditions: ColumnElement[bool]
) -> list[Row[Any]]:
    """Read rows and lock them: of two who delete a token one does, and nobody rotates it any more."""
    mine = true() if owner_id is None else of_owner(state, owner_id)
    found = select_tokens(state, "nonce", "seat").where(mine, *conditions).order_by(state.model.id)
    return list(connection.execute(found.with_for_update()).all())


def _delete(connection: Connection, state: State, owner_id: str | None, rows: Sequence[Row[Any]]) -> list[Token]:
    """Delete rows that are locked, and return their successors.

    These replace what is left of their predecessors instead. Otherwise a predecessor could be rotated again, and
    whoever has its secret could have any number of successors. A predecessor without one has the place of the pair.
    """
    table, gone = token_table(state), {row.id: row for row in rows}
    if not gone:
        return []
    mine = true() if owner_id is None else of_owner(state, owner_id)
    connection.execute(delete(table).where(mine, table.c.id.in_(gone)))
    successors, replaced = _locked(connection, state, owner_id, state.model.replaces.in_(gone)), set()
    for row in successors:
        predecessor, own = _predecessor(row, gone)
        values = {"replaces": predecessor} | ({"nonce": own_nonces(predecessor)[1]} if own and predecessor else {})
        connection.execute(update(table).where(mine, table.c.id == row.id).values(values))
        replaced.add(predecessor)
    for row in rows:
        predecessor, _ = _predecessor(row, gone)
        if row.seat is not None and predecessor is not None and predecessor not in replaced:
            works = or_(table.c.expires_at.is_(None), table.c.expires_at > clock.now())
            alone = update(table).where(mine, table.c.id == predecessor, table.c.seat.is_(None), works)
            connection.execute(alone.values(seat=row.seat))
    return _tokens(successors)


def _predecessor(row: Row[Any], gone: Mapping[UUID, Row[Any]]) -> tuple[UUID | None, bool]:
    """Return which token is left before one, and whether each from there on asked for its successor itself."""
    own = True
    while row.replaces is not None:
        own = own and row.nonce in own_nonces(row.replaces)
        if row.replaces not in gone:
            break
        row = gone[row.replaces]
    return row.replaces, own


def _tokens(rows: Sequence[Row[Any]]) -> list[Token]:
    moment = clock.now()
    return [token_from_row(row, moment) for row in rows]
