"""Refusals of the guard, and the check of a refusal."""

from typing import Any

from werkzeug.test import EnvironBuilder, run_wsgi_app

from flask_access_tokens import secret
from host import Host

MISSING = "Send the access token in this header, and nowhere else: Authorization: Bearer TOKEN"
BARE = 'Bearer realm="api"'
INVALID = (
    'Bearer realm="api", error="invalid_token",'
    ' error_description="The access token is malformed, unknown or no longer valid."'
)
EXPIRED = 'Bearer realm="api", error="invalid_token", error_description="The access token has expired."'
DISABLED = 'Bearer realm="api", error="invalid_token", error_description="Access tokens are disabled."'
TWICE = (
    'Bearer realm="api", error="invalid_request", error_description="The request has more than one access token.'
    ' Send one."'
)

USUAL_NAMES = {"Cache-Control", "Content-Type", "Retry-After", "Vary", "WWW-Authenticate"}

FORGED = str(secret.generate("pat"))


def assert_refused(response: Any, status: int, challenge: str | None) -> None:
    """Check the status, challenge, headers and body of a refusal."""
    assert response.status_code == status
    assert response.headers.getlist("WWW-Authenticate") == ([challenge] if challenge else [])
    assert response.headers["Cache-Control"] == "no-store"
    assert "authorization" in response.vary
    assert "Set-Cookie" not in response.headers
    assert all(value.isascii() for _, value in response.headers)
    # Header names are case-insensitive, but some clients look for the usual spelling.
    usual = {name for name in USUAL_NAMES if name in response.headers}
    assert usual <= {name for name, _ in response.headers}
    if response.request.method != "HEAD":
        assert response.get_json()["error"]


def answer_of(host: Host, value: str) -> tuple[int, Any, bytes]:
    """The response to a header value as a WSGI server passes it on, whatever it contains."""
    environ = EnvironBuilder("/api").get_environ()
    environ["HTTP_AUTHORIZATION"] = value
    body, status, headers = run_wsgi_app(host.app, environ)
    return int(status[:3]), headers, b"".join(body)
