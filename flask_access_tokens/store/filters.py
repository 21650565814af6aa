"""The filters of the operators' list: which tokens of all owners one shows."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, and_, false, func, or_, true

from .. import policy
from ..models import owner_column
from ..secret import hints_ending_in
from ..state import SCOPE, State
from .connections import Reader, connection_of
from .owners import is_orphan
from .rows import is_expiring, of_exact_owner, parse_token_id
from .table import token_table

STATUSES = ("active", "expiring", "expired", "unused", "asleep", "no-expiration", "owner-gone")

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


def condition_of(state: State, reader: Reader, chosen: Filter, moment: datetime) -> ColumnElement[bool]:
    """Return the condition of the rows that a filter shows.

    :param reader: reads which rows a collation of the host's takes for an owner's.
    :param moment: the time at which the filter applies, aware.
    """
    met = [_has_status(state, reader, chosen.status, moment)]
    if chosen.owner:
        met.append(_of_owner(state, reader, chosen.owner))
    if chosen.scope:
        met.append(_has_scope(state, chosen.scope))
    if chosen.search:
        met.append(or_(false(), *_found(state, reader, chosen.search)))
    return and_(*met)


def _has_status(state: State, reader: Reader, status: str, moment: datetime) -> ColumnElement[bool]:
    columns = token_table(state).c
    expires, used, before = columns.expires_at, columns.last_used_at, moment - ASLEEP
    live = or_(expires.is_(None), expires > moment)
    orphaned = _is_orphaned(state, reader)
    match status:
        case "":
            return true()
        case "active":
            return and_(live, ~orphaned)
        case "expiring":
            return and_(is_expiring(state, reader, moment), ~orphaned)
        case "expired":
            return expires <= moment
        case "unused":
            return used.is_(None)
        case "asleep":
            return and_(live, or_(used < before, and_(used.is_(None), columns.created_at < before)), ~orphaned)
        case "no-expiration":
            return expires.is_(None)
        case "owner-gone":
            return orphaned
    return false()


def _is_orphaned(state: State, reader: Reader) -> ColumnElement[bool]:
    """Return the condition that an owner is gone; none is looked for where a foreign key deletes their tokens."""
    if state.owner is None:
        return false()
    keyed = token_table(state).c.owner_id.references(owner_column(state.owner))
    # SQLite enforces it only on connections that say so.
    return false() if keyed and connection_of(state, reader).dialect.name != "sqlite" else is_orphan(state)


def _has_scope(state: State, scope: str) -> ColumnElement[bool]:
    if not SCOPE.fullmatch(scope):
        return false()
    # LIKE ignores case on SQLite.
    padded = " " + token_table(state).c.scopes + " "
    return func.replace(padded, f" {scope} ", "") != padded


def _found(state: State, reader: Reader, search: str) -> list[ColumnElement[bool]]:
    """Return the conditions of which a token that a search finds meets one; none for a text that cannot be stored."""
    columns, token_id = token_table(state).c, parse_token_id(search)
    if policy.has_unsafe_characters(search):
        return []
    found = [columns.hint.in_(hints_ending_in(search, state.prefixes)), _of_owner(state, reader, search)]
    return found if token_id is None else [*found, columns.id == token_id]


def _of_owner(state: State, reader: Reader, text: str) -> ColumnElement[bool]:
    try:
        return of_exact_owner(state, reader, policy.validate_owner_id(text))
    except ValueError:  # it is no owner ID
        return false()
