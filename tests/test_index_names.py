"""The names of the indexes that the extension adds to a table of the host's own."""

from collections.abc import Callable
from datetime import datetime

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from flask_access_tokens import AccessTokenMixin


def test_an_index_of_the_host_s_own_on_other_columns_keeps_its_name() -> None:
    class Base(DeclarativeBase):
        metadata = sa.MetaData()

    class ApiToken(AccessTokenMixin, Base):
        __tablename__ = "api_tokens"
        __table_args__ = (sa.Index("ix_api_tokens_created_at", "owner_id", "created_at"),)

    engine = sa.create_engine("sqlite://")
    Base.metadata.create_all(engine)
    stored = {index["name"]: index["column_names"] for index in sa.inspect(engine).get_indexes("api_tokens")}
    assert stored["ix_api_tokens_created_at"] == ["owner_id", "created_at"]
    assert stored["ix_api_tokens_created_at_of_list"] == ["created_at", "id", "expires_at", "last_used_at"]


@pytest.mark.case("S05", "S06")
@pytest.mark.parametrize("kind", ["sqlite", "postgresql", "mariadb"])
def test_two_tables_with_names_as_long_as_they_can_be_need_no_naming_convention_for_indexes(
    server_database: Callable[..., str], kind: str
) -> None:
    class Base(DeclarativeBase):
        metadata = sa.MetaData(naming_convention={"uq": "uq_%(table_name)s_%(column_0_name)s"})

    for name in ("a", "b"):
        type(f"Token{name}", (AccessTokenMixin, Base), {"__tablename__": f"{'tokens_' * 8}{name}"})
    engine = sa.create_engine("sqlite://" if kind == "sqlite" else server_database(kind, "names"))
    Base.metadata.create_all(engine)
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), Base.metadata) == []
    Base.metadata.drop_all(engine)
    engine.dispose()


def test_the_names_of_the_indexes_tell_tables_apart_whatever_the_naming_convention() -> None:
    class Base(DeclarativeBase):
        metadata = sa.MetaData(naming_convention={"ix": "ix_%(column_0_name)s"})

    class ApiToken(AccessTokenMixin, Base):
        __tablename__ = "api_tokens"

    class Post(Base):
        __tablename__ = "posts"
        id: Mapped[int] = mapped_column(primary_key=True)
        created_at: Mapped[datetime] = mapped_column(index=True)

    Base.metadata.create_all(sa.create_engine("sqlite://"))
