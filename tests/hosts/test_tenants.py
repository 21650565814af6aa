"""Hosts of several tenants: a request sees and changes what the host's own session would, and nothing else."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from flask_access_tokens import tokens
from load import wait_until
from pages import NEW, PAGE, SECRET, delete_path, shown_names, token_fields
from tenant_hosts import DRIVERS, HOSTS, Databases, row_level_security
from tenants import TENANTS, Tenants

OTHER = {"north": "south", "south": "north"}


@pytest.fixture
def databases(server_database: Callable[..., str], tmp_path: Path) -> Iterator[Databases]:
    with ExitStack() as stack:
        yield Databases(server_database, tmp_path, stack)


@pytest.fixture(params=HOSTS)
def tenants(request: pytest.FixtureRequest, databases: Databases) -> Tenants:
    """A host of two tenants; a test that uses it runs with every way to keep them apart."""
    return HOSTS[request.param](databases)


def test_a_token_of_one_tenant_opens_nothing_of_another(tenants: Tenants) -> None:
    made = tenants.generate()
    for tenant in TENANTS:
        for path, found in (("/api", {"owner": "ann"}), ("/api/names", [f"t-{tenant}"])):
            right = tenants.call(tenant, made[tenant], path)
            assert (right.status_code, right.get_json()) == (200, found)
            assert tenants.call(OTHER[tenant], made[tenant], path).status_code == 401


def test_the_last_use_is_written_in_the_row_of_the_right_tenant(tenants: Tenants) -> None:
    made = tenants.generate()
    assert tenants.call("north", made["north"]).status_code == 200
    assert tenants.uses("north") == {"t-north": True}
    assert tenants.uses("south") == {"t-south": False}
    assert tenants.call("south", made["south"], "/api/names").status_code == 200
    assert tenants.uses("south") == {"t-south": True}


def test_the_last_use_is_written_in_the_row_of_the_right_tenant_after_the_request_too(tenants: Tenants) -> None:
    tenants.app.testing = False
    made = tenants.generate()
    for tenant, path in zip(TENANTS, ("/api", "/api/names"), strict=True):
        assert tenants.call(tenant, made[tenant], path).status_code == 200
        wait_until(lambda tenant=tenant: tenants.uses(tenant) == {f"t-{tenant}": True})
        if tenant == "north":
            assert tenants.uses("south") == {"t-south": False}
    assert tenants.app.extensions["access_tokens"].failed_updates == 0


def test_the_operations_see_and_delete_no_token_of_another_tenant(tenants: Tenants) -> None:
    made = tenants.generate()
    for tenant in TENANTS:
        mine, other = made[tenant], made[OTHER[tenant]]
        assert [token.id for token in tenants.run(tenant, tokens.owned_by, "ann")] == [mine.token.id]
        assert [token.id for token in tenants.run(tenant, tokens.page, "ann").tokens] == [mine.token.id]
        assert tenants.run(tenant, tokens.get, "ann", mine.token.id) is not None
        assert tenants.run(tenant, tokens.get, "ann", other.token.id) is None
        assert tenants.run(tenant, tokens.find, mine.secret) is not None
        assert tenants.run(tenant, tokens.find, other.secret) is None
        assert tenants.run(tenant, tokens.delete, "ann", other.token.id) is False
    assert tenants.run("north", tokens.delete_all, "ann") == 1
    assert tenants.uses("north") == {}
    assert tenants.uses("south") == {"t-south": False}
    assert tenants.run("south", tokens.delete, "ann", made["south"].token.id) is True
    assert tenants.uses("south") == {}


def test_the_page_shows_and_deletes_no_token_of_another_tenant(tenants: Tenants) -> None:
    made = tenants.generate()
    for tenant in TENANTS:
        client = tenants.client(tenant, "ann")
        assert shown_names(client.get(PAGE)) == [f"t-{tenant}"]
        for method in ("GET", "POST"):
            assert client.open(delete_path(made[OTHER[tenant]].token), method=method).status_code == 404
        assert tenants.uses(OTHER[tenant]) == {f"t-{OTHER[tenant]}": False}
    client = tenants.client("north", "ann")
    assert client.get(delete_path(made["north"].token)).status_code == 200
    assert client.post(delete_path(made["north"].token)).status_code == 303
    assert tenants.uses("north") == {}
    assert tenants.uses("south") == {"t-south": False}


def test_a_token_that_is_generated_on_the_page_belongs_to_the_tenant_of_the_request(tenants: Tenants) -> None:
    tenants.generate()
    generated = tenants.client("south", "ann").post(NEW, data=token_fields("t-new"))
    assert generated.status_code == 200
    assert tenants.uses("north") == {"t-north": False}
    assert tenants.uses("south") == {"t-south": False, "t-new": False}
    (secret,) = set(SECRET.findall(generated.text))
    assert tenants.run("south", tokens.find, secret) is not None
    assert tenants.run("north", tokens.find, secret) is None


def test_the_limit_counts_the_tokens_of_one_tenant(tenants: Tenants) -> None:
    made = tenants.generate()
    tenants.app.config["ACCESS_TOKENS_MAX_PER_OWNER"] = 1
    for tenant in TENANTS:
        with pytest.raises(tokens.TokenRefused):
            tenants.run(tenant, tokens.generate, "ann", "t-more")
    for tenant in TENANTS:
        assert tenants.run(tenant, tokens.delete, "ann", made[tenant].token.id) is True
        tenants.run(tenant, tokens.generate, "ann", "t-more")
        with pytest.raises(tokens.TokenRefused):
            tenants.run(tenant, tokens.generate, "ann", "t-more")
    assert tenants.uses("north") == tenants.uses("south") == {"t-more": False}


@pytest.mark.parametrize("how", ["class", "scoped session", "instance", "info"])
@pytest.mark.parametrize("driver", DRIVERS)
def test_a_tenant_s_request_never_needs_two_connections(databases: Databases, how: str, driver: str) -> None:
    options = {"pool_size": 1, "max_overflow": 0, "pool_timeout": 1}
    tenants = row_level_security(databases, how, driver, SQLALCHEMY_ENGINE_OPTIONS=options)
    made = tenants.generate()
    for tenant, path in zip(TENANTS, ("/api", "/api/names"), strict=True):
        assert tenants.call(tenant, made[tenant], path).status_code == 200
        assert tenants.uses(tenant) == {f"t-{tenant}": True}
        assert shown_names(tenants.client(tenant, "ann").get(PAGE)) == [f"t-{tenant}"]
