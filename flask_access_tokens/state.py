"""What one application has: its database, its model, its loaders and its configuration."""

import logging
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any
from uuid import UUID

from flask import Config, Flask, Request, Response, current_app, request
from sqlalchemy import ColumnElement
from sqlalchemy.exc import NoResultFound
from sqlalchemy.orm import QueryableAttribute, Session
from werkzeug.exceptions import NotFound

from .models import AccessTokenMixin
from .places import Places, validate_places
from .secret import validate_adopted, validate_prefixes

logger = logging.getLogger("flask_access_tokens")

NO_ROW = (NoResultFound, NotFound)
"""What a loader raises where ``scalar_one`` or ``get_or_404`` finds no row: an answer, not a failure."""

_OF_REQUEST = "_access_tokens"
"""The attribute of a request for what the extension keeps about it."""

UNLIMITED = -1
"""Stands for "no limit" in the configuration, and for "never expires" as a lifetime."""

MAX_INTERVAL = 366 * 24 * 60 * 60
"""Seconds."""

SCOPE = re.compile(r"[\x21\x23-\x5B\x5D-\x7E]+")
"""A scope-token (RFC 6749 §3.3)."""

OWN_BLUEPRINTS = ("access_tokens", "access_tokens.desk", "access_tokens_api")
"""The blueprints of the page, of the operators' desk in it, and of the endpoints for programs."""

ENDPOINTS = ("self", "rotate", "revoke", "verify", "introspect")
"""The endpoints for programs that a host can open."""


@dataclass
class Loaders:
    """The host's functions, as they were registered on the extension."""

    identity: Callable[[], Any] | None = None
    operator: Callable[[], Any] | None = None
    owner: Callable[[str], Any] | None = None
    scopes: Callable[[str], Iterable[str]] | None = None


@dataclass
class State:
    """What the extension keeps for one application, in ``app.extensions["access_tokens"]``.

    The configuration is read when it is used.
    """

    app: Flask
    db: Any
    model: type[AccessTokenMixin]
    loaders: Loaders
    owner: QueryableAttribute[Any] | None = None
    """The mapped column that identifies an owner, as the host passed it."""
    active: ColumnElement[bool] | None = None
    """The expression that tells whether an owner may act, as the host passed it."""
    lookups: dict[Any, Any] = field(default_factory=dict)
    bind_arguments: dict[str, Any] | None = None
    idle_session: Session | None = None
    warned: set[str] = field(default_factory=set)
    writer: Any = None
    """The thread that writes last-used updates."""
    unwritten: dict[UUID, str] = field(default_factory=dict)
    """The tokens with a use that this process has not written, and ``"missing"`` if the update found no row."""
    failed_updates: int = 0
    updates_resume_at: float = 0.0
    failure_logged_at: float = float("-inf")

    @property
    def config(self) -> Config:
        return self.app.config

    def login_id(self, user: Any) -> str | None:
        """Return the ID under which Flask-Login keeps a user in the session; None for a user without one."""
        get_id = getattr(user, self.login_manager.id_attribute, None)
        try:
            found = None if get_id is None else get_id()
        except NotImplementedError:  # raised by UserMixin for a user without an ID
            return None
        return None if found is None else str(found)

    def warn_once(self, message: str, *values: object) -> None:
        """Log a warning, once in each process, whatever its values are."""
        if message not in self.warned:
            self.warned.add(message)
            logger.warning(message, *values)

    def session(self) -> Session:
        """Return the host's session of this context, which Flask-SQLAlchemy keeps in a scope and -Lite does not."""
        session = self.db.session
        found: Session = session() if callable(session) else session
        return found

    def enabled(self, owner_id: str | None) -> bool:
        """Return whether the feature flag is on for an owner; None stands for the anonymous."""
        flag = self.config["ACCESS_TOKENS_ENABLED"]
        if callable(flag):
            try:
                flag = self.app.ensure_sync(flag)(owner_id)
            except Exception:
                logger.exception("ACCESS_TOKENS_ENABLED raised an error, which counts as off")
                return False
        return flag is True

    @property
    def disabled(self) -> bool:
        """Whether the feature flag is off for everybody."""
        flag = self.config["ACCESS_TOKENS_ENABLED"]
        return flag is not True and not callable(flag)

    def opens(self, endpoint: str) -> bool:
        """Return whether an endpoint for programs is open; that for introspection needs its scope."""
        needs_scope = endpoint == "introspect" and self.config["ACCESS_TOKENS_INTROSPECTION_SCOPE"] is None
        return endpoint in self.config["ACCESS_TOKENS_ENDPOINTS"] and not needs_scope

    @property
    def prefixes(self) -> tuple[str, ...]:
        """The accepted prefixes, the newest first."""
        configured = self.config["ACCESS_TOKENS_PREFIX"]
        return _validated_prefixes(configured if isinstance(configured, str) else tuple(configured))

    @property
    def adopted(self) -> re.Pattern[str] | None:
        """The pattern of adopted secrets; None where credentials of no other form are accepted."""
        configured = self.config["ACCESS_TOKENS_ADOPTED"]
        return None if configured is None else _validated_adopted(configured)

    @property
    def places(self) -> Places | None:
        """The places of credentials; None where ``Authorization: Bearer`` is the only one."""
        configured = self.config["ACCESS_TOKENS_ALSO_FROM"]
        if not configured:
            return None
        return _validated_places(configured if isinstance(configured, str) else tuple(configured))

    @property
    def peppers(self) -> tuple[str | bytes, ...]:
        """The peppers, the newest first."""
        return configured_peppers(self.config)

    @property
    def scopes(self) -> Mapping[str, str]:
        """The declared scopes, each with its description for people."""
        scopes: Mapping[str, str] = self.config["ACCESS_TOKENS_SCOPES"]
        return scopes

    def allowed_scopes(self, owner_id: str) -> list[str]:
        """Return the declared scopes that an owner may grant, in the order of their declaration.

        :raises TypeError: where the host's scopes loader returns a single string.
        """
        if not self.scopes or self.loaders.scopes is None:
            return list(self.scopes)
        try:
            loaded = self.app.ensure_sync(self.loaders.scopes)(owner_id)
        except NO_ROW:
            return []
        if isinstance(loaded, str):
            raise TypeError("The scopes loader returned a string. Return a list of scope names.")
        allowed = set(loaded)
        return [scope for scope in self.scopes if scope in allowed]

    @property
    def login_manager(self) -> Any:
        """The host's Flask-Login manager, or None. Flask-Login documents this attribute of the application."""
        return getattr(self.app, "login_manager", None)


@dataclass(slots=True)
class OfRequest:
    """What the extension keeps about one request: with its object, because an environ may be copied."""

    guard: Any = None
    """The result of the guards."""
    finishers: list[Callable[[Response], Any]] = field(default_factory=list)


def of_request(req: Request) -> OfRequest:
    """Return what the extension keeps about a request."""
    found: OfRequest | None = getattr(req, _OF_REQUEST, None)
    if found is None:
        found = OfRequest()
        setattr(req, _OF_REQUEST, found)
    return found


def at_the_end(req: Request, finish: Callable[[Response], Any]) -> None:
    """Call a function with the final response to a request."""
    of_request(req).finishers.append(finish)


def finish_request(app: Flask, response: Response, **_: Any) -> None:
    """Call what :func:`at_the_end` collected; a receiver of :data:`flask.request_finished`.

    It is called on every request of the host, and does nothing on almost all of them.
    """
    found: OfRequest | None = vars(request._get_current_object()).get(_OF_REQUEST)  # type: ignore[attr-defined]
    for finish in () if found is None else found.finishers:
        finish(response)


def current_state() -> State:
    """Return the state of the current application.

    :raises RuntimeError: where the extension is not set up on it.
    """
    try:
        state: State = current_app.extensions["access_tokens"]
    except KeyError:
        raise RuntimeError(
            "Access tokens are not set up on this application. Call AccessTokens(app, db) or"
            " access_tokens.init_app(app)."
        ) from None
    return state


@lru_cache(maxsize=64)
def _validated_prefixes(configured: str | tuple[str, ...]) -> tuple[str, ...]:
    return validate_prefixes(configured)


@lru_cache(maxsize=64)
def _validated_adopted(configured: str) -> re.Pattern[str] | None:
    return validate_adopted(configured)


@lru_cache(maxsize=64)
def _validated_places(configured: str | tuple[str, ...]) -> Places | None:
    return validate_places(configured)


def configured_peppers(config: Config) -> tuple[str | bytes, ...]:
    """Return the peppers without empty ones, which an unset environment variable may have left."""
    peppers = config["ACCESS_TOKENS_PEPPERS"] or ()
    return (peppers,) if isinstance(peppers, (str, bytes)) else tuple(peppers)
