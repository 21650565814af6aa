"""Which requests the host's CSRFProtect leaves to a guard, and to the page."""

from collections.abc import Callable
from functools import partial, wraps
from typing import Any

from flask import Flask, current_app, request
from flask_wtf.csrf import CSRFError

from ..session_user import check_csrf
from ..state import OWN_BLUEPRINTS, State
from . import credentials, routes
from .guard import accepted_token, enforce

CHECK_DEFAULT = "WTF_CSRF_CHECK_DEFAULT"

_POSTPONED = "flask_access_tokens.csrf_postponed"
"""The key in the WSGI environ that marks a request whose check comes after the host's ``before_request`` functions."""

_CHECKS_FIRST = "_access_token_checks_csrf"
"""The attribute of a view that makes the postponed check."""


def leave_to_guard(app: Flask) -> None:
    """Let CSRFProtect, wherever the host sets it up, pass a request whose credential a guard accepts.

    No web page of another site can make a browser send such a header without a CORS preflight request. Flask-WTF reads
    ``WTF_CSRF_CHECK_DEFAULT`` on each request; its value becomes one that depends on the request. A host that has set
    it to False calls ``CSRFProtect.protect()`` itself, and decides itself.
    """
    if app.config.setdefault(CHECK_DEFAULT, True):
        app.config[CHECK_DEFAULT] = _DependsOnRequest(app)


class _DependsOnRequest:
    """A value that is true where CSRFProtect is to check this request. An error is raised, and passes no request."""

    def __init__(self, app: Flask) -> None:
        self._app = app

    def __bool__(self) -> bool:
        return _check_by_default(self._app)


def _check_by_default(app: Flask) -> bool:
    if not request or current_app != app or request.method not in app.config["WTF_CSRF_METHODS"]:
        return True
    # The views of the page check their forms themselves, and the endpoints for programs read no cookie.
    if request.blueprint in OWN_BLUEPRINTS:
        return False
    state: State = app.extensions["access_tokens"]
    has_token = credentials.carries_secret(state, request)
    guard = routes.guard_of_request(app, request.endpoint, request.method)
    if guard is None:
        if not has_token and not routes.guarding_hook(app, request.endpoint):
            return True
        return not _postpone(app)
    if has_token or guard.or_session:
        return False  # the guard accepts or refuses the token, and checks a session itself
    if guard.optional:
        if credentials.count(state, request):
            enforce(guard)  # refuses it: it cannot be ours
        return True
    try:
        check_csrf(state)
    except CSRFError:
        # As everywhere, a guarded view answers a request without a token by its challenge.
        enforce(guard)
    return False


def _postpone(app: Flask) -> bool:
    """Check this request after all functions that the host runs before its view, of which one may be a guard."""
    endpoint = request.endpoint or ""
    view = app.view_functions.get(endpoint)
    if view is None or request.environ.get(_POSTPONED):
        return False
    request.environ[_POSTPONED] = True
    if not hasattr(view, _CHECKS_FIRST):
        app.view_functions[endpoint] = _check_before(view)
    return True


def _check_before(view: Any) -> Any:
    @wraps(view)
    def checked(*args: Any, **kwargs: Any) -> Any:
        if request.environ.get(_POSTPONED) and accepted_token() is None:
            for check in _checks_of_host():
                if (answer := check()) is not None:
                    return answer
        return current_app.ensure_sync(view)(*args, **kwargs)

    setattr(checked, _CHECKS_FIRST, True)
    return checked


def _checks_of_host() -> list[Callable[[], Any]]:
    """Return what the host's CSRFProtect runs before a view, which knows the views that the host has exempted."""
    hooks: Any = current_app.before_request_funcs.get(None, [])
    found = [hook for hook in hooks if getattr(hook, "__module__", "") == CSRFError.__module__]
    return found or [partial(check_csrf, current_app.extensions["access_tokens"])]
