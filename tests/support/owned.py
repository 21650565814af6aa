"""A host whose users are mapped, and identified by ``owner=``."""

import uuid
from collections.abc import Callable
from typing import Any

import sqlalchemy as sa
from flask import Flask, session
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy.orm import Mapped, mapped_column

from flask_access_tokens import AccessTokenMixin, AccessTokens, current_token, token_required, tokens
from host import bearer


class OwnedHost:
    """The host, set up in two steps as a factory does."""

    creates_tables = True
    """Whether a host begins with empty tables."""

    def __init__(
        self,
        url: str,
        *,
        own_model: bool = False,
        foreign_key: bool = True,
        key: str = "id",
        may_act: Callable[[Any], Any] | None = None,
        **members: Any,
    ) -> None:
        self.app = Flask("host")
        self.app.config.update(TESTING=True, SECRET_KEY="a key for tests", SQLALCHEMY_DATABASE_URI=url)
        self.db = db = SQLAlchemy()
        columns = {
            "id": mapped_column(sa.Integer, primary_key=True),
            "name": mapped_column(sa.String(50), unique=True),
            "uuid": mapped_column(sa.Uuid, unique=True, default=uuid.uuid4),
        }
        self.user: Any = type("User", (db.Model,), {"__tablename__": "people", **columns, **members})
        owner = getattr(self.user, key)
        model = None
        if own_model:

            class ApiToken(AccessTokenMixin, db.Model):
                __tablename__ = "api_tokens"
                owner_id: Mapped[Any] = (
                    mapped_column(sa.ForeignKey(owner, ondelete="CASCADE"), index=True)
                    if foreign_key
                    else mapped_column(owner.property.columns[0].type, index=True)
                )

            model = ApiToken
        self.access_tokens = AccessTokens()
        db.init_app(self.app)
        self.access_tokens.init_app(self.app, owner=owner, active=may_act(self.user) if may_act else None, model=model)
        self.access_tokens.identity_loader(lambda: db.session.get(self.user, session["id"]))

        @self.app.get("/sign-in/<int:user>")
        def sign_in(user: int) -> str:
            session["id"] = user
            return "signed in"

        @self.app.get("/shared")
        @token_required(or_session=True)
        def shared() -> str:
            return "in"

        @self.app.get("/api")
        @token_required
        def api() -> dict[str, str]:
            return {"owner": current_token.owner_id}

        @self.app.get("/name")
        @token_required
        def name() -> dict[str, str]:
            return {"name": current_token.owner.name}

        if self.creates_tables:
            with self.app.app_context():
                db.drop_all()
                db.create_all()

    def add(self, name: str, **values: Any) -> Any:
        """Add a user and return the value of the column that identifies them."""
        with self.app.app_context():
            user = self.user(name=name, **values)
            self.db.session.add(user)
            self.db.session.commit()
            return getattr(user, self.app.extensions["access_tokens"].owner.key)

    def client(self, user: Any) -> Any:
        """A test client in whose session a user is signed in."""
        client = self.app.test_client()
        client.get(f"/sign-in/{user}")
        return client

    def change(self, user: Any, **values: Any) -> None:
        """Change the columns of a user."""
        self.run(lambda session: session.execute(sa.update(self.user).where(self.user.id == user).values(**values)))

    def generate(self, owner: Any) -> dict[str, str]:
        with self.app.app_context():
            return bearer(tokens.generate(owner, "laptop").secret)

    def run(self, work: Callable[[Any], Any]) -> Any:
        """Do something in the host's session and commit it."""
        with self.app.app_context():
            found = work(self.db.session)
            self.db.session.commit()
            return found

    def owners(self) -> list[str]:
        """The owner ID of every token that is stored."""
        with self.app.app_context():
            return [token.owner_id for token in tokens.iter_all()]
