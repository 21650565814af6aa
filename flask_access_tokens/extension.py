"""The extension object with its loaders."""

from collections.abc import Callable
from typing import Any, TypeVar

from flask import Flask, current_app, request_finished

from . import models
from .api import acting_user, csrf, endpoints
from .cli import commands
from .config import DEFAULTS, check_config
from .models import AccessTokenMixin
from .page import views
from .state import Loaders, State, finish_request
from .store import owners

Loader = TypeVar("Loader", bound=Callable[..., Any])

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
    :param owner: the mapped column that identifies an owner, such as ``User.id``. Without it, set an
        :meth:`owner_loader`, or tokens act for an ID that nothing checks.
    :param active: an SQL expression over the owner's class that says who may act, such as
        ``User.disabled_at.is_(None)``. Everybody else is refused, with a token and on the page. Without it, an
        attribute ``is_active`` decides, if the class has one.
    :param model: the host's own model, a class made with :class:`AccessTokenMixin`; without one, a ready-made model on
        the MetaData of the owner or of the database object.
    """

    def __init__(
        self,
        app: Flask | None = None,
        db: Any = None,
        *,
        owner: Any = None,
        active: Any = None,
        model: type[AccessTokenMixin] | None = None,
    ) -> None:
        _validate_order(app, db)
        self._given = db, owner, active, model
        self._model = model
        if model is None and (db is not None or owner is not None):
            self._model = _default_model(db, owner)
        self._loaders = Loaders()
        if app is not None:
            self.init_app(app)

    def init_app(
        self,
        app: Flask,
        db: Any = None,
        *,
        owner: Any = None,
        active: Any = None,
        model: type[AccessTokenMixin] | None = None,
    ) -> None:
        """Set up an application. What was not passed to the constructor can be passed here.

        :param app: the application.
        :param db: the host's database object.
        :param owner: the mapped column that identifies an owner.
        :param active: the SQL expression that says whether an owner may act.
        :param model: the host's own model.
        :raises TypeError: if ``owner`` is not a mapped column, ``active`` is not an SQL expression, or the arguments
            are in another order.
        :raises ValueError: for an owner, a model, a configuration or a blueprint of the host's that cannot work.
        :raises RuntimeError: where there is no database object, or the application is set up already.
        """
        _validate_order(app, db)
        if "access_tokens" in app.extensions:
            raise RuntimeError("Access tokens are already set up on this application: call init_app once.")
        given_db, given_owner, given_active, given_model = self._given
        db = given_db if db is None else db
        db = app.extensions.get("sqlalchemy") if db is None else db
        owner = given_owner if owner is None else owner
        active = given_active if active is None else active
        if db is None:
            raise RuntimeError("No database found. Set up Flask-SQLAlchemy first, or pass it: AccessTokens(app, db).")
        for key, value in {**DEFAULTS, **_WTF_DEFAULTS}.items():
            app.config.setdefault(key, value)
        check_config(app.config)
        for name in app.blueprints.keys() & {views.blueprint.name, endpoints.blueprint.name}:
            raise ValueError(f'This application has a blueprint "{name}" of its own. Give it another name.')
        model = model or given_model or _default_model(db, owner)
        if owner is not None:
            owners.validate_owner(model, owner)
            owners.delete_with_owners(model, owner)
        owners.validate_active(active, owner)
        self._model = self._model or model
        app.extensions["access_tokens"] = State(app, db, model, self._loaders, owner, active)
        for blueprint in (views.blueprint, endpoints.blueprint):
            app.register_blueprint(blueprint, url_prefix=app.config["ACCESS_TOKENS_URL_PREFIX"])
        app.cli.add_command(commands)
        acting_user.act_as_owner(app)
        csrf.pass_valid_tokens(app)
        # A signal, because it is sent after the host's own functions, whatever the order of registration.
        request_finished.connect(finish_request, app)

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
        """Register ``() -> owner ID, owner or None``: who is signed in to this session. Not needed with Flask-Login.

        It must tell of the session alone, never of a header or the query string of a request: whoever it returns can
        generate tokens.
        """
        self._loaders.identity = load
        return load

    def operator_loader(self, load: Loader) -> Loader:
        """Register ``() -> operator ID or None``: who may use the operators' desk. Without it, the desk answers 404.

        It must use the session alone, never a header or the query string of a request: whoever it returns can see and
        delete everybody's tokens, and generate tokens for others. ``NoResultFound`` and ``NotFound`` count as None;
        any other exception goes on to Flask.
        """
        self._loaders.operator = load
        return load

    def owner_loader(self, load: Loader) -> Loader:
        """Register ``(owner_id: str) -> owner or None``: the owner a token acts for. Anything false refuses the token.

        So do ``NoResultFound`` and ``NotFound``, which ``scalar_one`` and ``get_or_404`` raise where there is no row.
        """
        self._loaders.owner = load
        return load

    def scopes_loader(self, load: Loader) -> Loader:
        """Register ``(owner_id: str) -> iterable of scope names``: what an owner may grant. By default all scopes."""
        self._loaders.scopes = load
        return load


def _validate_order(app: Any, db: Any) -> None:
    if isinstance(db, Flask) or not (app is None or isinstance(app, Flask)):
        given = f"app is a {type(app).__name__}, and db a {type(db).__name__}"
        raise TypeError(f"{given}. Pass the application first: AccessTokens(app, db).")


def _default_model(db: Any, owner: Any) -> type[AccessTokenMixin]:
    if owner is not None:
        column = models.owner_column(owner)
        return models.build_default_model(column.table.metadata, column)
    metadata = getattr(db, "metadata", None)
    if metadata is None:
        raise RuntimeError(
            "This database object has no MetaData for a ready-made model. Pass the column that identifies an owner,"
            " AccessTokens(app, db, owner=User.id), or a model of your own, AccessTokens(app, db, model=ApiToken), a"
            " class made with AccessTokenMixin."
        )
    return models.build_default_model(metadata)
