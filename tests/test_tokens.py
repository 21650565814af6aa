"""The operations: generating, finding, listing and deleting tokens."""

import uuid
from datetime import UTC, timedelta
from functools import partial
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask

from flask_access_tokens import (
    secret,
    token_deleted,
    token_generated,
    tokens,
)
from flask_access_tokens.secret import Secret
from flask_access_tokens.store import batches, deletion
from flask_access_tokens.tokens import TokenRefused
from host import Clock, Host, bearer


def test_a_generated_token_has_the_requested_values(stored_host: Host, clock: Clock) -> None:
    made = stored_host.generate(
        "ann", " laptop ", description="On the desk", lifetime_days=30, scopes=["write", "read"]
    )
    (row,) = stored_host.rows()
    assert row["digest"] == secret.candidate_digests(made.secret, ())["sha256"]
    assert row["scheme"] == "sha256"
    assert made.secret not in str(row)
    found = stored_host.find(made.secret)
    assert found is not None
    for token in (made.token, found):
        assert (token.owner_id, token.name, token.description) == ("ann", "laptop", "On the desk")
        assert token.scopes == ("read", "write")
        assert token.created_at == clock.moment
        assert token.expires_at == clock.moment + timedelta(days=30)
        assert token.created_at.tzinfo is UTC
        assert token.last_used_at is None
        assert token.hint == f"pat_…{made.secret[-4:]}"


@pytest.mark.parametrize("owner_id", [7, "7", uuid.UUID(int=7), "ann", "ann@example.org", "Änn 王", "-1", "x" * 255])
def test_an_owner_id_comes_back_as_equal_text_on_every_database(stored_host: Host, owner_id: object) -> None:
    made = stored_host.generate(owner_id)
    found = stored_host.find(made.secret)
    assert found is not None
    assert found.owner_id == made.token.owner_id == str(owner_id)
    with stored_host.app.app_context():
        assert [token.id for token in tokens.owned_by(owner_id)] == [made.token.id]
        assert tokens.owned_by(f"{owner_id}"[:254] + "%") == []


@pytest.mark.parametrize("owner_id", ["ann", "ANN", "änn", "ann2"])
def test_owners_that_differ_by_case_or_accent_are_different_people(stored_host: Host, owner_id: str) -> None:
    made = {name: stored_host.generate(name).token.id for name in ("ann", "ANN", "änn", "ann2")}
    with stored_host.app.app_context():
        assert [token.id for token in tokens.owned_by(owner_id)] == [made[owner_id]]
        for name in made:
            assert tokens.delete(owner_id, made[name]) is (name == owner_id)


def test_the_longest_row_fits_on_every_database(stored_host: Host) -> None:
    scopes = {f"scope:{number:03}:{'x' * 60}": "Long" for number in range(300)}
    stored_host.app.config.update(
        ACCESS_TOKENS_SCOPES=scopes, ACCESS_TOKENS_PREFIX="p" * 32, ACCESS_TOKENS_PEPPERS=["one"]
    )
    made = stored_host.generate("😀" * 255, "😀" * 100, description="😀" * 255, scopes=list(scopes), nonce="n" * 32)
    found = stored_host.find(made.secret)
    assert found is not None
    assert (found.owner_id, found.name, found.scopes) == ("😀" * 255, "😀" * 100, tuple(scopes))
    assert found.hint == f"{'p' * 32}_…{made.secret[-4:]}"


def test_scopes_may_come_from_any_iterable(host: Host) -> None:
    assert host.generate(scopes=iter({"write": 1})).token.scopes == ("write",)


@pytest.mark.parametrize("nonce", ["", "n" * 33])
def test_a_nonce_that_does_not_fit_is_an_error(host: Host, nonce: str) -> None:
    with host.app.app_context(), pytest.raises(ValueError, match=r"^A nonce is text of 1 to 32 characters\.$"):
        tokens.generate("ann", "laptop", nonce=nonce)


def test_a_refused_generation_leaves_the_host_s_transaction_alone(stored_host: Host) -> None:
    stored_host.app.config["ACCESS_TOKENS_MAX_PER_OWNER"] = 1
    stored_host.generate("ann")
    with stored_host.app.app_context():
        model, session = stored_host.access_tokens.model, stored_host.db.session
        found = session.scalars(sa.select(model)).one()
        found.name = "not committed yet"
        session.flush()
        with pytest.raises(TokenRefused):
            tokens.generate("ann", "another")
        assert session().in_transaction()
        assert found.name == "not committed yet"
        session.rollback()
    assert [row["name"] for row in stored_host.rows()] == ["laptop"]


def test_a_new_token_is_active_however_short_its_lifetime(host: Host) -> None:
    assert [host.generate(lifetime_days=days).token.status for days in (1, 7, 30)] == ["active"] * 3


def test_find_returns_none_for_anything_but_the_secret_of_a_live_token(host: Host, clock: Clock) -> None:
    old, gone = host.generate(lifetime_days=1).secret, host.generate()
    with host.app.app_context():
        tokens.delete("ann", gone.token.id)
        clock.pass_(days=1)
        assert tokens.find(old) is None
        assert tokens.find(gone.secret) is None
        assert tokens.find(str(secret.generate("pat"))) is None
        with host.statements() as seen:
            for text in ("", "x", None, 7, b"pat_x", f" {old}", f"{old}\n", old.swapcase(), "pat_" + "é" * 49):
                assert tokens.find(text) is None  # type: ignore[arg-type]
        assert seen == []


@pytest.mark.case("F01")
def test_a_token_is_refused_from_the_exact_microsecond_of_its_expiry(stored_host: Host, clock: Clock) -> None:
    made, client = stored_host.generate(lifetime_days=30), stored_host.client()
    clock.pass_(days=30, microseconds=-1)
    assert client.get("/api", headers=bearer(made.secret)).status_code == 200
    for _ in range(2):
        clock.pass_(microseconds=1)
        assert client.get("/api", headers=bearer(made.secret)).status_code == 401
        assert stored_host.find(made.secret) is None


@pytest.mark.case("F06")
def test_a_token_that_never_expires_is_valid_in_fifty_years(stored_host: Host, clock: Clock) -> None:
    made = stored_host.generate(lifetime_days=-1)
    assert made.token.expires_at is None
    clock.pass_(days=365.25 * 50)
    assert stored_host.client().get("/api", headers=bearer(made.secret)).status_code == 200


def test_the_longest_lifetime_is_stored_exactly(stored_host: Host, clock: Clock) -> None:
    made = stored_host.generate(lifetime_days=99_999)
    found = stored_host.find(made.secret)
    assert found is not None
    assert found.expires_at == clock.moment + timedelta(days=99_999)


@pytest.mark.case("F08")
def test_an_expired_token_is_listed_can_be_deleted_and_stays_refused(stored_host: Host, clock: Clock) -> None:
    made = stored_host.generate(lifetime_days=1)
    clock.pass_(days=2)
    with stored_host.app.app_context():
        (listed,) = tokens.owned_by("ann")
        assert (listed.status, listed.expired) == ("expired", True)
        assert tokens.delete("ann", listed.id)
        assert tokens.owned_by("ann") == []
    assert stored_host.client().get("/api", headers=bearer(made.secret)).status_code == 401


@pytest.mark.case("F11")
def test_a_token_is_valid_at_once_for_a_clock_that_is_behind(stored_host: Host, clock: Clock) -> None:
    made = stored_host.generate()
    clock.pass_(seconds=-2)
    assert stored_host.client().get("/api", headers=bearer(made.secret)).status_code == 200


def test_an_owner_s_tokens_come_newest_first_and_by_id_where_their_times_are_equal(host: Host, clock: Clock) -> None:
    old = host.generate("ann", "old").token
    clock.pass_(seconds=1)
    new = sorted(host.generate("ann", f"new {number}").token.id for number in range(8))
    with host.app.app_context():
        assert [token.id for token in tokens.owned_by("ann")] == [*new, old.id]


def test_a_person_deletes_their_own_tokens_and_nobody_else_s(stored_host: Host) -> None:
    ann, bob = stored_host.generate("ann"), stored_host.generate("bob")
    with stored_host.app.app_context():
        assert tokens.delete("bob", ann.token.id) is False
        assert tokens.delete("ann", uuid.uuid4()) is False
        assert tokens.delete("ann", str(ann.token.id)) is True
        assert tokens.delete("ann", ann.token.id) is False
        assert tokens.get("bob", ann.token.id) is None
        second = tokens.generate("bob", "second")
        for new in (bob, second):
            found = tokens.get("bob", str(new.token.id))
            assert found is not None
            assert found.id == new.token.id
        for nonsense in ("", "x", None, 7, "%", b"x"):
            assert tokens.delete("bob", nonsense) is False
            assert tokens.get("bob", nonsense) is None
    client = stored_host.client()
    assert client.get("/api", headers=bearer(ann.secret)).status_code == 401
    assert client.get("/api", headers=bearer(bob.secret)).status_code == 200


@pytest.mark.case("S17")
def test_a_token_or_a_secret_instead_of_an_id_is_an_error(host: Host) -> None:
    host.app.config["ACCESS_TOKENS_ADOPTED"] = "[0-9a-f-]{36}|key-[0-9a-f]{32}"
    new, adopted = host.generate("ann"), "key-0123456789abcdef0123456789abcdef"
    operations: list[Any] = [tokens.get, tokens.delete, tokens.rotate, partial(tokens.update, name="x")]
    with host.app.app_context():
        for wrong in (new, new.token, new.secret, Secret(new.secret), adopted, Secret(adopted)):
            for operation in operations:
                with pytest.raises(TypeError, match=r"Pass the ID of a token: token\.id\.") as error:
                    operation("ann", wrong)
                assert new.secret not in str(error.value)
        assert tokens.get("ann", str(new.token.id)) is not None
        assert tokens.get("ann", new.secret[:-1]) is None
    for command in ("delete", "rotate"):
        ran = host.call(command, "ann", new.secret)
        assert (ran.exit_code, ran.stderr) == (1, "Error: ann has no token with this ID.\n")
    assert len(host.rows()) == 1


@pytest.mark.case("C14")
def test_delete_all_deletes_every_token_of_one_owner(stored_host: Host) -> None:
    ann = [stored_host.generate("ann").secret for _ in range(3)]
    bob = stored_host.generate("bob").secret
    with stored_host.app.app_context():
        assert tokens.delete_all("ann") == 3
        assert tokens.delete_all("ann") == 0
    client = stored_host.client()
    assert {client.get("/api", headers=bearer(text)).status_code for text in ann} == {401}
    assert client.get("/api", headers=bearer(bob)).status_code == 200


def kinds(statements: list[str]) -> list[str]:
    """What statements do, but for those that begin and end a transaction."""
    return [kind for kind in (each.split()[0] for each in statements) if kind not in ("BEGIN", "COMMIT")]


@pytest.mark.case("F12")
def test_prune_deletes_what_expired_long_ago_and_a_dry_run_counts_it(
    stored_host: Host, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deletion, "BATCH", 3)
    for _ in range(8):
        stored_host.generate("ann", "old", lifetime_days=1)
    stored_host.generate("ann", "lately", lifetime_days=20)
    stored_host.generate("ann", "live", lifetime_days=365)
    stored_host.generate("ann", "never", lifetime_days=-1)
    deleted: list[str] = []
    clock.pass_(days=31)

    def hear(sender: Flask, token: tokens.Token) -> None:
        deleted.append(token.name)

    with stored_host.app.app_context(), token_deleted.connected_to(hear, stored_host.app):
        assert tokens.prune(dry_run=True) == 0
        clock.pass_(microseconds=1)
        assert tokens.prune(dry_run=True) == 8
        assert len(tokens.owned_by("ann")) == 11
        with stored_host.statements() as seen:
            assert tokens.prune() == 8
        assert kinds(seen) == ["SELECT", "SELECT", "DELETE", "SELECT"] * 3 + ["SELECT"] * 2
        with stored_host.statements() as seen:
            assert tokens.prune() == 0
        assert kinds(seen) == ["SELECT"] * 2
        assert tokens.prune(99_999) == 0
        assert sorted(token.name for token in tokens.owned_by("ann")) == ["lately", "live", "never"]
        assert tokens.prune(0) == 1
    assert deleted == ["old"] * 8 + ["lately"]


@pytest.mark.case("F05")
@pytest.mark.parametrize("days", [-1, 1.5, "30", None, True, 100_000])
def test_prune_refuses_invalid_days(host: Host, days: Any) -> None:
    with host.app.app_context(), pytest.raises(ValueError, match="whole number of days"):
        tokens.prune(days)


def test_everyone_s_tokens_come_in_batches_by_owner_each_once(
    stored_host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches, "BATCH", 3)
    made = [stored_host.generate(owner, f"{owner} {number}") for owner in ("bob", "ann", "eve") for number in range(4)]
    with stored_host.app.app_context(), stored_host.statements() as seen:
        found = [(token.owner_id, token.id) for token in tokens.iter_all()]
    assert sorted(found) == sorted((new.token.owner_id, new.token.id) for new in made)
    assert [owner for owner, _ in found] == ["ann"] * 4 + ["bob"] * 4 + ["eve"] * 4
    assert len(seen) == 5


def test_the_signal_of_a_new_token_has_no_secret(host: Host) -> None:
    heard: list[str] = []
    with token_generated.connected_to(lambda sender, token: heard.append(repr(token)), host.app):
        made = host.generate()
    assert len(heard) == 1
    assert made.secret[4:16] not in heard[0]
    assert made.secret[4:16] not in repr(made)
    assert secret.candidate_digests(made.secret, ())["sha256"] not in repr(made.token)


def test_the_operations_in_an_application_that_was_not_set_up_raise_a_clear_error() -> None:
    with Flask("bare").app_context(), pytest.raises(RuntimeError, match="init_app"):
        tokens.owned_by("ann")


def test_a_secret_is_distinguished_from_other_credentials_by_its_form_alone(host: Host) -> None:
    made = host.generate().secret
    host.app.config["ACCESS_TOKENS_PREFIX"] = ["new", "pat"]
    with host.app.app_context(), host.statements() as seen:
        for text in (made, str(secret.generate("new")), str(secret.generate("pat"))):
            assert tokens.is_well_formed(text) is True
        others = (
            "",
            "x",
            made[:-1],
            f"{made} ",
            made.swapcase(),
            str(secret.generate("gh")),
            "eyJhbGciOi.eyJzdWIi.c2ln",
        )
        for other in (*others, None, 7, made.encode()):
            assert tokens.is_well_formed(other) is False  # type: ignore[arg-type]
    assert seen == []


def test_update_changes_the_name_and_the_description_of_the_owner_s_token_alone(stored_host: Host) -> None:
    new = stored_host.generate("ann", "laptop", description="Old", scopes=["read"], lifetime_days=30)
    other = stored_host.generate("bob", "laptop").token
    with stored_host.app.app_context():
        updated = tokens.update("ann", new.token.id, name=" Phone ", description="")
        assert updated is not None
        assert (updated.name, updated.description) == ("Phone", "")
        assert (updated.id, updated.scopes, updated.expires_at) == (new.token.id, ("read",), new.token.expires_at)
        assert tokens.update("ann", str(new.token.id)) is not None
        again = tokens.update("ann", new.token.id, description="New")
        assert again is not None
        assert (again.name, again.description) == ("Phone", "New")
        found = tokens.find(new.secret)
        assert found is not None
        assert found.name == "Phone"
        for token_id in (other.id, uuid.uuid4(), "x"):
            assert tokens.update("ann", token_id, name="mine") is None
        assert [token.name for token in tokens.owned_by("bob")] == ["laptop"]


def test_update_stores_nothing_where_a_text_is_not_allowed(host: Host) -> None:
    token = host.generate("ann", "laptop", description="Old").token
    with host.app.app_context():
        for values, field in (({"name": ""}, "name"), ({"name": "new", "description": "a\nb"}, "description")):
            with pytest.raises(TokenRefused) as refusal:
                tokens.update("ann", token.id, **values)
            assert refusal.value.field == field
        assert [(each.name, each.description) for each in tokens.owned_by("ann")] == [("laptop", "Old")]
