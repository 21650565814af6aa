"""The guard: it lets a request with a bearer token into a view, and makes the token ``current_token``."""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from inspect import iscoroutinefunction
from logging import DEBUG
from typing import Any, TypeVar, overload

from flask import Request, Response, abort, current_app, request
from werkzeug.local import LocalProxy

from ..secret import Secret
from ..session_user import check_csrf, signed_in_owner
from ..signals import token_rejected, token_used
from ..state import SCOPE, State, at_the_end, current_state, logger, of_request
from ..store.connections import StoreError, error_summary
from ..store.direct import plain_engine
from ..store.entities import Token
from ..store.last_used import note_use
from . import credentials, routes
from .challenge import (
    MALFORMED,
    MISSING,
    TWICE,
    BearerError,
    InsufficientScope,
    InvalidRequest,
    InvalidToken,
    ReplacedToken,
    StoreUnavailable,
    TokenRequired,
)
from .check import Verdict, check_secret
from .routes import Guard

View = TypeVar("View", bound=Callable[..., Any])

Refusal = TypeVar("Refusal", bound=BearerError)

_DESCRIPTIONS = {
    "replaced": "The access token has been replaced.",
    "expired": "The access token has expired.",
    "disabled": "Access tokens are disabled.",
}
"""What only a client with the right secret learns; every other refusal has one text."""


@dataclass(slots=True)
class _GuardState:
    """The result of the guards of one application for a request."""

    state: State
    verdict: Verdict | None = None
    """What the check of the one credential found, kept for a guard that would find the same."""
    token: Token | None = None
    error: BearerError | None = None


class _TokenProxy(LocalProxy[Token]):
    """A proxy that a JSON provider takes for the dataclass it stands for."""

    __slots__ = ()
    __dataclass_fields__ = Token.__dataclass_fields__


def accepted_token() -> Token | None:
    """Return the token that a guard of this application accepted for this request, or None."""
    found = of_request(request).guard if request else None
    return found.token if found is not None and found.state is current_state() else None


def _find_token() -> Token:
    token = accepted_token()
    if token is None:
        raise RuntimeError(
            "This request has no access token. Guard the view with @token_required; under optional=True or"
            ' or_session=True ask "if current_token" first.'
        )
    return token


def _guard_state(state: State, req: Request) -> _GuardState:
    found: _GuardState | None = of_request(req).guard
    if found is None or found.state is not state:
        found = of_request(req).guard = _GuardState(state)
        at_the_end(req, functools.partial(_set_headers, found))
    return found


current_token: Token = _TokenProxy(_find_token)  # type: ignore[assignment]
"""The token of this request; falsy where there is none."""


@overload
def token_required(view: View, /) -> View: ...
@overload
def token_required(*scopes: str, optional: bool = False, or_session: bool = False) -> Callable[[View], View]: ...
def token_required(*scopes: Any, optional: bool = False, or_session: bool = False) -> Any:
    """Let a request into a view only with a bearer token that has all of these scopes.

    Place it between the route and the view, on functions, async functions, methods and in ``MethodView.decorators``::

        @app.get("/reports")
        @token_required("reports:read")
        def reports(): ...

    :param scopes: the names of the scopes, all of which are required; without any, every valid token is accepted.
    :param optional: also accept a request without a bearer credential. A bad one is refused all the same.
    :param or_session: also accept a request without a bearer credential from whoever is signed in to the session, for
        a view that a browser and a program share. They may do all that they may do in the application, and a method
        other than GET, HEAD, OPTIONS and TRACE needs the CSRF token, whether or not the host uses ``CSRFProtect``.
    """
    if len(scopes) == 1 and callable(scopes[0]):
        return _guarded(scopes[0], guard=_make_guard(optional=optional, or_session=or_session))
    return functools.partial(_guarded, guard=_make_guard(*scopes, optional=optional, or_session=or_session))


def require_token(*scopes: str, optional: bool = False, or_session: bool = False) -> None:
    """Check the request as :func:`token_required` does; ``bp.before_request(require_token)`` guards a blueprint.

    A CORS preflight request is answered at once: it never carries a token.

    :param scopes: the names of the scopes, all of which are required.
    :param optional: also accept a request without a bearer credential.
    :param or_session: also accept such a request from whoever is signed in to the session.
    :raises HTTPException: the refusal (RFC 6750 §3), or the answer to a preflight request.
    """
    enforce(_make_guard(*scopes, optional=optional, or_session=or_session))


def _make_guard(*scopes: str, optional: bool = False, or_session: bool = False) -> Guard:
    if optional and or_session:
        raise ValueError("optional=True accepts everybody already. Pass either optional=True or or_session=True.")
    for scope in scopes:
        if not isinstance(scope, str):
            raise TypeError(
                f"A scope is a string, not {scope!r}: @token_required, or @token_required('reports:read')."
            )
        if not SCOPE.fullmatch(scope):
            raise ValueError(f"{scope!r} is not one scope: pass each as an argument of its own (RFC 6749 §3.3).")
    return Guard(tuple(dict.fromkeys(scopes)), optional, or_session)


def _guarded(*given: Any, guard: Guard) -> Any:
    if len(given) != 1 or not callable(given[0]):
        raise TypeError("token_required decorates a view. To guard a blueprint, write before_request(require_token).")
    view = given[0]
    is_async = iscoroutinefunction(view)

    @functools.wraps(view)
    def guarded(*args: Any, **kwargs: Any) -> Any:
        enforce(guard)
        if is_async:
            return current_app.ensure_sync(view)(*args, **kwargs)
        return view(*args, **kwargs)

    routes.mark_guarded(guarded, view, guard)
    return guarded


routes.mark_plain_call(require_token, _make_guard)
routes.mark_plain_call(_guarded, lambda guard: guard)


def has_valid_token(state: State) -> bool:
    """Return whether the request has a valid token, whatever its scopes. Guards use the same check.

    :raises BearerError: 503 if the database cannot be used.
    """
    credential, _ = credentials.read(state, request)
    return credential is not None and not state.disabled and not _check(state, request, credential).reason


def enforce(guard: Guard) -> None:
    """Let this request pass a guard.

    :raises BearerError: where it may not.
    """
    req: Request = request._get_current_object()  # type: ignore[attr-defined]
    if req.method == "OPTIONS":
        _answer_preflight(req)
    state = current_state()
    found = _guard_state(state, req)
    try:
        if found.token is None:
            found.token = _authenticate(guard, state, req)
            if found.token is not None and token_used.receivers:
                token_used.send(state.app, token=found.token)
        else:
            _check_scopes(guard, state, found.token)
        found.error = None
    except BearerError as error:
        found.error = error
        raise


def authenticate(*scopes: str) -> Token:
    """Return the token of this request, which has these scopes.

    :raises BearerError: for a request without such a token.
    """
    enforce(Guard(scopes))
    return _find_token()


def _authenticate(guard: Guard, state: State, req: Request) -> Token | None:
    """Return the token of a request, or None where it has none and needs none.

    :raises BearerError: for every other request.
    """
    disabled = state.disabled
    if disabled and credentials.count(state, req):
        raise _rejected(state, "disabled", InvalidToken(_DESCRIPTIONS["disabled"]))
    credential = _credential(state, req)
    if credential is None:
        if guard.optional or (guard.or_session and _is_signed_in(state)):
            return None
        raise _rejected(state, "disabled" if disabled else "missing", TokenRequired(MISSING))
    verdict = _check(state, req, credential)
    match = verdict.match
    if match is None or verdict.reason:
        refusal = InvalidToken(_DESCRIPTIONS.get(verdict.reason, MALFORMED))
        if match is not None and verdict.reason == "replaced":
            refusal = ReplacedToken(_DESCRIPTIONS["replaced"], match.token)
        raise _rejected(state, verdict.reason, refusal, None if match is None else match.token)
    _check_scopes(guard, state, match.token)
    if not note_use(state, match):
        raise _rejected(state, "unknown", InvalidToken(MALFORMED), match.token)
    return match.token


def _check(state: State, req: Request, credential: Secret) -> Verdict:
    """Check the credential of a request, or return what an earlier check found.

    :raises BearerError: 503 if the database cannot be used.
    """
    found = _guard_state(state, req)
    # Not after the host has begun to use its session, in which it may have chosen the tenant.
    if found.verdict is None or plain_engine(state) is None:
        try:
            found.verdict = check_secret(state, credential)
        except StoreError as error:
            raise unavailable(error) from None
    return found.verdict


def unavailable(error: StoreError) -> StoreUnavailable:
    """Return the refusal of a request for which the database cannot be used, whatever a guard answered before."""
    logger.error("The token store cannot be used: %s", error_summary(error))
    return refused(StoreUnavailable("The access token cannot be checked now. Try again in a moment."))


def refused(error: Refusal) -> Refusal:
    """Return the refusal of a request whose token a guard has accepted; the response has its headers all the same."""
    found: _GuardState | None = of_request(request).guard
    if found is not None:
        found.error = error
    return error


def _is_signed_in(state: State) -> bool:
    """Return whether somebody is signed in to the session.

    :raises CSRFError: where the method needs a CSRF token and the request has none.
    """
    try:
        owner_id = signed_in_owner(state)
    except StoreError as error:
        raise unavailable(error) from None
    if owner_id is not None:
        check_csrf(state)
    return owner_id is not None


def _check_scopes(guard: Guard, state: State, token: Token) -> None:
    missing = [scope for scope in guard.scopes if scope not in token.scopes]
    if missing:
        description = "The access token lacks the scope: " + " ".join(missing)
        raise _rejected(state, "scope", InsufficientScope(description, *guard.scopes), token)


def _credential(state: State, req: Request) -> Secret | None:
    """Return the credential of a request if it has the form of a secret; None where it has no credential.

    :raises BearerError: for a malformed credential, and for more than one.
    """
    credential, count = credentials.read(state, req)
    if credential is not None or not count:
        return credential
    raise _rejected(state, "malformed", InvalidRequest(TWICE) if count > 1 else InvalidToken(MALFORMED))


def _rejected(state: State, reason: str, error: BearerError, token: Token | None = None) -> BearerError:
    token_id = None if token is None else token.id
    if logger.isEnabledFor(DEBUG):  # without the path, which may hold a secret
        message = "A request was refused: %s, token %s, %r, endpoint %r"
        logger.debug(message, reason, token_id, request.method, request.endpoint)
    token_rejected.send(state.app, reason=reason, token_id=token_id)
    return error


def _answer_preflight(req: Request) -> None:
    """Answer an OPTIONS request that needs no token: Flask would answer it, or it is a CORS preflight request.

    The view and further functions of the host's, which may read the token, do not run.
    """
    if req.routing_exception is not None:
        raise req.routing_exception
    is_preflight = req.origin is not None and req.access_control_request_method is not None
    if is_preflight or getattr(req.url_rule, "provide_automatic_options", False):
        response = current_app.response_class()
        adapter = current_app.create_url_adapter(req)
        response.allow.update(adapter.allowed_methods() if adapter else ())
        abort(response)


def _set_headers(found: _GuardState, response: Response) -> None:
    """Set the headers of the response to a guarded request.

    A challenge that the host's error handler omitted is restored, whatever status the handler answers with. A view
    that answers a refusal itself has it too (RFC 9110 §11.6.1).
    """
    if found.error is not None:
        for name, value in found.error.auth_headers():
            response.headers[name] = value
    places = found.state.places
    headers = ("Authorization",) if places is None else places.headers
    if response.headers.getlist("Vary"):
        response.vary.update(headers)
    else:
        response.headers.add("Vary", ", ".join(headers))
