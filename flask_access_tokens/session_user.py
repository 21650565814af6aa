"""Who is signed in to the session: the person that the page is for."""

from collections.abc import Callable
from typing import Any

from flask import g, request, session
from flask_wtf.csrf import CSRFError, CSRFProtect, validate_csrf
from sqlalchemy import inspect
from werkzeug.local import LocalProxy
from wtforms import ValidationError

from . import policy
from .state import NO_ROW, State, logger
from .store.connections import read_again
from .store.owners import checks_owner, load_owner
from .store.table import owner_value

_csrf = CSRFProtect()

_SAFE_METHODS = {"GET", "HEAD", "OPTIONS", "TRACE"}
"""RFC 9110 §9.2.1."""


def signed_in_owner(state: State) -> str | None:
    """Return the owner ID of whoever is signed in to the session and may act; None for everybody else."""
    load = state.loaders.identity
    if load is None and state.login_manager is None:
        state.warn_once(
            "Nobody can open the access token page, because nothing tells who is signed in. Decorate a function with"
            " @access_tokens.identity_loader: it returns the ID of whoever is signed in, or None."
        )
        return None
    found = read_again(state, lambda: _flask_login_user(state)) if load is None else _ask(state, load)
    if found is None or found == "" or not _is_of_session(state):
        return None
    return _owner_id(state, found)


def signed_in_operator(state: State) -> str | None:
    """Return the ID of the operator who is signed in to the session; None for everybody else.

    :raises ValueError: where the operator loader returns something other than an ID.
    """
    load = state.loaders.operator
    found = None if load is None else _ask(state, load)
    if not found or not _is_of_session(state):
        return None
    try:
        return policy.validate_owner_id(found)
    except ValueError as error:
        raise ValueError(f"The operator loader must return the ID of the operator, or None. {error}") from None


def check_csrf(state: State) -> None:
    """Check the CSRF token of a request by session, whether or not the host uses ``CSRFProtect``.

    :raises CSRFError: where it is missing or wrong.
    """
    config = state.config
    if not config.get("WTF_CSRF_ENABLED", True) or request.method in _SAFE_METHODS:
        return
    _csrf.protect()
    if request.method not in config["WTF_CSRF_METHODS"]:
        sent = [request.form.get(config["WTF_CSRF_FIELD_NAME"])]
        sent += [request.headers.get(name) for name in config["WTF_CSRF_HEADERS"]]
        try:
            validate_csrf(next(filter(None, sent), None))
        except ValidationError as error:
            raise CSRFError(error.args[0]) from None


def other_id_problem(user: Any, user_id: Any) -> str | None:
    """Return what is wrong with an ID in the session that is not the user's key; None where it is, or is not known."""
    mapped = inspect(user, raiseerr=False)
    identity = getattr(mapped, "identity", None)
    if mapped is None or not identity or [str(key) for key in identity] == [str(user_id)]:
        return None
    name = type(user).__name__
    key = mapped.mapper.get_property_by_column(mapped.mapper.primary_key[0]).key
    return (
        f"{name}.get_id() is not the primary key of {name}. Tokens belong to what it returns, and are lost where that"
        f" changes, for example with the password. Pass the key: AccessTokens(app, db, owner={name}.{key})."
    )


def _ask(state: State, load: Callable[[], Any]) -> Any:
    """Return what a loader of the host's returns, without a proxy such as ``current_user``."""
    try:
        found = read_again(state, state.app.ensure_sync(load))
    except NO_ROW:
        return None
    return found._get_current_object() if isinstance(found, LocalProxy) else found


def _is_of_session(state: State) -> bool:
    """Return whether the session itself names the user whom Flask-Login has, if it has one.

    A loader of the host's may have found another one in a header or in the query string.
    """
    user = g.get("_login_user")
    if state.login_manager is None or user is None or not user.is_authenticated:
        return True
    named, load = session.get("_user_id"), state.login_manager.user_callback
    if named is None or state.login_id(user) != str(named):
        return False
    # A request loader may return the user of a session that the user loader no longer accepts.
    return load is None or read_again(state, lambda: state.app.ensure_sync(load)(named)) is not None


def _flask_login_user(state: State) -> Any:
    """Return the signed-in user with ``owner=``, and the ID that is in their session without it; None for nobody."""
    from flask_login import current_user

    if not current_user.is_authenticated:
        return None
    user = current_user._get_current_object()
    if state.owner is not None:
        if isinstance(user, state.owner.class_):
            return user
        logger.warning(
            "The signed-in user is %s, not %s: they have no tokens. Set an identity_loader if they should.",
            type(user).__name__,
            state.owner.class_.__name__,
        )
        return None
    user_id = state.login_id(user)
    problem = other_id_problem(user, user_id) if state.loaders.owner is None else None
    if problem is not None:
        state.warn_once(problem)
    return user_id


def _owner_id(state: State, found: Any) -> str | None:
    """Return the owner ID of whom a loader has found, an ID or a user; None if they do not exist or may not act."""
    owner = state.owner
    if not getattr(found, "is_authenticated", True):
        return None
    if owner is not None and isinstance(found, owner.class_):
        found = getattr(found, owner.key)
    owner_id = policy.validate_owner_id(found)
    try:
        owner_value(state, owner_id)
    except ValueError:  # no owner can have it
        return None
    # A session may outlive its user.
    return owner_id if not checks_owner(state) or load_owner(state, owner_id) is not None else None
