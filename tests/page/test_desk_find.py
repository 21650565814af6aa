"""Whose secret is this? The operators' desk finds the tokens of a text, and keeps and shows nothing of it."""

import io
import logging
from collections.abc import Callable
from hashlib import sha512
from typing import Any

import pytest
import sqlalchemy as sa
from jinja2 import DictLoader

from canary import Canary
from crashes import Broken, breaks, locals_of_ours
from desk_pages import (
    DESK,
    DESK_DELETE,
    DESK_FIND,
    find_data,
    listed,
    listed_names,
    notice,
    selection,
    shadow,
    with_operator,
)
from flask_access_tokens import secret, tokens
from host import Clock, Host
from markup import Page
from pages import HTMX, Make, is_fragment

NONE = "This text contains no token of this application."
UNKNOWN = "No token has this secret. It may have been deleted."


def look_up(host: Host, text: str, **sent: Any) -> Any:
    olga = host.client("olga")
    return olga.post(DESK_FIND, data=find_data(olga, text), **sent)


@pytest.fixture
def desk_host(stored_host: Host) -> Host:
    return with_operator(stored_host)


def test_a_secret_is_found_alone_and_in_whatever_surrounds_it(desk_host: Host) -> None:
    made = desk_host.generate("ann", "t-leaked")
    desk_host.generate("bob", "t-other")
    for text in (
        made.secret,
        f"  {made.secret}\r\n",
        f'10.0.0.1 - - "GET /api?token={made.secret}&x=1 HTTP/1.1" 200',
        f'{{"Authorization": "Bearer {made.secret}"}}',
        f"token%3D{made.secret}%26",
        f"\x00\x01\ufffd{made.secret}\u2028é",
        f"{made.secret}{made.secret}",
    ):
        answer = look_up(desk_host, text)
        assert (answer.status_code, listed(answer)) == (200, [("ann", "t-leaked")]), ascii(text)
        assert notice(answer) == ""
    fragment = look_up(desk_host, made.secret, headers=HTMX)
    assert is_fragment(fragment)
    assert listed_names(fragment) == ["t-leaked"]


def test_every_token_of_a_text_is_shown_in_its_order_once(desk_host: Host, clock: Clock) -> None:
    made = [
        desk_host.generate(owner, f"t-{number}", lifetime_days=number) for number, owner in ((9, "bob"), (1, "ann"))
    ]
    gone = desk_host.generate("ann", "t-gone")
    with desk_host.app.app_context():
        tokens.delete("ann", gone.token.id)
    clock.pass_(days=2)
    text = "\n".join([made[0].secret, str(secret.generate("pat")), gone.secret, made[1].secret, made[0].secret])
    answer = look_up(desk_host, text)
    assert listed(answer) == [("bob", "t-9"), ("ann", "t-1")]
    assert "Expired" in Page(answer).text
    question = desk_host.client("olga").get(selection(*(each.token for each in made)))
    assert "Delete 2 tokens?" in Page(question).text


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", NONE),
        ("   ", NONE),
        ("hello", NONE),
        ("pat_" + "x" * 49, NONE),
        ("pat_" + "x" * 48, NONE),
        (str(secret.generate("other")), NONE),
        ("pat_…abcd", NONE),
        ("x" * 400_000, NONE),
        ("\ud800".encode("utf-8", "replace").decode() + "\x00" * 1000, NONE),
        (str(secret.generate("pat")), UNKNOWN),
        (f"{secret.generate('pat')} {secret.generate('pat')}", UNKNOWN),
    ],
    ids=range(11),
)
def test_a_text_without_a_known_secret_says_what_is_the_matter(host: Host, text: str, said: str) -> None:
    with_operator(host).generate("ann", "t-kept")
    answer = look_up(host, text)
    assert (answer.status_code, notice(answer)) == (200, said)
    assert Page(answer).all("section", data_state="list")


def test_a_text_in_another_encoding_or_field_is_harmless(host: Host) -> None:
    made = with_operator(host).generate("ann", "t-leaked")
    olga = host.client("olga")
    raw = b"text=%FF%FE" + made.secret.encode() + b"%00%ED%A0%80"
    kind = "application/x-www-form-urlencoded"
    assert listed_names(olga.post(DESK_FIND, data=raw, content_type=kind)) == ["t-leaked"]
    assert listed_names(olga.post(DESK_FIND, data={"text": made.secret}, content_type="multipart/form-data")) == [
        "t-leaked"
    ]
    file = (io.BytesIO(made.secret.encode()), "log.txt")
    for sent in ({"data": {"text": file}}, {"json": {"text": made.secret}}, {"query_string": {"text": "x"}}, {}):
        answer = olga.post(DESK_FIND, **sent)
        assert (answer.status_code, notice(answer)) == (200, NONE)


def test_a_text_of_half_a_megabyte_is_searched_and_a_larger_one_is_refused_in_words(make_host: Make) -> None:
    host = with_operator(make_host(MAX_CONTENT_LENGTH=500_000))
    made = host.generate("ann", "t-leaked")
    text = f"{'a-line-of-a-log-' * 30_000}{made.secret}"
    assert listed_names(look_up(host, text)) == ["t-leaked"]
    for headers, status in (({}, 413), (HTMX, 200)):
        answer = look_up(host, f"{text}{text}", headers=headers)
        assert (answer.status_code, notice(answer)) == (status, "This text is too long. Send a part of it.")
        assert is_fragment(answer) is bool(headers)


def test_a_secret_in_the_search_is_refused_and_is_in_no_link(host: Host, canary: Canary) -> None:
    made = with_operator(host).generate("ann", "t-leaked")
    olga = host.client("olga")
    for query in (f"q={made.secret}", f"q=+{made.secret}+&owner=ann", f"q={secret.generate('pat')}&sort=used"):
        for headers in ({}, HTMX):
            answer = olga.get(f"{DESK}?{query}", headers=headers)
            assert answer.status_code == 200
            assert notice(answer).startswith("This is a secret. Look it up under “Whose secret is this?”")
            canary.search("the answer", answer.text)
        assert olga.get(f"{DESK_DELETE}?{query}&everything=1").status_code == 422
    assert canary.found == []


def test_only_the_first_100_secrets_of_a_text_are_looked_up_and_the_notice_says_so(desk_host: Host) -> None:
    made = [desk_host.generate("ann", f"t-{number}") for number in range(3)]
    unknown = [str(secret.generate("pat")) for _ in range(98)]
    answer = look_up(desk_host, " ".join([made[0].secret, *unknown, made[1].secret, made[2].secret]))
    assert listed_names(answer) == ["t-0", "t-1"]
    assert notice(answer) == "Only the first 100 secrets of the text were looked up."
    answer = look_up(desk_host, " ".join([made[0].secret, *unknown, made[1].secret]))
    assert (listed_names(answer), notice(answer)) == (["t-0", "t-1"], "")
    answer = look_up(desk_host, " ".join(str(secret.generate("pat")) for _ in range(101)))
    assert notice(answer) == f"{UNKNOWN} Only the first 100 secrets of the text were looked up."


def test_adopted_secrets_are_found_too_those_of_a_digest_included(make_host: Make) -> None:
    host = with_operator(make_host(ACCESS_TOKENS_ADOPTED=r"[0-9a-f]{40}"))
    text = "0123456789abcdef0123456789abcdef01234567"
    with host.app.app_context():
        tokens.adopt("ann", text, "t-adopted")
        tokens.adopt("bob", tokens.Digest("sha512", sha512(text.encode()).hexdigest()), "t-digest")
    answer = look_up(host, f"GET /api key={text};")
    assert sorted(listed(answer)) == [("ann", "t-adopted"), ("bob", "t-digest")]
    assert text not in answer.text
    assert notice(look_up(host, text[::-1])) == UNKNOWN


def test_nothing_of_the_text_is_in_the_answer_the_log_or_the_session(
    make_host: Make, caplog: pytest.LogCaptureFixture, canary: Canary, database_url: str
) -> None:
    caplog.set_level(logging.DEBUG)
    host = with_operator(make_host(database_url, csrf=True, SQLALCHEMY_ECHO="debug", SQLALCHEMY_RECORD_QUERIES=True))
    found, unknown = host.generate("ann", "t-leaked").secret, str(secret.generate("pat"))
    around = "nothing-but-a-mark"
    olga = host.client("olga")
    form = find_data(olga, "")
    for text in (f"{around} {found}", f"{around} {unknown}", around, f"{found[:-1]} {around}"):
        for sent in ({**form, "text": text}, {**form, "text": text, "csrf_token": "wrong"}):
            for headers in ({}, HTMX):
                answer = olga.post(DESK_FIND, data=sent, headers=headers)
                canary.search("the answer", f"{answer.text} {answer.headers}")
                assert around not in f"{answer.text} {answer.headers}"
    canary.search("the log", caplog.text)
    assert around not in caplog.text
    assert "SELECT" in caplog.text
    assert canary.found == []


def in_the_owner_loader(host: Host) -> None:
    host.access_tokens.owner_loader(breaks)


def in_a_template(host: Host) -> None:
    host.app.jinja_env.globals["breaks"] = breaks
    shadow(host, _owner="{{ breaks() }}")


def in_the_layout(host: Host) -> None:
    host.app.jinja_env.globals["breaks"] = breaks
    host.app.jinja_loader = DictLoader({"layout.html": "{% block content %}{% endblock %}{{ breaks() }}"})
    host.app.config["ACCESS_TOKENS_BASE_TEMPLATE"] = "layout.html"


def in_the_database(host: Host) -> None:
    with host.app.app_context():
        sa.event.listen(host.db.engine, "before_cursor_execute", breaks, once=True)


def in_the_peppers(host: Host) -> None:
    host.app.config["ACCESS_TOKENS_PEPPERS"] = [object()]


def in_the_adopted_pattern(host: Host) -> None:
    host.app.config["ACCESS_TOKENS_ADOPTED"] = "("


def in_a_hook_after_the_view(host: Host) -> None:
    host.app.after_request_funcs.setdefault(None, []).append(breaks)


@pytest.mark.case("D13")
@pytest.mark.parametrize(
    "breakage",
    [
        in_the_owner_loader,
        in_a_template,
        in_the_layout,
        in_the_database,
        in_the_peppers,
        in_the_adopted_pattern,
        in_a_hook_after_the_view,
    ],
)
def test_no_local_of_ours_shows_the_text_when_the_lookup_fails(
    host: Host, canary: Canary, breakage: Callable[[Host], None]
) -> None:
    olga = with_operator(host).client("olga")
    form = find_data(olga, "")  # while there is no row, so that its templates are not loaded yet
    around = "nothing-but-a-mark"
    data = {**form, "text": f"{around} {host.generate('ann').secret} {secret.generate('pat')}"}
    breakage(host)
    with pytest.raises(Exception) as caught:  # noqa: PT011
        olga.post(DESK_FIND, data=data)
    assert breakage in (in_the_peppers, in_the_adopted_pattern) or isinstance(caught.value, Broken)
    shown = locals_of_ours(caught.value)
    canary.search("locals", shown)
    assert around not in shown
    assert canary.found == []


@pytest.mark.parametrize("key", ["q", "owner", "scope"])
@pytest.mark.parametrize("text", ["{}", "Bearer {}", "token={}", "'{}'."])
def test_a_secret_within_a_parameter_of_the_list_is_not_repeated(desk_host: Host, key: str, text: str) -> None:
    pasted = text.format(desk_host.generate("ann", "t-1").secret)
    olga = desk_host.client("olga")
    answer = olga.get(DESK, query_string={key: pasted})
    assert "becomes a part of the URL" in notice(answer)
    assert pasted not in answer.text
    assert olga.get(f"{DESK_DELETE}", query_string={key: pasted, "everything": 1}).status_code == 422
