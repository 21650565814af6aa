"""Adoption: secrets of an earlier system become tokens, and their clients keep them."""

import hashlib
import secrets
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
import sqlalchemy as sa

from canary import Canary
from flask_access_tokens import secret as package_secret
from flask_access_tokens import token_generated, tokens
from flask_access_tokens.tokens import Digest, Token, TokenRefused
from host import Clock, Host, bearer
from load import at_once

HEX = r"[0-9a-f]{32}"
SANCTUM = r"(?:[0-9]+\|)?(?P<secret>[A-Za-z0-9]{40})"


@pytest.fixture
def adopting(stored_host: Host) -> Host:
    """A host on each of the three databases that adopts 32 hexadecimal digits."""
    stored_host.app.config["ACCESS_TOKENS_ADOPTED"] = HEX
    return stored_host


@pytest.fixture
def key(canary: Canary) -> str:
    """A secret of an earlier system, which must be found nowhere."""
    made = secrets.token_hex(16)
    canary.remember(made)
    return made


def adopt(host: Host, secret: Any, owner_id: object = "ann", name: str = "Old key", **values: Any) -> Token:
    with host.app.app_context():
        return tokens.adopt(owner_id, secret, name, **values)


def status(host: Host, secret: str) -> int:
    return int(host.client().get("/api", headers=bearer(secret)).status_code)


def sha256(text: str) -> Digest:
    return Digest("sha256", hashlib.sha256(text.encode()).hexdigest())


def sha512(text: str) -> Digest:
    return Digest("sha512", hashlib.sha512(text.encode()).hexdigest())


def test_a_client_keeps_its_secret(adopting: Host, key: str, clock: Clock) -> None:
    before, used = clock() - timedelta(days=400), clock() - timedelta(days=1)
    later = clock() + timedelta(days=30)
    token = adopt(
        adopting,
        key,
        description="From 2029",
        scopes=["read"],
        created_at=before.astimezone(timezone(timedelta(hours=2))),
        expires_at=later,
        last_used_at=used,
    )
    assert (token.name, token.description, token.scopes) == ("Old key", "From 2029", ("read",))
    assert (token.created_at, token.expires_at, token.last_used_at) == (before, later, used)
    assert token.hint == f"…{key[-4:]}"
    assert adopting.client().get("/api", headers=bearer(key)).get_json() == {"owner": "ann", "scopes": ["read"]}
    found = adopting.find(key)
    assert found is not None
    assert (found.id, found.last_used_at) == (token.id, clock())
    clock.pass_(days=30)
    assert status(adopting, key) == 401


@pytest.mark.parametrize("digest", [sha256, sha512])
@pytest.mark.parametrize("peppers", [(), ("one",)], ids=["no pepper", "a pepper"])
def test_a_digest_is_replaced_on_first_use_and_adopted_once(
    adopting: Host, key: str, digest: Callable[[str], Digest], peppers: tuple[str, ...]
) -> None:
    adopting.app.config["ACCESS_TOKENS_PEPPERS"] = peppers
    token = adopt(adopting, digest(key))
    (row,) = adopting.rows()
    assert row["scheme"] == digest(key).algorithm
    assert token.hint == f"{row['scheme']}…{digest(key).hexadecimal[-4:]}"
    assert [status(adopting, key), status(adopting, key)] == [200, 200]
    (row,) = adopting.rows()
    assert row["scheme"] == package_secret.schemes(peppers)[0]
    assert row["digest"] == next(
        iter(package_secret.candidate_digests(package_secret.Secret(key, adopted=True), peppers).values())
    )
    for again in (digest(key), key):
        assert adopt(adopting, again).id == token.id
    assert len(adopting.rows()) == 1
    assert status(adopting, key) == 200


@pytest.mark.parametrize("digest", [sha256, sha512])
def test_the_secret_after_its_digest_is_the_same_token_and_the_report_loses_none(
    adopting: Host, key: str, digest: Callable[[str], Digest]
) -> None:
    token = adopt(adopting, digest(key))
    assert "pepper" not in adopting.call("list").stderr
    adopting.app.config["ACCESS_TOKENS_PEPPERS"] = ["one"]
    assert adopting.call("list").stderr == (
        "1 tokens are not keyed under the newest pepper; each will be when next used.\n"
    )
    assert adopt(adopting, key).id == token.id


def test_the_digest_after_the_secret_is_the_same_token_where_it_is_stored(adopting: Host, key: str) -> None:
    token = adopt(adopting, key)
    assert adopt(adopting, sha256(key)).id == token.id


def test_a_secret_adopted_as_text_and_as_a_digest_works_and_stops_no_update(adopting: Host, key: str) -> None:
    adopt(adopting, key)
    adopt(adopting, sha512(key))  # nothing tells that it is the same
    assert len(adopting.rows()) == 2
    assert [status(adopting, key), status(adopting, key)] == [200, 200]
    assert any(row["last_used_at"] for row in adopting.rows())


def test_adopting_again_writes_nothing_and_survives_a_new_pepper(adopting: Host, key: str) -> None:
    token = adopt(adopting, key, scopes=["read"])
    rows = adopting.rows()
    adopting.app.config["ACCESS_TOKENS_PEPPERS"] = ["one"]
    again = adopt(adopting, key, name="Another", scopes=["write"])
    assert (again.id, again.name, again.scopes) == (token.id, "Old key", ("read",))
    assert adopting.rows() == rows
    with adopting.app.app_context():
        tokens.delete("ann", token.id)
    assert adopt(adopting, key).id != token.id


def test_a_secret_of_another_owner_is_refused(adopting: Host, key: str) -> None:
    adopt(adopting, key)
    for given in (key, sha256(key)):
        with pytest.raises(TokenRefused, match="Another owner") as refused:
            adopt(adopting, given, "bob")
        assert key not in str(refused.value)
    assert [row["owner_id"] for row in adopting.rows()] == ["ann"]


def test_of_two_who_adopt_at_once_both_get_the_one_token(adopting: Host) -> None:
    for _ in range(5):
        key = secrets.token_hex(16)
        found = at_once(4, lambda _, key=key: adopt(adopting, key))
        assert len({token.id for token in found}) == 1


def test_what_the_host_has_begun_is_kept_or_committed_with_the_token(host: Host, key: str) -> None:
    host.app.config["ACCESS_TOKENS_ADOPTED"] = HEX
    with host.app.app_context():
        model, session = host.access_tokens.model, host.db.session
        first = tokens.generate("ann", "first").token
        session.get(model, first.id).description = "changed"
        with pytest.raises(TokenRefused):
            tokens.adopt("ann", "short", "Old key")
        assert session.get(model, first.id).description == "changed"
        tokens.adopt("ann", key, "Old key")
        session.remove()
        assert session.get(model, first.id).description == "changed"


def test_an_own_secret_is_adopted_as_one(host: Host) -> None:
    text = str(package_secret.generate("pat"))
    token = adopt(host, text)
    assert token.hint == f"pat_…{text[-4:]}"
    assert status(host, text) == 200


def test_only_the_named_part_of_a_credential_is_the_secret(host: Host) -> None:
    host.app.config["ACCESS_TOKENS_ADOPTED"] = SANCTUM
    plain, digested = ("".join(secrets.choice(package_secret.ALPHABET) for _ in range(40)) for _ in "12")
    adopt(host, f"12|{plain}")
    adopt(host, sha256(digested))
    assert [status(host, text) for text in (f"12|{plain}", plain, f"13|{digested}")] == [200, 200, 200]
    assert [status(host, text) for text in (f"x|{plain}", f"|{plain}", f"{plain}1")] == [401, 401, 401]


def test_without_an_expiration_it_never_expires_or_after_the_maximum(host: Host, clock: Clock) -> None:
    host.app.config["ACCESS_TOKENS_ADOPTED"] = HEX
    assert adopt(host, secrets.token_hex(16)).expires_at is None
    host.app.config["ACCESS_TOKENS_MAX_LIFETIME_DAYS"] = 90
    assert adopt(host, secrets.token_hex(16)).expires_at == clock() + timedelta(days=90)


def test_an_adopted_token_is_listed_updated_rotated_and_deleted_like_any_other(adopting: Host, key: str) -> None:
    token = adopt(adopting, key)
    assert token.hint in adopting.client("ann").get("/access-tokens/").text
    assert token.hint in adopting.call("list", "ann").stdout
    assert str(token.id) in adopting.call("find", stdin=f"{key}\n").stdout
    with adopting.app.app_context():
        assert tokens.is_well_formed(key)
        new = tokens.rotate("ann", token.id, overlap_hours=0)
    assert new.secret.startswith("pat_")
    assert [status(adopting, text) for text in (key, new.secret)] == [401, 200]


def test_adopted_tokens_count_against_the_limit_but_are_not_held_by_it(host: Host) -> None:
    host.app.config.update(ACCESS_TOKENS_ADOPTED=HEX, ACCESS_TOKENS_MAX_PER_OWNER=2)
    for _ in range(3):
        adopt(host, secrets.token_hex(16))
    with pytest.raises(TokenRefused, match="You already have 3 tokens"):
        host.generate("ann")


def test_no_signal_is_sent(host: Host, key: str) -> None:
    host.app.config["ACCESS_TOKENS_ADOPTED"] = HEX
    heard: list[Any] = []
    with token_generated.connected_to(lambda _, **sent: heard.append(sent), host.app):
        adopt(host, key)
    assert heard == []


def test_the_secret_is_in_no_local_variable_while_the_host_s_code_runs(host: Host, key: str) -> None:
    host.app.config["ACCESS_TOKENS_ADOPTED"] = HEX
    seen: list[str] = []

    @host.access_tokens.scopes_loader
    def scopes(_: str) -> list[str]:
        import sys

        frame = sys._getframe().f_back
        while frame is not None:
            if frame.f_globals.get("__name__", "").startswith("flask_access_tokens"):
                seen.append(repr(frame.f_locals))
            frame = frame.f_back
        return ["read"]

    adopt(host, key, scopes=["read"])
    assert seen
    assert not [text for text in seen if key in text]


def test_own_tokens_cost_no_statement_more(adopting: Host) -> None:
    own = adopting.generate().secret
    adopting.app.config["ACCESS_TOKENS_LAST_USED_INTERVAL"] = 10_000
    client = adopting.client()
    counts = []
    for adopted, places in ((None, ()), (HEX, ()), (HEX, ["X-API-Key"]), (None, ["Authorization: Token"])):
        adopting.app.config.update(ACCESS_TOKENS_ADOPTED=adopted, ACCESS_TOKENS_ALSO_FROM=places)
        client.get("/api", headers=bearer(own))
        with adopting.statements() as seen:
            assert client.get("/api", headers=bearer(own)).status_code == 200
        counts.append([statement.count("digest =") for statement in seen])
    assert counts == [[1]] * 4


def test_an_adopted_secret_costs_one_select_too(adopting: Host, key: str) -> None:
    adopt(adopting, key, last_used_at=datetime.now(UTC))
    with adopting.statements() as seen:
        assert status(adopting, key) == 200
    assert [statement.split()[0] for statement in seen] == ["SELECT"]


def test_an_owner_who_does_not_exist_is_named_and_a_new_one_is_found(
    database_url: str, make_host: Callable[..., Host], key: str
) -> None:
    host = make_host(database_url, ACCESS_TOKENS_ADOPTED=HEX)
    app = host.app

    class Person(host.db.Model):  # type: ignore[name-defined,misc]
        __tablename__ = "adopting_person"
        id = sa.Column(sa.String(50), primary_key=True)

    state = app.extensions["access_tokens"]
    state.owner = Person.id
    with app.app_context():
        host.db.create_all()
        with pytest.raises(TokenRefused, match="No owner has this ID"):
            tokens.adopt("ann", key, "Old key")
        host.db.session.add(Person(id="ann"))
        assert tokens.adopt("ann", key, "Old key").owner_id == "ann"
        host.db.session.remove()
