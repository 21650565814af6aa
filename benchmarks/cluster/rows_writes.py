"""Rows: checks go on while their last-used updates cannot be written."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from . import load
from .hosts import generate, in_process, serving
from .rows import Clusters, Result

TOKENS = 300
EACH_USE: dict[str, Any] = {"ACCESS_TOKENS_LAST_USED_INTERVAL": 0}
ONE = {"pool_size": 1, "max_overflow": 0}
TWO = {"pool_size": 2, "max_overflow": 0}
LOCK = {
    "postgresql": "LOCK TABLE access_tokens IN EXCLUSIVE MODE",
    "mariadb": "LOCK TABLES access_tokens READ",
}


def standby_gone(clusters: Clusters) -> Result:
    """Kill the standby, and later freeze it."""
    found: dict[str, load.Answers] = {}
    for what in ("killed", "frozen"):
        with clusters.own_pair() as pair:
            url = pair.url(clusters.new_database())
            with in_process(url, create=True) as host:
                secrets = generate(host, "ann", TOKENS)
            with serving(url, **EACH_USE) as served:
                if what == "killed":
                    pair.second.kill()
                else:
                    pair.second.freeze()
                found[what] = load.use(served, secrets, seconds=clusters.some(12, 4))
    return _summary(found)


def locked_table_postgresql(clusters: Clusters) -> Result:
    with _postgresql(clusters) as (url, secrets), serving(url, **EACH_USE) as served, _locked(url):
        return _summary({"": load.use(served, secrets, seconds=clusters.some(10, 4))})


def locked_table_mariadb(clusters: Clusters) -> Result:
    url = clusters.galera.nodes[0].url
    with in_process(url) as host:
        secrets = generate(host, "ann", TOKENS)
    with serving(url, **EACH_USE) as served, _locked(url):
        return _summary({"": load.use(served, secrets, seconds=clusters.some(10, 4))})


def full_pool(clusters: Clusters) -> Result:
    """A pool without a connection to spare, first with an idle database, then with a locked table."""
    found: dict[str, load.Answers] = {}
    seconds = clusters.some(6, 3)
    with _postgresql(clusters) as (url, secrets):
        for what, options, held in (("pool of one", ONE, 0), ("pool of two, one held", TWO, 1)):
            config = {**EACH_USE, "SQLALCHEMY_ENGINE_OPTIONS": options, "HELD_CONNECTIONS": held}
            with serving(url, **config) as served:
                found[what] = load.use(served, secrets, seconds=seconds)
                with _locked(url):
                    found[f"{what}, table locked"] = load.use(served, secrets, seconds=seconds)
    return _summary(found)


@contextmanager
def _postgresql(clusters: Clusters) -> Iterator[tuple[str, list[str]]]:
    """A new database on the pair, with tokens in it; yields its URL and their secrets."""
    url = clusters.pair.url(clusters.new_database())
    with in_process(url, create=True) as host:
        secrets = generate(host, "ann", TOKENS)
    yield url, secrets


@contextmanager
def _locked(url: str) -> Iterator[None]:
    """Lock the table against writers until the block ends, from another session."""
    with in_process(url) as other, other.app.app_context(), other.db.engine.connect() as connection:
        connection.exec_driver_sql(LOCK[connection.engine.dialect.name])
        try:
            yield
        finally:
            if connection.engine.dialect.name == "mariadb":
                connection.exec_driver_sql("UNLOCK TABLES")
            connection.rollback()


def _summary(found: dict[str, load.Answers]) -> Result:
    measured = "; ".join(f"{what}: {answers}" if what else str(answers) for what, answers in found.items())
    return Result(measured, all(answers.quick for answers in found.values()))
