"""The lookup: the one SELECT by which the guard finds a token."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, Engine, bindparam, or_
from sqlalchemy.exc import DBAPIError, OperationalError

from .. import clock
from ..state import State
from .connections import active_session, session_bind, session_connection
from .entities import Token
from .rows import select_tokens, token_from_row, token_table


@dataclass(slots=True)
class Match:
    """A token found by its digest, with what the last-used update needs to know of its row."""

    token: Token
    digest: str = field(repr=False)
    scheme: str
    candidates: Mapping[str, str] = field(repr=False)
    """The digests of the secret by scheme, the one to store first."""
    bind: Engine | Connection = field(repr=False)


def lookup(state: State, candidates: Mapping[str, str]) -> Match | None:
    """Find a token, expired ones included, by the digests that its row may carry; one SELECT.

    It reads on the connection of the host's session where that holds one, so that a request never needs two, else on
    a short one of its own. A row is accepted only with the digest of its own scheme, compared in Python: the collation
    of a column does not decide.

    :param candidates: the digests by scheme.
    :return: the match; None where no row has such a digest.
    :raises StoreError: where the database cannot be used.
    """
    bind = session_bind(state)
    session = active_session(state)
    reader = bind if session is None else session_connection(state, session)
    row = _prepared(state, reader, len(candidates)).first(reader, list(candidates.values()))
    if row is None:
        return None
    digest, scheme = row[-2:]
    if candidates.get(scheme) != digest:
        return None
    return Match(token_from_row(row, clock.now()), digest, scheme, candidates, bind)


class Lookup:
    """The SELECT, compiled once for a dialect and a number of digests.

    On SQLite and PostgreSQL it runs on the pooled driver connection, which costs a fraction of SQLAlchemy's own
    execution. Where something of the host's would be skipped, or a connection is given, SQLAlchemy executes it.
    """

    def __init__(self, state: State, engine: Engine, count: int) -> None:
        dialect = engine.dialect
        digest = token_table(state).c.digest
        same = or_(*(digest == bindparam(name) for name in _parameters([""] * count)))
        self.statement = select_tokens(state, "digest", "scheme").where(same)
        self.sql = str(self.statement.compile(dialect=dialect))
        self.positional = dialect.positional
        types = [column.type.dialect_impl(dialect) for column in self.statement.selected_columns]
        processors = enumerate(kind.result_processor(dialect, None) for kind in types)
        self.processors = [(place, process) for place, process in processors if process is not None]
        self.direct = dialect.name in ("sqlite", "postgresql")
        # On PostgreSQL a transaction round one SELECT costs two more round trips; on SQLite it costs nothing.
        self.autocommit = dialect.name == "postgresql"

    def first(self, bind: Engine | Connection, digests: list[str]) -> Sequence[Any] | None:
        """Return the first row with one of these digests, read from an engine or a given connection."""
        if isinstance(bind, Connection):
            if bind.in_transaction():
                return self._first_executed(bind, digests)
            with bind.begin():
                return self._first_executed(bind, digests)
        direct = self.direct and not _needs_execution(bind)
        try:
            if direct:
                return self._first_directly(bind, digests)
            with bind.connect() as connection:
                return self._first_executed(connection, digests)
        except DBAPIError as error:
            error.hide_parameters = True
            if not error.connection_invalidated:
                raise
        # The database had closed the pooled connection; a new one may work.
        with bind.connect() as connection:
            return self._first_executed(connection, digests)

    def _first_executed(self, connection: Connection, digests: list[str]) -> Sequence[Any] | None:
        return connection.execute(self.statement, _parameters(digests)).first()

    def _first_directly(self, engine: Engine, digests: list[str]) -> list[Any] | None:
        dialect = engine.dialect
        driver_error = dialect.loaded_dbapi.Error
        try:
            pooled = engine.raw_connection()
        except driver_error as error:
            raise OperationalError(None, None, error) from None
        try:
            connection: Any = pooled.dbapi_connection
            if self.autocommit:
                dialect.set_isolation_level(connection, "AUTOCOMMIT")
            cursor = connection.cursor()
            cursor.execute(self.sql, digests if self.positional else _parameters(digests))
            row = cursor.fetchone()
            cursor.close()
            if self.autocommit:
                dialect.reset_isolation_level(connection)
            else:
                connection.rollback()  # a pool may be set up not to
        except BaseException as error:
            # Asked first: psycopg takes a connection that was closed here for one that the server closed.
            closed = isinstance(error, driver_error) and dialect.is_disconnect(error, connection, None)
            # Whatever interrupted it, a worker's time-out included, may have left the connection in AUTOCOMMIT.
            pooled.invalidate(error)
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


def _prepared(state: State, bind: Engine | Connection, count: int) -> Lookup:
    engine = bind.engine
    key = (engine.dialect, count)
    prepared: Lookup | None = state.lookups.get(key)
    if prepared is None:
        prepared = state.lookups[key] = Lookup(state, engine, count)
    return prepared


def _parameters(digests: list[str]) -> dict[str, str]:
    return {f"digest_{number}": digest for number, digest in enumerate(digests)}


def _needs_execution(engine: Engine) -> bool:
    """Return whether SQLAlchemy has to execute the statement: the host listens, logs, or has set execution options."""
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
