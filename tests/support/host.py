"""A small host application for tests: two people, guarded routes, sign-in by one request."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from inspect import signature
from typing import Any

import sqlalchemy as sa
from click.testing import CliRunner
from flask import Flask, jsonify, redirect, request, session
from flask_sqlalchemy import SQLAlchemy
from flask_wtf import CSRFProtect
from jinja2 import BytecodeCache
from jinja2.bccache import Bucket

from flask_access_tokens import AccessTokens, current_token, token_required, tokens
from flask_access_tokens.tokens import NewToken

REDIRECTED = redirect("/").status_code
"""302, and 303 from Flask 3.2 on."""

SEPARATE_STDERR = {"mix_stderr": False} if "mix_stderr" in signature(CliRunner.__init__).parameters else {}
"""For click before 8.2; later versions always separate it."""

SCOPES = {"read": "Read things", "write": "Change things"}


class _CompiledOnce(BytecodeCache):
    """A cache of compiled templates for all hosts of a test run."""

    def __init__(self) -> None:
        self.code: dict[str, bytes] = {}

    def load_bytecode(self, bucket: Bucket) -> None:
        if bucket.key in self.code:
            bucket.bytecode_from_string(self.code[bucket.key])

    def dump_bytecode(self, bucket: Bucket) -> None:
        self.code[bucket.key] = bucket.bytecode_to_string()


_compiled = _CompiledOnce()


class Host:
    """The application, with the objects that tests need."""

    def __init__(
        self,
        url: str = "sqlite://",
        *,
        csrf: bool = False,
        model: Callable[[SQLAlchemy], Any] | None = None,
        owner: Callable[[SQLAlchemy], Any] | None = None,
        **config: Any,
    ) -> None:
        self.app = app = Flask("host")
        app.jinja_options = {"bytecode_cache": _compiled}
        app.config.update(
            TESTING=True,
            SECRET_KEY="a key for tests",
            SQLALCHEMY_DATABASE_URI=url,
            WTF_CSRF_ENABLED=csrf,
            ACCESS_TOKENS_SCOPES=SCOPES,
        )
        app.config.update(config)
        self.db = SQLAlchemy(app)
        self.access_tokens = AccessTokens(
            app, self.db, model=model(self.db) if model else None, owner=owner(self.db) if owner else None
        )
        if csrf:
            CSRFProtect(app)
        add_sign_in(app, self.access_tokens)

        @app.get("/api")
        @token_required
        def api() -> Any:
            return jsonify(owner=current_token.owner_id, scopes=current_token.scopes)

        @app.post("/write")
        @token_required("write")
        def write() -> Any:
            return jsonify(owner=current_token.owner_id, sent=request.form.to_dict())

        @app.get("/optional")
        @token_required(optional=True)
        def optional() -> Any:
            return jsonify(owner=current_token.owner_id if current_token else None)

    def client(self, person: str | None = None) -> Any:
        """A test client, signed in as a person if one is named."""
        client = self.app.test_client()
        if person is not None:
            client.get(f"/sign-in/{person}")
        return client

    def generate(self, owner_id: object = "ann", name: str = "laptop", **values: Any) -> NewToken:
        """Generate a token outside a request, as the command line does."""
        with self.app.app_context():
            return tokens.generate(owner_id, name, **values)

    def find(self, secret: str) -> tokens.Token | None:
        """The live token of a secret, or None."""
        with self.app.app_context():
            return tokens.find(secret)

    def rows(self) -> list[dict[str, Any]]:
        """Every row of the token table, as it is stored."""
        with self.app.app_context():
            table = self.access_tokens.model.__table__
            with self.db.session.get_bind(mapper=self.access_tokens.model).connect() as connection:
                return [dict(row) for row in connection.execute(sa.select(table)).mappings()]

    def call(self, *arguments: str, stdin: str | bytes = "") -> Any:
        """Run ``flask access-tokens …`` and return the result."""
        return self.app.test_cli_runner(**SEPARATE_STDERR).invoke(args=["access-tokens", *arguments], input=stdin)

    @contextmanager
    def statements(self) -> Iterator[list[str]]:
        """Collect the SQL statements that run in the block, from SQLAlchemy's events."""
        seen: list[str] = []

        def note(connection: Any, cursor: Any, statement: str, *_: Any) -> None:
            seen.append(statement)

        with self.app.app_context():
            engines = list(self.db.engines.values())
        for engine in engines:
            sa.event.listen(engine, "before_cursor_execute", note)
        try:
            yield seen
        finally:
            for engine in engines:
                sa.event.remove(engine, "before_cursor_execute", note)


def add_sign_in(app: Flask, access_tokens: AccessTokens) -> None:
    """Let one request sign a person in to the session, whose name is the owner ID."""
    access_tokens.identity_loader(lambda: session.get("person"))

    @app.get("/sign-in/<person>")
    def sign_in(person: str) -> str:
        session["person"] = person
        return f"signed in as {person}"


def stop_thread(app: Flask) -> None:
    """Let an application's last-used updates end before its database goes away."""
    writer = app.extensions["access_tokens"].writer
    if writer is not None:
        writer.close()


def bearer(secret: str) -> dict[str, str]:
    """The header that carries a secret."""
    return {"Authorization": f"Bearer {secret}"}


class Clock:
    """A clock that a test sets."""

    def __init__(self, moment: datetime) -> None:
        self.moment = moment

    def __call__(self) -> datetime:
        return self.moment

    def pass_(self, **time: float) -> None:
        self.moment += timedelta(**time)


def short(value: object) -> str:
    """A short test id for a value: pytest cannot select a test whose id has a backslash."""
    return ascii(value).replace("\\", "")[:20]
