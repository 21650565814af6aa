"""The indexes of the token table."""

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from flask_access_tokens import AccessTokenMixin
from host import Host

OF_THE_LIST = {
    ("created_at", "id", "expires_at", "last_used_at"),
    ("expires_at", "id", "last_used_at", "created_at"),
    ("last_used_at", "id", "expires_at", "created_at"),
    ("hint",),
}
UNIQUE = {("replaces",), ("seat",)}


def indexes(table: sa.Table) -> dict[str | None, tuple[str, ...]]:
    return {index.name: tuple(column.name for column in index.columns) for index in table.indexes}


def test_what_the_operators_list_needs_is_indexed(stored_host: Host) -> None:
    with stored_host.app.app_context():
        found = sa.inspect(stored_host.db.engine).get_indexes("access_tokens")
    assert {tuple(index["column_names"]) for index in found} >= OF_THE_LIST


def test_a_model_of_the_host_s_own_has_the_same_indexes_whatever_its_naming_convention() -> None:
    class Base(DeclarativeBase):
        metadata = sa.MetaData(naming_convention={"ix": "index_%(table_name)s_on_%(column_0_N_name)s"})

    class ApiToken(AccessTokenMixin, Base):
        __tablename__ = "api_tokens"
        __table_args__ = (sa.Index("by_name", "name"), {"comment": "of the API"})

    class RobotToken(ApiToken):
        pass

    table = sa.inspect(RobotToken).local_table
    assert isinstance(table, sa.Table)
    found = indexes(table)
    assert found["ix_api_tokens_created_at"] == ("created_at", "id", "expires_at", "last_used_at")
    assert found["index_api_tokens_on_owner_id"] == ("owner_id",)
    assert sorted(found.values()) == sorted({*OF_THE_LIST, ("name",), ("owner_id",), *UNIQUE})


def test_an_index_of_the_host_s_own_takes_the_place_of_one_that_begins_with_the_same_column() -> None:
    class Base(DeclarativeBase):
        pass

    class ApiToken(AccessTokenMixin, Base):
        __tablename__ = "api_tokens"
        created_at: Mapped[datetime] = mapped_column(sa.DateTime(timezone=True), index=True)

    table = sa.inspect(ApiToken).local_table
    assert isinstance(table, sa.Table)
    found = indexes(table)
    assert found["ix_api_tokens_created_at"] == ("created_at",)
    assert len(found) == len({*OF_THE_LIST, ("owner_id",), *UNIQUE})
