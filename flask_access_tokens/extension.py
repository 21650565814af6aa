"""The extension object with its loaders, and the configuration defaults."""

from collections.abc import Callable
from typing import Any, TypeVar

from flask import Flask, Response, current_app, request_finished, request_tearing_down

from . import models
from .api import csrf, guard
from .cli import commands
from .models import AccessTokenMixin
from .page import headers, identity, views
from .state import Loaders, State, check_config
from .store import last_used

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
"""What Flask-WTF reads, and sets only where the host uses CSRFProtect."""


class AccessTokens:
    """Personal access tokens for a Flask application: the page, the guarded views and the command line.

    :param app: the application; without one, call :meth:`init_app` later.
    :param db: the host's Flask-SQLAlchemy or Flask-SQLAlchemy-Lite object; without one, that of the application.
    :param model: the host's own model, a class made with :class:`AccessTokenMixin`; without one, a ready-made model on
        the host's MetaData. Flask-SQLAlchemy-Lite has no MetaData and needs a model.
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
        self._model = model or (None if db is None else _default_model(db))
        self._loaders = Loaders()
        if app is not None:
            self.init_app(app, db)

    def init_app(self, app: Flask, db: Any = None) -> None:
        """Set up an application.

        :param app: the application.
        :param db: the host's database object, if it was not passed before.
        :raises ValueError: for a configuration that cannot work.
        :raises RuntimeError: where there is no database object, or the application is set up already.
        """
        if "access_tokens" in app.extensions:
            raise RuntimeError("Access tokens are already set up on this application: call init_app once.")
        if db is None:
            db = self._db or app.extensions.get("sqlalchemy")
        if db is None:
            raise RuntimeError("No database found. Set up Flask-SQLAlchemy first, or pass it: AccessTokens(app, db).")
        for key, value in {**DEFAULTS, **_WTF_DEFAULTS}.items():
            app.config.setdefault(key, value)
        check_config(app.config)
        model = self._own_model or _default_model(db)
        self._model = self._model or model
        app.extensions["access_tokens"] = State(app, db, model, self._loaders)
        app.register_blueprint(views.blueprint, url_prefix=app.config["ACCESS_TOKENS_URL_PREFIX"])
        app.cli.add_command(commands)
        identity.watch_flask_login(app)
        csrf.leave_to_guard(app)
        # Signals, because they are sent after the host's own functions, whatever the order of registration.
        request_finished.connect(_set_headers, app)
        request_tearing_down.connect(last_used.write_uses, app)

    @property
    def model(self) -> type[AccessTokenMixin]:
        """The mapped class of the tokens: the current application's; outside of one, that of the first set up."""
        state: State | None = current_app.extensions.get("access_tokens") if current_app else None
        if state is not None and state.loaders is self._loaders:
            return state.model
        if self._model is None:
            raise RuntimeError("There is no model yet. Call AccessTokens(app, db) or access_tokens.init_app(app, db).")
        return self._model

    def identity_loader(self, load: Loader) -> Loader:
        """Register ``() -> owner ID or None``: who is signed in to this session. Not needed with Flask-Login."""
        self._loaders.identity = load
        return load

    def owner_loader(self, load: Loader) -> Loader:
        """Register ``(owner_id: str) -> owner or None``: the owner a token acts for. None refuses the token."""
        self._loaders.owner = load
        return load

    def scopes_loader(self, load: Loader) -> Loader:
        """Register ``(owner_id: str) -> iterable of scope names``: what an owner may grant. By default all scopes."""
        self._loaders.scopes = load
        return load


def _set_headers(app: Flask, response: Response, **_: Any) -> None:
    # One receiver for both: on every request of the host, it is inspected before it is called.
    guard.set_headers(response)
    headers.set_headers(response)


def _default_model(db: Any) -> type[AccessTokenMixin]:
    metadata = getattr(db, "metadata", None)
    if metadata is None:
        raise RuntimeError(
            "This database object has no MetaData for a ready-made model. Pass a model of your own:"
            " AccessTokens(app, db, model=ApiToken), a class made with AccessTokenMixin."
        )
    return models.build_default_model(metadata)
