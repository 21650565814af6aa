"""What the question before a deletion says of the tokens: how many, whose, and how recently used."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sqlalchemy import and_, select

from ..state import State
from .connections import Reader, read
from .desk import MOST_COUNTED, count_of, filtered
from .entities import Token
from .filters import Filter, condition_of
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
        found = read(state, lambda reader: _of_filter(state, reader, chosen, moment))
        first = filtered(state, chosen, sort="-used", size=1, moment=moment).tokens
        return replace(found, last_used=first[0] if first and first[0].last_used_at is not None else None)
    used = [token for token in chosen if token.last_used_at is not None]
    last_used = max(used, key=lambda token: token.last_used_at or moment, default=None)
    recently = [token for token in used if token.last_used_at and token.last_used_at > moment - RECENTLY]
    owner_ids = sorted({token.owner_id for token in chosen})
    return Summary(len(chosen), owner_ids[:OWNERS_NAMED], len(owner_ids), last_used, len(recently))


def _of_filter(state: State, reader: Reader, chosen: Filter, moment: datetime) -> Summary:
    """Return the summary of what a filter shows, without the token that was used last."""
    shown = condition_of(state, reader, chosen, moment)
    owners = reader.execute(select(state.model.owner_id).where(shown).limit(MOST_COUNTED + 1)).all()
    used_recently = count_of(state, reader, and_(shown, token_table(state).c.last_used_at > moment - RECENTLY))
    owner_ids = sorted({str(row[0]) for row in owners})
    return Summary(len(owners), owner_ids[:OWNERS_NAMED], len(owner_ids), None, used_recently)
