"""The hall: every verb, all SQL and all commits.

Every statement that touches a row names its owner or its digest; the operator's three, :func:`prune`,
:func:`everyones` and :func:`count_by_scheme`, touch everybody's.
"""

import logging
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

from flask import g
from flask.globals import request_ctx
from sqlalchemy import (
    Connection,
    Engine,
    Select,
    Table,
    and_,
    bindparam,
    case,
    func,
    insert,
    or_,
    select,
    true,
    update,
)
from sqlalchemy import (
    delete as delete_from,
)
from sqlalchemy.exc import IntegrityError, OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as LockTimeout
from sqlalchemy.orm import Session, scoped_session, sessionmaker
from sqlalchemy.pool import QueuePool, SingletonThreadPool, StaticPool
from sqlalchemy.pool.base import ResetStyle

from . import policy
from . import secret as _secret
from .models import utc
from .policy import TokenRefused as TokenRefused
from .secret import Secret
from .signals import token_deleted, token_generated
from .state import FOREVER, State, current_state, logger
from .texts import gettext as _
from .texts import ngettext

MAX_NONCE = 32
EXPIRING_DAYS = 15
BATCH = 500

_COLUMNS = (
    "id",
    "owner_id",
    "name",
    "description",
    "scopes",
    "created_at",
    "expires_at",
    "last_used_at",
    "hint",
    "digest",
    "scheme",
)
_SHARING = (StaticPool, SingletonThreadPool)
"""Pools that may hand out a connection which is somebody else's at the same time."""


class _Unasked:
    """Stands for an owner that nobody has asked for; a class stays itself in a copy."""


class AlreadyGenerated(TokenRefused):
    """The same form was sent before: its token exists, and its secret was shown then."""


@dataclass(slots=True, eq=False)
class Token:
    """What may be known of a token; times are aware UTC."""

    id: uuid.UUID
    owner_id: str
    name: str
    description: str
    scopes: tuple[str, ...]
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None
    hint: str
    _digest: str = field(repr=False)
    _scheme: str = field(repr=False)
    _owner: Any = field(default=_Unasked, repr=False)

    @property
    def owner(self) -> Any:
        """The owner as the host's loader gives it, asked once; None where they are gone or disabled."""
        if self._owner is _Unasked:
            self._owner = current_state().load_owner(self.owner_id)
        return self._owner

    @property
    def expired(self) -> bool:
        """Whether the instant of expiry has come."""
        return self.expires_at is not None and now() >= self.expires_at

    @property
    def status(self) -> str:
        """One of active, expiring (within 15 days) and expired."""
        if self.expires_at is None:
            return "active"
        left = self.expires_at - now()
        if left <= timedelta(0):
            return "expired"
        return "expiring" if left <= timedelta(days=EXPIRING_DAYS) else "active"


class NewToken:
    """A token with its secret: the one moment the text exists. Its repr masks the secret."""

    __slots__ = ("_secret", "token")

    def __init__(self, token: Token, secret: Secret) -> None:
        self.token = token
        self._secret = secret

    @property
    def secret(self) -> str:
        """The text to hand to the client; it is stored nowhere."""
        return str(self._secret)

    def __repr__(self) -> str:
        return f"<NewToken {self.token.id} {self.token.hint}>"


@dataclass(frozen=True, slots=True)
class Match:
    """A token found by its digest, with what is needed to note its use."""

    token: Token
    digests: Mapping[str, str] = field(repr=False)
    bind: Engine | Connection = field(repr=False)


@dataclass(frozen=True, slots=True)
class Page:
    """One page of an owner's tokens, with the counts of all of them by status."""

    tokens: list[Token]
    matching: int
    number: int
    pages: int
    counts: dict[str, int]


def now() -> datetime:
    """The process's clock, in UTC."""
    return datetime.now(UTC)


def generate(
    owner_id: object,
    name: str,
    *,
    description: str = "",
    lifetime_days: int | None = None,
    scopes: Iterable[str] = (),
    nonce: str | None = None,
) -> NewToken:
    """Generate a token for an owner and commit it.

    :param owner_id: the host's id of the owner: int, UUID or text.
    :param name: one line of 1 to 100 characters.
    :param description: one line of at most 255 characters.
    :param lifetime_days: days until it expires; None takes the configured default, -1 never expires.
    :param scopes: names of declared scopes that this owner may grant.
    :param nonce: a text of at most 32 characters that makes one token at most.
    :return: the token and its secret.
    :raises TokenRefused: for a wish that cannot be granted; nothing is stored then.
    """
    if nonce is not None and not 0 < len(nonce) <= MAX_NONCE:
        raise ValueError(f"A nonce is a text of 1 to {MAX_NONCE} characters.")
    state = current_state()
    owner = policy.owner_key(owner_id)
    granted = policy.checked_scopes(owner, scopes)
    days = policy.default_lifetime() if lifetime_days is None else policy.checked_lifetime(lifetime_days)
    created = now()
    new = _draft(
        state,
        owner_id=owner,
        name=policy.checked_name(name),
        description=policy.checked_description(description),
        scopes=granted,
        created_at=created,
        expires_at=None if days == FOREVER else created + timedelta(days=days),
    )
    row = {key: getattr(new.token, key) for key in _COLUMNS[:9]}
    row |= {"owner_id": _owner_value(state, owner), "scopes": " ".join(granted), "nonce": nonce}
    row |= {"digest": new.token._digest, "scheme": new.token._scheme}
    try:
        with _writing(state) as connection:
            if nonce is not None and _seen(connection, state, owner, nonce):
                raise _already_generated()
            with _room_for_one_more(connection, state, owner):
                connection.execute(insert(_table(state)), row)
    except (IntegrityError, TokenRefused):
        # The same form may have come twice at once, and its twin took the last place.
        with _reading(state) as connection:
            twice = nonce is not None and _seen(connection, state, owner, nonce)
        if twice:
            raise _already_generated() from None
        raise
    token_generated.send(state.app, token=new.token)
    return new


def find(secret: str | Secret) -> Token | None:
    """The live token of a secret, or None: malformed, unknown, deleted and expired alike.

    Scopes, the feature flag and whether the owner may still act are for the caller to ask.
    """
    if not isinstance(secret, (str, Secret)):
        return None
    secret = Secret(str(secret))  # a crash reporter prints the locals of every frame
    state = current_state()
    if not _secret.recognise(str(secret), state.prefixes):
        return None
    match = read(state, _secret.digests(secret, state.peppers))
    return None if match is None or match.token.expired else match.token


def read(state: State, digests: Mapping[str, str]) -> Match | None:
    """The token that carries one of these digests by scheme, expired ones included; one SELECT.

    It reads on the connection of the host's session where that holds one, so that a request never needs two; else
    on a short one of its own. A row counts only under the scheme it names: equality in Python is exact.
    """
    bind = _bind(state)
    session = _begun_session(state)
    reader = bind if session is None else session.connection(bind_arguments=_bind_arguments(state))
    row = _lookup(state, reader, len(digests)).first(reader, list(digests.values()))
    if row is None or digests.get(row[10]) != row[9]:
        return None
    return Match(_token(row), digests, bind)


def owned_by(owner_id: object) -> list[Token]:
    """Every token of an owner, the newest first."""
    state = current_state()
    columns = _table(state).c
    statement = _select(state).where(columns.owner_id == _owner_value(state, policy.owner_key(owner_id)))
    with _reading(state) as connection:
        rows = connection.execute(statement.order_by(columns.created_at.desc(), columns.id)).all()
    return [_token(row) for row in rows]


def get(owner_id: object, token_id: object) -> Token | None:
    """One token of an owner, or None where they have none of this id."""
    state = current_state()
    wanted = _id(token_id)
    if wanted is None:
        return None
    with _reading(state) as connection:
        return _owned(connection, state, policy.owner_key(owner_id), wanted)


def delete(owner_id: object, token_id: object) -> bool:
    """Delete one token of an owner and commit; False where they have none of this id. It counts at once."""
    state = current_state()
    owner, wanted = policy.owner_key(owner_id), _id(token_id)
    if wanted is None:
        return False
    columns = _table(state).c
    mine = and_(columns.owner_id == _owner_value(state, owner), columns.id == wanted)
    token = get(owner, wanted)
    if token is None:
        return False
    with _writing(state) as connection:
        gone = connection.execute(delete_from(_table(state)).where(mine)).rowcount == 1
    if gone:
        token_deleted.send(state.app, token=token)
    return gone


def delete_all(owner_id: object) -> int:
    """Delete every token of an owner and commit; returns how many there were."""
    state = current_state()
    columns = _table(state).c
    mine = columns.owner_id == _owner_value(state, policy.owner_key(owner_id))
    with _reading(state) as connection:
        rows = connection.execute(_select(state).where(mine)).all()
    if not rows:
        return 0
    with _writing(state) as connection:
        count = connection.execute(delete_from(_table(state)).where(mine)).rowcount
    for row in rows:
        token_deleted.send(state.app, token=_token(row))
    return count


def prune(expired_days: int = 30, *, dry_run: bool = False) -> int:
    """Delete the tokens that expired more than so many days ago, in batches; returns how many.

    :param expired_days: whole days from 0.
    :param dry_run: count them only.
    :raises ValueError: where ``expired_days`` is negative or no whole number.
    """
    if type(expired_days) is not int or not 0 <= expired_days <= policy.MAX_DAYS:
        raise ValueError(f"expired_days is {expired_days!r}. Give a whole number of days from 0 to {policy.MAX_DAYS}.")
    state = current_state()
    columns = _table(state).c
    old = columns.expires_at < now() - timedelta(days=expired_days)
    if dry_run:
        with _reading(state) as connection:
            return connection.execute(select(func.count()).select_from(_table(state)).where(old)).scalar_one()
    pruned = 0
    while True:
        with _writing(state) as connection:
            rows = connection.execute(_select(state).where(old).limit(BATCH)).all()
            chosen = and_(columns.id.in_([row[0] for row in rows]), old)
            pruned += connection.execute(delete_from(_table(state)).where(chosen)).rowcount if rows else 0
        for row in rows:
            token_deleted.send(state.app, token=_token(row))
        if len(rows) < BATCH:
            return pruned


def everyones() -> Iterator[Token]:
    """Every token of every owner, for the operator; read in batches, so that no connection is held between them."""
    state = current_state()
    columns = _table(state).c
    statement = _select(state).order_by(columns.owner_id, columns.id).limit(BATCH)
    after: Any = true()
    while True:
        with _reading(state) as connection:
            rows = connection.execute(statement.where(after)).all()
        for row in rows:
            yield _token(row)
        if len(rows) < BATCH:
            return
        last = rows[-1]
        after = or_(columns.owner_id > last[1], and_(columns.owner_id == last[1], columns.id > last[0]))


def count_by_scheme() -> dict[str, int]:
    """How many rows were stored under each scheme, so that a pepper is dropped only when nothing needs it."""
    state = current_state()
    scheme = _table(state).c.scheme
    with _reading(state) as connection:
        rows = connection.execute(select(scheme, func.count()).group_by(scheme)).all()
    return {row[0]: row[1] for row in rows}


def page(
    owner_id: object,
    *,
    search: str = "",
    status: str = "",
    sort: str = "",
    number: int = 1,
    size: int = 25,
) -> Page:
    """One page of an owner's tokens; live ones stand before expired ones.

    :param search: a part of the name; case does not matter.
    :param status: active, expiring, expired or unused; anything else is all of them.
    :param sort: name, created, expires or used, with ``-`` before it to turn it round; newest first where empty.
    :param number: the page, from 1; one past the end gives the last.
    :param size: tokens on a page.
    """
    state = current_state()
    table, moment = _table(state), now()
    columns = table.c
    mine = columns.owner_id == _owner_value(state, policy.owner_key(owner_id))
    expired = columns.expires_at <= moment
    soon = moment + timedelta(days=EXPIRING_DAYS)
    tests = {
        "active": or_(columns.expires_at.is_(None), columns.expires_at > soon),
        "expiring": and_(columns.expires_at > moment, columns.expires_at <= soon),
        "expired": expired,
        "unused": columns.last_used_at.is_(None),
    }
    keys = {
        "name": func.lower(columns.name),
        "created": columns.created_at,
        "expires": columns.expires_at,
        "used": columns.last_used_at,
    }
    wanted = keys.get(sort.removeprefix("-"), columns.created_at)
    turned = sort not in keys
    # NULL is "never": later than any date of expiry, earlier than any use. Databases disagree on where NULLs go.
    never = case((wanted.is_(None), 1 if sort.removeprefix("-") == "expires" else -1), else_=0)
    order = [
        case((expired, 1), else_=0),
        never.desc() if turned else never,
        wanted.desc() if turned else wanted,
        columns.id,
    ]
    where = and_(mine, tests[status]) if status in tests else mine
    with _reading(state) as connection:
        counted = connection.execute(
            select(
                func.count().label("all"),
                *(func.count(case((test, 1))).label(key) for key, test in tests.items()),
            ).where(mine)
        )
        counts: dict[str, int] = dict(counted.mappings().one())
        if search:
            # In Python, because databases fold the case of ASCII only, or of everything, or of nothing.
            found = connection.execute(select(columns.id, columns.name).where(where).order_by(*order)).all()
            ids = [row[0] for row in found if search.casefold() in row[1].casefold()]
            matching = len(ids)
        else:
            matching = counts.get(status, counts["all"])
        pages = max(1, -(-matching // size))
        number = min(max(1, number), pages)
        start = (number - 1) * size
        statement = _select(state).where(where).order_by(*order)
        if search:
            statement = statement.where(columns.id.in_(ids[start : start + size]))
        else:
            statement = statement.offset(start).limit(size)
        rows = connection.execute(statement).all()
    return Page([_token(row) for row in rows], matching, number, pages, counts)


# Rows and tokens


def _id(token_id: object) -> uuid.UUID | None:
    if isinstance(token_id, uuid.UUID):
        return token_id
    try:
        return uuid.UUID(str(token_id))
    except ValueError:
        return None


def _draft(state: State, **values: Any) -> NewToken:
    secret = _secret.make(state.prefixes[0])
    scheme, digest = next(iter(_secret.digests(secret, state.peppers).items()))
    token = Token(
        id=uuid.uuid4(),
        last_used_at=None,
        hint=_secret.hint(secret),
        _digest=digest,
        _scheme=scheme,
        **values,
    )
    return NewToken(token, secret)


def _token(row: Sequence[Any]) -> Token:
    """The one place where a row becomes a token."""
    (
        id_,
        owner_id,
        name,
        description,
        scopes,
        created_at,
        expires_at,
        last_used_at,
        hint,
        digest,
        scheme,
    ) = row
    return Token(
        id_,
        str(owner_id),
        name,
        description,
        tuple(scopes.split(" ")) if scopes else (),
        utc(created_at),
        expires_at and utc(expires_at),
        last_used_at and utc(last_used_at),
        hint,
        digest,
        scheme,
    )


def _table(state: State) -> Table:
    table: Table = state.model.__table__  # type: ignore[attr-defined]
    return table


def _select(state: State) -> Select[Any]:
    return select(*(_table(state).c[key] for key in _COLUMNS))


def _owner_value(state: State, owner: str) -> Any:
    """An owner id as the host's column wants it."""
    try:
        kind = _table(state).c.owner_id.type.python_type
    except NotImplementedError:
        return owner
    if kind is not int and kind is not uuid.UUID:
        return owner
    try:
        value = kind(owner)
    except ValueError:
        value = None
    # int() and UUID() take several spellings of one id; 64 bits are what every database holds.
    if str(value) != owner or (isinstance(value, int) and value.bit_length() > 63):
        raise ValueError(f"Owner id {owner!r} does not fit the column owner_id, which holds {kind.__name__}.")
    return value


def _owned(connection: Connection, state: State, owner: str, token_id: uuid.UUID) -> Token | None:
    columns = _table(state).c
    statement = _select(state).where(columns.owner_id == _owner_value(state, owner), columns.id == token_id)
    row = connection.execute(statement).first()
    return None if row is None else _token(row)


def _seen(connection: Connection, state: State, owner: str, nonce: str) -> bool:
    columns = _table(state).c
    statement = select(columns.id).where(columns.owner_id == _owner_value(state, owner), columns.nonce == nonce)
    return connection.execute(statement).first() is not None


def _already_generated() -> AlreadyGenerated:
    return AlreadyGenerated(
        _("This token was already generated. Its secret was shown once and cannot be shown again.")
    )


# Connections


def _begun_session(state: State) -> Session | None:
    """The host's session of this context where it is at work; none is made for the asking."""
    scope = state.db.session
    if isinstance(scope, scoped_session) and not scope.registry.has():
        return None
    session = state.session()
    return session if session.in_transaction() else None


def _bind(state: State) -> Engine | Connection:
    """Where the tokens live: the bind on which the host's session would write them."""
    arguments = _bind_arguments(state)
    scope = state.db.session
    factory = getattr(scope, "session_factory", None)
    if not isinstance(factory, sessionmaker) or scope.registry.has():
        return state.session().get_bind(**arguments)
    # A session made and closed for each request would cost more than the SELECT, so one is kept to be asked.
    kept = state.asked_session
    if kept is None or kept[0] is not factory or kept[1] != factory.kw:
        kept = state.asked_session = (factory, dict(factory.kw), factory())
    return kept[2].get_bind(**arguments)


def _bind_arguments(state: State) -> dict[str, Any]:
    """What a session is asked for its bind with: an update, so that one that reads from a replica says the primary."""
    if state.bind_arguments is None:
        state.bind_arguments = {"mapper": state.model, "clause": _table(state).update()}
    return state.bind_arguments


@contextmanager
def _reading(state: State) -> Iterator[Connection]:
    """A connection to read on: the one the host's session holds, else a short one, given back at once."""
    session = _begun_session(state)
    if session is not None:
        yield session.connection(bind_arguments=_bind_arguments(state))
        return
    bind = _bind(state)
    if isinstance(bind, Connection):
        if bind.in_transaction():
            yield bind
        else:
            with bind.begin():
                yield bind
        return
    with bind.connect() as connection:
        yield connection


@contextmanager
def _writing(state: State) -> Iterator[Connection]:
    """The connection of the host's session, committed at the end: one connection a request, and foreign keys hold.

    A refused wish neither commits nor rolls back what the host began; an error rolls it back.
    """
    session = state.session()
    joined = session.in_transaction()
    try:
        session.flush()  # an owner whom the host has just added is there before their token
        yield session.connection(bind_arguments=_bind_arguments(state))
        session.commit()
    except BaseException as error:
        if not (joined and isinstance(error, TokenRefused)):
            session.rollback()
        raise


@contextmanager
def _room_for_one_more(connection: Connection, state: State, owner: str) -> Iterator[None]:
    """Hold the owner's limit while a token is added: others who want to add one wait.

    It is exact at the default isolation levels; a PostgreSQL transaction at REPEATABLE READ counts what it saw first.
    """
    limit = state.config["ACCESS_TOKENS_MAX_PER_OWNER"]
    if limit == FOREVER:
        yield
        return
    table = _table(state)
    live = select(table.c.id).where(
        table.c.owner_id == _owner_value(state, owner),
        or_(table.c.expires_at.is_(None), table.c.expires_at > now()),
    )
    # First without a lock, so that the usual refusal takes none.
    _refuse_beyond(limit, connection, live)
    name = f"{connection.engine.url.database}.{table.fullname}"
    if connection.dialect.name in ("mysql", "mariadb"):
        lock = f"access_tokens.{sha256(name.encode()).hexdigest()[:32]}"
        if connection.execute(select(func.get_lock(lock, 5))).scalar() != 1:
            raise LockTimeout("Nobody could count the tokens of this owner: others are being generated.")
        try:
            # A locking read, because a plain one may see a snapshot from before the lock.
            _refuse_beyond(limit, connection, live.with_for_update())
            yield
        finally:
            # Before the commit, which may give the connection away: the rows stay locked until then.
            connection.execute(select(func.release_lock(lock)))
        return
    if connection.dialect.name == "postgresql":
        key = int.from_bytes(sha256(f"{name}:{owner}".encode()).digest()[:8], signed=True)
        connection.execute(select(func.pg_advisory_xact_lock(key)))
    else:
        # An update of nothing takes SQLite's write lock.
        nothing = and_(table.c.owner_id == _owner_value(state, owner), table.c.digest == "")
        connection.execute(update(table).where(nothing).values(digest=""))
    _refuse_beyond(limit, connection, live)
    yield


def _refuse_beyond(limit: int, connection: Connection, live: Select[Any]) -> None:
    held = len(connection.execute(live).all())
    if held >= limit:
        raise TokenRefused(
            ngettext(
                "You already have %(num)s token, the most allowed. Delete it first.",
                "You already have %(num)s tokens, the most allowed. Delete one first.",
                held,
            )
        )


class _Lookup:
    """The SELECT of the check, compiled once for one dialect and number of digests.

    It runs on the pooled driver connection: SQLAlchemy's own way costs several times as much. Where anybody listens
    to statements (echo, tracing, a schema map), or where the connection was given, it goes SQLAlchemy's way.
    """

    def __init__(self, state: State, engine: Engine, count: int) -> None:
        dialect = engine.dialect
        digest = _table(state).c.digest
        names = self._named([""] * count)
        self.statement = _select(state).where(or_(*(digest == bindparam(name) for name in names)))
        compiled = self.statement.compile(dialect=dialect)
        self.sql = str(compiled)
        # Where a driver takes parameters by place, they stand in the order of the digests: nothing else is bound.
        self.order = compiled.positiontup
        types = [column.type.dialect_impl(dialect) for column in self.statement.selected_columns]
        processors = enumerate(kind.result_processor(dialect, None) for kind in types)
        self.processors = [(place, process) for place, process in processors if process is not None]
        # On PostgreSQL a transaction round one SELECT costs two more round trips; on SQLite it costs nothing.
        self.autocommit = dialect.name == "postgresql"

    @staticmethod
    def _named(digests: list[str]) -> dict[str, str]:
        return {f"digest_{number}": digest for number, digest in enumerate(digests)}

    def first(self, bind: Engine | Connection, digests: list[str]) -> Sequence[Any] | None:
        if isinstance(bind, Engine) and not _observed(bind):
            try:
                return self._direct(bind, digests)
            except _StaleConnection:
                pass
        params = self._named(digests)
        if isinstance(bind, Engine):
            with bind.connect() as connection:
                return connection.execute(self.statement, params).first()
        if bind.in_transaction():
            return bind.execute(self.statement, params).first()
        with bind.begin():
            return bind.execute(self.statement, params).first()

    def _direct(self, engine: Engine, digests: list[str]) -> list[Any] | None:
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
            cursor.execute(self.sql, digests if self.order else self._named(digests))
            row = cursor.fetchone()
            cursor.close()
            if self.autocommit:
                dialect.reset_isolation_level(connection)
        except BaseException as error:
            # Asked first: psycopg takes a connection that was closed here for one that the server closed.
            stale = isinstance(error, driver_error) and dialect.is_disconnect(error, connection, None)
            # Whatever broke off (a timeout of the worker's, too) may have left it in AUTOCOMMIT, or in mid-answer.
            pooled.invalidate(error)
            if not isinstance(error, driver_error):
                raise
            if stale:
                raise _StaleConnection from None
            raise OperationalError(self.sql, None, error) from None
        finally:
            pooled.close()
        if row is None:
            return None
        values = list(row)
        for place, process in self.processors:
            values[place] = process(values[place])
        return values


class _StaleConnection(Exception):
    """The pool gave a connection that the database had closed; a new one may do."""


def _lookup(state: State, bind: Engine | Connection, count: int) -> _Lookup:
    engine = bind.engine
    key = (engine.dialect, count)
    lookup: _Lookup | None = state.lookups.get(key)
    if lookup is None:
        lookup = state.lookups[key] = _Lookup(state, engine, count)
    return lookup


def _observed(engine: Engine) -> bool:
    """Whether a statement must go SQLAlchemy's way: somebody listens, or nobody ends the driver's transaction."""
    return (
        getattr(engine, "_has_events", True)
        or getattr(engine.dialect, "_has_events", True)
        or engine.logger.isEnabledFor(logging.INFO)
        or bool(engine.get_execution_options())
        or engine.pool._reset_on_return is not ResetStyle.reset_rollback
    )


# The stamp


@dataclass(frozen=True, slots=True)
class _Use:
    """A use of a token that its row does not show yet."""

    engine: Engine | Connection
    digest: str
    stamp_before: datetime | None
    stored: tuple[str, str] | None
    """The digest's scheme and value under the newest pepper, where the row is under an older one."""


def remember_use(state: State, match: Match) -> None:
    """Note that a token was used, to be written once the response's work is done.

    At most one stamp an interval: the row that was read tells whether one is due.
    """
    token = match.token
    newest = next(iter(match.digests))
    stored = None if token._scheme == newest else (newest, match.digests[newest])
    due = now() - timedelta(seconds=state.config["ACCESS_TOKENS_LAST_USED_INTERVAL"])
    stamp = token.last_used_at is None or token.last_used_at <= due
    if stamp or stored:
        use = _Use(match.bind, token._digest, due if stamp else None, stored)
        g.setdefault("_access_token_uses", []).append(use)


def write_uses(error: BaseException | None = None) -> None:
    """Write the uses of this context, each in a short transaction of its own; nothing is raised.

    Called when the host's session has given its connection back.
    """
    for use in g.pop("_access_token_uses", ()):
        state = current_state()
        if time.monotonic() < state.stamps_resume_at:
            return
        try:
            _write_use(_table(state), use)
        except Exception as failed:
            _count_failed_stamp(state, failed)


def write_uses_of_outer_context(error: BaseException | None = None) -> None:
    """Write the uses now where the application context outlives the request, as it does in many test suites.

    Flask 3.1 then tears nothing down after the request. Its request context alone knows who pushed the other one.
    """
    pushed = getattr(request_ctx, "_cv_tokens", None)
    if pushed and pushed[0][1] is None:
        write_uses()


def _write_use(table: Table, use: _Use) -> None:
    bind = use.engine
    if isinstance(bind, Connection):
        # A test bound the session to one connection: its transaction is not ours to end.
        with bind.begin_nested() if bind.in_transaction() else bind.begin():
            _stamp(bind, table, use)
        return
    if isinstance(bind.pool, QueuePool) and not bind.pool.checkedin() and bind.pool.checkedout() >= bind.pool.size():
        return  # every connection is at work: requests need them more
    with bind.connect() as connection:
        if isinstance(bind.pool, _SHARING) and connection.connection.driver_connection.in_transaction:  # type: ignore[union-attr]
            return  # the one connection of an in-memory database, in the middle of somebody's work
        with _short_waits(connection):
            _stamp(connection, table, use)
            connection.commit()


def _stamp(connection: Connection, table: Table, use: _Use) -> None:
    row = table.c.digest == use.digest
    values: dict[str, Any] = {}
    if use.stamp_before is not None:
        row = and_(row, or_(table.c.last_used_at.is_(None), table.c.last_used_at <= use.stamp_before))
        values["last_used_at"] = now()
    if use.stored is not None:
        values["scheme"], values["digest"] = use.stored
    # Whoever holds the row delays nobody.
    free = select(table.c.id).where(row).with_for_update(skip_locked=True)
    if connection.dialect.name == "sqlite" or connection.execute(free).first() is not None:
        connection.execute(update(table).where(row).values(values))


@contextmanager
def _short_waits(connection: Connection) -> Iterator[None]:
    """Let a lock delay a stamp by a fraction of a second at most, and leave the connection as it was."""
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


def _count_failed_stamp(state: State, error: Exception) -> None:
    """One line a minute, however many fail, and a pause, so that a broken stamp costs the requests nothing."""
    state.failed_stamps += 1
    moment = time.monotonic()
    state.stamps_resume_at = moment + 1
    if moment - state.stamps_logged_at >= 60:
        state.stamps_logged_at = moment
        count = state.failed_stamps
        logger.warning("Last-used times are not being written (%s); %d failed so far.", failure(error), count)


StoreError = SQLAlchemyError
"""What the doors catch to answer 503."""

RETRY_AFTER = 2
"""Seconds after which they ask a caller to try again."""


def failure(error: BaseException) -> str:
    """What a log line may say of a store's error: no SQL, no parameters."""
    cause = getattr(error, "orig", None) or error
    said = str(cause).strip().splitlines() if cause is not error else []
    return f"{type(cause).__name__}: {said[0]}" if said else type(cause).__name__
