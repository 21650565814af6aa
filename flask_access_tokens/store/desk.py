"""The operators' list: the tokens of all owners, filtered and sorted, page by page, and how many there are."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Connection, and_, func, or_, select
from sqlalchemy.orm import Session

from .. import clock
from ..state import State
from .batches import BATCH
from .connections import connection_of, reading, reads
from .entities import Token
from .filters import Filter, by_row, by_time, shown_by, statuses
from .order import Key, Order, key_of, order_of, parse_key
from .ranges import MOST_COUNTED, Range, all_of, any_of, count_of, number_of
from .rows import select_tokens, token_from_row
from .table import token_table

_NEARBY = 5_000
"""Tokens that are read in the order of an index before all matching tokens are sorted instead."""

_OVERVIEW = ("active", "expiring", "asleep", "no-expiration", "owner-gone")


@dataclass(frozen=True)
class Listing:
    """One page of the operators' list."""

    tokens: list[Token]
    after: str
    """The key of the next page, for its URL; empty where there is none."""
    matching: int
    """The number of tokens that the filter shows, as :func:`count` returns it."""


@reads
def filtered(
    state: State,
    chosen: Filter,
    *,
    sort: str = "",
    after: str = "",
    size: int = 25,
    moment: datetime | None = None,
) -> Listing:
    """Return one page of the tokens that a filter shows.

    :param sort: one of :data:`.order.SORTS`; for any other text, the order that is usual for the status.
    :param after: the key of the page, as the listing of the page before has it; for any other text, the first page.
    :param size: the number of tokens on a page.
    :param moment: the time at which the filter applies, aware; now, unless given.
    :raises StoreError: where the database cannot be used.
    """
    moment = moment or clock.now()
    with reading(state) as reader:
        pages = _Pages(state, reader, chosen, order_of(sort, chosen.status), moment)
        keys, matching = pages.first(parse_key(after), size + 1)
        shown = keys[:size]
        tokens = _by_ids(state, reader, [key.id for key in shown], moment)
    return Listing(tokens, str(shown[-1]) if len(keys) > size else "", matching)


@reads
def count(state: State, chosen: Filter, moment: datetime | None = None) -> int:
    """Return how many tokens a filter shows, at most ``MOST_COUNTED + 1``, which stands for more.

    :param moment: the time at which the filter applies, aware; now, unless given.
    :raises StoreError: where the database cannot be used.
    """
    with reading(state) as reader:
        return count_of(state, reader, shown_by(state, reader, chosen, moment or clock.now()))


@reads
def overview(state: State) -> dict[str, int]:
    """Return how many tokens there are of each status that operators look for, counted as :func:`count` does.

    :raises StoreError: where the database cannot be used.
    """
    moment, offered = clock.now(), statuses(state)
    names = [name for name in _OVERVIEW if name in offered]
    with reading(state) as reader:
        numbers = [number_of(state, shown_by(state, reader, Filter(status=name), moment)) for name in names]
        return dict(zip(names, reader.execute(select(*numbers)).one(), strict=True))


@reads
def chosen_tokens(state: State, ids: Sequence[UUID]) -> list[Token]:
    """Return tokens of any owners by their IDs, in this order, without those that are not there.

    :raises StoreError: where the database cannot be used.
    """
    moment, unique = clock.now(), list(dict.fromkeys(ids))
    with reading(state) as reader:
        batches = (unique[start : start + BATCH] for start in range(0, len(unique), BATCH))
        return [token for batch in batches for token in _by_ids(state, reader, batch, moment)]


def _by_ids(state: State, reader: Connection | Session, ids: Sequence[UUID], moment: datetime) -> list[Token]:
    if not ids:
        return []
    rows = reader.execute(select_tokens(state).where(token_table(state).c.id.in_(ids))).all()
    by_id = {row[0]: token_from_row(row, moment) for row in rows}
    return [by_id[id_] for id_ in ids if id_ in by_id]


@dataclass
class _Pages:
    """The pages of the list, as the keys of their tokens."""

    state: State
    reader: Connection | Session
    chosen: Filter
    order: Order
    moment: datetime

    def first(self, after: Key | None, number: int) -> tuple[list[Key], int]:
        """Return the first keys after one, and how many tokens the filter shows."""
        shown = shown_by(self.state, self.reader, self.chosen, self.moment)
        matching = count_of(self.state, self.reader, shown)
        if not matching:
            return [], 0
        stretches = self.order.stretches(self.state, after)
        sorts_all = shown.narrow or matching <= MOST_COUNTED
        found = None if sorts_all else self._by_index(stretches, number)
        return (self._sorted(shown.ranges, stretches, number) if found is None else found), matching

    def _by_index(self, stretches: Sequence[ColumnElement[bool]], number: int) -> list[Key] | None:
        """Read keys in the order of an index; None where that finds too few among many tokens of which few match."""
        times = by_time(self.state, self.reader, self.chosen, self.moment)
        decided = not by_row(self.state, self.reader, self.chosen)
        found: list[Key] = []
        for stretch in stretches:
            ranges = [Range(and_(stretch, one.condition)) for one in times]
            missing = number - len(found)
            if decided:
                found += self._read(any_of(self.state, ranges, missing, *self._columns(), order=self.order))
            else:
                found += self._nearby(ranges, missing)
            if len(found) == number:
                break
            if not decided and self._reaches(ranges):
                return None
        return found

    def _nearby(self, ranges: Sequence[Range], number: int) -> list[Key]:
        """Read the keys of those that match among a limited number of tokens."""
        # Scopes and owners are in no index of the order: only the rows that it finds are joined with the table.
        near = any_of(self.state, ranges, _NEARBY, *self._columns(), order=self.order).subquery()
        rows = select(*self._columns(near.c)).join(self.state.model, self.state.model.id == near.c.id)
        rows = rows.where(*by_row(self.state, self.reader, self.chosen) or ())
        return self._read(rows.order_by(*self.order.by(near.c)).limit(number))

    def _reaches(self, ranges: Sequence[Range]) -> bool:
        rows = any_of(self.state, ranges, _NEARBY, *self._columns(), order=self.order).subquery()
        return self.reader.execute(select(func.count()).select_from(rows)).scalar_one() == _NEARBY

    def _sorted(self, ranges: Sequence[Range], stretches: Sequence[ColumnElement[bool]], number: int) -> list[Key]:
        following = [Range(and_(or_(*stretches), one.condition)) for one in ranges]
        rows = all_of(following, *self._columns())
        if connection_of(self.state, self.reader).dialect.name == "postgresql":
            # Keeps PostgreSQL from walking the index of the order, in which the rows may come last.
            rows = rows.offset(0)
        found = rows.subquery()
        return self._read(select(found).order_by(*self.order.by_all(found.c)).limit(number))

    def _columns(self, source: Any = None) -> tuple[Any, Any]:
        source = self.state.model if source is None else source
        return source.id, getattr(source, self.order.column)

    def _read(self, statement: Any) -> list[Key]:
        return [key_of(*row) for row in self.reader.execute(statement)]
