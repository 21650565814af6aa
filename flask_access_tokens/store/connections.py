"""Connections to the database of the tokens, chosen by the host's session."""

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.orm import Session, scoped_session

from ..state import State, current_state
from .table import token_table

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")

StoreError = SQLAlchemyError
"""Raised where the database cannot be used; answered with 503."""

RETRY_AFTER = 2
"""Seconds after which a client that was answered 503 may try again."""


def session_of_context(state: State) -> Session | None:
    """Return the host's session of this context; None where it has none yet, and none is created."""
    scope = state.db.session
    # A class of the host's own may do more than keep sessions, and is always asked.
    if type(scope) is scoped_session and not scope.registry.has():
        return None
    return state.session()


def active_session(state: State) -> Session | None:
    """Return the host's session of this context if it is in a transaction; no session is created."""
    session = session_of_context(state)
    return session if session is not None and session.in_transaction() else None


def session_factory(state: State) -> Callable[[], Session]:
    """Return what makes the host's sessions, with their class, their binds and their listeners."""
    scope = state.db.session
    factory: Callable[[], Session] = (
        scope.session_factory if isinstance(scope, scoped_session) else state.db.sessionmaker
    )
    return factory


def session_connection(state: State, session: Session) -> Connection:
    """Return the connection that a session uses for the tokens, in its transaction."""
    if not session.in_transaction():
        session.begin()  # a host may have turned autobegin off
    return session.connection(bind_arguments=bind_arguments(state))


def end_transaction(session: Session) -> None:
    """End the transaction of a session that was begun here, and in which nothing is to be kept.

    ``commit`` and ``rollback`` would expire the host's objects and call its listeners.
    """
    transaction = session.get_transaction()
    if transaction is not None:
        try:
            transaction.close()
        except SQLAlchemyError:
            # A rollback that fails, as on a Galera node that was cut off, would keep the connection from the pool.
            transaction.close(invalidate=True)


def session_bind(state: State, session: Session) -> Engine | Connection:
    """Return the engine or connection to which a session would write the tokens."""
    return session.get_bind(**bind_arguments(state))


def bind_arguments(state: State) -> dict[str, Any]:
    """Return the arguments for ``Session.get_bind``.

    They describe an update, so that a session that reads from a replica returns the primary.
    """
    if state.bind_arguments is None:
        state.bind_arguments = {"mapper": state.model, "clause": token_table(state).update()}
    return state.bind_arguments


@contextmanager
def reading(state: State) -> Iterator[Connection | Session]:
    """Yield what to execute a SELECT with, so that it returns what a query of the host's would.

    It is the host's session of this context, or one that is made like it and closed at the end. A transaction that
    the host began goes on; otherwise the session is left without one, so that a request never needs two connections.
    """
    session = session_of_context(state)
    if session is None:
        with session_factory(state)() as session, own_transaction(session):
            yield _reader(state, session)
        return
    with own_transaction(session), session.no_autoflush:
        yield _reader(state, session)


@contextmanager
def reading_connection(state: State) -> Iterator[Connection]:
    """Yield the connection that :func:`reading` reads on."""
    with reading(state) as reader:
        yield connection_of(state, reader)


def connection_of(state: State, reader: Connection | Session) -> Connection:
    """Return the connection of what :func:`reading` yields."""
    return reader if isinstance(reader, Connection) else session_connection(state, reader)


def read_again(state: State, error: DBAPIError) -> bool:
    """Return whether to read again after an error: the server had closed the pooled connection.

    A new one may work. In a transaction of the host's, which is over then, nothing is read again.
    """
    return error.connection_invalidated and active_session(state) is None


def reads(operation: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """Decorate an operation that only reads, so that it is run once more on a new connection where that may work."""

    @wraps(operation)
    def run(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
        try:
            return operation(*args, **kwargs)
        except DBAPIError as error:
            if not read_again(current_state(), error):
                raise
        return operation(*args, **kwargs)

    return run


@contextmanager
def own_transaction(session: Session) -> Iterator[None]:
    """Read in the transaction that a session is in, or in one that ends with the block."""
    if session.in_transaction():
        yield
        return
    session.begin()
    try:
        yield
    finally:
        end_transaction(session)


def _reader(state: State, session: Session) -> Connection | Session:
    connection = session_connection(state, session)
    # A listener or a method of the host's may add criteria, such as the tenant's, to whatever the session executes.
    adds = session.dispatch.do_orm_execute or type(session).execute is not Session.execute
    return session if adds else connection


def error_summary(error: BaseException) -> str:
    """Return what a log may say of a database error: its type and the driver's first line, no SQL, no parameters."""
    cause = getattr(error, "orig", None) or error
    lines = str(cause).strip().splitlines() if cause is not error else []
    if not lines:
        return type(cause).__name__
    summary, parameters = f"{type(cause).__name__}: {lines[0]}", getattr(error, "params", None)
    for value in _strings(parameters):
        # A driver may quote what violates a constraint, such as a digest or an owner ID.
        summary = re.sub(rf"(?<!\w){re.escape(value)}(?!\w)", "…", summary)
    return summary


def _strings(parameters: Any) -> set[str]:
    """Return the strings among the parameters of a statement, or of several."""
    if isinstance(parameters, Mapping):
        parameters = parameters.values()
    elif not isinstance(parameters, (list, tuple)):
        return {parameters} if isinstance(parameters, str) and parameters else set()
    return {value for parameter in parameters for value in _strings(parameter)}
