"""Which requests the host's CSRFProtect leaves to the guard and to the page."""

from functools import partial

from flask import Flask, current_app, request
from werkzeug.local import LocalProxy

from . import bearer, routes

CHECK_DEFAULT = "WTF_CSRF_CHECK_DEFAULT"


def leave_to_guard(app: Flask) -> None:
    """Let CSRFProtect, wherever the host sets it up, check all requests but those of guarded views and of the page.

    Flask-WTF reads ``WTF_CSRF_CHECK_DEFAULT`` on each request. Its value becomes one that depends on the request. A
    host that has set it to False calls ``CSRFProtect.protect()`` itself, and decides itself.
    """
    if app.config.setdefault(CHECK_DEFAULT, True):
        app.config[CHECK_DEFAULT] = LocalProxy(partial(_check_by_default, app))


def _check_by_default(app: Flask) -> bool:
    if not request or current_app != app or request.method not in app.config["WTF_CSRF_METHODS"]:
        return True
    return not (request.blueprint == "access_tokens" or _guard_decides(app))


def _guard_decides(app: Flask) -> bool:
    """Return whether a guard answers for this request, so that its cookies have no effect.

    A guarded view refuses a request without a bearer credential, and no web page can make a browser send one. A view
    with an optional token accepts such a request, so the usual check applies to it.
    """
    guard = routes.guard_of_request(app, request.endpoint, request.method)
    if guard is None:
        return False
    return not guard.optional or bearer.count_credentials(request.environ.get("HTTP_AUTHORIZATION")) > 0
