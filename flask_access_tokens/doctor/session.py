"""The key that signs the session, and the flags of its cookie: whoever has a session can generate tokens."""

import re
from collections.abc import Iterator
from typing import Any

from ..finding import Finding
from ..state import State

_MIN_BYTES = 16
"""128 bits if they are random. Whoever has one cookie can try keys without sending a request."""

_KNOWN = {
    "5y2lf4q8z",  # the documentation of Flask, as is the next one
    "192b9bdd22ab9ed4d12e236c78afcb9a393ec15f71bbf5dc987d54727823bcbf",
    "a0zr98j3yxrxhhjmnlwxrt",
    "5791628bb0b13ce0c676dfde280ba245",  # tutorials and templates, as are the others
    "changeme",
    "changethis",
    "dev",
    "development",
    "hardtoguessstring",
    "mysecret",
    "mysecretkey",
    "password",
    "secret",
    "secretkey",
    "supersecret",
    "supersecretkey",
    "test",
    "thisisasecret",
    "thisisasecretkey",
    "thisissupposedtobesecret",
    "yoursecretkey",
    "yoursecretkeyhere",
    "youwillneverguess",
}
"""Published keys, as their lower-case letters and digits."""

_NEW_KEY = "Set a new one, the output of: python -c 'import secrets; print(secrets.token_hex())'"


def key_findings(state: State) -> Iterator[Finding]:
    """Find a secret key that is missing, published or too short. No message contains a key."""
    key, fallbacks = state.config.get("SECRET_KEY"), state.config.get("SECRET_KEY_FALLBACKS") or ()
    if not key:
        yield Finding(
            "secret-key-missing", f"SECRET_KEY is not set, so nobody can sign in or submit a form. {_NEW_KEY}"
        )
    else:
        yield from _problems_of("SECRET_KEY", key)
    for fallback in fallbacks:
        yield from _problems_of("A key in SECRET_KEY_FALLBACKS", fallback)


def cookie_findings(state: State) -> Iterator[Finding]:
    """Find flags of the session cookie that are not set. In debug mode, there is no HTTPS for ``Secure``."""
    app, interface = state.app, state.app.session_interface
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
    if interface.get_cookie_samesite(app) in (None, "None"):
        yield Finding(
            "cookie-samesite",
            "Browsers may send the session cookie with requests from other sites. Set SESSION_COOKIE_SAMESITE to"
            ' "Lax".',
        )


def _problems_of(name: str, key: Any) -> Iterator[Finding]:
    content = key.encode() if isinstance(key, str) else bytes(key)
    if re.sub(rb"[^a-z0-9]", b"", content.lower()).decode() in _KNOWN:
        yield Finding(
            "secret-key-known",
            f"{name} is published, so anyone can look it up and sign in as anybody. {_NEW_KEY}",
        )
    elif len(content) < _MIN_BYTES:
        yield Finding(
            "secret-key-short",
            f"{name} has only {len(content)} bytes, so whoever has one cookie can guess it. {_NEW_KEY}",
        )
