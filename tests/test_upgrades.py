"""The upgrade of the table of an earlier version, with Flask-Migrate as it is by default."""

import json
import uuid
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import flask_migrate
import pytest
import sqlalchemy as sa
from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy.orm import Mapped, mapped_column

from earlier_tables import before_names, first_release
from flask_access_tokens import AccessTokenMixin, AccessTokens, tokens
from flask_access_tokens.models import _string
from sound import SOUND, durable, enforce_foreign_keys, found

# Flask-Migrate's own template makes a deprecated call to Flask-SQLAlchemy.
pytestmark = pytest.mark.filterwarnings("ignore:'get_engine' is deprecated:DeprecationWarning")

KINDS = ("sqlite", "postgresql", "mariadb")
OLD_ROWS = [
    row
    for row in json.loads((Path(__file__).parent / "data" / "rows-of-0.1.0.json").read_text())
    if row["status"] == 200 and row["pepper"] is None
]


class Upgraded:
    """A host whose database has the table of an earlier version, with rows, and which shares its migrations."""

    def __init__(self, url: str, migrations: Path, own_model: bool) -> None:
        self.app = Flask("host")
        self.app.config.update(SOUND, SQLALCHEMY_DATABASE_URI=url, ACCESS_TOKENS_PREFIX=["pat", "my_app"])
        self.db = db = SQLAlchemy(self.app)
        self.owner: Any = None
        model: Any = None
        if own_model:

            class Person(db.Model):
                id: Mapped[int] = mapped_column(primary_key=True)

            class ApiToken(AccessTokenMixin, db.Model):
                __tablename__ = "api_tokens"
                owner_id: Mapped[int] = mapped_column(sa.ForeignKey(Person.id, ondelete="CASCADE"), index=True)

            self.owner, model = Person.__table__.c.id, ApiToken
        access_tokens = AccessTokens(self.app, db, model=model)
        access_tokens.identity_loader(lambda: None)
        self.table: Any = access_tokens.model.__table__
        flask_migrate.Migrate(self.app, db, directory=str(migrations))
        with self.app.app_context():
            if own_model:
                enforce_foreign_keys(db.engine)
            self.drop()

    def start_from(self, earlier: Callable[..., sa.Table]) -> sa.Table:
        table = earlier(self.table.name, self.owner)
        with self.app.app_context(), self.db.engine.begin() as connection:
            table.metadata.create_all(connection)
            if self.owner is not None:
                connection.execute(self.owner.table.insert().values(id=1))
            for row in OLD_ROWS:
                values: dict[str, Any] = {key: row[key] for key in row if key in table.c}
                values |= {"id": uuid.UUID(row["id"]), "created_at": datetime.fromisoformat(row["created_at"])}
                values["owner_id"] = "ann" if self.owner is None else 1
                connection.execute(table.insert().values(values))
        return table

    def columns(self) -> set[str]:
        return {column["name"] for column in sa.inspect(self.db.engine).get_columns(self.table.name)}

    def accepts_every_secret(self) -> bool:
        return all(tokens.find(row["secret"]) is not None for row in OLD_ROWS)

    def drop(self) -> None:
        self.db.session.remove()
        self.db.drop_all()
        with self.db.engine.begin() as connection:
            connection.exec_driver_sql("DROP TABLE IF EXISTS alembic_version")
        self.db.engine.dispose()


@pytest.fixture(params=[False, True], ids=["ready-made model", "own model"])
def hosts(
    request: pytest.FixtureRequest,
    server_database: Callable[..., str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[dict[str, Upgraded]]:
    """A host on each database; they have the same migrations, of which there are none yet."""
    # The template reconfigures logging, which would disable the loggers that other tests read.
    monkeypatch.setattr("logging.config.fileConfig", lambda *_: None)
    urls = {kind: durable(server_database(kind, "upgrades")) for kind in KINDS[1:]}
    urls["sqlite"] = f"sqlite:///{tmp_path / 'host.sqlite3'}"
    hosts = {kind: Upgraded(urls[kind], tmp_path / "migrations", request.param) for kind in KINDS}
    with hosts["sqlite"].app.app_context():
        flask_migrate.init()
    yield hosts
    for host in hosts.values():
        with host.app.app_context():
            host.drop()


def write_migration(host: Upgraded, folder: Path) -> Path:
    """Write the migration that Alembic generates for a host, the only one of a folder."""
    with host.app.app_context():
        flask_migrate.stamp()
        flask_migrate.migrate(message="upgrade")
    (written,) = (folder / "migrations" / "versions").glob("*.py")
    return written


def upgrade_and_downgrade(host: Upgraded, earlier: sa.Table) -> None:
    """Apply the migrations twice and undo them once, with rows in the table, and find nothing to change afterwards."""
    flask_migrate.upgrade()
    assert host.accepts_every_secret()
    flask_migrate.downgrade()
    assert host.columns() == set(earlier.c.keys())
    flask_migrate.upgrade()
    assert host.accepts_every_secret()
    flask_migrate.check()
    assert found(host.app) == {}


@pytest.mark.case("S05", "S06")
@pytest.mark.parametrize("written_on", KINDS)
def test_one_migration_upgrades_the_table_of_the_first_release_on_every_database(
    hosts: dict[str, Upgraded], written_on: str, tmp_path: Path
) -> None:
    earlier = {kind: host.start_from(first_release) for kind, host in hosts.items()}
    written = write_migration(hosts[written_on], tmp_path)
    assert "(None," not in written.read_text()
    for kind, host in hosts.items():
        with host.app.app_context():
            upgrade_and_downgrade(host, earlier[kind])


@pytest.mark.case("S05", "S06")
@pytest.mark.parametrize("kind", KINDS)
def test_a_table_with_constraints_without_names_is_upgraded_by_a_migration_of_its_database(
    hosts: dict[str, Upgraded], kind: str, tmp_path: Path
) -> None:
    earlier = hosts[kind].start_from(before_names)
    write_migration(hosts[kind], tmp_path)
    with hosts[kind].app.app_context():
        upgrade_and_downgrade(hosts[kind], earlier)


@pytest.mark.case("S05", "S06")
def test_one_migration_upgrades_it_on_every_database_with_the_lines_of_the_changelog(
    hosts: dict[str, Upgraded], tmp_path: Path
) -> None:
    earlier = {kind: host.start_from(before_names) for kind, host in hosts.items()}
    written = write_migration(hosts["sqlite"], tmp_path)
    changelog = (Path(__file__).parent.parent / "CHANGELOG.md").read_text()
    lines = changelog.partition("> ```python\n")[2].partition("> ```")[0].replace("> ", "    ")
    lines = lines.replace("access_tokens", hosts["sqlite"].table.name)
    written.write_text(written.read_text().replace("def upgrade():\n", f"def upgrade():\n{lines}"))
    for kind, host in hosts.items():
        with host.app.app_context():
            upgrade_and_downgrade(host, earlier[kind])


@pytest.mark.case("S05")
@pytest.mark.parametrize("kind", KINDS)
def test_a_migration_adds_the_foreign_key_of_an_owner_that_is_passed_later(
    server_database: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    url = f"sqlite:///{tmp_path / 'host.sqlite3'}" if kind == "sqlite" else server_database(kind, "owner later")
    monkeypatch.setattr("logging.config.fileConfig", lambda *_: None)
    app = Flask("host")
    app.config.update(SECRET_KEY="a key for tests", SQLALCHEMY_DATABASE_URI=url)
    db = SQLAlchemy(app)

    class Person(db.Model):  # type: ignore[name-defined]
        name: Mapped[str] = mapped_column(_string(255), primary_key=True)

    access_tokens = AccessTokens(app, db, owner=Person.name)
    access_tokens.identity_loader(lambda: None)
    flask_migrate.Migrate(app, db, directory=str(tmp_path / "migrations"))
    with app.app_context():
        Person.__table__.create(db.engine)
        first_release("access_tokens").create(db.engine)
        flask_migrate.init()
        flask_migrate.stamp()
        flask_migrate.migrate()
        flask_migrate.upgrade()
        (key,) = sa.inspect(db.engine).get_foreign_keys(access_tokens.model.__table__.name)
        assert key["name"] == "fk_access_tokens_owner_id"
        flask_migrate.check()
        flask_migrate.downgrade()
        db.drop_all()
        with db.engine.begin() as connection:
            connection.exec_driver_sql("DROP TABLE alembic_version")
        db.engine.dispose()
