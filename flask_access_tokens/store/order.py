"""The order of the operators' list, and the keys by which its pages follow each other."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, and_, case

from ..clock import as_utc
from ..state import State

SORTS = ("created", "-created", "expires", "-expires", "used", "-used")
"""What the list can be sorted by; a hyphen stands for descending."""

_OF_STATUS = {"expiring": "expires", "expired": "-expires", "asleep": "used"}
_COLUMNS = {"created": "created_at", "expires": "expires_at", "used": "last_used_at"}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_KEY = re.compile(r"(-?\d{1,18}|never)\.([0-9a-f]{32})", re.ASCII)


@dataclass(frozen=True)
class Key:
    """The place of a token in a list: the time that it is sorted by, None where there is none, and its ID."""

    time: datetime | None
    id: UUID

    def __str__(self) -> str:
        time = "never" if self.time is None else (self.time - _EPOCH) // timedelta(microseconds=1)
        return f"{time}.{self.id.hex}"


def key_of(id_: UUID, time: datetime | None) -> Key:
    """Return the key of a row."""
    return Key(time and as_utc(time), id_)


def parse_key(text: str) -> Key | None:
    """Return the key of a text; None where it is not one."""
    found = _KEY.fullmatch(text)
    if found is None:
        return None
    try:
        time = None if found[1] == "never" else _EPOCH + timedelta(microseconds=int(found[1]))
    except OverflowError:
        return None
    return Key(time, UUID(hex=found[2]))


@dataclass(frozen=True)
class Order:
    """An order of the list: by a time, then by ID. Never used comes before any use, never expires after any date."""

    column: str
    descending: bool

    @property
    def never_last(self) -> bool:
        """Whether tokens without the time come last. Databases disagree on where NULLs go."""
        return (self.column == "expires_at") != self.descending

    def by(self, columns: Any) -> list[ColumnElement[Any]]:
        """Return what to sort a stretch by, so that an index gives the order."""
        found = getattr(columns, self.column), columns.id
        return [column.desc() if self.descending else column.asc() for column in found]

    def by_all(self, columns: Any) -> list[ColumnElement[Any]]:
        """Return what to sort the whole list by."""
        never = case((getattr(columns, self.column).is_(None), 1), else_=0)
        return [never if self.never_last else never.desc(), *self.by(columns)]

    def stretches(self, state: State, after: Key | None) -> list[ColumnElement[bool]]:
        """Return the conditions of the tokens after a key: stretches of an index, one after the other.

        :param after: the key; None for the whole list.
        """
        model = state.model
        time: Any = getattr(model, self.column)
        timed = [time.is_not(None)]
        never = [] if self.column == "created_at" else [time.is_(None)]
        if after is not None:
            further = model.id < after.id if self.descending else model.id > after.id
            if after.time is None:
                timed = [] if self.never_last else timed
                never = [and_(time.is_(None), further)]
            else:
                later = time < after.time if self.descending else time > after.time
                # Many tokens may have one time, and not every database is fast at comparing both columns at once.
                timed = [and_(time == after.time, further), later]
                never = never if self.never_last else []
        return [*timed, *never] if self.never_last else [*never, *timed]


def usual_sort(status: str) -> str:
    """Return what the list is sorted by where it shows a status, and nothing else was chosen."""
    return _OF_STATUS.get(status, "-created")


def order_of(sort: str, status: str) -> Order:
    """Return an order by its name; for any other text, the order that is usual for a status."""
    name = sort if sort in SORTS else usual_sort(status)
    return Order(_COLUMNS[name.removeprefix("-")], name.startswith("-"))
