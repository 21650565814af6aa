"""The static files of the page."""

from functools import cache
from hashlib import sha256
from pathlib import Path

from flask import url_for

FOLDER = Path(__file__).with_name("static")


def asset_url(name: str) -> str:
    """Return the URL of a static file, which changes with the file's content so that browsers may cache it."""
    return url_for("access_tokens.asset", name=name, v=fingerprint(name))


@cache
def fingerprint(name: str) -> str:
    """Return a short digest of a static file."""
    return sha256((FOLDER / name).read_bytes()).hexdigest()[:12]
