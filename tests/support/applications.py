"""Applications that a test sets up itself."""

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


def new_token_header(app: Flask, owner: object = "ann", **values: Any) -> dict[str, str]:
    """Create an application's tables, generate a token and return its header."""
    with app.app_context():
        app.extensions["sqlalchemy"].create_all()
        return bearer(tokens.generate(owner, "laptop", **values).secret)
