"""The state of an application: its loaders, with and without Flask-Login, and its configuration."""

from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask, redirect
from flask_login import LoginManager, UserMixin, current_user, login_required, login_user
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy.orm import Mapped, mapped_column

from flask_access_tokens import AccessTokens, current_token, token_rejected, token_required, tokens
from host import REDIRECTED, bearer


class LoginHost:
    """A host with Flask-Login, people in its database, and no loader of this extension."""

    def __init__(self, **config: Any) -> None:
        self.app = app = Flask("login host")
        app.config.update(
            TESTING=True, SECRET_KEY="a key", SQLALCHEMY_DATABASE_URI="sqlite://", WTF_CSRF_ENABLED=False, **config
        )
        self.db = db = SQLAlchemy(app)
        self.access_tokens = AccessTokens(app, db)
        self.login = LoginManager(app)

        class Person(db.Model, UserMixin):  # type: ignore[name-defined,misc]
            id: Mapped[int] = mapped_column(primary_key=True)
            name: Mapped[str] = mapped_column(sa.String(20))
            active: Mapped[bool] = mapped_column(default=True)

            @property
            def is_active(self) -> bool:
                return self.active

        self.person = Person

        @self.login.user_loader
        def load(person_id: str) -> Any:
            return db.session.get(Person, int(person_id))

        @app.get("/sign-in/<int:person_id>")
        def sign_in(person_id: int) -> str:
            login_user(db.session.get(Person, person_id))
            return "in"

        @app.get("/api")
        @token_required
        def api() -> dict[str, Any]:
            return {"owner": current_token.owner.name, "session": current_user.is_authenticated}

        @app.get("/private")
        @login_required
        def private() -> str:
            name: str = current_user.name
            return name

        with app.app_context():
            db.create_all()
            db.session.add_all([Person(id=1, name="Ann"), Person(id=2, name="Bob")])
            db.session.commit()

    def generate(self, owner: int = 1) -> dict[str, str]:
        with self.app.app_context():
            return bearer(tokens.generate(owner, "laptop").secret)

    def change(self, **values: Any) -> None:
        with self.app.app_context():
            self.db.session.execute(sa.update(self.person).where(self.person.id == 1).values(**values))
            self.db.session.commit()

    def count(self) -> int:
        with self.app.app_context():
            return len(list(tokens.iter_all()))


@pytest.fixture
def host() -> LoginHost:
    """A host with Flask-Login."""
    return LoginHost()


def accept_tokens_everywhere(host: LoginHost) -> None:
    """Let a bearer token sign in on the host's own pages, as a host may."""

    @host.login.request_loader
    def load(request: Any) -> Any:
        scheme, _, text = request.headers.get("Authorization", "").partition(" ")
        token = tokens.find(text) if scheme.lower() == "bearer" else None
        return None if token is None else host.db.session.get(host.person, int(token.owner_id))


def test_flask_login_needs_no_further_loader(host: LoginHost) -> None:
    client = host.app.test_client()
    assert client.get("/api", headers=host.generate()).get_json() == {"owner": "Ann", "session": True}
    client.get("/sign-in/2")
    assert client.get("/api", headers=host.generate()).get_json()["owner"] == "Ann"
    page = client.get("/access-tokens/")
    assert page.status_code == 200
    assert "laptop" not in page.text


def test_an_inactive_or_deleted_person_s_tokens_are_refused(host: LoginHost) -> None:
    client, header = host.app.test_client(), host.generate()
    reasons: list[str] = []

    def hear(sender: Flask, reason: str, token_id: object) -> None:
        reasons.append(reason)

    with token_rejected.connected_to(hear, host.app):
        host.change(active=False)
        assert client.get("/api", headers=header).status_code == 401
        host.change(active=True)
        assert client.get("/api", headers=header).status_code == 200
        with host.app.app_context():
            host.db.session.delete(host.db.session.get(host.person, 1))
            host.db.session.commit()
        assert client.get("/api", headers=header).status_code == 401
    assert reasons == ["owner", "owner"]


def test_an_owner_loader_has_precedence_over_flask_login_s(host: LoginHost) -> None:
    host.access_tokens.owner_loader(lambda owner_id: None)
    assert host.app.test_client().get("/api", headers=host.generate()).status_code == 401


@pytest.mark.case("A16")
def test_a_signed_in_session_grants_no_access_to_a_guarded_view(host: LoginHost) -> None:
    client = host.app.test_client()
    client.get("/sign-in/1")
    assert client.get("/private").text == "Ann"
    assert client.get("/api").status_code == 401


def test_a_token_grants_no_access_to_a_view_that_requires_a_session(host: LoginHost) -> None:
    host.login.unauthorized_handler(lambda: redirect("/sign-in"))
    assert host.app.test_client().get("/private", headers=host.generate()).status_code == REDIRECTED


@pytest.mark.case("C08")
@pytest.mark.parametrize("generous", [False, True], ids=["plain", "with a request loader that accepts tokens"])
def test_a_token_never_shows_the_page_nor_generates_nor_deletes_a_token(host: LoginHost, generous: bool) -> None:
    header = host.generate()
    if generous:
        accept_tokens_everywhere(host)
        assert host.app.test_client().get("/private", headers=header).text == "Ann"
    with host.app.app_context():
        (token,) = tokens.owned_by(1)
    signed_in = host.app.test_client()
    signed_in.get("/sign-in/1")
    for client in (host.app.test_client(), signed_in):
        for method, path in (
            ("get", ""),
            ("get", "new"),
            ("post", "new"),
            ("get", f"{token.id}/delete"),
            ("post", f"{token.id}/delete"),
        ):
            answer = getattr(client, method)(f"/access-tokens/{path}", headers=header, data={"name": "x"})
            assert answer.status_code in (REDIRECTED, 401), path
            assert "laptop" not in answer.text
    assert host.count() == 1


def test_a_request_loader_alone_identifies_nobody(host: LoginHost) -> None:
    """It cannot load a person by their id, so the token is accepted without its owner."""
    host.login.user_loader(None)
    host.app.add_url_rule("/plain", "plain", token_required(lambda: current_token.owner_id))
    assert host.app.test_client().get("/plain", headers=host.generate()).text == "1"
    with pytest.raises(RuntimeError, match="owner_loader"):
        host.app.test_client().get("/api", headers=host.generate())


@pytest.mark.parametrize("flag", [False, lambda owner_id: False])
def test_a_flag_that_is_off_calls_no_loader(host: LoginHost, flag: bool | Callable[[str], bool]) -> None:
    header = host.generate()
    host.app.config["ACCESS_TOKENS_ENABLED"] = flag

    @host.access_tokens.owner_loader
    def load(owner_id: str) -> None:
        raise AssertionError("asked")

    assert host.app.test_client().get("/api", headers=header).status_code == 401


@pytest.mark.case("H04")
def test_the_flag_is_called_with_the_token_s_owner(host: LoginHost) -> None:
    asked: list[str | None] = []
    header = host.generate()

    def flag(owner_id: str | None) -> bool:
        asked.append(owner_id)
        return True

    host.app.config["ACCESS_TOKENS_ENABLED"] = flag
    client = host.app.test_client()
    client.get("/api", headers=header)
    client.get("/api")
    assert asked == ["1"]
