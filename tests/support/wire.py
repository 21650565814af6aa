"""The SQL that reaches the driver."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pymysql.cursors
import pytest
import sqlalchemy as sa

from host import Host


@contextmanager
def wire(host: Host, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Collect the SQL that reaches the driver in the block, recorded at the driver and not by SQLAlchemy."""
    seen: list[str] = []

    def spied(cursor_class: Any) -> Callable[..., Any]:
        execute = cursor_class.execute

        def note(cursor: Any, query: Any, *args: Any, **kwargs: Any) -> Any:
            seen.append(str(query))
            return execute(cursor, query, *args, **kwargs)

        return note

    def trace(connection: Any, *_: Any) -> None:
        if isinstance(connection, sqlite3.Connection):
            connection.set_trace_callback(seen.append)

    with host.app.app_context():
        pool = host.db.engine.pool
    sa.event.listen(pool, "checkout", trace)
    with monkeypatch.context() as patch:
        patch.setattr(psycopg.Cursor, "execute", spied(psycopg.Cursor))
        patch.setattr(pymysql.cursors.Cursor, "execute", spied(pymysql.cursors.Cursor))
        yield seen
    sa.event.remove(pool, "checkout", trace)
