"""Deletions while a thief rotates the stolen token again and again: none of the thief's secrets works afterwards."""

import re
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID

import pytest
import sqlalchemy as sa

from desk_pages import DESK_DELETE, answer_to, with_operator
from flask_access_tokens import tokens
from host import Host
from load import wait_until
from programs import OPEN, rotate, status

ROUNDS = 2


class Thief:
    """A program that rotates a token for as long as one of its requests succeeds."""

    def __init__(self, host: Host, secret: str) -> None:
        self.host, self.secrets, self.stop = host, [secret], threading.Event()
        self.thread = threading.Thread(target=self._rotate)

    def __enter__(self) -> "Thief":
        self.thread.start()
        wait_until(lambda: len(self.secrets) > 2)
        return self

    def __exit__(self, *_: object) -> None:
        self.stop.set()
        self.thread.join()

    def _rotate(self) -> None:
        while not self.stop.wait(0.002):  # SQLite lets whoever waits for a lock starve
            answer = rotate(self.host, self.secrets[-1])
            if answer.status_code == 200:
                self.secrets.append(answer.json["secret"])
            elif answer.status_code == 401:
                return


def delete_all(host: Host, thief: Thief) -> set[str]:
    with host.app.app_context():
        assert tokens.delete_all("ann") > 0
    return set()


def delete_all_by_command(host: Host, thief: Thief) -> set[str]:
    assert host.call("delete-all", "ann").exit_code == 0
    return set()


def delete_at_the_desk(host: Host, thief: Thief) -> set[str]:
    olga, path = host.client("olga"), f"{DESK_DELETE}?owner=ann&everything=1"
    assert olga.post(path, data=answer_to(olga, path)).status_code == 303
    return set()


def delete_leaked(host: Host, thief: Thief) -> set[str]:
    """Delete the tokens of the secrets so far, and return those that the command names to be deleted."""
    result = host.call("delete", "--stdin", stdin=" ".join(thief.secrets))
    assert result.exit_code == 0
    return set(re.findall(r"Token ([0-9a-f-]{36}) of ann is a successor", result.stderr))


WAYS: list[Callable[[Host, Thief], set[str]]] = [
    delete_all,
    delete_all_by_command,
    delete_at_the_desk,
    delete_leaked,
]


@pytest.mark.case("S02")
@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_no_secret_of_a_thief_who_rotates_meanwhile_works_after_a_deletion(
    make_host: Callable[..., Host], database_url: str, way: Callable[[Host, Thief], set[str]]
) -> None:
    host = with_operator(make_host(database_url, **OPEN))
    for _ in range(ROUNDS):
        stolen = host.generate("ann")
        with Thief(host, stolen.secret) as thief:
            named = way(host, thief)
        rows = {row["id"]: row for row in host.rows()}

        def is_named(id_: UUID) -> bool:
            """Whether an operator was told of a token, or of one that it replaced since."""
            return str(id_) in named or (rows[id_]["replaces"] in rows and is_named(rows[id_]["replaces"]))  # noqa: B023

        assert all(is_named(id_) for id_ in rows)
        if not named:
            assert {status(host, secret) for secret in thief.secrets} == {401}
        with host.app.app_context():
            tokens.delete_all("ann")
            host.db.session.remove()


def test_delete_all_finds_what_the_transaction_of_the_host_s_does_not_see(stored_host: Host) -> None:
    with stored_host.app.app_context():
        assert tokens.owned_by("ann") == []
        stored_host.db.session.execute(sa.text("SELECT count(*) FROM access_tokens")).all()
        with ThreadPoolExecutor(1) as other:
            secret = other.submit(stored_host.generate, "ann").result().secret
        tokens.delete_all("ann")
    assert status(stored_host, secret) == 401
