"""Fixtures: a database of each kind, and a host application on it.

PostgreSQL and MariaDB are taken from ``ACCESS_TOKENS_TEST_POSTGRESQL`` and ``ACCESS_TOKENS_TEST_MARIADB``, SQLAlchemy
URLs of servers on which databases may be created.
"""

import logging
import os
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from functools import cache, wraps
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import settings

from browser import browser as browser
from canary import Canary
from databases import address, new_database
from flask_access_tokens import (
    AccessTokens,
    secret,
    token_deleted,
    token_generated,
    token_rejected,
    token_reused,
    token_rotated,
    token_used,
)
from flask_access_tokens import clock as package_clock
from host import Clock, Host, stop_thread
from missing import missing
from npm import npm as npm
from sites import make_site as make_site
from windows import window as window

settings.register_profile("tests", deadline=None, database=None)  # a busy machine must not fail a test
settings.load_profile("tests")

SERVERS = {
    "postgresql": "ACCESS_TOKENS_TEST_POSTGRESQL",
    "mariadb": "ACCESS_TOKENS_TEST_MARIADB",
}


@pytest.fixture(scope="session")
def server() -> Callable[[str], sa.URL]:
    """A function that returns the URL of the server of a kind."""

    def find(kind: str) -> sa.URL:
        return sa.make_url(os.environ.get(SERVERS[kind]) or missing(f"{SERVERS[kind]} is not set"))

    return find


@pytest.fixture(scope="session")
def server_database(server: Callable[[str], sa.URL]) -> Iterator[Callable[..., str]]:
    """A function that returns the URL of a database, created once per session, kind and purpose."""
    with ExitStack() as stack:

        @cache
        def database(kind: str, purpose: str = "hosts") -> str:
            return address(stack.enter_context(new_database(server(kind))))

        yield database


@pytest.fixture(params=["sqlite", "postgresql", "mariadb"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path, server_database: Callable[[str], str]) -> str:
    """The URL of an empty database; a test that uses it runs on all three."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'host.sqlite3'}"
    return server_database(request.param)


@pytest.fixture(autouse=True)
def canary() -> Iterator[Canary]:
    """Look for every secret of the test in its logs, the headers of its answers and the arguments of its signals."""
    canary = Canary()
    generate, answer = secret.generate, FlaskClient.open

    def remembered(prefix: str) -> Any:
        made = generate(prefix)
        canary.remember(made)
        return made

    def searched(client: FlaskClient, *args: Any, **kwargs: Any) -> Any:
        response = answer(client, *args, **kwargs)
        canary.search(
            "a header", "\n".join(f"{name}: {value}" for name, value in response.headers if name != "Set-Cookie")
        )
        canary.search_cookies("a cookie", response.headers.getlist("Set-Cookie"))
        return response

    class Log(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            canary.search(f"the log of {record.name}", self.format(record))

    def listen(sender: Any, **sent: Any) -> None:
        canary.search("a signal", repr(sent))

    patch = pytest.MonkeyPatch()
    patch.setattr(secret, "generate", remembered)
    patch.setattr(FlaskClient, "open", searched)
    log = Log(logging.DEBUG)
    logging.getLogger().addHandler(log)
    signals = (token_generated, token_used, token_rotated, token_reused, token_deleted, token_rejected)
    for signal in signals:
        signal.connect(listen)
    yield canary
    for signal in signals:
        signal.disconnect(listen)
    logging.getLogger().removeHandler(log)
    patch.undo()
    assert canary.found == []


@pytest.fixture(autouse=True)
def close_connections(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Close the connections of every engine that the test creates: Python 3.13 warns about those of SQLite.

    The threads that write last-used times end before that, as they would open further ones.
    """
    engines: list[sa.Engine] = []
    apps: list[Flask] = []
    init_app = AccessTokens.init_app

    @wraps(init_app)
    def set_up(access_tokens: AccessTokens, app: Flask, *args: Any, **kwargs: Any) -> None:
        init_app(access_tokens, app, *args, **kwargs)
        apps.append(app)

    def remembering(create: Callable[..., sa.Engine]) -> Callable[..., sa.Engine]:
        @wraps(create)
        def made(*args: Any, **kwargs: Any) -> sa.Engine:
            engines.append(create(*args, **kwargs))
            return engines[-1]

        return made

    for name in ("create_engine", "engine_from_config"):
        monkeypatch.setattr(sa, name, remembering(getattr(sa, name)))
    monkeypatch.setattr(AccessTokens, "init_app", set_up)
    yield
    for app in apps:
        stop_thread(app)
    for engine in engines:
        engine.dispose()


@pytest.fixture
def make_host(canary: Canary) -> Iterator[Callable[..., Host]]:
    """Create hosts with tables, and clear them when the test ends; their databases must contain no secret."""
    hosts: list[Host] = []

    def make(url: str = "sqlite://", **config: Any) -> Host:
        host = Host(url, **config)
        hosts.append(host)
        with host.app.app_context():
            host.db.create_all()
        return host

    yield make
    for host in hosts:
        stop_thread(host.app)
        with host.app.app_context():
            host.db.session.remove()
            for engine in host.db.engines.values():
                _search_database(canary, engine)
            _clear(host)


def _search_database(canary: Canary, engine: sa.Engine) -> None:
    with engine.connect() as connection:
        for table in sa.inspect(connection).get_table_names():
            for row in connection.execute(sa.text(f"SELECT * FROM {table}")):
                canary.search(f"the table {table}", repr(tuple(row)))
    file = engine.url.database
    if engine.dialect.name == "sqlite" and file and Path(file).is_file():
        canary.search("the database file", Path(file).read_bytes().decode("latin-1"))


def _clear(host: Host) -> None:
    """Empty a server's database but for the token table: creating that takes most of a test's time."""
    engine = host.db.engine
    if engine.dialect.name != "sqlite":
        if sa.inspect(engine).get_table_names() == ["access_tokens"]:
            with engine.begin() as connection:
                connection.exec_driver_sql("DELETE FROM access_tokens")
        else:
            host.db.drop_all()
    for each in host.db.engines.values():
        each.dispose()


@pytest.fixture
def host(make_host: Callable[..., Host]) -> Host:
    """A host on SQLite in memory."""
    return make_host()


@pytest.fixture
def stored_host(make_host: Callable[..., Host], database_url: str) -> Host:
    """A host on each of the three databases."""
    return make_host(database_url)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The clock of the package, stopped."""
    clock = Clock(datetime(2031, 5, 6, 7, 8, 9, 123456, tzinfo=UTC))
    monkeypatch.setattr(package_clock, "now", clock)
    return clock


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Run tests that share a browser or a served host in the same process."""
    if not config.pluginmanager.hasplugin("xdist"):
        return
    for item in items:
        served = getattr(item, "callspec", None) and item.callspec.params.get("served")
        item.add_marker(pytest.mark.xdist_group(f"served on {served}" if served else str(item.path)))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print one line with the reasons for skipped tests."""
    reasons = Counter(report.longrepr[2] for report in terminalreporter.stats.get("skipped", ()))
    if reasons:
        counted = (f"{count} × {reason.removeprefix('Skipped: ')}" for reason, count in reasons.most_common())
        terminalreporter.write_line(f"Skipped: {'; '.join(counted)}")
