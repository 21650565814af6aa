"""Deleting at the operators' desk: tokens that were selected, all of an owner, everything that a filter shows."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest

from desk_pages import (
    DESK,
    DESK_DELETE,
    answer_to,
    change,
    listed_names,
    notice,
    selection,
    store_rows,
    stored_names,
    with_operator,
)
from flask_access_tokens import token_deleted, tokens
from host import Clock, Host, bearer
from markup import Page
from pages import HTMX, Make, is_fragment

OF_ANN = f"{DESK_DELETE}?owner=ann&everything=1"


@contextmanager
def deletions(host: Host) -> Iterator[list[tuple[str, str | None, str | None]]]:
    """Collect the name, ``by`` and ``reason`` of each deletion in the block."""
    seen: list[tuple[str, str | None, str | None]] = []

    def note(sender: Any, token: tokens.Token, by: str | None = None, reason: str | None = None, **_: Any) -> None:
        seen.append((token.name, by, reason))

    with token_deleted.connected_to(note, host.app):
        yield seen


def question_text(answer: Any) -> str:
    return " ".join(Page(answer).text.split())


@pytest.fixture
def desk_host(stored_host: Host) -> Host:
    return with_operator(stored_host)


def test_selected_tokens_are_deleted_and_no_others(desk_host: Host) -> None:
    host = desk_host
    made = [host.generate(owner, f"t-{owner}-{number}") for owner in ("ann", "bob") for number in (1, 2)]
    olga = host.client("olga")
    path = selection(made[0].token, made[3].token)
    text = question_text(olga.get(path))
    assert "Delete 2 tokens?" in text
    assert "“t-ann-1” of ann" in text
    assert "“t-bob-2” of bob" in text
    assert "Owners: ann, bob." in text
    assert "None of them was ever used." in text
    with deletions(host) as seen:
        answer = olga.post(path, data=answer_to(olga, path, reason="  left the company "))
    assert answer.status_code == 303
    assert sorted(seen) == [("t-ann-1", "olga", "left the company"), ("t-bob-2", "olga", "left the company")]
    assert stored_names(host) == ["t-ann-2", "t-bob-1"]
    assert [host.client().get("/api", headers=bearer(each.secret)).status_code for each in made] == [
        401,
        200,
        200,
        401,
    ]


@pytest.mark.case("S02")
@pytest.mark.parametrize("status", ["", "asleep"])
def test_what_replaced_a_token_since_the_question_is_deleted_with_it_unless_only_unused_ones_are(
    desk_host: Host, clock: Clock, status: str
) -> None:
    host = desk_host
    token = host.generate("ann", "t-old", lifetime_days=-1).token
    with host.app.app_context():
        before = tokens.rotate("ann", token.id, overlap_hours=168)
        tokens.update("ann", before.token.id, name="t-before")
    clock.pass_(days=100 if status else 0)
    olga = host.client("olga")
    path = f"{DESK_DELETE}?status={status}&everything=1" if status else selection(before.token)
    form = answer_to(olga, path)
    clock.pass_(seconds=1)
    with host.app.app_context():
        since = tokens.rotate("ann", before.token.id, overlap_hours=168).token
        tokens.update("ann", since.id, name="t-since")
    assert olga.post(path, data=form).status_code == 303
    assert stored_names(host) == (["t-old", "t-since"] if status else ["t-old"])


def test_all_tokens_of_an_owner_are_deleted_with_one_question(desk_host: Host, clock: Clock) -> None:
    host = desk_host
    for number in range(3):
        token = host.generate("ann", f"t-{number}").token
        change(host, token, last_used_at=clock.moment - timedelta(days=number * 5 + 1))
    host.generate("bob", "t-kept")
    olga = host.client("olga")
    (link,) = [
        each.attributes["href"]
        for each in Page(olga.get(f"{DESK}?owner=ann")).all("a")
        if each.text == "Delete all of these"
    ]
    text = question_text(olga.get(link))
    assert "Delete 3 tokens?" in text
    assert "Owner: ann." in text
    assert "Last used yesterday." in text or "Last used 1 day ago." in text
    assert "2 of them were used within the last 7 days." in text
    assert "Any program using one of them will immediately lose access." in text
    with deletions(host) as seen:
        assert olga.post(link, data=answer_to(olga, link)).status_code == 303
    assert sorted(seen) == [(f"t-{number}", "olga", None) for number in range(3)]
    assert stored_names(host) == ["t-kept"]


def test_everything_that_a_filter_shows_is_deleted_whatever_the_page(desk_host: Host) -> None:
    host = desk_host
    store_rows(host, 620, ["ann", "bob", "cy", "dan", "eve", "flo", "gus"], scopes="read")
    host.generate("ann", "t-kept", scopes=["write"])
    olga = host.client("olga")
    path = f"{DESK_DELETE}?scope=read&status=unused&sort=-used&everything=1"
    text = question_text(olga.get(path))
    assert "Delete 620 tokens?" in text
    assert "They belong to ann, bob, cy, dan, eve and 2 other owners." in text
    with deletions(host) as seen:
        answer = olga.post(path, data=answer_to(olga, path))
    assert (len(seen), len({name for name, _, _ in seen})) == (620, 620)
    assert stored_names(host) == ["t-kept"]
    assert answer.location.startswith(f"{DESK}?")
    assert notice(olga.get(answer.location)) == "620 tokens were deleted."


def test_what_changed_since_the_question_is_kept(desk_host: Host, clock: Clock) -> None:
    host = desk_host
    old = [host.generate("ann", f"t-{number}").token for number in range(4)]
    clock.pass_(days=100)
    olga = host.client("olga")
    path = f"{DESK_DELETE}?status=asleep&owner=ann&everything=1"
    form = answer_to(olga, path)
    assert "Delete 4 tokens?" in question_text(olga.get(path))
    clock.pass_(minutes=1)
    change(host, old[0], last_used_at=clock.moment)
    change(host, old[1], expires_at=clock.moment - timedelta(days=1))
    host.generate("ann", "t-new")
    everything = answer_to(olga, OF_ANN)
    assert olga.post(path, data=form).status_code == 303
    assert stored_names(host) == ["t-0", "t-1", "t-new"]
    clock.pass_(minutes=1)
    host.generate("ann", "t-newer")
    assert olga.post(OF_ANN, data=everything).status_code == 303
    assert stored_names(host) == ["t-newer"]


@pytest.mark.parametrize(
    "query",
    [
        "",
        "everything=1",
        "everything=1&sort=used",
        "owner=ann",
        "owner=ann&token=",
        "owner=ann&everything=1&token=nonsense",
        "everything=1&status=bogus",
        "everything=1&owner=&q=+&scope=",
        "everything=1&owner=ann&status=expried",
        "everything=1&owner=ann&scope=a%20b",
        f"everything=1&owner=ann&q={'x' * 300}",
        f"everything=1&owner={'a' * 256}",
        f"everything=1&q=ann&scope={'x' * 2000}",
    ],
)
def test_nothing_is_deleted_where_nothing_was_chosen_or_a_part_of_the_filter_is_not_understood(
    host: Host, query: str
) -> None:
    with_operator(host)
    for owner in ("ann", "a" * 255):
        host.generate(owner, "t-kept")
    olga = host.client("olga")
    form = answer_to(olga, OF_ANN)
    for method in ("GET", "POST"):
        for headers, status in (({}, 422), (HTMX, 200)):
            answer = olga.open(f"{DESK_DELETE}?{query}", method=method, data=form, headers=headers)
            assert answer.status_code == status
            assert notice(answer) == "Select tokens, or filter the list, and then delete them."
    assert len(host.rows()) == 2


def test_tokens_that_are_already_gone_are_404_with_the_list(host: Host) -> None:
    with_operator(host)
    gone, kept = host.generate("ann", "t-gone").token, host.generate("ann", "t-kept").token
    olga = host.client("olga")
    form = answer_to(olga, selection(gone))
    both = answer_to(olga, selection(gone, kept))
    with host.app.app_context():
        tokens.delete("ann", gone.id)
    for answer in (
        olga.get(selection(gone)),
        olga.post(selection(gone), data=form),
        olga.get(f"{DESK_DELETE}?owner=nobody&everything=1"),
    ):
        assert (answer.status_code, notice(answer)) == (404, "These tokens are already gone.")
    assert olga.post(selection(gone), data=form, headers=HTMX).status_code == 200
    answer = olga.post(selection(gone, kept), data=both)
    assert notice(olga.get(answer.location)) == "1 token was deleted."
    assert stored_names(host) == []


def test_at_most_so_many_tokens_are_deleted_at_a_time_and_the_notice_says_so(
    desk_host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = desk_host
    monkeypatch.setattr("flask_access_tokens.page.chosen.MOST_DELETED", 4)
    store_rows(host, 10)
    olga = host.client("olga")
    notices = []
    while host.rows():
        answer = olga.post(OF_ANN, data=answer_to(olga, OF_ANN))
        notices.append(notice(olga.get(answer.location)))
    more = "4 tokens were deleted. More tokens match."
    assert notices == [more, more, "2 tokens were deleted."]
    store_rows(host, 4)
    answer = olga.post(OF_ANN, data=answer_to(olga, OF_ANN))
    assert notice(olga.get(answer.location)) == "4 tokens were deleted."


def test_at_most_100_tokens_can_be_selected(host: Host) -> None:
    made = [with_operator(host).generate("ann", f"t-{number}").token for number in range(101)]
    olga = host.client("olga")
    assert "Delete 100 tokens?" in question_text(olga.get(selection(*made)))
    assert "Delete 1 token?" in question_text(olga.get(selection(*[made[0]] * 101)))


@pytest.mark.parametrize("reason", ["two\nlines", "x" * 256, "a\x00b", "\u202ereversed"])
def test_a_refused_reason_keeps_the_question_and_what_was_typed(host: Host, reason: str) -> None:
    token = with_operator(host).generate("ann", "t-kept").token
    olga = host.client("olga")
    for path in (selection(token), OF_ANN):
        form = answer_to(olga, path, reason=reason)
        for headers, status in (({}, 422), (HTMX, 200)):
            answer = olga.post(path, data=form, headers=headers)
            assert answer.status_code == status
            page = Page(answer)
            (field,) = page.all("input", name="reason")
            assert field.attributes["aria-invalid"] == "true"
            assert "access-tokens-reason-error" in field.attributes["aria-describedby"]
            assert "Delete 1 token?" in page.text
    fresh = page.form("/delete")
    assert stored_names(host) == ["t-kept"]
    assert fresh.fields["asked"] == form["asked"]
    with deletions(host) as seen:
        corrected = {**fresh.fields, "reason": "é" * 255}
        assert olga.post(fresh.attributes["action"], data=corrected).status_code == 303
    assert seen == [("t-kept", "olga", "é" * 255)]


def test_the_successor_of_a_deleted_token_replaces_what_is_left_of_its_family(desk_host: Host) -> None:
    host = desk_host
    first = host.generate("ann", "t-1")
    with host.app.app_context():
        second = tokens.rotate("ann", first.token.id)
        third = tokens.rotate("ann", second.token.id)
    olga = host.client("olga")
    olga.post(selection(second.token), data=answer_to(olga, selection(second.token)))
    found = host.find(third.secret)
    assert found is not None
    assert found.replaces == first.token.id
    olga.post(selection(first.token), data=answer_to(olga, selection(first.token)))
    found = host.find(third.secret)
    assert found is not None
    assert found.replaces is None
    with host.app.app_context():
        fourth = tokens.rotate("ann", third.token.id)
    both = selection(fourth.token, third.token)
    assert olga.post(both, data=answer_to(olga, both)).status_code == 303
    assert host.rows() == []


def test_without_script_a_deletion_redirects_to_the_list_with_a_notice_for_this_operator(host: Host) -> None:
    with_operator(host, "olga", "otto")
    token = host.generate("ann", "t-1", scopes=["read"]).token
    host.generate("ann", "t-2", scopes=["read"])
    olga = host.client("olga")
    path = f"{selection(token)}&scope=read&sort=created"
    answer = olga.post(path, data=answer_to(olga, path))
    assert answer.status_code == 303
    assert answer.location.startswith(f"{DESK}?scope=read&sort=created&notice=")
    shown = olga.get(answer.location)
    assert (notice(shown), listed_names(shown)) == ("1 token was deleted.", ["t-2"])
    assert "notice=" not in shown.text
    assert notice(host.client("otto").get(answer.location)) == ""
    assert notice(olga.get(answer.location.replace(DESK, "/access-tokens/"))) == ""
    assert notice(olga.get(f"{answer.location}x")) == ""
    assert host.client("ann").get(answer.location).status_code == 404


def test_with_htmx_a_deletion_answers_with_the_list_itself(host: Host) -> None:
    token = with_operator(host).generate("ann", "t-1").token
    host.generate("ann", "t-2")
    olga = host.client("olga")
    form = answer_to(olga, f"{selection(token)}&owner=ann")
    answer = olga.post(f"{selection(token)}&owner=ann", data=form, headers=HTMX)
    assert (answer.status_code, is_fragment(answer)) == (200, True)
    assert (notice(answer), listed_names(answer)) == ("1 token was deleted.", ["t-2"])
    (panel,) = Page(answer).all("section", id="access-tokens")
    assert panel.attributes["data-address"] == f"{DESK}?owner=ann"
    assert panel.attributes["data-announcement"] == "1 token was deleted."


def test_an_owner_sees_their_own_list_without_what_an_operator_deleted(make_host: Make) -> None:
    host = with_operator(make_host(csrf=True))
    token = host.generate("ann", "t-gone").token
    host.generate("ann", "t-kept")
    olga, ann = host.client("olga"), host.client("ann")
    assert "t-gone" in ann.get("/access-tokens/").text
    assert olga.post(selection(token), data=answer_to(olga, selection(token))).status_code == 303
    assert "t-gone" not in ann.get("/access-tokens/").text
    assert ann.get(f"/access-tokens/{token.id}/delete").status_code == 404


def test_after_the_last_page_was_deleted_the_list_begins_anew(host: Host) -> None:
    store_rows(with_operator(host), 26, ["ann"])
    olga = host.client("olga")
    for query in ("", "?owner=ann"):
        (link,) = Page(olga.get(f"{DESK}{query}")).all("a", id="access-tokens-next")
        after = link.attributes["href"]
        (name,) = listed_names(olga.get(after))
        with host.app.app_context():
            (token,) = [token for token in tokens.owned_by("ann") if token.name == name]
        path = f"{selection(token)}&{after.partition('?')[2]}"
        answer = olga.get(olga.post(path, data=answer_to(olga, path)).location)
        assert (notice(answer), len(listed_names(answer))) == ("1 token was deleted.", 25)
        assert "First page" not in answer.text
        host.generate("ann", "t-again")
