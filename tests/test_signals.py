"""The signals that an application receives."""

import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask

from flask_access_tokens import clock, secret, token_deleted, token_generated, token_rejected, token_used, tokens
from host import Host, bearer

Received = list[tuple[str, Flask, dict[str, Any]]]


@pytest.fixture
def received(host: Host) -> Iterator[Received]:
    """Every signal of the host: its name, its sender and its arguments."""
    signals: Received = []

    def listener(name: str) -> Callable[..., None]:
        return lambda sender, **sent: signals.append((name, sender, sent))

    listeners = {
        signal: listener(signal.name) for signal in (token_generated, token_used, token_deleted, token_rejected)
    }
    with ExitStack() as stack:
        for signal, listen in listeners.items():
            stack.enter_context(signal.connected_to(listen, host.app))
        yield signals


def test_the_application_sends_a_signal_for_each_event_of_a_token(host: Host, received: Received) -> None:
    made = host.generate("ann", "laptop")
    host.client().get("/api", headers=bearer(made.secret))
    with host.app.app_context():
        tokens.delete("ann", made.token.id)
    assert [name for name, _, _ in received] == ["token-generated", "token-used", "token-deleted"]
    for _, sender, sent in received:
        assert sender is host.app
        assert sent["token"].id == made.token.id
        assert made.secret not in repr(sent)


def test_no_signal_is_sent_for_what_did_not_happen(host: Host, received: Received) -> None:
    made = host.generate("ann")
    received.clear()
    with host.app.app_context():
        tokens.delete("bob", made.token.id)
        tokens.delete("ann", uuid.uuid4())
        tokens.delete_all("bob")
        tokens.prune()
        tokens.find(made.secret)
        with pytest.raises(tokens.TokenRefused):
            tokens.generate("ann", "")
    assert received == []


def test_the_signals_of_an_operator_carry_who_acted_and_why(host: Host, received: Received) -> None:
    with host.app.app_context():
        new = tokens.generate("ann", "laptop", by="operator 7", reason="asked for by phone")
        tokens.delete_many([new.token], by="operator 7", reason="lost laptop")
    reasons = [(name, sent["by"], sent["reason"]) for name, _, sent in received]
    assert reasons == [
        ("token-generated", "operator 7", "asked for by phone"),
        ("token-deleted", "operator 7", "lost laptop"),
    ]


def test_every_token_deleted_by_delete_all_and_prune_is_signaled(
    host: Host, received: Received, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = {host.generate("ann").token.id for _ in range(3)} | {host.generate("bob", lifetime_days=1).token.id}
    received.clear()
    with host.app.app_context():
        assert tokens.delete_all("ann") == 3
        later = clock.now() + timedelta(days=90)
        monkeypatch.setattr(clock, "now", lambda: later)
        assert tokens.prune() == 1
    assert {sent["token"].id for name, _, sent in received if name == "token-deleted"} == made


@pytest.mark.case("R1", "R2", "R3", "R4")
def test_every_refusal_is_signaled_with_its_reason_and_the_token_if_one_was_found(
    host: Host, received: Received, monkeypatch: pytest.MonkeyPatch
) -> None:
    people = {"ann": "Ann", "bob": "Bob"}
    host.access_tokens.owner_loader(people.get)
    old, good, orphan = host.generate("ann", lifetime_days=1), host.generate("ann"), host.generate("bob")
    client = host.client()
    received.clear()

    def reason(header: dict[str, str], method: str = "get", path: str = "/api") -> tuple[str, uuid.UUID | None]:
        getattr(client, method)(path, headers=header)
        ((name, sender, sent),) = received
        received.clear()
        assert (name, sender, set(sent)) == ("token-rejected", host.app, {"reason", "token_id"})
        return sent["reason"], sent["token_id"]

    assert reason({}) == ("missing", None)
    assert reason({"Authorization": "Basic x"}) == ("missing", None)
    assert reason(bearer("x")) == ("malformed", None)
    assert reason(bearer(f"{good.secret}, Bearer {good.secret}")) == ("malformed", None)
    assert reason(bearer(str(secret.generate("pat")))) == ("unknown", None)
    assert reason(bearer(good.secret), "post", "/write") == ("scope", good.token.id)
    del people["bob"]
    assert reason(bearer(orphan.secret)) == ("owner", orphan.token.id)
    host.app.config["ACCESS_TOKENS_ENABLED"] = lambda owner_id: False
    assert reason(bearer(good.secret)) == ("disabled", good.token.id)
    host.app.config["ACCESS_TOKENS_ENABLED"] = False
    assert reason(bearer(good.secret)) == ("disabled", None)
    assert reason({}) == ("disabled", None)
    host.app.config["ACCESS_TOKENS_ENABLED"] = True
    later = clock.now() + timedelta(days=1)
    monkeypatch.setattr(clock, "now", lambda: later)
    assert reason(bearer(old.secret)) == ("expired", old.token.id)


def test_an_optional_view_without_a_token_sends_no_signal(host: Host, received: Received) -> None:
    assert host.client().get("/optional").status_code == 200
    assert received == []


def test_a_receiver_may_read_and_write_the_host_s_database(host: Host) -> None:
    def note(sender: Flask, token: Any) -> None:
        assert [each.id for each in tokens.owned_by(token.owner_id)] == [token.id]

    with token_used.connected_to(note, host.app), token_generated.connected_to(note, host.app):
        made = host.generate("ann")
        assert host.client().get("/api", headers=bearer(made.secret)).status_code == 200


def test_signals_of_one_application_do_not_reach_another(make_host: Callable[..., Host]) -> None:
    one, two = make_host(), make_host()
    senders: list[Flask] = []
    with token_generated.connected_to(lambda sender, token: senders.append(sender), one.app):
        one.generate("ann")
        two.generate("bob")
    assert senders == [one.app]
