"""SELECTs of the rows in some mutually exclusive ranges, and of as many of them as are counted."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, ScalarSelect, func, literal, select, union_all
from sqlalchemy.orm import Session

from ..state import State
from .order import Order

MOST_COUNTED = 1000
"""Tokens are counted exactly up to this number. One more stands for any larger number."""


@dataclass(frozen=True)
class Range:
    """The rows that meet a condition; a row of one range is in no other."""

    condition: ColumnElement[bool]
    first: str | None = None
    """The first column of the index by which the rows are counted."""


@dataclass(frozen=True)
class Ranges:
    """The rows that a filter shows."""

    ranges: Sequence[Range]
    narrow: bool = False
    """Whether an index finds few rows, an owner's for example, all of which are to be read."""


def any_of(state: State, ranges: Sequence[Range], limit: int, *columns: Any, order: Order | None = None) -> Any:
    """Return a SELECT of the rows in some ranges, of which it reads no more than the limit in each.

    :param columns: attributes of the model; with an order, the ID and the time among them.
    :param order: sorts the rows. Without one, those of a range are in the order of its index: otherwise PostgreSQL may
        read the table from its start to its end, and expects to find enough rows soon.
    """
    each = [select(*columns).where(one.condition).limit(limit) for one in ranges]
    if order is not None:
        each = [one.order_by(*order.by(one.selected_columns)) for one in each]
    else:
        firsts = [one.first and getattr(state.model, one.first) for one in ranges]
        each = [one.order_by(first) for one, first in zip(each, firsts, strict=True)]
    if len(each) == 1:
        return each[0]
    found = union_all(*(select(one.subquery()) for one in each)).subquery()
    whole = select(found).limit(limit)
    return whole if order is None else whole.order_by(*order.by(found.c))


def all_of(ranges: Sequence[Range], *columns: Any) -> Any:
    """Return a SELECT of the rows in some ranges, each of which is read by itself."""
    each = [select(*columns).where(one.condition) for one in ranges]
    return each[0] if len(each) == 1 else union_all(*each)


def counted(state: State, shown: Ranges, *columns: Any) -> Any:
    """Return a SELECT of the rows that a filter shows, as many as are counted."""
    if shown.narrow:
        # Materialized, because PostgreSQL may read the table from its start where it expects to find enough rows soon.
        rows = all_of(shown.ranges, *columns).cte().prefix_with("MATERIALIZED", dialect="postgresql")
        return select(rows).limit(MOST_COUNTED + 1)
    return any_of(state, shown.ranges, MOST_COUNTED + 1, *columns)


def number_of(state: State, shown: Ranges) -> ScalarSelect[int]:
    """Return a subquery for the number of rows that a filter shows, at most ``MOST_COUNTED + 1``."""
    if not shown.ranges:
        return select(literal(0)).scalar_subquery()
    found = counted(state, shown, state.model.id).subquery()
    return select(func.count()).select_from(found).scalar_subquery()


def count_of(state: State, reader: Connection | Session, shown: Ranges) -> int:
    """Return the number of rows that a filter shows, at most ``MOST_COUNTED + 1``."""
    if not shown.ranges:
        # A statement without a table would go to the session's default database.
        return 0
    return reader.execute(select(number_of(state, shown))).scalar_one()
