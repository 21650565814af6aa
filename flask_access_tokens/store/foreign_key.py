"""The foreign key of the tokens: whether the database itself lets no token outlive its owner."""

from sqlalchemy import Connection, Table, inspect, text
from sqlalchemy.orm import Session

from ..models import owner_column
from ..state import State
from .connections import connection_of
from .table import token_table


def keeps_owners(state: State, reader: Connection | Session) -> bool:
    """Return whether the database has a foreign key from a token to its owner that holds for every row.

    The database is asked once. SQLite counts as not enforcing it, because each connection decides that for itself.
    """
    if state.owner is None:
        return False
    if state.keeps_owners is None:
        connection = connection_of(state, reader)
        if connection.get_execution_options().get("schema_translate_map"):
            return False  # the inspector would look into another schema
        state.keeps_owners = connection.dialect.name != "sqlite" and _has_key(state, connection)
    return state.keeps_owners


def _has_key(state: State, connection: Connection) -> bool:
    table, owner = token_table(state), owner_column(state.owner)
    if connection.dialect.name == "postgresql" and _has_unvalidated_key(connection, table):
        return False
    return any(
        (key["constrained_columns"], key["referred_table"], key["referred_columns"])
        == ([table.c.owner_id.name], owner.table.name, [owner.name])
        for key in inspect(connection).get_foreign_keys(table.name, schema=table.schema)
    )


def _has_unvalidated_key(connection: Connection, table: Table) -> bool:
    """Return whether PostgreSQL added a foreign key of the table as NOT VALID: it was not checked for earlier rows."""
    statement = text("SELECT 1 FROM pg_constraint WHERE conrelid = to_regclass(:name) AND NOT convalidated LIMIT 1")
    name = connection.dialect.identifier_preparer.format_table(table)
    return connection.execute(statement, {"name": name}).first() is not None
