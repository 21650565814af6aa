"""The page when the database is unavailable."""

from typing import Any

import pytest
import sqlalchemy as sa

from catalogs import NEW, PAGE
from host import Host
from pages import HTMX, NOBODY, SECRET, Make, delete_path, form_data, token_fields


@pytest.mark.case("D14")
def test_a_missing_table_is_503_without_database_details(stored_host: Host) -> None:
    token = stored_host.generate("ann", "t-a").token
    client = stored_host.client("ann")
    form = form_data(client)
    with stored_host.app.app_context():
        stored_host.db.drop_all()
    assert_unavailable(client, form, token)


@pytest.mark.case("D14")
@pytest.mark.parametrize("kind", ["postgresql+psycopg", "mariadb+pymysql", "sqlite"])
def test_an_unreachable_database_is_503_without_database_details(kind: str) -> None:
    address = "sqlite:////nowhere/else/host.sqlite3" if kind == "sqlite" else f"{kind}://joe:hush@127.0.0.1:1/wares"
    host = Host(address)
    assert_unavailable(host.client("ann"), token_fields("t-x"), NOBODY)
    stale = Host(address, csrf=True).client("ann").post(delete_path(NOBODY), data={"csrf_token": "stale"})
    assert (stale.status_code, stale.headers["Retry-After"]) == (503, "2")


def assert_unavailable(client: Any, form: dict[str, Any], token: Any) -> None:
    requests = [("GET", PAGE), ("GET", NEW), ("POST", NEW), ("GET", delete_path(token)), ("POST", delete_path(token))]
    for method, path in requests:
        for headers in ({}, HTMX):
            answer = client.open(path, method=method, data=form if method == "POST" else None, headers=headers)
            assert answer.status_code == 503, (method, path)
            assert 1 <= int(answer.headers["Retry-After"]) <= 5
            assert answer.headers["Cache-Control"] == "no-store"
            content = f"{answer.text} {answer.headers}".lower()
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
                assert word not in content
            assert "deleted" not in content
            assert not SECRET.search(answer.text)


@pytest.mark.case("D14")
def test_the_hosts_503_handler_is_called(make_host: Make) -> None:
    host = make_host()
    host.app.register_error_handler(503, lambda error: ("back soon", 503))
    with host.app.app_context():
        host.db.drop_all()
    answer = host.client("ann").get(PAGE)
    assert (answer.status_code, answer.text) == (503, "back soon")
    assert answer.headers["Retry-After"]


@pytest.mark.case("D14")
def test_a_database_error_in_the_identity_loader_is_503(host: Host) -> None:
    def identity() -> Any:
        return host.db.session.execute(sa.text("SELECT name FROM people")).scalar()

    host.access_tokens.identity_loader(identity)
    answer = host.client().get(PAGE)
    assert answer.status_code == 503
    assert "people" not in answer.text
