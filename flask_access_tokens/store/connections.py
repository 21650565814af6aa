"""Connections to the database of the tokens, chosen by the host's session."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, Executable
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.orm import Session, scoped_session

from ..state import State
from .table import token_table

Result = TypeVar("Result")

Reader = Connection | Session
"""What executes a SELECT: the session, where the host may add to what it executes."""

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


def read(state: State, work: Callable[[Reader], Result]) -> Result:
    """Return what work reads with what it is given to execute SELECTs: they return what a query of the host's would.

    That is the host's session of this context, or one that is made like it and closed at the end. A transaction that
    the host began goes on; otherwise the session is left without one, so that a request never needs two connections.

    :raises StoreError: where the database cannot be used.
    """

    def run() -> Result:
        with _reading(state) as reader:
            return work(reader)

    return read_again(state, run)


def read_rows(state: State, statement: Executable) -> Sequence[Any]:
    """Return the rows of a SELECT, as :func:`read` reads them."""
    return read(state, lambda reader: reader.execute(statement).all())


def read_on_connection(state: State, work: Callable[[Connection], Result]) -> Result:
    """Return what work reads on the connection that :func:`read` reads on."""
    return read(state, lambda reader: work(connection_of(state, reader)))


def read_objects(state: State, work: Callable[[Session], Result]) -> Result:
    """Return what work loads through the host's session of this context, to which mapped objects then belong."""
    session = state.session()

    def run() -> Result:
        with _own_transaction(session), session.no_autoflush:
            return work(session)

    return read_again(state, run)


def read_again(state: State, load: Callable[[], Result]) -> Result:
    """Call what only reads, such as a loader of the host's, and once more if the server had closed the connection.

    A new one may work: at the first error, the pool drops all that are older. In a transaction that the host began
    before, which is over then, nothing is read again.
    """
    may_repeat = active_session(state) is None
    while True:
        try:
            return load()
        except DBAPIError as error:
            error.hide_parameters = True  # the digest and the owner, which the host may log
            if not (may_repeat and error.connection_invalidated):
                raise
        may_repeat, session = False, active_session(state)
        if session is not None:
            end_transaction(session)


def connection_of(state: State, reader: Reader) -> Connection:
    """Return the connection of what :func:`read` reads with."""
    return reader if isinstance(reader, Connection) else session_connection(state, reader)


@contextmanager
def _reading(state: State) -> Iterator[Reader]:
    session = session_of_context(state)
    if session is None:
        with session_factory(state)() as session, _own_transaction(session):
            yield _reader(state, session)
        return
    with _own_transaction(session), session.no_autoflush:
        yield _reader(state, session)


@contextmanager
def _own_transaction(session: Session) -> Iterator[None]:
    """Read in the transaction that a session is in, or in one that ends with the block."""
    if session.in_transaction():
        yield
        return
    session.begin()
    try:
        yield
    finally:
        end_transaction(session)


def _reader(state: State, session: Session) -> Reader:
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
