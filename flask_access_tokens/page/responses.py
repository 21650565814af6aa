"""The responses of the page: a panel alone or in the host's layout, and what the panel of a new token tells."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from flask import Response, current_app, make_response, render_template, url_for
from werkzeug.exceptions import ServiceUnavailable
from werkzeug.routing import BuildError

from .. import tokens
from ..api import routes
from ..api.routes import Route
from ..state import logger
from ..store.connections import RETRY_AFTER, error_summary
from ..texts import gettext as _
from ..tokens import Token
from .headers import wants_fragment
from .panel import Panel


@contextmanager
def store_errors_as_503() -> Iterator[None]:
    """Answer 503 where the database cannot be used in the block."""
    try:
        yield
    except tokens.StoreError as error:
        logger.error("The access token page cannot use its database: %s", error_summary(error))
        message = _("Access tokens cannot be reached now. Try again in a moment.")
        raise ServiceUnavailable(message, retry_after=RETRY_AFTER) from None


def render(panel: Panel, status: int = 200) -> Response:
    """Render a panel: alone for htmx, which swaps answers with status 200, and in the host's layout otherwise."""
    if wants_fragment():
        return make_response(render_template("access_tokens/_panel.html", access_tokens_shown=panel))
    return make_response(render_template("access_tokens/page.html", access_tokens_shown=panel), status)


def expired_message() -> str:
    return _("This form has expired. Nothing was changed; please send it again.")


def dropped_message() -> str:
    """Return the notice of an expired form whose values the page drops, because it did not make the form."""
    return _("This form has expired. Nothing was changed; please fill it in again.")


def about_new(token: Token) -> dict[str, Any]:
    """Return what a panel tells of a new token: the URL of an example, and whether the token opens no route."""
    guarded = _guarded_routes()
    opened = [route for route in guarded if set(route.guard.scopes) <= set(token.scopes)]
    return {"url": _example_url(opened), "useless": bool(guarded) and not opened}


def scope_needed() -> bool:
    """Return whether the application has guarded routes, and none that a token without scopes opens."""
    guarded = _guarded_routes()
    return bool(guarded) and all(route.guard.scopes for route in guarded)


def _guarded_routes() -> list[Route]:
    return [route for route in routes.guarded_routes(current_app) if route.reachable]


def _example_url(opened: Iterable[Route]) -> str:
    """Return the URL of the first of these routes that a curl command can call as it stands; "" if there is none."""
    for route in opened:
        if route.method == "GET" and "<" not in route.rule:
            with suppress(BuildError):  # its subdomain is a parameter
                return url_for(route.endpoint, _external=True)
    return ""
