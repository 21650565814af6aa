"""A PostgreSQL primary with a synchronous standby, on loopback ports."""

import shutil
import tempfile
from pathlib import Path
from typing import Any

import psycopg

from databases import PostgreSQL

from .processes import free_port, give_to, wait_for

STANDBY = "standby"
"""The name under which the standby announces itself, and the primary waits for it."""


def find_postgresql() -> Path:
    """The folder with the server's programs.

    :raises FileNotFoundError: where it is not installed.
    """
    found = PostgreSQL.binaries()
    if found is None:
        raise FileNotFoundError("postgresql is not installed")
    return found


class Server(PostgreSQL):
    """A server of the pair.

    :param primary: the server that it follows; None for a primary.
    """

    def __init__(self, primary: "Server | None" = None) -> None:
        self.bin = find_postgresql()
        self.folder = Path(tempfile.mkdtemp(prefix="access-tokens-postgresql-"))
        self.data = self.folder / "data"
        self.port = free_port()
        give_to(self.folder, "postgres")
        try:
            if primary is None:
                self._run("initdb", "-D", self.data, "-U", "postgres", "-A", "trust", "--no-sync", "-E", "UTF8")
            else:
                source = f"host=127.0.0.1 port={primary.port} user=postgres application_name={STANDBY}"
                self._run("pg_basebackup", "-D", self.data, "-d", source, "-R", "-c", "fast", "--no-sync")
            self.start()
        except BaseException:
            self.close()
            raise

    def run(self, statement: str, database: str = "postgres") -> Any:
        """Run a statement outside of a transaction and return the first value."""
        where = f"host=127.0.0.1 port={self.port} user=postgres dbname={database} connect_timeout=5"
        with psycopg.connect(where, autocommit=True) as connection:
            cursor = connection.execute(statement.encode())
            row = cursor.fetchone() if cursor.description else None
            return row[0] if row else None


class Pair:
    """A primary that acknowledges a commit once its standby has it."""

    def __init__(self) -> None:
        self.primary = Server()
        self.standby: Server | None = None
        try:
            self.standby = Server(self.primary)
            self.primary.run(f"ALTER SYSTEM SET synchronous_standby_names = '{STANDBY}'")
            self.primary.run("SELECT pg_reload_conf()")
            self.wait_for_standby()
        except BaseException:
            self.close()
            raise

    @property
    def second(self) -> Server:
        assert self.standby is not None
        return self.standby

    def url(self, database: str) -> str:
        """The URL of the primary."""
        return f"postgresql+psycopg://postgres@127.0.0.1:{self.primary.port}/{database}"

    def url_of_both(self, database: str, *options: str) -> str:
        """A URL that leads to whichever server is the primary.

        :param options: further parameters, as ``name=value``.
        """
        hosts = [f"host=127.0.0.1:{server.port}" for server in (self.primary, self.second)]
        parameters = "&".join([*hosts, "target_session_attrs=read-write", *options])
        return f"postgresql+psycopg://postgres@/{database}?{parameters}"

    def wait_for_standby(self) -> None:
        """Wait until commits are acknowledged by the standby."""
        state = "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync' AND state = 'streaming'"
        wait_for(lambda: bool(self.primary.run(state)), "the standby follows")

    def promote(self) -> None:
        """Make the standby a primary that waits for no standby of its own."""
        if not self.second.run("SELECT pg_promote(true, 30)"):
            raise RuntimeError("the standby was not promoted")

    def close(self) -> None:
        for server in (self.standby, self.primary):
            if server is not None:
                server.close()
                shutil.rmtree(server.folder, ignore_errors=True)
