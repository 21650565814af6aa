"""Keys: the peppers of the digest, and the secret key, which does not affect it."""

import json
import uuid
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest
import sqlalchemy as sa

from flask_access_tokens import (
    secret,
    tokens,
)
from host import Host, bearer
from wire import wire

OLD_ROWS = json.loads((Path(__file__).parent / "data" / "rows-of-0.1.0.json").read_text())


def peppered(host: Host, *peppers: str) -> None:
    host.app.config["ACCESS_TOKENS_PEPPERS"] = peppers


@pytest.mark.case("G01")
def test_tokens_survive_a_new_secret_key(host: Host) -> None:
    with host.app.app_context():
        made = [tokens.generate(f"owner {number}", "laptop").secret for number in range(100)]
    host.app.config["SECRET_KEY"] = "another"
    client = host.client()
    for number, text in enumerate(made):
        assert client.get("/api", headers=bearer(text)).get_json()["owner"] == f"owner {number}"


@pytest.mark.case("G04", "G05", "G06", "G07")
def test_a_pepper_is_rotated_without_losing_a_token_that_is_used(
    stored_host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = stored_host.client()

    def status(text: str) -> int:
        return int(client.get("/api", headers=bearer(text)).status_code)

    def schemes() -> set[str]:
        return {row["scheme"] for row in stored_host.rows()}

    plain = stored_host.generate("ann").secret
    peppered(stored_host, "one")
    keyed, unused = stored_host.generate("ann").secret, stored_host.generate("ann").secret
    assert [status(text) for text in (plain, keyed)] == [200, 200]
    assert schemes() == {secret.schemes(["one"])[0]}
    peppered(stored_host, "two", "one")
    with wire(stored_host, monkeypatch) as sent:
        assert status(keyed) == 200
    assert sum(statement.startswith("SELECT") and ".hint" in statement for statement in sent) == 1
    assert status(plain) == 200
    assert schemes() == {secret.schemes(["two"])[0], secret.schemes(["one"])[0]}
    with wire(stored_host, monkeypatch) as sent:
        assert status(keyed) == 200
    assert len(sent) == 1
    counts = stored_host.call("list").stderr
    assert "1 tokens are not keyed under the newest pepper" in counts
    peppered(stored_host, "two")
    assert [status(text) for text in (plain, keyed, unused)] == [200, 200, 401]
    assert "1 token is keyed under a pepper that is not configured" in stored_host.call("list").stderr
    peppered(stored_host)
    assert [status(text) for text in (plain, keyed, unused)] == [401, 401, 401]
    assert "3 tokens are keyed under a pepper that is not configured" in stored_host.call("list").stderr
    peppered(stored_host, "two", "one")
    assert [status(text) for text in (plain, keyed, unused)] == [200, 200, 200]


@pytest.mark.case("G06")
def test_a_row_that_claims_another_scheme_is_never_accepted(stored_host: Host) -> None:
    made = stored_host.generate()
    with stored_host.app.app_context():
        table = stored_host.access_tokens.model.__table__
        with stored_host.db.engine.begin() as connection:
            connection.execute(sa.update(table).values(scheme=secret.schemes(["gone"])[0]))
    assert stored_host.client().get("/api", headers=bearer(made.secret)).status_code == 401


@pytest.mark.case("F14", "G07")
def test_rows_of_the_first_release_verify_in_every_later_one(stored_host: Host) -> None:
    peppered(stored_host, *dict.fromkeys(row["pepper"] for row in OLD_ROWS if row["pepper"]))
    stored_host.app.config["ACCESS_TOKENS_PREFIX"] = list(dict.fromkeys(row["prefix"] for row in OLD_ROWS))
    with stored_host.app.app_context():
        model, session = stored_host.access_tokens.model, stored_host.db.session
        for row in OLD_ROWS:
            kept = {key: value for key, value in row.items() if key not in ("secret", "prefix", "pepper", "status")}
            for time in ("created_at", "expires_at", "last_used_at"):
                kept[time] = kept[time] and datetime.fromisoformat(kept[time])
            session.add(model(**kept | {"id": uuid.UUID(kept["id"])}))
        session.commit()
    client = stored_host.client()
    for row in OLD_ROWS:
        for _ in range(2):
            answer = client.get("/api", headers=bearer(row["secret"]))
            assert answer.status_code == row["status"], row["name"]
            if row["status"] == 200:
                assert answer.get_json() == {"owner": row["owner_id"], "scopes": row["scopes"].split()}


@pytest.mark.case("S12", "G04")
@pytest.mark.parametrize("database_url", ["sqlite", "postgresql", "mariadb"], indirect=True)
def test_a_token_is_re_keyed_on_connections_that_commit_each_statement(
    make_host: Callable[..., Host], database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    options = {"isolation_level": "AUTOCOMMIT"}
    host = make_host(database_url, SQLALCHEMY_ENGINE_OPTIONS=options, ACCESS_TOKENS_PEPPERS=["old"])
    secret = host.generate("ann").secret
    host.app.config["ACCESS_TOKENS_PEPPERS"] = ["new", "old"]
    assert host.client().get("/api", headers=bearer(secret)).status_code == 200
    host.app.config["ACCESS_TOKENS_PEPPERS"] = ["new"]
    assert host.client().get("/api", headers=bearer(secret)).status_code == 200
    assert [record for record in caplog.records if record.name == "flask_access_tokens"] == []
