"""The command line: its output, and its errors."""

import re
import uuid
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from flask_access_tokens import clock, secret, tokens
from flask_access_tokens.store import batches
from host import Host, bearer, short

SECRET = re.compile(r"pat_[0-9A-Za-z]{49}")


def assert_refused(result: Any, *words: str) -> None:
    """Check that a failure prints one line on standard error and nothing on standard output."""
    assert result.exit_code != 0
    assert result.stdout == ""
    assert result.stderr.startswith("Error: ")
    assert len(result.stderr.splitlines()) == 1
    assert "Traceback" not in result.output
    assert not SECRET.search(result.output)
    assert all(word in result.stderr for word in words)


def test_generate_prints_the_secret_alone_on_standard_output(stored_host: Host) -> None:
    result = stored_host.call(
        "generate",
        "ann",
        "CI",
        "--description",
        "Builds",
        "--lifetime-days",
        "30",
        "--scope",
        "write",
        "--scope",
        "read",
    )
    assert result.exit_code == 0
    assert SECRET.fullmatch(result.stdout.strip())
    assert not SECRET.search(result.stderr)
    answer = stored_host.client().get("/api", headers=bearer(result.stdout.strip()))
    assert answer.get_json() == {"owner": "ann", "scopes": ["read", "write"]}
    with stored_host.app.app_context():
        (token,) = tokens.owned_by("ann")
        assert (token.name, token.description) == ("CI", "Builds")
        assert token.expires_at is not None
        assert token.expires_at - token.created_at == timedelta(days=30)
    assert str(token.id) in result.stderr


def test_a_lifetime_of_minus_one_never_expires(host: Host) -> None:
    assert host.call("generate", "ann", "CI", "--lifetime-days", "-1").exit_code == 0
    assert host.rows()[0]["expires_at"] is None


LIFETIMES = ["1e3", "0x10", "365.0", "NaN", "Infinity", "", "--1", "−1", "²", "１２", "٣٦٥", "1_000", "+5", "0", "-2"]
LIFETIMES += ["1000000000000", "999999999", "9" * 5000, "1\u00a02", "\x0030"]


@pytest.mark.case("B24")
@pytest.mark.parametrize("days", LIFETIMES, ids=short)
def test_a_lifetime_that_is_not_a_plain_number_in_bounds_is_refused(host: Host, days: str) -> None:
    assert_refused(host.call("generate", "ann", "CI", f"--lifetime-days={days}"), "1 to 99,999 days")
    assert host.rows() == []


@pytest.mark.case("B24")
@pytest.mark.parametrize(
    "name", ["", " ", "x" * 101, "a\nb", "a\x1b[31mb", "\u202eb", "a\u200bb", "\udcff"], ids=short
)
def test_a_name_that_breaks_the_rules_is_refused(host: Host, name: str) -> None:
    assert_refused(host.call("generate", "ann", name))
    assert host.rows() == []


@pytest.mark.case("B24")
def test_an_invalid_owner_scope_or_limit_is_refused(host: Host) -> None:
    host.app.config["ACCESS_TOKENS_MAX_PER_OWNER"] = 1
    assert_refused(host.call("generate", "", "CI"), "owner ID")
    assert_refused(host.call("generate", "a\nb", "CI"), "owner ID")
    assert_refused(
        host.call("generate", "ann", "CI", "--scope", "everything"), "'everything'. It declares: read, write."
    )
    assert_refused(host.call("generate", "ann", "CI", "--scope", "read write"), "scope")
    host.generate("ann")
    assert_refused(host.call("generate", "ann", "CI"), "1 token")
    for command in (["list", " ann"], ["delete", "", "x"], ["delete-all", "a\0b"]):
        assert_refused(host.call(*command), "owner ID")


@pytest.mark.case("D12", "B21")
def test_list_shows_hints_and_no_secret_and_no_formula(stored_host: Host) -> None:
    made = [stored_host.generate("ann", name) for name in ("=1+1", "+x", "-x", "@x", "laptop")]
    stored_host.generate("bob", "phone", lifetime_days=-1)
    everybody, anns = stored_host.call("list"), stored_host.call("list", "ann")
    assert everybody.exit_code == anns.exit_code == 0
    assert not SECRET.search(everybody.output)
    assert len(everybody.stdout.splitlines()) == 7
    assert "bob" not in anns.stdout
    rows = [line.split("\t") for line in anns.stdout.splitlines()]
    assert {row[2] for row in rows[1:]} == {"'=1+1", "'+x", "'-x", "'@x", "laptop"}
    assert {row[0] for row in rows[1:]} == {str(new.token.id) for new in made}
    assert {len(row) for row in rows} == {11}
    assert "\tnever\tnever\t-\t-\n" in everybody.stdout


def test_list_shows_where_a_token_was_used_from_and_no_formula(host: Host) -> None:
    host.app.config["ACCESS_TOKENS_LAST_USED_FROM"] = True
    for address, program, shown in (
        ("10.0.0.7", "=1+1\t\x1b[31m\u202e", "10.0.0.7 =1+1?[31m?"),
        ("", "curl/8.5.0", "'- curl/8.5.0"),
        ("=cmd|x", "", "'=cmd|x"),
    ):
        with host.app.app_context():
            tokens.delete_all("ann")
        origin = {"REMOTE_ADDR": address, "HTTP_USER_AGENT": program}
        host.client().get("/api", headers=bearer(host.generate("ann").secret), environ_overrides=origin)
        head, row = (line.split("\t") for line in host.call("list", "ann").stdout.splitlines())
        assert dict(zip(head, row, strict=True))["USED FROM"] == shown


def test_list_reads_everybody_s_tokens_whatever_the_owner_loader_does_meanwhile(
    stored_host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches, "BATCH", 2)

    @stored_host.access_tokens.owner_loader
    def load(owner_id: str) -> str:
        stored_host.db.session.execute(sa.text("SELECT 1")).all()
        return owner_id

    made = {str(stored_host.generate(f"owner {number % 3}").token.id) for number in range(7)}
    with stored_host.app.app_context():
        stored_host.db.session.execute(sa.text("SELECT 1")).all()
        listed = stored_host.call("list")
    assert listed.exit_code == 0, listed.output
    assert {line.split("\t")[0] for line in listed.stdout.splitlines()[1:]} == made


def test_list_needs_no_more_connections_than_a_request(make_host: Callable[..., Host], database_url: str) -> None:
    options = {"pool_size": 1, "max_overflow": 0, "pool_timeout": 1}
    host = make_host(database_url, SQLALCHEMY_ENGINE_OPTIONS=options)

    @host.access_tokens.owner_loader
    def load(owner_id: str) -> str:
        host.db.session.execute(sa.text("SELECT 1")).all()
        return owner_id

    host.generate("ann")
    host.generate("bob")
    listed = host.call("list")
    assert listed.exit_code == 0, listed.output
    assert len(listed.stdout.splitlines()) == 3


def test_delete_takes_the_owner_s_own_token_only(stored_host: Host) -> None:
    made = stored_host.generate("ann")
    assert_refused(stored_host.call("delete", "bob", str(made.token.id)), "bob")
    assert_refused(stored_host.call("delete", "ann", str(uuid.uuid4())), "ann")
    assert_refused(stored_host.call("delete", "ann", "everything"))
    assert stored_host.call("delete", "ann", str(made.token.id)).exit_code == 0
    assert_refused(stored_host.call("delete", "ann", str(made.token.id)))
    assert stored_host.client().get("/api", headers=bearer(made.secret)).status_code == 401


@pytest.mark.case("D13")
def test_a_secret_given_where_an_id_belongs_is_not_repeated(host: Host) -> None:
    made = host.generate("ann")
    assert_refused(host.call("delete", "ann", made.secret))


@pytest.mark.case("C14")
def test_delete_all_deletes_one_owner_s_tokens(stored_host: Host) -> None:
    ann, bob = stored_host.generate("ann"), stored_host.generate("bob")
    assert stored_host.call("delete-all", "ann").stdout == "1 token deleted.\n"
    assert stored_host.call("delete-all", "ann").stdout == "0 tokens deleted.\n"
    client = stored_host.client()
    assert client.get("/api", headers=bearer(ann.secret)).status_code == 401
    assert client.get("/api", headers=bearer(bob.secret)).status_code == 200


@pytest.mark.case("F12")
def test_prune_counts_first_and_then_deletes(stored_host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    for days in (1, 5, -1):
        stored_host.generate("ann", lifetime_days=days)
    later = clock.now() + timedelta(days=33)
    monkeypatch.setattr(clock, "now", lambda: later)
    assert stored_host.call("prune", "--dry-run").stdout == "1 token would be deleted.\n"
    assert stored_host.call("prune").stdout == "1 token was deleted.\n"
    assert stored_host.call("prune", "--expired-days", "0").stdout == "1 token was deleted.\n"
    assert len(stored_host.rows()) == 1


@pytest.mark.case("B24", "F05")
@pytest.mark.parametrize("days", ["-1", "100000", "x", "1.5", "", "１", "1_0", "9" * 5000], ids=short)
def test_prune_refuses_days_out_of_bounds(host: Host, days: str) -> None:
    assert_refused(host.call("prune", f"--expired-days={days}"), "0 to 99999")


def test_no_command_takes_a_secret_as_an_argument(host: Host) -> None:
    made = host.generate("ann")
    assert host.call("find", made.secret).exit_code == 2


@pytest.mark.case("H05")
def test_the_commands_work_while_the_flag_is_off(stored_host: Host) -> None:
    made = stored_host.generate("ann")
    stored_host.app.config["ACCESS_TOKENS_ENABLED"] = False
    assert str(made.token.id) in stored_host.call("list").stdout
    assert stored_host.call("find", stdin=made.secret).exit_code == 0
    assert stored_host.call("prune").exit_code == 0
    assert stored_host.call("delete", "ann", str(made.token.id)).exit_code == 0
    assert stored_host.call("generate", "ann", "CI").exit_code == 0
    assert stored_host.call("delete-all", "ann").exit_code == 0


@pytest.mark.case("E23", "B24", "D14")
@pytest.mark.parametrize(
    "command",
    [
        ["generate", "ann", "CI"],
        ["list"],
        ["list", "ann"],
        ["delete", "ann", str(uuid.UUID(int=1))],
        ["delete-all", "ann"],
        ["prune"],
        ["prune", "--dry-run"],
        ["find"],
        ["delete", "--stdin"],
    ],
    ids=" ".join,
)
def test_a_missing_table_is_reported_in_one_line(stored_host: Host, command: list[str]) -> None:
    with stored_host.app.app_context():
        stored_host.db.drop_all()
    result = stored_host.call(*command, stdin=str(secret.generate("pat")))
    assert result.exit_code != 0
    assert "Traceback" not in result.output
    assert "INSERT" not in result.stderr
    assert result.stderr.startswith("Error: The token store cannot be used: ")
    assert len(result.stderr.splitlines()) == 1
