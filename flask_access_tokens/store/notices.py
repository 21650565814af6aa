"""Expiry notices: the tokens that are due one, and the mark in a row that it was sent."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Connection, and_, event, exists, or_, select, update
from sqlalchemy.orm import Session, aliased

from .. import clock
from ..state import State
from .batches import iter_where
from .connections import read_rows
from .entities import Token
from .rows import FURTHER, select_tokens, token_from_row
from .table import is_of_owner, of_owner, token_table
from .transactions import in_transaction


@dataclass(slots=True)
class Claim:
    """A token whose row says that its notice was sent, in a transaction that is still open and locks it."""

    token: Token
    days: int
    before: int | None
    """The last notice that was sent before, in days."""
    sent: bool = False
    """Set by the sender once the notice is sent."""
    committed: bool = False
    """Whether the sender has committed the transaction itself."""


def iter_due(state: State, windows: Collection[int]) -> Iterator[tuple[Token, int]]:
    """Iterate over the tokens that are due a notice, each with the window it has reached, in days."""
    moment = clock.now()
    for token in iter_where(state, _is_due(state, windows, moment)) if windows else ():
        days = _window_of(token, windows, moment)
        if days is not None:
            yield token, days


@contextmanager
def claim(state: State, token: Token, windows: Collection[int]) -> Iterator[Claim | None]:
    """Mark a notice as sent, and let the block send it before the mark is committed.

    A process that is killed in the block leaves no mark, because the database rolls the transaction back. Another one
    that comes at the same time skips the locked row. What the block writes through the host's session is committed
    together with the mark. Where the block raises, or does not set ``sent``, no mark stays.

    Yields None where the notice is not due any more, or another process has the row.

    :raises StoreError: where the database cannot be used.
    """
    session = state.session()
    if session.in_transaction():
        session.commit()  # in an older transaction, the row may be read as it was then

    def mark(connection: Connection) -> Claim | None:
        return _mark(connection, state, token, windows)

    # Only this is run again after a conflict: the block would send the notice twice.
    claimed = in_transaction(state, mark, commit=False)
    if claimed is None:
        session.rollback()
        yield None
        return

    def note_commit(committed: Session) -> None:
        if not committed.in_nested_transaction():
            claimed.committed = True

    event.listen(session, "after_commit", note_commit)
    try:
        yield claimed
        if claimed.sent:
            _keep(state, claimed)
        else:
            _release(state, claimed)
    except BaseException:
        _release(state, claimed)
        raise
    finally:
        event.remove(session, "after_commit", note_commit)


def _is_due(state: State, windows: Collection[int], moment: datetime) -> ColumnElement[bool]:
    """Return the condition that a token is due a notice."""
    columns, successor = token_table(state).c, aliased(state.model)
    reached = []
    start = moment
    for days in sorted(windows):
        end = moment + timedelta(days=days)
        later = and_(columns.noticed_days > days, columns.last_used_at.is_not(None))
        in_window = and_(columns.expires_at > start, columns.expires_at <= end)
        reached.append(and_(in_window, or_(columns.noticed_days.is_(None), later)))
        start = end
    return and_(or_(*reached), ~exists().where(successor.replaces == columns.id))


def _window_of(token: Token, windows: Collection[int], moment: datetime) -> int | None:
    """Return the shortest window that a token has reached, or None."""
    if token.expires_at is None or token.expires_at <= moment:
        return None
    left = token.expires_at - moment
    return min((days for days in windows if left <= timedelta(days=days)), default=None)


def _mark(connection: Connection, state: State, token: Token, windows: Collection[int]) -> Claim | None:
    """Lock the row of a token, and mark the notice that it is due now as sent; None where there is none."""
    table = token_table(state)
    same = and_(of_owner(state, token.owner_id), table.c.id == token.id)
    # Locked before it is read: on MariaDB, a transaction reads what was committed when it first read.
    locked = connection.execute(select(table.c.id).where(same).with_for_update(skip_locked=True)).first()
    row = next(iter(read_rows(state, select_tokens(state, "noticed_days").where(same))), None)
    if locked is None or row is None or not is_of_owner(row, token.owner_id):
        return None
    moment = clock.now()
    found, before = token_from_row(row, moment), row[FURTHER]
    days = _window_of(found, windows, moment)
    if days is None or found.replaced:
        return None
    if before is not None and (before <= days or found.last_used_at is None):
        return None
    connection.execute(update(table).where(same).values(noticed_days=days))
    return Claim(found, days, before)


def _keep(state: State, claimed: Claim) -> None:
    """Commit a mark; where the sender has rolled the session back, write it again."""
    noticed = token_table(state).c.noticed_days
    _write(state, claimed, or_(noticed.is_(None), noticed > claimed.days), claimed.days)


def _release(state: State, claimed: Claim) -> None:
    """Take a mark back. Only one that the sender has committed is written: any other may be another process's."""
    state.session().rollback()
    if claimed.committed:
        _write(state, claimed, token_table(state).c.noticed_days == claimed.days, claimed.before)


def _write(state: State, claimed: Claim, condition: ColumnElement[bool], days: int | None) -> None:
    def write(connection: Connection) -> None:
        table = token_table(state)
        same = and_(of_owner(state, claimed.token.owner_id), table.c.id == claimed.token.id, condition)
        connection.execute(update(table).where(same).values(noticed_days=days))

    in_transaction(state, write)
