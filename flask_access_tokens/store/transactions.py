"""Transactions of the operations: committed through the host's session, and run again after a conflict."""

import random
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, TypeVar

from sqlalchemy import Connection, event
from sqlalchemy.exc import DBAPIError, IntegrityError, SQLAlchemyError, StatementError

from ..policy import TokenRefused
from ..state import State
from .connections import end_transaction, session_connection

Result = TypeVar("Result")

_CONFLICTS = {
    "40001",  # serialization failure, on PostgreSQL and its relatives, and on SQL Server
    "40P01",  # deadlock, on PostgreSQL
    1213,  # deadlock on MariaDB and MySQL, and a conflict with a transaction of another Galera node
    1205,  # a lock was waited for too long, on MariaDB and MySQL
    1020,  # the row has changed since this transaction read it, on MariaDB
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_BUSY_SNAPSHOT,
}

_BEGUN = "access_tokens_begun"
"""The key in ``Connection.info`` that marks a connection with a transaction that was begun by a statement."""

_MOST_ATTEMPTS = 30
_MOST_SECONDS = 5
_LONGEST_PAUSE = 0.2


def in_transaction(state: State, work: Callable[[Connection], Result], *, commit: bool = True) -> Result:
    """Run work on the connection of the host's session, commit the session, and return what the work returned.

    Where the database ends the transaction because of a conflict with another one, or had closed the pooled
    connection, work is run again in a new one, unless the database was in a transaction before: what the host did in
    it would be lost.

    A refused request neither commits nor rolls back what the host began; any other error rolls it back.

    :param commit: False to leave the transaction open.
    """
    started = time.monotonic()
    for attempt in range(1, _MOST_ATTEMPTS + 1):
        session = state.session()
        began_before, ending = session.in_transaction(), False
        undo = None
        try:
            session.flush()  # an owner whom the host has just added has to be there before their token
            connection = session_connection(state, session)
            undo = begin(connection)
            result = work(connection)
            if commit:
                ending = True
                session.commit()
            return result
        except BaseException as error:
            # A rollback of the session would take what the host has flushed from it, but not from the database.
            alone = began_before and undo is not None and is_conflict(error)
            if alone or (began_before and isinstance(error, TokenRefused)):
                if undo is not None:
                    undo()
            else:
                try:
                    session.rollback()
                except SQLAlchemyError:
                    end_transaction(session)
            if isinstance(error, StatementError):
                error.hide_parameters = True  # the digest and the owner, which the host may log
            # A pooled connection that the server had closed; but the answer to a commit may have been lost.
            was_closed = getattr(error, "connection_invalidated", False) and not ending and attempt == 1
            if not (is_conflict(error) or was_closed):
                raise
            if began_before and undo is None:
                error.add_note(
                    "The database ended this transaction, which had begun before the operation on access tokens. The"
                    " operation was therefore not run again. Begin the transaction again."
                )
                raise
            if attempt == _MOST_ATTEMPTS or time.monotonic() - started > _MOST_SECONDS:
                raise
        time.sleep(random.uniform(0, min(_LONGEST_PAUSE, 0.005 * 2**attempt)))  # noqa: S311
    raise AssertionError("The last attempt returns or raises.")


def begin(connection: Connection) -> Callable[[], None] | None:
    """Begin a transaction by a statement where the driver begins none, and return what rolls it back.

    A connection may commit each statement by itself; however the host came to set that, it is left as it is. SQLite's
    driver begins a transaction only before it writes: there the lock for writing is taken first, because a transaction
    that has read may not wait for it. The transaction ends with that of SQLAlchemy.

    None where the driver begins one, or one has been begun.
    """
    driver: Any = connection.connection.driver_connection
    is_sqlite = connection.dialect.name == "sqlite"
    told = getattr(driver, "get_autocommit", None) or getattr(driver, "autocommit", False)
    begins = driver.in_transaction if is_sqlite else not (told() if callable(told) else told)
    # psycopg and psycopg2 have the status of libpq, PyMySQL that of the server: the host may have begun one by itself.
    begun = getattr(getattr(driver, "info", None), "transaction_status", 0) or getattr(driver, "server_status", 0) & 1
    if begins or begun or _BEGUN in connection.info:
        return None
    connection.exec_driver_sql("BEGIN IMMEDIATE" if is_sqlite else "BEGIN")
    connection.info[_BEGUN] = True
    for name, end in (("commit", _commit), ("rollback", _roll_back)):
        if not event.contains(connection.engine, name, end):
            event.listen(connection.engine, name, end)
    return partial(_roll_back, connection)


def _end(statement: str, connection: Connection) -> None:
    """End the transaction that was begun by a statement, if one was, with that of SQLAlchemy."""
    if connection.closed or connection.invalidated or not connection.info.pop(_BEGUN, False):
        return
    driver: Any = connection.connection.driver_connection
    if connection.dialect.name == "sqlite" and not driver.in_transaction:
        return  # after some errors, SQLite rolls back by itself
    try:
        connection.exec_driver_sql(statement)
    except BaseException:
        connection.invalidate()  # nobody should use it in the middle of a transaction
        raise


def _commit(connection: Connection) -> None:
    _end("COMMIT", connection)


def _roll_back(connection: Connection) -> None:
    _end("ROLLBACK", connection)


@contextmanager
def savepoint(connection: Connection) -> Iterator[None]:
    """Undo a block that is refused or violates a constraint; after other errors, there may be nothing to return to."""
    nested = connection.begin_nested()
    try:
        yield
    except (IntegrityError, TokenRefused):
        nested.rollback()
        raise
    nested.commit()


def is_conflict(error: BaseException) -> bool:
    """Return whether the database ended a transaction in favor of another one: it may succeed when run again."""
    return isinstance(error, DBAPIError) and _code(error.orig) in _CONFLICTS


def _code(error: Any) -> Any:
    """Return the error code of a driver: SQLSTATE, or a number of MariaDB, MySQL or SQLite."""
    for name in ("sqlstate", "pgcode", "sqlite_errorcode", "errno"):
        code = getattr(error, name, None)
        if code is not None:
            return code
    first = next(iter(getattr(error, "args", ())), None)
    return first.get("C") if isinstance(first, dict) else first  # pg8000 passes the fields of the server's message
