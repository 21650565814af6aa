"""Hosts on a cluster: served by gunicorn, and in this process."""

import json
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from flask_access_tokens import tokens
from flask_access_tokens.store.settings import settings_findings
from host import Host
from workers import Gunicorn

from . import CHECKOUT

MODULE = "benchmarks.cluster.application:application()"


class Served(Gunicorn):
    """A host in gunicorn's workers, each with threads.

    :param url: the database.
    :param config: the configuration of the application.
    """

    def __init__(
        self, url: str, folder: Path, *, workers: int = 2, threads: int = 4, timeout: int = 30, **config: Any
    ) -> None:
        self.socket = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port = self.socket.getsockname()[1]
        self.log = folder / f"gunicorn-{self.port}.log"
        self.workers = workers
        command = [sys.executable, "-m", "gunicorn", MODULE, "--bind", f"fd://{self.socket.fileno()}"]
        command += ["--workers", str(workers), "--threads", str(threads), "--timeout", str(timeout)]
        command += ["--graceful-timeout", "1", "--no-control-socket"]
        environment = {**os.environ, "HOST_SETTINGS": json.dumps({"url": url, **config})}
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                command,
                cwd=CHECKOUT,
                env=environment,
                stdin=subprocess.DEVNULL,
                stderr=log,
                stdout=log,
                pass_fds=[self.socket.fileno()],
                start_new_session=True,
            )
        try:
            self.wait_for_workers()
        except BaseException:
            self.stop()
            raise


@contextmanager
def serving(url: str, **config: Any) -> Iterator[Served]:
    """Serve a host until the block ends."""
    with tempfile.TemporaryDirectory(prefix="access-tokens-host-") as folder:
        served = Served(url, Path(folder), **config)
        try:
            yield served
        finally:
            served.stop()


@contextmanager
def in_process(url: str, *, create: bool = False, **config: Any) -> Iterator[Host]:
    """A host in this process.

    :param create: create its tables.
    """
    host = Host(url, TESTING=False, **config)
    if create:
        with host.app.app_context():
            host.db.create_all()
    try:
        yield host
    finally:
        with host.app.app_context():
            host.db.engine.dispose()


def generate(host: Host, owner: str, times: int) -> list[str]:
    """Generate tokens for an owner and return their secrets."""
    with host.app.app_context():
        return [tokens.generate(owner, f"laptop {number}").secret for number in range(times)]


def delete(host: Host, owner: str, token_id: object) -> bool:
    """Delete a token of an owner, and return whether there was one."""
    with host.app.app_context():
        return tokens.delete(owner, token_id)


def problems(url: str, **config: Any) -> list[str]:
    """The codes of what the package finds wrong with the settings of a host's connections."""
    with in_process(url, **config) as host, host.app.app_context():
        return [finding.code for finding in settings_findings(host.app.extensions["access_tokens"])]


def owned_by(host: Host, owner: str) -> list[tokens.Token]:
    """The tokens of an owner."""
    with host.app.app_context():
        return tokens.owned_by(owner)


@contextmanager
def on_each(urls: Sequence[str], **config: Any) -> Iterator[list[Host]]:
    """A host in this process on each of several nodes."""
    with ExitStack() as stack:
        yield [stack.enter_context(in_process(url, **config)) for url in urls]


@contextmanager
def serving_on_each(urls: Sequence[str], **config: Any) -> Iterator[list[Served]]:
    """A host on each of several nodes, in one worker each."""
    with ExitStack() as stack:
        yield [stack.enter_context(serving(url, workers=1, **config)) for url in urls]
