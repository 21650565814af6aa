"""Transactions that conflict with another one: run again, or refused with the reason."""

from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import OperationalError

from flask_access_tokens import tokens
from flask_access_tokens.signals import token_generated
from host import Clock, Host

REPEATABLE_READ = {"isolation_level": "REPEATABLE READ"}


@pytest.fixture
def host(make_host: Callable[..., Host], server_database: Callable[[str], str]) -> Host:
    """A host on PostgreSQL at REPEATABLE READ, where a row that another transaction has changed is a conflict."""
    return make_host(server_database("postgresql"), SQLALCHEMY_ENGINE_OPTIONS=REPEATABLE_READ)


CHANGE = "UPDATE access_tokens SET last_used_at = now()"


def before_a(host: Host, words: str, statement: str, times: int = 1) -> None:
    """Let another transaction run a statement before each of the next statements that begin or end so."""
    with host.app.app_context():
        engine = host.db.engine
    left = [statement] * times

    def run(connection: Any, cursor: Any, text: str, *_: Any) -> None:
        if (text.startswith(words) or text.endswith(words)) and left:
            changed = left.pop()
            with engine.connect() as other:
                other.exec_driver_sql(changed)
                other.commit()

    sa.event.listen(engine, "before_cursor_execute", run)


def before_a_deletion(host: Host, statement: str) -> None:
    before_a(host, "FOR UPDATE", statement)


@pytest.fixture
def expired(host: Host, clock: Clock) -> Host:
    """A host with an expired token, whose place the next generation frees after it has read the row."""
    host.app.config["ACCESS_TOKENS_MAX_PER_OWNER"] = 1
    host.generate("ann", lifetime_days=1)
    clock.pass_(days=1)
    return host


def test_a_transaction_that_conflicts_with_another_one_is_run_again(expired: Host) -> None:
    before_a(expired, "UPDATE access_tokens SET seat", CHANGE, times=3)
    sent = []
    with expired.app.app_context(), token_generated.connected_to(lambda *_, **sending: sent.append(sending)):
        tokens.generate("ann", "laptop")
        assert len(tokens.owned_by("ann")) == 2
    assert len(sent) == 1


def test_a_transaction_that_conflicts_again_and_again_ends_with_the_database_s_error(expired: Host) -> None:
    before_a(expired, "UPDATE access_tokens SET seat", CHANGE, times=1000)
    with expired.app.app_context():
        with pytest.raises(OperationalError, match="could not serialize access"):
            tokens.generate("ann", "laptop")
        assert len(tokens.owned_by("ann")) == 1


def test_a_transaction_of_the_host_is_not_run_again(host: Host) -> None:
    host.generate("ann")
    before_a_deletion(host, CHANGE)
    with host.app.app_context():
        host.db.session.execute(sa.text("SELECT 1"))
        with pytest.raises(OperationalError, match="could not serialize access") as conflict:
            tokens.delete_all("ann")
        (note,) = conflict.value.__notes__
        assert note.endswith("Begin the transaction again.")
        assert len(tokens.owned_by("ann")) == 1
        assert tokens.delete_all("ann") == 1


def test_a_page_request_in_a_transaction_of_the_host_is_answered_503_after_a_conflict(host: Host) -> None:
    host.app.before_request(lambda: host.db.session.execute(sa.text("SELECT name FROM access_tokens")) and None)
    made, client = host.generate("ann"), host.client("ann")
    before_a_deletion(host, CHANGE)
    url = f"/access-tokens/{made.token.id}/delete"
    answer = client.post(url)
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "2")
    assert client.post(url).status_code == 303


def test_a_deletion_that_loses_against_another_one_is_told_that_there_is_no_such_token(host: Host) -> None:
    """Even in a transaction of the host's, which is not run again."""
    made = host.generate("ann")
    before_a_deletion(host, "DELETE FROM access_tokens")
    with host.app.app_context():
        host.db.session.execute(sa.text("SELECT name FROM access_tokens"))
        assert tokens.delete("ann", made.token.id) is False
