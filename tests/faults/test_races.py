"""Many requests at once: limits, deletions, forms, applications."""

import re
from collections.abc import Callable

import pytest

from flask_access_tokens import tokens
from host import Host, bearer
from load import at_once, load, someone, statuses, wait_until
from place import Served
from scenarios import FORM, NEW, SECRET, race_for_the_last_place, race_to_delete

LIMIT = 3
NONCE = re.compile(r'name="access_tokens_nonce"[^>]*value="([^"]+)"')


@pytest.mark.case("E01")
def test_sixteen_concurrent_requests_never_exceed_the_limit(served: Served) -> None:
    for _ in range(4):
        answers, held = race_for_the_last_place(served.place, served.gunicorn, LIMIT)
        assert statuses(answers) == {200: 1, 422: 15}
        assert all("the most allowed" in answer.text for answer in answers if answer.status == 422)
        assert held == LIMIT


@pytest.mark.case("E02")
def test_one_of_eight_concurrent_deletions_of_a_token_succeeds(served: Served) -> None:
    for _ in range(5):
        assert statuses(race_to_delete(served.place, served.gunicorn)) == {303: 1, 404: 7}


@pytest.mark.case("E03", "E06")
def test_a_deletion_takes_effect_on_every_worker_once_it_is_acknowledged(served: Served) -> None:
    ann = someone("ann")
    (text,) = served.place.generate(ann)
    (token,) = served.place.owned_by(ann)
    cookie = served.gunicorn.sign_in(ann)
    workers = {str(pid) for pid in served.gunicorn.pids()}
    with load(6, lambda _: served.use(text)) as uses:
        wait_until(lambda: {answer.headers.get("X-Worker") for answer in list(uses)} >= workers)
        deleted = served.gunicorn.call(f"/access-tokens/{token.id}/delete", form={}, cookie=cookie)
        wait_until(
            lambda: {use.headers.get("X-Worker") for use in list(uses) if use.started > deleted.ended} >= workers
        )
    assert deleted.status == 303
    assert statuses([use for use in uses if use.ended < deleted.started]).keys() == {200}
    assert statuses([use for use in uses if use.started > deleted.ended]).keys() == {401}
    assert statuses(uses).keys() == {200, 401}


@pytest.mark.case("E04")
def test_one_form_sent_twice_at_once_and_once_later_generates_one_token(served: Served) -> None:
    ann = someone("ann")
    cookie = served.gunicorn.sign_in(ann)
    found = NONCE.search(served.gunicorn.call(NEW, cookie=cookie).text)
    assert found
    form = {**FORM, "access_tokens_nonce": found[1]}
    answers = at_once(2, lambda _: served.gunicorn.call(NEW, form=form, cookie=cookie))
    answers.append(served.gunicorn.call(NEW, form=form, cookie=cookie))
    assert statuses(answers) == {200: 1, 409: 2}
    assert len(served.place.owned_by(ann)) == 1
    for answer in answers:
        assert bool(SECRET.search(answer.text)) == (answer.status == 200)
        assert ("already generated" in answer.text) == (answer.status == 409)


@pytest.mark.case("E22")
def test_two_applications_in_one_process_never_mix(make_host: Callable[..., Host], database_url: str) -> None:
    one, two = make_host(database_url), make_host("sqlite://")
    secrets = {}
    for host, owner in ((one, "ann"), (two, "bob")):
        with host.app.app_context():
            secrets[owner] = tokens.generate(owner, "laptop").secret

    def use(number: int) -> None:
        ann, bob = one.client(), two.client()
        for _ in range(12):
            assert ann.get("/api", headers=bearer(secrets["ann"])).get_json()["owner"] == "ann"
            assert ann.get("/api", headers=bearer(secrets["bob"])).status_code == 401
            assert ann.get("/optional").get_json()["owner"] is None
            if number == 0:  # a database in memory has one connection: one thread at a time
                assert bob.get("/api", headers=bearer(secrets["bob"])).get_json()["owner"] == "bob"
                assert bob.get("/api", headers=bearer(secrets["ann"])).status_code == 401

    at_once(8, use)
