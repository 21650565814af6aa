"""The filters of the operators' list: which tokens of all owners one shows."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Connection, and_, false, func, or_, true
from sqlalchemy.orm import Session

from .. import policy
from ..secret import hints_ending_in
from ..state import SCOPE, State
from .batches import BATCH
from .foreign_key import keeps_owners
from .owners import is_orphan
from .ranges import Range, Ranges, any_of
from .rows import is_expiring, of_exact_owner, parse_token_id
from .table import token_table

STATUSES = ("active", "expiring", "expired", "unused", "asleep", "no-expiration", "owner-gone")

_LIVE = ("active", "expiring", "asleep")
"""The statuses that only tokens have whose owner exists."""

ASLEEP = timedelta(days=90)
"""The time without a use after which a live token is asleep."""


@dataclass(frozen=True)
class Filter:
    """What narrows the list; a token is shown if it meets all of it. An empty text narrows nothing."""

    owner: str = ""
    """An owner ID."""
    status: str = ""
    """One of :data:`STATUSES`; any other text matches no token."""
    scope: str = ""
    """The name of a scope that a token has."""
    search: str = ""
    """An owner ID, a token ID, a hint, or the last 4 characters of a secret."""

    @property
    def empty(self) -> bool:
        """Whether it shows all tokens."""
        return self == Filter()


def statuses(state: State) -> tuple[str, ...]:
    """Return the statuses to filter by; ``owner-gone`` is one of them only with ``owner=``."""
    return STATUSES if state.owner is not None else STATUSES[:-1]


def shown_by(state: State, reader: Connection | Session, chosen: Filter, moment: datetime) -> Ranges:
    """Return the rows that a filter shows.

    They are in several ranges where the database would read each row for a single condition with OR.

    :param reader: reads which rows a collation of the host's takes for an owner's.
    """
    narrowed = by_row(state, reader, chosen)
    if narrowed is None or (chosen.status == "owner-gone" and keeps_owners(state, reader)):
        return Ranges([])
    if chosen.owner:
        mine = _of_owner(state, reader, chosen.owner)
        if mine is None:
            return Ranges([])
        narrowed.append(mine)
    if chosen.search:
        narrowed.append(or_(false(), *_found(state, reader, chosen.search)))
    times, narrow = by_time(state, reader, chosen, moment), chosen.owner != "" or chosen.search != ""
    if narrowed and not narrow and (few := _few(state, reader, chosen, times)):
        times, narrow = [few], True
    if narrowed:
        times = [Range(and_(one.condition, *narrowed)) for one in times]
    return Ranges(times, narrow)


def _few(state: State, reader: Connection | Session, chosen: Filter, times: Sequence[Range]) -> Range | None:
    """Return the rows with a status, by their IDs, where they are few; None where they are not.

    What else a filter asks is then asked of these rows alone. A database that expects many may ask it of every row.
    """
    if chosen.status in ("", "owner-gone") or not times:
        return None
    rows = reader.execute(any_of(state, times, BATCH + 1, state.model.id)).all()
    return None if len(rows) > BATCH else Range(token_table(state).c.id.in_([row[0] for row in rows]))


def by_time(state: State, reader: Connection | Session, chosen: Filter, moment: datetime) -> list[Range]:
    """Return the ranges of the rows that meet what a filter asks of the times of a token."""
    columns = token_table(state).c
    expires, used = columns.expires_at, columns.last_used_at
    live = expires.is_(None), expires > moment
    match chosen.status:
        case "" | "owner-gone":
            return [Range(true(), "created_at")]
        case "active":
            return [Range(each, "expires_at") for each in live]
        case "expiring":
            return [Range(is_expiring(state, reader, moment), "expires_at")]
        case "expired":
            return [Range(expires <= moment, "expires_at")]
        case "unused":
            return [Range(used.is_(None), "last_used_at")]
        case "asleep":
            before = moment - ASLEEP
            idle = used < before, and_(used.is_(None), columns.created_at < before)
            # By expiry, because tokens that expired long ago are the first by last use.
            return [Range(and_(one, each), "expires_at") for one in idle for each in live]
        case "no-expiration":
            return [Range(expires.is_(None), "expires_at")]
    return []


def by_row(state: State, reader: Connection | Session, chosen: Filter) -> list[ColumnElement[bool]] | None:
    """Return the conditions of a filter on the scopes and the owner's existence, for which a row is read.

    :return: None where no token can match.
    """
    found: list[ColumnElement[bool]] = []
    if chosen.scope:
        if not SCOPE.fullmatch(chosen.scope):
            return None
        found.append(_has_scope(state, chosen.scope))
    if chosen.status == "owner-gone":
        if state.owner is None:
            return None
        found.append(is_orphan(state))
    if chosen.status in _LIVE and state.owner is not None and not keeps_owners(state, reader):
        found.append(~is_orphan(state))
    return found


def _has_scope(state: State, scope: str) -> ColumnElement[bool]:
    # LIKE ignores case on SQLite.
    padded = " " + token_table(state).c.scopes + " "
    return func.replace(padded, f" {scope} ", "") != padded


def _found(state: State, reader: Connection | Session, search: str) -> list[ColumnElement[bool]]:
    """Return the conditions of which a token that a search finds meets one; none for a text that cannot be stored."""
    columns, token_id = token_table(state).c, parse_token_id(search)
    if policy.has_unsafe_characters(search):
        return []
    found: list[ColumnElement[bool]] = [columns.hint.in_(hints_ending_in(search, state.prefixes))]
    if token_id is not None:
        found.append(columns.id == token_id)
    mine = _of_owner(state, reader, search)
    return found if mine is None else [*found, mine]


def _of_owner(state: State, reader: Connection | Session, text: str) -> ColumnElement[bool] | None:
    """Return the condition that a token belongs to an owner; None for a text that is no owner ID."""
    try:
        return of_exact_owner(state, reader, policy.validate_owner_id(text))
    except ValueError:
        return None
