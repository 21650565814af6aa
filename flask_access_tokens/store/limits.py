"""The limit: how many live tokens an owner may hold."""

from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from typing import Any

from sqlalchemy import Connection, Select, and_, func, or_, select, update
from sqlalchemy.exc import TimeoutError as LockTimeout

from .. import clock
from ..policy import TokenRefused
from ..state import UNLIMITED, State
from ..texts import ngettext
from .connections import reading
from .table import is_of_owner, of_owner, token_table

_LOCK_SECONDS = 5


@contextmanager
def enforce_limit(connection: Connection, state: State, owner_id: str) -> Iterator[None]:
    """Enforce an owner's limit while a token is added; concurrent additions for the same owner wait.

    The limit is exact at the default isolation levels; a PostgreSQL transaction at REPEATABLE READ counts what it saw
    first.

    :raises TokenRefused: where the owner holds as many tokens as allowed.
    """
    limit = state.config["ACCESS_TOKENS_MAX_PER_OWNER"]
    if limit == UNLIMITED:
        yield
        return
    table = token_table(state)
    mine = of_owner(state, owner_id)
    model = state.model
    live = select(model.id, model.owner_id).where(
        mine, or_(table.c.expires_at.is_(None), table.c.expires_at > clock.now())
    )
    # First without a lock, so that the usual refusal takes none.
    _refuse_beyond(limit, state, owner_id, live)
    name = f"{connection.engine.url.database}.{table.fullname}"
    if connection.dialect.name in ("mysql", "mariadb"):
        lock = f"access_tokens.{sha256(name.encode()).hexdigest()[:32]}"
        if connection.execute(select(func.get_lock(lock, _LOCK_SECONDS))).scalar() != 1:
            raise LockTimeout("The tokens of this owner could not be counted: others are being generated.")
        try:
            # A locking read, because a plain one may see a snapshot from before the lock.
            _refuse_beyond(limit, state, owner_id, live.with_for_update())
            yield
        finally:
            # Before the commit, which may give the connection away: the rows stay locked until then.
            connection.execute(select(func.release_lock(lock)))
        return
    if connection.dialect.name == "postgresql":
        key = int.from_bytes(sha256(f"{name}:{owner_id}".encode()).digest()[:8], signed=True)
        connection.execute(select(func.pg_advisory_xact_lock(key)))
    else:
        # An update of no row takes SQLite's write lock.
        connection.execute(update(table).where(and_(mine, table.c.digest == "")).values(digest=""))
    _refuse_beyond(limit, state, owner_id, live)
    yield


def _refuse_beyond(limit: int, state: State, owner_id: str, live: Select[Any]) -> None:
    with reading(state) as reader:
        held = sum(is_of_owner(row, owner_id) for row in reader.execute(live))
    if held >= limit:
        raise TokenRefused(
            ngettext(
                "You already have %(num)s token, the most allowed. Delete it first.",
                "You already have %(num)s tokens, the most allowed. Delete one first.",
                held,
            )
        )
