"""The indexes of the token table."""

from datetime import datetime
from typing import Any

import flask_sqlalchemy_lite
import pytest
import sqlalchemy as sa
from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from flask_access_tokens import AccessTokenMixin, AccessTokens
from host import Host

OF_THE_LIST = {
    ("created_at", "id", "expires_at", "last_used_at"),
    ("expires_at", "id", "last_used_at", "created_at"),
    ("last_used_at", "id", "expires_at", "created_at"),
    ("hint",),
}


def indexes(table: sa.Table) -> dict[str | None, tuple[str, ...]]:
    return {index.name: tuple(column.name for column in index.columns) for index in table.indexes}


def test_what_the_operators_list_needs_is_indexed(stored_host: Host) -> None:
    with stored_host.app.app_context():
        engine = stored_host.db.engine
        found = sa.inspect(engine).get_indexes("access_tokens")
    assert {tuple(index["column_names"]) for index in found} >= OF_THE_LIST
    of_scopes = [index for index in found if index.get("expressions")]
    assert len(of_scopes) == (engine.dialect.name == "postgresql")


@pytest.mark.parametrize(
    ("config", "kinds"),
    [
        ({"SQLALCHEMY_DATABASE_URI": "postgresql+psycopg://127.0.0.1/x"}, ["gin"]),
        ({"SQLALCHEMY_DATABASE_URI": sa.URL.create("postgresql+psycopg", database="x")}, ["gin"]),
        ({"SQLALCHEMY_DATABASE_URI": "sqlite://"}, []),
        (
            {
                "SQLALCHEMY_DATABASE_URI": "sqlite://",
                "SQLALCHEMY_BINDS": {"other": "postgresql+psycopg://127.0.0.1/x"},
            },
            [],
        ),
    ],
)
def test_the_index_of_scopes_is_for_postgresql_alone(config: dict[str, Any], kinds: list[str]) -> None:
    db = SQLAlchemy()
    for name in ("first", "second"):
        app = Flask(name)
        app.config.update(SECRET_KEY="a key for tests", **config)
        db.init_app(app)
        AccessTokens(app, db)
    using = [index.dialect_options["postgresql"]["using"] for index in db.metadata.tables["access_tokens"].indexes]
    assert [each for each in using if each] == kinds


def test_a_model_of_the_host_s_own_has_the_same_indexes_by_its_own_naming_convention() -> None:
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
    assert found.pop("index_api_tokens_on_created_at_id_expires_at_last_used_at")
    assert sorted(found.values()) == sorted(
        {*OF_THE_LIST, ("name",), ("owner_id",)} - {("created_at", "id", "expires_at", "last_used_at")}
    )


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
    assert len(found) == len({*OF_THE_LIST, ("owner_id",)})


@pytest.mark.parametrize(
    "configured", ["postgresql+psycopg://127.0.0.1/x", {"url": "postgresql+psycopg://127.0.0.1/x"}]
)
def test_the_index_of_scopes_is_there_with_flask_sqlalchemy_lite_too(configured: Any) -> None:
    class Base(DeclarativeBase):
        pass

    class ApiToken(AccessTokenMixin, Base):
        __tablename__ = "api_tokens"

    app = Flask("host")
    app.config.update(SECRET_KEY="a key for tests", SQLALCHEMY_ENGINES={"default": configured})
    AccessTokens(app, flask_sqlalchemy_lite.SQLAlchemy(app), model=ApiToken)
    assert "ix_api_tokens_scopes" in {index.name for index in Base.metadata.tables["api_tokens"].indexes}
