"""Who is signed in to the session: the person that the page is for."""

import contextlib
import sys
import warnings
from typing import Any

from flask import Flask, request
from flask_wtf.csrf import CSRFError, CSRFProtect, validate_csrf
from sqlalchemy import inspect
from werkzeug.local import LocalProxy
from wtforms import ValidationError

from . import policy
from .state import NO_ROW, State, logger
from .store.owners import load_owner

_csrf = CSRFProtect()

_SAFE_METHODS = {"GET", "HEAD", "OPTIONS", "TRACE"}
"""RFC 9110 §9.2.1."""

_HEADER_SIGNALS = ("user_loaded_from_request", "user_loaded_from_header")
"""Sent by Flask-Login when a loader accepted a request itself, and not its session."""

_HEADER_USER = "flask_access_tokens.header_user"
"""The key in the WSGI environ that marks a request whose user Flask-Login took from it."""


def signed_in_owner(state: State) -> str | None:
    """Return the owner ID of whoever is signed in to the session; None for everybody else.

    A user whom Flask-Login took from a header or the query string of the request is not signed in.

    :raises RuntimeError: where nothing is set up that could tell.
    """
    if state.loaders.identity is not None:
        try:
            found = state.app.ensure_sync(state.loaders.identity)()
        except NO_ROW:
            return None
    elif state.login_manager is not None:
        found = _flask_login_user(state)
    else:
        raise RuntimeError(
            "No identity loader is set. Decorate a function with @access_tokens.identity_loader: it returns the ID of"
            " whoever is signed in, or None."
        )
    found = _behind_proxy(found)
    if found is None or found == "" or _HEADER_USER in request.environ:
        return None
    return _owner_id(state, found)


def signed_in_operator(state: State) -> str | None:
    """Return the ID of the operator who is signed in to the session; None for everybody else.

    A user whom Flask-Login took from a header or the query string of the request is not signed in.

    :raises ValueError: where the operator loader returns something other than an ID.
    """
    load = state.loaders.operator
    if load is None:
        return None
    try:
        found = _behind_proxy(state.app.ensure_sync(load)())
    except NO_ROW:
        return None
    if not found or _HEADER_USER in request.environ:
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


def watch_flask_login(app: Flask) -> None:
    """Note on which requests Flask-Login took the user from a header rather than from the session."""
    with contextlib.suppress(ImportError), warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        import flask_login

        for name in _HEADER_SIGNALS:
            signal = getattr(flask_login, name, None)
            if signal is not None:
                signal.connect(_note_header_user, app)


def _note_header_user(app: Flask, **_: Any) -> None:
    request.environ[_HEADER_USER] = True


def _behind_proxy(found: Any) -> Any:
    return found._get_current_object() if isinstance(found, LocalProxy) else found


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
    user_id = user.get_id()
    if state.loaders.owner is None:
        _warn_of_other_id(state, user, user_id)
    return user_id


def _warn_of_other_id(state: State, user: Any, user_id: Any) -> None:
    """Log once that the ID in the session is not the user's key."""
    problem = None if state.warned_of_other_id else other_id_problem(user, user_id)
    if problem is not None:
        state.warned_of_other_id = True
        logger.warning("%s", problem)


def _owner_id(state: State, found: Any) -> str | None:
    owner = state.owner
    if owner is not None and isinstance(found, owner.class_):
        return policy.validate_owner_id(getattr(found, owner.key))
    if isinstance(found, getattr(sys.modules.get("flask_login"), "AnonymousUserMixin", ())):
        return None
    owner_id = policy.validate_owner_id(found)
    # A session may outlive its user.
    return None if owner is not None and load_owner(state, owner_id) is None else owner_id
