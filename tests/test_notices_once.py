"""Each expiry notice is sent once, and none is lost: receivers that fail, two runs at once, a run that is killed."""

import json
import os
import select
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from flask_access_tokens import clock as package_clock
from flask_access_tokens import notices, token_expiring, tokens
from flask_access_tokens.store import transactions
from host import Clock, Host
from load import wait_until
from notifier import record

FAILED = "Error: 1 notice could not be sent; the next run tries again. See the log.\n"


def sent_by(host: Host, receive: Callable[[tokens.Token], Any] = lambda token: None) -> tuple[Counter[str], Any]:
    """Run ``notify``: the names of the tokens for which a receiver returned, and the result of the command."""
    told: Counter[str] = Counter()

    def note(_: Any, token: tokens.Token, days: int) -> None:
        receive(token)
        told[token.name] += 1

    with token_expiring.connected_to(note, host.app):
        result = host.call("notify")
    return told, result


def due_tokens(host: Host, clock: Clock, *names: str) -> None:
    for name in names:
        host.generate("ann", name, lifetime_days=30)
    clock.pass_(days=25)


def noticed(host: Host) -> set[int | None]:
    return {row["noticed_days"] for row in host.rows()}


def test_a_notice_whose_receiver_failed_is_sent_by_the_next_run_and_the_others_are_not(
    stored_host: Host, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    due_tokens(stored_host, clock, "a", "b", "c")

    def fail_once(token: tokens.Token) -> None:
        if token.name == "b":
            raise OSError("the server said: no")

    told, result = sent_by(stored_host, fail_once)
    assert told == {"a": 1, "c": 1}
    assert (result.exit_code, result.stdout, result.stderr) == (1, "2 notices sent.\n", FAILED)
    (line,) = [each.getMessage() for each in caplog.records if each.name == "flask_access_tokens"]
    with stored_host.app.app_context():
        (failed,) = [token for token in tokens.owned_by("ann") if token.name == "b"]
    assert line == (
        f"The notice 7 days before token {failed.id} expires could not be sent (OSError). The next run tries again."
    )
    told, result = sent_by(stored_host)
    assert (told, result.exit_code) == ({"b": 1}, 0)
    assert sent_by(stored_host)[0] == {}


@pytest.fixture
def outbox(stored_host: Host) -> Iterator[sa.Table]:
    """A table of the host's, to which its receiver writes."""
    table = sa.Table("outbox", stored_host.db.metadata, sa.Column("name", sa.String(20), primary_key=True))
    with stored_host.app.app_context():
        table.create(stored_host.db.engine)
    yield table
    with stored_host.app.app_context():
        stored_host.db.session.remove()
        table.drop(stored_host.db.engine)


def test_what_a_receiver_writes_is_committed_with_the_mark_and_lost_with_it(
    stored_host: Host, clock: Clock, outbox: sa.Table
) -> None:
    due_tokens(stored_host, clock, "a", "b")
    session = stored_host.db.session

    failing = ["a"]

    def write(token: tokens.Token) -> None:
        session.execute(sa.insert(outbox).values(name=token.name))
        with session.begin_nested():
            session.execute(sa.update(outbox).values(name=outbox.c.name))
        if token.name in failing:
            raise RuntimeError

    def written() -> list[str]:
        with stored_host.app.app_context():
            return sorted(session.scalars(sa.select(outbox.c.name)))

    assert sent_by(stored_host, write)[0] == {"b": 1}
    assert written() == ["b"]
    assert sent_by(stored_host, lambda token: session.execute(sa.insert(outbox).values(name=token.name)))[0] == {
        "a": 1
    }
    assert written() == ["a", "b"]
    assert noticed(stored_host) == {7}


def test_what_cannot_be_committed_counts_as_failed(stored_host: Host, clock: Clock, outbox: sa.Table) -> None:
    due_tokens(stored_host, clock, "a")

    class Mail(stored_host.db.Model):  # type: ignore[name-defined,misc]
        __table__ = outbox

    with stored_host.app.app_context():
        stored_host.db.session.execute(sa.insert(outbox).values(name="a"))
        stored_host.db.session.commit()
    _, result = sent_by(stored_host, lambda token: stored_host.db.session.add(Mail(name=token.name)))
    assert (result.exit_code, noticed(stored_host)) == (1, {None})
    assert sent_by(stored_host)[0] == {"a": 1}


def test_a_receiver_that_committed_before_it_failed_is_called_again(stored_host: Host, clock: Clock) -> None:
    due_tokens(stored_host, clock, "a")

    def commit_and_fail(_: tokens.Token) -> None:
        stored_host.db.session.commit()
        raise RuntimeError

    told, result = sent_by(stored_host, commit_and_fail)
    assert (told, result.exit_code, noticed(stored_host)) == ({}, 1, {None})
    assert sent_by(stored_host)[0] == {"a": 1}


@pytest.mark.parametrize("end", ["commit", "rollback", "remove"])
def test_a_receiver_may_end_the_transaction_itself(stored_host: Host, clock: Clock, end: str) -> None:
    due_tokens(stored_host, clock, "a", "b")
    told, result = sent_by(stored_host, lambda _: getattr(stored_host.db.session, end)())
    assert (told, result.exit_code, noticed(stored_host)) == ({"a": 1, "b": 1}, 0, {7})
    assert sent_by(stored_host)[0] == {}


def test_a_failure_after_a_rollback_does_not_take_back_what_another_run_has_sent(
    stored_host: Host, clock: Clock
) -> None:
    due_tokens(stored_host, clock, "a")
    table = stored_host.access_tokens.model.__table__

    def roll_back_and_fail(_: tokens.Token) -> None:
        with stored_host.db.session.begin_nested():
            stored_host.db.session.execute(sa.select(sa.literal(1)))
        stored_host.db.session.rollback()
        with stored_host.db.engine.begin() as of_another_run:
            of_another_run.execute(sa.update(table).values(noticed_days=7))
        raise RuntimeError

    _, result = sent_by(stored_host, roll_back_and_fail)
    assert (result.exit_code, noticed(stored_host)) == (1, {7})


def test_an_operation_on_the_token_within_a_receiver_neither_waits_nor_sends_twice(
    stored_host: Host, clock: Clock
) -> None:
    due_tokens(stored_host, clock, "a")
    told, _ = sent_by(stored_host, lambda token: tokens.update("ann", token.id, description="told"))
    assert told == {"a": 1}
    assert sent_by(stored_host)[0] == {}
    assert [row["description"] for row in stored_host.rows()] == ["told"]


def test_an_interrupted_run_leaves_no_mark(stored_host: Host, clock: Clock) -> None:
    due_tokens(stored_host, clock, "a")

    def interrupt(_: Any, **sent: Any) -> None:
        raise KeyboardInterrupt

    with token_expiring.connected_to(interrupt, stored_host.app), stored_host.app.app_context():
        with pytest.raises(KeyboardInterrupt):
            notices.send_due()
        assert not stored_host.db.session().in_transaction()
    assert noticed(stored_host) == {None}


def test_pending_changes_are_committed(stored_host: Host, clock: Clock, outbox: sa.Table) -> None:
    due_tokens(stored_host, clock, "a")
    with stored_host.app.app_context():
        session = stored_host.db.session
        session.execute(sa.insert(outbox).values(name="before"))
        with token_expiring.connected_to(lambda _, **sent: None, stored_host.app):
            assert notices.send_due() == (1, 0)
        session.rollback()
        assert list(session.scalars(sa.select(outbox.c.name))) == ["before"]


def test_a_database_that_stays_locked_counts_as_failed_and_nothing_is_sent(
    make_host: Callable[..., Host], tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = {"connect_args": {"timeout": 0}}
    host = make_host(f"sqlite:///{tmp_path / 'host.sqlite3'}", SQLALCHEMY_ENGINE_OPTIONS=options)
    due_tokens(host, clock, "a")
    monkeypatch.setattr(transactions, "_MOST_SECONDS", 0)
    with host.app.app_context(), host.db.engine.connect() as other:
        other.exec_driver_sql("BEGIN IMMEDIATE")
        told, result = sent_by(host)
        assert (told, result.exit_code, result.stderr) == ({}, 1, FAILED)
    assert sent_by(host)[0] == {"a": 1}


def test_on_sqlite_a_run_that_marks_a_notice_first_is_the_one_that_sends_it(
    make_host: Callable[..., Host], tmp_path: Path, clock: Clock
) -> None:
    file = tmp_path / "host.sqlite3"
    host = make_host(f"sqlite:///{file}")
    due_tokens(host, clock, "a")

    def mark_first(connection: Any, cursor: Any, statement: str, *_: Any) -> None:
        if statement.startswith("BEGIN"):
            with closing(sqlite3.connect(file)) as of_another_run, of_another_run:
                of_another_run.execute("UPDATE access_tokens SET noticed_days = 7")

    with host.app.app_context():
        sa.event.listen(host.db.engine, "before_cursor_execute", mark_first)
        told, result = sent_by(host)
    assert (told, result.exit_code, result.stdout) == ({}, 0, "0 notices sent.\n")


# Processes of their own


@contextmanager
def notifying(url: str, sent: Path, stop_at: int) -> Iterator[subprocess.Popen[str]]:
    """Run ``flask access-tokens notify`` in another process, until its receiver is about to send one notice.

    :param stop_at: the number of that notice.
    """
    settings = {"HOST_SETTINGS": json.dumps({"url": url}), "NOTICES": str(sent), "STOP_AT": str(stop_at)}
    environment = {**os.environ, **settings, "PYTHONPATH": str(Path(__file__).parent / "support")}
    command = [sys.executable, "-m", "flask", "--app", "notifier", "access-tokens", "notify"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, env=environment, text=True, **pipes) as process:  # type: ignore[call-overload]
        try:
            yield process
        finally:
            process.kill()


def held_token(process: subprocess.Popen[str]) -> str:
    """The ID of the token whose notice a process is about to send, once it is."""
    assert process.stdout is not None
    ready, _, _ = select.select([process.stdout], [], [], 60)
    assert ready
    return process.stdout.readline().strip()


@pytest.fixture
def waiting(
    make_host: Callable[..., Host], database_url: str, monkeypatch: pytest.MonkeyPatch
) -> tuple[Host, set[str]]:
    """A host with six tokens that are due a notice by the clock of every process, and their IDs."""
    host, now = make_host(database_url), package_clock.now
    monkeypatch.setattr(package_clock, "now", lambda: now().replace(year=now().year - 1))
    ids = {str(host.generate("ann", str(number), lifetime_days=370).token.id) for number in range(6)}
    monkeypatch.undo()
    return host, ids


def sent_notices(path: Path) -> list[list[str]]:
    """The process and the token of each notice."""
    return [line.split() for line in path.read_text().splitlines()]


@pytest.mark.parametrize("database_url", ["postgresql", "mariadb"], indirect=True)
def test_two_runs_at_once_send_each_notice_once(
    waiting: tuple[Host, set[str]], database_url: str, tmp_path: Path
) -> None:
    _, ids = waiting
    sent = tmp_path / "sent"
    with notifying(database_url, sent, 1) as one, notifying(database_url, sent, 1) as two:
        processes = one, two
        # Both are inside their receiver at the same time, each with a token of its own.
        held = {held_token(process) for process in processes}
        assert len(held) == 2
        assert held <= ids
        answers = [process.communicate("go on\n", timeout=60) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], answers
    notices_sent = sent_notices(sent)
    assert Counter(token for _, token in notices_sent) == dict.fromkeys(ids, 1)
    assert {process for process, _ in notices_sent} == {str(process.pid) for process in processes}


def test_a_run_that_is_killed_loses_no_notice(
    waiting: tuple[Host, set[str]], database_url: str, tmp_path: Path
) -> None:
    host, ids = waiting
    sent = tmp_path / "sent"
    with notifying(database_url, sent, 3) as process:
        in_the_middle = held_token(process)
        process.kill()
        process.wait(30)
    before = {token for _, token in sent_notices(sent)}
    assert len(before) == 2
    assert in_the_middle in ids - before

    def send(_: Any, token: tokens.Token, days: int) -> None:
        record(sent, token.id)

    def none_is_left() -> bool:
        notices.send_due()
        return not list(notices.due())

    with token_expiring.connected_to(send, host.app), host.app.app_context():
        wait_until(none_is_left)  # a server takes a moment to notice that the process is gone
    assert Counter(token for _, token in sent_notices(sent)) == dict.fromkeys(ids, 1)
