"""The last-used update: noted by the guard, and written by a thread, at most once an interval for each token.

The thread is one of the process, so that no trouble of the database's delays a request. A use is written in its
request where the thread might not find the row that the check found: in tests, whose connections may be the only ones
to see their data, with a session of the host's own, and after the thread has found none.

The first use of a token that replaces another one decides whether that may be replaced again. A thread of its own
writes it at once, and the request waits for it, for a second at most.
"""

import time
from collections.abc import Sequence
from contextlib import nullcontext
from contextvars import copy_context
from datetime import timedelta
from functools import partial
from threading import Thread

from flask import request
from sqlalchemy import Connection, Engine, event
from sqlalchemy.orm import Session, SessionTransaction
from sqlalchemy.pool import QueuePool, SingletonThreadPool, StaticPool

from .. import clock
from ..state import State
from .background import BackgroundWriter
from .connections import end_transaction, session_bind, session_connection, session_factory, session_of_context
from .direct import is_plain
from .lookup import Match, lookup
from .origin import origin_of
from .table import token_table
from .uses import MISSING, Use, commit_uses, count_failure, is_pending, remember, update_rows

_Batch = dict[str, tuple[Engine, Use]]

_SHARED_POOLS = (StaticPool, SingletonThreadPool)
"""Pools that may hand out a connection that is in use elsewhere at the same time."""

_MOST_USES = 10_000
"""Uses that may wait for the thread."""

_BATCH = 500
"""Uses that are written in one transaction."""

_LOCK_SECONDS = 10
"""Seconds for which the thread of a first use waits for a lock."""

_MOST_WAITED = 1
"""Seconds for which the request waits for that thread."""

_PENDING = "access_tokens_pending_uses"
"""The key in ``Session.info`` of uses that wait for the end of the session's transaction."""


def note_use(state: State, match: Match, *, from_here: bool = True) -> bool:
    """Note that a token was used where an update is due.

    :param from_here: whether this request comes from whoever used it, and not from a service that was asked.
    :return: False if the token was deleted since it was found, as an unused successor is when it is replaced.
    """
    token, moment = match.token, clock.now()
    newest = next(iter(match.candidates))
    rekeyed = None if match.scheme == newest else (newest, match.candidates[newest])
    due = moment - timedelta(seconds=state.config["ACCESS_TOKENS_LAST_USED_INTERVAL"])
    is_due = token.last_used_at is None or token.last_used_at <= due
    if not is_due and not rekeyed:
        return True
    noted = is_due and from_here and state.config["ACCESS_TOKENS_LAST_USED_FROM"] is True
    origin = origin_of(state, request) if noted else None
    use = Use(token.id, match.digest, moment, origin, due if is_due else None, rekeyed, match.schema_map)
    use.is_again = state.unwritten.get(token.id) == MISSING
    use.is_first = token.replaces is not None and token.last_used_at is None and token.id not in state.unwritten
    if use.is_first:
        remember(state, token.id, "")
    _write(state, use)
    return not use.is_first or use.outcome != MISSING or lookup(state, match.candidates) is not None


def _write(state: State, use: Use) -> None:
    """Let a thread write a use, or write it in the request; nothing is raised."""
    session = session_of_context(state)
    try:
        engine = _engine_of_thread(state, session, use)
        if engine is None or not (_write_first if use.is_first else _queue)(state, engine, use):
            _write_soon(state, session, use)
    except Exception as error:
        count_failure(state, error)


def _engine_of_thread(state: State, session: Session | None, use: Use) -> Engine | None:
    """Return the engine on which a thread finds the rows that this request finds; None if there may be none."""
    if state.app.testing or use.is_again or use.schema_map is not None:
        return None
    bind = session_bind(state, session_factory(state)() if session is None else session)
    if isinstance(bind, Connection) or isinstance(bind.pool, _SHARED_POOLS):
        return None
    return bind if is_plain(state, session, bind) else None


def _queue(state: State, engine: Engine, use: Use) -> bool:
    """Let the thread write a use, and return whether it does."""
    if state.writer is None or not state.writer.is_of_this_process:
        state.writer = BackgroundWriter(partial(_write_batch, state))
    return bool(state.writer.add(use.digest, (engine, use), _MOST_USES))


def _write_batch(state: State, batch: _Batch, wait: float = 0) -> _Batch:
    """Write uses in the thread, those on one engine together, and return those to try again."""
    left: _Batch = {}
    for engine in {engine for engine, _ in batch.values()}:
        uses = [use for each, use in batch.values() if each is engine]
        for start in range(0, len(uses), _BATCH):
            group = uses[start : start + _BATCH]
            try:
                _write_on(state, engine, group, wait)
            except Exception as error:
                count_failure(state, error)
            left |= {use.digest: (engine, use) for use in group if is_pending(state, use)}
    return left


def _write_first(state: State, engine: Engine, use: Use) -> bool:
    """Write a use in a thread of its own, for which the request waits a second at most.

    It waits longer for a lock, so that it has the row before anybody who would delete the token as unused.
    """

    def write() -> None:
        if _write_batch(state, {use.digest: (engine, use)}, _LOCK_SECONDS):
            _queue(state, engine, use)

    thread = Thread(target=write, name="flask_access_tokens", daemon=True)
    thread.start()
    thread.join(_MOST_WAITED)
    return True


def _write_on(state: State, engine: Engine, uses: Sequence[Use], wait: float) -> None:
    with engine.connect() as connection:
        pool = engine.pool
        if isinstance(pool, QueuePool) and 0 < pool.size() <= pool.checkedout():
            connection.detach()  # leaves the pool for good, which keeps no other: no request waits for it
        try:
            commit_uses(connection, token_table(state), uses, wait)
        except BaseException:
            connection.invalidate()
            for use in uses:
                use.outcome = ""
            raise


def _write_soon(state: State, session: Session | None, use: Use) -> None:
    """Write a use as soon as the host's session holds no connection; nothing is raised."""
    write = partial(_try_to_write, state, session, use)
    if session is None or not session.in_transaction():
        write()
        return
    # On one connection, which a test bound the session to, it is written at once and again after a rollback.
    if isinstance(session_bind(state, session), Connection):
        write()
    session.info.setdefault(_PENDING, []).append(partial(copy_context().run, write))
    if not event.contains(session, "after_transaction_end", _write_pending):
        event.listen(session, "after_transaction_end", _write_pending)


def _write_pending(session: Session, _: SessionTransaction) -> None:
    if _PENDING in session.info and not session.in_transaction():
        for write in session.info.pop(_PENDING):
            write()


def _try_to_write(state: State, session: Session | None, use: Use) -> None:
    """Write a use through the host's session, so that it sees what the check saw; without one, through a new one."""
    if time.monotonic() < state.updates_resume_at and not use.is_first:
        return
    try:
        with nullcontext(session) if session is not None else session_factory(state)() as used:
            _write_in(state, used, use)
        is_pending(state, use)  # if so, the next request writes it
    except Exception as error:
        count_failure(state, error)


def _write_in(state: State, session: Session, use: Use) -> None:
    bind = session_bind(state, session)
    if isinstance(bind, Connection):
        # A test bound the session to one connection, and ends its transaction itself.
        with bind.begin_nested() if bind.in_transaction() else bind.begin():
            update_rows(bind, token_table(state), [use])
        return
    if isinstance(bind.pool, QueuePool) and not bind.pool.checkedin() and bind.pool.checkedout() >= bind.pool.size():
        return  # every connection is in use, and requests need them more
    try:
        connection = session_connection(state, session)
        shared = isinstance(bind.pool, _SHARED_POOLS)
        if shared and connection.connection.driver_connection.in_transaction:  # type: ignore[union-attr]
            return  # the one connection of a database in memory, in the middle of a transaction
        if use.schema_map is not None:
            connection.execution_options(schema_translate_map=use.schema_map)
        commit_uses(connection, token_table(state), [use], _MOST_WAITED if use.is_first else 0)
    finally:
        end_transaction(session)
