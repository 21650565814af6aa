"""The forms of the operators' desk: only the page makes them, for one operator and for a time."""

from typing import Any

import pytest
from itsdangerous import URLSafeTimedSerializer

from desk_pages import (
    DESK,
    DESK_DELETE,
    DESK_FIND,
    DESK_NEW,
    answer_to,
    find_data,
    generated_data,
    listed_names,
    notice,
    selection,
    stored_names,
    with_operator,
)
from host import Host
from markup import Page
from pages import HTMX, NEW, SECRET, Make, form_data, is_fragment

FOR_ANN = f"{DESK_NEW}?owner=ann"


def forms(client: Any, host: Host) -> dict[str, dict[str, Any]]:
    """The data of every form of the desk, by its URL."""
    made = host.generate("ann", "t-kept")
    chosen = selection(made.token)
    return {
        DESK_FIND: find_data(client, made.secret),
        chosen: answer_to(client, chosen, reason="because"),
        f"{DESK_DELETE}?owner=ann&everything=1": answer_to(client, f"{DESK_DELETE}?owner=ann&everything=1"),
        FOR_ANN: generated_data(client, "ann", name="t-typed"),
    }


@pytest.mark.case("D01")
def test_a_form_of_the_desk_without_its_own_csrf_token_changes_and_finds_nothing(protected_host: Host) -> None:
    host = with_operator(protected_host)
    olga = host.client("olga")
    anns = form_data(host.client("ann"))["csrf_token"]
    sent = forms(olga, host)
    before = host.rows()
    for path, form in sent.items():
        for csrf in (None, "", "wrong", "é\ufffd", "a.b.c", anns):
            fields = {key: value for key, value in form.items() if key != "csrf_token"}
            fields |= {} if csrf is None else {"csrf_token": csrf}
            plain, htmx = olga.post(path, data=fields), olga.post(path, data=fields, headers=HTMX)
            assert (plain.status_code, htmx.status_code) == (400, 200)
            assert is_fragment(htmx)
            for answer in (plain, htmx):
                assert "This form has expired. Nothing was changed" in notice(answer)
                assert not SECRET.search(answer.text)
                assert path != DESK_FIND or Page(answer).all("section", data_state="list")
    assert host.rows() == before


@pytest.mark.case("D01")
def test_an_expired_form_of_the_desk_comes_back_as_it_was_filled_in(protected_host: Host) -> None:
    host = with_operator(protected_host)
    olga = host.client("olga")
    sent = forms(olga, host)
    for path, form in list(sent.items())[1:]:
        again = olga.post(path, data={**form, "csrf_token": "wrong"})
        fresh = Page(again).forms[0].fields
        assert fresh["reason"] == [form["reason"]] if isinstance(form["reason"], str) else form["reason"]
        assert path != FOR_ANN or fresh["name"] == ["t-typed"]
        assert olga.post(path, data=fresh).status_code in (200, 303, 404)
    assert stored_names(host) == ["t-typed"]


@pytest.mark.case("D02")
def test_a_csrf_token_in_a_header_is_enough_at_the_desk(protected_host: Host) -> None:
    host = with_operator(protected_host)
    olga = host.client("olga")
    sent = forms(olga, host)
    headers = {**HTMX, "X-CSRFToken": sent[DESK_FIND]["csrf_token"][0]}
    for form in sent.values():
        del form["csrf_token"]
    assert listed_names(olga.post(DESK_FIND, data=sent[DESK_FIND], headers=headers)) == ["t-kept"]
    assert SECRET.search(olga.post(FOR_ANN, data=sent[FOR_ANN], headers=headers).text)
    path = next(path for path in sent if "token=" in path)
    assert notice(olga.post(path, data=sent[path], headers=headers)) == "1 token was deleted."
    assert stored_names(host) == ["t-typed"]


@pytest.mark.parametrize("made_for", ["her own page", "another operator", "another owner", "another site", "nobody"])
def test_the_values_of_a_form_that_was_made_for_somebody_else_are_dropped(protected_host: Host, made_for: str) -> None:
    host = with_operator(protected_host, "olga", "otto")
    olga, otto = host.client("olga"), host.client("otto")
    made = generated_data(olga, "ann", name="t-foreign", scopes=["write"])
    nonce = {
        "her own page": form_data(olga)["access_tokens_nonce"],
        "another operator": generated_data(otto, "ann")["access_tokens_nonce"],
        "another owner": generated_data(olga, "bob")["access_tokens_nonce"],
        "another site": URLSafeTimedSerializer("guessed").dumps(["x", "ann", "operator\nolga"]),
        "nobody": "",
    }[made_for]
    csrf = {"csrf_token": ""} if made_for == "nobody" else {}
    for headers, status in (({}, 400), (HTMX, 200)):
        answer = olga.post(FOR_ANN, data={**made, "access_tokens_nonce": nonce, **csrf}, headers=headers)
        assert answer.status_code == status
        assert notice(answer) == "This form has expired. Nothing was changed; please fill it in again."
        assert "t-foreign" not in answer.text
        fresh = Page(answer).form("/new").fields
        assert (fresh["name"], fresh["scopes"]) == ([""], [])
    assert host.rows() == []
    assert olga.post(FOR_ANN, data={**fresh, "name": "t-own"}).status_code == 200


def test_a_form_of_the_desk_generates_nothing_on_the_operator_s_own_page(protected_host: Host) -> None:
    host = with_operator(protected_host)
    olga = host.client("olga")
    for owner in ("ann", "olga"):
        answer = olga.post(NEW, data=generated_data(olga, owner))
        assert answer.status_code == 400
        assert "expired" in notice(answer)
    assert host.rows() == []


@pytest.mark.parametrize("everything", [False, True])
def test_a_deletion_needs_the_time_at_which_this_operator_was_asked(protected_host: Host, everything: bool) -> None:
    host = with_operator(protected_host, "olga", "otto")
    olga, otto = host.client("olga"), host.client("otto")
    token = host.generate("ann", "t-kept").token
    path = f"{DESK_DELETE}?owner=ann&everything=1" if everything else selection(token)
    form = answer_to(olga, path)
    (asked,) = form["asked"]
    forged = [
        "",
        "x",
        asked[::-1],
        f"{asked}x",
        "2026-01-01T00:00:00+00:00",
        answer_to(otto, path)["asked"][0],
        generated_data(olga, "ann")["access_tokens_nonce"][0],
        URLSafeTimedSerializer("guessed", salt="flask-access-tokens.deletion").dumps("2999-01-01T00:00:00+00:00"),
        "a" * 10_000,
    ]
    for value in forged:
        answer = olga.post(path, data={**form, "asked": value})
        assert (answer.status_code, "expired" in notice(answer)) == (400, True), value
        fresh = Page(answer).form("/delete").fields
    del form["asked"]
    assert olga.post(path, data=form).status_code == 400
    assert stored_names(host) == ["t-kept"]
    assert olga.post(path, data=fresh).status_code == 303
    assert stored_names(host) == []


@pytest.mark.case("S22")
def test_the_answer_to_a_question_deletes_what_it_was_asked_about_and_nothing_else(protected_host: Host) -> None:
    host = with_operator(protected_host)
    olga = host.client("olga")
    first, second = (host.generate("ann", name).token for name in ("t-first", "t-second"))
    paths = [
        selection(first),
        selection(second),
        selection(first, second),
        f"{DESK_DELETE}?owner=ann&everything=1",
        f"{DESK_DELETE}?owner=ann&status=active&everything=1",
        f"{DESK_DELETE}?q=ann&everything=1",
    ]
    for path in paths:
        form = answer_to(olga, path, reason="leaked")
        for other in paths:
            if other != path:
                answer = olga.post(other, data=form)
                assert (answer.status_code, "expired" in notice(answer)) == (400, True), (path, other)
                assert Page(answer).form("/delete").fields["reason"] == ["leaked"]
    assert stored_names(host) == ["t-first", "t-second"]
    path = selection(first)
    assert olga.post(f"{path}&sort=-used", data=answer_to(olga, path)).status_code == 303
    assert stored_names(host) == ["t-second"]


def test_a_question_left_open_for_more_than_a_day_is_asked_again(
    protected_host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = with_operator(protected_host)
    olga = host.client("olga")
    path = selection(host.generate("ann", "t-kept").token)
    form = answer_to(olga, path, reason="left the company")
    monkeypatch.setattr("flask_access_tokens.page.desk_forms.FORM_AGE", -1)
    answer = olga.post(path, data=form)
    assert (answer.status_code, stored_names(host)) == (400, ["t-kept"])
    assert Page(answer).form("/delete").fields["reason"] == ["left the company"]


@pytest.mark.case("D04")
def test_reading_the_desk_changes_nothing(make_host: Make) -> None:
    host = with_operator(make_host(csrf=True))
    olga = host.client("olga")
    sent = forms(olga, host)
    before = host.rows()
    for path, form in sent.items():
        for method in ("GET", "HEAD"):
            assert olga.open(path, method=method, data=form).status_code == (404 if path == DESK_FIND else 200)
    assert olga.get(f"{DESK}?everything=1&owner=ann&csrf_token=x").status_code == 200
    assert host.rows() == before


@pytest.mark.case("D07")
def test_over_https_a_form_of_the_desk_needs_a_referer_of_this_host(protected_host: Host) -> None:
    host = with_operator(protected_host)
    olga, at = host.client(), {"base_url": "https://shop.example"}
    olga.get("/sign-in/olga", **at)
    token = host.generate("ann", "t-kept").token
    form = Page(olga.get(selection(token), **at)).form("/delete").fields
    for referer in ("https://evil.example/", "http://shop.example/access-tokens/all/", ""):
        assert olga.post(selection(token), data=form, headers={"Referer": referer}, **at).status_code == 400
    assert stored_names(host) == ["t-kept"]
    own = {"Referer": "https://shop.example/access-tokens/all/delete"}
    assert olga.post(selection(token), data=form, headers=own, **at).status_code == 303
