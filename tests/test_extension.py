"""Setup: what a host may pass in, in which order, and the errors for what cannot work."""

from collections.abc import Iterator

import pytest
from flask import Blueprint, Flask
from flask_migrate import Migrate
from flask_sqlalchemy import SQLAlchemy
from flask_sqlalchemy_lite import SQLAlchemy as Lite
from sqlalchemy import Integer
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from applications import application, new_token_header
from flask_access_tokens import (
    AccessTokenMixin,
    AccessTokens,
    current_token,
    token_required,
    tokens,
)
from host import Host, bearer


@pytest.mark.case("E22")
def test_one_extension_serves_two_applications_with_a_database_each() -> None:
    access_tokens, apps = AccessTokens(), []
    for name in ("one", "two"):
        app = application(name)
        access_tokens.init_app(app, SQLAlchemy(app))
        app.get("/api")(token_required(lambda: current_token.owner_id))
        apps.append(app)
    one, two = apps
    header = new_token_header(one, "ann")
    new_token_header(two, "bob")
    assert one.test_client().get("/api", headers=header).text == "ann"
    assert two.test_client().get("/api", headers=header).status_code == 401
    for app in apps:
        with app.app_context():
            assert access_tokens.model.metadata is app.extensions["sqlalchemy"].metadata


@pytest.mark.case("E22")
def test_one_database_object_serves_two_applications() -> None:
    db, apps = SQLAlchemy(), []
    for name in ("one", "two"):
        app = application(name)
        db.init_app(app)
        AccessTokens(app, db)
        app.get("/api")(token_required(lambda: current_token.owner_id))
        apps.append(app)
    headers = [new_token_header(app, app.name) for app in apps]
    for asked in apps:
        answers = [asked.test_client().get("/api", headers=header) for header in headers]
        assert [answer.text for answer in answers if answer.status_code == 200] == [asked.name]


def test_each_application_has_its_own_settings() -> None:
    one, two = (application(name) for name in ("one", "two"))
    one.config["ACCESS_TOKENS_PREFIX"] = "one"
    access_tokens, db = AccessTokens(), SQLAlchemy()
    for app in (one, two):
        db.init_app(app)
        access_tokens.init_app(app, db)
    assert new_token_header(one)["Authorization"].startswith("Bearer one_")
    assert new_token_header(two)["Authorization"].startswith("Bearer pat_")


def test_the_application_factory_pattern_works() -> None:
    db = SQLAlchemy()
    access_tokens = AccessTokens(db=db)
    assert access_tokens.model.__table__.metadata is db.metadata  # type: ignore[attr-defined]
    for _ in range(2):
        app = application()
        db.init_app(app)
        access_tokens.init_app(app)
        app.get("/api")(token_required(lambda: "in"))
        assert app.test_client().get("/api", headers=new_token_header(app)).status_code == 200


def test_the_database_is_found_on_the_application() -> None:
    app = application()
    SQLAlchemy(app)
    AccessTokens(app)
    assert new_token_header(app)


def test_the_model_before_there_is_a_database_is_a_clear_error() -> None:
    with pytest.raises(RuntimeError, match="init_app"):
        _ = AccessTokens().model


def test_without_a_database_the_error_is_clear() -> None:
    with pytest.raises(RuntimeError, match=r"AccessTokens\(app, db\)"):
        AccessTokens(application())


def test_setting_up_twice_is_an_error() -> None:
    app = application()
    access_tokens = AccessTokens(app, SQLAlchemy(app))
    with pytest.raises(RuntimeError, match="once"):
        access_tokens.init_app(app)


@pytest.mark.case("S25")
def test_arguments_in_the_wrong_order_are_an_error_with_the_right_one() -> None:
    app, db = application(), SQLAlchemy()
    expected = pytest.raises(TypeError, match=r"the application first: AccessTokens\(app, db\)")
    for wrong in ({"app": db, "db": app}, {"app": db}, {"db": app}):
        with expected:
            AccessTokens(**wrong)
        with expected:
            AccessTokens().init_app(**{"app": app, **wrong})


@pytest.mark.case("S25")
@pytest.mark.parametrize("name", ["access_tokens", "access_tokens_api"])
def test_a_blueprint_of_the_host_s_with_the_name_of_ours_is_an_error_by_name(name: str) -> None:
    app = application()
    app.register_blueprint(Blueprint(name, __name__))
    with pytest.raises(
        ValueError, match=f'^This application has a blueprint "{name}" of its own. Give it another name'
    ):
        AccessTokens(app, SQLAlchemy(app))
    assert "access_tokens" not in app.extensions


def test_a_host_table_with_the_package_s_table_name_is_a_clear_error() -> None:
    app = application()
    db = SQLAlchemy(app)
    db.Table("access_tokens", db.Column("id", Integer, primary_key=True))
    with pytest.raises(RuntimeError, match="model="):
        AccessTokens(app, db)


@pytest.mark.case("E20")
def test_nothing_touches_the_database_while_the_application_starts() -> None:
    app = application()
    app.config["SQLALCHEMY_DATABASE_URI"] = "sqlite:////nowhere/at/all.sqlite3"
    AccessTokens(app, SQLAlchemy(app))
    app.get("/api")(token_required(lambda: "in"))
    assert app.test_client().get("/api").status_code == 401


def test_a_host_s_base_may_have_columns_of_its_own() -> None:
    class Base(DeclarativeBase):
        tenant: Mapped[int] = mapped_column()

    app = application()
    AccessTokens(app, SQLAlchemy(app, model_class=Base))
    assert new_token_header(app)


def test_migrations_see_the_table() -> None:
    app = application()
    db = SQLAlchemy(app)
    AccessTokens(app, db)
    Migrate(app, db)
    with app.app_context():
        assert "access_tokens" in app.extensions["migrate"].db.metadatas[None].tables


class LiteBase(DeclarativeBase):
    pass


class LiteToken(AccessTokenMixin, LiteBase):
    __tablename__ = "lite_tokens"


@pytest.fixture
def lite(database_url: str) -> Iterator[Flask]:
    """An application on Flask-SQLAlchemy-Lite, on each database."""
    app = application(SQLALCHEMY_ENGINES={"default": database_url})
    db = Lite(app)
    AccessTokens(app, db, model=LiteToken)
    app.get("/api")(token_required(lambda: current_token.owner_id))
    with app.app_context():
        LiteBase.metadata.create_all(db.engine)
        yield app
        db.session.close()
        LiteBase.metadata.drop_all(db.engine)
        db.engine.dispose()


def test_flask_sqlalchemy_lite_works_with_a_model_of_the_host_s_own(lite: Flask) -> None:
    new = tokens.generate("ann", "laptop")
    client = lite.test_client()
    assert client.get("/api", headers=bearer(new.secret)).text == "ann"
    assert tokens.owned_by("ann")[0].last_used_at is not None
    assert tokens.delete("ann", new.token.id)
    assert client.get("/api", headers=bearer(new.secret)).status_code == 401


def test_flask_sqlalchemy_lite_without_a_model_is_a_clear_error() -> None:
    app = application(SQLALCHEMY_ENGINES={"default": "sqlite://"})
    with pytest.raises(RuntimeError, match="model="):
        AccessTokens(app, Lite(app))


def test_loader_decorators_return_the_function_unchanged(host: Host) -> None:
    def load(*_: object) -> None:
        return None

    for register in ("identity_loader", "owner_loader", "scopes_loader"):
        assert getattr(host.access_tokens, register)(load) is load
