"""The page in German, in every state."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from catalogs import GERMAN, NEW, NOON, PAGE, PLACEHOLDER, both, client_of, messages, set_up_babel, words
from flask_access_tokens import clock, secret, texts, tokens
from host import Host, bearer
from markup import Page


@pytest.fixture
def german(make_host: Callable[..., Host]) -> Host:
    """A host in the language that the browser requests, with German texts of its own."""
    host = make_host(ACCESS_TOKENS_SCOPES={"read": "Dinge lesen", "write": "Dinge ändern"})
    set_up_babel(host)
    return host


PLACEHOLDER_VALUES = {
    "name": r"wxyz\d*",
    "day": r"\d{1,2}\. \w+ \d{4}",
    "date": r"(?:\d{1,2}\. \w+ \d{4}|\{date\})",
    "time": r"(?:\d\d:\d\d|\{time\})",
    "zone": "UTC",
    "most": r"[\d.]+",
    "distance": r"(?:vor \d+ \w+|in \d+ \w+|gerade eben|gleich|\{distance\})",
}
"""The values that fit a named placeholder; any other placeholder takes a number."""


def pattern(translation: str) -> str:
    """A regular expression that matches a message with its placeholders filled in."""
    parts = PLACEHOLDER.split(" ".join(translation.split()))
    return "".join(
        PLACEHOLDER_VALUES.get(part, r"\d+") if index % 2 else re.escape(part) for index, part in enumerate(parts)
    )


MESSAGES = [pattern(translation) for message in messages(GERMAN) for _, translation in both(message)]
DATA = [
    r"wxyz\d*|Zweck",
    r"pat_…\w{4}|[0-9a-f-]{36}|\d+|·|−?1",
    r"read|write|Dinge lesen|Dinge ändern",
    r"curl -H .*|\{time\} \(Ihre Zeit\)|\d\d\.\d\d\.\d{4}",
]
GERMAN_ONLY = re.compile(rf"(?:(?:{'|'.join([*MESSAGES, *DATA])})[ .·]*)+")


def unexplained(answer: Any) -> list[str]:
    """The texts of a page that are neither in the German catalog nor the host's."""
    return [text for text in words(answer) if not GERMAN_ONLY.fullmatch(text)]


def test_the_search_for_english_finds_every_english_text(german: Host) -> None:
    german.generate("ann", "wxyz")
    english = unexplained(client_of(german, "en").get(PAGE))
    assert {"Access tokens", "Generate new token", "Last used", "Edit", "Delete token wxyz", "Never"} <= set(english)


def test_the_list_is_german_from_title_to_pager(german: Host) -> None:
    client = client_of(german)
    assert unexplained(client.get(PAGE)) == []
    for number in range(26):
        german.generate("ann", f"wxyz{number}", description="Zweck", scopes=["read"], lifetime_days=number % 20 + 1)
    for address in ("", "?page=2", "?q=nothing", "?status=expiring", "?sort=-used"):
        answer = client.get(PAGE + address)
        assert unexplained(answer) == [], address
        assert '<html lang="de">' in answer.text
        assert "<title>Zugriffstoken</title>" in answer.text


def test_the_form_is_german_with_its_help_and_its_errors(german: Host) -> None:
    client = client_of(german)
    assert unexplained(client.get(NEW)) == []
    bad = {"name": "x" * 101, "description": "x" * 256, "lifetime_days": "0", "scopes": ["none"]}
    answer = client.post(NEW, data=bad)
    assert answer.status_code == 422
    assert unexplained(answer) == []
    for element_id in ("name", "description", "lifetime_days", "scopes"):
        assert f'id="access-tokens-{element_id}-error"' in answer.text
    for form in ({"name": "\x07"}, {"name": ""}, {"scopes": ["read", "read"], "name": "wxyz"}):
        assert unexplained(client.post(NEW, data={"lifetime_days": "7", **form})) == []


@pytest.mark.parametrize("most", [1, 90])
def test_a_host_s_maximum_lifetime_is_named_in_german(german: Host, most: int) -> None:
    german.app.config["ACCESS_TOKENS_MAX_LIFETIME_DAYS"] = most
    assert unexplained(client_of(german).get(NEW)) == []
    assert unexplained(client_of(german).post(NEW, data={"name": "wxyz", "lifetime_days": "91"})) == []


def test_a_new_token_and_the_refusal_of_a_second_are_german(german: Host) -> None:
    client = client_of(german)
    (nonce,) = Page(client.get(NEW)).form("/new").fields["access_tokens_nonce"]
    form = {"name": "wxyz", "lifetime_days": "7", "access_tokens_nonce": nonce}
    made = client.post(NEW, data=form)
    assert "Ihr neues Token" in made.text
    assert unexplained(made) == []
    again = client.post(NEW, data=form)
    assert again.status_code == 409
    assert "Sein Geheimnis wurde einmal angezeigt" in again.text
    assert unexplained(again) == []
    german.app.config["ACCESS_TOKENS_MAX_PER_OWNER"] = 1
    full = client.post(NEW, data={"name": "wxyz", "lifetime_days": "7"})
    assert "Sie haben schon 1 Token" in full.text
    assert unexplained(full) == []
    expired = client.post(NEW, data={**form, "access_tokens_nonce": "broken"})
    assert "Dieses Formular ist abgelaufen" in expired.text
    assert unexplained(expired) == []


def test_the_confirmation_is_german_for_a_used_an_unused_and_an_expired_token(
    german: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    client, token = client_of(german), german.generate("ann", "wxyz", lifetime_days=7)
    question = f"{PAGE}{token.token.id}/delete"
    for said in ("Offenbar hängt nichts davon ab.", "Wahrscheinlich hängt noch etwas davon ab."):
        answer = client.get(question)
        assert said in answer.text
        assert unexplained(answer) == []
        german.client().get("/api", headers={"Authorization": f"Bearer {token.secret}"})
    later = datetime.now(UTC) + timedelta(days=10)
    monkeypatch.setattr(clock, "now", lambda: later)
    assert "Es ist vor 3 Tagen abgelaufen" in client.get(question).text
    assert unexplained(client.get(question)) == []
    assert "Abgelaufen" in client.get(PAGE).text
    gone = client.post(question, headers={"HX-Request": "true"})
    assert "Token „wxyz“ wurde gelöscht." in gone.text
    assert unexplained(gone) == []
    assert unexplained(client.get(question, headers={"HX-Request": "true"})) == []


def test_without_self_service_the_page_is_german(german: Host) -> None:
    german.app.config["ACCESS_TOKENS_SELF_SERVICE"] = False
    client = client_of(german)
    assert unexplained(client.get(PAGE)) == []
    assert "von den Betreibern dieser Anwendung" in client.get(NEW).text


def test_the_errors_of_the_page_are_german(german: Host) -> None:
    client = client_of(german)
    assert (
        "Ein Zugriffstoken öffnet diese Seite nicht."
        in client.get(PAGE, headers=bearer(str(secret.generate("pat")))).text
    )
    unknown = client.get("/access-tokens/00000000-0000-0000-0000-000000000000/delete")
    assert (unknown.status_code, "Sie haben kein solches Token" in unknown.text) == (404, True)
    with german.app.app_context():
        german.db.drop_all()
    lost = client.get(PAGE)
    assert (lost.status_code, "gerade nicht erreichbar" in lost.text) == (503, True)


def test_a_first_use_is_announced_in_german(german: Host) -> None:
    token = german.generate("ann", "wxyz")
    german.client().get("/api", headers={"Authorization": f"Bearer {token.secret}"})
    assert client_of(german).get(f"{PAGE}{token.token.id}/use").get_json()["distance"] == "gerade eben"


def test_a_refused_form_is_german_and_the_api_is_english(german: Host) -> None:
    asking = german.app.test_request_context(headers={"Accept-Language": "de"})
    with asking, pytest.raises(tokens.TokenRefused, match=r"^Geben Sie einen Namen ein"):
        tokens.generate("ann", "")
    refused = german.client().get("/api", headers={"Authorization": "Bearer x", "Accept-Language": "de"})
    assert refused.get_json()["error_description"] == "The access token is malformed, unknown or no longer valid."
    assert refused.headers["WWW-Authenticate"].isascii()


@pytest.mark.parametrize(
    ("language", "said"),
    [("de", "de"), ("de-AT", "de-AT"), ("en", "en"), ("fr", "fr"), ("es", "es"), ("pl", "en"), ("xx", "en")],
)
def test_each_request_is_answered_in_its_language_or_in_english(german: Host, language: str, said: str) -> None:
    answer = client_of(german, language).get(PAGE)
    assert f'<html lang="{said}">' in answer.text
    assert ("Neues Token erstellen" in answer.text) is said.startswith("de")
    assert ("Generate new token" in answer.text) is (said == "en")


@pytest.mark.parametrize(
    ("ahead", "said"),
    [
        (timedelta(0), "gerade eben"),
        (timedelta(seconds=30), "gleich"),
        (timedelta(minutes=1), "in 1 Minute"),
        (timedelta(hours=-1), "vor 1 Stunde"),
        (timedelta(hours=-5), "vor 5 Stunden"),
        (timedelta(days=1), "in 1 Tag"),
        (timedelta(days=-2), "vor 2 Tagen"),
        (timedelta(days=150), "in 5 Monaten"),
        (timedelta(days=-1000), "vor 3 Jahren"),
    ],
)
def test_german_relative_times_take_the_right_case_and_number(german: Host, ahead: timedelta, said: str) -> None:
    with german.app.test_request_context(headers={"Accept-Language": "de"}):
        assert texts.relative_time(NOON + ahead, NOON) == said
