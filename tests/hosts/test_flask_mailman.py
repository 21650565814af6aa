"""The recipe for mail, against a real SMTP server."""

import socket
from collections.abc import Iterator
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller

from canary import Canary
from examples import recipe
from host import SEPARATE_STDERR, Clock
from visits import new_secret, running


class Mailbox:
    """Takes messages for an SMTP server, which may refuse one recipient."""

    def __init__(self) -> None:
        self.received: list[tuple[list[str], EmailMessage]] = []
        self.refused = ""

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
        if self.refused in envelope.rcpt_tos:
            return "451 Try again later"
        message = message_from_bytes(envelope.content, policy=policy.default)
        assert isinstance(message, EmailMessage)
        self.received.append((envelope.rcpt_tos, message))
        return "250 OK"


@pytest.fixture
def mailbox() -> Iterator[tuple[Mailbox, int]]:
    """A mailbox, and the port of its server."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    mailbox = Mailbox()
    controller = Controller(mailbox, hostname="127.0.0.1", port=port)
    controller.start()
    yield mailbox, port
    controller.stop()


@pytest.fixture
def example(
    mailbox: tuple[Mailbox, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> Iterator[Any]:
    """The recipe, with two people whose tokens expire in a week."""
    module = recipe("Expiry notices by mail: Flask-Mailman", tmp_path, monkeypatch)
    module.app.config.update(MAIL_SERVER="127.0.0.1", MAIL_PORT=mailbox[1])
    module.mail.init_app(module.app)
    with running(module.app):
        with module.app.app_context():
            for name, language in (("ann", "en"), ("bob", "de")):
                module.db.session.add(module.User(email=f"{name}@example.org", language=language))
            module.db.session.commit()
        yield module


def notify(example: Any) -> Any:
    return example.app.test_cli_runner(**SEPARATE_STDERR).invoke(args=["access-tokens", "notify"])


def test_each_owner_gets_a_message_with_both_parts_and_without_the_secret(
    example: Any, mailbox: tuple[Mailbox, int], clock: Clock, canary: Canary
) -> None:
    for owner, name in ((1, "Café <CI>"), (2, "Nightly backup")):
        new_secret(example.app, owner, name, lifetime_days=90)
    clock.pass_(days=83)
    assert notify(example).stdout == "2 notices sent.\n"
    assert notify(example).stdout == "0 notices sent.\n"
    ((to_ann, ann), (to_bob, bob)) = mailbox[0].received
    assert (to_ann, ann["To"], ann["From"]) == (["ann@example.org"], "ann@example.org", "tokens@app.example")
    # Flask-Mailman folds a long subject right after its name.
    assert ann["Subject"].lstrip() == "Access token “Café <CI>” expires in 7 days"
    assert [part.get_content_type() for part in ann.iter_parts()] == ["text/plain", "text/html"]
    plain, html = (part.get_content() for part in ann.iter_parts())
    assert plain.startswith("Your access token “Café <CI>” (pat_…")
    assert plain.splitlines()[-1] == "https://app.example/access-tokens/"
    assert "“Café &lt;CI&gt;”" in html
    assert to_bob == ["bob@example.org"]
    assert '<html lang="de">' in [part.get_content() for part in bob.iter_parts()][1]
    for message in (ann, bob):
        canary.search("a mail", "\n".join([str(message), *(part.get_content() for part in message.iter_parts())]))


def test_a_message_that_the_server_refused_is_sent_by_the_next_run(
    example: Any, mailbox: tuple[Mailbox, int], clock: Clock
) -> None:
    for owner in (1, 2):
        new_secret(example.app, owner, lifetime_days=90)
    clock.pass_(days=83)
    mailbox[0].refused = "ann@example.org"
    result = notify(example)
    assert (result.exit_code, result.stdout) == (1, "1 notice sent.\n")
    mailbox[0].refused = ""
    assert notify(example).exit_code == 0
    assert [to for to, _ in mailbox[0].received] == [["bob@example.org"], ["ann@example.org"]]
