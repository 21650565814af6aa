"""The deletion of single tokens, whose successors then replace their predecessors."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import Connection, and_, delete, select, update

from ..state import State
from .entities import Token
from .table import of_owner, token_table
from .transactions import in_transaction


def delete_tokens(state: State, tokens: Sequence[Token]) -> list[Token]:
    """Delete tokens of any owners in one transaction, commit it, and return those that were still there."""
    table = token_table(state)
    ids = [token.id for token in tokens]

    def delete_present(connection: Connection) -> set[UUID]:
        # Locked, so that of two who delete the same token at once one does.
        present = select(table.c.id).where(table.c.id.in_(ids)).order_by(table.c.id).with_for_update()
        found = set(connection.execute(present).scalars())
        connection.execute(delete(table).where(table.c.id.in_(found)))
        for token in tokens:
            if token.replaced and token.id in found:
                join_family(connection, state, token)
        return found

    deleted = in_transaction(state, delete_present)
    return [token for token in tokens if token.id in deleted]


def join_family(connection: Connection, state: State, deleted: Token) -> None:
    """Let the successor of a token that was deleted replace its predecessor instead.

    Otherwise the predecessor could be rotated again, and whoever has its secret could have any number of successors.
    """
    table = token_table(state)
    successor = and_(of_owner(state, deleted.owner_id), table.c.replaces == deleted.id)
    connection.execute(update(table).where(successor).values(replaces=deleted.replaces))
