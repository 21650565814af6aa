"""Connections to the database of the tokens, chosen by the host's session."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from flask_sqlalchemy.session import Session as BindKeySession
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session, scoped_session, sessionmaker

from ..policy import TokenRefused
from ..state import State
from .rows import token_table

StoreError = SQLAlchemyError
"""Raised where the database cannot be used; answered with 503."""

RETRY_AFTER = 2
"""Seconds after which a client that was answered 503 may try again."""


def active_session(state: State) -> Session | None:
    """Return the host's session of this context if it is in a transaction; no session is created."""
    scope = state.db.session
    if isinstance(scope, scoped_session) and not scope.registry.has():
        return None
    session = state.session()
    return session if session.in_transaction() else None


def session_bind(state: State) -> Engine | Connection:
    """Return the engine or connection to which the host's session would write the tokens."""
    scope = state.db.session
    if not isinstance(scope, scoped_session):
        return state.session().get_bind(**bind_arguments(state))
    factory = scope.session_factory
    if isinstance(factory, sessionmaker) and factory.class_.get_bind is BindKeySession.get_bind:
        # Flask-SQLAlchemy's own session chooses by table, among engines that never change.
        if state.engine is None:
            state.engine = factory().get_bind(**bind_arguments(state))
        return state.engine
    # One that is only asked: in the scope it would have to be closed again.
    session: Session = state.session() if scope.registry.has() else factory()
    return session.get_bind(**bind_arguments(state))


def session_connection(state: State, session: Session) -> Connection:
    """Return the connection that a session uses for the tokens, in its transaction."""
    return session.connection(bind_arguments=bind_arguments(state))


def bind_arguments(state: State) -> dict[str, Any]:
    """Return the arguments for ``Session.get_bind``.

    They describe an update, so that a session that reads from a replica returns the primary.
    """
    if state.bind_arguments is None:
        state.bind_arguments = {"mapper": state.model, "clause": token_table(state).update()}
    return state.bind_arguments


@contextmanager
def reading(state: State) -> Iterator[Connection]:
    """Yield a connection to read from: the session's own if it has one, else a short-lived one.

    A request therefore never needs two connections.
    """
    session = active_session(state)
    if session is not None:
        yield session_connection(state, session)
        return
    bind = session_bind(state)
    if isinstance(bind, Engine):
        with bind.connect() as connection:
            yield connection
    elif bind.in_transaction():
        yield bind
    else:
        with bind.begin():
            yield bind


@contextmanager
def writing(state: State) -> Iterator[Connection]:
    """Yield the connection of the host's session, and commit the session at the end.

    A refused request neither commits nor rolls back what the host began; any other error rolls it back.
    """
    session = state.session()
    began_before = session.in_transaction()
    try:
        session.flush()  # an owner whom the host has just added has to be there before their token
        yield session_connection(state, session)
        session.commit()
    except BaseException as error:
        if not (began_before and isinstance(error, TokenRefused)):
            session.rollback()
        raise


def error_summary(error: BaseException) -> str:
    """Return what a log may say of a database error: its type and the driver's first line, no SQL, no parameters."""
    cause = getattr(error, "orig", None) or error
    lines = str(cause).strip().splitlines() if cause is not error else []
    return f"{type(cause).__name__}: {lines[0]}" if lines else type(cause).__name__
