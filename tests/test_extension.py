"""Wiring: what a host may hand in, in which order, and what it is told when that cannot work."""

from collections.abc import Callable, Iterator
from functools import partial, wraps
from typing import Any

import pytest
from flask import Blueprint, Flask
from flask.views import MethodView
from flask_migrate import Migrate
from flask_sqlalchemy import SQLAlchemy
from flask_sqlalchemy_lite import SQLAlchemy as Lite
from flask_wtf import CSRFProtect
from host import Host, bearer
from sqlalchemy import Integer
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from flask_access_tokens import (
    AccessTokenMixin,
    AccessTokens,
    current_token,
    require_token,
    secret,
    token_required,
    tokens,
)
from flask_access_tokens.extension import DEFAULTS


def application(name: str = "host", **config: Any) -> Flask:
    app = Flask(name)
    app.config.update(TESTING=True, SECRET_KEY="a key for tests", SQLALCHEMY_DATABASE_URI="sqlite://", **config)
    return app


def made_in(app: Flask, owner: object = "ann", **wish: Any) -> dict[str, str]:
    """The header of a new token of an application, its tables made as well."""
    with app.app_context():
        app.extensions["sqlalchemy"].create_all()
        return bearer(tokens.generate(owner, "laptop", **wish).secret)


# CSRF


def protected(order: str) -> Flask:
    """An application that protects everything, set up before or after the extension."""
    app = application()
    db = SQLAlchemy(app)
    if order == "before":
        CSRFProtect(app)
    AccessTokens(app, db)
    if order == "after":
        CSRFProtect(app)
    return app


@pytest.mark.case("D05")
@pytest.mark.parametrize("order", ["before", "after"])
def test_a_guarded_post_passes_and_its_sibling_stays_protected(order: str) -> None:
    app = protected(order)
    app.post("/guarded")(token_required(lambda: current_token.owner_id))
    app.post("/sibling", endpoint="sibling")(lambda: "changed")
    client, header = app.test_client(), made_in(app)
    assert client.post("/guarded", headers=header).text == "ann"
    assert client.post("/guarded").status_code == 401
    for headers in ({}, header):
        assert client.post("/sibling", headers=headers).status_code == 400


@pytest.mark.case("D05")
def test_a_view_of_the_same_name_stays_protected() -> None:
    app = protected("before")

    def save() -> str:
        return "changed"

    guarded, opened = token_required(save), save
    assert guarded.__name__ == opened.__name__
    assert guarded.__module__ == opened.__module__
    app.add_url_rule("/guarded", "guarded", guarded, methods=["POST"])
    app.add_url_rule("/open", "open", opened, methods=["POST"])
    client, header = app.test_client(), made_in(app)
    assert client.post("/guarded", headers=header).status_code == 200
    assert client.post("/open", headers=header).status_code == 400


def without_wraps(view: Callable[..., Any]) -> Callable[..., Any]:
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return view(*args, **kwargs)

    return wrapper


def with_wraps(view: Callable[..., Any]) -> Callable[..., Any]:
    return wraps(view)(without_wraps(view))


@pytest.mark.case("D05")
def test_a_decorator_without_wraps_opens_no_other_view() -> None:
    app = protected("before")
    app.add_url_rule("/inside", "inside", token_required(without_wraps(lambda: "in")), methods=["POST"])
    app.add_url_rule("/outside", "outside", without_wraps(token_required(lambda: "in")), methods=["POST"])
    app.add_url_rule("/open", "open", without_wraps(lambda: "changed"), methods=["POST"])
    client, header = app.test_client(), made_in(app)
    assert client.post("/inside", headers=header).status_code == 200
    assert client.post("/open", headers=header).status_code == 400
    # A guard that cannot be seen from outside costs the view its exemption, never another view its protection.
    assert client.post("/outside", headers=header).status_code == 400


@pytest.mark.case("D05")
def test_a_view_that_copied_a_guard_s_attributes_stays_protected() -> None:
    app = protected("before")

    def save() -> str:
        return "changed"

    guarded = token_required(save)

    def imposter() -> str:
        return "changed"

    imposter.__dict__.update(guarded.__dict__)
    del imposter.__dict__["__wrapped__"]
    app.add_url_rule("/guarded", "guarded", with_wraps(guarded), methods=["POST"])
    app.add_url_rule("/imposter", "imposter", imposter, methods=["POST"])
    client, header = app.test_client(), made_in(app)
    assert client.post("/guarded", headers=header).status_code == 200
    assert client.post("/imposter", headers=header).status_code == 400


@pytest.mark.case("D05")
def test_an_optional_view_is_exempt_only_for_a_request_with_a_bearer_token() -> None:
    app = protected("after")
    app.post("/optional")(token_required(optional=True)(lambda: current_token.owner_id if current_token else "anon"))
    client, header = app.test_client(), made_in(app)
    assert client.post("/optional", headers=header).text == "ann"
    assert client.post("/optional").status_code == 400
    assert client.post("/optional", headers={"Authorization": "Basic x"}).status_code == 400
    assert client.post("/optional", headers=bearer("x")).status_code == 401


@pytest.mark.case("D05")
def test_guarded_blueprints_and_classes_are_exempt_and_others_are_not() -> None:
    app = protected("before")
    outer, inner, opened = (Blueprint(name, __name__, url_prefix=f"/{name}") for name in ("outer", "inner", "opened"))
    outer.before_request(partial(require_token, "read"))
    for blueprint in (outer, inner, opened):
        blueprint.post("/")(lambda: "changed")
    outer.register_blueprint(inner)
    app.register_blueprint(outer)
    app.register_blueprint(opened)

    class Half(MethodView):
        @token_required
        def post(self) -> str:
            return "changed"

        def put(self) -> str:
            return "changed"

    class Whole(MethodView):
        decorators = [token_required("read")]  # noqa: RUF012

        def post(self) -> str:
            return "changed"

    app.add_url_rule("/half", view_func=Half.as_view("half"))
    app.add_url_rule("/whole", view_func=Whole.as_view("whole"))
    app.config["ACCESS_TOKENS_SCOPES"] = {"read": "Read"}
    client, header = app.test_client(), made_in(app, scopes=["read"])
    for path in ("/outer/", "/outer/inner/", "/half", "/whole"):
        assert client.post(path, headers=header).status_code == 200, path
        assert client.post(path).status_code == 401, path
    assert client.post("/opened/", headers=header).status_code == 400
    assert client.put("/half", headers=header).status_code == 400


@pytest.mark.case("D05")
def test_one_csrf_object_protects_two_applications_each_by_its_own_views() -> None:
    csrf, apps = CSRFProtect(), []
    for name in ("one", "two"):
        app = application(name)
        AccessTokens(app, SQLAlchemy(app))
        csrf.init_app(app)
        apps.append(app)
    one, two = apps
    one.add_url_rule("/save", "save", token_required(lambda: "changed"), methods=["POST"])
    two.add_url_rule("/save", "save", lambda: "changed", methods=["POST"])
    for _ in range(2):
        assert one.test_client().post("/save", headers=made_in(one)).status_code == 200
        assert two.test_client().post("/save", headers=made_in(two)).status_code == 400


def test_a_host_that_checks_chosen_views_itself_goes_on_doing_so() -> None:
    app = application(WTF_CSRF_CHECK_DEFAULT=False)
    AccessTokens(app, SQLAlchemy(app))
    csrf = CSRFProtect(app)
    app.post("/checked")(lambda: csrf.protect() or "changed")
    app.post("/open", endpoint="open")(lambda: "changed")
    assert app.config["WTF_CSRF_CHECK_DEFAULT"] is False
    assert app.test_client().post("/checked").status_code == 400
    assert app.test_client().post("/open").status_code == 200


def test_a_host_that_exempts_views_itself_goes_on_doing_so() -> None:
    app = application()
    AccessTokens(app, SQLAlchemy(app))
    csrf = CSRFProtect(app)
    app.post("/hook")(csrf.exempt(lambda: "changed"))
    assert app.test_client().post("/hook").status_code == 200


# Applications, extensions and databases


@pytest.mark.case("E22")
def test_one_extension_serves_two_applications_with_a_database_each() -> None:
    access_tokens, apps = AccessTokens(), []
    for name in ("one", "two"):
        app = application(name)
        access_tokens.init_app(app, SQLAlchemy(app))
        app.get("/api")(token_required(lambda: current_token.owner_id))
        apps.append(app)
    one, two = apps
    header = made_in(one, "ann")
    made_in(two, "bob")
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
    headers = [made_in(app, app.name) for app in apps]
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
    assert made_in(one)["Authorization"].startswith("Bearer one_")
    assert made_in(two)["Authorization"].startswith("Bearer pat_")


def test_the_application_factory_pattern_works() -> None:
    db = SQLAlchemy()
    access_tokens = AccessTokens(db=db)
    assert access_tokens.model.__table__.metadata is db.metadata  # type: ignore[attr-defined]
    for _ in range(2):
        app = application()
        db.init_app(app)
        access_tokens.init_app(app)
        app.get("/api")(token_required(lambda: "in"))
        assert app.test_client().get("/api", headers=made_in(app)).status_code == 200


def test_the_database_is_found_on_the_application() -> None:
    app = application()
    SQLAlchemy(app)
    AccessTokens(app)
    assert made_in(app)


def test_the_model_before_there_is_a_database_is_an_error_that_tells_what_to_do() -> None:
    with pytest.raises(RuntimeError, match="init_app"):
        _ = AccessTokens().model


def test_without_a_database_the_error_tells_what_to_do() -> None:
    with pytest.raises(RuntimeError, match=r"AccessTokens\(app, db\)"):
        AccessTokens(application())


def test_setting_up_twice_is_an_error() -> None:
    app = application()
    access_tokens = AccessTokens(app, SQLAlchemy(app))
    with pytest.raises(RuntimeError, match="once"):
        access_tokens.init_app(app)


def test_a_table_of_the_host_under_our_name_is_an_error_that_tells_what_to_do() -> None:
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
    assert made_in(app)


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


def test_flask_sqlalchemy_lite_without_a_model_is_an_error_that_tells_what_to_do() -> None:
    app = application(SQLALCHEMY_ENGINES={"default": "sqlite://"})
    with pytest.raises(RuntimeError, match="model="):
        AccessTokens(app, Lite(app))


# Loaders


def test_loaders_are_given_back_as_they_were(host: Host) -> None:
    def load(*_: object) -> None:
        return None

    for register in ("identity_loader", "owner_loader", "scopes_loader"):
        assert getattr(host.access_tokens, register)(load) is load


# Configuration


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("ACCESS_TOKENS_PREFIX", "a b"),
        ("ACCESS_TOKENS_PREFIX", []),
        ("ACCESS_TOKENS_DEFAULT_LIFETIME_DAYS", 0),
        ("ACCESS_TOKENS_DEFAULT_LIFETIME_DAYS", "365"),
        ("ACCESS_TOKENS_MAX_LIFETIME_DAYS", -2),
        ("ACCESS_TOKENS_MAX_LIFETIME_DAYS", None),
        ("ACCESS_TOKENS_MAX_LIFETIME_DAYS", True),
        ("ACCESS_TOKENS_MAX_PER_OWNER", 0),
        ("ACCESS_TOKENS_MAX_PER_OWNER", 1.5),
        ("ACCESS_TOKENS_SCOPES", ["read"]),
        ("ACCESS_TOKENS_SCOPES", {"a b": "Two"}),
        ("ACCESS_TOKENS_SCOPES", {'a"': "Quote"}),
        ("ACCESS_TOKENS_SCOPES", {"": "Nothing"}),
        ("ACCESS_TOKENS_SCOPES", {7: "Seven"}),
        ("ACCESS_TOKENS_LAST_USED_INTERVAL", -1),
        ("ACCESS_TOKENS_LAST_USED_INTERVAL", "60"),
        ("ACCESS_TOKENS_LAST_USED_INTERVAL", True),
        ("ACCESS_TOKENS_LAST_USED_INTERVAL", float("nan")),
        ("ACCESS_TOKENS_REALM", 'a"b'),
        ("ACCESS_TOKENS_REALM", "é"),
        ("ACCESS_TOKENS_REALM", "a\r\nb"),
        ("ACCESS_TOKENS_REALM", None),
        ("ACCESS_TOKENS_PEPPERS", ["good", ""]),
        ("ACCESS_TOKENS_PEPPERS", [None]),
        ("ACCESS_TOKENS_HTMX", "cdn"),
    ],
)
def test_a_setting_that_cannot_work_stops_the_start_and_is_named(key: str, value: object) -> None:
    app = application(**{key: value})
    with pytest.raises(ValueError, match="Scope|" + key):
        AccessTokens(app, SQLAlchemy(app))


@pytest.mark.parametrize("unset", [None, "", b"", (), []])
def test_a_pepper_that_is_not_set_is_no_pepper(unset: Any) -> None:
    app = application(ACCESS_TOKENS_PEPPERS=unset)
    AccessTokens(app, SQLAlchemy(app))
    app.get("/api")(token_required(lambda: "in"))
    header = made_in(app)
    with app.app_context():
        assert tokens.count_by_scheme() == {"sha256": 1}
    assert app.test_client().get("/api", headers=header).status_code == 200


@pytest.mark.parametrize("pepper", ["one", b"one"])
def test_one_pepper_may_be_given_alone(pepper: Any) -> None:
    app = application(ACCESS_TOKENS_PEPPERS=pepper)
    AccessTokens(app, SQLAlchemy(app))
    made_in(app)
    app.config["ACCESS_TOKENS_PEPPERS"] = ["one"]
    with app.app_context():
        (scheme,) = tokens.count_by_scheme()
        assert scheme == secret.schemes(["one"])[0]


def test_the_defaults_are_set_where_the_host_says_nothing() -> None:
    app = application(ACCESS_TOKENS_REALM="ours")
    AccessTokens(app, SQLAlchemy(app))
    assert {key: app.config[key] for key in DEFAULTS} == DEFAULTS | {"ACCESS_TOKENS_REALM": "ours"}


def test_settings_are_read_at_the_moment_of_use(host: Host) -> None:
    old = host.generate().secret
    host.app.config["ACCESS_TOKENS_PREFIX"] = ["new", "pat"]
    host.app.config["ACCESS_TOKENS_REALM"] = "other"
    new = host.generate().secret
    assert new.startswith("new_")
    client = host.client()
    assert [client.get("/api", headers=bearer(text)).status_code for text in (old, new)] == [200, 200]
    assert client.get("/api").headers["WWW-Authenticate"] == 'Bearer realm="other"'
    host.app.config["ACCESS_TOKENS_PREFIX"] = "new"
    assert [client.get("/api", headers=bearer(text)).status_code for text in (old, new)] == [401, 200]
