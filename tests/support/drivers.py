"""The drivers of the databases: how a host sets up their connections, and what a connection keeps between two uses."""

from collections.abc import Callable
from typing import Any

import psycopg
import sqlalchemy as sa

POSTGRESQL = ("postgresql+psycopg", "postgresql+psycopg2", "postgresql+pg8000")
SERVERS = (*POSTGRESQL, "mariadb+pymysql")
DRIVERS = ("sqlite", *SERVERS)


def execute(connection: Any, statement: str) -> list[tuple[Any, ...]]:
    """Run a statement on a driver's connection and return its rows."""
    cursor = connection.cursor()
    try:
        cursor.execute(statement)
        return [tuple(row) for row in cursor.fetchall()] if cursor.description else []
    finally:
        cursor.close()


def committed(statement: str) -> Callable[[Any], None]:
    """A function that runs a statement on a driver's connection and commits."""

    def run(connection: Any) -> None:
        execute(connection, statement)
        connection.commit()

    return run


SERIALIZABLE: dict[str, Callable[[Any], object]] = {
    "postgresql+psycopg": lambda connection: setattr(
        connection, "isolation_level", psycopg.IsolationLevel.SERIALIZABLE
    ),
    "postgresql+psycopg2": lambda connection: connection.set_session(isolation_level="SERIALIZABLE"),
    "postgresql+pg8000": committed("SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL SERIALIZABLE"),
    "mariadb+pymysql": committed("SET SESSION TRANSACTION ISOLATION LEVEL SERIALIZABLE"),
}
"""How a host makes the transactions of a connection serializable without SQLAlchemy."""

AUTOCOMMIT: dict[str, Callable[[Any], object]] = {
    "sqlite": lambda connection: setattr(connection, "isolation_level", None),
    **dict.fromkeys(POSTGRESQL, lambda connection: setattr(connection, "autocommit", True)),
    "mariadb+pymysql": lambda connection: connection.autocommit(True),
}
"""How a host makes a connection commit every statement without SQLAlchemy."""

_ATTRIBUTES = ("autocommit", "isolation_level", "read_only", "deferrable", "autocommit_mode")
_SETTINGS = {
    "sqlite": "SELECT * FROM pragma_busy_timeout, pragma_foreign_keys, pragma_query_only, pragma_synchronous",
    "postgresql": "SELECT name, setting FROM pg_settings ORDER BY name",
    "mariadb": "SHOW SESSION VARIABLES WHERE variable_name <> 'timestamp'",
}


def settings(engine: sa.Engine) -> dict[str, Any]:
    """What the next use of a pooled connection finds: the connection, the driver's settings and the server's."""
    pooled = engine.raw_connection()
    connection: Any = pooled.driver_connection
    read: dict[str, Any] = {"connection": connection}
    for name in _ATTRIBUTES:
        value = getattr(connection, name, None)
        read[name] = connection.get_autocommit() if callable(value) else value
    read.update((row[0], row[1:]) for row in execute(connection, _SETTINGS[engine.dialect.name]))
    pooled.close()
    return read


def changes(before: dict[str, Any], after: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    """The settings that differ, each with its two values."""
    keys = before.keys() | after.keys()
    return {key: (before.get(key), after.get(key)) for key in keys if before.get(key) != after.get(key)}


def ping(connection: Any, *_: Any) -> None:
    """A listener for the checkout of a connection that asks the server whether it is still there."""
    execute(connection, "SELECT 1")
