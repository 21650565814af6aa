"""What people and programs do in an application that a test sets up with a library of its own."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from flask import Flask
from flask_wtf.csrf import generate_csrf

from flask_access_tokens import tokens
from host import SEPARATE_STDERR
from pages import NEW, PAGE, SECRET, form_data

CONFIG = {"TESTING": True, "SECRET_KEY": "a key for tests", "SQLALCHEMY_DATABASE_URI": "sqlite://"}
FOREIGN = {"Authorization": "Bearer eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhbm4ifQ.c2lnbmF0dXJl"}
"""A bearer credential that is not ours, such as an identity provider's."""


@contextmanager
def running(app: Flask) -> Iterator[Flask]:
    """Create an application's tables; at the end, drop them and close every connection."""
    db = app.extensions["sqlalchemy"]
    with app.app_context():
        db.create_all()
    yield app
    with app.app_context():
        db.session.remove()
        db.drop_all()
        for engine in db.engines.values():
            engine.dispose()


def generate_on_page(client: Any, name: str = "laptop", **fields: Any) -> str:
    """Generate a token through the page's form and return its secret."""
    answer = client.post(NEW, data=form_data(client, name=name, **fields))
    assert answer.status_code == 200, answer.text
    return SECRET.findall(answer.text)[0]


def new_secret(app: Flask, owner: object, name: str = "laptop", **values: Any) -> str:
    """The secret of a token that is generated outside a request, as the command line does."""
    with app.app_context():
        return str(tokens.generate(owner, name, **values).secret)


def names_on_page(client: Any) -> list[str]:
    """The names of the tokens in the list, read from the label of each delete button."""
    answer = client.get(PAGE)
    assert answer.status_code == 200
    return sorted(set(re.findall(r"Delete token (\w+)", answer.text)))


def add_csrf_view(app: Flask) -> None:
    """Add a view that returns a CSRF token, as the host's own forms contain one."""
    app.get("/csrf-token", endpoint="csrf_token")(generate_csrf)


def csrf_header(client: Any) -> dict[str, str]:
    """The header with which a page's script sends the CSRF token of its session."""
    return {"X-CSRFToken": client.get("/csrf-token").text}


def sign_in(app: Flask, user_id: object) -> Any:
    """A test client in whose session Flask-Login finds a user."""
    client = app.test_client()
    with client.session_transaction() as session:
        session.update(_user_id=str(user_id), _fresh=True)
    return client


def owned(app: Flask, owner: object) -> list[str]:
    """The names of an owner's tokens."""
    with app.app_context():
        return sorted(token.name for token in tokens.owned_by(owner))


def command(app: Flask, *arguments: str) -> str:
    """The output of ``flask access-tokens …``, which must succeed."""
    ran = app.test_cli_runner(**SEPARATE_STDERR).invoke(args=["access-tokens", *arguments])
    assert ran.exit_code == 0, ran.output
    return str(ran.stdout)


def warnings_about_owner(caplog: Any) -> list[str]:
    """The package's log warnings that name ``owner=``."""
    return [
        record.getMessage()
        for record in caplog.records
        if (record.name, record.levelname) == ("flask_access_tokens", "WARNING") and "owner=" in record.getMessage()
    ]
