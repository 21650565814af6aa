"""A database, a host on it, the host's workers, and a proxy between them that can be cut."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from databases import Proxy, address, new_database
from flask_access_tokens import tokens
from host import Host
from workers import Answer, Gunicorn

ARGUMENTS: dict[str, dict[str, Any]] = {
    "sqlite": {"timeout": 10},
    "postgresql": {"connect_timeout": 2},
    "mariadb": {"connect_timeout": 2},
}
PORTS = {"postgresql": 5432, "mariadb": 3306}


@dataclass
class Place:
    """A host on a database, in this process and, while it is served, in gunicorn's workers."""

    kind: str
    url: sa.URL
    folder: Path
    proxy: Proxy | None
    """What the workers' connections go through; None for SQLite, which has none."""
    host: Host
    gunicorn: Gunicorn | None = None

    @contextmanager
    def serving(self, *, preload: bool = False, **config: Any) -> Iterator[Gunicorn]:
        """Serve the host in four workers of two threads each."""
        url = self.url.set(host="127.0.0.1", port=self.proxy.port) if self.proxy else self.url
        config["SQLALCHEMY_ENGINE_OPTIONS"] = {"connect_args": ARGUMENTS[self.kind], "pool_timeout": 5}
        gunicorn = Gunicorn({"url": address(url), **config}, self.folder, threads=2, preload=preload)
        try:
            yield gunicorn
        finally:
            gunicorn.stop()

    def generate(self, owner: str, times: int = 1) -> list[str]:
        """Generate tokens for an owner and return their secrets."""
        with self.host.app.app_context():
            return [tokens.generate(owner, f"laptop {number}").secret for number in range(times)]

    def owned_by(self, owner: str) -> list[tokens.Token]:
        with self.host.app.app_context():
            return tokens.owned_by(owner)

    def run(self, *statements: str) -> None:
        """Run statements and commit them."""
        with self.host.app.app_context(), self.host.db.engine.begin() as connection:
            for statement in statements:
                connection.exec_driver_sql(statement)

    @contextmanager
    def locked_rows(self) -> Iterator[None]:
        """Lock every token's row until the block ends, from another transaction."""
        sqlite = self.kind == "sqlite"
        lock = "UPDATE access_tokens SET name = 'held'" if sqlite else "SELECT id FROM access_tokens FOR UPDATE"
        with self.host.app.app_context(), self.host.db.engine.connect() as other:
            other.exec_driver_sql(lock)
            yield
            other.rollback()

    def scalar(self, statement: str) -> Any:
        with self.host.app.app_context(), self.host.db.engine.connect() as connection:
            return connection.exec_driver_sql(statement).scalar()


@dataclass
class Served:
    """A place whose host is served for as long as it exists."""

    place: Place
    gunicorn: Gunicorn
    connections_at_start: int = 0

    def use(self, text: str) -> Answer:
        """Call the API with a secret."""
        return self.gunicorn.call("/api", secret=text)

    @property
    def proxy(self) -> Proxy:
        assert self.place.proxy is not None
        return self.place.proxy


@contextmanager
def open_place(
    kind: str, folder: Path, server: sa.URL | None = None, *, durable: bool = False, **config: Any
) -> Iterator[Place]:
    """Set up a host on a new database of a kind.

    :param server: where the database is created; None for SQLite.
    :param durable: committed data survives a crash of the server.
    :param config: the host's configuration.
    """
    sqlite = nullcontext(sa.make_url(f"sqlite:///{folder / 'host.sqlite3'}"))
    with sqlite if server is None else new_database(server, durable=durable) as url:
        proxy = Proxy(url.host or "127.0.0.1", url.port or PORTS[kind]) if server is not None else None
        host = Host(address(url), **config)
        with host.app.app_context():
            host.db.create_all()
        try:
            yield Place(kind, url, folder, proxy, host)
        finally:
            if proxy:
                proxy.close()
            with host.app.app_context():
                host.db.engine.dispose()
