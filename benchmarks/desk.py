"""Measure the operators' desk with 100,000 and a million tokens: ``python -m benchmarks.desk [--postgresql URL]``.

It creates databases on PostgreSQL for two kinds of tokens, and prints Markdown tables: what a page request costs by
filter, and what the indexes of the list cost a last-used update.
"""

import argparse
import os
import random
import time
from itertools import product
from statistics import median
from uuid import uuid4

import sqlalchemy as sa
from flask import Flask, current_app
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy.orm import Mapped, mapped_column

from flask_access_tokens import AccessTokens
from flask_access_tokens.clock import now
from flask_access_tokens.state import State
from flask_access_tokens.store.connections import Reader, read
from flask_access_tokens.store.filters import STATUSES, Filter, condition_of
from flask_access_tokens.store.order import SORTS, key_of, order_of
from flask_access_tokens.store.uses import Use, commit_uses

from .databases import new_database

SIZES = 100_000, 1_000_000
OWNERS = 100_000
ROUNDS = 3
SIZE = 25
UPDATES = 10_000

OWNER_OF_MANY, SHARED = 7, "old1"
FILTERS = {
    "none": Filter(),
    **{f"status `{status}`": Filter(status=status) for status in STATUSES},
    "a scope that half of them have": Filter(scope="read"),
    "a scope that 5 % have": Filter(scope="admin"),
    "a scope that the oldest 5 % have": Filter(scope="legacy"),
    "a scope that 10 old ones have": Filter(scope="import"),
    "a scope that none has": Filter(scope="none"),
    "`asleep`, and a scope that half of them have": Filter(status="asleep", scope="read"),
    "`active`, and a scope that the oldest 5 % have": Filter(status="active", scope="legacy"),
    "an owner": Filter(owner="4711"),
    "an owner of 10,000": Filter(owner=str(OWNER_OF_MANY)),
    "`active`, and an owner of 10,000": Filter(status="active", owner=str(OWNER_OF_MANY)),
    "search, an owner": Filter(search="4712"),
    "search, 4 characters that 5,000 hints end in": Filter(search=SHARED),
    "search, nothing found": Filter(search="pat_…none"),
}

MIXED = """
SELECT i, created, CASE
    WHEN i <= 0.33 * :tokens THEN created + (moment - created) * random()
    WHEN random() < 0.15 THEN NULL
    ELSE moment + interval '365 days' * random() END AS expires, CASE
    WHEN random() < 0.3 THEN NULL
    WHEN random() < 0.3 THEN greatest(created, moment - interval '400 days' * random())
    ELSE greatest(created, moment - interval '90 days' * random()) END AS used
"""
"""A third expired, which are the oldest; 10 % never expire; 30 % were never used, 20 % not for long."""

CONTRARY = """
SELECT i, created, CASE
    WHEN i <= 0.7 * :tokens THEN created + (moment - created) * random()
    WHEN i <= 0.7 * :tokens + 1500 THEN moment + interval '30 days' * random()
    ELSE NULL END AS expires, CASE
    WHEN i <= 0.7 * :tokens + 500 THEN created
    ELSE greatest(created, moment - interval '89 days' * random()) END AS used
"""
"""All that expired are the oldest, few live ones expire at all, 500 of these are asleep, and none is unused."""

FILL = """
INSERT INTO access_tokens
    (id, owner_id, name, description, digest, scheme, hint, scopes, created_at, expires_at, last_used_at)
SELECT gen_random_uuid(),
    CASE WHEN i BETWEEN 0.1 * :tokens AND 0.1 * :tokens + 9999 THEN :many ELSE 1 + floor(random() * :owners)::int END,
    'Laptop ' || i,
    CASE WHEN random() < 0.3 THEN 'Copies the notes every night' ELSE '' END,
    md5(i::text) || md5('salt' || i),
    'sha256',
    'pat_…' || CASE WHEN i % 200 = 0 THEN :shared ELSE substr(md5(random()::text), 1, 4) END,
    CASE
        WHEN i <= 10 THEN 'import'
        WHEN i <= 0.05 * :tokens THEN 'legacy read'
        ELSE (ARRAY['', 'read', 'read write', 'reports:read reports:write', 'write'])[1 + floor(random() * 5)::int]
            || CASE WHEN random() < 0.05 THEN ' admin' ELSE '' END END,
    created, expires, least(used, expires)
FROM ({kind} FROM (
    SELECT i, now() AS moment, now() - interval '1000 days' * (:tokens + 1 - i) / :tokens AS created
    FROM generate_series(1, :tokens) AS i) AS numbered) AS timed
"""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.desk", description=__doc__)
    parser.add_argument(
        "--postgresql",
        default=os.environ.get("ACCESS_TOKENS_TEST_POSTGRESQL"),
        metavar="URL",
        help="a server on which databases may be created; default: ACCESS_TOKENS_TEST_POSTGRESQL",
    )
    options = parser.parse_args()
    if not options.postgresql:
        parser.error("PostgreSQL is needed: pass --postgresql, or set ACCESS_TOKENS_TEST_POSTGRESQL")
    kinds = ("mixed tokens", MIXED), ("tokens whose age tells their status", CONTRARY)
    for number, (title, kind) in product(SIZES, kinds):
        with new_database(options.postgresql) as url:
            app = host(url)
            with app.app_context():
                fill(kind, number)
            pages(app, f"{title.capitalize()}, {number:,} of {OWNERS:,} owners, PostgreSQL")
            if kind is MIXED and number == max(SIZES):
                updates(app)
            with app.app_context():
                engine().dispose()


def host(url: str) -> Flask:
    """An application whose users are mapped, with the foreign key that the ready-made table has."""
    app = Flask("desk")
    app.config.update(SECRET_KEY="a key for benchmarks", SQLALCHEMY_DATABASE_URI=url)
    db = SQLAlchemy(app)

    class Person(db.Model):  # type: ignore[misc, name-defined]
        id: Mapped[int] = mapped_column(primary_key=True)
        name: Mapped[str] = mapped_column(sa.String(100))

    AccessTokens(app, db, owner=Person.id).operator_loader(lambda: "olga")
    with app.app_context():
        db.create_all()
    return app


def engine() -> sa.Engine:
    found: sa.Engine = current_app.extensions["sqlalchemy"].engine
    return found


def fill(kind: str, number: int) -> None:
    values = {"tokens": number, "owners": OWNERS, "many": OWNER_OF_MANY, "shared": SHARED}
    with engine().begin() as connection:
        people = "INSERT INTO person SELECT i, 'Person ' || i FROM generate_series(1, :owners) AS i"
        connection.execute(sa.text(people), values)
        connection.execute(sa.text(FILL.format(kind=kind)), values)
    vacuum()


def vacuum() -> None:
    with engine().connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("VACUUM ANALYZE")
        connection.exec_driver_sql("CHECKPOINT")


def request(app: Flask, chosen: Filter, sort: str, after: str) -> float:
    """Return the milliseconds of a request for one page: its statements, and the page that is rendered of them."""
    query = {"owner": chosen.owner, "status": chosen.status, "scope": chosen.scope, "q": chosen.search}
    client = app.test_client()
    started = time.perf_counter()
    answer = client.get("/access-tokens/all/", query_string=query | {"sort": sort, "after": after})
    ended = time.perf_counter()
    if answer.status_code != 200:
        raise RuntimeError(f"{answer.request.url}: {answer.status}")
    return (ended - started) * 1000


def pages(app: Flask, title: str) -> None:
    """Print what the pages of each filter cost, in every order."""
    state: State = app.extensions["access_tokens"]
    print(f"\n### {title}\n")
    print("| filter | shows | first page ms | middle page ms | last page ms | the slowest order, median ms |")
    print("|---|---|---|---|---|---|", flush=True)
    for name, chosen in FILTERS.items():
        times: dict[tuple[str, str], list[float]] = {}
        number = 0
        for sort in SORTS:
            with app.app_context():
                number, keys = places(state, chosen, sort)
            for _ in range(ROUNDS):
                for page, after in keys.items():
                    times.setdefault((page, sort), []).append(request(app, chosen, sort, after))
        cells = [f"{number:,}", *(cell(times, page) for page in ("first", "middle", "last"))]
        slowest = max(SORTS, key=lambda sort: max(median(found) for key, found in times.items() if key[1] == sort))
        cells.append(f"`{slowest}`: {max(median(found) for key, found in times.items() if key[1] == slowest):.0f}")
        print(f"| {name} | {' | '.join(cells)} |", flush=True)


def cell(times: dict[tuple[str, str], list[float]], page: str) -> str:
    """Return the median and the worst of a page in all orders."""
    found = [one for key, each in times.items() if key[0] == page for one in each]
    return f"{median(found):.0f}, worst {max(found):.0f}" if found else "–"


def places(state: State, chosen: Filter, sort: str) -> tuple[int, dict[str, str]]:
    """Return how many tokens a filter shows, and the keys of its first, middle and last page."""
    order, moment = order_of(sort, chosen.status), now()
    columns = state.model.id, getattr(state.model, order.column)

    def found(reader: Reader) -> tuple[int, dict[str, str]]:
        shown = condition_of(state, reader, chosen, moment)
        number = reader.execute(sa.select(sa.func.count(state.model.id)).where(shown)).scalar_one()
        keys = {"first": ""}
        for page, before in (("middle", number // 2), ("last", number - SIZE)):
            if number > 2 * SIZE:
                rows = sa.select(*columns).where(shown).order_by(*order.by(state.model))
                keys[page] = str(key_of(*reader.execute(rows.offset(before - 1).limit(1)).one()))
        return number, keys

    return read(state, found)


def updates(app: Flask) -> None:
    """Print what the indexes of the list cost a last-used update."""
    table = app.extensions["access_tokens"].model.__table__
    print(f"\n### {UPDATES:,} last-used updates of random tokens, each in its own transaction\n")
    print("| indexes | median µs | bytes of WAL for each |\n|---|---|---|")
    with app.app_context():
        print_updates(table, "with those of the list")
        with engine().begin() as connection:
            for index in table.indexes:
                if not index.unique and "owner_id" not in index.columns:
                    index.drop(connection)
        print_updates(table, "without them")


def print_updates(table: sa.Table, title: str) -> None:
    vacuum()
    with engine().connect() as connection:
        picked = sa.select(table.c.digest).order_by(table.c.digest).limit(max(SIZES) // 10)
        digests = random.Random(1).choices(connection.execute(picked).scalars().all(), k=UPDATES)
        connection.rollback()
        # The first time, PostgreSQL logs each page as a whole, which depends on the time since its last checkpoint.
        for _ in range(2):
            times, before = [], position(connection)
            for digest in digests:
                started = time.perf_counter()
                commit_uses(connection, table, [Use(uuid4(), digest, now(), None, now(), None, None)])
                times.append((time.perf_counter() - started) * 1_000_000)
            written = position(connection) - before
    print(f"| {title} | {median(times):.0f} | {written / UPDATES:,.0f} |", flush=True)


def position(connection: sa.Connection) -> int:
    """Return how many bytes of WAL the server has written."""
    found = connection.exec_driver_sql("SELECT pg_current_wal_insert_lsn() - '0/0'").scalar_one()
    connection.rollback()
    return int(found)


if __name__ == "__main__":
    main()
