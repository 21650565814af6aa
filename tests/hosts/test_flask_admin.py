"""A host with Flask-Admin behind Flask-Login, as in the authentication example of its documentation."""

from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask, jsonify, redirect, request, url_for
from flask_admin import Admin, AdminIndexView, expose
from flask_admin.contrib.sqla import ModelView
from flask_admin.menu import MenuLink
from flask_babel import Babel
from flask_login import LoginManager, UserMixin, current_user, login_user
from flask_sqlalchemy import SQLAlchemy
from flask_wtf import CSRFProtect

from flask_access_tokens import AccessTokens, current_token, token_required
from host import bearer
from markup import Page
from pages import PAGE
from refusals import FORGED
from visits import CONFIG, add_csrf_view, csrf_header, generate_on_page, names_on_page, owned, running


class SignedInOnly:
    def is_accessible(self) -> bool:
        return bool(current_user.is_authenticated)

    def inaccessible_callback(self, name: str, **kwargs: Any) -> Any:
        return redirect(url_for("log_in", name="ann", next=request.url))


class HomeView(SignedInOnly, AdminIndexView):
    @expose("/")
    def index(self) -> str:
        return f"Administration for {current_user.name}"


class UserView(SignedInOnly, ModelView):
    pass


@pytest.fixture
def app() -> Iterator[Flask]:
    app = Flask("host")
    app.config.update(CONFIG)
    db = SQLAlchemy(app)
    login_manager = LoginManager(app)
    CSRFProtect(app)
    Babel(app)  # Flask-Admin needs it wherever Flask-Babel is installed

    class User(UserMixin, db.Model):  # type: ignore[name-defined,misc]
        id = db.Column(db.Integer, primary_key=True)
        name = db.Column(db.String(100), nullable=False)

    login_manager.user_loader(lambda user_id: db.session.get(User, int(user_id)))
    AccessTokens(app, db, owner=User.id)
    admin = Admin(app, name="Host", index_view=HomeView())
    admin.add_view(UserView(User, db))
    admin.add_link(MenuLink(name="Access tokens", endpoint="access_tokens.index"))
    add_csrf_view(app)

    @app.get("/log-in/<name>")
    def log_in(name: str) -> str:
        login_user(db.session.execute(db.select(User).filter_by(name=name)).scalar_one())
        return name

    @app.route("/api/me", methods=["GET", "POST"])
    @token_required
    def me() -> Any:
        return jsonify(token=current_token.owner_id, user=current_user.name)

    with running(app):
        with app.app_context():
            db.session.add_all([User(name="ann"), User(name="bob")])
            db.session.commit()
        yield app


def logged_in(app: Flask, name: str) -> Any:
    client = app.test_client()
    assert client.get(f"/log-in/{name}").text == name
    return client


def test_the_page_stands_beside_the_administration(app: Flask) -> None:
    client = logged_in(app, "ann")
    generate_on_page(client)
    assert names_on_page(client) == ["laptop"]
    assert names_on_page(logged_in(app, "bob")) == []
    assert app.test_client().get(PAGE).status_code == 401


def test_the_menu_of_the_administration_links_to_the_page(app: Flask) -> None:
    page = Page(logged_in(app, "ann").get("/admin/user/"))
    assert [link.text.strip() for link in page.all("a", href=PAGE)] == ["Access tokens"]


def test_a_guarded_view_accepts_a_token_and_no_session(app: Flask) -> None:
    client = logged_in(app, "ann")
    secret = generate_on_page(client)
    for method in ("GET", "POST"):
        answer = app.test_client().open("/api/me", method=method, headers=bearer(secret))
        assert answer.get_json() == {"token": "1", "user": "ann"}
        assert client.open("/api/me", method=method).status_code == 401


@pytest.mark.parametrize("path", ["/admin/", "/admin/user/", "/admin/user/new/"])
def test_the_administration_is_open_to_a_session_and_to_no_token(app: Flask, path: str) -> None:
    client = logged_in(app, "ann")
    secret = generate_on_page(client)
    assert client.get(path).status_code == 200
    assert app.test_client().get(path, headers=bearer(secret)).status_code in (302, 303)
    if path == "/admin/":  # a token beside a session changes nothing
        bob = logged_in(app, "bob")
        assert bob.get(path, headers=bearer(secret)).text == "Administration for bob"


def test_the_administration_keeps_its_csrf_protection_where_a_forged_token_is_sent(app: Flask) -> None:
    client = logged_in(app, "ann")
    for path, form in (("/admin/user/new/", {"name": "cid"}), ("/admin/user/delete/", {"id": "2"})):
        assert client.post(path, data=form, headers=bearer(FORGED)).status_code == 400
    assert names_on_page(logged_in(app, "bob")) == []


def test_a_user_whom_the_administration_deletes_takes_their_tokens_along(app: Flask) -> None:
    client = logged_in(app, "ann")
    secret = generate_on_page(logged_in(app, "bob"))
    answer = client.post("/admin/user/delete/", data={"id": "2"}, headers=csrf_header(client))
    assert answer.status_code in (302, 303)
    assert app.test_client().get("/api/me", headers=bearer(secret)).status_code == 401
    assert owned(app, 2) == []


def test_the_form_of_a_user_shows_no_tokens_and_saving_it_keeps_them(app: Flask) -> None:
    client = logged_in(app, "ann")
    secret = generate_on_page(logged_in(app, "bob"))
    page = Page(client.get("/admin/user/edit/?id=2"))
    names = {element.attributes.get("name", "") for tag in ("input", "select") for element in page.all(tag)}
    assert "name" in names
    assert {name for name in names if "token" in name} <= {"csrf_token"}
    saved = client.post("/admin/user/edit/?id=2", data={"name": "bert"}, headers=csrf_header(client))
    assert saved.status_code in (302, 303)
    assert app.test_client().get("/api/me", headers=bearer(secret)).get_json()["user"] == "bert"
