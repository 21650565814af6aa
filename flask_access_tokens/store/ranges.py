"""SELECTs of the rows that meet one of several mutually exclusive conditions, each a range of an index."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, ScalarSelect, func, literal, select, union_all

from ..state import State
from .order import Order

MOST_COUNTED = 1000
"""Tokens are counted exactly up to this number. One more stands for any larger number."""


def any_of(conditions: Sequence[ColumnElement[bool]], limit: int, *columns: Any, order: Order | None = None) -> Any:
    """Return a SELECT of the rows that meet one of the conditions, up to a limit, which also holds for each of them.

    :param columns: attributes of the model; with an order, the ID and the time among them.
    """
    ranges = [select(*columns).where(condition).limit(limit) for condition in conditions]
    if order is not None:
        ranges = [each.order_by(*order.by(each.selected_columns)) for each in ranges]
    if len(ranges) == 1:
        return ranges[0]
    found = union_all(*(select(each.subquery()) for each in ranges)).subquery()
    whole = select(found).limit(limit)
    return whole if order is None else whole.order_by(*order.by(found.c))


def counted(conditions: Sequence[ColumnElement[bool]], *columns: Any) -> Any:
    """Return a SELECT of the rows that meet one of the conditions, as many as are counted."""
    return any_of(conditions, MOST_COUNTED + 1, *columns)


def number_of(state: State, conditions: Sequence[ColumnElement[bool]]) -> ScalarSelect[int]:
    """Return a subquery for the number of rows that meet one of the conditions, at most ``MOST_COUNTED + 1``."""
    if not conditions:
        return select(literal(0)).scalar_subquery()
    found = counted(conditions, state.model.id).subquery()
    return select(func.count()).select_from(found).scalar_subquery()
