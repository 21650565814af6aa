"""Served hosts, one on each database."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing

import pytest
import sqlalchemy as sa

from place import Served, open_place

LIMIT = 3


@pytest.fixture(scope="session", params=["sqlite", "sqlite in WAL", "postgresql", "mariadb"])
def served(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    server: Callable[[str], sa.URL],
) -> Iterator[Served]:
    """A host with a limit of three tokens, in four workers that were forked from a loaded application."""
    folder = tmp_path_factory.mktemp("served")
    kind = request.param.split()[0]
    if kind == "sqlite":
        with closing(sqlite3.connect(folder / "host.sqlite3")) as connection:
            connection.execute(f"PRAGMA journal_mode = {'wal' if 'WAL' in request.param else 'delete'}")
    config = {"ACCESS_TOKENS_MAX_PER_OWNER": LIMIT}
    with open_place(kind, folder, None if kind == "sqlite" else server(kind), **config) as place:
        with place.serving(preload=True, **config) as gunicorn:
            yield Served(place, gunicorn, place.proxy.accepted if place.proxy else 0)
        assert "Error handling request" not in gunicorn.log.read_text()
