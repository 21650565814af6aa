"""Which requests the host's CSRFProtect passes because of their token."""

from typing import Any

from flask import Flask, current_app, request
from flask_wtf.csrf import CSRFError

from ..session_user import check_csrf
from ..state import OWN_BLUEPRINTS, State
from ..store.direct import reads_alike
from . import credentials, routes
from .guard import enforce, has_valid_token

CHECK_DEFAULT = "WTF_CSRF_CHECK_DEFAULT"


def pass_valid_tokens(app: Flask) -> None:
    """Let CSRFProtect, wherever the host sets it up, pass a request whose token is valid.

    No web page of another site can make a browser send the header of a token without a CORS preflight request.
    Flask-WTF reads ``WTF_CSRF_CHECK_DEFAULT`` on each request; a true one becomes one that depends on the request. A
    host that has set it to False calls ``CSRFProtect.protect()`` itself, and decides itself.
    """

    # It is called before any function that runs before a view, and the host may set the value at any time.
    @app.url_value_preprocessor
    def depend_on_request(*_: Any) -> None:
        value = app.config.get(CHECK_DEFAULT)
        if value is not _BY_REQUEST and value:
            app.config[CHECK_DEFAULT] = _BY_REQUEST


class _ByRequest:
    """A value that is true if CSRFProtect is to check this request. An error is raised, and passes no request."""

    def __bool__(self) -> bool:
        return not request or "access_tokens" not in current_app.extensions or _is_to_be_checked(current_app)


_BY_REQUEST = _ByRequest()


def _is_to_be_checked(app: Flask) -> bool:
    """Return whether CSRFProtect is to check this request.

    :raises HTTPException: the refusal of a guarded view, which a request without a CSRF token gets instead of the
        answer of CSRFProtect.
    """
    # The views of the page check their forms themselves, and the endpoints for programs read no cookie.
    if request.blueprint in OWN_BLUEPRINTS:
        return False
    if request.method not in app.config["WTF_CSRF_METHODS"]:
        return True
    state: State = app.extensions["access_tokens"]
    guard = routes.guard_of_request(app, request.endpoint, request.method)
    secret, sent = credentials.read(state, request)
    if guard is not None and secret is not None and not reads_alike(state):
        return False  # a function that runs later may choose the tenant, whose tokens the guard will know
    if secret is not None and has_valid_token(state):
        return False
    if guard is not None and sent:
        enforce(guard)  # refuses it
    elif guard is not None and not guard.optional:
        try:
            check_csrf(state)
        except CSRFError:
            enforce(guard)
    return True
