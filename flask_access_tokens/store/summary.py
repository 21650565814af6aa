"""What the question before a deletion says of the tokens: how many, whose, and how recently used."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sqlalchemy import and_

from ..state import State
from .connections import reading, reads
from .desk import filtered
from .entities import Token
from .filters import Filter, shown_by
from .ranges import Range, count_of, counted
from .table import token_table

RECENTLY = timedelta(days=7)
"""A token that was used within this time is probably still needed."""

OWNERS_NAMED = 5


@dataclass(frozen=True)
class Summary:
    """What an operator should know of tokens before they are deleted. ``MOST_COUNTED + 1`` stands for more."""

    number: int
    owner_ids: list[str]
    """Some of the owners; all, where ``owners`` is no greater than their number."""
    owners: int
    """The number of owners of the tokens that were counted."""
    last_used: Token | None
    """The token that was used last; None where none was used."""
    used_recently: int
    """The number of tokens that were used within the last 7 days."""


def summary(state: State, chosen: Filter | Sequence[Token], moment: datetime) -> Summary:
    """Return what the question before the deletion of tokens says.

    :param chosen: a filter, for all that it shows, or the tokens themselves.
    :param moment: the time at which the filter applies, aware.
    :raises StoreError: where the database cannot be used.
    """
    if isinstance(chosen, Filter):
        return _of_filter(state, chosen, moment)
    used = [token for token in chosen if token.last_used_at is not None]
    last_used = max(used, key=lambda token: token.last_used_at or moment, default=None)
    recently = [token for token in used if token.last_used_at and token.last_used_at > moment - RECENTLY]
    owner_ids = sorted({token.owner_id for token in chosen})
    return Summary(len(chosen), owner_ids[:OWNERS_NAMED], len(owner_ids), last_used, len(recently))


@reads
def _of_filter(state: State, chosen: Filter, moment: datetime) -> Summary:
    with reading(state) as reader:
        shown = shown_by(state, reader, chosen, moment)
        if not shown.ranges:
            return Summary(0, [], 0, None, 0)
        owners = reader.execute(counted(state, shown, state.model.owner_id)).all()
        recent = token_table(state).c.last_used_at > moment - RECENTLY
        lately = [Range(and_(recent, one.condition), one.first and "last_used_at") for one in shown.ranges]
        used_recently = count_of(state, reader, replace(shown, ranges=lately))
    first = filtered(state, chosen, sort="-used", size=1, moment=moment).tokens
    owner_ids = sorted({str(row[0]) for row in owners})
    last_used = first[0] if first and first[0].last_used_at is not None else None
    return Summary(len(owners), owner_ids[:OWNERS_NAMED], len(owner_ids), last_used, used_recently)
