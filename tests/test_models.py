"""The row: the built-in model and the host's own."""

import re
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy.orm import Mapped, mapped_column

from flask_access_tokens import AccessTokenMixin, secret, tokens
from flask_access_tokens.tokens import TokenRefused
from host import Host, bearer

NOON = datetime(2031, 5, 6, 12, 0, 0, 123456, tzinfo=UTC)


def own_model(key: Any, cascade: bool = False) -> Callable[[SQLAlchemy], Any]:
    """A model whose owner is a person of the host, with a primary key of the given type."""

    def build(db: SQLAlchemy) -> Any:
        class Person(db.Model):  # type: ignore[name-defined,misc]
            __tablename__ = "people"
            id: Mapped[Any] = mapped_column(key, primary_key=True)

        class ApiToken(AccessTokenMixin, db.Model):  # type: ignore[name-defined,misc]
            __tablename__ = "api_tokens"
            owner_id: Mapped[Any] = mapped_column(
                sa.ForeignKey("people.id", ondelete="CASCADE" if cascade else None), index=True
            )

        ApiToken.Person = Person
        return ApiToken

    return build


def people(host: Host, *ids: Any) -> None:
    """Add people to a host with a model of its own, and make SQLite enforce foreign keys."""
    with host.app.app_context():
        if host.db.engine.dialect.name == "sqlite":
            sa.event.listen(
                host.db.engine, "connect", lambda connection, _: connection.execute("PRAGMA foreign_keys = ON")
            )
            host.db.engine.dispose()
        host.db.session.add_all([host.access_tokens.model.Person(id=each) for each in ids])
        host.db.session.commit()


KEYS = [(sa.Integer(), 7, 8), (sa.BigInteger(), 2**40, 8), (sa.Uuid(), uuid.UUID(int=7), uuid.UUID(int=8))]
KEYS += [(sa.Uuid(as_uuid=False), str(uuid.UUID(int=7)), str(uuid.UUID(int=8))), (sa.String(20), "ann", "bob")]


@pytest.mark.parametrize(("key", "ann", "bob"), KEYS, ids=["int", "bigint", "uuid", "uuid as text", "text"])
def test_a_model_of_the_host_s_own_may_have_a_foreign_key_of_any_type(
    make_host: Callable[..., Host], database_url: str, key: Any, ann: Any, bob: Any
) -> None:
    host = make_host(database_url, model=own_model(key))
    people(host, ann, bob)
    for owner in (ann, str(ann)):
        made = host.generate(owner)
        assert host.client().get("/api", headers=bearer(made.secret)).get_json()["owner"] == str(ann)
    other = host.generate(bob)
    with host.app.app_context():
        assert {token.owner_id for token in tokens.owned_by(str(ann))} == {str(ann)}
        assert tokens.delete(bob, made.token.id) is False
        assert tokens.delete(ann, made.token.id) is True
        assert tokens.page(ann).matching == 1
        assert tokens.delete_all(ann) == 1
        assert [token.id for token in tokens.iter_all()] == [other.token.id]


@pytest.mark.parametrize(("key", "owners"), [(sa.Integer(), ["ann", "１２", "1_0", "+1", "007", "1.0"])])
def test_an_owner_id_that_does_not_fit_the_column_is_refused(
    make_host: Callable[..., Host], database_url: str, key: Any, owners: list[str]
) -> None:
    host = make_host(database_url, model=own_model(key))
    people(host, 1, 7, 10, 12)
    for owner in owners:
        with host.app.app_context():
            for operation in (
                lambda owner=owner: tokens.generate(owner, "laptop"),
                lambda owner=owner: tokens.owned_by(owner),
                lambda owner=owner: tokens.delete_all(owner),
                lambda owner=owner: tokens.delete(owner, uuid.uuid4()),
            ):
                message = f"Owner ID {owner!r} does not fit the column owner_id, which holds int."
                with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
                    operation()
    assert host.rows() == []


@pytest.mark.case("S16")
@pytest.mark.parametrize("kind", [sa.SmallInteger(), sa.Integer(), sa.BigInteger()], ids=str)
def test_an_owner_id_out_of_the_range_of_the_column_is_an_owner_who_does_not_exist(
    make_host: Callable[..., Host], database_url: str, kind: Any
) -> None:
    host = make_host(database_url, model=own_model(kind))
    bits = 16 if isinstance(kind, sa.SmallInteger) else 64 if isinstance(kind, sa.BigInteger) else 32
    on_sqlite = host.app.config["SQLALCHEMY_DATABASE_URI"].startswith("sqlite")
    for owner in (2 ** (bits - 1), -(2**62), 2**63 - 1, 2**63, 10**30):
        with host.app.app_context():
            assert tokens.owned_by(owner) == []
            assert tokens.get(owner, uuid.uuid4()) is None
            assert tokens.page(owner).matching == tokens.delete_all(owner) == 0
            if abs(owner) >= 2 ** ((64 if on_sqlite else bits) - 1):
                with pytest.raises(TokenRefused, match=r"^No owner has this ID\.$"):
                    tokens.generate(owner, "laptop")
            else:
                people(host, owner)
                assert tokens.generate(owner, "laptop").token.owner_id == str(owner)
                assert tokens.delete_all(owner) == 1


@pytest.mark.parametrize("owner", ["x", "{00000000-0000-0000-0000-000000000007}", "0" * 31 + "7"])
def test_an_owner_id_that_is_not_a_uuid_in_python_s_notation_is_refused(host: Host, owner: str) -> None:
    own = Host(model=own_model(sa.Uuid()))
    with own.app.app_context(), pytest.raises(ValueError, match="does not fit"):
        tokens.owned_by(owner)


def test_an_owner_who_is_not_flushed_yet_may_get_a_token(make_host: Callable[..., Host], database_url: str) -> None:
    host = make_host(database_url, model=own_model(sa.Uuid()))
    people(host)
    with host.app.app_context():
        ann = uuid.uuid4()
        host.db.session.add(host.access_tokens.model.Person(id=ann))
        made = tokens.generate(ann, "laptop")
    assert host.client().get("/api", headers=bearer(made.secret)).status_code == 200


def test_a_token_for_an_unknown_owner_is_an_error_where_the_database_enforces_the_key(
    make_host: Callable[..., Host], database_url: str
) -> None:
    host = make_host(database_url, model=own_model(sa.Integer()))
    people(host, 7)
    with host.app.app_context(), pytest.raises(sa.exc.IntegrityError):
        tokens.generate(8, "laptop")
    assert host.rows() == []


@pytest.mark.case("F13")
def test_tokens_are_deleted_with_their_owner_where_the_key_cascades(
    make_host: Callable[..., Host], database_url: str
) -> None:
    host = make_host(database_url, model=own_model(sa.Integer(), cascade=True))
    people(host, 7, 8)
    ann, bob = host.generate(7), host.generate(8)
    with host.app.app_context():
        model = host.access_tokens.model.Person
        host.db.session.delete(host.db.session.get(model, 7))
        host.db.session.commit()
    client = host.client()
    assert client.get("/api", headers=bearer(ann.secret)).status_code == 401
    assert client.get("/api", headers=bearer(bob.secret)).status_code == 200
    assert len(host.rows()) == 1


@pytest.mark.case("F13")
def test_tokens_of_a_deleted_owner_are_refused_and_listed_as_such(stored_host: Host) -> None:
    alive = {"ann", "bob"}
    stored_host.access_tokens.owner_loader(lambda owner_id: owner_id if owner_id in alive else None)
    made = stored_host.generate("ann")
    alive.remove("ann")
    assert stored_host.client().get("/api", headers=bearer(made.secret)).status_code == 401
    listed = stored_host.call("list")
    assert listed.exit_code == 0
    assert "owner gone" in listed.stdout


def test_a_model_under_a_bind_key_is_stored_in_the_other_database(
    make_host: Callable[..., Host], tmp_path: Any
) -> None:
    def build(db: SQLAlchemy) -> Any:
        class Elsewhere(AccessTokenMixin, db.Model):  # type: ignore[name-defined,misc]
            __bind_key__ = "other"

        return Elsewhere

    other = f"sqlite:///{tmp_path / 'other.sqlite3'}"
    host = make_host(f"sqlite:///{tmp_path / 'host.sqlite3'}", model=build, SQLALCHEMY_BINDS={"other": other})

    @host.app.before_request
    def use_both() -> None:
        host.db.session.execute(sa.text("SELECT 1"))

    made, client = host.generate(), host.client()
    for _ in range(2):
        assert client.get("/api", headers=bearer(made.secret)).status_code == 200
    assert host.rows()[0]["last_used_at"] is not None
    with host.app.app_context():
        assert sa.inspect(host.db.engines["other"]).get_table_names() == ["elsewhere"]
        assert tokens.delete_all("ann") == 1


# Times


def test_times_come_back_aware_in_utc_from_every_database(stored_host: Host) -> None:
    made = stored_host.generate(lifetime_days=30)
    stored_host.client().get("/api", headers=bearer(made.secret))
    model = stored_host.access_tokens.model
    with stored_host.app.app_context():
        session = stored_host.db.session
        row = session.scalars(sa.select(model)).one()
        assert row.created_at == made.token.created_at
        for _ in range(2):
            for time in (row.created_at, row.expires_at, row.last_used_at):
                assert time.tzinfo is UTC
            session.refresh(row)
        session.expire(row)
        assert row.expires_at.tzinfo is UTC


@pytest.mark.case("F05")
def test_a_naive_time_is_refused_and_an_aware_one_is_turned_into_utc(stored_host: Host) -> None:
    model = stored_host.access_tokens.model
    for time in ("created_at", "expires_at", "last_used_at"):
        with pytest.raises(ValueError, match="time zone"):
            model(**{time: datetime(2031, 1, 1)})
    made = stored_host.generate()
    with stored_host.app.app_context():
        session = stored_host.db.session
        row = session.scalars(sa.select(model)).one()
        row.expires_at = NOON.astimezone(timezone(timedelta(hours=-7)))
        assert row.expires_at.tzinfo is UTC
        session.commit()
        assert row.expires_at == NOON
        found = tokens.find(made.secret)
        assert found is not None
        assert found.expires_at == NOON
        with pytest.raises(ValueError, match="time zone"):
            row.expires_at = NOON.replace(tzinfo=None)


@pytest.mark.case("D12", "D13")
def test_a_row_shows_its_hint_and_no_digest(host: Host) -> None:
    made = host.generate()
    with host.app.app_context():
        shown = repr(host.db.session.scalars(sa.select(host.access_tokens.model)).one())
    assert shown == f"<AccessToken {made.token.id} pat_…{made.secret[-4:]}>"


@pytest.mark.case("B12")
def test_the_database_compares_digests_exactly(stored_host: Host) -> None:
    made = stored_host.generate()
    digest = secret.candidate_digests(made.secret, ())["sha256"]
    model = stored_host.access_tokens.model
    with stored_host.app.app_context():
        for text, count in ((digest, 1), (digest.upper(), 0), (digest.replace("a", "á").replace("e", "é"), 0)):
            found = stored_host.db.session.execute(sa.select(model.id).where(model.digest == text)).all()
            assert len(found) == count


def test_two_rows_with_one_secret_or_one_nonce_are_refused(stored_host: Host) -> None:
    stored_host.generate(nonce="once")
    (row,) = stored_host.rows()
    model = stored_host.access_tokens.model
    for same in ("id", "digest", "nonce"):
        new = row | {"id": uuid.uuid4(), "digest": "0" * 64, "nonce": "other"} | {same: row[same]}
        with stored_host.app.app_context(), pytest.raises(sa.exc.IntegrityError):
            stored_host.db.session.execute(sa.insert(model), new)


def test_what_a_lookup_needs_is_indexed(stored_host: Host) -> None:
    with stored_host.app.app_context():
        inspector = sa.inspect(stored_host.db.engine)
        indexed = [index["column_names"] for index in inspector.get_indexes("access_tokens")]
        indexed += [found["column_names"] for found in inspector.get_unique_constraints("access_tokens")]
    for column in ("owner_id", "digest", "nonce"):
        assert [column] in indexed


@pytest.mark.parametrize(
    ("kind", "collation"), [("sqlite", "NOCASE"), ("mariadb", "utf8mb4_general_ci"), ("postgresql", None)]
)
def test_a_collation_that_ignores_case_mixes_up_no_owners(
    make_host: Callable[..., Host],
    server_database: Callable[..., str],
    tmp_path: Path,
    kind: str,
    collation: str | None,
) -> None:
    def own_model(db: Any) -> Any:
        class ApiToken(AccessTokenMixin, db.Model):
            __tablename__ = "api_tokens"
            owner_id: Mapped[str] = mapped_column(sa.String(255, collation), index=True)

        return ApiToken

    url = f"sqlite:///{tmp_path / 'host.sqlite3'}" if kind == "sqlite" else server_database(kind)
    host = make_host(url, model=own_model, ACCESS_TOKENS_MAX_PER_OWNER=1)
    small, capital = host.generate("ann", "t-small"), host.generate("ANN", "t-capital", nonce="once")
    with host.app.app_context():
        assert [token.name for token in tokens.owned_by("ann")] == ["t-small"]
        page = tokens.page("ann", search="t-")
        assert ([token.name for token in page.tokens], page.matching, page.counts["all"]) == (["t-small"], 1, 1)
        assert tokens.get("ann", capital.token.id) is None
        assert tokens.delete("ann", capital.token.id) is False
        assert tokens.delete_all("ann") == 1
        assert [token.id for token in tokens.owned_by("ANN")] == [capital.token.id]
    assert host.find(small.secret) is None
    assert host.client().get("/api", headers=bearer(capital.secret)).get_json()["owner"] == "ANN"
