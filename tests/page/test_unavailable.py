"""The page where the database cannot be used."""

from typing import Any

import pytest
import sqlalchemy as sa

from catalogs import NEW, PAGE
from host import Host
from pages import HTMX, NOBODY, SECRET, Make, delete_path, typed, wish


@pytest.mark.case("D14")
def test_a_missing_table_is_503_and_says_nothing_of_the_store(stored_host: Host) -> None:
    token = stored_host.generate("ann", "t-a").token
    client = stored_host.client("ann")
    form = wish(client)
    with stored_host.app.app_context():
        stored_host.db.drop_all()
    unreachable(client, form, token)


@pytest.mark.case("D14")
@pytest.mark.parametrize("kind", ["postgresql+psycopg", "mariadb+pymysql", "sqlite"])
def test_a_store_that_is_not_there_is_503_and_says_nothing_of_it(kind: str) -> None:
    address = "sqlite:////nowhere/else/host.sqlite3" if kind == "sqlite" else f"{kind}://joe:hush@127.0.0.1:1/wares"
    host = Host(address)
    unreachable(host.client("ann"), typed("t-x"), NOBODY)
    stale = Host(address, csrf=True).client("ann").post(delete_path(NOBODY), data={"csrf_token": "stale"})
    assert (stale.status_code, stale.headers["Retry-After"]) == (503, "2")


def unreachable(client: Any, form: dict[str, Any], token: Any) -> None:
    requests = [("GET", PAGE), ("GET", NEW), ("POST", NEW), ("GET", delete_path(token)), ("POST", delete_path(token))]
    for method, path in requests:
        for headers in ({}, HTMX):
            answer = client.open(path, method=method, data=form if method == "POST" else None, headers=headers)
            assert answer.status_code == 503, (method, path)
            assert 1 <= int(answer.headers["Retry-After"]) <= 5
            assert answer.headers["Cache-Control"] == "no-store"
            told = f"{answer.text} {answer.headers}".lower()
            for word in (
                "select",
                "insert",
                "sql",
                "127.0.0.1",
                "hush",
                "wares",
                "nowhere",
                "traceback",
                "operational",
            ):
                assert word not in told
            assert "deleted" not in told
            assert not SECRET.search(answer.text)


@pytest.mark.case("D14")
def test_the_hosts_503_handler_is_asked(make_host: Make) -> None:
    host = make_host()
    host.app.register_error_handler(503, lambda error: ("back soon", 503))
    with host.app.app_context():
        host.db.drop_all()
    answer = host.client("ann").get(PAGE)
    assert (answer.status_code, answer.text) == (503, "back soon")
    assert answer.headers["Retry-After"]


@pytest.mark.case("D14")
def test_a_store_that_fails_while_the_host_finds_who_is_there_is_503(host: Host) -> None:
    def identity() -> Any:
        return host.db.session.execute(sa.text("SELECT name FROM people")).scalar()

    host.access_tokens.identity_loader(identity)
    answer = host.client().get(PAGE)
    assert answer.status_code == 503
    assert "people" not in answer.text
