"""The foreign key of the tokens: whether the database itself lets no token outlive its owner."""

from sqlalchemy import Connection, inspect
from sqlalchemy.orm import Session

from ..models import owner_column
from ..state import State
from .connections import session_connection
from .table import token_table


def keeps_owners(state: State, reader: Connection | Session) -> bool:
    """Return whether the database has a foreign key from a token to its owner and enforces it.

    The database is asked once. SQLite counts as not enforcing it, because each connection decides that for itself.
    """
    if state.owner is None:
        return False
    if state.keeps_owners is None:
        connection = reader if isinstance(reader, Connection) else session_connection(state, reader)
        if connection.get_execution_options().get("schema_translate_map"):
            return False  # the inspector would look into another schema
        state.keeps_owners = connection.dialect.name != "sqlite" and _has_key(state, connection)
    return state.keeps_owners


def _has_key(state: State, connection: Connection) -> bool:
    table, owner = token_table(state), owner_column(state.owner)
    return any(
        (key["constrained_columns"], key["referred_table"], key["referred_columns"])
        == ([table.c.owner_id.name], owner.table.name, [owner.name])
        for key in inspect(connection).get_foreign_keys(table.name, schema=table.schema)
    )
