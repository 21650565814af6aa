"""Secrets that leaked: their tokens are found in any text, and deleted."""

import time
import uuid
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from flask_access_tokens import clock, secret, token_deleted, tokens
from flask_access_tokens.cli import leaks
from host import SEPARATE_STDERR, Host, bearer

BOTH = pytest.mark.parametrize("command", [["find"], ["delete", "--stdin"]], ids=" ".join)


def cells(result: Any) -> list[list[str]]:
    """The lines of a command's output, divided at the tabs."""
    assert result.exit_code == 0, result.output
    return [line.split("\t") for line in result.stdout.splitlines()]


def works(host: Host, made: tokens.NewToken) -> bool:
    return bool(host.client().get("/api", headers=bearer(made.secret)).status_code == 200)


def unknown() -> str:
    """The text of a secret that belongs to no token."""
    return str(secret.generate("pat"))


def test_find_prints_the_token_of_a_leaked_secret(stored_host: Host) -> None:
    made = stored_host.generate("ann", "=laptop")
    for stdin in (made.secret, f"{made.secret}\n", f"  {made.secret}\r\nmore\n"):
        result = stored_host.call("find", stdin=stdin)
        assert cells(result) == [[str(made.token.id), "ann", "'=laptop", made.token.hint, "active", "never", "-"]]
        assert result.stderr == "1 secret found. 1 token with such a secret.\n"
    assert works(stored_host, made)


def test_find_finds_every_token_of_a_text_under_every_pepper(stored_host: Host) -> None:
    made = []
    for peppers in ([], ["first"], ["second", "first"]):
        stored_host.app.config["ACCESS_TOKENS_PEPPERS"] = peppers
        made.append(stored_host.generate(f"owner {len(made)}"))
    kept = stored_host.generate("ann")
    log = (
        f'{{"url":"/reports?t%3D{made[2].secret}","a":"\\n{made[0].secret}"}}\n'
        f"\xff\0{made[1].secret}x {unknown()} {made[2].secret} {kept.secret[:-1]}"
    )
    result = stored_host.call("find", stdin=log.encode("latin-1"))
    assert [row[0] for row in cells(result)] == [str(made[number].token.id) for number in (2, 0, 1)]
    assert result.stderr == "4 secrets found. 3 tokens with such a secret.\n"


def test_an_expired_token_is_found_and_marked(stored_host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    made = stored_host.generate("ann", lifetime_days=1)
    later = clock.now() + timedelta(days=2)
    monkeypatch.setattr(clock, "now", lambda: later)
    assert cells(stored_host.call("find", stdin=made.secret))[0][4:] == ["expired", "never", "-"]


@BOTH
def test_a_text_without_a_token_says_how_many_secrets_it_has(host: Host, command: list[str]) -> None:
    host.generate("ann")
    for stdin, message in (
        ("", "The text contains no secret of this application."),
        (b"\xff\xfe\0pat_x", "The text contains no secret of this application."),
        (unknown(), "1 secret found. No token with such a secret exists."),
        (" ".join([unknown(), unknown(), unknown()]), "3 secrets found. No token with such a secret exists."),
    ):
        result = host.call(*command, stdin=stdin)
        assert (result.exit_code, result.stdout, result.stderr) == (1, "", f"Error: {message}\n")
    assert len(host.rows()) == 1


def test_delete_deletes_the_tokens_of_the_text_and_no_other(stored_host: Host) -> None:
    leaked = [stored_host.generate("ann"), stored_host.generate("bob"), stored_host.generate("ann", lifetime_days=-1)]
    kept = [stored_host.generate("ann"), stored_host.generate("bob")]
    heard: list[Any] = []

    def note(sender: Any, token: Any, by: str) -> None:
        heard.append((token.id, by))

    with token_deleted.connected_to(note, stored_host.app):
        result = stored_host.call("delete", "--stdin", stdin=" ".join(made.secret for made in leaked) + unknown())
    assert [row[:2] for row in cells(result)] == [[str(made.token.id), made.token.owner_id] for made in leaked]
    assert result.stderr == "4 secrets found. 3 tokens with such a secret.\n3 tokens deleted.\n"
    assert sorted(heard) == sorted((made.token.id, "cli") for made in leaked)
    assert [works(stored_host, made) for made in leaked + kept] == [False] * 3 + [True] * 2
    assert stored_host.call("delete", "--stdin", stdin=leaked[0].secret).exit_code == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "Give OWNER_ID and TOKEN_ID, or --stdin"),
        (["ann"], "Give OWNER_ID and TOKEN_ID, or --stdin"),
        (["--stdin", "ann"], "With --stdin, give no OWNER_ID"),
        (["--stdin", "ann", str(uuid.UUID(int=1))], "With --stdin, give no OWNER_ID"),
        (["ann", str(uuid.UUID(int=1)), "--json"], "--json needs --stdin"),
        (["--stdin", "pat_secret"], "With --stdin, give no OWNER_ID"),
    ],
    ids=str,
)
def test_delete_refuses_arguments_that_do_not_go_together(host: Host, arguments: list[str], words: str) -> None:
    made = host.generate("ann")
    result = host.call("delete", *arguments, stdin=made.secret)
    assert result.exit_code == 2
    assert words in result.stderr
    assert "pat_secret" not in result.output
    assert works(host, made)


def test_successors_are_named_and_not_deleted(stored_host: Host) -> None:
    leaked, other = stored_host.generate("ann"), stored_host.generate("bob")
    with stored_host.app.app_context():
        second = tokens.rotate("ann", leaked.token.id)
        third = tokens.rotate("ann", second.token.id)
        gone = tokens.rotate("bob", other.token.id)
        tokens.delete("bob", gone.token.id)
    text = f"{leaked.secret} {other.secret}"
    found, deleted = stored_host.call("find", stdin=text), stored_host.call("delete", "--stdin", stdin=text)
    for result in (found, deleted):
        assert [row[4:] for row in cells(result)] == [
            ["replaced", "never", "has a successor"],
            ["active", "never", "-"],
        ]
        assert [line for line in result.stderr.splitlines() if "successor" in line] == [
            f"Token {made.token.id} of ann is a successor and still works. Delete it too, unless its owner generated"
            " it."
            for made in (second, third)
        ]
    assert [works(stored_host, made) for made in (leaked, other, second, third)] == [False, False, True, True]


def test_a_successor_that_leaked_too_is_deleted_and_not_named(host: Host) -> None:
    leaked = host.generate("ann")
    with host.app.app_context():
        successor = tokens.rotate("ann", leaked.token.id)
    result = host.call("delete", "--stdin", stdin=f"{leaked.secret}{successor.secret}")
    assert result.stderr.splitlines()[1:] == ["2 tokens deleted."]
    assert host.rows() == []


def test_a_token_that_is_deleted_by_another_at_the_same_moment_is_no_error(
    make_host: Callable[..., Host], database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = make_host(database_url)
    made = [host.generate("ann") for _ in range(3)]
    table = host.access_tokens.model.__table__
    monkeypatch.setattr(leaks, "_BATCH", 1)

    def delete_next(sender: Any, token: Any, **extra: Any) -> None:
        with host.db.engine.begin() as connection:
            connection.execute(sa.delete(table).where(table.c.id == made[1].token.id))

    with token_deleted.connected_to(delete_next, host.app):
        result = host.call("delete", "--stdin", stdin=" ".join(each.secret for each in made))
    assert [row[0] for row in cells(result)] == [str(made[0].token.id), str(made[2].token.id)]
    assert result.stderr.endswith("2 tokens deleted.\n")
    assert host.rows() == []


def test_a_store_that_fails_in_the_middle_says_how_many_were_deleted_and_what_replaced_them(
    stored_host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = [stored_host.generate("ann") for _ in range(5)]
    with stored_host.app.app_context():
        successor = tokens.rotate("ann", made[0].token.id).token
    heard: list[Any] = []
    monkeypatch.setattr(leaks, "_BATCH", 2)

    def drop_table(sender: Any, token: Any, **extra: Any) -> None:
        heard.append(token)
        if len(heard) == 4:
            stored_host.db.drop_all()

    with token_deleted.connected_to(drop_table, stored_host.app):
        result = stored_host.call("delete", "--stdin", stdin=" ".join(each.secret for each in made))
    assert result.exit_code == 1
    assert len(result.stdout.splitlines()) == 4
    assert f"Token {successor.id} of ann is a successor and still works." in result.stderr
    line = result.stderr.splitlines()[-1]
    assert line.startswith("Error: The token store cannot be used: ")
    assert line.endswith("Tokens deleted before that: 4. Run the command again with the same text.")
    with stored_host.app.app_context():
        stored_host.db.create_all()


def test_a_dump_with_10_000_secrets_takes_seconds_and_few_statements(host: Host) -> None:
    made = [host.generate(f"owner {number}") for number in range(10)]
    dump = "\n".join([*(unknown() for _ in range(9_990)), *(each.secret for each in made)])
    host.app.config["ACCESS_TOKENS_PEPPERS"] = ["key"]
    started = time.monotonic()
    with host.statements() as statements:
        result = host.call("delete", "--stdin", stdin=dump)
    assert len(cells(result)) == 10
    assert result.stderr.startswith("10000 secrets found. 10 tokens with such a secret.\n")
    assert len(statements) <= 50
    assert time.monotonic() - started < 60


@BOTH
def test_a_terminal_without_the_characters_gets_escapes(host: Host, command: list[str]) -> None:
    made = host.generate("ann", "Größe")
    runner = host.app.test_cli_runner(**SEPARATE_STDERR, charset="ascii")
    result = runner.invoke(args=["access-tokens", *command], input=made.secret)
    assert cells(result)[0][2:4] == ["Gr\\xf6\\xdfe", made.token.hint.replace("…", "\\u2026")]
