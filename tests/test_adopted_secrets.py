"""Whatever reads a secret knows adopted ones too: leaks in a text, and the endpoints for programs."""

import hashlib
import secrets
import time
from collections.abc import Callable

import pytest

from flask_access_tokens import tokens
from host import Host, bearer
from programs import INTROSPECT, OPEN, REVOKE, SELF, VERIFY, rotate, status

SANCTUM = r"(?:[0-9]+\|)?(?P<secret>[A-Za-z0-9]{40})"


@pytest.fixture
def adopting(make_host: Callable[..., Host], database_url: str) -> Host:
    """A host with open endpoints that has taken over from an earlier system."""
    return make_host(database_url, ACCESS_TOKENS_ADOPTED=SANCTUM, **OPEN)


def adopt(host: Host, owner_id: str = "ann") -> tuple[str, tokens.Token]:
    """Adopt a new secret; return what its client sends, and the token."""
    secret = secrets.token_hex(20)
    with host.app.app_context():
        return f"12|{secret}", tokens.adopt(owner_id, secret, "old")


def test_adopted_secrets_are_found_in_a_text_of_any_length(adopting: Host) -> None:
    sent, token = adopt(adopting)
    own = adopting.generate("bob")
    text = "x" * (2**20 - 30) + f'\n{{"key": "{sent}"}} {secrets.token_hex(20)}\n{own.secret}\n'
    found = adopting.call("find", stdin=text)
    assert found.exit_code == 0, found.output
    assert sorted(line.split("\t")[0] for line in found.stdout.splitlines()) == sorted(
        [str(token.id), str(own.token.id)]
    )


@pytest.mark.parametrize("pattern", ["[0-9a-f]{40}|[0-9a-f]{64}", "^[0-9a-f]{64}$", r"\A[0-9a-z]{64}\Z"])
@pytest.mark.parametrize(
    "text",
    ["key={}", "k%3d{}&x", r'"\n{}\n"', r"\u003d{}", '{{"key":"{}"}}', "/path/{}.", "{}", "1|{}|2", "key_{}", "-{}~"],
)
def test_an_adopted_secret_is_found_as_a_word_of_a_text(host: Host, pattern: str, text: str) -> None:
    host.app.config["ACCESS_TOKENS_ADOPTED"] = pattern
    secret = secrets.token_hex(32)
    with host.app.app_context():
        token = tokens.adopt("ann", secret, "old")
    found = host.call("find", stdin=text.format(secret))
    assert found.stdout.startswith(str(token.id)), found.output


def test_adopted_secrets_in_a_text_are_deleted(adopting: Host) -> None:
    (leaked, _), (kept, _) = adopt(adopting), adopt(adopting)
    assert adopting.call("delete", "--stdin", stdin=f"curl -H 'Authorization: Bearer {leaked}'").exit_code == 0
    assert [status(adopting, secret) for secret in (leaked, kept)] == [401, 200]


def test_an_adopted_secret_is_revoked_and_introspected(adopting: Host) -> None:
    sent, token = adopt(adopting)
    service = bearer(adopting.generate("service", scopes=["introspect"]).secret)
    client = adopting.client()
    assert client.post(INTROSPECT, data={"token": sent}, headers=service).json["jti"] == str(token.id)
    assert client.get(VERIFY, headers=bearer(sent)).headers["X-Access-Token-ID"] == str(token.id)
    assert client.post(REVOKE, data={"token": sent}).status_code == 200
    assert client.post(INTROSPECT, data={"token": sent}, headers=service).json == {"active": False}
    assert status(adopting, sent) == 401


def test_an_adopted_secret_is_rotated_for_one_of_our_own_form(adopting: Host) -> None:
    sent, token = adopt(adopting)
    assert adopting.client().get(SELF, headers=bearer(sent)).json["id"] == str(token.id)
    answer = rotate(adopting, sent)
    assert answer.status_code == 200, answer.text
    assert answer.json["secret"].startswith("pat_")
    assert [status(adopting, secret) for secret in (sent, answer.json["secret"])] == [200, 200]


@pytest.mark.parametrize("text", ["{}", '"{}"', "key: {}\n"])
def test_a_secret_with_separators_is_found_by_a_pattern_with_anchors(host: Host, text: str) -> None:
    host.app.config["ACCESS_TOKENS_ADOPTED"] = r"^[0-9a-f]{8}\.[0-9a-f+/]{31}=$"
    secret = f"{secrets.token_hex(4)}.{secrets.token_hex(15)}+="
    with host.app.app_context():
        token = tokens.adopt("ann", secret, "old")
    assert host.call("find", stdin=text.format(secret)).stdout.startswith(str(token.id))


def test_every_token_of_a_leaked_secret_is_deleted(adopting: Host) -> None:
    sent, _ = adopt(adopting)
    digest = hashlib.sha512(sent.partition("|")[2].encode()).hexdigest()
    with adopting.app.app_context():
        tokens.adopt("ann", tokens.Digest("sha512", digest), "old")
    assert adopting.call("delete", "--stdin", stdin=sent).stderr.endswith("2 tokens deleted.\n")
    assert status(adopting, sent) == 401


PLAUSIBLE = [
    "[0-9a-f]{32,}",
    "sk-[A-Za-z0-9_-]+",
    r"(?:key|tok)[-_.][\w.-]+",
    r"[\w-]+\.[\w-]+",
    r"(?:[\w-]+\.){2}[\w-]+",
    "(?:[a-z0-9]+-)+[0-9A-F]{8}",
    "[A-Za-z0-9+/]+={1,2}",
    "[0-9a-z]+_[0-9a-f]{32}",
    r"\S+@\S+",
]
HOSTILE = ["0", "a-", "key-a_", "a.b", "a/b+", "x=y&", "a|", f"{'a-' * 500} "]


@pytest.mark.case("S15")
@pytest.mark.parametrize("pattern", PLAUSIBLE)
def test_the_time_to_search_a_text_is_proportional_to_its_length(host: Host, pattern: str) -> None:
    host.app.config["ACCESS_TOKENS_ADOPTED"] = pattern
    for piece in HOSTILE:
        started = time.monotonic()
        host.call("find", stdin=(piece * 2**16)[: 2**16])
        assert time.monotonic() - started < 10, piece


@pytest.mark.case("S15")
@pytest.mark.parametrize("before", ["", "x" * 1500 + "&", "a=b&" * 700, "x" * 1500 + "=", "key:" * 255])
def test_an_adopted_secret_is_found_anywhere_in_a_long_run_of_characters(host: Host, before: str) -> None:
    host.app.config["ACCESS_TOKENS_ADOPTED"] = r"[0-9a-f]{8}\.[0-9a-f]{32}"
    secret = f"{secrets.token_hex(4)}.{secrets.token_hex(16)}"
    with host.app.app_context():
        token = tokens.adopt("ann", secret, "old")
    found = host.call("find", stdin=f"{before}{secret}&c={'d' * 2000}")
    assert found.stdout.startswith(str(token.id)), found.output
