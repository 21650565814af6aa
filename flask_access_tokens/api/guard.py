"""The API's door: a bearer token in, ``current_token`` out; the HTTP errors."""

import functools
from collections.abc import Callable
from dataclasses import dataclass, replace
from inspect import iscoroutinefunction
from typing import Any, TypeVar, overload

from flask import Flask, Request, Response, abort, current_app, json, request
from flask_wtf.csrf import CSRFError, CSRFProtect
from werkzeug.exceptions import (
    BadRequest,
    Forbidden,
    HTTPException,
    ServiceUnavailable,
    Unauthorized,
)
from werkzeug.local import LocalProxy

from .. import secret, tokens
from ..secret import Secret
from ..signals import token_rejected, token_used
from ..state import SCOPE, State, current_state, logger
from ..tokens import Token
from . import bearer, routes
from .routes import Guard

View = TypeVar("View", bound=Callable[..., Any])

_MALFORMED = "The access token is malformed, unknown or no longer valid."


class _Refusal(HTTPException):
    """A refusal that brings its own challenge and JSON body (RFC 6750 §3)."""

    error: str

    def __init__(self, description: str, challenge: str | None = None) -> None:
        super().__init__(description)
        self.challenge = challenge

    def get_body(self, environ: Any = None, scope: Any = None) -> str:
        body: str = json.dumps({"error": self.error, "error_description": self.description})
        return body

    def get_headers(self, environ: Any = None, scope: Any = None) -> list[tuple[str, str]]:
        return [("Content-Type", "application/json"), *self.contract()]

    def contract(self) -> list[tuple[str, str]]:
        """The headers that stand whatever the host makes of the body."""
        headers = [("Cache-Control", "no-store")]
        return [*headers, ("WWW-Authenticate", self.challenge)] if self.challenge else headers


class TokenRequired(_Refusal, Unauthorized):
    """401 without an error code: the request carried no bearer token (RFC 6750 §3.1)."""

    error = "unauthorized"


class InvalidToken(_Refusal, Unauthorized):
    """401: the bearer token is malformed, unknown, expired or refused (RFC 6750 §3.1)."""

    error = "invalid_token"


class InvalidRequest(_Refusal, BadRequest):
    """400: more than one bearer credential (RFC 6750 §3.1)."""

    error = "invalid_request"


class InsufficientScope(_Refusal, Forbidden):
    """403: the token lacks a scope that the view needs (RFC 6750 §3.1)."""

    error = "insufficient_scope"


class StoreUnavailable(_Refusal, ServiceUnavailable):
    """503: nobody can tell whether the token is good; it still exists (RFC 7009 §2.2.1)."""

    error = "temporarily_unavailable"

    def contract(self) -> list[tuple[str, str]]:
        return [*super().contract(), ("Retry-After", str(tokens.RETRY_AFTER))]


@dataclass(slots=True)
class _Asked:
    """What one application's guard made of a request."""

    state: State
    token: Token | None = None
    refusal: _Refusal | None = None


def _current() -> Token:
    asked = _asked(request) if request else None
    if asked is None or asked.token is None or asked.state is not current_state():
        raise RuntimeError(
            "This request has no access token. Guard the view with @token_required; under optional=True ask"
            ' "if current_token" first.'
        )
    return asked.token


def _asked(request: Request) -> _Asked | None:
    """It stands on the request: ``g`` outlives the request where an application context was pushed before it."""
    found: _Asked | None = getattr(request, "_access_tokens", None)
    return found


current_token: Token = LocalProxy(_current)  # type: ignore[assignment]
"""The token of this request; falsy where there is none."""


@overload
def token_required(view: View, /) -> View: ...
@overload
def token_required(*scopes: str, optional: bool = False) -> Callable[[View], View]: ...
def token_required(*scopes: Any, optional: bool = False) -> Any:
    """Let a request into a view only with a bearer token that holds every one of these scopes.

    Stands between the route and the view, on functions, async functions, methods and in ``MethodView.decorators``::

        @app.get("/reports")
        @token_required("reports:read")
        def reports(): ...

    :param scopes: names of scopes, all needed; none asks for a token of any scopes.
    :param optional: let a request without a bearer token in as well; a bad token is refused all the same.
    """
    if len(scopes) == 1 and callable(scopes[0]):
        return _guarded(scopes[0], Guard((), optional))
    return functools.partial(_guarded, guard=_plain(*scopes, optional=optional))


def require_token(*scopes: str, optional: bool = False) -> None:
    """The check of :func:`token_required` as a plain call; ``bp.before_request(require_token)`` guards a blueprint.

    :param scopes: names of scopes, all needed.
    :param optional: return for a request without a bearer token as well.
    :raises HTTPException: the refusal, as RFC 6750 §3 writes it. A CORS preflight passes.
    """
    _require(_plain(*scopes, optional=optional))


def _plain(*scopes: str, optional: bool = False) -> Guard:
    _refuse_no_scopes(scopes)
    return Guard(tuple(dict.fromkeys(scopes)), optional)


require_token._access_token_plain_call = _plain  # type: ignore[attr-defined]


def _refuse_no_scopes(scopes: tuple[Any, ...]) -> None:
    for scope in scopes:
        if not isinstance(scope, str):
            raise TypeError(f"A scope is a text, not {scope!r}: @token_required, or @token_required('reports:read').")
        if not SCOPE.fullmatch(scope):
            raise ValueError(f"{scope!r} is not one scope: give each as its own argument (RFC 6749 §3.3).")


def _guarded(view: Any, guard: Guard) -> Any:
    is_async = iscoroutinefunction(view)

    @functools.wraps(view)
    def guarded(*args: Any, **kwargs: Any) -> Any:
        _require(guard)
        if is_async:
            return current_app.ensure_sync(view)(*args, **kwargs)
        return view(*args, **kwargs)

    routes.mark(guarded, view, guard)
    return guarded


def _require(guard: Guard) -> None:
    app: Flask = current_app._get_current_object()  # type: ignore[attr-defined]
    req: Request = request._get_current_object()  # type: ignore[attr-defined]
    if req.method == "OPTIONS" and _preflight():
        return
    state = current_state()
    asked = _asked(req)
    if asked is None or asked.state is not state:
        asked = req._access_tokens = _Asked(state)  # type: ignore[attr-defined]
    try:
        if asked.token is None:
            asked.token = _admit(guard, state, req)
            if asked.token is not None and token_used.receivers:
                token_used.send(app, token=asked.token)
        else:
            _check_scopes(guard, asked.token)
    except _Refusal as refusal:
        asked.refusal = refusal
        raise


def _admit(guard: Guard, state: State, req: Request) -> Token | None:
    """The token of this request, or None where none is needed; raises the refusal."""
    off = state.switched_off
    if off and bearer.count(req.environ.get("HTTP_AUTHORIZATION")):
        raise _refused("disabled", _invalid("Access tokens are disabled."))
    credential = _credential(state, req)
    if credential is None:
        if guard.optional:
            return None
        raise _refused("disabled" if off else "missing", TokenRequired("Send an access token.", _challenge()))
    digests = secret.digests(credential, state.peppers)
    try:
        match = tokens.read(state, digests)
        if match is None:
            raise _refused("unknown", _invalid(_MALFORMED))
        token = match.token
        if token.expired:
            raise _refused("expired", _invalid("The access token has expired."), token)
        if not state.enabled(token.owner_id):
            raise _refused("disabled", _invalid("Access tokens are disabled."), token)
        if state.vouches and token.owner is None:
            raise _refused("owner", _invalid(_MALFORMED), token)
        token = _effective(state, token)
    except tokens.StoreError as error:
        logger.error("The token store does not answer: %s", tokens.failure(error))
        raise StoreUnavailable("The access token cannot be checked now. Try again in a moment.") from None
    _check_scopes(guard, token)
    tokens.remember_use(state, match)
    return token


def _check_scopes(guard: Guard, token: Token) -> None:
    missing = [scope for scope in guard.scopes if scope not in token.scopes]
    if missing:
        description = "The access token lacks the scope: " + " ".join(missing)
        challenge = _challenge("insufficient_scope", description, scope=" ".join(guard.scopes))
        raise _refused("scope", InsufficientScope(description, challenge), token)


def _credential(state: State, req: Request) -> Secret | None:
    """The bearer credential of this request where its form is right; None without one; raises for a bad one.

    The header alone is read, never a query, form or cookie (RFC 9700 §4.3.2).
    """
    prefixes = state.prefixes
    value = req.environ.get("HTTP_AUTHORIZATION")
    text = bearer.credential(value)
    if text is not None and secret.recognise(text, prefixes):
        return Secret(text)
    found = bearer.count(value)
    del value, text  # a crash reporter prints the locals of every frame
    if not found:
        return None
    if found > 1:
        description = "Send one access token."
        raise _refused("malformed", InvalidRequest(description, _challenge("invalid_request", description)))
    raise _refused("malformed", _invalid(_MALFORMED))


def _effective(state: State, token: Token) -> Token:
    """The token with the scopes that count now: declared by the host, and still the owner's to grant."""
    if not token.scopes:
        return token
    grantable = state.grantable(token.owner_id)
    if all(scope in grantable for scope in token.scopes):
        return token
    return replace(token, scopes=tuple(scope for scope in token.scopes if scope in grantable))


def _preflight() -> bool:
    """Whether Flask answers this OPTIONS itself. A CORS preflight carries no token: one that a view would have to
    answer is answered here, and the view does not run.
    """
    if getattr(request.url_rule, "provide_automatic_options", request.url_rule is None):
        return True
    if request.origin is not None and request.access_control_request_method is not None:
        abort(current_app.make_default_options_response())
    return False


def exempt_from_csrf() -> None:
    """Teach the host's CSRFProtect, wherever it was set up, to let bearer tokens into guarded views.

    Only a request that carries a bearer credential passes, and no page can make a browser send one. A guarded view
    asked without one answers as it does everywhere: 401, rather than a word on CSRF.
    """
    csrf = current_app.extensions.get("csrf")
    if isinstance(csrf, CSRFProtect) and "protect" not in vars(csrf):
        protect = csrf.protect

        def protect_sessions(*args: Any, **kwargs: Any) -> None:
            guard = routes.guard_of_request(current_app, request.endpoint, request.method)
            if guard is not None and bearer.count(request.environ.get("HTTP_AUTHORIZATION")):
                return
            try:
                protect(*args, **kwargs)
            except CSRFError:
                if guard is not None and not guard.optional:
                    _require(guard)
                raise

        csrf.protect = protect_sessions


def finish(response: Response) -> Response:
    """Give the answers of guarded views their headers, after the host has set its own.

    A challenge is put back where the host's error handler wrote a response of its own.
    """
    asked = _asked(request)
    if asked is None:
        return response
    refusal = asked.refusal
    if refusal is not None and response.status_code >= 300:  # below, the view caught it
        for name, value in refusal.contract():
            response.headers[name] = value
    if response.headers.getlist("Vary"):
        response.vary.add("Authorization")
    else:
        response.headers.add("Vary", "Authorization")
    return response


# Refusals


def _refused(reason: str, refusal: _Refusal, token: Token | None = None) -> _Refusal:
    app = current_app._get_current_object()  # type: ignore[attr-defined]
    token_rejected.send(app, reason=reason, token_id=None if token is None else token.id)
    return refusal


def _invalid(description: str) -> InvalidToken:
    return InvalidToken(description, _challenge("invalid_token", description))


def _challenge(error: str | None = None, description: str | None = None, scope: str | None = None) -> str:
    """A challenge with every value quoted (RFC 9110 §11.5)."""
    values = {
        "realm": current_state().config["ACCESS_TOKENS_REALM"],
        "error": error,
        "error_description": description,
        "scope": scope,
    }
    return "Bearer " + ", ".join(f'{name}="{value}"' for name, value in values.items() if value is not None)
