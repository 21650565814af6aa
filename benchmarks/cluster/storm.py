"""People who generate, use and delete tokens while a server fails, and the last acknowledged state of each token."""

import random
import re
import threading
from collections import Counter
from typing import Any

from load import someone
from scenarios import FORM, NEW, SECRET
from workers import Answer, Gunicorn

DELETE = re.compile(r"/access-tokens/[0-9a-f-]{36}/delete")
KEPT = 0.5
"""The share of tokens that are not deleted."""


class Storm:
    """Calls on one host, from as many threads as call :meth:`step`.

    :param uses: how often each token is used.
    """

    def __init__(self, gunicorn: Gunicorn, uses: int = 1) -> None:
        self.gunicorn = gunicorn
        self.uses = uses
        self.kept: list[str] = []
        self.deleted: list[str] = []
        self.seen: Counter[int] = Counter()
        self._lock = threading.Lock()

    def step(self, _: int = 0) -> None:
        """Sign in as a new person, generate and use a token, and perhaps delete it. Any request may fail."""
        signed_in = self._call(f"/sign-in/{someone('ann')}")
        if signed_in.status != 200:
            return
        cookie = signed_in.headers["Set-Cookie"].partition(";")[0]
        created = self._call(NEW, form=FORM, cookie=cookie)
        secret, path = SECRET.search(created.text), DELETE.search(created.text)
        if created.status != 200 or not secret or not path:
            return
        for _ in range(self.uses):
            self._call("/api", secret=secret[0])
        if random.random() < KEPT:
            self.kept.append(secret[0])
        elif self._call(path[0], form={}, cookie=cookie).status == 303:
            self.deleted.append(secret[0])

    def lost(self) -> int:
        """The number of tokens that were shown, never deleted, and are not accepted."""
        return sum(self.gunicorn.call("/api", secret=secret).status != 200 for secret in self.kept)

    def revived(self) -> int:
        """The number of tokens whose deletion was acknowledged, and that are not refused."""
        return sum(self.gunicorn.call("/api", secret=secret).status != 401 for secret in self.deleted)

    @property
    def failed(self) -> int:
        """The number of requests with an error that does not say that the database cannot be used, or no answer."""
        return sum(count for status, count in self.seen.items() if status not in (200, 303, 503))

    def _call(self, path: str, **arguments: Any) -> Answer:
        answer = self.gunicorn.call(path, **arguments)
        with self._lock:
            self.seen[answer.status] += 1
        return answer
