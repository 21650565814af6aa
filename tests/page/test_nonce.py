"""Forms sent twice, by another person, too late, or after SECRET_KEY was replaced."""

import threading
from typing import Any

import pytest
from flask import request

from catalogs import NEW
from host import Host
from markup import Page
from pages import HTMX, SECRET, Make, form_data, names, shown_names


@pytest.mark.case("E04")
def test_the_same_form_generates_one_token(stored_host: Host) -> None:
    client = stored_host.client("ann")
    form = form_data(client, name="t-once")
    assert SECRET.search(client.post(NEW, data=form).text)
    for headers, status in (({}, 409), (HTMX, 200)):
        again = client.post(NEW, data=form, headers=headers)
        assert again.status_code == status
        assert "already generated" in Page(again).text
        assert shown_names(again) == ["t-once"]
        assert not SECRET.search(again.text)
    assert names(stored_host) == ["t-once"]
    assert client.post(NEW, data=form_data(client, name="t-twice")).status_code == 200


@pytest.mark.case("E04")
def test_the_same_form_sent_by_several_threads_at_once_generates_one_token(make_host: Make, database_url: str) -> None:
    host = make_host(database_url)
    for number in range(3):
        if number == 2:
            host.app.config["ACCESS_TOKENS_MAX_PER_OWNER"] = 3
        client = host.client("ann")
        form = form_data(client, name=f"t-{number}")
        cookie = client.get_cookie("session")
        together = threading.Barrier(4)
        answers: list[Any] = []

        def post(form: dict[str, Any] = form, value: str = cookie.value) -> None:
            browser = host.app.test_client()
            browser.set_cookie("session", value)
            together.wait()  # noqa: B023
            answers.append(browser.post(NEW, data=form))  # noqa: B023

        threads = [threading.Thread(target=post) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(answer.status_code for answer in answers) == [200, 409, 409, 409]
        for answer in answers:
            assert bool(SECRET.search(answer.text)) is (answer.status_code == 200)
            assert ("already generated" in Page(answer).text) is (answer.status_code == 409)
    assert names(host) == ["t-0", "t-1", "t-2"]


@pytest.mark.case("E04")
def test_a_form_is_valid_only_for_the_person_who_opened_it(host: Host) -> None:
    ann, bob = host.client("ann"), host.client("bob")
    form = form_data(ann, name="t-ann")
    assert bob.post(NEW, data=form).status_code == 400
    assert names(host, "bob") == []
    assert ann.post(NEW, data=form).status_code == 200


@pytest.mark.case("E04")
def test_an_invalid_nonce_counts_as_an_expired_form(host: Host) -> None:
    client = host.client("ann")
    form = form_data(client)
    (nonce,) = form["access_tokens_nonce"]
    for broken in (f"{nonce}x", nonce[::-1], "x", ".", "..", "é", "\x00", "W10.x.y", "a" * 10_000):
        answer = client.post(NEW, data={**form, "access_tokens_nonce": broken, "name": "t-typed"})
        assert answer.status_code == 400
        assert "expired" in answer.text
        assert "t-typed" not in answer.text
    assert names(host) == []


def test_a_refused_form_keeps_its_nonce(host: Host) -> None:
    client = host.client("ann")
    form = form_data(client, lifetime_days="x")
    corrected = Page(client.post(NEW, data=form)).form("/new").fields
    assert corrected["access_tokens_nonce"] == form["access_tokens_nonce"]
    assert client.post(NEW, data={**corrected, "lifetime_days": "7"}).status_code == 200


@pytest.mark.case("G02")
def test_replacing_the_secret_key_expires_an_open_form(make_host: Make) -> None:
    host = make_host(csrf=True)
    host.access_tokens.identity_loader(lambda: request.headers.get("X-Person"))
    client, ann = host.client(), {"X-Person": "ann"}
    form = {**Page(client.get(NEW, headers=ann)).form("/new").fields, "name": "t-typed"}
    host.app.config["SECRET_KEY"] = "another key"
    answer = client.post(NEW, data=form, headers=ann)
    assert answer.status_code == 400
    assert "expired" in answer.text
    assert "t-typed" not in answer.text
    assert names(host) == []
    fresh = {**Page(answer).form("/new").fields, "name": "t-typed"}
    assert client.post(NEW, data=fresh, headers=ann).status_code == 200


@pytest.mark.case("G02")
def test_a_form_signed_with_an_older_key_is_valid_while_that_key_is_a_fallback(host: Host) -> None:
    client = host.client("ann")
    form = form_data(client)
    host.app.config.update(SECRET_KEY="another key", SECRET_KEY_FALLBACKS=["a key for tests"])
    client.get("/sign-in/ann")  # before Flask 3.1 a session has no fallback
    assert client.post(NEW, data=form).status_code == 200
    assert client.post(NEW, data=form).status_code == 409
    fresh = form_data(client)
    host.app.config["SECRET_KEY_FALLBACKS"] = None
    client.get("/sign-in/ann")
    assert client.post(NEW, data=fresh).status_code == 200


@pytest.mark.case("G02")
def test_a_form_left_open_for_more_than_a_day_expires(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    client = host.client("ann")
    form = form_data(client, name="t-typed")
    monkeypatch.setattr("flask_access_tokens.page.forms.FORM_AGE", -1)
    answer = client.post(NEW, data=form)
    assert answer.status_code == 400
    assert "t-typed" in answer.text
    assert names(host) == []
