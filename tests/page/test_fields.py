"""The values that each field of the form accepts."""

from datetime import timedelta

import pytest

from catalogs import NEW
from flask_access_tokens import tokens
from form import error_of, held, send
from host import Host
from markup import Page

NOT_INTEGERS = ["1e3", "0x10", "365.0", "NaN", "Infinity", "", " ", "--1", "−1", "²", "1-", "- 1", "one", "1 2"]
OUT_OF_RANGE = ["0", "-0", "-2", "-99999", "100000", str(10**12), "999999999", "2913000", "9" * 5000]


@pytest.mark.case("B15", "B17")
def test_a_lifetime_that_is_not_a_number_in_range_is_refused_with_the_range(host: Host) -> None:
    for lifetime in NOT_INTEGERS + OUT_OF_RANGE:
        answer = send(host, lifetime_days=lifetime)
        assert answer.status_code == 422, lifetime
        assert "1 to 99,999 days" in error_of(answer, "lifetime_days")
    assert held(host) == []


@pytest.mark.case("B16")
def test_a_lifetime_in_anything_but_ascii_digits_is_refused(host: Host) -> None:
    for lifetime in ("１２", "٣٦٥", "1_000", "+5", "৫", "1٠", "𝟙𝟚", "12\x00"):
        assert send(host, lifetime_days=lifetime).status_code == 422, lifetime
    assert held(host) == []


@pytest.mark.case("B16")
def test_whitespace_around_a_lifetime_is_ignored(host: Host) -> None:
    for lifetime in (" 12 ", "12\n", "\t12", "12", "012"):
        assert send(host, lifetime_days=lifetime).status_code == 200, lifetime
    lifetimes = [token.expires_at - token.created_at for token in held(host) if token.expires_at]
    assert lifetimes == [timedelta(days=12)] * 5


@pytest.mark.case("B17")
def test_the_longest_lifetime_is_stored_and_shown(stored_host: Host) -> None:
    assert send(stored_host, lifetime_days="99999").status_code == 200
    (token,) = held(stored_host)
    assert token.expires_at == token.created_at + timedelta(days=99999)
    assert stored_host.client("ann").get("/access-tokens/").status_code == 200


@pytest.mark.case("B19")
def test_a_name_up_to_100_code_points_is_stored_unchanged(stored_host: Host) -> None:
    names = ["n", "n" * 100, "é" * 100, "漢" * 100, "😀" * 100, "👩‍💻" * 33 + "x", "a\u0301" * 50]
    for name in names:
        assert send(stored_host, name=name).status_code == 200, name
    assert {token.name for token in held(stored_host)} == set(names)
    shown = Page(stored_host.client("ann").get("/access-tokens/")).text
    assert all(name in shown for name in names)


@pytest.mark.case("B19")
def test_an_empty_or_too_long_name_is_refused_and_not_truncated(host: Host) -> None:
    for name in ("", " ", "\u3000", "\u0301", "…" * 101, "n" * 101, "😀" * 101, "n" * 1_000_000):
        answer = send(host, name=name)
        assert answer.status_code == 422, name
        assert error_of(answer, "name").strip()
    assert held(host) == []


@pytest.mark.parametrize("field", ["name", "description"])
def test_line_breaks_and_invisible_characters_are_refused(host: Host, field: str) -> None:
    for character in ("\n", "\r\nx", "\x00", "\x1b[31m", "\u2028", "\u202e", "\u200b", "\ufeff", "\x85x"):
        answer = send(host, **{field: f"CI{character}job"})
        assert answer.status_code == 422, character
        assert "one line" in error_of(answer, field)
    assert held(host) == []


def test_a_description_of_255_characters_is_stored_and_one_of_256_is_refused(stored_host: Host) -> None:
    assert send(stored_host, description="é" * 255).status_code == 200
    assert [token.description for token in held(stored_host)] == ["é" * 255]
    answer = send(stored_host, description="é" * 256)
    assert answer.status_code == 422
    assert "256" in error_of(answer, "description")
    assert len(held(stored_host)) == 1


HOSTILE = [
    "<script>alert(1)</script>",
    "{{7*7}}",
    "{% raw %}",
    '"><b onmouseover=x>',
    "' hx-get='/x' hx-trigger='load",
    "=1+1",
    "%(name)s %s",
    "&lt;i&gt;&amp;",
    "</textarea></title><!--",
    "`${1}`",
]


@pytest.mark.case("B21")
@pytest.mark.parametrize("text", HOSTILE)
def test_markup_in_a_name_is_escaped_wherever_it_is_shown(host: Host, text: str) -> None:
    client = host.client("ann")
    sent = {"name": text, "description": text, "lifetime_days": "30"}
    plain = {"name": "plain", "description": "plain", "lifetime_days": "30"}
    generated = client.post(NEW, data=sent)
    (token,) = held(host)
    assert (token.name, token.description) == (text, text)
    question = f"/access-tokens/{token.id}/delete"
    shown = [
        generated,
        client.get("/access-tokens/"),
        client.get("/access-tokens/", query_string={"q": text}),
        client.get(question),
        client.post(NEW, data={**sent, "lifetime_days": "x"}),
        client.get(NEW, query_string=sent),
    ]
    for answer in shown:
        page = Page(answer)
        values = [value for element in page.elements for value in element.attributes.values()]
        assert text in page.text or text in values
        attributes = {name for element in page.elements for name in element.attributes}
        assert not attributes & {"onmouseover", "hx-trigger"}
    with host.app.app_context():
        tokens.delete_all("ann")
    twin = client.post(NEW, data=plain)
    tags = [element.tag for element in Page(twin).elements]
    assert [element.tag for element in Page(generated).elements] == tags
    deleted = client.post(question, headers={"HX-Request": "true"})
    assert text in Page(deleted).text or "gone" in Page(deleted).text


REFUSED_SCOPES = [
    ["admin"],
    ["read", "admin"],
    ["read", "read"],
    [""],
    ["a b"],
    ['a","b"'],
    ["READ"],
    ["read "],
    ["read write"],
    ["read,write"],
    ["__class__"],
    [f"scope{number}" for number in range(1000)],
    ["read"] * 1000,
]


@pytest.mark.case("B22", "S25")
def test_a_scope_that_is_not_offered_or_is_repeated_is_refused(host: Host) -> None:
    for scopes in REFUSED_SCOPES:
        answer = send(host, scopes=scopes)
        assert answer.status_code == 422, scopes
        text = Page(answer).text
        assert "You can't grant one of the requested scopes." in text or "A scope was selected twice." in text
        assert "ACCESS_TOKENS_SCOPES" not in text
    assert held(host) == []


def test_the_scopes_chosen_are_stored_in_the_order_they_were_declared(host: Host) -> None:
    assert send(host, scopes=["write", "read"]).status_code == 200
    assert [token.scopes for token in held(host)] == [("read", "write")]
