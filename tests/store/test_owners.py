"""``owner=User.id``: the owner's key, whether they may act, and that their tokens go with them."""

import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask, session
from flask_sqlalchemy import SQLAlchemy
from flask_sqlalchemy_lite import SQLAlchemy as LiteSQLAlchemy
from sqlalchemy.ext.hybrid import hybrid_property
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from flask_access_tokens import AccessTokenMixin, AccessTokens, current_token, token_required, tokens
from host import SEPARATE_STDERR, bearer
from owned import OwnedHost
from refusals import INVALID, assert_refused

Make = Callable[..., OwnedHost]


def test_the_ready_made_table_refers_to_the_owner_with_its_type(make_owned: Make) -> None:
    for key, kind in (("id", int), ("uuid", uuid.UUID), ("name", str)):
        host = make_owned(key=key)
        column = host.access_tokens.model.__table__.c.owner_id  # type: ignore[attr-defined]
        (foreign,) = column.foreign_keys
        assert (foreign.column.name, foreign.ondelete, column.type.python_type) == (key, "CASCADE", kind)
        owner = host.add("ann")
        header = host.generate(owner)
        assert host.app.test_client().get("/api", headers=header).get_json() == {"owner": str(owner)}
        assert host.app.test_client().get("/name", headers=header).get_json() == {"name": "ann"}
        with host.app.app_context():
            host.db.drop_all()
            host.db.engine.dispose()


@pytest.mark.parametrize("own_model", [False, True])
def test_the_check_of_a_token_and_its_owner_is_one_select(make_owned: Make, own_model: bool) -> None:
    host = make_owned(own_model=own_model, is_active=mapped_column(sa.Boolean, default=True))
    header = host.generate(host.add("ann"))
    client = host.app.test_client()
    client.get("/api", headers=header)
    seen: list[str] = []
    with host.app.app_context():
        engine = host.db.engine
    sa.event.listen(engine, "before_cursor_execute", lambda *arguments: seen.append(arguments[2]))
    assert client.get("/api", headers=header).status_code == 200
    assert [statement.split()[0] for statement in seen] == ["SELECT"]


@pytest.mark.parametrize("own_model", [False, True])
def test_a_token_goes_with_its_owner_in_the_same_flush(make_owned: Make, own_model: bool) -> None:
    host = make_owned(own_model=own_model)
    ann, bob = host.add("ann"), host.add("bob")
    header, bobs = host.generate(ann), host.generate(bob)
    host.run(lambda session: session.delete(session.get(host.user, ann)))
    assert host.owners() == [str(bob)]
    assert_refused(host.app.test_client().get("/api", headers=header), 401, INVALID)
    assert host.app.test_client().get("/api", headers=bobs).status_code == 200


def test_a_deletion_of_an_owner_that_is_rolled_back_keeps_the_tokens(make_owned: Make) -> None:
    host = make_owned()
    ann = host.add("ann")
    header = host.generate(ann)
    with host.app.app_context():
        host.db.session.delete(host.db.session.get(host.user, ann))
        host.db.session.flush()
        host.db.session.rollback()
    assert host.app.test_client().get("/api", headers=header).status_code == 200


@pytest.mark.parametrize("how", ["flush", "bulk", "raw"])
def test_a_user_who_gets_the_id_of_a_deleted_one_does_not_get_the_tokens(make_owned: Make, how: str) -> None:
    host = make_owned()
    ann = host.add("ann")
    header = host.generate(ann)
    host.run(
        {
            "flush": lambda session: session.delete(session.get(host.user, ann)),
            "bulk": lambda session: session.execute(sa.delete(host.user)),
            "raw": lambda session: session.execute(sa.text("DELETE FROM people")),
        }[how]
    )
    assert_refused(host.app.test_client().get("/api", headers=header), 401, INVALID)
    assert host.add("eve", id=ann) == ann
    assert_refused(host.app.test_client().get("/api", headers=header), 401, INVALID)
    assert host.owners() == []


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_tokens_whose_owner_is_gone_are_found_and_pruned(make_owned: Make) -> None:
    host = make_owned()
    ann, bob = host.add("ann"), host.add("bob")
    host.generate(ann)
    host.generate(bob)
    host.run(lambda session: session.execute(sa.text("DELETE FROM people WHERE name = 'ann'")))
    with host.app.app_context():
        assert [token.owner_id for token in tokens.orphans()] == [str(ann)]
    runner = host.app.test_cli_runner(**SEPARATE_STDERR)
    for option, said in (
        ([], "0 tokens were deleted."),
        (["--orphans", "--dry-run"], "1 token would be deleted."),
        (["--orphans"], "1 token was deleted."),
    ):
        assert runner.invoke(args=["access-tokens", "prune", *option]).output.strip() == said
    assert host.owners() == [str(bob)]


def test_orphans_cannot_be_told_without_the_owner_s_column(host: Any) -> None:
    with host.app.app_context(), pytest.raises(RuntimeError, match=r"owner=User\.id"):
        tokens.orphans()
    result = host.call("prune", "--orphans")
    assert (result.exit_code, "owner=User.id" in result.stderr) == (1, True)


def column() -> Any:
    return mapped_column(sa.Boolean)


def hybrid() -> Any:
    def is_active(self: Any) -> Any:
        return self.banned_at is None

    return hybrid_property(is_active, expr=lambda cls: ~cls.banned_at.in_([1, 2]) | cls.banned_at.is_(None))


def python_property() -> Any:
    return property(lambda self: self.banned_at is None)


def python_hybrid() -> Any:
    return hybrid_property(lambda self: not (self.banned_at and True))


@pytest.mark.parametrize("make_member", [column, hybrid, python_property, python_hybrid])
def test_an_owner_who_is_not_active_is_refused(make_owned: Make, make_member: Callable[[], Any]) -> None:
    host = make_owned(is_active=make_member(), banned_at=mapped_column(sa.Integer, nullable=True))
    is_column = make_member is column
    good, bad = ({"is_active": True}, {"is_active": False}) if is_column else ({}, {"banned_at": 1})
    ann, bob = host.add("ann", **good), host.add("bob", **bad)
    client = host.app.test_client()
    assert client.get("/api", headers=host.generate(ann)).status_code == 200
    assert_refused(client.get("/api", headers=host.generate(bob)), 401, INVALID)
    if is_column:
        assert_refused(client.get("/api", headers=host.generate(host.add("eve", is_active=None))), 401, INVALID)


def test_a_subclass_of_the_owner_may_tell_itself_whether_it_is_active(make_owned: Make) -> None:
    host = make_owned(
        kind=mapped_column(sa.String(20)),
        __mapper_args__={"polymorphic_on": "kind", "polymorphic_identity": "staff"},
    )
    contractor = type(
        "Contractor",
        (host.user,),
        {"__mapper_args__": {"polymorphic_identity": "contractor"}, "is_active": property(lambda self: False)},
    )
    ann = host.add("ann")
    bob = host.run(lambda session: session.add(contractor(name="bob")) or session.flush() or 2)
    client = host.app.test_client()
    assert client.get("/api", headers=host.generate(ann)).status_code == 200
    assert_refused(client.get("/api", headers=host.generate(bob)), 401, INVALID)


@pytest.mark.parametrize("key", ["id", "badge"])
def test_an_owner_in_a_table_of_its_own_loses_no_other_owner_s_tokens(database_url: str, key: str) -> None:
    app = Flask("host")
    app.config.update(TESTING=True, SECRET_KEY="a key for tests", SQLALCHEMY_DATABASE_URI=database_url)
    db = SQLAlchemy(app)

    class Person(db.Model):
        id: Mapped[int] = mapped_column(primary_key=True)
        kind: Mapped[str] = mapped_column(sa.String(20))
        __mapper_args__: Any = {"polymorphic_on": "kind", "polymorphic_identity": "person"}  # noqa: RUF012

    class Employee(Person):
        id: Mapped[int] = mapped_column(sa.ForeignKey(Person.id), primary_key=True)
        badge: Mapped[int] = mapped_column(unique=True)
        __mapper_args__: Any = {"polymorphic_identity": "employee"}  # noqa: RUF012

    AccessTokens(app, db, owner=getattr(Employee, key))
    app.get("/api")(token_required(lambda: current_token.owner_id))
    with app.app_context():
        db.drop_all()
        db.create_all()
        db.session.add_all([Employee(id=number, badge=number) for number in (1, 2, 3)])
        db.session.commit()
        headers = {number: bearer(tokens.generate(number, "laptop").secret) for number in (1, 2, 3)}
        db.session.delete(db.session.get(Employee, 1))
        db.session.add(Employee(id=9, badge=9))
        db.session.commit()
        assert sorted(token.owner_id for token in tokens.iter_all()) == ["2", "3"]
        db.session.remove()
    assert [app.test_client().get("/api", headers=header).status_code for header in headers.values()] == [
        401,
        200,
        200,
    ]
    with app.app_context():
        db.drop_all()
        db.engine.dispose()


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_user_who_takes_over_the_name_of_another_does_not_get_the_tokens(make_owned: Make) -> None:
    host = make_owned(key="name")
    header = host.generate(host.add("ann"))
    host.add("bob")
    for old, new in (("ann", "anna"), ("bob", "ann")):
        user = sa.select(host.user).filter_by(name=old)
        host.run(lambda session, user=user, new=new: setattr(session.scalars(user).one(), "name", new))
        assert_refused(host.app.test_client().get("/api", headers=header), 401, INVALID)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_deleted_user_named_none_is_refused(make_owned: Make) -> None:
    host = make_owned(key="name")
    header = host.generate(host.add("None"))
    host.run(lambda session: session.execute(sa.delete(host.user)))
    assert_refused(host.app.test_client().get("/api", headers=header), 401, INVALID)


def test_asking_an_owner_whether_they_are_active_leaves_the_host_s_session_without_a_transaction(
    make_owned: Make,
) -> None:
    host = make_owned(is_active=python_property(), banned_at=mapped_column(sa.Integer, nullable=True))

    @host.app.get("/begin")
    @token_required
    def begin() -> str:
        with host.db.session.begin():
            return str(current_token.owner.name)

    header = host.generate(host.add("ann"))
    assert host.app.test_client().get("/begin", headers=header).text == "ann"


def test_an_owner_loader_that_is_set_goes_first(make_owned: Make) -> None:
    host = make_owned()
    header = host.generate(host.add("ann"))
    host.access_tokens.owner_loader(lambda owner_id: None)
    assert_refused(host.app.test_client().get("/api", headers=header), 401, INVALID)


def test_the_page_is_for_the_user_whom_the_identity_loader_returns(make_owned: Make) -> None:
    host = make_owned(key="name")
    host.add("ann")
    host.generate("ann")
    client = host.app.test_client()
    client.get("/sign-in/1")
    assert "laptop" in client.get("/access-tokens/").text


def test_a_session_that_outlives_its_user_does_not_open_the_page(make_owned: Make) -> None:
    host = make_owned()
    host.access_tokens.identity_loader(lambda: session.get("id"))
    ann = host.add("ann")
    client = host.app.test_client()
    client.get("/sign-in/1")
    assert client.get("/access-tokens/").status_code == 200
    host.run(lambda session: session.delete(session.get(host.user, ann)))
    assert client.get("/access-tokens/").status_code == 401
    assert client.post("/access-tokens/new").status_code == 401


def test_an_owner_column_that_cannot_identify_an_owner_is_refused(tmp_path: Path) -> None:
    def set_up(**arguments: Any) -> None:
        app = Flask("host")
        app.config["SQLALCHEMY_DATABASE_URI"] = f"sqlite:///{tmp_path / 'host.sqlite3'}"
        db.init_app(app)
        AccessTokens(app, db, **arguments)

    db = SQLAlchemy()

    class User(db.Model):
        id: Mapped[int] = mapped_column(primary_key=True)
        name: Mapped[str]

    class ApiToken(AccessTokenMixin, db.Model):
        __tablename__ = "api_tokens"

    with pytest.raises(TypeError, match=r"Pass a mapped column"):
        set_up(owner=User)
    with pytest.raises(ValueError, match=r"name is not unique"):
        set_up(owner=User.name)
    with pytest.raises(ValueError, match=r"owner_id holds str and user\.id holds int\. Declare owner_id in ApiToken"):
        set_up(owner=User.id, model=ApiToken)
    set_up()
    with pytest.raises(RuntimeError, match=r"already set up without owner="):
        set_up(owner=User.id)


def test_flask_sqlalchemy_lite_needs_no_model_where_the_owner_is_known(tmp_path: Path) -> None:
    class Base(DeclarativeBase):
        pass

    class User(Base):
        __tablename__ = "user"
        id: Mapped[int] = mapped_column(primary_key=True)

    app = Flask("host")
    app.config.update(
        TESTING=True, SECRET_KEY="a key", SQLALCHEMY_ENGINES={"default": f"sqlite:///{tmp_path / 'a.db'}"}
    )
    db = LiteSQLAlchemy(app)
    AccessTokens(app, owner=User.id)
    app.get("/api")(token_required(lambda: str(current_token.owner.id)))
    with app.app_context():
        Base.metadata.create_all(db.engine)
        db.session.add(User(id=1))
        db.session.commit()
        header = bearer(tokens.generate(1, "laptop").secret)
    assert app.test_client().get("/api", headers=header).text == "1"
    with app.app_context():
        db.session.delete(db.session.get(User, 1))
        db.session.commit()
        assert list(tokens.iter_all()) == []
        db.engine.dispose()
    assert_refused(app.test_client().get("/api", headers=header), 401, INVALID)
    with app.app_context():
        db.engine.dispose()
