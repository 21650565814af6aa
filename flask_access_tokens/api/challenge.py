"""The refusals of the guard: HTTP exceptions with a ``WWW-Authenticate`` challenge and a JSON body (RFC 6750 §3)."""

from typing import Any

from flask import json
from werkzeug.exceptions import BadRequest, Forbidden, HTTPException, ServiceUnavailable, Unauthorized

from ..state import current_state
from ..store.connections import RETRY_AFTER
from ..store.entities import Token

MALFORMED = "The access token is malformed, unknown or no longer valid."
MISSING = "Send the access token in this header, and nowhere else: Authorization: Bearer TOKEN"
TWICE = "The request has more than one access token. Send one."


class BearerError(HTTPException):
    """A refusal of the guard. The host's error handlers may replace the body; the headers are kept."""

    error: str
    error_in_challenge = True

    def __init__(self, description: str, *scopes: str) -> None:
        super().__init__(description)
        self.scopes = scopes

    def get_body(self, environ: Any = None, scope: Any = None) -> str:
        body: str = json.dumps({"error": self.error, "error_description": self.description})
        return body

    def get_headers(self, environ: Any = None, scope: Any = None) -> list[tuple[str, str]]:
        return [("Content-Type", "application/json"), *self.auth_headers()]

    def auth_headers(self) -> list[tuple[str, str]]:
        """Return the headers that the response has, whatever the host's error handlers return."""
        return [("Cache-Control", "no-store"), ("WWW-Authenticate", self._challenge())]

    def _challenge(self) -> str:
        """Return the challenge, with every value quoted (RFC 9110 §11.5)."""
        values = {"realm": current_state().config["ACCESS_TOKENS_REALM"]}
        if self.error_in_challenge:
            values |= {"error": self.error, "error_description": str(self.description)}
        if self.scopes:
            values["scope"] = " ".join(self.scopes)
        return "Bearer " + ", ".join(f'{name}="{value}"' for name, value in values.items())


class TokenRequired(BearerError, Unauthorized):
    """401 without an error code: the request has no bearer credential (RFC 6750 §3.1)."""

    error = "unauthorized"
    error_in_challenge = False


class InvalidToken(BearerError, Unauthorized):
    """401: the token is malformed, unknown, expired or refused (RFC 6750 §3.1)."""

    error = "invalid_token"


class ReplacedToken(InvalidToken):
    """401: the token has a successor, and its overlap is over.

    :param token: the token, as it was found.
    """

    def __init__(self, description: str, token: Token) -> None:
        super().__init__(description)
        self.token = token


class InvalidRequest(BearerError, BadRequest):
    """400: the request has more than one bearer credential (RFC 6750 §3.1)."""

    error = "invalid_request"


class InsufficientScope(BearerError, Forbidden):
    """403: the token lacks a scope that the view requires (RFC 6750 §3.1)."""

    error = "insufficient_scope"


class StoreUnavailable(BearerError, ServiceUnavailable):
    """503: the token cannot be checked now, and may well be good (RFC 7009 §2.2.1)."""

    error = "temporarily_unavailable"

    def auth_headers(self) -> list[tuple[str, str]]:
        return [("Cache-Control", "no-store"), ("Retry-After", str(RETRY_AFTER))]
