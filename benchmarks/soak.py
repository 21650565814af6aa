"""What the package withstands, as one table: ``python -m benchmarks.soak [--quick] [--only sqlite ...]``.

Load, cut connections, killed workers, races and locks on SQLite and on the servers that the tests use; loopback only.
It takes the servers of the tests (``tests/servers.py``), so it runs in a checkout.
"""

import argparse
import os
import random
import re
import sys
import tempfile
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import sqlalchemy as sa

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from host import Host
from servers import Answer, Gunicorn, Proxy

from flask_access_tokens import secret, tokens

KINDS = {"sqlite": None, "postgresql": "ACCESS_TOKENS_TEST_POSTGRESQL", "mariadb": "ACCESS_TOKENS_TEST_MARIADB"}
ARGUMENTS = {
    "sqlite": {"timeout": 10},
    "postgresql": {"connect_timeout": 2},
    # PyMySQL reads the machine's certificates for each connection otherwise, which is what would be measured.
    "mariadb": {"connect_timeout": 2, "ssl_disabled": True},
}
SECRET = re.compile(r"pat_[0-9A-Za-z]{49}")
LIMIT = 3


@dataclass
class Place:
    """A database, a host on it here, and the way to it that can be cut."""

    kind: str
    url: sa.URL
    folder: Path
    proxy: Proxy | None
    host: Host
    quick: bool

    @contextmanager
    def serving(self, **config: Any) -> Iterator[Gunicorn]:
        url = self.url.set(host="127.0.0.1", port=self.proxy.port) if self.proxy else self.url
        config["SQLALCHEMY_ENGINE_OPTIONS"] = {"connect_args": ARGUMENTS[self.kind], "pool_timeout": 5}
        gunicorn = Gunicorn({"url": _text(url), **config}, self.folder, threads=2)
        try:
            yield gunicorn
        finally:
            gunicorn.stop()

    def generate(self, owner: str, times: int = 1) -> list[str]:
        with self.host.app.app_context():
            return [tokens.generate(owner, f"laptop {number}").secret for number in range(times)]

    def owned_by(self, owner: str) -> list[tokens.Token]:
        with self.host.app.app_context():
            return tokens.owned_by(owner)

    def some(self, count: int) -> int:
        return max(3, count // 10) if self.quick else count


def mixed_load(place: Place) -> str:
    good = {text: owner for owner in _people(10) for text in place.generate(owner, 5)}
    texts = list(good)
    wrong: Counter[str] = Counter()

    def use(_: int) -> None:
        text = random.choice(texts) if random.random() < 0.9 else _forged()
        answer = gunicorn.call("/api", secret=text)
        if text in good and (answer.status != 200 or answer.json["owner"] != good[text]):
            wrong[f"{answer.status} for a good token"] += 1
        if text not in good and answer.status != 401:
            wrong[f"{answer.status} for a forged token"] += 1

    count = place.some(20_000)
    with place.serving() as gunicorn:
        started = time.monotonic()
        _all(8, count, use)
        rate = count / (time.monotonic() - started)
    return f"{count:,} requests, {rate:.0f}/s, {_none(wrong)} wrong"


def cut_under_load(place: Place) -> str:
    if place.proxy is None:
        return "–"
    good = {place.generate(owner)[0]: owner for owner in _people(4)}
    texts = list(good)
    seen: Counter[str] = Counter()
    recoveries = []

    def use(number: int) -> None:
        text = texts[number] if number < len(texts) else _forged()
        answer = gunicorn.call("/api", secret=text)
        kind = "good" if text in good else "forged"
        right = answer.status != 200 or answer.json["owner"] == good.get(text)
        seen[f"{kind} {answer.status}" if right else "wrong owner"] += 1

    cuts, pause = place.some(10), 4.5
    with place.serving() as gunicorn, _load(8, use):
        for _ in range(cuts):
            time.sleep(pause - 1)
            place.proxy.refuse()
            time.sleep(1)
            place.proxy.open()
            back = time.monotonic()
            while any(gunicorn.call("/api", secret=text).status != 200 for text in texts):
                pass
            recoveries.append(time.monotonic() - back)
    wrong = {key: n for key, n in seen.items() if key not in ("good 200", "good 503", "forged 401", "forged 503")}
    return (
        f"{cuts} cuts, {seen.total():,} requests, {seen['good 503'] + seen['forged 503']:,} × 503, "
        f"{_none(wrong)} wrong, back within {max(recoveries):.2f} s"
    )


def storm(place: Place, disturb: Callable[[Gunicorn], None], disturbances: int) -> str:
    """Generate, use and delete while something goes wrong; then ask for every token what became of it."""
    kept: dict[str, str] = {}
    deleted: list[str] = []
    seen: Counter[int] = Counter()
    lock = threading.Lock()

    def step(number: int) -> None:
        person = people[number]
        made = call("/access-tokens/new", form={"name": "laptop", "lifetime_days": "1"}, cookie=cookies[number])
        found = SECRET.search(made.text)
        if made.status != 200 or not found:
            return
        text = found[0]
        call("/api", secret=text)
        if random.random() < 0.2:
            kept[text] = person
            return
        with place.host.app.app_context():
            token = tokens.find(text)
        if token is None:
            wrong["a token lost at once"] += 1
            return
        gone = call(f"/access-tokens/{token.id}/delete", form={}, cookie=cookies[number])
        if gone.status == 303:
            deleted.append(text)

    def call(path: str, **arguments: Any) -> Answer:
        answer = gunicorn.call(path, **arguments)
        with lock:
            seen[answer.status] += 1
        return answer

    wrong: Counter[str] = Counter()
    people = _people(8)
    wanted = place.some(10_000)
    with place.serving() as gunicorn:
        cookies = [gunicorn.sign_in(person) for person in people]
        with _load(8, step):
            until = time.monotonic() + 600
            for number in range(disturbances + 1):
                while seen.total() < wanted * (number + 1) / (disturbances + 1) and time.monotonic() < until:
                    time.sleep(0.05)
                if number < disturbances:
                    disturb(gunicorn)
        gunicorn.wait_for_workers()
        for text, person in kept.items():
            answer = gunicorn.call("/api", secret=text)
            wrong["a kept token lost"] += answer.status != 200 or answer.json["owner"] != person
        for text in deleted:
            wrong["a deleted token accepted"] += gunicorn.call("/api", secret=text).status != 401
    errors = seen[500]
    return (
        f"{seen.total():,} operations, {len(kept):,} kept and {len(deleted):,} deleted tokens, "
        f"{_none(wrong)} lost or revived, {errors} × 500"
    )


def storm_with_cuts(place: Place) -> str:
    def cut(_: Gunicorn) -> None:
        assert place.proxy
        place.proxy.refuse()
        time.sleep(0.5)
        place.proxy.open()

    return storm(place, cut, 5) if place.proxy else storm(place, lambda _: None, 0)


def storm_with_kills(place: Place) -> str:
    return storm(place, Gunicorn.kill_a_worker, 10)


def limit_race(place: Place) -> str:
    over, errors = 0, Counter[int]()
    rounds = place.some(50)
    with place.serving(ACCESS_TOKENS_MAX_PER_OWNER=LIMIT) as gunicorn:
        for person in _people(rounds):
            place.generate(person, LIMIT - 1)
            cookie = gunicorn.sign_in(person)
            wish = {"name": "one more", "lifetime_days": "1"}
            ask = _asking(gunicorn, "/access-tokens/new", form=wish, cookie=cookie, read_first=True)
            answers = _at_once(16, ask)
            errors.update(answer.status for answer in answers if answer.status not in (200, 422))
            over += max(0, len(place.owned_by(person)) - LIMIT)
    return f"16 × {rounds}: {over} over, {_none(errors)} errors"


def delete_race(place: Place) -> str:
    rounds, wrong = place.some(100), 0
    with place.serving() as gunicorn:
        person = _people(1)[0]
        cookie = gunicorn.sign_in(person)
        for _ in range(rounds):
            place.generate(person)
            (token,) = place.owned_by(person)
            answers = _at_once(8, _asking(gunicorn, f"/access-tokens/{token.id}/delete", form={}, cookie=cookie))
            wrong += Counter(answer.status for answer in answers) != {303: 1, 404: 7}
    return f"8 × {rounds}: {rounds - wrong} with one winner"


def locked_row(place: Place) -> str:
    (text,) = place.generate(_people(1)[0])
    lock = (
        "UPDATE access_tokens SET name = 'held'"
        if place.kind == "sqlite"
        else "SELECT id FROM access_tokens FOR UPDATE"
    )
    took = []
    with place.serving() as gunicorn, place.host.app.app_context(), place.host.db.engine.connect() as other:
        other.exec_driver_sql(lock)
        until = time.monotonic() + place.some(10)
        while time.monotonic() < until:
            answer = gunicorn.call("/api", secret=text)
            took.append(answer.ended - answer.started if answer.status == 200 else 99)
        other.rollback()
    return f"{len(took):,} requests, the slowest {max(took) * 1000:.0f} ms"


def stamps(place: Place) -> str:
    """Stamps that many uses of one token wrote, and what stamps cost the throughput of two hundred."""
    owner = _people(1)[0]
    (text,) = place.generate(owner)
    many = place.generate(_people(1)[0], 200)
    count, rounds = place.some(2000), place.some(10)
    rates: dict[str, list[float]] = {"on": [], "off": []}
    with place.serving() as on, place.serving(ACCESS_TOKENS_LAST_USED_INTERVAL=366 * 86400) as off:
        written = _watched(place, owner, lambda: _all(8, count, lambda _: on.call("/api", secret=text)))
        for number in range(rounds):
            pairs = [("on", on), ("off", off)]
            for name, gunicorn in pairs if number % 2 else reversed(pairs):
                started = time.monotonic()
                _all(8, 1000, lambda turn, server=gunicorn: server.call("/api", secret=many[turn % 200]))
                if number:
                    rates[name].append(1000 / (time.monotonic() - started))
    cost = 1 - median(on_ / off_ for on_, off_ in zip(rates["on"], rates["off"], strict=True))
    return f"{written} written in {count:,} uses; {cost:.1%} of {median(rates['off']):.0f} requests/s"


def _watched(place: Place, owner: str, work: Callable[[], None]) -> int:
    """How many stamps the one token of an owner got while the work was done, looked at every few milliseconds."""
    seen: set[Any] = set()
    done = threading.Event()

    def look() -> None:
        while not done.wait(0.005):
            seen.update(token.last_used_at for token in place.owned_by(owner))

    with ThreadPoolExecutor(1) as pool:
        watching = pool.submit(look)
        work()
        done.set()
        watching.result()
    seen.update(token.last_used_at for token in place.owned_by(owner))
    return len(seen - {None})


def header_fuzz(place: Place) -> str:
    (text,) = place.generate(_people(1)[0])
    client = place.host.app.test_client()
    words = [
        "Bearer",
        "bearer",
        "Basic",
        "",
        " ",
        "\t",
        ",",
        text,
        text[:-1],
        _forged(),
        "=",
        '"',
        "é",
        "\xa0",
        "a" * 2000,
        ";",
    ]
    took, statuses = [], Counter[int]()
    for _ in range(place.some(100_000)):
        value = " ".join(random.choices(words, k=random.randint(1, 5)))
        if random.random() < 0.5:
            value = "".join(chr(random.choice((random.randint(32, 126), random.randint(160, 255)))) for _ in range(60))
        started = time.perf_counter()
        statuses[client.get("/api", headers={"Authorization": value}).status_code] += 1
        took.append(time.perf_counter() - started)
    wrong = {status: n for status, n in statuses.items() if status not in (200, 400, 401)}
    return f"{len(took):,} values, {_none(wrong)} exceptions, p99 {quantiles(took, n=100)[98] * 1000:.2f} ms"


def secret_key_replaced(place: Place) -> str:
    texts = place.generate(_people(1)[0], place.some(1000))
    place.host.app.config["SECRET_KEY"] = uuid.uuid4().hex
    client = place.host.app.test_client()
    lost = sum(client.get("/api", headers={"Authorization": f"Bearer {text}"}).status_code != 200 for text in texts)
    return f"{len(texts):,} tokens, {lost} lost"


FIGURES: dict[str, Callable[[Place], str]] = {
    "mixed load, 90 % good and 10 % forged, 4 workers, 8 clients": mixed_load,
    "database cut off again and again under load": cut_under_load,
    "generate, use and delete; database cut 5 times": storm_with_cuts,
    "generate, use and delete; a worker killed 10 times": storm_with_kills,
    "limit race": limit_race,
    "delete race": delete_race,
    "the token's row locked": locked_row,
    "stamps": stamps,
    "header fuzz": header_fuzz,
    "SECRET_KEY replaced": secret_key_replaced,
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a tenth of everything")
    parser.add_argument("--only", nargs="+", choices=KINDS, default=list(KINDS))
    options = parser.parse_args()
    kinds = [kind for kind in options.only if KINDS[kind] is None or os.environ.get(KINDS[kind] or "")]
    found: dict[str, list[str]] = {figure: [] for figure in FIGURES}
    for kind in kinds:
        with _place(kind, options.quick) as place:
            for figure, measure in FIGURES.items():
                found[figure].append(measure(place))
                print(f"{kind}: {figure}: {found[figure][-1]}", file=sys.stderr, flush=True)
    print(f"| figure | {' | '.join(kinds)} |\n|---|{'---|' * len(kinds)}")
    for figure, values in found.items():
        print(f"| {figure} | {' | '.join(values)} |")


@contextmanager
def _place(kind: str, quick: bool) -> Iterator[Place]:
    with tempfile.TemporaryDirectory() as folder:
        if kind == "sqlite":
            url, proxy, server = sa.make_url(f"sqlite:///{Path(folder) / 'host.sqlite3'}"), None, None
        else:
            server = sa.make_url(os.environ[KINDS[kind] or ""])
            url = server.set(database=f"access_tokens_soak_{uuid.uuid4().hex[:8]}")
            proxy = Proxy(url.host or "127.0.0.1", url.port or {"postgresql": 5432}.get(kind, 3306))
            _run(server, f"CREATE DATABASE {url.database}")
        host = Host(_text(url))
        with host.app.app_context():
            host.db.create_all()
        try:
            yield Place(kind, url, Path(folder), proxy, host, quick)
        finally:
            with host.app.app_context():
                host.db.engine.dispose()
            if proxy and server:
                proxy.close()
                _run(server, f"DROP DATABASE {url.database}{' WITH (FORCE)' if kind == 'postgresql' else ''}")


def _run(server: sa.URL, statement: str) -> None:
    engine = sa.create_engine(server, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
    with engine.connect() as connection:
        connection.exec_driver_sql(statement)


def _text(url: sa.URL) -> str:
    return url.render_as_string(hide_password=False)


def _people(count: int) -> list[str]:
    return [f"person-{uuid.uuid4()}" for _ in range(count)]


def _forged() -> str:
    return str(secret.generate("pat"))


def _asking(gunicorn: Gunicorn, path: str, **arguments: Any) -> Callable[[int], Answer]:
    return lambda _: gunicorn.call(path, **arguments)


def _at_once(count: int, work: Callable[[int], Answer]) -> list[Answer]:
    start = threading.Barrier(count)

    def one(number: int) -> Answer:
        start.wait(30)
        return work(number)

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(one, range(count)))


def _all(threads: int, count: int, work: Callable[[int], Any]) -> None:
    with ThreadPoolExecutor(threads) as pool:
        for _ in pool.map(work, range(count)):
            pass


@contextmanager
def _load(threads: int, step: Callable[[int], None]) -> Iterator[None]:
    stop = threading.Event()

    def work(number: int) -> None:
        while not stop.is_set():
            step(number)

    with ThreadPoolExecutor(threads) as pool:
        futures = [pool.submit(work, number) for number in range(threads)]
        try:
            yield
        finally:
            stop.set()
    for future in futures:
        future.result()


def _none(found: Any) -> str:
    counted = {key: number for key, number in dict(found).items() if number}
    return ", ".join(f"{number} × {key}" for key, number in counted.items()) or "0"


if __name__ == "__main__":
    main()
