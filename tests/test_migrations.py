"""The token table, as a host's migrations see it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import flask_migrate
import pytest
import sqlalchemy as sa
from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy.orm import Mapped, mapped_column

from flask_access_tokens import AccessTokenMixin, AccessTokens, tokens

# Flask-Migrate's own template makes a deprecated call to Flask-SQLAlchemy.
pytestmark = pytest.mark.filterwarnings("ignore:'get_engine' is deprecated:DeprecationWarning")


def ready_made(app: Flask, db: SQLAlchemy) -> AccessTokens:
    return AccessTokens(app, db)


def own_model(app: Flask, db: SQLAlchemy) -> AccessTokens:
    class Person(db.Model):
        id: Mapped[int] = mapped_column(primary_key=True)

    class ApiToken(AccessTokenMixin, db.Model):
        __tablename__ = "api_tokens"
        __table_args__ = (sa.Index("by_name", "name"),)
        owner_id: Mapped[int] = mapped_column(sa.ForeignKey(Person.id, ondelete="CASCADE"), index=True)

    return AccessTokens(app, db, model=ApiToken)


@pytest.fixture(params=["sqlite", "postgresql", "mariadb"])
def kind(request: pytest.FixtureRequest) -> str:
    """A kind of database."""
    return str(request.param)


@pytest.fixture(params=[ready_made, own_model], ids=["ready-made model", "own model"])
def migrated(
    request: pytest.FixtureRequest,
    kind: str,
    server_database: Callable[..., str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Any:
    """A host with Flask-Migrate and an empty migrations folder, inside its application context."""
    # The template reconfigures logging, which would disable the loggers that other tests read.
    monkeypatch.setattr("logging.config.fileConfig", lambda *_: None)
    url = f"sqlite:///{tmp_path / 'host.sqlite3'}" if kind == "sqlite" else server_database(kind, "migrations")
    app = Flask("host")
    app.config.update(SECRET_KEY="a key for tests", SQLALCHEMY_DATABASE_URI=url)
    db = SQLAlchemy(app)
    access_tokens = request.param(app, db)
    flask_migrate.Migrate(app, db, directory=str(tmp_path / "migrations"))
    with app.app_context():
        flask_migrate.init()
        yield db, access_tokens.model.__table__.name
        db.session.remove()
        db.drop_all()
        with db.engine.begin() as connection:
            connection.exec_driver_sql("DROP TABLE IF EXISTS alembic_version")
        db.engine.dispose()


@pytest.fixture
def revisions(tmp_path: Path) -> Callable[[], list[str]]:
    """A function that returns the texts of the migrations so far, in their order."""

    def read() -> list[str]:
        files = sorted((tmp_path / "migrations" / "versions").glob("*.py"), key=lambda file: file.stat().st_mtime_ns)
        return [file.read_text() for file in files]

    return read


def test_autogenerate_creates_the_table_once_and_then_finds_nothing_to_change(
    migrated: Any, revisions: Callable[[], list[str]]
) -> None:
    _, table = migrated
    flask_migrate.migrate(message="first")
    flask_migrate.upgrade()
    (first,) = revisions()
    assert first.count(f"create_table('{table}'") == 1
    flask_migrate.migrate(message="second")
    assert revisions() == [first]


def test_autogenerate_finds_nothing_to_change_after_create_all(migrated: Any) -> None:
    db, _ = migrated
    db.create_all()
    flask_migrate.stamp()
    flask_migrate.check()


def test_a_migration_adds_the_indexes_of_the_operators_list_to_an_earlier_table(
    migrated: Any, revisions: Callable[[], list[str]]
) -> None:
    db, table = migrated
    db.create_all()
    for index in db.metadata.tables[table].indexes:
        if {"created_at", "hint"} & set(index.columns.keys()):
            index.drop(db.engine)
    flask_migrate.stamp()
    flask_migrate.migrate(message="indexes")
    (revision,) = revisions()
    assert revision.count("batch_op.create_index(") == 4
    flask_migrate.upgrade()
    flask_migrate.check()


def test_a_migrated_table_equals_the_one_that_create_all_creates(migrated: Any) -> None:
    db, table = migrated
    flask_migrate.migrate(message="first")
    flask_migrate.upgrade()
    by_migration = _as_stored(db.engine, table)
    db.drop_all()
    db.create_all()
    assert by_migration == _as_stored(db.engine, table)


def test_tokens_work_in_a_migrated_table(migrated: Any) -> None:
    db, table = migrated
    flask_migrate.migrate(message="first")
    flask_migrate.upgrade()
    if table == "api_tokens":
        db.session.execute(sa.insert(db.metadata.tables["person"]).values(id=1))
        db.session.commit()
    made = tokens.generate(1, "laptop")
    found = tokens.find(made.secret)
    assert found is not None
    assert found.created_at == made.token.created_at


def _as_stored(engine: sa.Engine, name: str) -> Any:
    """A table as the database reports it, with collations and precisions, the columns in any order."""
    table = sa.Table(name, sa.MetaData(), autoload_with=engine)
    columns = {(column.name, repr(column.type), column.nullable, column.primary_key) for column in table.c}
    indexes = {(index.name, bool(index.unique), tuple(index.columns.keys())) for index in table.indexes}
    foreign_keys = {(key.parent.name, key.target_fullname, key.ondelete) for key in table.foreign_keys}
    return columns, indexes, foreign_keys
