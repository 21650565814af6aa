"""The last-used update: noted during a request, written after it, at most once an interval for each token."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import copy_context
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from flask import Response, request
from sqlalchemy import Connection, Table, and_, event, or_, select, update
from sqlalchemy.orm import Session, SessionTransaction
from sqlalchemy.pool import QueuePool, SingletonThreadPool, StaticPool

from .. import clock
from ..state import State, at_the_end, logger
from .connections import (
    end_transaction,
    error_summary,
    session_bind,
    session_connection,
    session_factory,
    session_of_context,
)
from .lookup import Match
from .table import token_table

_SHARED_POOLS = (StaticPool, SingletonThreadPool)
"""Pools that may hand out a connection that is in use elsewhere at the same time."""

_PENDING = "access_tokens_pending_uses"
"""The key in ``Session.info`` of uses that wait for the end of the session's transaction."""

_PAUSE_SECONDS = 1
_LOG_SECONDS = 60


@dataclass(slots=True)
class _Use:
    """A use of a token that its row does not show yet."""

    digest: str
    due: datetime | None
    """The row is updated if it was last used at this time or before; None where only the digest is to change."""
    newest: tuple[str, str] | None
    """Scheme and digest under the newest pepper, where the row is under an older one."""
    schema_map: Mapping[Any, Any] | None
    """The schemas that the check read from, where the host maps them for a transaction."""


def note_use(state: State, match: Match) -> None:
    """Note that a token was used, to be written after the request where an update is due."""
    last = match.token.last_used_at
    newest = next(iter(match.candidates))
    rekeyed = None if match.scheme == newest else (newest, match.candidates[newest])
    due = clock.now() - timedelta(seconds=state.config["ACCESS_TOKENS_LAST_USED_INTERVAL"])
    is_due = last is None or last <= due
    if is_due or rekeyed:
        use = _Use(match.digest, due if is_due else None, rekeyed, match.schema_map)
        at_the_end(request.environ, partial(_write_soon, state, use))


def _write_soon(state: State, use: _Use, _: Response) -> None:
    """Write a use as soon as the host's session holds no connection; nothing is raised."""
    session = session_of_context(state)
    write = partial(_try_to_write, state, session, use)
    if session is None or not session.in_transaction():
        write()
        return
    # On one connection, which a test bound the session to, it is written at once and again after a rollback.
    if isinstance(session_bind(state, session), Connection):
        write()
    # In this context, because the host's listeners may read the request, which is over by then.
    session.info.setdefault(_PENDING, []).append(partial(copy_context().run, write))
    if not event.contains(session, "after_transaction_end", _write_pending):
        event.listen(session, "after_transaction_end", _write_pending)


def _write_pending(session: Session, _: SessionTransaction) -> None:
    if _PENDING in session.info and not session.in_transaction():
        for write in session.info.pop(_PENDING):
            write()


def _try_to_write(state: State, session: Session | None, use: _Use) -> None:
    """Write a use through the host's session, so that it sees what the check saw; without one, through a new one."""
    if time.monotonic() < state.updates_resume_at:
        return
    try:
        if session is not None:
            _write(state, session, use)
            return
        with session_factory(state)() as own:
            _write(state, own, use)
    except Exception as error:
        _count_failure(state, error)


def _write(state: State, session: Session, use: _Use) -> None:
    """Write one use in a short transaction of its own."""
    table = token_table(state)
    bind = session_bind(state, session)
    if isinstance(bind, Connection):
        # A test bound the session to one connection, and ends its transaction itself.
        with bind.begin_nested() if bind.in_transaction() else bind.begin():
            _update(bind, table, use)
        return
    if isinstance(bind.pool, QueuePool) and not bind.pool.checkedin() and bind.pool.checkedout() >= bind.pool.size():
        return  # every connection is in use, and requests need them more
    try:
        connection = session_connection(state, session)
        if isinstance(bind.pool, _SHARED_POOLS) and connection.connection.driver_connection.in_transaction:  # type: ignore[union-attr]
            return  # the one connection of a database in memory, in the middle of a transaction
        if use.schema_map is not None:
            connection.execution_options(schema_translate_map=use.schema_map)
        with _lock_timeout(connection):
            _update(connection, table, use)
            connection.commit()
    finally:
        end_transaction(session)


def _update(connection: Connection, table: Table, use: _Use) -> None:
    row = table.c.digest == use.digest
    values: dict[str, Any] = {}
    if use.due is not None:
        row = and_(row, or_(table.c.last_used_at.is_(None), table.c.last_used_at <= use.due))
        values["last_used_at"] = clock.now()
    if use.newest is not None:
        values["scheme"], values["digest"] = use.newest
    # A row that is locked is skipped rather than waited for.
    free = select(table.c.id).where(row).with_for_update(skip_locked=True)
    if connection.dialect.name == "sqlite" or connection.execute(free).first() is not None:
        connection.execute(update(table).where(row).values(values))


@contextmanager
def _lock_timeout(connection: Connection) -> Iterator[None]:
    """Let a lock delay the update by a fraction of a second at most, and leave the connection as it was."""
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


def _count_failure(state: State, error: Exception) -> None:
    """Log at most one line a minute, and pause, so that a failing update costs the requests nothing."""
    state.failed_updates += 1
    moment = time.monotonic()
    state.updates_resume_at = moment + _PAUSE_SECONDS
    if moment - state.failure_logged_at >= _LOG_SECONDS:
        state.failure_logged_at = moment
        message = "Last-used times are not being written (%s); %d failed so far."
        logger.warning(message, error_summary(error), state.failed_updates)
