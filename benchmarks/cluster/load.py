"""Bounded load on a served host, and what the answers were like."""

import itertools
import math
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from load import at_once
from workers import Answer, Gunicorn

P99_MS, MAX_MS = 100, 250
"""The aims for a check beside a database in trouble."""


@dataclass
class Answers:
    """Answers, each with the route it came from."""

    guarded: list[Answer] = field(default_factory=list)
    opened: list[Answer] = field(default_factory=list)

    @property
    def all(self) -> list[Answer]:
        return self.guarded + self.opened

    @property
    def good(self) -> bool:
        """Whether every request was answered 200."""
        return bool(self.all) and set(statuses(self.all)) == {200}

    @property
    def quick(self) -> bool:
        """Whether every request was answered 200, and every check in time."""
        return self.good and percentile(self.guarded, 99) < P99_MS and percentile(self.guarded, 100) < MAX_MS

    def __str__(self) -> str:
        worst = f"p99 {percentile(self.guarded, 99):.0f} ms, max {percentile(self.guarded, 100):.0f} ms"
        return f"{self.counts} ({worst})"

    @property
    def counts(self) -> str:
        opened = f", {len(self.opened):,} open: {named(self.opened)}" if self.opened else ""
        return f"{len(self.guarded):,} guarded: {named(self.guarded)}{opened}"


def statuses(answers: Iterable[Answer]) -> Counter[int]:
    return Counter(answer.status for answer in answers)


def named(answers: Iterable[Answer]) -> str:
    """The number of answers with each status, in words."""
    found = sorted(statuses(answers).items())
    return ", ".join(f"{count:,} × {status or 'no answer'}" for status, count in found) or "none"


def percentile(answers: Iterable[Answer], percent: float) -> float:
    """The time in milliseconds within which a share of the requests was answered."""
    times = sorted((answer.ended - answer.started) * 1000 for answer in answers)
    return times[max(0, math.ceil(len(times) * percent / 100) - 1)] if times else math.inf


def use(
    gunicorn: Gunicorn,
    secrets: Sequence[str],
    *,
    seconds: float = math.inf,
    until: Callable[[], bool] = lambda: False,
    callers: int = 4,
    timeout: float = 12,
) -> Answers:
    """Use tokens in turn from several callers, and call the open route after every fifth use.

    :param timeout: seconds after which a request counts as not answered.
    """
    found = Answers()
    turn = itertools.count()
    end = time.monotonic() + seconds

    def call(_: int) -> None:
        while time.monotonic() < end and not until():
            number = next(turn)
            secret = secrets[number % len(secrets)]
            found.guarded.append(gunicorn.call("/api", secret=secret, timeout=timeout))
            if number % 5 == 0:
                found.opened.append(gunicorn.call("/alive", timeout=timeout))

    at_once(callers, call)
    return found
