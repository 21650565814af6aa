"""Concurrent callers, and waiting for a condition."""

import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from flask_access_tokens import secret
from workers import Answer


def someone(name: str) -> str:
    """A name that no other test uses."""
    return f"{name}-{uuid.uuid4().hex[:8]}"


def forged() -> str:
    """A well-formed secret that belongs to no token."""
    return str(secret.generate("pat"))


def statuses(answers: list[Answer]) -> Counter[int]:
    """The number of responses with each status."""
    return Counter(answer.status for answer in answers)


def at_once(count: int, work: Callable[[int], Any]) -> list[Any]:
    """Call a function in ``count`` threads at the same time, and return the results."""
    start = threading.Barrier(count)

    def one(number: int) -> Any:
        start.wait(30)
        return work(number)

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(one, range(count)))


@contextmanager
def load(threads: int, step: Callable[[int], Any]) -> Iterator[list[Any]]:
    """Call a function in threads until the block ends; the list collects the results."""
    results: list[Any] = []
    stop = threading.Event()

    def work(number: int) -> None:
        while not stop.is_set():
            results.append(step(number))

    with ThreadPoolExecutor(threads) as pool:
        futures = [pool.submit(work, number) for number in range(threads)]
        try:
            yield results
        finally:
            stop.set()
    for future in futures:
        future.result()


def wait_until(reached: Callable[[], bool], seconds: float = 20) -> None:
    """Wait until a condition holds, and fail if it does not in time."""
    deadline = time.monotonic() + seconds
    while not reached():
        assert time.monotonic() < deadline
        time.sleep(0.01)
