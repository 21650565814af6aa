"""Who may use the page: whoever is signed in to the session, never the sender of an access token."""

from flask import Response, abort, make_response, request
from werkzeug.exceptions import Unauthorized

from ..api import credentials
from ..session_user import signed_in_owner
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
    try:
        request.args  # noqa: B018
    except UnicodeDecodeError:
        abort(400)
    return owner


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
    flag_depends_on_owner = callable(state.config["ACCESS_TOKENS_ENABLED"])
    return not state.disabled and (not flag_depends_on_owner or state.enabled(signed_in_owner(state)))


def _ask_to_sign_in(state: State) -> Response:
    """Return the host's own answer to the anonymous; where it raises one, Flask handles it."""
    if state.login_manager is None:
        raise Unauthorized
    return make_response(state.login_manager.unauthorized())
