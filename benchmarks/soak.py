"""Test the package under load and faults; prints a table: ``python -m benchmarks.soak [--quick] [--only sqlite ...]``.

Load, cut connections, killed workers, races and locks on SQLite and on the servers that the tests use; loopback only.
The scenarios are those of the tests (``tests/support``), run for longer, so it needs a checkout.
"""

import argparse
import os
import random
import sys
import tempfile
import time
import uuid
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import sqlalchemy as sa

sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "support"))

from host import bearer
from load import at_once, forged, load, someone, statuses, wait_until
from place import Place, open_place
from scenarios import Callers, Storm, count_updates, race_for_the_last_place, race_to_delete
from workers import Gunicorn

KINDS = {"sqlite": None, "postgresql": "ACCESS_TOKENS_TEST_POSTGRESQL", "mariadb": "ACCESS_TOKENS_TEST_MARIADB"}
LIMIT = 3
TEN_MINUTES = 600


@dataclass
class Soak:
    """The place to measure, and whether to run a tenth of each scenario."""

    place: Place
    quick: bool

    def some(self, count: int) -> int:
        return max(3, count // 10) if self.quick else count


def mixed_load(soak: Soak) -> str:
    place, count = soak.place, soak.some(20_000)
    with place.serving() as gunicorn:
        callers = Callers(place, gunicorn, good=50)

        def use(_: int) -> None:
            for _ in range(count // 8):
                callers.step(random.randrange(50) if random.random() < 0.9 else 50)

        started = time.monotonic()
        at_once(8, use)
        rate = callers.seen.total() / (time.monotonic() - started)
    wrong = {seen: times for seen, times in callers.seen.items() if seen not in ("good 200", "forged 401")}
    return f"{callers.seen.total():,} requests, {rate:.0f}/s, {_none(wrong)} wrong"


def cut_under_load(soak: Soak) -> str:
    place, cuts, recoveries = soak.place, soak.some(10), []
    if place.proxy is None:
        return "–"
    with place.serving() as gunicorn:
        callers = Callers(place, gunicorn, good=4)
        with load(8, callers.step):
            for _ in range(cuts):
                time.sleep(3.5)
                _cut(place, seconds=1)
                back = time.monotonic()
                wait_until(callers.recovered)
                recoveries.append(time.monotonic() - back)
    return (
        f"{cuts} cuts, {callers.seen.total():,} requests, "
        f"{callers.seen['good 503'] + callers.seen['forged 503']:,} × 503, "
        f"{_none(callers.wrong())} wrong, back within {max(recoveries):.2f} s"
    )


def storm_with_cuts(soak: Soak) -> str:
    return _storm(soak, lambda _: _cut(soak.place, seconds=0.5), 5 if soak.place.proxy else 0)


def storm_with_kills(soak: Soak) -> str:
    return _storm(soak, Gunicorn.kill_a_worker, 10)


def _storm(soak: Soak, disturb: Callable[[Gunicorn], None], disturbances: int) -> str:
    """Generate, use and delete tokens during disturbances; then check the state of every token."""
    operations = soak.some(10_000)
    with soak.place.serving() as gunicorn:
        storm = Storm(soak.place, gunicorn, keeps=0.2)
        with load(8, storm.step):
            for number in range(disturbances + 1):
                enough = operations * (number + 1) / (disturbances + 1)
                wait_until(lambda enough=enough: storm.seen.total() >= enough, TEN_MINUTES)
                if number < disturbances:
                    disturb(gunicorn)
        gunicorn.wait_for_workers()
        wrong = storm.wrong()
    return (
        f"{storm.seen.total():,} operations, {len(storm.kept):,} kept and {len(storm.deleted):,} deleted tokens, "
        f"{_none(wrong)} lost or revived, {storm.seen[500]} × 500"
    )


def limit_race(soak: Soak) -> str:
    rounds, over, errors = soak.some(50), 0, Counter[int]()
    with soak.place.serving(ACCESS_TOKENS_MAX_PER_OWNER=LIMIT) as gunicorn:
        for _ in range(rounds):
            answers, held = race_for_the_last_place(soak.place, gunicorn, LIMIT)
            errors.update(answer.status for answer in answers if answer.status not in (200, 422))
            over += max(0, held - LIMIT)
    return f"16 × {rounds}: {over} over, {_none(errors)} errors"


def delete_race(soak: Soak) -> str:
    rounds = soak.some(100)
    with soak.place.serving() as gunicorn:
        right = sum(statuses(race_to_delete(soak.place, gunicorn)) == {303: 1, 404: 7} for _ in range(rounds))
    return f"8 × {rounds}: {right} with one winner"


def locked_row(soak: Soak) -> str:
    place, took = soak.place, []
    (text,) = place.generate(someone("ann"))
    until = time.monotonic() + soak.some(10)
    with place.serving() as gunicorn, place.locked_rows():
        while not took or time.monotonic() < until:
            answer = gunicorn.call("/api", secret=text)
            took.append(answer.ended - answer.started if answer.status == 200 else 99)
    return f"{len(took):,} requests, the slowest {max(took) * 1000:.0f} ms"


def last_used(soak: Soak) -> str:
    """Count the last-used updates of one token, and measure what they cost the throughput of two hundred tokens."""
    place, count, rounds = soak.place, soak.some(2000), soak.some(10)
    ann = someone("ann")
    (text,) = place.generate(ann)
    many = place.generate(someone("ann"), 200)
    rates: dict[str, list[float]] = {"on": [], "off": []}
    with place.serving() as on, place.serving(ACCESS_TOKENS_LAST_USED_INTERVAL=366 * 86400) as off:
        updates = count_updates(place, ann)
        at_once(8, lambda _: [on.call("/api", secret=text) for _ in range(count // 8)])
        written = updates()
        for number in range(rounds):
            pairs = [("on", on), ("off", off)]
            for name, gunicorn in pairs if number % 2 else reversed(pairs):
                rate = _rate(gunicorn, many)
                if number:
                    rates[name].append(rate)
    cost = 1 - median(on_ / off_ for on_, off_ in zip(rates["on"], rates["off"], strict=True))
    return f"{written} written in {count:,} uses; {cost:.1%} of {median(rates['off']):.0f} requests/s"


def _rate(gunicorn: Gunicorn, texts: list[str]) -> float:
    """The requests per second of eight clients."""
    started = time.monotonic()
    at_once(8, lambda caller: [gunicorn.call("/api", secret=text) for text in texts[caller::8] * 5])
    return len(texts) * 5 / (time.monotonic() - started)


def header_fuzz(soak: Soak) -> str:
    (text,) = soak.place.generate(someone("ann"))
    client = soak.place.host.app.test_client()
    words = ["Bearer", "bearer", "Basic", "", " ", "\t", ",", "=", '"', "é", "\xa0", ";", "a" * 2000]
    words += [text, text[:-1], forged()]
    took, seen = [], Counter[int]()
    for _ in range(soak.some(100_000)):
        value = " ".join(random.choices(words, k=random.randint(1, 5)))
        if random.random() < 0.5:
            value = "".join(chr(random.choice((random.randint(32, 126), random.randint(160, 255)))) for _ in range(60))
        started = time.perf_counter()
        seen[client.get("/api", headers={"Authorization": value}).status_code] += 1
        took.append(time.perf_counter() - started)
    wrong = {status: times for status, times in seen.items() if status not in (200, 400, 401)}
    return f"{len(took):,} values, {_none(wrong)} exceptions, p99 {quantiles(took, n=100)[98] * 1000:.2f} ms"


def secret_key_replaced(soak: Soak) -> str:
    texts = soak.place.generate(someone("ann"), soak.some(1000))
    app = soak.place.host.app
    app.config["SECRET_KEY"] = uuid.uuid4().hex
    lost = sum(app.test_client().get("/api", headers=bearer(text)).status_code != 200 for text in texts)
    return f"{len(texts):,} tokens, {lost} lost"


FIGURES: dict[str, Callable[[Soak], str]] = {
    "mixed load, 90 % good and 10 % forged, 4 workers, 8 clients": mixed_load,
    "database cut off again and again under load": cut_under_load,
    "generate, use and delete; database cut 5 times": storm_with_cuts,
    "generate, use and delete; a worker killed 10 times": storm_with_kills,
    "limit race": limit_race,
    "delete race": delete_race,
    "the token's row locked": locked_row,
    "last-used updates": last_used,
    "header fuzz": header_fuzz,
    "SECRET_KEY replaced": secret_key_replaced,
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a tenth of everything")
    parser.add_argument("--only", nargs="+", choices=KINDS, default=list(KINDS))
    options = parser.parse_args()
    servers = {kind: os.environ.get(KINDS[kind] or "") for kind in options.only}
    kinds = [kind for kind in options.only if kind == "sqlite" or servers[kind]]
    found: dict[str, list[str]] = {figure: [] for figure in FIGURES}
    for kind in kinds:
        server = sa.make_url(servers[kind]) if servers[kind] else None
        with tempfile.TemporaryDirectory() as folder, open_place(kind, Path(folder), server, durable=True) as place:
            for figure, measure in FIGURES.items():
                found[figure].append(measure(Soak(place, options.quick)))
                print(f"{kind}: {figure}: {found[figure][-1]}", file=sys.stderr, flush=True)
    print(f"| figure | {' | '.join(kinds)} |\n|---|{'---|' * len(kinds)}")
    for figure, values in found.items():
        print(f"| {figure} | {' | '.join(values)} |")


def _cut(place: Place, seconds: float) -> None:
    """Make the database unreachable for this long."""
    assert place.proxy is not None
    place.proxy.refuse()
    time.sleep(seconds)
    place.proxy.open()


def _none(wrong: Mapping[Any, int]) -> str:
    """The number of wrong results, and what they were."""
    wrong = {what: times for what, times in wrong.items() if times}
    return f"{sum(wrong.values())} {wrong}" if wrong else "0"


if __name__ == "__main__":
    main()
