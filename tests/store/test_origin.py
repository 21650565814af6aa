"""Where a token was last used from: the address and the program, where the host wants to store them."""

import re
import time
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Request
from werkzeug.middleware.proxy_fix import ProxyFix

from flask_access_tokens import secret, tokens
from host import Clock, Host, bearer
from load import wait_until

CURL = {"REMOTE_ADDR": "10.0.0.7", "HTTP_USER_AGENT": "curl/8.5.0"}
ROBOT = {"REMOTE_ADDR": "2001:db8::1", "HTTP_USER_AGENT": "robot"}


@pytest.fixture
def noting(stored_host: Host) -> Host:
    """A host that notes from where tokens are used."""
    stored_host.app.config["ACCESS_TOKENS_LAST_USED_FROM"] = True
    return stored_host


def use(host: Host, new: tokens.NewToken, origin: dict[str, str], **headers: str) -> None:
    answer = host.client().get("/api", headers=bearer(new.secret) | headers, environ_overrides=origin)
    assert answer.status_code == 200


def used_from(host: Host) -> str | None:
    with host.app.app_context():
        (token,) = tokens.owned_by("ann")
    return token.last_used_from


def test_the_origin_of_a_use_is_written_by_the_statement_that_writes_its_time(noting: Host, clock: Clock) -> None:
    new = noting.generate("ann")
    ran = {}
    for wanted in (True, False):
        clock.pass_(minutes=5)
        noting.app.config["ACCESS_TOKENS_LAST_USED_FROM"] = wanted
        with noting.statements() as seen:
            use(noting, new, CURL)
        ran[wanted] = [" ".join(statement.split()) for statement in seen]
        assert used_from(noting) == ("10.0.0.7 curl/8.5.0" if wanted else None)
    assert ran[True] == ran[False]
    assert len([statement for statement in ran[True] if statement.startswith("UPDATE")]) == 1


def test_the_origin_is_that_of_the_use_whose_time_is_stored(noting: Host, clock: Clock) -> None:
    new = noting.generate("ann")
    use(noting, new, CURL)
    clock.pass_(seconds=59)
    use(noting, new, ROBOT)
    assert used_from(noting) == "10.0.0.7 curl/8.5.0"
    clock.pass_(seconds=1)
    use(noting, new, ROBOT)
    assert used_from(noting) == "2001:db8::1 robot"


@pytest.mark.parametrize("listener", [False, True], ids=["on the engine", "in a session"])
def test_the_thread_writes_the_origin_and_erases_it_once_it_is_not_wanted(
    noting: Host, clock: Clock, listener: bool
) -> None:
    noting.app.testing = False
    new = noting.generate("ann")
    if listener:
        with noting.app.app_context():
            sa.event.listen(noting.db.session, "after_begin", lambda *_: None)
    use(noting, new, CURL)
    wait_until(lambda: used_from(noting) == "10.0.0.7 curl/8.5.0")
    noting.app.config["ACCESS_TOKENS_LAST_USED_FROM"] = False
    clock.pass_(minutes=5)
    use(noting, new, ROBOT)
    wait_until(lambda: used_from(noting) is None)


def test_the_origin_is_written_while_a_token_moves_to_a_new_pepper(noting: Host, clock: Clock) -> None:
    new = noting.generate("ann")
    noting.app.config["ACCESS_TOKENS_PEPPERS"] = ["one"]
    use(noting, new, CURL)
    assert (used_from(noting), noting.rows()[0]["scheme"]) == ("10.0.0.7 curl/8.5.0", secret.schemes(["one"])[0])
    noting.app.config["ACCESS_TOKENS_PEPPERS"] = ["two", "one"]
    use(noting, new, ROBOT)  # too soon for another time
    assert (used_from(noting), noting.rows()[0]["scheme"]) == ("10.0.0.7 curl/8.5.0", secret.schemes(["two"])[0])
    noting.app.config.update(ACCESS_TOKENS_PEPPERS=["three", "two"], ACCESS_TOKENS_LAST_USED_FROM=False)
    clock.pass_(minutes=5)
    use(noting, new, ROBOT)
    assert used_from(noting) is None


def test_a_request_is_asked_for_its_origin_only_where_it_is_wanted_and_an_update_is_due(
    host: Host, clock: Clock
) -> None:
    asked: list[str] = []

    class Asked(Request):
        @property
        def remote_addr(self) -> Any:
            asked.append(self.path)
            return "10.0.0.7"

        @remote_addr.setter
        def remote_addr(self, _: Any) -> None:
            """Werkzeug sets it."""

    host.app.request_class = Asked
    new = host.generate("ann")
    use(host, new, {})
    clock.pass_(minutes=5)
    host.app.config["ACCESS_TOKENS_LAST_USED_FROM"] = True
    assert asked == []
    for _ in range(3):
        use(host, new, {})
    assert asked == ["/api"]


def test_an_origin_as_long_as_the_column_fits_on_every_database(noting: Host) -> None:
    new = noting.generate("ann")
    use(noting, new, {"REMOTE_ADDR": "fe80::1%eth0", "HTTP_USER_AGENT": "x" * 5000})
    assert used_from(noting) == f"fe80::1%eth0 {'x' * 242}"
    assert noting.app.extensions["access_tokens"].failed_updates == 0


@pytest.mark.parametrize(
    ("address", "program", "stored"),
    [
        ("10.0.0.7", "", "10.0.0.7"),
        ("", "curl/8.5.0", "- curl/8.5.0"),
        ("", "", None),
        ("10.0.0.7", "  robot (a b)\t1 ", "10.0.0.7 robot (a b)?1"),
        ("10.0.0.7", "a\r\nSet-Cookie: b\x00\x1b[31m\x7f", "10.0.0.7 a?Set-Cookie: b?[31m?"),
        ("10.0.0.7", "caf\u00e9 \u0085\u00a0\u202e\u200b\U0001f916\udc80", "10.0.0.7 caf? ?"),
        ("10.0.0.7", "<script>alert('1')</script>", "10.0.0.7 <script>alert('1')</script>"),
        ("10.0.0.7", "x" * 246 + "\U0001f916" * 9, "10.0.0.7 " + "x" * 246),
        ("10.0.0.7", "x" * 245 + " y", "10.0.0.7 " + "x" * 245),
        ("of a proxy, odd", "curl", "of?a?proxy,?odd curl"),
    ],
)
def test_only_printable_ascii_on_one_line_is_stored(
    host: Host, address: str, program: str, stored: str | None
) -> None:
    host.app.config["ACCESS_TOKENS_LAST_USED_FROM"] = True
    use(host, host.generate("ann"), {"REMOTE_ADDR": address, "HTTP_USER_AGENT": program})
    assert used_from(host) == stored


@pytest.mark.case("D13")
def test_a_secret_that_a_client_sends_as_its_program_is_not_stored(noting: Host) -> None:
    new = noting.generate("ann")
    # The end of the column is in the middle of the second one.
    program = f"robot/1 (token={new.secret}) {'x' * 150} {new.secret}"
    use(noting, new, {"REMOTE_ADDR": "10.0.0.7", "HTTP_USER_AGENT": program})
    assert used_from(noting) == f"10.0.0.7 robot/1 (token=...) {'x' * 150} ..."


@pytest.mark.case("D18")
@pytest.mark.parametrize(("proxies", "stored"), [(0, "10.0.0.7"), (1, "203.0.113.9"), (2, "192.0.2.66")])
def test_a_forwarded_address_counts_only_as_far_as_the_host_trusts_its_proxies(
    host: Host, proxies: int, stored: str
) -> None:
    host.app.config["ACCESS_TOKENS_LAST_USED_FROM"] = True
    if proxies:
        host.app.wsgi_app = ProxyFix(host.app.wsgi_app, x_for=proxies)  # type: ignore[method-assign]
    spoofed = {"X-Forwarded-For": "192.0.2.66, 203.0.113.9", "Forwarded": "for=192.0.2.66", "X-Real-IP": "192.0.2.66"}
    use(host, host.generate("ann"), {"REMOTE_ADDR": "10.0.0.7", "HTTP_USER_AGENT": ""}, **spoofed)
    assert used_from(host) == stored


def test_a_successor_does_not_take_over_where_its_predecessor_was_used_from(noting: Host) -> None:
    old = noting.generate("ann")
    use(noting, old, CURL)
    with noting.app.app_context():
        new = tokens.rotate("ann", old.token.id).token
        listed = {token.id: token.last_used_from for token in tokens.owned_by("ann")}
    assert listed == {old.token.id: "10.0.0.7 curl/8.5.0", new.id: None}
    assert new.last_used_from is None


@pytest.mark.case("S15")
def test_a_long_user_agent_costs_no_more_than_a_short_one(noting: Host) -> None:
    noting.app.config["ACCESS_TOKENS_ADOPTED"] = r"[a-z-]+\.[a-z-]+"
    new = noting.generate("ann")
    started = time.monotonic()
    use(noting, new, {"HTTP_USER_AGENT": f"{'a-' * 500} " * 1000})
    assert time.monotonic() - started < 2
    assert used_from(noting) == f"127.0.0.1 {'a-' * 500}"[:255]


@pytest.mark.case("S15")
@pytest.mark.parametrize("before", [0, 170, 200, 220, 244, 1150, 1200, 1268])
def test_no_part_of_a_secret_is_left_in_a_user_agent_that_is_cut(noting: Host, before: int) -> None:
    new = noting.generate("ann")
    earlier = f"{noting.generate('bob').secret} " * (before // len(new.secret))
    use(noting, new, {"HTTP_USER_AGENT": f"{earlier}{'x' * (before - len(earlier))}{new.secret * 20}"})
    assert not re.search(r"[0-9A-Za-z]{12}", (used_from(noting) or "").replace("x", ""))
