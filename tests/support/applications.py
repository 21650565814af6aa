"""Applications that a test sets up by itself."""

from typing import Any

from flask import Flask

from flask_access_tokens import (
    tokens,
)
from host import bearer


def application(name: str = "host", **config: Any) -> Flask:
    app = Flask(name)
    app.config.update(TESTING=True, SECRET_KEY="a key for tests", SQLALCHEMY_DATABASE_URI="sqlite://", **config)
    return app


def made_in(app: Flask, owner: object = "ann", **wish: Any) -> dict[str, str]:
    """The header of a new token of an application, its tables made as well."""
    with app.app_context():
        app.extensions["sqlalchemy"].create_all()
        return bearer(tokens.generate(owner, "laptop", **wish).secret)
