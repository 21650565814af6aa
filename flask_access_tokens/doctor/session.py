"""The key that signs the session, and the flags of its cookie: whoever has a session can generate tokens."""

from collections.abc import Iterator

from ..finding import Finding
from ..state import State


def session_findings(state: State) -> Iterator[Finding]:
    """Find that there is no secret key, and flags of the session cookie that are not set.

    In debug mode, there is no HTTPS for ``Secure``. ``SameSite`` does not matter: every form has a CSRF token.
    """
    app, interface = state.app, state.app.session_interface
    if not app.secret_key:
        yield Finding(
            "secret-key-missing",
            "SECRET_KEY is not set, so nobody can sign in or submit a form. Set it to the output of:"
            " python -c 'import secrets; print(secrets.token_hex())'",
        )
    if not interface.get_cookie_secure(app) and not app.debug:
        yield Finding(
            "cookie-secure",
            "The session cookie is also sent without encryption, where it can be read. Set SESSION_COOKIE_SECURE to"
            " True and serve the application over HTTPS.",
        )
    if not interface.get_cookie_httponly(app):
        yield Finding(
            "cookie-httponly",
            "Scripts in a page can read the session cookie. Set SESSION_COOKIE_HTTPONLY to True.",
        )
