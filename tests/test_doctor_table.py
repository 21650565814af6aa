"""What the doctor finds in the table of the tokens."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import flask_migrate
import pytest
import sqlalchemy as sa
from sqlalchemy.dialects import mysql

from host import Host
from owned import OwnedHost
from sound import SOUND, durable, enforce_foreign_keys, found

SERVERS = ("postgresql", "mariadb")
KINDS = ("sqlite", *SERVERS)


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    """A kind of database."""
    return str(request.param)


@pytest.fixture
def url(kind: str, server_database: Callable[..., str], tmp_path: Path) -> str:
    """The URL of a database of this kind, whose tables no other test uses."""
    return f"sqlite:///{tmp_path / 'host.sqlite3'}" if kind == "sqlite" else durable(server_database(kind, "doctor"))


@pytest.fixture
def host(make_host: Callable[..., Host], url: str) -> Iterator[Host]:
    """A host in which nothing is wrong."""
    host = make_host(url, **SOUND)
    yield host
    with host.app.app_context():
        host.db.drop_all()


@pytest.fixture
def owned(url: str) -> Iterator[OwnedHost]:
    """A host with ``owner=`` in which nothing is wrong."""
    host = OwnedHost(url)
    host.app.config.update(SOUND)
    with host.app.app_context():
        enforce_foreign_keys(host.db.engine)
        yield host
        host.db.drop_all()
        host.db.engine.dispose()


def create_like(host: Host | OwnedHost, change: Callable[[sa.Table], object]) -> None:
    """Create the table of the tokens anew, as it is after a change to a copy of it."""
    with host.app.app_context():
        metadata = sa.MetaData()
        copies = {table.name: table.to_metadata(metadata) for table in host.db.metadata.sorted_tables}
        copy = copies["access_tokens"]
        change(copy)
        host.db.metadata.tables["access_tokens"].drop(host.db.engine)
        copy.create(host.db.engine)


def test_a_missing_table_is_found(host: Host) -> None:
    with host.app.app_context():
        host.db.drop_all()
    messages = found(host.app)
    assert messages.keys() == {"table-missing"}
    assert "with your migrations or create_all()" in messages["table-missing"]
    assert not re.search(r"alembic|flask db", messages["table-missing"], re.IGNORECASE)


def test_the_migration_is_one_of_flask_migrate_where_the_host_has_it(host: Host) -> None:
    flask_migrate.Migrate(host.app, host.db)
    with host.app.app_context():
        host.db.drop_all()
    assert 'flask db migrate -m "Create access_tokens"' in found(host.app)["table-missing"]


@pytest.mark.case("S25")
@pytest.mark.parametrize("migrates", [True, False])
def test_no_tool_is_advised_that_the_host_does_not_have(host: Host, migrates: bool) -> None:
    if migrates:
        flask_migrate.Migrate(host.app, host.db)

    def change(table: sa.Table) -> None:
        table.c.name.type = sa.Integer()
        table.c.nonce.nullable = False
        table.indexes -= {index for index in table.indexes if index.columns.keys() == ["owner_id"]}

    create_like(host, change)
    messages = found(host.app)
    assert messages.keys() == {"column-type", "column-null", "index-missing"}
    for message in messages.values():
        assert ("flask db " in message) is migrates
        assert ("with your migrations" in message) is not migrates


def test_a_missing_column_is_found(host: Host) -> None:
    with host.app.app_context(), host.db.engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE access_tokens DROP COLUMN generated_by")
    messages = found(host.app)
    assert messages.keys() == {"column-missing"}
    assert "column access_tokens.generated_by" in messages["column-missing"]
    assert "Change the database accordingly, with your migrations." in messages["column-missing"]


def set_type(column: str, kind: Any) -> Callable[[sa.Table], object]:
    return lambda table: setattr(table.c[column], "type", kind)


UNLIKE = [
    *((kind, "name", sa.String(10), "at most 10 characters") for kind in SERVERS),
    *((kind, "scopes", sa.String(255), "at most 255 characters") for kind in SERVERS),
    *((kind, "noticed_days", sa.String(255), "and INTEGER in the model") for kind in KINDS),
    *((kind, "replaces", sa.Integer(), "holds INTEGER") for kind in KINDS),
    ("postgresql", "replaces", sa.String(36), "and UUID in the model"),
    ("postgresql", "created_at", sa.DateTime(), "without a time zone"),
    ("mariadb", "created_at", sa.DateTime(), "0 digits of a second"),
    ("mariadb", "name", mysql.VARCHAR(100, collation="utf8mb4_general_ci"), "the collation utf8mb4_general_ci"),
]


@pytest.mark.parametrize(("kind", "column", "type_", "words"), UNLIKE, ids=str)
def test_a_column_that_cannot_hold_the_values_is_found(host: Host, column: str, type_: Any, words: str) -> None:
    create_like(host, set_type(column, type_))
    messages = found(host.app)
    assert messages.keys() == {"column-type"}
    assert messages["column-type"].startswith(f"The column access_tokens.{column} ")
    assert words.lower() in messages["column-type"].lower()


def test_a_column_that_holds_more_than_the_values_is_not_found(host: Host) -> None:
    for type_ in (sa.String(200), sa.Text()):
        exact = mysql.VARCHAR(200, collation="utf8mb4_bin")
        create_like(host, set_type("name", type_.with_variant(exact, "mariadb")))
        assert found(host.app) == {}


@pytest.mark.parametrize("kind", ["mariadb"])
def test_the_collation_of_the_table_holds_for_its_columns(host: Host) -> None:
    with host.app.app_context(), host.db.engine.begin() as connection:
        for collation, expected in (("utf8mb4_bin", set()), ("utf8mb4_general_ci", {"column-type"})):
            connection.exec_driver_sql("ALTER TABLE access_tokens DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin")
            change = f"MODIFY name VARCHAR(100) CHARACTER SET utf8mb4 COLLATE {collation} NOT NULL"
            connection.exec_driver_sql(f"ALTER TABLE access_tokens {change}")
            assert found(host.app).keys() == expected


@pytest.mark.parametrize(
    ("column", "nullable", "words"), [("description", True, "is nullable"), ("nonce", False, "not")]
)
def test_a_column_that_is_nullable_where_the_model_is_not_is_found(
    host: Host, column: str, nullable: bool, words: str
) -> None:
    create_like(host, lambda table: setattr(table.c[column], "nullable", nullable))
    messages = found(host.app)
    assert messages.keys() == {"column-null"}
    assert f"access_tokens.{column} is " in messages["column-null"]
    assert words in messages["column-null"]


def test_a_missing_unique_constraint_is_found(host: Host) -> None:
    def drop(table: sa.Table, column: str) -> None:
        table.indexes -= {each for each in table.indexes if each.columns.keys() == [column]}
        constraints = {each for each in table.constraints if isinstance(each, sa.UniqueConstraint)}
        table.constraints -= {each for each in constraints if each.columns.keys() == [column]}

    for column in ("seat", "nonce"):
        create_like(host, lambda table, column=column: drop(table, column))
        messages = found(host.app)
        assert messages.keys() == {"unique-missing"}
        assert f"keeps {column} of access_tokens unique" in messages["unique-missing"]


def test_a_missing_index_is_found_and_one_of_another_name_is_not(host: Host) -> None:
    def rename(table: sa.Table) -> None:
        for index in table.indexes:
            index.name = sa.quoted_name(f"our_{index.name}", None)

    def drop(table: sa.Table) -> None:
        table.indexes -= {index for index in table.indexes if index.columns.keys() == ["owner_id"]}

    create_like(host, rename)
    assert found(host.app) == {}
    create_like(host, drop)
    messages = found(host.app)
    assert messages.keys() == {"index-missing"}
    assert "The index ix_access_tokens_owner_id of access_tokens" in messages["index-missing"]


def test_a_missing_foreign_key_is_found(owned: OwnedHost) -> None:
    def change(table: sa.Table) -> None:
        table.constraints -= {each for each in table.constraints if isinstance(each, sa.ForeignKeyConstraint)}

    assert found(owned.app) == {}
    create_like(owned, change)
    messages = found(owned.app)
    assert messages.keys() == {"foreign-key-missing"}
    assert "from access_tokens.owner_id to people.id with ON DELETE CASCADE" in messages["foreign-key-missing"]


def test_a_foreign_key_without_its_action_is_found(owned: OwnedHost) -> None:
    def change(table: sa.Table) -> None:
        for each in table.foreign_key_constraints:
            each.ondelete = None

    create_like(owned, change)
    assert found(owned.app).keys() == {"foreign-key-missing"}


def test_a_table_that_was_generated_without_owner_is_found(owned: OwnedHost, kind: str) -> None:
    def change(table: sa.Table) -> None:
        table.constraints -= {each for each in table.constraints if isinstance(each, sa.ForeignKeyConstraint)}
        table.c.owner_id.type = sa.String(255)

    create_like(owned, change)
    messages = found(owned.app)
    assert messages.keys() == {"foreign-key-missing", "column-type"}
    assert "access_tokens.owner_id holds VARCHAR(255) in the database, and INTEGER" in messages["column-type"]


@pytest.mark.parametrize("kind", ["postgresql"])
def test_the_table_is_looked_for_in_the_schema_that_the_host_maps_it_to(
    make_host: Callable[..., Host], url: str
) -> None:
    host = make_host(url, **SOUND)
    with host.app.app_context():
        with host.db.engine.begin() as connection:
            connection.exec_driver_sql("CREATE SCHEMA IF NOT EXISTS ann")
        host.db.drop_all()
    options = {"execution_options": {"schema_translate_map": {None: "ann"}}}
    mapped = make_host(url, **SOUND, SQLALCHEMY_ENGINE_OPTIONS=options)
    assert found(host.app).keys() == {"table-missing"}
    assert found(mapped.app) == {}
    with mapped.app.app_context():
        mapped.db.drop_all()
    assert "The table ann.access_tokens" in found(mapped.app)["table-missing"]


@pytest.mark.parametrize("action", ["NO ACTION", "RESTRICT", "no action"])
def test_a_foreign_key_that_refuses_a_deletion_is_found_by_whatever_name(url: str, action: str) -> None:
    host = OwnedHost(url, own_model=True)
    host.app.config.update(SOUND)
    (constraint,) = host.access_tokens.model.__table__.foreign_key_constraints
    constraint.ondelete = action
    with host.app.app_context():
        enforce_foreign_keys(host.db.engine)
        host.db.drop_all()
        host.db.create_all()
        assert found(host.app) == {}
        host.db.drop_all()
        host.db.engine.dispose()


@pytest.mark.parametrize("kind", ["postgresql"])
def test_an_index_that_postgresql_does_not_read_is_missing(host: Host) -> None:
    with host.app.app_context(), host.db.engine.begin() as connection:
        connection.exec_driver_sql(
            "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'ix_access_tokens_hint'::regclass"
        )
    messages = found(host.app)
    assert messages.keys() == {"index-missing"}
    assert "ix_access_tokens_hint" in messages["index-missing"]
