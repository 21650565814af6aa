"""The operators' list: the tokens of all owners, filtered and sorted, page by page, and how many there are."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import ColumnElement, ScalarSelect, func, select

from .. import clock
from ..state import State
from .batches import BATCH
from .connections import Reader, read
from .entities import Token
from .filters import Filter, condition_of, statuses
from .order import key_of, order_of, parse_key
from .rows import select_tokens, token_from_row
from .table import token_table

MOST_COUNTED = 1000
"""Tokens are counted exactly up to this number. One more stands for any larger number."""

_OVERVIEW = ("active", "expiring", "asleep", "no-expiration", "owner-gone")


@dataclass(frozen=True)
class Listing:
    """One page of the operators' list."""

    tokens: list[Token]
    after: str
    """The key of the next page, for its URL; empty where there is none."""
    matching: int
    """The number of tokens that the filter shows, as :func:`count` returns it."""


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
    at, order, model = moment or clock.now(), order_of(sort, chosen.status), state.model

    def listed(reader: Reader) -> Listing:
        shown = condition_of(state, reader, chosen, at)
        matching = count_of(state, reader, shown)
        following = select(model.id, getattr(model, order.column)).where(shown, order.after(model, parse_key(after)))
        rows = reader.execute(following.order_by(*order.by(model)).limit(size + 1)).all()
        keys = [key_of(*row) for row in rows]
        tokens = _by_ids(state, reader, [key.id for key in keys[:size]], at)
        return Listing(tokens, str(keys[size - 1]) if len(keys) > size else "", matching)

    return read(state, listed)


def count(state: State, chosen: Filter, moment: datetime | None = None) -> int:
    """Return how many tokens a filter shows, at most ``MOST_COUNTED + 1``, which stands for more.

    :param moment: the time at which the filter applies, aware; now, unless given.
    :raises StoreError: where the database cannot be used.
    """
    at = moment or clock.now()
    return read(state, lambda reader: count_of(state, reader, condition_of(state, reader, chosen, at)))


def overview(state: State) -> dict[str, int]:
    """Return how many tokens there are of each status that operators look for, counted as :func:`count` does.

    :raises StoreError: where the database cannot be used.
    """
    moment, offered = clock.now(), statuses(state)
    names = [name for name in _OVERVIEW if name in offered]

    def counted(reader: Reader) -> dict[str, int]:
        shown = [condition_of(state, reader, Filter(status=name), moment) for name in names]
        numbers = reader.execute(select(*(_number_of(state, each) for each in shown))).one()
        return dict(zip(names, numbers, strict=True))

    return read(state, counted)


def count_of(state: State, reader: Reader, shown: ColumnElement[bool]) -> int:
    """Return how many rows meet a condition, at most ``MOST_COUNTED + 1``."""
    return reader.execute(select(_number_of(state, shown))).scalar_one()


def _number_of(state: State, shown: ColumnElement[bool]) -> ScalarSelect[int]:
    some = select(state.model.id).where(shown).limit(MOST_COUNTED + 1).subquery()
    return select(func.count()).select_from(some).scalar_subquery()


def chosen_tokens(state: State, ids: Sequence[UUID]) -> list[Token]:
    """Return tokens of any owners by their IDs, in this order, without those that are not there.

    :raises StoreError: where the database cannot be used.
    """
    moment, unique = clock.now(), list(dict.fromkeys(ids))

    def listed(reader: Reader) -> list[Token]:
        batches = (unique[start : start + BATCH] for start in range(0, len(unique), BATCH))
        return [token for batch in batches for token in _by_ids(state, reader, batch, moment)]

    return read(state, listed)


def _by_ids(state: State, reader: Reader, ids: Sequence[UUID], moment: datetime) -> list[Token]:
    if not ids:
        return []
    rows = reader.execute(select_tokens(state).where(token_table(state).c.id.in_(ids))).all()
    by_id = {row[0]: token_from_row(row, moment) for row in rows}
    return [by_id[id_] for id_ in ids if id_ in by_id]
