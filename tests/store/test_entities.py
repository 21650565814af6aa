"""What a token exposes when an application prints, copies or serializes it."""

import copy
import dataclasses
import json
import pickle
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask import jsonify

from flask_access_tokens import current_token, secret, token_required, tokens
from host import Host, bearer

PUBLIC = {
    "id",
    "owner_id",
    "name",
    "description",
    "scopes",
    "created_at",
    "expires_at",
    "last_used_at",
    "last_used_from",
    "hint",
    "generated_by",
    "replaces",
    "replaced",
    "status",
}


class Owner:
    """An owner with a confidential attribute."""

    password_hash = "scrypt:hidden"

    def __repr__(self) -> str:
        return f"<Owner {self.password_hash}>"


def internals(new: tokens.NewToken) -> list[str]:
    """What a token must never expose: its digest, the digest's scheme, its secret and its owner's attributes."""
    (digest,) = secret.candidate_digests(new.secret, ()).values()
    return [digest, "sha256", new.secret, Owner.password_hash]


def as_variables(token: Any) -> Any:
    try:
        return vars(token)
    except TypeError:  # a class with slots has none
        return {}


def as_json(value: Any) -> str:
    return jsonify(value).get_data(as_text=True)


SHOWN: dict[str, Callable[[Any], str]] = {
    "repr": repr,
    "str": str,
    "format": lambda token: f"{token}",
    "asdict": lambda token: repr(dataclasses.asdict(token)),
    "vars": lambda token: repr(as_variables(token)),
    "jsonify": lambda token: as_json(token),
    "copy": lambda token: repr(copy.copy(token)) + repr(as_variables(copy.copy(token))),
    "deepcopy": lambda token: repr(copy.deepcopy(token)) + repr(as_variables(copy.deepcopy(token))),
    "pickle": lambda token: repr(pickle.dumps(token)),
    "pickle 0": lambda token: repr(pickle.dumps(token, 0)),
    "reduce": lambda token: repr(token.__reduce_ex__(4)),
}


@pytest.fixture
def owned(host: Host) -> Host:
    """A host whose owners have a password hash."""
    host.access_tokens.owner_loader(lambda owner_id: Owner())
    return host


@pytest.mark.parametrize("how", SHOWN)
def test_a_token_shows_nothing_internal(owned: Host, how: str) -> None:
    new = owned.generate()
    with owned.app.app_context():
        token = tokens.find(new.secret)
        assert token is not None
        assert isinstance(token.owner, Owner)
        shown = SHOWN[how](token)
    assert [text for text in internals(new) if text in shown] == []


@pytest.mark.parametrize("how", SHOWN)
def test_the_token_of_a_request_shows_nothing_internal(owned: Host, how: str) -> None:
    @owned.app.get("/shown")
    @token_required
    def shown() -> str:
        assert isinstance(current_token.owner, Owner)
        try:
            return SHOWN[how](current_token)
        except (TypeError, AttributeError, pickle.PicklingError) as refused:  # a proxy cannot be pickled
            assert how.startswith(("pickle", "reduce"))
            return str(refused)

    new = owned.generate()
    text = owned.client().get("/shown", headers=bearer(new.secret)).text
    assert [internal for internal in internals(new) if internal in text] == []


@pytest.mark.parametrize("how", SHOWN)
def test_a_new_token_shows_nothing_internal(owned: Host, how: str) -> None:
    new = owned.generate()
    with owned.app.app_context():
        try:
            shown = SHOWN[how](new)
        except TypeError as refused:
            shown = str(refused)
    assert [text for text in internals(new) if text in shown] == []


def test_a_token_as_json_has_its_public_fields(host: Host) -> None:
    new = host.generate("ann", "laptop", description="On the desk", scopes=["read"], lifetime_days=30)
    with host.app.app_context():
        data = json.loads(as_json(new.token))
    assert data.keys() == PUBLIC
    assert data["id"] == str(new.token.id)
    assert (data["owner_id"], data["name"], data["description"]) == ("ann", "laptop", "On the desk")
    assert (data["scopes"], data["hint"], data["status"]) == (["read"], new.token.hint, "active")
    assert data["last_used_at"] is None


def test_the_token_of_a_request_is_the_same_json(host: Host) -> None:
    host.app.add_url_rule("/json", "json", token_required(lambda: jsonify(current_token)))
    host.app.add_url_rule("/json/nested", "nested", token_required(lambda: jsonify(token=current_token)))
    new = host.generate()
    with host.app.app_context():
        known = json.loads(as_json(new.token))
    client = host.client()
    assert client.get("/json", headers=bearer(new.secret)).get_json() == known
    assert client.get("/json/nested", headers=bearer(new.secret)).get_json()["token"].keys() == PUBLIC


def test_a_list_of_tokens_is_json_as_well(host: Host) -> None:
    host.generate("ann", "one")
    host.generate("ann", "two")
    with host.app.app_context():
        data = json.loads(as_json(tokens.owned_by("ann")))
        page = json.loads(as_json(tokens.page("ann")))
    assert {token["name"] for token in data} == {"one", "two"}
    assert page["tokens"] == sorted(data, key=lambda token: [each["id"] for each in page["tokens"]].index(token["id"]))


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda token: pickle.loads(pickle.dumps(token))])
def test_a_copy_is_a_token_whose_owner_is_loaded_again(host: Host, copied: Callable[[Any], Any]) -> None:
    loaded: list[str] = []

    @host.access_tokens.owner_loader
    def load(owner_id: str) -> str:
        loaded.append(owner_id)
        return owner_id.upper()

    token = host.generate("ann", scopes=["read"]).token
    with host.app.app_context():
        assert token.owner == token.owner == "ANN"
        twin = copied(token)
        assert dataclasses.asdict(twin) == dataclasses.asdict(token)
        assert twin.owner == "ANN"
    assert loaded == ["ann", "ann"]


@pytest.mark.parametrize(
    ("days", "left", "status"),
    [
        (90, timedelta(days=15, microseconds=1), "active"),
        (90, timedelta(days=15), "expiring"),
        (60, timedelta(days=15), "expiring"),
        (40, timedelta(days=10, microseconds=1), "active"),
        (40, timedelta(days=10), "expiring"),
        (7, timedelta(days=7), "active"),
        (7, timedelta(hours=42, microseconds=1), "active"),
        (7, timedelta(hours=42), "expiring"),
        (30, timedelta(microseconds=1), "expiring"),
        (30, timedelta(0), "expired"),
        (30, timedelta(microseconds=-1), "expired"),
    ],
)
def test_the_status_of_a_token_is_the_one_at_the_time_it_was_read(
    stored_host: Host, clock: Any, days: int, left: timedelta, status: str
) -> None:
    new = stored_host.generate(lifetime_days=days)
    assert new.token.status == "active"
    clock.moment += timedelta(days=days) - left
    with stored_host.app.app_context():
        (token,) = tokens.owned_by("ann")
        page = tokens.page("ann", status=status)
    assert (token.status, token.expired) == (status, status == "expired")
    assert ([each.id for each in page.tokens], page.counts[status]) == ([token.id], 1)


def test_a_token_that_never_expires_is_active(host: Host, clock: Any) -> None:
    assert host.generate(lifetime_days=-1).token.status == "active"
    clock.moment = datetime(9999, 1, 1, tzinfo=UTC)
    with host.app.app_context():
        assert tokens.owned_by("ann")[0].status == "active"
