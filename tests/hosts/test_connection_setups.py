"""Hosts that set up their connections in their own way: each keeps the settings that it came with."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from drivers import AUTOCOMMIT, DRIVERS, POSTGRESQL, SERIALIZABLE, SERVERS, changes, execute, ping, settings
from flask_access_tokens import token_required, tokens
from host import Host, bearer
from pages import NEW, PAGE, delete_path, token_fields
from things import counted, with_things

ONE_CONNECTION = {"pool_size": 1, "max_overflow": 0, "pool_timeout": 1}

Setup = Callable[..., Host]


@pytest.fixture
def set_up(make_host: Callable[..., Host], server_database: Callable[..., str], tmp_path: Path) -> Setup:
    """A function that makes a host with one connection, on which a listener of the host's acts."""

    def make(driver: str, event: str = "", listener: Callable[[Any], object] | None = None, **options: Any) -> Host:
        url = sa.make_url(f"sqlite:///{tmp_path / 'host.sqlite3'}")
        if driver != "sqlite":
            url = sa.make_url(server_database(driver.partition("+")[0])).set(drivername=driver)
        host = make_host(
            url.render_as_string(hide_password=False),
            SQLALCHEMY_ENGINE_OPTIONS={**ONE_CONNECTION, **options},
            ACCESS_TOKENS_LAST_USED_INTERVAL=0,
        )
        with host.app.app_context():
            host.db.engine.dispose()
            if listener is not None:
                sa.event.listen(host.db.engine, event, lambda connection, *_: listener(connection) and None)
        return host

    return make


def use_everything(host: Host) -> None:
    """Use a token, the page and the operations."""
    made = host.generate("ann", "t-kept")
    assert host.client().get("/api", headers=bearer(made.secret)).status_code == 200
    assert [row["last_used_at"] for row in host.rows() if row["name"] == "t-kept"] != [None]
    assert host.client().get("/api", headers=bearer(made.secret[:-6] + "000000")).status_code == 401
    client = host.client("ann")
    assert client.get(PAGE).status_code == 200
    assert client.post(NEW, data=token_fields("t-new")).status_code == 200
    assert client.post(delete_path(made.token)).status_code == 303
    with host.app.app_context():
        (token,) = tokens.owned_by("ann")
        assert tokens.get("ann", token.id) is not None
        assert tokens.page("ann").matching == 1
        assert tokens.delete_all("ann") == 1


SETUPS = {
    **{f"serializable by {driver}": (driver, SERIALIZABLE[driver], {}) for driver in SERVERS},
    **{f"autocommit by {driver}": (driver, AUTOCOMMIT[driver], {}) for driver in DRIVERS},
    **{
        f"serializable by the engine, {driver}": (driver, None, {"isolation_level": "SERIALIZABLE"})
        for driver in DRIVERS
    },
    **{f"autocommit by the engine, {driver}": (driver, None, {"isolation_level": "AUTOCOMMIT"}) for driver in DRIVERS},
    **{f"as it comes, {driver}": (driver, None, {}) for driver in DRIVERS},
}
"""Drivers, what a listener does with a new connection, and options of the engine, by a description."""


@pytest.mark.parametrize("setup", SETUPS)
def test_a_connection_goes_back_to_the_pool_with_the_settings_it_came_with(set_up: Setup, setup: str) -> None:
    driver, listener, options = SETUPS[setup]
    host = set_up(driver, "connect", listener, **options)
    with host.app.app_context():
        engine = host.db.engine
    before = settings(engine)
    header = bearer(host.generate("bob").secret)
    assert [row["owner_id"] for row in host.rows()] == ["bob"]
    assert changes(before, settings(engine)) == {}
    for _ in range(2):
        assert host.client().get("/api", headers=header).status_code == 200
        assert changes(before, settings(engine)) == {}
    use_everything(host)
    assert changes(before, settings(engine)) == {}


@pytest.mark.parametrize("by", ["driver", "engine"])
@pytest.mark.parametrize("driver", SERVERS)
def test_a_guarded_view_that_relies_on_serializable_transactions_gets_them(
    set_up: Setup, driver: str, by: str
) -> None:
    if by == "driver":
        host = set_up(driver, "connect", SERIALIZABLE[driver])
    else:
        host = set_up(driver, isolation_level="SERIALIZABLE")
    shown = "SHOW transaction_isolation" if driver in POSTGRESQL else "SELECT @@tx_isolation"

    def level() -> str:
        return str(host.db.session.execute(sa.text(shown)).scalar())

    host.app.get("/level")(level)
    host.app.get("/guarded-level", endpoint="guarded_level")(token_required(level))
    assert host.client().get("/level").text.lower() == "serializable"
    header = bearer(host.generate().secret)
    for _ in range(2):
        assert host.client().get("/guarded-level", headers=header).text.lower() == "serializable"


@pytest.mark.parametrize("driver", DRIVERS)
def test_a_guarded_view_that_relies_on_autocommit_loses_no_insert(set_up: Setup, driver: str) -> None:
    host = set_up(driver, "connect", AUTOCOMMIT[driver])
    thing = with_things(host)

    def insert() -> str:
        connection = host.db.engine.raw_connection()
        execute(connection, "INSERT INTO thing (name) VALUES ('new')")
        connection.close()
        return "inserted"

    host.app.post("/insert")(insert)
    host.app.post("/guarded-insert", endpoint="guarded_insert")(token_required(insert))
    assert host.client().post("/insert").status_code == 200
    assert counted(host, thing) == 1
    header = bearer(host.generate().secret)
    for number in (2, 3):
        assert host.client().post("/guarded-insert", headers=header).status_code == 200
        assert counted(host, thing) == number


@pytest.mark.parametrize("driver", DRIVERS)
def test_a_host_that_pings_each_connection_when_it_leaves_the_pool_can_use_everything(
    set_up: Setup, driver: str
) -> None:
    host = set_up(driver, "checkout", ping)

    @host.app.get("/own-query")
    def own_query() -> list[str]:
        return list(host.db.session.scalars(sa.select(host.access_tokens.model.name)))

    host.generate("bob", "t-bob")
    assert host.client().get("/own-query").get_json() == ["t-bob"]
    use_everything(host)
    assert host.client().get("/own-query").get_json() == ["t-bob"]


def test_a_request_never_needs_two_connections_where_a_listener_begins_each_transaction(
    make_host: Callable[..., Host], database_url: str
) -> None:
    host = make_host(database_url, SQLALCHEMY_ENGINE_OPTIONS=ONE_CONNECTION, ACCESS_TOKENS_LAST_USED_INTERVAL=0)
    thing = with_things(host)
    sa.event.listen(
        host.db.session, "after_begin", lambda session, _, connection: connection.execute(sa.text("SELECT 1"))
    )

    @host.app.get("/count")
    @token_required
    def count() -> list[int]:
        return [host.db.session.execute(sa.select(sa.func.count()).select_from(thing)).scalar_one()]

    for path in ("/api", "/count"):
        made = host.generate("ann", path)
        assert host.client().get(path, headers=bearer(made.secret)).status_code == 200
        assert {row["name"] for row in host.rows() if row["last_used_at"]} >= {path}
    with host.app.app_context():
        assert tokens.delete_all("ann") == 2
