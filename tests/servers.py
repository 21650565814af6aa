"""Servers of a test's own: a host under gunicorn, a proxy before a database, a private PostgreSQL."""

import glob
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from flask import Flask, Response, request
from host import Host, bearer
from sqlalchemy import text


def application() -> Flask:
    """What gunicorn serves: a host with the settings of its environment, that tells which worker answers."""
    host = Host(**json.loads(os.environ["HOST_SETTINGS"]))

    @host.app.before_request
    def read_first() -> None:
        if "X-Read-First" in request.headers:
            host.db.session.execute(text("SELECT count(*) FROM access_tokens")).all()

    @host.app.after_request
    def name_worker(response: Response) -> Response:
        response.headers["X-Worker"] = str(os.getpid())
        return response

    @host.app.get("/alive")
    def alive() -> str:
        return "alive"

    return host.app


@dataclass(frozen=True)
class Answer:
    """What came back; status 0 where the connection broke."""

    status: int
    headers: dict[str, str]
    text: str
    started: float
    ended: float

    @property
    def json(self) -> Any:
        return json.loads(self.text)


class Gunicorn:
    """A host under gunicorn, on a port of its own.

    :param settings: what :class:`host.Host` takes.
    :param folder: where its log goes.
    """

    def __init__(
        self,
        settings: dict[str, Any],
        folder: Path,
        *,
        workers: int = 4,
        threads: int = 1,
        preload: bool = False,
    ) -> None:
        self.socket = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port = self.socket.getsockname()[1]
        self.log = folder / f"gunicorn-{self.port}.log"
        self.workers = workers
        command = [sys.executable, "-m", "gunicorn", "servers:application()", "--bind", f"fd://{self.socket.fileno()}"]
        command += ["--workers", str(workers), "--threads", str(threads), "--graceful-timeout", "2"]
        command += ["--no-control-socket", *(["--preload"] if preload else [])]
        here = Path(__file__).parent
        paths = [str(here), str(here.parent)]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "HOST_SETTINGS": json.dumps(settings)}
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                command, cwd=folder, env=environment, stderr=log, stdout=log, pass_fds=[self.socket.fileno()]
            )
        try:
            self.wait_for_workers()
        except RuntimeError:
            self.stop()
            raise

    def call(
        self,
        path: str,
        *,
        secret: str | None = None,
        form: dict[str, str] | None = None,
        cookie: str | None = None,
        read_first: bool = False,
        timeout: float = 20,
    ) -> Answer:
        """One request; with a form it is a POST.

        :param timeout: seconds.
        """
        headers = bearer(secret) if secret else {}
        body = None
        if form is not None:
            body = urlencode(form)
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        if cookie:
            headers["Cookie"] = cookie
        if read_first:
            headers["X-Read-First"] = "yes"
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        started = time.monotonic()
        try:
            connection.request("GET" if form is None else "POST", path, body, headers)
            response = connection.getresponse()
            content = response.read().decode()
        except (OSError, http.client.HTTPException):
            return Answer(0, {}, "", started, time.monotonic())
        finally:
            connection.close()
        return Answer(response.status, dict(response.getheaders()), content, started, time.monotonic())

    def sign_in(self, person: str) -> str:
        """The cookie of a person who has signed in."""
        return self.call(f"/sign-in/{person}").headers["Set-Cookie"].partition(";")[0]

    def pids(self) -> list[int]:
        """The workers that run now."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        return [int(pid) for pid in children.split()]

    def wait_for_workers(self) -> None:
        deadline = time.monotonic() + 60
        while self.process.poll() is None and time.monotonic() < deadline:
            if self.call("/alive", timeout=1).status == 200 and len(self.pids()) == self.workers:
                return
            time.sleep(0.02)
        raise RuntimeError(f"gunicorn did not start:\n{self.log.read_text()}")

    def kill_a_worker(self) -> None:
        """End one worker as a power cut would; gunicorn starts another."""
        with suppress(IndexError, ProcessLookupError):
            os.kill(self.pids()[0], signal.SIGKILL)

    def stop(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            for pid in [*self.pids(), self.process.pid]:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            self.process.wait(10)
        self.socket.close()


class Proxy:
    """A way to a database that can be cut, closed and frozen, as the database itself would seem to a client.

    :param host: the database's host.
    :param port: the database's port.
    """

    def __init__(self, host: str, port: int) -> None:
        self.target = (host, port)
        # Never listens: it keeps the port while nobody does, so that a connection is refused.
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
        """Let connections stand and nothing through."""
        self._flowing.clear()

    def thaw(self) -> None:
        """Let everything through again, what waited first."""
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
    """A private PostgreSQL server, to be killed and frozen for real; it refuses to run as root."""

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
        """Where the newest server's programs are, or None."""
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
        """Kill the server and all it runs, as a power cut would."""
        self.freeze()  # so that it starts no further process meanwhile
        pids = self._pids()
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        deadline = time.monotonic() + 10
        while any(_runs(pid) for pid in pids) and time.monotonic() < deadline:
            time.sleep(0.02)
        # A new server takes a dead one that nobody has reaped for a living one.
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
        # The server outlives its starter and would keep a pipe open.
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
