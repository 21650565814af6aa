"""Databases that a test can create, disconnect, freeze and kill."""

import glob
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import sqlalchemy as sa


def run_on_server(server: sa.URL, statement: str) -> None:
    """Run a statement on a server, outside of a transaction."""
    engine = sa.create_engine(server, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
    with engine.connect() as connection:
        connection.exec_driver_sql(statement)


@contextmanager
def new_database(server: sa.URL, *, durable: bool = False) -> Iterator[sa.URL]:
    """Create a database on a server, and drop it at the end.

    :param durable: committed data survives a crash of the server.
    """
    database = server.set(database=f"access_tokens_{uuid.uuid4().hex[:12]}")
    run_on_server(server, f"CREATE DATABASE {database.database}")
    try:
        if database.get_backend_name() == "postgresql":
            if not durable:
                run_on_server(server, f"ALTER DATABASE {database.database} SET synchronous_commit = off")
        else:
            # PyMySQL reads the machine's certificates for each connection otherwise.
            database = database.update_query_dict({"ssl_disabled": "true"})
        yield database
    finally:
        force = " WITH (FORCE)" if database.get_backend_name() == "postgresql" else ""
        run_on_server(server, f"DROP DATABASE {database.database}{force}")


def close_connections(engine: sa.Engine) -> None:
    """Let the server close every connection to a database, as a restart does."""
    other = sa.create_engine(engine.url, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
    with other.connect() as connection:
        if engine.dialect.name == "postgresql":
            others = "pid <> pg_backend_pid() AND datname = current_database()"
            connection.exec_driver_sql(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {others}")
            return
        others = "id <> connection_id() AND db = database()"
        listed = f"SELECT id FROM information_schema.processlist WHERE {others}"
        for number in connection.exec_driver_sql(listed).scalars().all():
            connection.exec_driver_sql(f"KILL {number}")


def address(url: sa.URL) -> str:
    """The text of a URL, its password included."""
    return url.render_as_string(hide_password=False)


class Proxy:
    """A TCP proxy to a database that can be cut, closed and frozen, like the database itself from a client's view.

    :param host: the database's host.
    :param port: the database's port.
    """

    def __init__(self, host: str, port: int) -> None:
        self.target = (host, port)
        # Never listens: it reserves the port while no listener is open, so that connections are refused.
        self._reserved = self._bound(0)
        self.port: int = self._reserved.getsockname()[1]
        self._listener: socket.socket | None = None
        self._sockets: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._flowing = threading.Event()
        self._flowing.set()
        self.accepted = 0
        self.open()

    def open(self) -> None:
        """Accept connections."""
        if self._listener is None:
            self._listener = self._bound(self.port)
            self._listener.listen(128)
            threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def refuse(self) -> None:
        """Cut every connection and refuse new ones."""
        listener, self._listener = self._listener, None
        if listener is not None:
            with suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()
        self.cut()

    def cut(self) -> None:
        """Cut every connection."""
        with self._lock:
            sockets, self._sockets = self._sockets, set()
        for each in sockets:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def freeze(self) -> None:
        """Keep connections open and forward nothing."""
        self._flowing.clear()

    def thaw(self) -> None:
        """Forward everything again, starting with what was held back."""
        self._flowing.set()

    def close(self) -> None:
        self.thaw()
        self.refuse()
        self._reserved.close()

    @staticmethod
    def _bound(port: int) -> socket.socket:
        bound = socket.socket()
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        bound.bind(("127.0.0.1", port))
        return bound

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(self.target, timeout=5)
            except OSError:
                client.close()
                continue
            server.settimeout(None)
            for each in (client, server):
                each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._lock:
                self.accepted += 1
                self._sockets |= {client, server}
            for source, sink in ((client, server), (server, client)):
                threading.Thread(target=self._pump, args=(source, sink), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                self._flowing.wait()
                sink.sendall(data)
        with suppress(OSError):
            sink.shutdown(socket.SHUT_RDWR)
        with self._lock:
            self._sockets.discard(source)
        source.close()


class PostgreSQL:
    """A private PostgreSQL server that can be killed and frozen; it refuses to run as root."""

    def __init__(self) -> None:
        self.bin = self.binaries()
        self.folder = Path(tempfile.mkdtemp(prefix="access-tokens-postgresql-"))
        self.data = self.folder / "data"
        self.port = _free_port()
        if os.geteuid() == 0:
            shutil.chown(self.folder, "postgres")
        self._run("initdb", "-D", self.data, "-U", "postgres", "-A", "trust", "--no-sync", "-E", "UTF8")
        self.start()

    @staticmethod
    def binaries() -> Path | None:
        """The folder with the newest server's programs, or None."""
        found = sorted(glob.glob("/usr/lib/postgresql/*/bin/initdb"), key=lambda name: int(name.split("/")[4]))
        if found and (os.geteuid() != 0 or shutil.which("runuser")):
            return Path(found[-1]).parent
        return Path(beside).parent if (beside := shutil.which("initdb")) and os.geteuid() != 0 else None

    @property
    def url(self) -> str:
        return f"postgresql+psycopg://postgres@127.0.0.1:{self.port}/postgres"

    def start(self) -> None:
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c fsync=off"
        log = self.folder / "log"
        self._run("pg_ctl", "-D", self.data, "-l", log, "-w", "-t", "20", "-o", options, "start")

    def kill(self) -> None:
        """Kill the server and all of its processes, as a power failure would."""
        self.freeze()  # so that it starts no further process in the meantime
        pids = self._pids()
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        deadline = time.monotonic() + 10
        while any(_runs(pid) for pid in pids) and time.monotonic() < deadline:
            time.sleep(0.02)
        # A new server mistakes a zombie process for a running server.
        (self.data / "postmaster.pid").unlink()

    def freeze(self) -> None:
        for pid in self._pids():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSTOP)

    def thaw(self) -> None:
        for pid in self._pids():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)

    def close(self) -> None:
        with suppress(FileNotFoundError):
            self.thaw()
            self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _pids(self) -> list[int]:
        postmaster = int((self.data / "postmaster.pid").read_text().split()[0])
        try:
            children = Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text().split()
        except FileNotFoundError:
            return []
        return [postmaster, *map(int, children)]

    def _run(self, program: str, *arguments: object) -> None:
        assert self.bin is not None
        command = [str(self.bin / program), *map(str, arguments)]
        if os.geteuid() == 0:
            command = ["runuser", "-u", "postgres", "--", *command]
        # The server outlives the process that starts it and would keep a pipe open.
        with (self.folder / "programs.log").open("ab") as log:
            subprocess.run(command, check=True, cwd=self.folder, stdout=log, stderr=log)


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
    return port
