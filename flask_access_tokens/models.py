"""The columns of a token, for the ready-made model and for a model of the host's own."""

import uuid
from datetime import datetime
from typing import Any

from sqlalchemy import (
    Column,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    event,
    inspect,
)
from sqlalchemy.dialects import mysql
from sqlalchemy.orm import (
    ColumnProperty,
    DeclarativeBase,
    Mapped,
    Mapper,
    QueryableAttribute,
    mapped_column,
    validates,
)
from sqlalchemy.orm.attributes import set_committed_value
from sqlalchemy.schema import conv
from sqlalchemy.types import TypeEngine

from .clock import as_utc

_UNIQUE = (PrimaryKeyConstraint, UniqueConstraint)
_TIMES = ("created_at", "expires_at", "last_used_at")
_INDEXES = (
    # Each begins with what the operators' list is sorted by. The ID comes next, because an adoption gives many rows
    # one time. The other times follow, so that a filter by them is decided within the index.
    ("created_at", "id", "expires_at", "last_used_at"),
    ("expires_at", "id", "last_used_at", "created_at"),
    ("last_used_at", "id", "expires_at", "created_at"),
    ("hint",),
)


def _string(length: int) -> TypeEngine[str]:
    """Return a string type that compares exactly: MariaDB and MySQL ignore case and accents in other collations."""
    exact = mysql.VARCHAR(length, charset="utf8mb4", collation="utf8mb4_bin")
    return String(length).with_variant(exact, "mysql", "mariadb")


def _text() -> TypeEngine[str]:
    exact = mysql.TEXT(charset="utf8mb4", collation="utf8mb4_bin")
    return Text().with_variant(exact, "mysql", "mariadb")


def _timestamp() -> TypeEngine[datetime]:
    """Return a type for times with microseconds on every database."""
    return DateTime(timezone=True).with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb")


class AccessTokenMixin:
    """The columns of a token, for a model of the host's own.

    Give the class a table name. Declare ``owner_id`` again to make it a foreign key of any type::

        class ApiToken(AccessTokenMixin, db.Model):
            __tablename__ = "api_tokens"
            owner_id: Mapped[int] = mapped_column(ForeignKey("user.id", ondelete="CASCADE"), index=True)
    """

    id: Mapped[uuid.UUID] = mapped_column(Uuid, primary_key=True, default=uuid.uuid4)
    owner_id: Mapped[Any] = mapped_column(_string(255), index=True, nullable=False)
    name: Mapped[str] = mapped_column(_string(100))
    description: Mapped[str] = mapped_column(_string(255), default="")
    digest: Mapped[str] = mapped_column(_string(64), unique=True)
    scheme: Mapped[str] = mapped_column(_string(32))
    hint: Mapped[str] = mapped_column(_string(40))
    scopes: Mapped[str] = mapped_column(_text(), default="")
    created_at: Mapped[datetime] = mapped_column(_timestamp())
    expires_at: Mapped[datetime | None] = mapped_column(_timestamp())
    last_used_at: Mapped[datetime | None] = mapped_column(_timestamp())
    last_used_from: Mapped[str | None] = mapped_column(_string(255))
    generated_by: Mapped[str | None] = mapped_column(_string(255))
    replaces: Mapped[uuid.UUID | None] = mapped_column(Uuid, unique=True, index=True)
    noticed_days: Mapped[int | None] = mapped_column(Integer)
    nonce: Mapped[str | None] = mapped_column(_string(32), unique=True)
    seat: Mapped[str | None] = mapped_column(_string(64), unique=True, index=True)

    @validates(*_TIMES)
    def _refuse_naive_times(self, key: str, value: datetime | None) -> datetime | None:
        if value is not None and value.tzinfo is None:
            raise ValueError(f"{value!r} has no time zone. Pass an aware datetime, for example datetime.now(UTC).")
        return value and as_utc(value)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.id} {self.hint}>"


def _make_times_aware(instance: AccessTokenMixin, *_: object) -> None:
    """SQLite and MariaDB return times without a zone, PostgreSQL in the zone of its session."""
    loaded = inspect(instance).dict
    for key in _TIMES:
        if loaded.get(key) is not None:
            set_committed_value(instance, key, as_utc(loaded[key]))


def _add_indexes(mapper: Mapper[Any], _: type) -> None:
    """Add the indexes of the operators' list, whatever ``__table_args__`` the host's class has.

    One is left out where an index of the host's own begins with the same column: both would have the same name.
    Where an index of the host's own on other columns has that name, ours gets another.
    """
    table = mapper.local_table
    if not isinstance(table, Table):
        return

    def name_of(column: str) -> conv:
        # From the name of the table, as a naming convention may have no names for indexes, or the same in each table.
        return conv(f"ix_{table.name}_{column}")

    firsts = {index: next(iter(index.columns)).name for index in table.indexes if len(index.columns)}
    for index, first in firsts.items():
        index.name = index.name or name_of(first)
    taken = {index.name for index in table.indexes}
    for names in _INDEXES:
        if names[0] not in firsts.values() and all(name in table.c for name in names):
            name = name_of(names[0])
            Index(conv(f"{name}_of_list") if name in taken else name, *(table.c[each] for each in names))


event.listen(AccessTokenMixin, "after_mapper_constructed", _add_indexes, propagate=True)
event.listen(AccessTokenMixin, "load", _make_times_aware, propagate=True)
event.listen(AccessTokenMixin, "refresh", _make_times_aware, propagate=True)


def owner_column(owner: Any) -> Column[Any]:
    """Return the column of a mapped attribute such as ``User.id``.

    :raises TypeError: for anything else.
    :raises ValueError: where two owners could have the same value.
    """
    mapped = getattr(owner, "property", None) if isinstance(owner, QueryableAttribute) else None
    if not isinstance(mapped, ColumnProperty) or not isinstance(mapped.columns[0], Column):
        raise TypeError(f"owner is {owner!r}. Pass a mapped column that identifies an owner: owner=User.id.")
    column = mapped.columns[0]
    table = column.table
    keys = [constraint.columns for constraint in table.constraints if isinstance(constraint, _UNIQUE)]
    keys += [index.columns for index in table.indexes if index.unique]
    if not any(list(key) == [column] for key in keys):
        raise ValueError(f"{column} is not unique. Pass a column that identifies one owner: owner=User.id.")
    return column


def build_default_model(metadata: MetaData, owner: Column[Any] | None = None) -> type[AccessTokenMixin]:
    """Return the ready-made model on a host's MetaData, where migrations see its table. It is built once.

    :param owner: the column that identifies an owner: ``owner_id`` becomes a foreign key to it, with its type.
    :raises RuntimeError: where the host has a table of this name, or the model was built for another owner.
    """
    if "access_tokens" not in metadata.info:
        if "access_tokens" in metadata.tables:
            raise RuntimeError(
                'This application already has a table "access_tokens".'
                " Give the tokens another one: pass model=, a class made with AccessTokenMixin."
            )
        # With a base of its own: the host's may be a dataclass or have required columns.
        base = type("Base", (DeclarativeBase,), {"metadata": metadata})
        members: dict[str, Any] = {"__tablename__": "access_tokens", "__module__": __name__}
        if owner is not None:
            # Named, because Alembic may add it to a table that is there, and SQLite adds none without a name.
            key = ForeignKey(owner, ondelete="CASCADE", name="fk_access_tokens_owner_id")
            members["owner_id"] = mapped_column(key, index=True, nullable=False)
        metadata.info["access_tokens"] = type("AccessToken", (AccessTokenMixin, base), members), owner
    model: type[AccessTokenMixin]
    model, built_for = metadata.info["access_tokens"]
    if owner is not None and owner is not built_for:
        raise RuntimeError(
            f"The table access_tokens was already set up without owner={owner}. Pass owner= where AccessTokens is"
            " first given the database."
        )
    return model
