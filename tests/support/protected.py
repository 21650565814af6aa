"""Applications under CSRFProtect."""

from flask import Flask, session
from flask_sqlalchemy import SQLAlchemy
from flask_wtf import CSRFProtect

from applications import application
from flask_access_tokens import AccessTokens


def protected(order: str) -> Flask:
    """An application that protects everything, set up before or after the extension."""
    app = application()
    db = SQLAlchemy(app)
    if order == "before":
        CSRFProtect(app)
    AccessTokens(app, db).identity_loader(lambda: session.get("person"))
    if order == "after":
        CSRFProtect(app)
    return app
