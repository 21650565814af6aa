"""Families: a token with all that replaced it, and all that it replaced."""

import uuid

from sqlalchemy import Connection, delete

from ..state import State
from .entities import Token
from .reads import owned_by
from .table import of_owner, token_table
from .transactions import in_transaction


def delete_family(state: State, token: Token) -> list[Token]:
    """Delete a token with its predecessors and successors, and commit.

    :return: the tokens that this call deleted, without those that another one deleted at the same moment.
    """
    table, ids, deleted = token_table(state), {token.id}, list[Token]()

    def delete_found(connection: Connection) -> list[Token]:
        mine, gone = of_owner(state, token.owner_id), []
        for each in _linked(owned_by(token.owner_id), ids):
            if connection.execute(delete(table).where(mine, table.c.id == each.id)).rowcount == 1:
                gone.append(each)
        return gone

    # Again until there is none: one of them may have been rotated at the same moment.
    while gone := in_transaction(state, delete_found):
        deleted += gone
    return deleted


def _linked(tokens: list[Token], ids: set[uuid.UUID]) -> list[Token]:
    """Return those tokens that are linked to one of these IDs, and add the IDs of all of them."""
    by_id = {token.id: token for token in tokens}
    successors = {token.replaces: token for token in tokens if token.replaces is not None}
    found: dict[uuid.UUID, Token] = {}
    waiting = list(ids)
    while waiting:
        id_ = waiting.pop()
        for token in (by_id.get(id_), successors.get(id_)):
            if token is not None and token.id not in found:
                found[token.id] = token
                waiting += [token.id] if token.replaces is None else [token.id, token.replaces]
    ids.update(found)
    return sorted(found.values(), key=lambda token: token.id)  # in one order, so that no two calls wait for each other
