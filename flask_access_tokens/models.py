"""The row: the columns of a token, for the ready-made model and for the host's own."""

import uuid
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import DateTime, MetaData, String, Text, Uuid, event
from sqlalchemy.dialects import mysql
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, validates
from sqlalchemy.types import TypeEngine

TIMES = ("created_at", "expires_at", "last_used_at")


def _text(length: int) -> TypeEngine[str]:
    """A text compared exactly: MariaDB and MySQL ignore case and accents unless the collation is binary."""
    exact = mysql.VARCHAR(length, charset="utf8mb4", collation="utf8mb4_bin")
    return String(length).with_variant(exact, "mysql", "mariadb")


def _long_text() -> TypeEngine[str]:
    exact = mysql.TEXT(charset="utf8mb4", collation="utf8mb4_bin")
    return Text().with_variant(exact, "mysql", "mariadb")


def _moment() -> TypeEngine[datetime]:
    """A time with microseconds on every database."""
    return DateTime(timezone=True).with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb")


class AccessTokenMixin:
    """The columns of a token, for a model of the host's own.

    Give the class a table name, and ``owner_id`` anew where it should be a foreign key of any type::

        class ApiToken(AccessTokenMixin, db.Model):
            __tablename__ = "api_tokens"
            owner_id: Mapped[int] = mapped_column(ForeignKey("user.id", ondelete="CASCADE"), index=True)
    """

    id: Mapped[uuid.UUID] = mapped_column(Uuid, primary_key=True, default=uuid.uuid4)
    owner_id: Mapped[Any] = mapped_column(_text(255), index=True, nullable=False)
    name: Mapped[str] = mapped_column(_text(100))
    description: Mapped[str] = mapped_column(_text(255), default="")
    digest: Mapped[str] = mapped_column(_text(64), unique=True)
    scheme: Mapped[str] = mapped_column(_text(32))
    hint: Mapped[str] = mapped_column(_text(40))
    scopes: Mapped[str] = mapped_column(_long_text(), default="")
    created_at: Mapped[datetime] = mapped_column(_moment())
    expires_at: Mapped[datetime | None] = mapped_column(_moment())
    last_used_at: Mapped[datetime | None] = mapped_column(_moment())
    nonce: Mapped[str | None] = mapped_column(_text(32), unique=True)

    @validates(*TIMES)
    def _refuse_naive_times(self, key: str, value: datetime | None) -> datetime | None:
        return value if value is None else utc(value, guess=False)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.id} {self.hint}>"


def utc(value: datetime, *, guess: bool = True) -> datetime:
    """A time in UTC; one without a zone is UTC where a database gave it, and refused where a caller did."""
    if value.tzinfo is None:
        if not guess:
            raise ValueError(f"{value!r} has no time zone. Pass an aware datetime, for example datetime.now(UTC).")
        return value.replace(tzinfo=UTC)
    return value.astimezone(UTC)


def _loaded(instance: AccessTokenMixin, *_: object) -> None:
    """SQLite and MariaDB give times back without their zone, PostgreSQL in the zone of its session."""
    values = instance.__dict__
    for key in TIMES:
        if values.get(key) is not None:
            values[key] = utc(values[key])


event.listen(AccessTokenMixin, "load", _loaded, propagate=True)
event.listen(AccessTokenMixin, "refresh", _loaded, propagate=True)


def ready_made(metadata: MetaData) -> type[AccessTokenMixin]:
    """The ready-made model on a host's MetaData, built once for it, so that migrations see the table."""
    if "access_tokens" not in metadata.info:
        if "access_tokens" in metadata.tables:
            raise RuntimeError(
                'This application has a table "access_tokens" of its own.'
                " Give the tokens another one: pass model=, a class made with AccessTokenMixin."
            )
        # A base of its own: the host's may be a dataclass or have required columns.
        base = type("Base", (DeclarativeBase,), {"metadata": metadata})
        metadata.info["access_tokens"] = type(
            "AccessToken",
            (AccessTokenMixin, base),
            {"__tablename__": "access_tokens", "__module__": __name__},
        )
    model: type[AccessTokenMixin] = metadata.info["access_tokens"]
    return model
