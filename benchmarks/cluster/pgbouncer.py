"""PgBouncer in transaction mode, in front of a PostgreSQL server."""

import shutil
import tempfile
from pathlib import Path

import psycopg

from .processes import Program, free_port, give_to, program, wait_for

CONFIGURATION = """\
[databases]
* = host=127.0.0.1 port={server_port} user=postgres

[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = {pool_size}
max_client_conn = 200
ignore_startup_parameters = extra_float_digits
query_timeout = {query_timeout}
query_wait_timeout = {query_timeout}
server_connect_timeout = 2
server_login_retry = 1
log_connections = 0
log_disconnections = 0
"""


class PgBouncer:
    """A running PgBouncer.

    :param server_port: the port of the PostgreSQL server.
    :param pool_size: connections to the server, which all clients share.
    :param query_timeout: seconds until a statement ends with an error that waits this long for an answer, or for a
        connection to the server; 0 for never.
    """

    def __init__(self, server_port: int, *, pool_size: int = 4, query_timeout: float = 0) -> None:
        command = program("pgbouncer")
        self.folder = Path(tempfile.mkdtemp(prefix="access-tokens-pgbouncer-"))
        give_to(self.folder, "postgres")
        self.port = free_port()
        values = {"server_port": server_port, "pool_size": pool_size, "query_timeout": query_timeout}
        configuration = self.folder / "pgbouncer.ini"
        configuration.write_text(CONFIGURATION.format(port=self.port, **values))
        self.program = Program([command, configuration], self.folder / "log", "postgres")
        try:
            wait_for(self._answers, "PgBouncer starts", 20)
        except BaseException:
            self.close()
            raise

    def url(self, database: str) -> str:
        return f"postgresql+psycopg://postgres@127.0.0.1:{self.port}/{database}"

    def _answers(self) -> bool:
        where = f"host=127.0.0.1 port={self.port} user=postgres dbname=postgres connect_timeout=2"
        try:
            with psycopg.connect(where, autocommit=True) as connection:
                return connection.execute("SELECT 1").fetchone() == (1,)
        except psycopg.Error:
            return False

    def close(self) -> None:
        self.program.kill()
        shutil.rmtree(self.folder, ignore_errors=True)
