"""The driver's connection, for the one SELECT of the check, where the host's session adds nothing to it."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from flask_sqlalchemy.session import Session as BindKeySession
from sqlalchemy import Dialect, Engine, Select
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session, scoped_session, sessionmaker

from ..state import State
from .connections import session_bind

_PLAIN_OPTIONS = {"autoflush", "bind", "db", "expire_on_commit", "info", "query_cls"}
"""Options of a session factory that change nothing of what a SELECT returns."""

_SESSION_EVENTS = ("after_begin", "after_transaction_create", "do_orm_execute")
"""The events of a session in which a host may change what a SELECT returns."""

_KNOWN_DRIVERS = ("pysqlite", "psycopg", "psycopg2")

_IDLE = 0
"""The transaction status of a connection without a transaction, in psycopg and psycopg2 (libpq's PQTRANS_IDLE)."""


def plain_engine(state: State) -> Engine | None:
    """Return the engine of the tokens where nothing of the host's stands between its session and the driver.

    Where the host has begun to use its session, has a session class, an option or a listener of its own, logs
    statements or maps schemas, the answer is None: the session itself has to read then. Listeners of the pool do not
    matter, because a connection that is checked out passes them in any case.
    """
    scope = state.db.session
    if type(scope) is not scoped_session or scope.registry.has():
        return None
    return _engine_without_listeners(state)


def is_plain(state: State, session: Session | None, bind: Engine) -> bool:
    """Return whether another thread, without the context of this request, would find the same rows on an engine.

    :param session: the host's session of this context, if it has one.
    """
    if session is not None and _has_listeners(session):
        return False
    return _engine_without_listeners(state) is bind and not bind.pool.dispatch.checkout


def reads_alike(state: State) -> bool:
    """Return whether a read finds the same rows at any time of a request, because no listener chooses a tenant."""
    engine = _engine(state)
    if engine is None:
        return False
    return not (engine.dispatch.engine_connect or engine.dispatch.begin or engine.pool.dispatch.checkout)


def _engine_without_listeners(state: State) -> Engine | None:
    engine = _engine(state)
    return None if engine is None or _is_observed(engine) else engine


def _engine(state: State) -> Engine | None:
    """Return the engine of the tokens; None where the host's session may choose another, or other rows."""
    scope = state.db.session
    session = _idle_session(state, scope.session_factory) if type(scope) is scoped_session else None
    if session is None or _has_listeners(session):
        return None
    engine = session_bind(state, session)
    return engine if isinstance(engine, Engine) else None


def _idle_session(state: State, factory: Any) -> Session | None:
    """Return a session of the factory that is only asked about itself; None where it is not Flask-SQLAlchemy's own."""
    plain = (
        type(factory) is sessionmaker
        and factory.class_.__bases__ == (BindKeySession,)
        and factory.kw.keys() <= _PLAIN_OPTIONS
        and factory.kw.get("bind") is None
    )
    if not plain:
        return None
    if state.idle_session is None or not isinstance(state.idle_session, factory.class_):
        state.idle_session = factory()
    return state.idle_session


def _has_listeners(session: Session) -> bool:
    return any(getattr(session.dispatch, name) for name in _SESSION_EVENTS)


def _is_observed(engine: Engine) -> bool:
    events, dialect_events = engine.dispatch, engine.dialect.dispatch
    return bool(
        events.before_cursor_execute
        or events.after_cursor_execute
        or events.before_execute
        or events.after_execute
        or events.engine_connect
        or events.begin
        or dialect_events.do_execute
        or dialect_events.handle_error
        or engine.echo
        or engine.get_execution_options()
    )


class DirectSelect:
    """A SELECT, compiled once for a dialect, that runs on a connection of the driver from the engine's pool.

    :param dialect: one that has connected.
    :param names: the parameters that are passed with it, in their order; it is not usable where it has others.
    """

    def __init__(self, statement: Select[Any], dialect: Dialect, names: Iterable[str]) -> None:
        compiled = statement.compile(dialect=dialect)
        self.sql = str(compiled)
        # Further parameters come from expressions of the host's, which only SQLAlchemy converts and expands.
        self.usable = set(compiled.params) == set(names) and dialect.driver in _KNOWN_DRIVERS
        self.positional = dialect.positional
        types = [column.type.dialect_impl(dialect) for column in statement.selected_columns]
        processors = enumerate(kind.result_processor(dialect, None) for kind in types)
        self.processors = [(place, process) for place, process in processors if process is not None]
        # On PostgreSQL a transaction round one SELECT costs two more round trips; on SQLite it costs nothing.
        self.autocommit = dialect.name == "postgresql"

    def first(self, engine: Engine, parameters: Mapping[str, Any]) -> Sequence[Any] | None:
        """Return the first row.

        :raises OperationalError: where the driver raises an error; its ``connection_invalidated`` tells whether the
            server had closed the connection.
        """
        dialect = engine.dialect
        driver_error = dialect.loaded_dbapi.Error
        try:
            pooled = engine.raw_connection()
        except driver_error as error:
            raise OperationalError(None, None, error) from None
        try:
            connection: Any = pooled.dbapi_connection
            # Not where a listener of the pool has begun a transaction, in which its settings may stand.
            autocommit = self.autocommit and not connection.autocommit and connection.info.transaction_status == _IDLE
            if autocommit:
                connection.autocommit = True
            cursor = connection.cursor()
            cursor.execute(self.sql, list(parameters.values()) if self.positional else parameters)
            row = cursor.fetchone()
            cursor.close()
            if autocommit:
                connection.autocommit = False
            else:
                connection.rollback()  # a pool may be set up not to
        except BaseException as error:
            # Asked first: psycopg takes a connection that was closed here for one that the server closed.
            closed = isinstance(error, driver_error) and dialect.is_disconnect(error, connection, None)
            # Whatever interrupted it, a worker's time-out included, may have left the connection in autocommit.
            pooled.invalidate()  # without the error, which the pool would log with all that the driver says
            if not isinstance(error, driver_error):
                raise
            raise OperationalError(self.sql, None, error, connection_invalidated=closed) from None
        finally:
            pooled.close()
        if row is None:
            return None
        values = list(row)
        for place, process in self.processors:
            values[place] = process(values[place])
        return values
