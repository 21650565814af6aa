"""Who may use the page: whoever is signed in to the session, never the sender of an access token."""

from flask import Response, abort, make_response, request
from werkzeug.exceptions import Unauthorized

from ..api import credentials
from ..session_user import signed_in_operator, signed_in_owner
from ..state import State, current_state
from ..texts import gettext as _


def require_owner() -> str:
    """Return the owner ID of whoever is signed in.

    :raises HTTPException: 404 where the page is disabled for them; 401 for a request with an access token; the
        host's own answer to the anonymous, such as a redirect to its sign-in page.
    """
    state = current_state()
    if state.disabled:
        abort(404)
    has_token = credentials.holds_secret(state, request)
    owner = None if has_token else signed_in_owner(state)
    if not state.enabled(owner):
        abort(404)
    if has_token:
        abort(401, _("An access token does not open this page. Sign in instead."))
    if owner is None:
        abort(_ask_to_sign_in(state))
    _require_readable_query()
    return owner


def require_operator() -> str:
    """Return the operator ID of whoever is signed in.

    :raises HTTPException: 404 for everybody else, for a request with an access token, and where the page is disabled;
        400 for an operator whose query string is not valid UTF-8.
    :raises ValueError: where the operator loader returns something other than an ID.
    """
    state = current_state()
    has_token = not state.disabled and credentials.holds_secret(state, request)
    operator = None if state.disabled or has_token else signed_in_operator(state)
    if operator is None or not state.enabled(operator):
        abort(404)
    _require_readable_query()
    return operator


def current_owner_or_none() -> str | None:
    """Return the owner ID of whoever is signed in and may see the page; None for everybody else."""
    state = current_state()
    if state.disabled or credentials.holds_secret(state, request):
        return None
    owner = signed_in_owner(state)
    return owner if owner is not None and state.enabled(owner) else None


def may_fetch_assets() -> bool:
    """Return whether the feature flag lets this request have the page's static files."""
    state = current_state()
    if state.disabled or not callable(state.config["ACCESS_TOKENS_ENABLED"]):
        return not state.disabled
    operator = signed_in_operator(state)
    return (operator is not None and state.enabled(operator)) or state.enabled(signed_in_owner(state))


def _require_readable_query() -> None:
    try:
        request.args  # noqa: B018
    except UnicodeDecodeError:
        abort(400)


def _ask_to_sign_in(state: State) -> Response:
    """Return the host's own answer to the anonymous; where it raises one, Flask handles it."""
    if state.login_manager is None:
        raise Unauthorized
    return make_response(state.login_manager.unauthorized())
