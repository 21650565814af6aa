"""Uses of tokens that their rows do not show yet, the statements that write them, and what became of them."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from math import ceil
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Table, or_, select, text, update
from sqlalchemy.exc import IntegrityError

from ..state import State, logger
from .connections import error_summary, read_on_connection
from .direct import is_plain
from .table import token_table
from .transactions import begin, savepoint

WRITTEN, MISSING = "written", "missing"
"""What became of a use. It is missing if the update finds no row: the token was deleted, or is hidden from it."""

_PAUSE_SECONDS = 1
_KEEP_SECONDS = 60
_MOST_REMEMBERED = 10_000
_LOG_SECONDS = 60


@dataclass(slots=True)
class Use:
    """A use of a token."""

    token_id: UUID
    digest: str
    moment: datetime
    origin: str | None
    """From where the token was used; None where that is not to be stored, which erases an earlier one."""
    due: datetime | None
    """The row is updated if it was last used at this time or before; None where only the digest is to change."""
    newest: tuple[str, str] | None
    """Scheme and digest under the newest pepper, where the row is under an older one."""
    schema_map: Mapping[Any, Any] | None
    """The schemas that the check read from, where the host maps them for a transaction."""
    is_first: bool = False
    """Whether it is the first use of a token that replaces another, which then cannot be replaced again."""
    is_again: bool = False
    """Whether the use before it is missing, although the check found the row again."""
    outcome: str = ""
    noted_at: float = field(default_factory=time.monotonic)


def try_update(state: State) -> bool:
    """Execute the statements of an update for a digest that no row has, and roll back.

    :return: False if there are tokens, but row-level security hides all of them from such an update.
    :raises StoreError: where last-used times cannot be written.
    """
    table = token_table(state)

    def write_nothing(connection: Connection) -> bool:
        if connection.dialect.name != "sqlite":
            connection.execute(select(table.c.digest).where(table.c.digest == "").with_for_update(skip_locked=True))
        connection.execute(update(table).where(table.c.digest == "").values(last_used_at=None, last_used_from=None))
        if connection.dialect.name != "postgresql" or not is_plain(state, None, connection.engine):
            return True  # the command line has no tenant that a listener could set
        secured = text("SELECT row_security_active(:name) AND pg_relation_size(to_regclass(:name)) > 0")
        name = connection.dialect.identifier_preparer.format_table(table)
        found = select(table.c.digest).limit(1).with_for_update(skip_locked=True)
        return not connection.scalar(secured, {"name": name}) or connection.scalar(found) is not None

    return read_on_connection(state, write_nothing)


def commit_uses(connection: Connection, table: Table, uses: Sequence[Use], wait: float = 0) -> None:
    """Write uses in the rows of their tokens, and commit.

    :param wait: seconds for which a locked row is waited for; without any, it is skipped.
    """
    with short_waits(connection, wait):
        update_rows(connection, table, uses, wait)
        connection.commit()


def update_rows(connection: Connection, table: Table, uses: Sequence[Use], wait: float = 0) -> None:
    """Write uses in the rows of their tokens, and note in each what becomes of it."""
    digests = {use.digest for use in uses}
    locked = digests
    if connection.dialect.name != "sqlite":
        rows = select(table.c.digest).where(table.c.digest.in_(digests)).with_for_update(skip_locked=not wait)
        locked = set(connection.scalars(rows))
    updated = {use.digest for use in uses if use.digest in locked and _update(connection, table, use)}
    left = digests - updated
    if left:  # another process wrote the same use, or has locked the row, or there is none to be seen
        left -= set(connection.scalars(select(table.c.digest).where(table.c.digest.in_(left))))
    for use in uses:
        use.outcome = MISSING if use.digest in left else WRITTEN if use.digest in locked else ""


def _update(connection: Connection, table: Table, use: Use) -> bool:
    """Write a use in its row, and return whether that was needed."""
    same, count = table.c.digest == use.digest, 0
    if use.due is not None:
        # No value twice: two uses of one token, written at once, may both find it due.
        due = or_(table.c.last_used_at.is_(None), table.c.last_used_at <= use.due)
        written = update(table).where(same, due).values(last_used_at=use.moment, last_used_from=use.origin)
        count = connection.execute(written).rowcount
    if use.newest is not None:
        scheme, digest = use.newest
        # Where it was adopted twice, as a digest and as text, the other row has the digest.
        with suppress(IntegrityError), savepoint(connection):
            count += connection.execute(update(table).where(same).values(scheme=scheme, digest=digest)).rowcount
    return count > 0


@contextmanager
def short_waits(connection: Connection, wait: float = 0) -> Iterator[None]:
    """Let a lock delay the block by a fraction of a second at most, and leave the connection as it was.

    On PostgreSQL its commit waits neither for the disk nor for a standby: what a crash may lose is the time of a use.

    :param wait: seconds for which a lock may delay it instead.
    """
    name, run, most = connection.dialect.name, connection.exec_driver_sql, wait or 0.1
    if name == "postgresql":
        begin(connection)
        run(f"SET LOCAL lock_timeout = {most * 1000:.0f}")
        run("SET LOCAL synchronous_commit = off")
    elif name == "sqlite":
        restore = f"PRAGMA busy_timeout = {run('PRAGMA busy_timeout').scalar()}"
        run(f"PRAGMA busy_timeout = {most * 1000:.0f}")
    elif name in ("mysql", "mariadb"):
        setting = "SET SESSION lock_wait_timeout = {}, innodb_lock_wait_timeout = {}"
        restore = setting.format(*run("SELECT @@lock_wait_timeout, @@innodb_lock_wait_timeout").one())
        run(setting.format(ceil(most), ceil(most)))
        begin(connection)
    try:
        yield
    finally:
        if name in ("sqlite", "mysql", "mariadb"):
            connection.rollback()
            run(restore)


def is_pending(state: State, use: Use) -> bool:
    """Return whether to try again to write a use, and remember one that cannot be written.

    The first use of a successor is tried until it is written, others for a minute.
    """
    if use.outcome == WRITTEN:
        if not use.is_again:
            state.unwritten.pop(use.token_id, None)
        return False
    if use.outcome != MISSING and (use.is_first or time.monotonic() - use.noted_at < _KEEP_SECONDS):
        return True
    remember(state, use.token_id, MISSING)
    if use.is_again:
        state.warn_once(
            "The last use of the token %s is not written: the check finds its row, and the update does not. Set the"
            " tenant or role in an after_begin listener of the session, and keep what it reads until the application"
            " context ends. This is logged once.",
            use.token_id,
        )
    return False


def remember(state: State, token_id: UUID, outcome: str) -> None:
    """Remember that a use of a token is not written."""
    if len(state.unwritten) >= _MOST_REMEMBERED:
        state.unwritten.pop(next(iter(state.unwritten)), None)
    state.unwritten[token_id] = outcome


def count_failure(state: State, error: Exception) -> None:
    """Log at most one line a minute, and pause, so that a failing update costs the requests nothing."""
    state.failed_updates += 1
    moment = time.monotonic()
    state.updates_resume_at = moment + _PAUSE_SECONDS
    if moment - state.failure_logged_at >= _LOG_SECONDS:
        state.failure_logged_at = moment
        message = "Last-used times are not being written (%s); %d failed so far."
        logger.warning(message, error_summary(error), state.failed_updates)
