"""A rotation while a program goes on with the old secret, and others keep the application busy."""

import re
import threading

from load import load, someone, statuses, wait_until
from markup import Page
from place import Served
from scenarios import SECRET
from workers import Answer

PERIOD = 1
"""Seconds between two requests of the program."""


def test_a_program_that_runs_each_second_loses_no_request_to_a_rotation(served: Served) -> None:
    ann, bob = someone("ann"), someone("bob")
    (old,), (busy,) = served.place.generate(ann), served.place.generate(bob)
    (token,) = served.place.owned_by(ann)
    cookie = served.gunicorn.sign_in(ann)
    sent: list[tuple[str, Answer]] = []
    configured, stop = [old], threading.Event()

    def program() -> None:
        while not stop.wait(PERIOD):
            secret = configured[-1]
            sent.append((secret, served.use(secret)))

    runs = threading.Thread(target=program)
    runs.start()
    try:
        with load(4, lambda _: served.use(busy)) as others:
            wait_until(lambda: len(sent) >= 1)
            rotated = served.gunicorn.call(
                f"/access-tokens/{token.id}/rotate", form={"overlap_hours": "1"}, cookie=cookie
            )
            found = SECRET.search(rotated.text)
            assert found
            before = len(sent)
            wait_until(lambda: len(sent) > before)  # with the old secret, in the overlap
            configured.append(found[0])
            wait_until(lambda: sent[-1][0] == found[0])
    finally:
        stop.set()
        runs.join()
    assert statuses([answer for _, answer in sent]).keys() == {200}
    assert statuses(others).keys() == {200}

    def page() -> Page:
        return Page(served.gunicorn.call("/access-tokens/", cookie=cookie).text)

    assert "Replaced, works until" in page().text
    # A thread of a worker writes the time shortly after the use.
    wait_until(
        lambda: re.search("just now|minutes? ago", page().all("td", data_used=str(token.id))[0].text) is not None
    )
