"""A host under gunicorn, with workers that a test can kill."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from flask import Flask, Response, request
from sqlalchemy import text

from host import Host, bearer


def application() -> Flask:
    """The application for gunicorn: a host with settings from the environment, whose responses name their worker."""
    host = Host(**json.loads(os.environ["HOST_SETTINGS"]), TESTING=False)

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
    """A response; its status is 0 if the connection failed."""

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

    :param settings: the arguments of :class:`host.Host`.
    :param folder: the folder for its log.
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
        command = [sys.executable, "-m", "gunicorn", "workers:application()", "--bind", f"fd://{self.socket.fileno()}"]
        command += ["--workers", str(workers), "--threads", str(threads), "--graceful-timeout", "2"]
        command += ["--no-control-socket", *(["--preload"] if preload else [])]
        here = str(Path(__file__).parent)
        environment = {**os.environ, "PYTHONPATH": here, "HOST_SETTINGS": json.dumps(settings)}
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
        """Send one request, a POST if a form is given.

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
        """Sign in as a person and return the session cookie."""
        return self.call(f"/sign-in/{person}").headers["Set-Cookie"].partition(";")[0]

    def pids(self) -> list[int]:
        """The process ids of the running workers."""
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
        """Kill one worker, as a power failure would; gunicorn starts another."""
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
