"""Hosts whose users sign in with Flask-Login."""

from typing import Any

from flask import request
from flask_login import LoginManager, UserMixin, login_user

from host import Host


def with_flask_login(host: Host) -> LoginManager:
    """Identify the signed-in user through Flask-Login, as most hosts do."""
    manager = LoginManager(host.app)

    class User(UserMixin):
        def __init__(self, name: str) -> None:
            self.id = name

    manager.user_loader(User)
    host.access_tokens._loaders.identity = None

    @host.app.get("/log-in/<person>")
    def log_in(person: str) -> str:
        login_user(User(person), remember="remember" in request.args)
        return person

    @host.app.get("/login", endpoint="login")
    def login() -> str:
        return "Please log in"

    return manager


def logged_in(host: Host, person: str) -> Any:
    """A test client signed in through Flask-Login."""
    client = host.app.test_client()
    client.get(f"/log-in/{person}")
    return client
