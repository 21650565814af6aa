"""The process's clock, and times in UTC."""

from datetime import UTC, datetime


def now() -> datetime:
    """Return the current time of the process, aware and in UTC."""
    return datetime.now(UTC)


def as_utc(value: datetime) -> datetime:
    """Return a time of the database in UTC; one without a zone is UTC already."""
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
