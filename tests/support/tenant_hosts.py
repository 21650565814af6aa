"""The ways in which hosts keep their tenants apart."""

import uuid
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from flask import g
from flask_sqlalchemy import SQLAlchemy
from flask_sqlalchemy.session import Session
from sqlalchemy.orm import Mapped, mapped_column, with_loader_criteria

from flask_access_tokens import AccessTokenMixin
from host import stop_thread
from tenants import TENANTS, Tenants, tenant_application

DRIVERS = ("psycopg", "psycopg2", "pg8000")


class Databases:
    """Empty databases for the hosts, and what has to be undone at the end of a test."""

    def __init__(self, server_database: Callable[..., str], folder: Path, stack: ExitStack) -> None:
        self.server_database = server_database
        self.folder = folder
        self.stack = stack

    def postgresql(self, driver: str = "psycopg") -> str:
        """The URL of a database with an empty schema for each tenant."""
        url = sa.make_url(self.server_database("postgresql", "tenants"))
        schemas = ("public", *TENANTS)
        self.run(
            url,
            f"DROP SCHEMA IF EXISTS {', '.join(schemas)} CASCADE",
            *(f"CREATE SCHEMA {schema}" for schema in schemas),
        )
        return url.set(drivername=f"postgresql+{driver}").render_as_string(hide_password=False)

    def one_per_tenant(self, kind: str) -> dict[str, str]:
        """The URLs of databases by tenant."""
        if kind == "sqlite":
            return {tenant: f"sqlite:///{self.folder / tenant}.sqlite3" for tenant in TENANTS}
        return {tenant: self.server_database(kind, tenant) for tenant in TENANTS}

    def run(self, url: str | sa.URL, *statements: str) -> None:
        """Run statements as the administrator of a database."""
        engine = sa.create_engine(url, poolclass=sa.NullPool)
        with engine.begin() as connection:
            for statement in statements:
                connection.exec_driver_sql(statement)

    def create_tables(self, metadata: sa.MetaData, url: str, schemas: Iterable[str | None] = (None,)) -> None:
        """Create a host's tables, as its migrations would, and drop them at the end."""
        engine = sa.create_engine(url, poolclass=sa.NullPool)
        for schema in schemas:
            translated = engine.execution_options(schema_translate_map={None: schema})
            metadata.create_all(translated)
            self.stack.callback(metadata.drop_all, translated)

    def dispose(self, host: Tenants) -> Tenants:
        """Dispose of a host's engines at the end."""
        with host.app.app_context():
            for engine in host.db.engines.values():
                self.stack.callback(engine.dispose)
        self.stack.callback(stop_thread, host.app)
        return host


def search_path(databases: Databases, driver: str) -> Tenants:
    """A schema for each tenant, selected whenever a connection leaves the pool."""
    url = databases.postgresql(driver)
    app = tenant_application(url)
    db = SQLAlchemy(app)
    host = Tenants(app, db)
    databases.create_tables(db.metadata, url, TENANTS)

    def select_schema(connection: Any, *_: Any) -> None:
        cursor = connection.cursor()
        cursor.execute(f"SET search_path TO {g.tenant}")
        cursor.close()

    with app.app_context():
        sa.event.listen(db.engine, "checkout", select_schema)
    return databases.dispose(host)


def row_level_security(databases: Databases, how: str, driver: str, **config: Any) -> Tenants:
    """One table for all tenants, of which the database shows the rows of one, named at the start of a transaction."""
    url = databases.postgresql(driver)
    app = tenant_application(url, **config)

    class TenantSession(Session):
        """The class of this host's sessions, with listeners of its own."""

    db = SQLAlchemy(app, session_options=None if how == "a statement" else {"class_": TenantSession})

    class ApiToken(AccessTokenMixin, db.Model):  # type: ignore[name-defined,misc]
        __tablename__ = "api_tokens"
        __table_args__ = (sa.UniqueConstraint("tenant", "seat"),)
        tenant: Mapped[str] = mapped_column(server_default=sa.text("current_setting('app.tenant', true)"))
        seat: Mapped[str | None] = mapped_column(sa.String(64))

    host = Tenants(app, db, ApiToken)
    role = f"access_tokens_{uuid.uuid4().hex[:12]}"
    databases.create_tables(db.metadata, url)
    databases.run(
        url,
        f"CREATE ROLE {role}",
        f"GRANT USAGE ON SCHEMA public TO {role}",
        f"GRANT ALL ON api_tokens TO {role}",
        "ALTER TABLE api_tokens ENABLE ROW LEVEL SECURITY",
        "ALTER TABLE api_tokens FORCE ROW LEVEL SECURITY",
        "CREATE POLICY own_rows ON api_tokens USING (tenant = current_setting('app.tenant', true))",
    )
    databases.stack.callback(databases.run, url, f"DROP OWNED BY {role}", f"DROP ROLE {role}")

    def give_up_rights(connection: Any, *_: Any) -> None:
        cursor = connection.cursor()
        cursor.execute(f"SET ROLE {role}")
        cursor.close()
        connection.commit()

    def enter_tenant(session: Session, transaction: Any, connection: sa.Connection) -> None:
        connection.exec_driver_sql(f"SET LOCAL app.tenant = '{g.tenant}'")

    def enter_tenant_of_session(session: Session, transaction: Any, connection: sa.Connection) -> None:
        # A superuser's connection: without this role, a transaction reads the rows of every tenant.
        connection.exec_driver_sql(f"SET LOCAL ROLE {role}")
        connection.execute(sa.select(sa.func.set_config("app.tenant", session.info["tenant"], True)))

    if how == "class":
        sa.event.listen(TenantSession, "after_begin", enter_tenant)
    elif how == "scoped session":
        sa.event.listen(db.session, "after_begin", enter_tenant)
    elif how == "what is removed":
        sa.event.listen(db.session, "after_begin", enter_tenant)
        app.teardown_request(lambda _: g.pop("tenant", None))
    elif how == "a statement":

        @app.before_request
        def enter_tenant_of_transaction() -> None:
            db.session.execute(sa.select(sa.func.set_config("app.tenant", g.tenant, True)))

    elif how == "instance":
        app.before_request(lambda: sa.event.listen(db.session(), "after_begin", enter_tenant))
    else:
        sa.event.listen(db.session, "after_begin", enter_tenant_of_session)
        app.before_request(lambda: db.session.info.update(tenant=g.tenant))
    if how != "info":
        with app.app_context():
            sa.event.listen(db.engine, "connect", give_up_rights)
    return databases.dispose(host)


def own_engine(databases: Databases, kind: str) -> Tenants:
    """A database for each tenant, selected by the class of the sessions."""
    urls = databases.one_per_tenant(kind)

    class TenantSession(Session):
        def get_bind(self, *arguments: Any, **named: Any) -> sa.Engine:
            return db.engines[g.tenant]

    app = tenant_application("sqlite://", SQLALCHEMY_BINDS=urls)
    db = SQLAlchemy(app, session_options={"class_": TenantSession})
    host = Tenants(app, db)
    for url in urls.values():
        databases.create_tables(db.metadata, url)
    return databases.dispose(host)


def bind_key(databases: Databases, kind: str) -> Tenants:
    """A database for each tenant and one for the rest; the tokens' bind key stands for the tenant of the request."""
    urls = databases.one_per_tenant(kind)

    class TenantSession(Session):
        def get_bind(self, *arguments: Any, **named: Any) -> sa.Engine | sa.Connection:
            bind = super().get_bind(*arguments, **named)
            return db.engines[g.tenant] if bind is db.engines["tenant"] else bind

    app = tenant_application("sqlite://", SQLALCHEMY_BINDS={"tenant": urls["north"], **urls})
    db = SQLAlchemy(app, session_options={"class_": TenantSession})

    class ApiToken(AccessTokenMixin, db.Model):  # type: ignore[name-defined,misc]
        __tablename__ = "api_tokens"
        __bind_key__ = "tenant"

    host = Tenants(app, db, ApiToken)
    for url in urls.values():
        databases.create_tables(db.metadatas["tenant"], url)
    return databases.dispose(host)


def schema_map(databases: Databases, how: str, kind: str) -> Tenants:
    """A schema for each tenant, by which SQLAlchemy completes the names of tables."""
    schemas = {tenant: tenant for tenant in TENANTS}
    if kind == "sqlite":
        url = f"sqlite:///{databases.folder / 'host.sqlite3'}"
    elif kind == "postgresql":
        url = databases.postgresql()
    else:
        urls = databases.one_per_tenant(kind)
        url = databases.server_database(kind, "tenants")
        schemas = {tenant: str(sa.make_url(urls[tenant]).database) for tenant in TENANTS}

    def schema_of_tenant() -> dict[Any, Any]:
        return {"schema_translate_map": {None: schemas[g.tenant]}}

    engines: dict[str, Any] = {}

    class TenantSession(Session):
        def get_bind(self, *arguments: Any, **named: Any) -> Any:
            bind = super().get_bind(*arguments, **named).execution_options(**schema_of_tenant())
            # A session takes a connection for each engine, and these count as different ones.
            return bind if how == "get_bind anew" else engines.setdefault(g.tenant, bind)

    app = tenant_application(url)
    db = SQLAlchemy(app, session_options={"class_": TenantSession} if how.startswith("get_bind") else None)
    host = Tenants(app, db)
    if how == "options":

        @app.before_request
        def map_schema() -> None:
            db.session.connection(execution_options=schema_of_tenant())

    elif how == "connection":

        @app.before_request
        def map_schema_of_connection() -> None:
            db.session.connection().execution_options(**schema_of_tenant())

    elif how == "after_begin":

        @sa.event.listens_for(db.session, "after_begin")
        def map_schema_of_transaction(session: Session, transaction: Any, connection: sa.Connection) -> None:
            connection.execution_options(**schema_of_tenant())

    if kind == "sqlite":
        with app.app_context():
            sa.event.listen(db.engine, "connect", partial(_attach, databases.folder))
            for schema in TENANTS:
                db.metadata.create_all(db.engine.execution_options(schema_translate_map={None: schema}))
            # A forgotten map reads the table of nobody, and is not an error.
            db.metadata.create_all(db.engine)
    else:
        databases.create_tables(db.metadata, url, (None, *schemas.values()))
    return databases.dispose(host)


def _attach(folder: Path, connection: Any, _: Any) -> None:
    for tenant in TENANTS:
        connection.execute(f"ATTACH DATABASE '{folder / tenant}.sqlite3' AS {tenant}")


def loader_criteria(databases: Databases, kind: str) -> Tenants:
    """One table for all tenants, to whose statements the session adds a condition on the tenant."""
    url = databases.postgresql() if kind == "postgresql" else f"sqlite:///{databases.folder / 'host.sqlite3'}"
    app = tenant_application(url)
    db = SQLAlchemy(app)

    class TenantMixin:
        tenant: Mapped[str] = mapped_column(default=lambda: g.tenant)

    class ApiToken(AccessTokenMixin, TenantMixin, db.Model):  # type: ignore[name-defined,misc]
        __tablename__ = "api_tokens"
        __table_args__ = (sa.UniqueConstraint("tenant", "seat"),)
        seat: Mapped[str | None] = mapped_column(sa.String(64))

    host = Tenants(app, db, ApiToken)
    databases.create_tables(db.metadata, url)

    @sa.event.listens_for(db.session, "do_orm_execute")
    def add_tenant(state: Any) -> None:
        if state.is_select or state.is_update or state.is_delete:
            tenant = g.tenant
            criteria = with_loader_criteria(TenantMixin, lambda cls: cls.tenant == tenant, include_aliases=True)
            state.statement = state.statement.options(criteria)

    return databases.dispose(host)


HOSTS: dict[str, Callable[[Databases], Tenants]] = {
    **{f"search path, {driver}": partial(search_path, driver=driver) for driver in DRIVERS},
    **{
        f"row-level security by {how}, {driver}": partial(row_level_security, how=how, driver=driver)
        for how in ("class", "scoped session", "instance", "info")
        for driver in DRIVERS
    },
    "row-level security by what is removed": partial(row_level_security, how="what is removed", driver="psycopg"),
    **{f"own engine, {kind}": partial(own_engine, kind=kind) for kind in ("sqlite", "postgresql", "mariadb")},
    **{f"bind key, {kind}": partial(bind_key, kind=kind) for kind in ("sqlite", "postgresql")},
    **{
        f"schema map by {how}, {kind}": partial(schema_map, how=how, kind=kind)
        for how in ("options", "connection", "after_begin", "get_bind")
        for kind in ("sqlite", "postgresql", "mariadb")
    },
    "schema map by get_bind anew, sqlite": partial(schema_map, how="get_bind anew", kind="sqlite"),
    **{f"loader criteria, {kind}": partial(loader_criteria, kind=kind) for kind in ("sqlite", "postgresql")},
}
"""Functions that set up a host, by the way in which it keeps its tenants apart."""
