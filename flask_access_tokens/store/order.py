"""The order of the operators' list, and the keys by which its pages follow each other."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, and_, case, or_, true

from ..clock import as_utc

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

    def by(self, model: Any) -> list[ColumnElement[Any]]:
        """Return what to sort the tokens by."""
        time = getattr(model, self.column)
        sorted_by = [column.desc() if self.descending else column.asc() for column in (time, model.id)]
        if self.column == "created_at":
            return sorted_by
        never = case((time.is_(None), 1), else_=0)
        return [never if self.never_last else never.desc(), *sorted_by]

    def after(self, model: Any, key: Key | None) -> ColumnElement[bool]:
        """Return the condition of the tokens after a key; None stands for the whole list."""
        if key is None:
            return true()
        time = getattr(model, self.column)
        further = model.id < key.id if self.descending else model.id > key.id
        if key.time is None:
            never = and_(time.is_(None), further)
            return never if self.never_last else or_(never, time.is_not(None))
        # The time alone bounds the rows to read in an index.
        least, later = (time <= key.time, time < key.time) if self.descending else (time >= key.time, time > key.time)
        following = and_(least, or_(later, further))
        return or_(following, time.is_(None)) if self.never_last and self.column != "created_at" else following


def usual_sort(status: str) -> str:
    """Return what the list is sorted by where it shows a status, and nothing else was chosen."""
    return _OF_STATUS.get(status, "-created")


def order_of(sort: str, status: str) -> Order:
    """Return an order by its name; for any other text, the order that is usual for a status."""
    name = sort if sort in SORTS else usual_sort(status)
    return Order(_COLUMNS[name.removeprefix("-")], name.startswith("-"))
