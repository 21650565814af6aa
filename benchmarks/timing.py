"""Timing in rounds of shuffled order, so that a slow phase of the machine affects all subjects alike."""

import io
import itertools
import os
import random
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from statistics import median, quantiles
from typing import Any

from flask import Flask


def in_process(app: Flask, path: str, secrets: list[str] | None) -> Callable[[], None]:
    """A function that calls the WSGI application without a server and raises unless the status is 200."""
    template = {
        "REQUEST_METHOD": "GET",
        "SCRIPT_NAME": "",
        "PATH_INFO": path,
        "QUERY_STRING": "",
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "HTTP_HOST": "localhost",
        "wsgi.url_scheme": "http",
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": False,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    headers = itertools.cycle([f"Bearer {secret}" for secret in secrets or []] or [""])
    statuses: list[str] = []

    def start_response(status: str, *_: Any) -> None:
        statuses.append(status)

    def call() -> None:
        environ: dict[str, Any] = {**template, "wsgi.input": io.BytesIO()}
        if secrets:
            environ["HTTP_AUTHORIZATION"] = next(headers)
        statuses.clear()
        answer: Any = app(environ, start_response)  # type: ignore[arg-type]
        for _ in answer:
            pass
        answer.close()
        if not statuses[0].startswith("200"):
            raise RuntimeError(f"{app.name}{path}: {statuses[0]}")

    return call


def rounds(calls: Mapping[Any, Callable[[], None]], count: int, seconds: float) -> dict[Any, list[float]]:
    """The microseconds that each call takes, one value per round.

    :param seconds: how long each call is repeated in a round.
    """
    repeats: dict[Any, int] = {}
    for name, call in calls.items():
        for _ in range(300):
            call()
        repeats[name] = max(5, int(seconds * 1e6 / _timed(call, 200)))
    times: dict[Any, list[float]] = {name: [] for name in calls}
    order = list(calls)
    for _ in range(count):
        random.shuffle(order)
        for name in order:
            # The fastest of five batches: other processes can only slow a batch down.
            times[name].append(min(_timed(calls[name], repeats[name] // 5 + 1) for _ in range(5)))
    return times


def _timed(call: Callable[[], None], repeats: int) -> float:
    started = time.perf_counter_ns()
    for _ in range(repeats):
        call()
    return (time.perf_counter_ns() - started) / repeats / 1000


@contextmanager
def served(subject: str, url: str) -> Iterator[int]:
    """Serve a subject with gunicorn and one sync worker; yields its port."""
    with socket.create_server(("127.0.0.1", 0), backlog=128) as listener:
        command = [sys.executable, "-m", "gunicorn", "benchmarks.subjects:serve()", "--no-control-socket"]
        command += ["--bind", f"fd://{listener.fileno()}", "--log-level", "error"]
        environment = {**os.environ, "BENCHMARK_SUBJECT": subject, "BENCHMARK_URL": url}
        server = subprocess.Popen(command, env=environment, pass_fds=[listener.fileno()])
        try:
            _ask(listener.getsockname()[1], "/open", None)
            yield listener.getsockname()[1]
        finally:
            server.terminate()
            server.wait(20)


def requests_per_second(port: int, path: str, secrets: list[str] | None, seconds: float, clients: int = 4) -> float:
    """The requests per second of this many clients; every request has its own connection, as sync workers need."""
    done = [0] * clients
    until = time.perf_counter() + seconds

    def client(number: int) -> None:
        for secret in itertools.cycle(secrets[number::clients] if secrets else [None]):
            _ask(port, path, secret)
            done[number] += 1
            if time.perf_counter() > until:
                return

    threads = [threading.Thread(target=client, args=(number,)) for number in range(clients)]
    started = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(done) / (time.perf_counter() - started)


def _ask(port: int, path: str, secret: str | None) -> None:
    credential = f"Authorization: Bearer {secret}\r\n" if secret else ""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n{credential}Connection: close\r\n\r\n".encode())
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    if b" 200 " not in answer[:20]:
        raise RuntimeError(f"{path}: {answer[:60]!r}")


def spread(values: list[float]) -> tuple[float, float, float]:
    """The lower quartile, the median and the upper quartile."""
    low, _, high = quantiles(values, n=4, method="inclusive")
    return low, median(values), high
