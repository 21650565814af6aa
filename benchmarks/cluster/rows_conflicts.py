"""Rows: the same form or deletion on two Galera nodes at once, and a deletion while a use is noted elsewhere."""

import random
import re
import time
from collections import Counter
from collections.abc import Mapping

from load import at_once, someone
from scenarios import FORM, NEW, SECRET

from .hosts import Served, generate, in_process, owned_by, serving_on_each
from .rows import Clusters, Result
from .rows_limits import SEES_ALL

NONCE = re.compile(r'name="access_tokens_nonce"[^>]*value="([^"]+)"')
CALLERS = 4


def same_form(clusters: Clusters) -> Result:
    """Send each form to two nodes at once."""
    nodes = clusters.galera.nodes[:2]
    pairs = clusters.some(500, 60)
    before = clusters.galera.conflicts()
    seen: Counter[str] = Counter()
    with (
        in_process(nodes[0].url, SQLALCHEMY_ENGINE_OPTIONS=SEES_ALL) as reader,
        serving_on_each([node.url for node in nodes]) as served,
    ):
        for _ in range(pairs):
            person = someone("ann")
            cookie = served[0].sign_in(person)
            nonce = NONCE.search(served[0].call(NEW, cookie=cookie).text)
            form = {**FORM, "access_tokens_nonce": nonce[1] if nonce else ""}
            answers = at_once(2, lambda n, f=form, c=cookie: served[n].call(NEW, form=f, cookie=c))
            shown = sum(bool(SECRET.search(answer.text)) for answer in answers)
            pair = " and ".join(str(answer.status) for answer in sorted(answers, key=lambda answer: answer.status))
            right = shown == len(owned_by(reader, person)) == 1
            seen[pair if right else f"{pair}, {shown} secrets shown"] += 1
    conflicts = clusters.galera.conflicts() - before
    return Result(f"{_named(seen)}; {conflicts} conflicts", set(seen) <= {"200 and 409", "200 and 200"})


def deletions(clusters: Clusters) -> Result:
    """Delete tokens on two nodes at once; then on one, while another is about to note their use."""
    nodes = clusters.galera.nodes[:2]
    rounds = clusters.some(500, 60)
    before = clusters.galera.conflicts()
    used: Counter[str] = Counter()
    both: Counter[str] = Counter()
    with (
        in_process(nodes[1].url, SQLALCHEMY_ENGINE_OPTIONS=SEES_ALL) as reader,
        serving_on_each([node.url for node in nodes], ACCESS_TOKENS_LAST_USED_INTERVAL=0) as served,
    ):
        for _ in range(rounds):
            person = someone("ann")
            generate(reader, person, 1)
            (token,) = owned_by(reader, person)
            path, cookie = f"/access-tokens/{token.id}/delete", served[0].sign_in(person)
            # What the second node generated may not be on the first yet.
            _wait_for(served[0], path, cookie)
            answers = at_once(2, lambda n, p=path, c=cookie: served[n].call(p, form={}, cookie=c))
            both[" and ".join(sorted(str(answer.status) for answer in answers))] += 1

        def use_and_delete(_: int) -> None:
            person = someone("ann")
            cookie = served[0].sign_in(person)
            for _ in range(rounds // CALLERS):
                (secret,) = generate(reader, person, 1)
                (token,) = owned_by(reader, person)
                path = f"/access-tokens/{token.id}/delete"
                _wait_for(served[0], path, cookie)
                first = served[1].call("/api", secret=secret).status
                time.sleep(random.uniform(0.08, 0.13))  # the use is noted about a tenth of a second after it
                used[f"{first}, {served[0].call(path, form={}, cookie=cookie).status}"] += 1

        at_once(CALLERS, use_and_delete)
    met = set(both) == {"303 and 404"} and set(used) == {"200, 303"}
    conflicts = clusters.galera.conflicts() - before
    return Result(f"on two nodes: {_named(both)}; use, then delete: {_named(used)}; {conflicts} conflicts", met)


def _wait_for(served: Served, path: str, cookie: str) -> None:
    """Wait until a node knows a token."""
    deadline = time.monotonic() + 10
    while served.call(path, cookie=cookie).status != 200:
        if time.monotonic() > deadline:
            raise TimeoutError("the token is not replicated")


def _named(seen: Mapping[str, int]) -> str:
    return ", ".join(f"{count:,} × ({what})" for what, count in sorted(seen.items()))
