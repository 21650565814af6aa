"""The operators' list and the owners of the tokens: those who are gone, their objects, and how IDs compare."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column, relationship

from flask_access_tokens import AccessTokenMixin, clock
from flask_access_tokens.store import desk
from flask_access_tokens.store.filters import Filter, statuses
from flask_access_tokens.store.order import SORTS
from flask_access_tokens.store.owners import owners_of
from host import Host
from owned import OwnedHost

GONE = Filter(status="owner-gone")


def state_of(host: Any) -> Any:
    return host.app.extensions["access_tokens"]


@pytest.mark.parametrize("most", [1000, 3])
def test_tokens_whose_owner_is_gone_are_shown_and_counted_where_no_foreign_key_deletes_them(
    make_owned: Callable[..., OwnedHost], monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    monkeypatch.setattr(desk, "MOST_COUNTED", most)
    host = make_owned(own_model=True, foreign_key=False)
    ann, bob = host.add("ann"), host.add("bob")
    for owner in (ann, bob) * 5:
        host.generate(owner)
    host.run(lambda session: session.execute(sa.text("DELETE FROM people WHERE name = 'ann'")))
    state = state_of(host)
    with host.app.app_context():
        assert "owner-gone" in statuses(state)
        for sort in SORTS:
            first = desk.filtered(state, GONE, sort=sort, size=3)
            second = desk.filtered(state, GONE, sort=sort, size=3, after=first.after)
            found = [*first.tokens, *second.tokens]
            assert ([token.owner_id for token in found], second.after) == ([str(ann)] * 5, "")
            assert len({token.id for token in found}) == 5
        assert desk.count(state, GONE) == desk.overview(state)["owner-gone"] == min(5, most + 1)


@pytest.mark.case("S22")
@pytest.mark.parametrize("most", [1000, 3])
def test_a_token_whose_owner_is_gone_is_neither_active_nor_expiring(
    make_owned: Callable[..., OwnedHost], monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    monkeypatch.setattr(desk, "MOST_COUNTED", most)
    host = make_owned(own_model=True, foreign_key=False)
    ann, bob = host.add("ann"), host.add("bob")
    for owner in (ann, bob) * 5:
        host.generate(owner)
    soon = clock.now() + timedelta(days=1)
    host.run(lambda session: session.execute(sa.update(host.access_tokens.model).values(expires_at=soon)))
    host.run(lambda session: session.execute(sa.text("UPDATE api_tokens SET created_at = '2020-01-01'")))
    host.run(lambda session: session.execute(sa.text("DELETE FROM people WHERE name = 'ann'")))
    state = state_of(host)
    with host.app.app_context():
        for status in ("active", "expiring", "asleep"):
            for sort in SORTS:
                found = desk.filtered(state, Filter(status=status), sort=sort)
                assert [token.owner_id for token in found.tokens] == [str(bob)] * 5
            assert desk.overview(state)[status] == min(5, most + 1)


@pytest.mark.parametrize("database_url", ["postgresql", "mariadb"], indirect=True)
def test_nobody_is_looked_for_where_the_database_lets_no_token_outlive_its_owner(
    make_owned: Callable[..., OwnedHost],
) -> None:
    host = make_owned()
    host.generate(host.add("ann"))
    state, seen = state_of(host), list[str]()
    with host.app.app_context():
        sa.event.listen(host.db.engine, "before_cursor_execute", lambda *sent: seen.append(sent[2]))
        assert desk.filtered(state, GONE).tokens == []
        seen.clear()
        assert desk.count(state, GONE) == 0
        assert desk.overview(state)["owner-gone"] == 0
    assert [statement for statement in seen if "people" in statement] == []


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_the_foreign_key_of_sqlite_is_not_relied_on(make_owned: Callable[..., OwnedHost]) -> None:
    host = make_owned()
    host.generate(host.add("ann"))
    host.run(lambda session: session.execute(sa.text("DELETE FROM people")))
    with host.app.app_context():
        assert len(desk.filtered(state_of(host), GONE).tokens) == 1


def test_the_owners_are_loaded_in_one_statement(make_owned: Callable[..., OwnedHost]) -> None:
    host = make_owned(key="name", is_active=mapped_column(sa.Boolean))
    for name, active in (("ann", True), ("bob", False)):
        host.add(name, is_active=active)
    seen: list[str] = []
    with host.app.app_context():
        sa.event.listen(host.db.engine, "before_cursor_execute", lambda *sent: seen.append(sent[2]))
        found = owners_of(state_of(host), ["bob", "ann", "ANN", "eve", "ann"])
        assert {owner_id: owner.name for owner_id, owner in found.items()} == {"bob": "bob", "ann": "ann"}
        assert len(seen) == 1
        assert not host.db.session().in_transaction()


def test_an_owner_id_that_fits_no_owner_s_column_has_no_owner(make_owned: Callable[..., OwnedHost]) -> None:
    host = make_owned()
    ann = host.add("ann")
    with host.app.app_context():
        found = owners_of(state_of(host), ["x", str(ann), str(10**30)])
        assert list(found) == [str(ann)]
        for chosen in (Filter(owner="x"), Filter(search="x"), Filter(owner=str(10**30))):
            assert desk.filtered(state_of(host), chosen).tokens == []


def test_a_loader_is_asked_for_each_owner_and_without_one_there_are_none(host: Host) -> None:
    with host.app.app_context():
        assert owners_of(state_of(host), ["ann"]) == {}
        host.access_tokens.owner_loader(lambda owner_id: owner_id.upper() if owner_id != "eve" else None)
        assert owners_of(state_of(host), ["ann", "eve", "bob"]) == {"ann": "ANN", "bob": "BOB"}


@pytest.mark.parametrize(("kind", "collation"), [("sqlite", "NOCASE"), ("mariadb", "utf8mb4_general_ci")])
def test_a_collation_that_ignores_case_shows_one_owner_s_tokens_only(
    make_host: Callable[..., Host], server_database: Callable[..., str], tmp_path: Path, kind: str, collation: str
) -> None:
    def own_model(db: Any) -> Any:
        class ApiToken(AccessTokenMixin, db.Model):
            __tablename__ = "api_tokens"
            owner_id: Mapped[str] = mapped_column(sa.String(255, collation), index=True)

        return ApiToken

    url = f"sqlite:///{tmp_path / 'host.sqlite3'}" if kind == "sqlite" else server_database(kind)
    host = make_host(url, model=own_model)
    for owner in ("ann", "ANN"):
        host.generate(owner)
    with host.app.app_context():
        for chosen in (Filter(owner="ann"), Filter(search="ann")):
            found = desk.filtered(state_of(host), chosen)
            assert ([token.owner_id for token in found.tokens], found.matching) == (["ann"], 1)
            assert desk.count(state_of(host), chosen) == 1


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_an_owner_whose_class_loads_a_collection_by_a_join_is_loaded(make_owned: Callable[..., OwnedHost]) -> None:
    parent = mapped_column(sa.ForeignKey("people.id"))
    host = make_owned(parent_id=parent, children=relationship("User", lazy="joined", join_depth=1))
    ann = host.add("ann")
    host.add("bob", parent_id=ann)
    host.add("carl", parent_id=ann)
    with host.app.app_context():
        assert list(owners_of(state_of(host), [str(ann)])) == [str(ann)]
