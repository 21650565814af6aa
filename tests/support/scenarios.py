"""Concurrent scenarios for the fault tests and, for longer, for ``python -m benchmarks.soak``."""

import random
import re
import threading
from collections import Counter
from collections.abc import Callable
from typing import Any

from load import at_once, forged, someone
from place import Place
from workers import Answer, Gunicorn

NEW = "/access-tokens/new"
FORM = {"name": "one more", "lifetime_days": "1"}
SECRET = re.compile(r"pat_[0-9A-Za-z]{49}")
COUNT_UPDATES = {
    "sqlite": [
        "CREATE TRIGGER count_updates AFTER UPDATE ON access_tokens"
        " BEGIN INSERT INTO update_log VALUES (NEW.owner_id); END",
    ],
    "mariadb": [
        "CREATE TRIGGER count_updates AFTER UPDATE ON access_tokens FOR EACH ROW"
        " INSERT INTO update_log VALUES (NEW.owner_id)",
    ],
    "postgresql": [
        "CREATE FUNCTION count_updates() RETURNS trigger LANGUAGE plpgsql AS"
        " 'BEGIN INSERT INTO update_log VALUES (NEW.owner_id); RETURN NULL; END'",
        "CREATE TRIGGER count_updates AFTER UPDATE ON access_tokens FOR EACH ROW EXECUTE FUNCTION count_updates()",
    ],
}


def count_updates(place: Place, owner: str) -> Callable[[], int]:
    """Start counting the updates of an owner's tokens; the returned function returns the count."""
    place.run("CREATE TABLE update_log (owner VARCHAR(255))", *COUNT_UPDATES[place.kind])

    def count() -> int:
        return int(place.scalar(f"SELECT count(*) FROM update_log WHERE owner = '{owner}'"))

    return count


def race_for_the_last_place(place: Place, gunicorn: Gunicorn, limit: int) -> tuple[list[Answer], int]:
    """Let sixteen requests generate the last token that a limit allows; return the responses and the token count."""
    person = someone("ann")
    place.generate(person, limit - 1)
    cookie = gunicorn.sign_in(person)
    answers = at_once(16, lambda _: gunicorn.call(NEW, form=FORM, cookie=cookie, read_first=True))
    return answers, len(place.owned_by(person))


def race_to_delete(place: Place, gunicorn: Gunicorn) -> list[Answer]:
    """Let eight concurrent requests delete one token, and return the responses."""
    person = someone("ann")
    place.generate(person)
    (token,) = place.owned_by(person)
    cookie = gunicorn.sign_in(person)
    return at_once(8, lambda _: gunicorn.call(f"/access-tokens/{token.id}/delete", form={}, cookie=cookie))


class Callers:
    """Programs that call the API, some with valid tokens and the others with forged ones."""

    def __init__(self, place: Place, gunicorn: Gunicorn, good: int) -> None:
        self.gunicorn = gunicorn
        self.owners = {place.generate(owner)[0]: owner for owner in (someone("ann") for _ in range(good))}
        self.good = list(self.owners)
        self.seen: Counter[str] = Counter()

    def step(self, number: int) -> None:
        """Send one request; each of the first callers has a valid token."""
        text = self.good[number] if number < len(self.good) else forged()
        answer = self.gunicorn.call("/api", secret=text)
        kind = "good" if text in self.owners else "forged"
        whose = answer.status != 200 or answer.json["owner"] == self.owners.get(text)
        self.seen[f"{kind} {answer.status}" if whose else "wrong owner"] += 1

    def recovered(self) -> bool:
        """Whether every valid token is accepted again."""
        return all(self.gunicorn.call("/api", secret=text).status == 200 for text in self.good)

    def wrong(self) -> dict[str, int]:
        """The responses that a database failure does not explain."""
        right = ("good 200", "good 503", "forged 401", "forged 503")
        return {key: count for key, count in self.seen.items() if key not in right}


class Storm:
    """People who generate, use and delete tokens during a fault, and the last known state of each token."""

    def __init__(self, place: Place, gunicorn: Gunicorn, keeps: float = 0.5) -> None:
        self.place = place
        self.gunicorn = gunicorn
        self.keeps = keeps
        self.kept: dict[str, str] = {}
        self.deleted: list[str] = []
        self.seen: Counter[int] = Counter()
        self._lock = threading.Lock()

    def step(self, number: int) -> None:
        """Sign in as a new person, generate and use a token, and perhaps delete it. Any response may be lost."""
        person = someone("ann")
        signed_in = self._call(f"/sign-in/{person}")
        if signed_in.status != 200:
            return
        cookie = signed_in.headers["Set-Cookie"].partition(";")[0]
        created = self._call(NEW, form=FORM, cookie=cookie)
        found = SECRET.search(created.text)
        if created.status != 200 or not found:
            return
        text = found[0]
        self._call("/api", secret=text)
        if random.random() < self.keeps:
            self.kept[text] = person
            return
        (token,) = self.place.owned_by(person)
        if self._call(f"/access-tokens/{token.id}/delete", form={}, cookie=cookie).status == 303:
            self.deleted.append(text)

    def wrong(self) -> Counter[str]:
        """The number of tokens that were acknowledged and then lost, or deleted and then accepted."""
        wrong: Counter[str] = Counter()
        for text, person in self.kept.items():
            answer = self.gunicorn.call("/api", secret=text)
            wrong["a kept token lost"] += answer.status != 200 or answer.json["owner"] != person
        for text in self.deleted:
            wrong["a deleted token accepted"] += self.gunicorn.call("/api", secret=text).status != 401
        return +wrong

    def _call(self, path: str, **arguments: Any) -> Answer:
        answer = self.gunicorn.call(path, **arguments)
        with self._lock:
            self.seen[answer.status] += 1
        return answer
