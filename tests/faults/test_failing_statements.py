"""An operation of which any statement fails leaves the table as it was, at every isolation level of a connection."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from drivers import AUTOCOMMIT, changes, settings
from flask_access_tokens import notices, rotation, token_expiring, tokens
from host import Clock, Host
from things import with_things

SECRET = "0123456789abcdef0123456789abcdeF"

SETUPS = [
    *((driver, level) for driver in ("sqlite", "mariadb+pymysql") for level in ("", "by engine", "by driver")),
    ("postgresql+psycopg", ""),
    ("postgresql+psycopg", "by engine"),
    ("postgresql+psycopg2", "by driver"),
    ("postgresql+pg8000", "by driver"),
]
"""Drivers, and how their connections came to commit every statement, if they do."""


@pytest.fixture(params=SETUPS, ids=" ".join)
def host(
    request: pytest.FixtureRequest,
    make_host: Callable[..., Host],
    server_database: Callable[[str], str],
    tmp_path: Path,
) -> Host:
    """A host that limits and adopts tokens, with one connection."""
    driver, level = request.param
    url = sa.make_url(f"sqlite:///{tmp_path / 'host.sqlite3'}")
    if driver != "sqlite":
        url = sa.make_url(server_database(driver.partition("+")[0])).set(drivername=driver)
    options = {"isolation_level": "AUTOCOMMIT"} if level == "by engine" else {}
    host = make_host(
        url.render_as_string(hide_password=False),
        SQLALCHEMY_ENGINE_OPTIONS={"pool_size": 1, "max_overflow": 0, "pool_timeout": 1, **options},
        ACCESS_TOKENS_MAX_PER_OWNER=5,
        ACCESS_TOKENS_ADOPTED="[0-9a-zA-Z]{32}",
    )
    with host.app.app_context():
        host.db.engine.dispose()
        if level == "by driver":
            sa.event.listen(host.db.engine, "connect", lambda connection, _: AUTOCOMMIT[driver](connection))
    return host


@contextmanager
def failing(engine: sa.Engine, number: int) -> Iterator[list[str]]:
    """Let one of the statements in the block fail, counted from 1; the list collects those that were begun."""
    begun: list[str] = []

    def count(connection: Any, cursor: Any, statement: str, *_: Any) -> None:
        begun.append(statement)
        if len(begun) == number:
            raise sa.exc.OperationalError("", {}, Exception("the disk is full"))

    sa.event.listen(engine, "before_cursor_execute", count)
    try:
        yield begun
    finally:
        sa.event.remove(engine, "before_cursor_execute", count)


def send_due() -> None:
    if notices.send_due().failed:
        raise sa.exc.OperationalError("", {}, Exception("a notice could not be sent"))


ACTS: dict[str, Callable[[tokens.Token, tokens.Token], object]] = {
    "generate": lambda kept, replaced: tokens.generate("ann", "new", nonce="once"),
    "rotate": lambda kept, replaced: tokens.rotate("ann", kept.id),
    "rotate by itself": lambda kept, replaced: rotation.rotate_own(kept),
    "rotate by itself again": lambda kept, replaced: rotation.rotate_own(replaced),
    "adopt": lambda kept, replaced: tokens.adopt("ann", SECRET, "adopted"),
    "update": lambda kept, replaced: tokens.update("ann", kept.id, name="another"),
    "delete": lambda kept, replaced: tokens.delete("ann", kept.id),
    "delete_many": lambda kept, replaced: tokens.delete_many([kept, replaced]),
    "delete_all": lambda kept, replaced: tokens.delete_all("ann"),
    "prune": lambda kept, replaced: tokens.prune(0),
    "notify": lambda kept, replaced: send_due(),
}


@pytest.mark.case("S12", "S24")
def test_an_operation_of_which_a_statement_fails_has_done_all_or_nothing(host: Host, clock: Clock) -> None:
    with host.app.app_context(), token_expiring.connected_to(lambda *_, **sent: None, host.app):
        engine = host.db.engine
        before = settings(engine)
        for name in ACTS:
            left, done = let_each_statement_fail(host, clock, name)
            # What deletes all looks for more at the end, after all is committed.
            assert left in ([], [done] if name in ("delete_all", "prune") else []), name
            assert tokens.delete_all("ann") >= 0
        changed = changes(before, settings(engine))
        assert changed == {} or "connection" in changed  # where COMMIT failed, the connection is replaced


def let_each_statement_fail(host: Host, clock: Clock, name: str) -> tuple[list[Any], Any]:
    """Let one statement after the other fail, and return each state of the table but the first, and the last one."""
    host.generate("ann", "expired", lifetime_days=1)
    clock.pass_(days=2)
    kept = host.generate("ann", "kept", lifetime_days=7).token
    replaced = host.generate("ann", "replaced").token
    rotation.rotate_own(replaced)
    before, left, number = host.rows(), [], 0
    while True:
        number += 1
        try:
            with failing(host.db.engine, number) as begun:
                ACTS[name](kept, replaced)
        except sa.exc.OperationalError:
            left.append(host.rows())
            host.db.session.remove()
        if len(begun) < number:
            break
    assert number > 2
    assert host.rows() != before
    return [rows for rows in left if rows != before], host.rows()


@pytest.mark.case("S12")
def test_what_a_host_does_after_a_refusal_is_committed_as_before(host: Host) -> None:
    thing = with_things(host)
    host.app.config["ACCESS_TOKENS_MAX_PER_OWNER"] = 1
    host.generate("ann")
    with host.app.app_context():
        session = host.db.session

        def count_of_things_after(insert: bool) -> int:
            session.execute(sa.select(thing))
            if insert:
                session.execute(sa.insert(thing).values(name="new"))
            session.rollback()
            return int(session.scalar(sa.select(sa.func.count(thing.id))))

        before = count_of_things_after(insert=True)
        session.execute(sa.select(thing))
        with pytest.raises(tokens.TokenRefused):
            tokens.generate("ann", "second")
        assert count_of_things_after(insert=True) == 2 * before
