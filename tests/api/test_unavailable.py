"""The guard while the database is unavailable."""

import re
from typing import Any

import pytest
import sqlalchemy as sa
from flask import jsonify
from werkzeug.exceptions import HTTPException

from host import Host, bearer
from refusals import BARE, FORGED, INVALID, assert_refused


def assert_unavailable(response: Any) -> None:
    """Check a 503: it has Retry-After, and it discloses nothing about the store."""
    assert_refused(response, 503, None)
    assert 1 <= int(response.headers["Retry-After"]) <= 5
    description = "The access token cannot be checked now. Try again in a moment."
    assert response.get_json() == {"error": "temporarily_unavailable", "error_description": description}
    assert_store_not_disclosed(response)


def assert_store_not_disclosed(response: Any) -> None:
    shown = f"{response.headers}{response.text}".lower()
    for word in ("select", "access_tokens", "sqlite", "psycopg", "pymysql", "127.0.0.1", "traceback", "/nowhere"):
        assert word not in shown


@pytest.mark.case("R5", "D14", "E23")
def test_a_missing_table_is_503_and_one_line_in_the_log(stored_host: Host, caplog: pytest.LogCaptureFixture) -> None:
    header = bearer(stored_host.generate().secret)
    with stored_host.app.app_context():
        stored_host.db.drop_all()
    client = stored_host.client()
    assert_unavailable(client.get("/api", headers=header))
    assert_unavailable(client.get("/optional", headers=header))
    assert_refused(client.get("/api", headers=bearer("x")), 401, INVALID)
    assert_refused(client.get("/api"), 401, BARE)
    lines = [record.getMessage() for record in caplog.records if record.name == "flask_access_tokens"]
    assert len(lines) == 2
    assert not any("SELECT" in line or "\n" in line for line in lines)
    assert all(re.fullmatch(r"The token store cannot be used: \w+: .*access_tokens.*", line) for line in lines)


@pytest.mark.case("R5", "D14", "E10")
@pytest.mark.parametrize(
    "url",
    [
        "sqlite:////nowhere/at/all.sqlite3",
        "postgresql+psycopg://nobody:password@127.0.0.1:1/none",
        "mariadb+pymysql://nobody:password@127.0.0.1:1/none",
    ],
)
def test_an_unreachable_store_is_503_and_its_address_is_not_disclosed(
    url: str, caplog: pytest.LogCaptureFixture
) -> None:
    host = Host(url)
    assert_unavailable(host.client().get("/api", headers=bearer(FORGED)))
    assert re.match(r"The token store cannot be used: OperationalError: .*\w", caplog.messages[-1])
    assert "password" not in caplog.text
    assert_refused(host.client().get("/api", headers=bearer("x")), 401, INVALID)


@pytest.mark.case("R5", "D14")
def test_a_store_that_fails_in_the_owner_loader_is_503_as_well(host: Host) -> None:
    @host.access_tokens.owner_loader
    def load(owner_id: str) -> Any:
        return host.db.session.execute(sa.text("SELECT * FROM nowhere")).first()

    assert_unavailable(host.client().get("/api", headers=bearer(host.generate().secret)))


@pytest.mark.case("R5")
def test_a_503_survives_the_host_s_own_handlers(host: Host) -> None:
    host.app.errorhandler(HTTPException)(lambda error: (jsonify(error="sorry"), error.code))
    header = bearer(host.generate().secret)
    with host.app.app_context():
        host.db.drop_all()
    answer = host.client().get("/api", headers=header)
    assert_refused(answer, 503, None)
    assert answer.headers["Retry-After"] == "2"
    assert answer.get_json() == {"error": "sorry"}
    assert_store_not_disclosed(answer)
