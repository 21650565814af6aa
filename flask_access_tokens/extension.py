"""Wiring: nothing here runs during a request, but what it hands to Flask."""

from collections.abc import Callable
from typing import Any, TypeVar

from flask import Flask, Response, current_app

from . import models, tokens
from .api import guard
from .cli import commands
from .models import AccessTokenMixin
from .page import views
from .state import Loaders, State, check_config

Loader = TypeVar("Loader", bound=Callable[..., Any])

DEFAULTS: dict[str, Any] = {
    "ACCESS_TOKENS_ENABLED": True,
    "ACCESS_TOKENS_SELF_SERVICE": True,
    "ACCESS_TOKENS_URL_PREFIX": "/access-tokens",
    "ACCESS_TOKENS_PREFIX": "pat",
    "ACCESS_TOKENS_DEFAULT_LIFETIME_DAYS": 365,
    "ACCESS_TOKENS_MAX_LIFETIME_DAYS": -1,
    "ACCESS_TOKENS_MAX_PER_OWNER": -1,
    "ACCESS_TOKENS_SCOPES": {},
    "ACCESS_TOKENS_LAST_USED_INTERVAL": 60,
    "ACCESS_TOKENS_REALM": "api",
    "ACCESS_TOKENS_PEPPERS": (),
    "ACCESS_TOKENS_BASE_TEMPLATE": "access_tokens/base.html",
    "ACCESS_TOKENS_HTMX": "auto",
}

_WTF_DEFAULTS: dict[str, Any] = {
    "WTF_CSRF_METHODS": {"POST", "PUT", "PATCH", "DELETE"},
    "WTF_CSRF_FIELD_NAME": "csrf_token",
    "WTF_CSRF_HEADERS": ["X-CSRFToken", "X-CSRF-Token"],
    "WTF_CSRF_SSL_STRICT": True,
}
"""What Flask-WTF reads and sets only where the host protects the whole application."""


class AccessTokens:
    """Personal access tokens for a Flask application: the page, the guarded views and the command line.

    :param app: the application; left out, :meth:`init_app` takes it later.
    :param db: the host's Flask-SQLAlchemy (or -Lite) object; left out, the one set up on the application.
    :param model: the host's own model made with :class:`AccessTokenMixin`; left out, a ready-made one on the host's
        MetaData. Flask-SQLAlchemy-Lite has no MetaData, so it needs a model.
    """

    def __init__(
        self,
        app: Flask | None = None,
        db: Any = None,
        *,
        model: type[AccessTokenMixin] | None = None,
    ) -> None:
        self._db = db
        self._own_model = model
        self._model = model or (None if db is None else _ready_made(db))
        self._loaders = Loaders()
        if app is not None:
            self.init_app(app, db)

    def init_app(self, app: Flask, db: Any = None) -> None:
        """Set an application up.

        :param app: the application.
        :param db: the host's database object, where it was not given before.
        :raises ValueError: for a configuration that cannot work.
        :raises RuntimeError: where the database object cannot be found, or the application is set up already.
        """
        if "access_tokens" in app.extensions:
            raise RuntimeError("This application has access tokens already: call init_app once.")
        if db is None:
            db = self._db or app.extensions.get("sqlalchemy")
        if db is None:
            raise RuntimeError("No database found. Set up Flask-SQLAlchemy first, or pass it: AccessTokens(app, db).")
        for key, value in DEFAULTS.items():
            app.config.setdefault(key, value)
        for key, value in _WTF_DEFAULTS.items():
            app.config.setdefault(key, value)
        check_config(app.config)
        model = self._own_model or _ready_made(db)
        self._model = self._model or model
        app.extensions["access_tokens"] = State(app, db, model, self._loaders)
        app.register_blueprint(views.blueprint, url_prefix=app.config["ACCESS_TOKENS_URL_PREFIX"])
        app.cli.add_command(commands)
        # First in each list: asked before CSRFProtect, run after the host has set its headers and closed its session.
        app.before_request_funcs.setdefault(None, []).insert(0, guard.exempt_from_csrf)
        app.after_request_funcs.setdefault(None, []).insert(0, _finish)
        app.teardown_appcontext_funcs.insert(0, tokens.write_uses)
        app.teardown_request_funcs.setdefault(None, []).insert(0, tokens.write_uses_of_outer_context)

    @property
    def model(self) -> type[AccessTokenMixin]:
        """The mapped class of the tokens: the current application's, outside of one the first that was set up."""
        state: State | None = current_app.extensions.get("access_tokens") if current_app else None
        if state is not None and state.loaders is self._loaders:
            return state.model
        if self._model is None:
            raise RuntimeError("There is no model yet. Call AccessTokens(app, db) or access_tokens.init_app(app, db).")
        return self._model

    def identity_loader(self, load: Loader) -> Loader:
        """Register ``() -> owner id or None``: who is signed in to this session. Flask-Login needs none."""
        self._loaders.identity = load
        return load

    def owner_loader(self, load: Loader) -> Loader:
        """Register ``(owner_id: str) -> owner or None``: whom a token acts for; None refuses the token."""
        self._loaders.owner = load
        return load

    def scopes_loader(self, load: Loader) -> Loader:
        """Register ``(owner_id: str) -> iterable of scope names`` that this owner may grant; default: all declared."""
        self._loaders.scopes = load
        return load


def _finish(response: Response) -> Response:
    # One hook for both doors: Flask asks of each, on every request of the host, whether it is a coroutine function.
    return guard.finish(views.finish(response))


def _ready_made(db: Any) -> type[AccessTokenMixin]:
    metadata = getattr(db, "metadata", None)
    if metadata is None:
        raise RuntimeError(
            "This database object has no MetaData, so there is no place for a ready-made model. Pass your own:"
            " AccessTokens(app, db, model=ApiToken), a class made with AccessTokenMixin."
        )
    return models.ready_made(metadata)
