"""The endpoints for programs, and requests to them."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from flask_access_tokens import token_deleted, token_reused, token_rotated, token_used
from host import SCOPES, Host, bearer

SELF, ROTATE, REVOKE, VERIFY, INTROSPECT = (
    f"/access-tokens/{path}" for path in ("self", "self/rotate", "revoke", "verify", "introspect")
)
METHODS = {SELF: "GET", ROTATE: "POST", REVOKE: "POST", VERIFY: "GET", INTROSPECT: "POST"}
"""The endpoints, each with a method that it supports."""

NAMES = ("self", "rotate", "revoke", "verify", "introspect")

OPEN = {
    "ACCESS_TOKENS_ENDPOINTS": list(NAMES),
    "ACCESS_TOKENS_SCOPES": {**SCOPES, "introspect": "Ask about tokens"},
    "ACCESS_TOKENS_INTROSPECTION_SCOPE": "introspect",
}
"""The configuration in which all endpoints are open."""

FORM = "application/x-www-form-urlencoded"


def rotate(host: Host, secret: str) -> Any:
    """The response to a program that rotates its token."""
    return host.app.test_client().post(ROTATE, headers=bearer(secret))


def status(host: Host, secret: str) -> int:
    """The status with which a guarded view answers a secret."""
    return int(host.app.test_client().get("/api", headers=bearer(secret)).status_code)


@contextmanager
def heard(host: Host) -> Iterator[list[tuple[str, Any, Any]]]:
    """The signals of the host in the block but for uses: name, token ID, and who acted."""
    signals: list[tuple[str, Any, Any]] = []
    with ExitStack() as stack:
        for signal in (token_rotated, token_reused, token_deleted):

            def listen(_: Any, token: Any, by: Any = None, *, name: str = signal.name, **extra: Any) -> None:
                signals.append((name, token.id, by))

            stack.enter_context(signal.connected_to(listen, host.app))
        yield signals


@contextmanager
def used(host: Host) -> Iterator[list[Any]]:
    """The IDs of the tokens that were used in the block."""
    ids: list[Any] = []

    def listen(_: Any, token: Any) -> None:
        ids.append(token.id)

    with token_used.connected_to(listen, host.app):
        yield ids


def rotated(host: Host, secret: str) -> Any:
    """What a program is told that rotates its token."""
    answer = rotate(host, secret)
    assert answer.status_code == 200, answer.text
    return answer.json


def chain(host: Host, length: int) -> list[str]:
    """Secrets of tokens of which each replaced the one before."""
    secrets = [host.generate("ann", "chain").secret]
    while len(secrets) < length:
        secrets.append(rotated(host, secrets[-1])["secret"])
    return secrets


def ids(host: Host) -> set[str]:
    return {str(row["id"]) for row in host.rows()}
