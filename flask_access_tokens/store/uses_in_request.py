"""Uses of tokens, written at the end of their request, as soon as the host's session holds no connection."""

import time
from contextvars import copy_context
from functools import partial

from sqlalchemy import Connection, event
from sqlalchemy.orm import Session, SessionTransaction
from sqlalchemy.pool import QueuePool

from ..state import State
from .connections import session_bind, session_factory
from .table import token_table
from .uses import Use, count_failure, update_rows, write_in_session

_PENDING = "access_tokens_pending_uses"
"""The key in ``Session.info`` of uses that wait for the end of the session's transaction."""


def write_soon(state: State, session: Session | None, use: Use) -> None:
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
    if time.monotonic() < state.updates_resume_at:
        return
    try:
        if session is not None:
            _write(state, session, use)
            return
        with session_factory(state)() as own:
            _write(state, own, use)
    except Exception as error:
        count_failure(state, error)


def _write(state: State, session: Session, use: Use) -> None:
    bind = session_bind(state, session)
    if isinstance(bind, Connection):
        # A test bound the session to one connection, and ends its transaction itself.
        with bind.begin_nested() if bind.in_transaction() else bind.begin():
            update_rows(bind, token_table(state), [use])
        return
    if isinstance(bind.pool, QueuePool) and not bind.pool.checkedin() and bind.pool.checkedout() >= bind.pool.size():
        return  # every connection is in use, and requests need them more
    write_in_session(state, session, use)
