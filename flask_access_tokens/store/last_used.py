"""The last-used update: noted during a request, written after it, at most once an interval for each token."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from flask import Flask, g
from sqlalchemy import Connection, Engine, Table, and_, event, or_, select, update
from sqlalchemy.orm import Session, SessionTransaction
from sqlalchemy.pool import QueuePool, SingletonThreadPool, StaticPool

from .. import clock
from ..state import State, logger
from .connections import active_session, error_summary
from .lookup import Match
from .rows import token_table

_SHARED_POOLS = (StaticPool, SingletonThreadPool)
"""Pools that may hand out a connection that is in use elsewhere at the same time."""

_PENDING = "access_tokens_pending_uses"
"""The key in ``Session.info`` of uses that wait for the end of the session's transaction."""

_PAUSE_SECONDS = 1
_LOG_SECONDS = 60


@dataclass(slots=True)
class _Use:
    """A use of a token that its row does not show yet."""

    bind: Engine | Connection
    digest: str
    due: datetime | None
    """The row is updated if it was last used at this time or before; None where only the digest is to change."""
    newest: tuple[str, str] | None
    """Scheme and digest under the newest pepper, where the row is under an older one."""


def note_use(state: State, match: Match) -> None:
    """Note that a token was used, to be written after the request where an update is due."""
    last = match.token.last_used_at
    newest = next(iter(match.candidates))
    rekeyed = None if match.scheme == newest else (newest, match.candidates[newest])
    due = clock.now() - timedelta(seconds=state.config["ACCESS_TOKENS_LAST_USED_INTERVAL"])
    is_due = last is None or last <= due
    if is_due or rekeyed:
        use = _Use(match.bind, match.digest, due if is_due else None, rekeyed)
        g.setdefault("_access_token_uses", []).append(use)


def write_uses(app: Flask, **_: Any) -> None:
    """Write the uses that a request noted, as soon as the host's session holds no connection.

    A receiver of :data:`flask.request_tearing_down`; nothing is raised.
    """
    uses: list[_Use] | None = g.pop("_access_token_uses", None)
    if uses is None:
        return
    state: State = app.extensions["access_tokens"]
    session = active_session(state)
    # On one connection, which a test bound the session to, it is written at once and again after a rollback.
    if session is None or isinstance(uses[0].bind, Connection):
        _write_all(state, uses)
    if session is not None:
        session.info[_PENDING] = state, [*session.info.get(_PENDING, (state, []))[1], *uses]
        if not event.contains(session, "after_transaction_end", _write_pending):
            event.listen(session, "after_transaction_end", _write_pending)


def _write_pending(session: Session, _: SessionTransaction) -> None:
    if _PENDING in session.info and not session.in_transaction():
        _write_all(*session.info.pop(_PENDING))


def _write_all(state: State, uses: list[_Use]) -> None:
    for use in uses:
        if time.monotonic() < state.updates_resume_at:
            return
        try:
            _write(token_table(state), use)
        except Exception as error:
            _count_failure(state, error)


def _write(table: Table, use: _Use) -> None:
    """Write one use in a short transaction of its own."""
    bind = use.bind
    if isinstance(bind, Connection):
        # A test bound the session to one connection, and ends its transaction itself.
        with bind.begin_nested() if bind.in_transaction() else bind.begin():
            _update(bind, table, use)
        return
    if isinstance(bind.pool, QueuePool) and not bind.pool.checkedin() and bind.pool.checkedout() >= bind.pool.size():
        return  # every connection is in use, and requests need them more
    with bind.connect() as connection:
        if isinstance(bind.pool, _SHARED_POOLS) and connection.connection.driver_connection.in_transaction:  # type: ignore[union-attr]
            return  # the one connection of a database in memory, in the middle of a transaction
        with _lock_timeout(connection):
            _update(connection, table, use)
            connection.commit()


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
