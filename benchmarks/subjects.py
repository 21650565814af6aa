"""The applications that are measured: each has an open route and guarded routes with the same response."""

import os
import sqlite3
import threading
import uuid
from collections.abc import Callable
from hashlib import sha256
from typing import Any

import sqlalchemy as sa
from flask import Flask, abort, request
from flask_httpauth import HTTPTokenAuth
from flask_jwt_extended import JWTManager, create_access_token, get_jwt_identity, jwt_required
from flask_sqlalchemy import SQLAlchemy

from flask_access_tokens import AccessTokens, current_token, token_required, tokens

SAMPLE = 256
"""The number of different tokens that one measurement uses in turn."""

COLUMNS = "id, owner_id, name, description, scopes, created_at, expires_at, last_used_at, hint, digest, scheme"


def _host(name: str, url: str | None = None) -> tuple[Flask, Any]:
    app = Flask(name)
    app.config.update(SECRET_KEY="a key for benchmarks", JWT_SECRET_KEY="a longer key for benchmarks, of 32 bytes")
    app.add_url_rule("/open", view_func=_answer, endpoint="open")
    if url is None:
        return app, None
    app.config["SQLALCHEMY_DATABASE_URI"] = url
    return app, SQLAlchemy(app)


def _answer(owner: str = "ann") -> dict[str, str]:
    return {"owner": owner}


def ours(url: str, *, with_owner: bool = False, **config: Any) -> Flask:
    """The package in a plain host; no last-used update is due during a measurement.

    :param with_owner: pass ``owner=``, as the quick start does.
    """
    app, db = _host("ours", url)
    app.config.update(
        ACCESS_TOKENS_SCOPES={"read": "Read", "write": "Change"}, ACCESS_TOKENS_LAST_USED_INTERVAL=86400, **config
    )
    access_tokens = AccessTokens(app, db, owner=_person(db).id if with_owner else None)
    access_tokens.identity_loader(lambda: "owner of many")

    @app.get("/guarded")
    @token_required
    def guarded() -> dict[str, str]:
        return _answer(current_token.owner_id)

    @app.get("/scoped")
    @token_required("read")
    def scoped() -> dict[str, str]:
        return _answer(current_token.owner_id)

    return app


def ours_with_owner(url: str) -> Flask:
    """The same with ``owner=``, whose class maps ``is_active``."""
    return ours(url, with_owner=True)


def ours_with_listener(url: str) -> Flask:
    """The same with a listener for the transactions of the session, as a host of several tenants has."""
    app = ours(url)
    sa.event.listen(app.extensions["sqlalchemy"].session, "after_begin", lambda *_: None)
    return app


def ours_with_loader(url: str) -> Flask:
    """The same with an owner loader that loads the token's user and checks that it is active."""
    app = ours(url)
    db = app.extensions["sqlalchemy"]
    person = _person(db)

    def load(owner_id: str) -> Any:
        found = db.session.get(person, owner_id)
        return found if found is not None and found.is_active else None

    app.extensions["access_tokens"].loaders.owner = load
    return app


def flask_alone(url: str) -> Flask:
    """A host with a database and without any guard."""
    return _host("alone", url)[0]


def jwt(url: str) -> Flask:
    """Flask-JWT-Extended's stateless check: a signature, without revocation."""
    app, _ = _host("jwt")
    JWTManager(app)

    @app.get("/guarded")
    @jwt_required()
    def guarded() -> dict[str, str]:
        return _answer(get_jwt_identity())

    return app


def httpauth(url: str) -> Flask:
    """Flask-HTTPAuth with a lookup written by hand with Flask-SQLAlchemy."""
    app, db = _host("httpauth", url)
    auth = HTTPTokenAuth("Bearer")
    person = _person(db)

    class Token(db.Model):  # type: ignore[misc, name-defined]
        __tablename__ = "access_tokens"
        id = db.Column(db.String(36), primary_key=True)
        digest = db.Column(db.String(64), unique=True)
        owner_id = db.Column(db.ForeignKey("person.id"))
        expires_at = db.Column(db.DateTime(timezone=True))
        owner = db.relationship(person)

    @auth.verify_token
    def verify(text: str) -> Any:
        found = db.session.scalar(sa.select(Token).where(Token.digest == sha256(text.encode()).hexdigest()))
        return None if found is None else found.owner

    @app.get("/guarded")
    @auth.login_required
    def guarded() -> dict[str, str]:
        return _answer(auth.current_user().id)

    return app


def floor(url: str) -> Flask:
    """The minimum cost of any check by database: a digest and one indexed SELECT, without further checks."""
    app, _ = _host("floor")
    path = sa.make_url(url).database
    engine = sa.create_engine(url, isolation_level="AUTOCOMMIT", pool_reset_on_return=None)
    mark = "?" if engine.dialect.name == "sqlite" else "%s"
    query = f"SELECT {COLUMNS} FROM access_tokens WHERE digest = {mark}"
    held = threading.local()

    def digest() -> str:
        return sha256(request.headers["Authorization"][7:].encode()).hexdigest()

    @app.get("/pooled")
    def pooled() -> dict[str, str]:
        """A compiled SELECT on the driver's connection, taken from SQLAlchemy's pool."""
        connection = engine.raw_connection()
        try:
            cursor = connection.cursor()
            cursor.execute(query, (digest(),))
            row = cursor.fetchone()
            cursor.close()
        finally:
            connection.close()
        return _answer(row[1]) if row else abort(401)

    @app.get("/held")
    def held_open() -> dict[str, str]:
        """The driver alone, on a connection that is never closed."""
        if not hasattr(held, "connection"):
            held.connection = sqlite3.connect(path or "")
        row = held.connection.execute(query, (digest(),)).fetchone()
        return _answer(row[1]) if row else abort(401)

    return app


def _person(db: Any) -> Any:
    class Person(db.Model):  # type: ignore[misc, name-defined]
        id = db.Column(db.String(255), primary_key=True)
        is_active = db.Column(db.Boolean, nullable=False)

    return Person


SUBJECTS: dict[str, Callable[[str], Flask]] = {
    "alone": flask_alone,
    "ours": ours,
    "owner": ours_with_owner,
    "listener": ours_with_listener,
    "loader": ours_with_loader,
    "jwt": jwt,
    "httpauth": httpauth,
    "floor": floor,
}


def serve() -> Flask:
    """What gunicorn serves: one subject of this module."""
    return SUBJECTS[os.environ["BENCHMARK_SUBJECT"]](os.environ["BENCHMARK_URL"])


def prepare(url: str, rows: int) -> list[str]:
    """Create the tables, fill them with this many tokens, and return the secrets of a sample."""
    app = ours_with_loader(url)
    db = app.extensions["sqlalchemy"]
    with app.app_context():
        db.drop_all()
        db.create_all()
        fill(db.engine, rows - SAMPLE)
        with db.engine.begin() as connection:
            for number in range(SAMPLE // 8):
                connection.execute(sa.text("INSERT INTO person VALUES (:id, true)"), {"id": f"owner {number}"})
        secrets = [
            tokens.generate(f"owner {number // 8}", f"laptop {number}", scopes=("read", "write")).secret
            for number in range(SAMPLE)
        ]
        db.session.remove()
        db.engine.dispose()
    return secrets


def fill(engine: sa.Engine, rows: int, owner: str | None = None) -> None:
    """Insert rows with random digests, for which no secret exists, in one SQL statement.

    :param owner: the owner of all rows; by default, each owner has ten rows.
    """
    fields = "id, owner_id, name, description, digest, scheme, hint, scopes, created_at"
    whose = f"'{owner}'" if owner else "'other ' || (i / 10)"
    rest = "'sha256', 'pat_…0000', 'read', '2026-01-01 00:00:00.000000'"
    if engine.dialect.name == "sqlite":
        numbers = f"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {rows})"
        values = f"lower(hex(randomblob(16))), {whose}, 'laptop ' || i, '', lower(hex(randomblob(32))), {rest} FROM n"
        statement = f"INSERT INTO access_tokens ({fields}) {numbers} SELECT {values}"
    else:
        values = f"gen_random_uuid(), {whose}, 'laptop ' || i, '', md5(random()::text) || md5(random()::text), {rest}"
        statement = (
            f"INSERT INTO access_tokens ({fields}) SELECT "
            + values.replace("'2026-01-01 00:00:00.000000'", "now()")
            + f" FROM generate_series(1, {rows}) AS n(i)"
        )
    with engine.begin() as connection:
        connection.exec_driver_sql(statement.replace("%", "%%"))


def web_tokens(count: int = SAMPLE) -> list[str]:
    """Signed tokens for :func:`jwt`, which never expire."""
    app = jwt("")
    app.config["JWT_ACCESS_TOKEN_EXPIRES"] = False
    with app.app_context():
        return [create_access_token(f"owner {uuid.uuid4()}") for _ in range(count)]
