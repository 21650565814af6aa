"""Who may use the page: whoever is signed in to the session, never the sender of a bearer credential."""

import contextlib
import warnings
from typing import Any

from flask import Flask, Response, abort, g, make_response, request
from werkzeug.exceptions import Unauthorized

from .. import policy
from ..api import bearer
from ..state import State, current_state
from ..texts import gettext as _

_HEADER_SIGNALS = ("user_loaded_from_request", "user_loaded_from_header")
"""Sent by Flask-Login when a loader accepted a request itself, and not its session."""


def require_owner() -> str:
    """Return the owner ID of whoever is signed in.

    :raises HTTPException: 404 where the page is disabled for them; 401 for a request with a bearer credential; the
        host's own answer to the anonymous, such as a redirect to its sign-in page.
    """
    state = current_state()
    if state.disabled:
        abort(404)
    has_credential = _has_bearer_credential()
    owner = None if has_credential else _signed_in(state)
    if not state.enabled(owner):
        abort(404)
    if has_credential:
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
    if state.disabled or _has_bearer_credential():
        return None
    owner = _signed_in(state)
    return owner if owner is not None and state.enabled(owner) else None


def may_fetch_assets() -> bool:
    """Return whether the feature flag lets this request have the page's static files."""
    state = current_state()
    flag_depends_on_owner = callable(state.config["ACCESS_TOKENS_ENABLED"])
    return not state.disabled and (not flag_depends_on_owner or state.enabled(_signed_in(state)))


def watch_flask_login(app: Flask) -> None:
    """Note which user Flask-Login took from a header rather than from the session."""
    with contextlib.suppress(ImportError), warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        import flask_login

        for name in _HEADER_SIGNALS:
            signal = getattr(flask_login, name, None)
            if signal is not None:
                signal.connect(_note_header_user, app)


def _note_header_user(app: Flask, user: Any, **_: Any) -> None:
    g._access_tokens_header_user = user


def _has_bearer_credential() -> bool:
    return bearer.count_credentials(request.environ.get("HTTP_AUTHORIZATION")) > 0


def _signed_in(state: State) -> str | None:
    if state.loaders.identity is not None:
        owner_id = state.app.ensure_sync(state.loaders.identity)()
    elif state.login_manager is not None:
        owner_id = _flask_login_user_id()
    else:
        raise RuntimeError(
            "No identity loader is set. Decorate a function with @access_tokens.identity_loader: it returns the ID of"
            " whoever is signed in, or None."
        )
    return None if owner_id is None or owner_id == "" else policy.validate_owner_id(owner_id)


def _flask_login_user_id() -> Any:
    from flask_login import current_user

    if not current_user.is_authenticated:
        return None
    if g.get("_access_tokens_header_user") is current_user._get_current_object():
        return None
    return current_user.get_id()


def _ask_to_sign_in(state: State) -> Response:
    """Return the host's own answer to the anonymous; where it raises one, Flask handles it."""
    if state.login_manager is None:
        raise Unauthorized
    return make_response(state.login_manager.unauthorized())
