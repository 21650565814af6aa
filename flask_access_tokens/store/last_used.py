"""The last-used update: noted in a request, and written after it, at most once an interval for each token.

A thread of the process writes it, so that no trouble of the database's delays a request. It is written in the request
itself where that thread would not see what the request sees: in tests, whose connections may be the only ones to see
their data, and with a session that has listeners of its own.
"""

import time
from collections.abc import Callable
from contextvars import Context, copy_context
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

from flask import Response, request
from sqlalchemy import Connection, Engine
from sqlalchemy.orm import Session
from sqlalchemy.pool import QueuePool

from .. import clock
from ..state import State, at_the_end
from .background import BackgroundWriter
from .connections import session_bind, session_connection, session_factory, session_of_context
from .direct import has_listeners_like, is_plain
from .lookup import Match
from .origin import origin_of
from .table import token_table
from .uses import SHARED_POOLS, Use, count_failure, short_waits, update_rows, write_in_session
from .uses_in_request import write_soon

_KEEP_SECONDS = 60
_MOST_USES = 10_000
_MOST_CONTEXTS = 100
"""A context keeps its request in memory."""

_BATCH = 500
"""Uses that are written in one transaction."""


@dataclass(slots=True)
class _Noted:
    """A use that waits for the thread, to be written on an engine, or in a session and context like the request's."""

    use: Use
    since: float
    engine: Engine | None = None
    session: Session | None = None
    context: Context | None = None


def note_use(state: State, match: Match, *, from_here: bool = True) -> None:
    """Note that a token was used, to be written after the request where an update is due.

    :param from_here: whether this request comes from whoever used it, and not from a service that was asked.
    """
    last, moment = match.token.last_used_at, clock.now()
    newest = next(iter(match.candidates))
    rekeyed = None if match.scheme == newest else (newest, match.candidates[newest])
    due = moment - timedelta(seconds=state.config["ACCESS_TOKENS_LAST_USED_INTERVAL"])
    is_due = last is None or last <= due
    if is_due or rekeyed:
        noted = is_due and from_here and state.config["ACCESS_TOKENS_LAST_USED_FROM"] is True
        origin = origin_of(state, request) if noted else None
        use = Use(match.digest, moment, origin, due if is_due else None, rekeyed, match.schema_map)
        at_the_end(request, partial(_finish, state, use))


def _finish(state: State, use: Use, _: Response) -> None:
    session = session_of_context(state)
    try:
        left = not state.app.testing and _leave_to_thread(state, session, use)
    except Exception as error:
        count_failure(state, error)
        return
    if not left:
        write_soon(state, session, use)


def _leave_to_thread(state: State, session: Session | None, use: Use) -> bool:
    """Let the thread write a use, and return whether it does."""
    own = session_factory(state)()
    bind = session_bind(state, own if session is None else session)
    if isinstance(bind, Connection) or isinstance(bind.pool, SHARED_POOLS):
        return False
    noted = _Noted(use, time.monotonic())
    if use.schema_map is None and is_plain(state, session, bind):
        noted.engine = bind
    else:
        if session is not None:
            if not has_listeners_like(session, own):
                return False
            own.info.update(session.info)
        # The host's listeners may read the tenant from the request, which is over by then.
        noted.session, noted.context = own, copy_context()
    if state.writer is None or not state.writer.is_of_this_process:
        state.writer = BackgroundWriter(partial(_write_batch, state))
    writer: BackgroundWriter = state.writer
    return writer.add(use.digest, noted, _MOST_USES if noted.engine else _MOST_CONTEXTS)


def _write_batch(state: State, batch: dict[str, _Noted]) -> dict[str, _Noted]:
    """Write uses in the thread, those on one engine together, and return those to try again."""
    left: dict[str, _Noted] = {}
    for engine in {noted.engine for noted in batch.values() if noted.engine is not None}:
        keys = [key for key, noted in batch.items() if noted.engine is engine]
        for start in range(0, len(keys), _BATCH):
            group = {key: batch[key] for key in keys[start : start + _BATCH]}
            left |= _try_group(state, group, partial(_write_on_engine, state, engine, group))
    for key, noted in batch.items():
        if noted.session is not None and noted.context is not None:
            write = partial(noted.context.run, _write_alone, state, noted.session, noted.use)
            left |= _try_group(state, {key: noted}, write)
    return left


def _try_group(state: State, group: dict[str, _Noted], write: Callable[[], None]) -> dict[str, _Noted]:
    try:
        write()
    except Exception as error:
        count_failure(state, error)
        moment = time.monotonic()
        return {key: noted for key, noted in group.items() if moment - noted.since < _KEEP_SECONDS}
    return {}


def _write_on_engine(state: State, engine: Engine, group: dict[str, _Noted]) -> None:
    with engine.connect() as connection:
        _leave_pool(connection)
        try:
            with short_waits(connection):
                update_rows(connection, token_table(state), [noted.use for noted in group.values()])
                connection.commit()
        except BaseException:
            connection.invalidate()
            raise


def _write_alone(state: State, session: Session, use: Use) -> None:
    with session:
        _leave_pool(session_connection(state, session))
        write_in_session(state, session, use)


def _leave_pool(connection: Connection) -> None:
    """Take a connection out of its pool for good where the pool keeps no other, so that no request waits for it."""
    pool = connection.engine.pool
    if isinstance(pool, QueuePool) and 0 < pool.size() <= pool.checkedout():
        connection.detach()
