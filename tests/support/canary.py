"""The canary: searches for every secret that a test generates in every place that must not contain it."""

import base64
import re
import zlib
from collections.abc import Iterable

_RUN = re.compile(r"[0-9A-Za-z]{12,}")
_SIGNED = re.compile(r"=\.?([0-9A-Za-z_-]{16,})\.")
_SHOWN = 12
"""The first characters of a secret's body must not be found either; this is their number."""


class Canary:
    """The secrets generated in one test, and the search for them."""

    def __init__(self) -> None:
        self.bodies: set[str] = set()
        self.found: list[str] = []

    def remember(self, secret: object) -> None:
        self.bodies.add(str(secret).rpartition("_")[2][:_SHOWN])

    def search(self, place: str, text: str) -> None:
        """Record a place whose text contains a secret, or the first 12 characters of its body."""
        if self.bodies and self._holds(text):
            self.found.append(place)

    def search_cookies(self, place: str, cookies: Iterable[str]) -> None:
        """Search signed cookies, whose payload is readable without a key."""
        for cookie in cookies:
            self.search(place, cookie)
            for payload in _SIGNED.findall(cookie):
                data = base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4))
                if f"=.{payload}" in cookie:
                    data = zlib.decompress(data)
                self.search(place, data.decode("utf-8", "replace"))

    def _holds(self, text: str) -> bool:
        return any(
            run[start : start + _SHOWN] in self.bodies
            for run in _RUN.findall(text)
            for start in range(len(run) - _SHOWN + 1)
        )
