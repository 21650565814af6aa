"""The token table in the database, compared with that of the model."""

import warnings
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from typing import Any

from sqlalchemy import (
    Column,
    Connection,
    DateTime,
    ForeignKeyConstraint,
    Index,
    Integer,
    String,
    Table,
    UniqueConstraint,
    Uuid,
    inspect,
    text,
)
from sqlalchemy.exc import SAWarning
from sqlalchemy.types import TypeEngine

from ..finding import Finding
from ..state import State
from .connections import read_on_connection
from .table import token_table

_KINDS = (Uuid, Integer, DateTime, String)
"""Kinds of types. A column of one cannot hold the values of another, apart from UUIDs as text."""


def table_findings(state: State) -> list[Finding]:
    """Find what the table in the database lacks of that of the model: columns, constraints and indexes.

    :raises StoreError: where the database cannot be used.
    """

    def find(connection: Connection) -> list[Finding]:
        stored = _StoredTable(connection, token_table(state))
        if not stored.exists:
            message = f"The table {stored.name} is not in the database. {_migration(state, 'Create', stored.name)}"
            return [Finding("table-missing", message)]
        return [
            *_column_findings(state, stored),
            *_unique_findings(state, stored),
            *_index_findings(state, stored),
            *_foreign_key_findings(state, stored),
        ]

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SAWarning)  # types that it does not recognize
        return read_on_connection(state, find)


class _StoredTable:
    """What the database tells of a table."""

    def __init__(self, connection: Connection, table: Table) -> None:
        schemas: Mapping[Any, Any] = connection.get_execution_options().get("schema_translate_map") or {}
        self.table = table
        self.dialect = connection.dialect
        self._schema = schemas.get(table.schema, table.schema)
        self._connection = connection
        self._inspector = inspect(connection)
        self.name = f"{self._schema}.{table.name}" if self._schema else table.name
        self.exists = self._inspector.has_table(table.name, self._schema)

    @cached_property
    def columns(self) -> dict[str, Any]:
        found = self._inspector.get_columns(self.table.name, self._schema)
        return {column["name"]: column for column in found}

    @cached_property
    def collation(self) -> str | None:
        """The collation of columns that have none of their own, where the database has one for each table."""
        options = self._inspector.get_table_options(self.table.name, self._schema)
        return next((str(value) for key, value in options.items() if key.endswith("_collate")), None)

    @cached_property
    def indexes(self) -> list[Any]:
        found = self._inspector.get_indexes(self.table.name, self._schema)
        return [index for index in found if index["name"] not in self._unusable]

    @cached_property
    def _unusable(self) -> set[str]:
        """The names of indexes that PostgreSQL does not read: CREATE INDEX CONCURRENTLY failed, or goes on."""
        if self.dialect.name != "postgresql":
            return set()
        quote = self.dialect.identifier_preparer.quote
        name = ".".join(quote(part) for part in (self._schema, self.table.name) if part)
        statement = text(
            "SELECT relname FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid"
            " WHERE indrelid = to_regclass(:name) AND NOT indisvalid"
        )
        return set(self._connection.execute(statement, {"name": name}).scalars())

    @cached_property
    def unique_keys(self) -> list[list[str | None]]:
        """The columns of the primary key, and of each unique constraint and unique index."""
        primary = self._inspector.get_pk_constraint(self.table.name, self._schema)["constrained_columns"]
        constraints = self._inspector.get_unique_constraints(self.table.name, self._schema)
        indexes = [index for index in self.indexes if index["unique"] and not self.is_partial(index)]
        return [list(primary), *(list(key["column_names"]) for key in [*constraints, *indexes])]

    def is_partial(self, index: Mapping[str, Any]) -> bool:
        """Return whether an index covers only some of the rows."""
        return f"{self.dialect.name}_where" in index.get("dialect_options", {})

    @cached_property
    def foreign_keys(self) -> list[Any]:
        return list(self._inspector.get_foreign_keys(self.table.name, self._schema))


def _column_findings(state: State, stored: _StoredTable) -> Iterator[Finding]:
    for column in stored.table.columns:
        place = f"{stored.name}.{column.name}"
        found = stored.columns.get(column.name)
        if found is None:
            yield Finding(
                "column-missing",
                f"The column {place} is not in the database. {_migration(state, 'Add', place)}",
            )
            continue
        difference = _difference(stored, column, found["type"])
        if difference:
            yield Finding("column-type", f"The column {place} {difference}. {_own_migration(state, 'Change', place)}")
        if bool(found["nullable"]) != bool(column.nullable) and not column.primary_key:
            is_, not_ = ("", "not ") if found["nullable"] else ("not ", "")
            yield Finding(
                "column-null",
                f"The column {place} is {is_}nullable in the database, and {not_}in the model."
                f" {_migration(state, 'Change', place)}",
            )


def _difference(stored: _StoredTable, column: Column[Any], found: TypeEngine[Any]) -> str:
    """Return why a column cannot hold what the model would store; "" where it can, or where that is not known."""
    dialect = stored.dialect
    wanted = column.type.dialect_impl(dialect)
    kind, found_kind = (next((kind for kind in _KINDS if isinstance(each, kind)), None) for each in (wanted, found))
    if kind is None or found_kind is None:
        return ""
    # The text of a UUID may also be stored, except where the driver passes it as a value of a type of its own.
    as_text = isinstance(wanted, Uuid) and not (wanted.native_uuid and dialect.supports_native_uuid)
    if kind is not found_kind and not (as_text and found_kind is String):
        return f"holds {found.compile(dialect)} in the database, and {column.type.compile(dialect)} in the model"
    if isinstance(wanted, String) and isinstance(found, String):
        most, found_most = (float("inf") if each.length is None else each.length for each in (wanted, found))
        if found_most < most and dialect.name != "sqlite":  # which applies no lengths
            return f"holds at most {found_most} characters in the database, and more in the model"
        collation = found.collation or (stored.collation if wanted.collation else None)
        if wanted.collation and collation and collation != wanted.collation:
            return f"has the collation {collation} in the database, and {wanted.collation} in the model"
    if isinstance(wanted, DateTime) and isinstance(found, DateTime):
        if dialect.name == "postgresql" and wanted.timezone and not found.timezone:
            return "holds times without a time zone in the database, and with one in the model"
        digits, found_digits = (getattr(each, "fsp", None) or 0 for each in (wanted, found))
        if found_digits < digits:
            return f"holds {found_digits} digits of a second in the database, and {digits} in the model"
    return ""


def _unique_findings(state: State, stored: _StoredTable) -> Iterator[Finding]:
    table = stored.table
    wanted = [_names(table.primary_key.columns)]
    wanted += [_names(each.columns) for each in table.constraints if isinstance(each, UniqueConstraint)]
    wanted += [_names(index.columns) for index in table.indexes if index.unique and _has_columns_only(index)]
    found = [set(key) for key in stored.unique_keys]
    for key in sorted(wanted):
        if set(key) not in found:
            columns = ", ".join(key)
            yield Finding(
                "unique-missing",
                f"Nothing in the database keeps {columns} of {stored.name} unique, which the package relies on."
                f" {_migration(state, 'Make unique:', f'{stored.name}.{columns}')}",
            )


def _index_findings(state: State, stored: _StoredTable) -> Iterator[Finding]:
    whole = [index["column_names"] for index in stored.indexes if not stored.is_partial(index)]
    for index in sorted(filter(_has_columns_only, stored.table.indexes), key=lambda index: str(index.name)):
        key = _names(index.columns)
        # An index that has further columns after these serves as well.
        if not index.unique and not any(each[: len(key)] == key for each in [*whole, *stored.unique_keys]):
            yield Finding(
                "index-missing",
                f"The index {index.name} of {stored.name} is not in the database, so statements read more rows than"
                f" they need. {_migration(state, 'Add', str(index.name))}",
            )


def _names(columns: Iterable[Column[Any]]) -> list[str]:
    return [column.name for column in columns]


def _has_columns_only(index: Index) -> bool:
    """Return whether an index can be compared by its columns: it has all rows, and no other expressions."""
    is_partial = any(options.get("where") is not None for options in index.dialect_options.values())
    return not is_partial and all(isinstance(each, Column) for each in index.expressions)


def _foreign_key_findings(state: State, stored: _StoredTable) -> Iterator[Finding]:
    for constraint in stored.table.constraints:
        if not isinstance(constraint, ForeignKeyConstraint):
            continue
        own, target = ", ".join(_names(constraint.columns)), constraint.elements[0].column.table.name
        columns = ", ".join(element.column.name for element in constraint.elements)
        if not any(_is_like(key, constraint) for key in stored.foreign_keys):
            action = f" with ON DELETE {constraint.ondelete}" if constraint.ondelete else ""
            yield Finding(
                "foreign-key-missing",
                f"The foreign key from {stored.name}.{own} to {target}.{columns}{action} is not in the database, so"
                " tokens may outlive what they belong to."
                f" {_migration(state, 'Add the foreign key of', f'{stored.name}.{own}')}",
            )


def _is_like(key: Mapping[str, Any], constraint: ForeignKeyConstraint) -> bool:
    """Return whether a foreign key in the database has the columns, the target and the ON DELETE of the model's."""
    return (
        key["constrained_columns"] == _names(constraint.columns)
        and key["referred_table"].lower() == constraint.elements[0].column.table.name.lower()
        and key["referred_columns"] == [element.column.name for element in constraint.elements]
        and _action(constraint.ondelete) in ("", _action(key.get("options", {}).get("ondelete")))
    )


def _action(ondelete: str | None) -> str:
    """Return what a foreign key does on a deletion; "" where it refuses it, which databases do not all report."""
    action = (ondelete or "").upper()
    return "" if action in ("NO ACTION", "RESTRICT") else action


def _migration(state: State, act: str, what: str) -> str:
    """Return what to do about a difference that Alembic finds."""
    return _advice(state, act, f'Generate a migration unless there is one (flask db migrate -m "{act} {what}")')


def _own_migration(state: State, act: str, what: str) -> str:
    """Return what to do about a difference that Alembic may not find."""
    return _advice(state, act, f'Write a migration (flask db revision -m "{act} {what}")')


def _advice(state: State, act: str, with_flask_migrate: str) -> str:
    if "migrate" in state.app.extensions:
        return f"{with_flask_migrate}, and apply it (flask db upgrade)."
    if act == "Create":
        return "Create it, with your migrations or create_all()."
    return "Change the database accordingly, with your migrations."
