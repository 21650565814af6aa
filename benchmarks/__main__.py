"""Compare the token check with other extensions and print tables of ratios: ``python -m benchmarks [--quick]``."""

import argparse
import os
import tempfile
import time
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import sqlalchemy as sa

from . import subjects, timing
from .databases import new_database

GUARDED = {
    "`@token_required`": ("ours", "/guarded"),
    '`@token_required("read")`': ("ours", "/scoped"),
    "`@token_required`, `owner=Person.id`": ("owner", "/guarded"),
    "`@token_required`, a listener on the session": ("listener", "/guarded"),
    "`@token_required`, an owner loader with a query": ("loader", "/guarded"),
    "Flask-JWT-Extended, stateless": ("jwt", "/guarded"),
    "Flask-HTTPAuth, lookup by hand": ("httpauth", "/guarded"),
    "floor: the SELECT alone, pooled driver connection": ("floor", "/pooled"),
    "floor: the SELECT alone, sqlite3 held open": ("floor", "/held"),
}
OURS, JWT, HTTPAUTH, FLOOR = (list(GUARDED)[number] for number in (0, 5, 6, 7))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer rounds, no table of a million tokens")
    parser.add_argument(
        "--postgresql",
        default=os.environ.get("ACCESS_TOKENS_TEST_POSTGRESQL"),
        metavar="URL",
        help="a server on which databases may be created; default: ACCESS_TOKENS_TEST_POSTGRESQL",
    )
    options = parser.parse_args()
    rounds, seconds = (7, 0.1) if options.quick else (21, 0.2)
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        sqlite = f"sqlite:///{Path(folder) / 'tokens.sqlite3'}"
        urls = {"SQLite": sqlite}
        if options.postgresql:
            urls["PostgreSQL"] = stack.enter_context(new_database(options.postgresql))
        for name, url in urls.items():
            secrets = subjects.prepare(url, 1000)
            compare(name, url, secrets, rounds, seconds)
            loopback(name, url, secrets, max(3, rounds // 3), seconds * 5)
        sizes(sqlite, [1000, 100_000] if options.quick else [1000, 100_000, 1_000_000], rounds, seconds)
        page(sqlite)


def compare(name: str, url: str, secrets: list[str], rounds: int, seconds: float) -> None:
    """Print the cost that each guard adds to the open route of the same application."""
    guarded = {title: place for title, place in GUARDED.items() if place[1] != "/held" or name == "SQLite"}
    apps = {subject: build(url) for subject, build in subjects.SUBJECTS.items()}
    signed = subjects.web_tokens()
    calls: dict[Any, Any] = {
        (subject, "/open"): timing.in_process(app, "/open", None) for subject, app in apps.items()
    }
    for subject, path in guarded.values():
        carried = signed if subject == "jwt" else secrets
        calls[subject, path] = timing.in_process(apps[subject], path, carried)
    times = timing.rounds(calls, rounds, seconds)
    added = {
        title: [all_ - open_ for all_, open_ in zip(times[place], times[place[0], "/open"], strict=True)]
        for title, place in guarded.items()
    }
    print(f"\n### In process, {name}, 1,000 tokens, medians of {rounds} rounds\n")
    print("| guard | open µs | guarded µs | added µs (quartiles) | open ÷ guarded |", end="")
    print(" added ÷ JWT's | ÷ floor's | ÷ HTTPAuth's | ÷ the plain check's |")
    print("|---|---|---|---|---|---|---|---|---|")
    for title, (subject, path) in guarded.items():
        opened, whole = times[subject, "/open"], times[subject, path]
        low, middle, high = timing.spread(added[title])
        row = [
            f"{median(opened):.0f}",
            f"{median(whole):.0f}",
            f"{middle:.0f} ({low:.0f} to {high:.0f})",
            f"{_ratio(opened, whole):.2f}",
            *(f"{_ratio(added[title], added[other]):.2f}" for other in (JWT, FLOOR, HTTPAUTH, OURS)),
        ]
        print(f"| {title} | {' | '.join(row)} |")
    alone, ours = times["alone", "/open"], times["ours", "/open"]
    print(f"\nAn open route of the same application costs {_ratio(ours, alone):.2f} times as much with the extension.")
    for app in apps.values():
        with app.app_context():
            for engine in getattr(app.extensions.get("sqlalchemy"), "engines", {}).values():
                engine.dispose()


def loopback(name: str, url: str, secrets: list[str], rounds: int, seconds: float) -> None:
    """Print the requests per second through gunicorn, of guarded and open routes, one server at a time."""
    chosen = {title: GUARDED[title] for title in (OURS, JWT, HTTPAUTH, FLOOR)}
    signed = subjects.web_tokens()
    found: dict[tuple[str, str], list[float]] = {}
    with ExitStack() as stack:
        ports = {s: stack.enter_context(timing.served(s, url)) for s in {place[0] for place in chosen.values()}}
        for number in range(rounds + 1):
            for subject, path in chosen.values():
                carried = signed if subject == "jwt" else secrets
                for route, sent in (("/open", None), (path, carried)):
                    rate = timing.requests_per_second(ports[subject], route, sent, seconds)
                    if number:  # the first round warms up
                        found.setdefault((subject, route), []).append(rate)
    print(f"\n### Over loopback, {name}, gunicorn with one sync worker, 4 clients, medians of {rounds} rounds\n")
    print("| guard | open req/s | guarded req/s | guarded ÷ open |\n|---|---|---|---|")
    for title, (subject, path) in chosen.items():
        opened, whole = found[subject, "/open"], found[subject, path]
        print(f"| {title} | {median(opened):.0f} | {median(whole):.0f} | {_ratio(whole, opened):.2f} |")


def sizes(url: str, sizes: list[int], rounds: int, seconds: float) -> None:
    """Print the cost of the check by the number of tokens in the table; each size has its own file, all in one run."""
    calls: dict[Any, Any] = {}
    for rows in sizes:
        of_size = url.replace(".sqlite3", f"-{rows}.sqlite3")
        secrets = subjects.prepare(of_size, rows)
        for subject, build in (("ours", subjects.ours), ("floor", subjects.floor)):
            app = build(of_size)
            calls[rows, subject, "open"] = timing.in_process(app, "/open", None)
            path = "/guarded" if subject == "ours" else "/pooled"
            calls[rows, subject, "guarded"] = timing.in_process(app, path, secrets)
    times = timing.rounds(calls, rounds, seconds)
    print("\n### The number of tokens in the table, SQLite, in process\n")
    print("| tokens | added µs | floor's added µs |\n|---|---|---|")
    for rows in sizes:
        added = [
            median(a - b for a, b in zip(times[rows, s, "guarded"], times[rows, s, "open"], strict=True))
            for s in ("ours", "floor")
        ]
        print(f"| {rows:,} | {added[0]:.0f} | {added[1]:.0f} |")


def page(url: str) -> None:
    """Print the response times of the page for a person who owns ten thousand tokens."""
    of_page = url.replace(".sqlite3", "-page.sqlite3")
    subjects.prepare(of_page, 1000)
    app = subjects.ours(of_page, WTF_CSRF_ENABLED=False)
    print("\n### The page, SQLite, tokens of one owner\n")
    print("| tokens | list ms | search ms | statements for the list |\n|---|---|---|---|")
    with app.app_context():
        engine = app.extensions["sqlalchemy"].engine
    client = app.test_client()
    for owned in (10, 10_000):
        subjects.fill(engine, owned if owned == 10 else owned - 10, "owner of many")
        listed = _milliseconds(lambda: client.get("/access-tokens/"))
        searched = _milliseconds(lambda: client.get("/access-tokens/?q=laptop+99"))
        statements: list[str] = []
        count = partial(_note, statements)
        sa.event.listen(engine, "before_cursor_execute", count)
        client.get("/access-tokens/")
        sa.event.remove(engine, "before_cursor_execute", count)
        print(f"| {owned:,} | {listed:.1f} | {searched:.1f} | {len(statements)} |")


def _note(statements: list[str], *arguments: Any) -> None:
    statements.append(arguments[2])


def _milliseconds(get: Any) -> float:
    times = []
    for _ in range(15):
        started = time.perf_counter()
        answer = get()
        times.append((time.perf_counter() - started) * 1000)
        if answer.status_code != 200:
            raise RuntimeError(answer.status)
    return median(times)


def _ratio(values: list[float], base: list[float]) -> float:
    """The median of the ratios within each round."""
    return median(value / other for value, other in zip(values, base, strict=True))


if __name__ == "__main__":
    main()
