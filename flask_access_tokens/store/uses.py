"""Uses of tokens that their rows do not show yet, and the statements that write them."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Select, Table, Update, bindparam, or_, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session
from sqlalchemy.pool import SingletonThreadPool, StaticPool

from ..clock import as_utc
from ..state import State, logger
from .connections import end_transaction, error_summary, read_on_connection, session_connection
from .table import token_table

SHARED_POOLS = (StaticPool, SingletonThreadPool)
"""Pools that may hand out a connection that is in use elsewhere at the same time."""

_PAUSE_SECONDS = 1
_LOG_SECONDS = 60


@dataclass(slots=True)
class Use:
    """A use of a token."""

    digest: str
    moment: datetime
    origin: str | None
    """From where the token was used; None where that is not to be stored, which erases an earlier one."""
    due: datetime | None
    """The row is updated if it was last used at this time or before; None where only the digest is to change."""
    newest: tuple[str, str] | None
    """Scheme and digest under the newest pepper, where the row is under an older one."""
    schema_map: Mapping[Any, Any] | None
    """The schemas that the check read from, where the host maps them for a transaction."""


def write_in_session(state: State, session: Session, use: Use) -> None:
    """Write one use through a session, in a short transaction of its own."""
    try:
        connection = session_connection(state, session)
        shared = isinstance(connection.engine.pool, SHARED_POOLS)
        if shared and connection.connection.driver_connection.in_transaction:  # type: ignore[union-attr]
            return  # the one connection of a database in memory, in the middle of a transaction
        if use.schema_map is not None:
            connection.execution_options(schema_translate_map=use.schema_map)
        with short_waits(connection):
            update_rows(connection, token_table(state), [use])
            connection.commit()
    finally:
        end_transaction(session)


def try_update(state: State) -> None:
    """Execute the statements of an update for a digest that no row has, and roll back.

    :raises StoreError: where last-used times cannot be written.
    """
    table = token_table(state)
    no_use = {"used": "", "due": None, "moment": None, "origin": None}

    def update(connection: Connection) -> None:
        if connection.dialect.name != "sqlite":
            connection.execute(_locked(table, [""])).all()
        connection.execute(_due_update(table), [no_use])

    read_on_connection(state, update)


def update_rows(connection: Connection, table: Table, uses: Sequence[Use]) -> None:
    """Write uses in the rows of their tokens. A row that is locked is skipped rather than waited for."""
    if connection.dialect.name != "sqlite":
        locked = connection.execute(_locked(table, [use.digest for use in uses]))
        last_uses = {row[0]: row[1] for row in locked}
        # Another process may have written the same use.
        uses = [use for use in uses if use.digest in last_uses and _is_needed(use, last_uses[use.digest])]
    plain = [use for use in uses if use.newest is None]
    if plain:
        values = [{"used": use.digest, "due": use.due, "moment": use.moment, "origin": use.origin} for use in plain]
        connection.execute(_due_update(table), values)
    for use in uses:
        if use.newest is not None:
            _rekey(connection, table, use)


def _locked(table: Table, digests: Sequence[str]) -> Select[Any]:
    found = select(table.c.digest, table.c.last_used_at).where(table.c.digest.in_(digests))
    return found.with_for_update(skip_locked=True)


def _due_update(table: Table) -> Update:
    same, before = table.c.digest == bindparam("used"), table.c.last_used_at <= bindparam("due")
    # No value twice: two uses of one token, written at once, may both find it due.
    due = update(table).where(same, or_(table.c.last_used_at.is_(None), before))
    return due.values(last_used_at=bindparam("moment"), last_used_from=bindparam("origin"))


def _is_needed(use: Use, last: datetime | None) -> bool:
    return use.newest is not None or last is None or (use.due is not None and as_utc(last) <= use.due)


def _rekey(connection: Connection, table: Table, use: Use) -> None:
    same = table.c.digest == use.digest
    if use.due is not None:
        due = or_(table.c.last_used_at.is_(None), table.c.last_used_at <= use.due)
        written = update(table).where(same, due).values(last_used_at=use.moment, last_used_from=use.origin)
        connection.execute(written)
    scheme, digest = use.newest or ("", "")
    attempt = connection.begin_nested()
    try:
        connection.execute(update(table).where(same).values(scheme=scheme, digest=digest))
    except IntegrityError:  # adopted twice, as a digest and as text: the other row has the digest
        attempt.rollback()
    else:
        attempt.commit()


@contextmanager
def short_waits(connection: Connection) -> Iterator[None]:
    """Let a lock delay the block by a fraction of a second at most, and leave the connection as it was.

    On PostgreSQL its commit waits neither for the disk nor for a standby: what a crash may lose is the time of a use.
    """
    name = connection.dialect.name
    if name == "sqlite":
        before = connection.exec_driver_sql("PRAGMA busy_timeout").scalar()
        connection.exec_driver_sql("PRAGMA busy_timeout = 100")
        try:
            yield
        finally:
            connection.rollback()
            connection.exec_driver_sql(f"PRAGMA busy_timeout = {before}")
    elif name == "postgresql":
        connection.exec_driver_sql("SET LOCAL lock_timeout = '100ms'")
        connection.exec_driver_sql("SET LOCAL synchronous_commit = off")
        yield
    elif name in ("mysql", "mariadb"):
        before = connection.exec_driver_sql("SELECT @@lock_wait_timeout").scalar()
        connection.exec_driver_sql("SET SESSION lock_wait_timeout = 1")
        try:
            yield
        finally:
            connection.rollback()
            connection.exec_driver_sql(f"SET SESSION lock_wait_timeout = {before}")
    else:
        yield


def count_failure(state: State, error: Exception) -> None:
    """Log at most one line a minute, and pause, so that a failing update costs the requests nothing."""
    state.failed_updates += 1
    moment = time.monotonic()
    state.updates_resume_at = moment + _PAUSE_SECONDS
    if moment - state.failure_logged_at >= _LOG_SECONDS:
        state.failure_logged_at = moment
        message = "Last-used times are not being written (%s); %d failed so far."
        logger.warning(message, error_summary(error), state.failed_updates)
