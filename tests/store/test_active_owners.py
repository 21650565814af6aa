"""Whether an owner may act, by ``active=`` and by ``is_active``, with a token and on the page."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
import sqlalchemy as sa
from flask import session
from flask_login import UserMixin
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy.orm import mapped_column, relationship

from applications import application
from flask_access_tokens import AccessTokens, tokens
from flask_access_tokens.store.owners import load_owner
from owned import OwnedHost
from pages import NEW, PAGE

NOW = datetime.now(UTC).replace(tzinfo=None)
EXPRESSIONS: dict[str, tuple[Callable[..., Any], dict[str, Any]]] = {
    "disabled_at": (lambda user: user.disabled_at.is_(None), {"disabled_at": NOW}),
    "banned": (lambda user: sa.not_(user.banned), {"banned": True}),
    "role": (lambda user: user.role == "member", {"role": "guest"}),
    "enabled": (lambda user: user.enabled, {"enabled": False}),
    "null": (lambda user: user.enabled, {"enabled": None}),
}
"""Ways to disable people, each with ``active=`` and what disables one."""


@pytest.fixture
def make_host_of(make_owned: Callable[..., OwnedHost]) -> Callable[..., OwnedHost]:
    """A function that makes hosts whose users can be disabled in several ways."""

    def make(**values: Any) -> OwnedHost:
        columns = {
            "disabled_at": mapped_column(sa.DateTime),
            "banned": mapped_column(sa.Boolean, default=False),
            "role": mapped_column(sa.String(20), default="member"),
            "enabled": mapped_column(sa.Boolean, default=True),
        }
        return make_owned(**{**columns, **values})

    return make


def statuses(host: OwnedHost, user: int, header: dict[str, str]) -> list[int]:
    """What a person gets with their token, and with their session on the page and on a view for both."""
    client = host.client(user)
    program = host.app.test_client()
    return [
        *(program.get(path, headers=header).status_code for path in ("/api", "/name", "/shared")),
        *(client.get(path).status_code for path in (PAGE, NEW, "/shared")),
        client.post(NEW, data={}).status_code,
    ]


REFUSED = [401] * 7


@pytest.mark.case("S04")
@pytest.mark.parametrize("way", EXPRESSIONS)
def test_who_is_disabled_is_refused_with_a_token_and_on_the_page(
    make_host_of: Callable[..., OwnedHost], way: str
) -> None:
    active, disabled = EXPRESSIONS[way]
    host = make_host_of(may_act=active)
    ann, bob = host.add("ann"), host.add("bob")
    of_ann, of_bob = host.generate(ann), host.generate(bob)
    host.change(ann, **disabled)
    for _ in range(2):  # through the session, and then on the driver's connection
        assert statuses(host, ann, of_ann) == REFUSED
        assert statuses(host, bob, of_bob)[:6] == [200] * 6


@pytest.mark.case("S04")
def test_active_alone_decides_and_not_is_active(make_host_of: Callable[..., OwnedHost]) -> None:
    asked = []
    is_active = property(lambda self: asked.append(self) or False)
    host = make_host_of(may_act=lambda user: user.enabled, is_active=is_active)
    ann = host.add("ann")
    assert statuses(host, ann, host.generate(ann))[:6] == [200] * 6
    assert asked == []


@pytest.mark.case("S04")
def test_with_an_owner_loader_both_it_and_active_have_to_agree(make_host_of: Callable[..., OwnedHost]) -> None:
    host = make_host_of(may_act=lambda user: user.enabled)
    ann, bob = host.add("ann"), host.add("bob")
    of_ann, of_bob = host.generate(ann), host.generate(bob)

    class Loaded:
        name = "Ann"

    host.access_tokens.owner_loader(lambda owner_id: Loaded() if owner_id == str(ann) else None)
    assert [statuses(host, *each)[0] for each in ((ann, of_ann), (bob, of_bob))] == [200, 401]
    host.change(ann, enabled=False)
    assert statuses(host, ann, of_ann) == REFUSED


@pytest.mark.case("S04")
def test_the_check_is_one_select_with_active(make_host_of: Callable[..., OwnedHost]) -> None:
    host = make_host_of(may_act=lambda user: user.role == "member")
    header, seen = host.generate(host.add("ann")), list[str]()
    client = host.app.test_client()
    client.get("/api", headers=header)
    with host.app.app_context():
        engine = host.db.engine
    sa.event.listen(engine, "before_cursor_execute", lambda *args: seen.append(args[2]))
    assert client.get("/api", headers=header).status_code == 200
    assert [statement for statement in seen if "people" in statement or "access_tokens" in statement] == seen[:1]


@pytest.mark.case("S14")
@pytest.mark.parametrize("kind", ["ID", "user"])
@pytest.mark.parametrize("is_active", ["column", "property"])
def test_a_person_who_is_deactivated_is_signed_in_nowhere(
    make_host_of: Callable[..., OwnedHost], kind: str, is_active: str
) -> None:
    member = mapped_column(sa.Boolean, default=True) if is_active == "column" else property(lambda user: user.enabled)
    host = make_host_of(is_active=member)
    if kind == "ID":
        host.access_tokens.identity_loader(lambda: session["id"])
    ann = host.add("ann")
    header = host.generate(ann)
    assert statuses(host, ann, header)[:6] == [200] * 6
    host.change(ann, **{"is_active" if is_active == "column" else "enabled": False})
    assert statuses(host, ann, header) == REFUSED
    with host.app.app_context():
        assert len(tokens.owned_by(ann)) == 1
        assert load_owner(host.app.extensions["access_tokens"], str(ann)) is None


@pytest.mark.case("S04")
@pytest.mark.parametrize("active", [True, lambda user: True, "enabled", UserMixin, sa.literal("on"), sa.null()])
def test_active_is_an_sql_expression(make_host_of: Callable[..., OwnedHost], active: Any) -> None:
    with pytest.raises(TypeError, match=r"active is .* Pass an SQL expression"):
        make_host_of(may_act=lambda user: active)


@pytest.mark.case("S04")
def test_active_needs_owner() -> None:

    app = application()
    with pytest.raises(ValueError, match=r"active= needs owner="):
        AccessTokens(app, SQLAlchemy(app), active=sa.true())


@pytest.mark.case("S04")
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_columns_of_another_table_let_nobody_in(make_host_of: Callable[..., OwnedHost]) -> None:
    memberships = sa.table("memberships", sa.column("active", sa.Boolean))
    host = make_host_of(may_act=lambda user: memberships.c.active)
    header = host.generate(host.add("ann"))
    host.run(lambda session: session.execute(sa.text("CREATE TABLE memberships (active BOOLEAN)")))
    host.run(lambda session: session.execute(sa.text("INSERT INTO memberships VALUES (TRUE)")))
    for client, headers in ((host.app.test_client(), header), (host.client(1), {})):
        with pytest.raises(ValueError, match=r"active= has columns of another table"):
            client.get("/shared", headers=headers)


@pytest.mark.case("S04")
def test_active_may_ask_for_related_rows(make_host_of: Callable[..., OwnedHost]) -> None:
    parent = mapped_column(sa.ForeignKey("people.id"))
    children = relationship("User", lazy="joined", join_depth=1)
    host = make_host_of(may_act=lambda user: user.children.any(), parent_id=parent, children=children)
    ann = host.add("ann")
    header = host.generate(ann)
    assert statuses(host, ann, header) == REFUSED
    for name in ("bob", "carl"):
        host.add(name, parent_id=ann)
    assert statuses(host, ann, header)[:6] == [200] * 6
    host.run(lambda session: session.execute(sa.update(host.user).values(parent_id=None)))


@pytest.mark.case("S04")
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_is_active_may_be_a_method(make_host_of: Callable[..., OwnedHost]) -> None:
    host = make_host_of(is_active=lambda user: user.enabled)
    ann = host.add("ann")
    header = host.generate(ann)
    assert statuses(host, ann, header)[:6] == [200] * 6
    host.change(ann, enabled=False)
    assert statuses(host, ann, header) == REFUSED
