"""Row-level security whose tenant last-used updates may not see: set by a statement, or removed in teardown."""

import logging
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from flask_access_tokens import tokens
from host import bearer, stop_thread
from load import wait_until
from programs import ROTATE
from sound import found
from tenant_hosts import Databases, row_level_security
from tenants import Tenants


@pytest.fixture
def make_tenants(server_database: Callable[..., str], tmp_path: Path) -> Iterator[Callable[..., Tenants]]:
    """A function that makes a host of two tenants on PostgreSQL, set up as when it is served."""
    with ExitStack() as stack:

        def make(how: str, **config: Any) -> Tenants:
            host = row_level_security(Databases(server_database, tmp_path, stack), how, "psycopg", **config)
            host.app.testing = False
            return host

        yield make


def is_missing(tenants: Tenants, token: tokens.Token) -> Callable[[], bool]:
    """Whether the thread has found no row of a token."""
    return lambda: tenants.app.extensions["access_tokens"].unwritten.get(token.id) == "missing"


@pytest.mark.case("S11")
def test_uses_that_cannot_be_written_are_said_once(
    make_tenants: Callable[..., Tenants], caplog: pytest.LogCaptureFixture
) -> None:
    tenants = make_tenants("a statement")
    made = tenants.generate()
    caplog.set_level(logging.INFO, "flask_access_tokens")
    for tenant, new in made.items():
        assert tenants.call(tenant, new).status_code == 200
        wait_until(is_missing(tenants, new.token))
    assert caplog.messages == []
    for _ in range(2):
        for tenant, new in made.items():
            assert tenants.call(tenant, new).status_code == 200
    (message,) = caplog.messages
    assert str(made["north"].token.id) in message
    assert "after_begin listener" in message


@pytest.mark.case("S11")
def test_a_token_that_was_deleted_in_between_is_not_said(
    make_tenants: Callable[..., Tenants], caplog: pytest.LogCaptureFixture
) -> None:
    tenants = make_tenants("a statement")
    made = tenants.generate()
    caplog.set_level(logging.INFO, "flask_access_tokens")
    assert tenants.call("north", made["north"]).status_code == 200
    assert tenants.run("north", tokens.delete, "ann", made["north"].token.id)
    wait_until(is_missing(tenants, made["north"].token))
    assert tenants.call("north", made["north"]).status_code == 401
    assert caplog.messages == []


@pytest.mark.case("S11", "S08")
def test_the_use_of_a_successor_that_cannot_be_written_counts(make_tenants: Callable[..., Tenants]) -> None:
    tenants = make_tenants("a statement")
    tenants.app.config["ACCESS_TOKENS_ENDPOINTS"] = ["rotate"]
    old, client = tenants.generate()["north"], tenants.client("north")
    new = client.post(ROTATE, headers=bearer(old.secret)).json["secret"]
    assert client.get("/api", headers=bearer(new)).status_code == 200
    again = client.post(ROTATE, headers=bearer(old.secret))
    assert (again.status_code, again.json["error"]) == (409, "token_reused")
    assert client.get("/api", headers=bearer(new)).status_code == 200


@pytest.mark.case("S11")
def test_a_tenant_that_a_function_for_teardown_removes_is_there_when_a_use_is_written(
    make_tenants: Callable[..., Tenants], caplog: pytest.LogCaptureFixture
) -> None:
    tenants = make_tenants("what is removed")
    made = tenants.generate()
    caplog.set_level(logging.INFO, "flask_access_tokens")
    for path in ("/api", "/api/names"):
        assert tenants.call("north", made["north"], path).status_code == 200
        assert tenants.uses("north") == {"t-north": True}
    assert tenants.uses("south") == {"t-south": False}
    assert caplog.messages == []


@pytest.mark.case("S11")
@pytest.mark.parametrize(("how", "codes"), [("a statement", {"last-used-hidden"}), ("what is removed", set())])
def test_the_doctor_finds_that_updates_see_no_token(
    make_tenants: Callable[..., Tenants], how: str, codes: set[str]
) -> None:
    tenants = make_tenants(how)
    tenants.generate()
    stop_thread(tenants.app)
    assert found(tenants.app).keys() & {"last-used-hidden", "last-used"} == codes
