"""The deletion of chosen tokens, whose successors then replace their predecessors."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import Connection, and_, delete, select, update

from ..clock import as_utc
from ..state import State
from .entities import Token
from .table import of_owner, token_table
from .transactions import in_transaction


def delete_tokens(state: State, tokens: Sequence[Token], *, unless_used: bool = False) -> list[Token]:
    """Delete tokens of any owners in one transaction, commit it, and return those that were still there.

    :param unless_used: keep those that were used since they were read.
    """
    table = token_table(state)
    last_uses = {token.id: token.last_used_at for token in tokens}

    def delete_present(connection: Connection) -> set[UUID]:
        # Locked, so that of two who delete the same token at once one does.
        present = select(table.c.id, table.c.last_used_at).where(table.c.id.in_(last_uses)).order_by(table.c.id)
        rows = connection.execute(present.with_for_update()).all()
        found = {id_ for id_, used in rows if not unless_used or (used and as_utc(used)) == last_uses[id_]}
        connection.execute(delete(table).where(table.c.id.in_(found)))
        join_families(connection, state, [token for token in tokens if token.id in found])
        return found

    deleted = in_transaction(state, delete_present)
    return [token for token in tokens if token.id in deleted]


def join_families(connection: Connection, state: State, deleted: Sequence[Token]) -> None:
    """Let the successors of tokens that were deleted replace what is left of their predecessors instead.

    Otherwise a predecessor could be rotated again, and whoever has its secret could have any number of successors.
    """
    table = token_table(state)
    by_id = {token.id: token for token in deleted}
    owners = {token.owner_id for token in deleted}
    # Read now and under a lock, not taken from the tokens: one may have been rotated since it was found.
    left = select(table.c.id, table.c.owner_id, table.c.replaces).where(table.c.replaces.in_(by_id)).with_for_update()
    if len(owners) == 1:
        left = left.where(of_owner(state, *owners))
    for row in connection.execute(left).all():
        predecessor = row.replaces
        while predecessor in by_id:
            predecessor = by_id[predecessor].replaces
        successor = and_(table.c.owner_id == row.owner_id, table.c.id == row.id)
        connection.execute(update(table).where(successor).values(replaces=predecessor))
