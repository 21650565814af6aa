"""The endpoints for programs: their routes, which of them are open, and what all of their responses have."""

from collections.abc import Callable, Mapping

from flask import Blueprint, Response, abort, current_app, request

from ..state import at_the_end, current_state
from ..store.connections import RETRY_AFTER, StoreError
from . import introspection, own_token, revocation
from .challenge import BearerError, ReplacedToken
from .guard import unavailable
from .responses import refusal

View = Callable[[], Response]

blueprint = Blueprint("access_tokens_api", __name__)

_METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
"""Taken by each route, so that none of these tells of a closed endpoint."""


def _add(endpoint: str, rule: str, views: Mapping[str, View]) -> None:
    """Answer requests for a rule while its endpoint is open.

    :param views: the views by HTTP method; that of GET answers HEAD too.
    """

    def answer() -> Response:
        if not current_state().opens(endpoint):
            abort(404)
        at_the_end(request, _set_headers)
        view = views.get("GET" if request.method == "HEAD" else request.method)
        if view is None:
            return _answer_without_view(views)
        try:
            return view()
        except StoreError as error:
            raise unavailable(error) from None

    blueprint.add_url_rule(rule, endpoint, answer, methods=_METHODS, provide_automatic_options=False)


_add("self", "/self", {"GET": own_token.show, "DELETE": own_token.delete})
_add("rotate", "/self/rotate", {"POST": own_token.rotate})
_add("revoke", "/revoke", {"POST": revocation.revoke})
_add("verify", "/verify", {"GET": introspection.verify})
_add("introspect", "/introspect", {"POST": introspection.introspect})


@blueprint.errorhandler(ReplacedToken)
def _refuse_replaced(refused: ReplacedToken) -> BearerError:
    """Handle a refusal here, because a function of the host's that runs before every view may be the guard."""
    rotates = request.endpoint == f"{blueprint.name}.rotate" and request.method == "POST"
    return own_token.refuse_replaced(refused) if rotates and current_state().opens("rotate") else refused


def _answer_without_view(views: Mapping[str, View]) -> Response:
    if request.method == "OPTIONS":
        response = current_app.response_class()
    else:
        response = refusal(405, "method_not_allowed", "This method is not supported here.")
    response.allow.update([*views, "OPTIONS", *(["HEAD"] if "GET" in views else [])])
    return response


def _set_headers(response: Response) -> None:
    """Set the headers of every response, those of the host's error handlers included."""
    response.headers["Cache-Control"] = "no-store"
    if response.status_code == 503:
        response.headers.setdefault("Retry-After", str(RETRY_AFTER))
