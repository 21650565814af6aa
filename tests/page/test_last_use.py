"""When and from where a token was last used, in its details and in the questions about it."""

import re
from typing import Any

import pytest

from host import Host, bearer
from markup import Page
from pages import PAGE, delete_path

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
HOSTILE = "\"><img src=x onerror=alert(1)>{{7*7}}' hx-get='/x"


@pytest.fixture
def noting(host: Host) -> Host:
    """A host that notes from where tokens are used."""
    host.app.config["ACCESS_TOKENS_LAST_USED_FROM"] = True
    return host


def used(host: Host, address: str, program: str) -> Any:
    """A token of Ann's that was just used."""
    new = host.generate("ann", "robot")
    origin = {"REMOTE_ADDR": address, "HTTP_USER_AGENT": program}
    assert host.client().get("/api", headers=bearer(new.secret), environ_overrides=origin).status_code == 200
    return new.token


def last_use(answer: Any) -> str:
    """What a question says of the last use of its token."""
    (shown,) = [time for time in Page(answer).all("time") if time.text.startswith("Last used")]
    assert shown.attributes["title"].endswith(" UTC")
    return shown.text


@pytest.mark.parametrize(
    ("address", "program", "sentence"),
    [
        ("10.0.0.7", "curl/8.5.0", "Last used just now by curl from 10.0.0.7."),
        ("10.0.0.7", "python-requests/2.31", "Last used just now by python-requests from 10.0.0.7."),
        ("2001:db8::1", "Go-http-client/2.0 (x)", "Last used just now by Go-http-client from 2001:db8::1."),
        ("10.0.0.7", FIREFOX, "Last used just now from 10.0.0.7."),
        ("10.0.0.7", "", "Last used just now from 10.0.0.7."),
        ("10.0.0.7", HOSTILE, "Last used just now from 10.0.0.7."),
        ("", "curl/8.5.0", "Last used just now by curl."),
        ("", FIREFOX, "Last used just now."),
        ("", "", "Last used just now."),
        ("100%s", "%(address)s", "Last used just now by % from 100%s."),
        ("<b>", "Nobody needs it!", "Last used just now by Nobody from <b>."),
    ],
)
def test_the_questions_say_from_where_a_token_was_last_used(
    noting: Host, address: str, program: str, sentence: str
) -> None:
    token = used(noting, address, program)
    client = noting.client("ann")
    for path in (delete_path(token), delete_path(token).replace("/delete", "/rotate")):
        assert last_use(client.get(path)) == sentence


def details(answer: Any) -> dict[str, str]:
    """The details of the one token in a list."""
    shown: dict[str, str] = {}
    for element in Page(answer).elements:
        if element.tag == "dt":
            shown[term := element.text] = ""
        if element.tag == "dd":
            shown[term] += element.text
    return shown


def test_the_details_show_the_address_and_the_whole_program(noting: Host) -> None:
    used(noting, "10.0.0.7", FIREFOX)
    page = noting.client("ann").get(PAGE)
    assert details(page)["Last used from"] == f"10.0.0.7{FIREFOX}"
    assert [each.text for each in Page(page).all("dd", class_="access-tokens-program")] == [FIREFOX]


@pytest.mark.case("B21")
def test_markup_in_an_address_or_a_program_is_escaped(noting: Host) -> None:
    used(noting, HOSTILE, HOSTILE)
    client = noting.client("ann")
    answer = client.get(PAGE)
    assert HOSTILE in details(answer)["Last used from"]
    assert "<img" not in answer.text
    assert not re.search(r"onerror=(?!alert\(1\)&gt;)", answer.text)
    assert "{{7*7}}" in answer.text


def test_without_the_setting_the_page_says_nothing_of_an_origin(host: Host) -> None:
    token = used(host, "10.0.0.7", "curl/8.5.0")
    client = host.client("ann")
    assert "Last used from" not in details(client.get(PAGE))
    assert last_use(client.get(delete_path(token))) == "Last used just now."


def test_a_token_that_was_used_from_nowhere_known_has_no_line_for_it(noting: Host) -> None:
    used(noting, "", "")
    assert "Last used from" not in details(noting.client("ann").get(PAGE))
