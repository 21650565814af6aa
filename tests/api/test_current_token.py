"""The token of a request."""

import re
import threading
from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask, g, session

from flask_access_tokens import current_token, token_required, tokens
from flask_access_tokens.tokens import Token
from host import Host, bearer


def test_current_token_has_every_field_but_the_secret(stored_host: Host) -> None:
    @stored_host.app.get("/all")
    @token_required
    def everything() -> Any:
        token = current_token
        return {
            name: str(getattr(token, name))
            for name in [
                "id",
                "name",
                "description",
                "owner_id",
                "scopes",
                "hint",
                "created_at",
                "expires_at",
                "last_used_at",
            ]
        }

    made = stored_host.generate("ann", "laptop", description="On the desk", scopes=["write", "read"])
    data = stored_host.client().get("/all", headers=bearer(made.secret)).get_json()
    assert data["id"] == str(made.token.id)
    assert (data["name"], data["description"], data["owner_id"]) == ("laptop", "On the desk", "ann")
    assert data["scopes"] == "('read', 'write')"
    assert data["created_at"] == str(made.token.created_at)
    assert data["expires_at"] == str(made.token.expires_at)
    assert data["created_at"].endswith("+00:00")
    assert data["last_used_at"] == "None"


def test_current_token_is_falsy_without_a_token_and_its_error_is_clear(host: Host) -> None:
    message = (
        "This request has no access token. Guard the view with @token_required; under optional=True or"
        ' or_session=True ask "if current_token" first.'
    )

    def assert_none() -> None:
        assert not current_token
        with pytest.raises(RuntimeError, match=f"^{re.escape(message)}$"):
            _ = current_token.owner_id

    assert_none()
    with host.app.test_request_context("/"):
        assert_none()
        assert "pat_" not in repr(current_token)
    with host.client() as client:
        client.get("/optional")
        assert_none()


def test_current_token_lasts_as_long_as_the_client_s_block(host: Host) -> None:
    with host.client() as client:
        client.get("/api", headers=bearer(host.generate("ann").secret))
        assert current_token.owner_id == "ann"
        client.get("/optional")
        assert not current_token
    assert not current_token


def test_a_token_does_not_leak_into_the_next_request_of_an_outer_context(stored_host: Host) -> None:
    with stored_host.app.app_context():
        secret, client = tokens.generate("ann", "laptop").secret, stored_host.client()
        assert client.get("/optional", headers=bearer(secret)).get_json() == {"owner": "ann"}
        assert not current_token
        assert client.get("/optional").get_json() == {"owner": None}
        assert client.get("/api").status_code == 401
        bob = tokens.generate("bob", "laptop").secret
        assert client.get("/api", headers=bearer(bob)).get_json()["owner"] == "bob"


def test_a_request_inside_a_request_has_its_own_token(host: Host) -> None:
    other = bearer(host.generate("bob").secret)

    @host.app.get("/through")
    @token_required
    def through() -> Any:
        inside = host.app.test_client().get("/api", headers=other).get_json()["owner"]
        return [current_token.owner_id, inside]

    assert host.client().get("/through", headers=bearer(host.generate("ann").secret)).get_json() == ["ann", "bob"]


@pytest.mark.case("E22")
def test_two_applications_in_one_process_never_mix(make_host: Callable[..., Host], tmp_path: Any) -> None:
    one, two = (make_host(f"sqlite:///{tmp_path / name}") for name in ("one.sqlite3", "two.sqlite3"))
    secrets = [(host, f"{owner}-{number}") for number, host in enumerate((one, two)) for owner in ("ann", "bob")]
    headers = [(host, owner, bearer(host.generate(owner).secret)) for host, owner in secrets]
    wrong: list[object] = []

    def ask() -> None:
        for host, owner, header in headers * 10:
            for asked in (one, two):
                answer = asked.client().get("/api", headers=header)
                expected = (200, owner) if asked is host else (401, None)
                if (answer.status_code, answer.get_json().get("owner")) != expected:
                    wrong.append(answer.get_json())

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_every_guard_raises_a_clear_error_in_an_application_that_was_not_set_up() -> None:
    app = Flask("bare")
    app.config["TESTING"] = True
    app.get("/api")(token_required(lambda: "in"))
    with pytest.raises(RuntimeError, match="init_app"):
        app.test_client().get("/api")


def test_what_the_host_keeps_in_g_and_the_session_is_left_alone(host: Host) -> None:
    @host.app.get("/mine")
    @token_required
    def mine() -> Any:
        return {"session": dict(session), "token in g": any(isinstance(value, Token) for value in vars(g).values())}

    answer = host.client("bob").get("/mine", headers=bearer(host.generate().secret))
    assert answer.get_json() == {"session": {"person": "bob"}, "token in g": False}
