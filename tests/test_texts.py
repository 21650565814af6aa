"""The texts of the user interface, with and without Flask-Babel."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from babel.messages import Catalog
from babel.messages.mofile import write_mo
from flask import request
from flask_babel import Babel

from flask_access_tokens import texts
from host import Host
from markup import Page

PAGE = "/access-tokens/"
NEW = "/access-tokens/new"
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)

GERMAN = {
    "Access tokens": "Zugriffsschlüssel",
    "Enter 1 to %(most)s days, or -1 for no expiration.": "1 bis %(most)s Tage.",
    "%(day)s, %(time)s %(zone)s": "%(day)s um %(time)s %(zone)s",
    "just now": "gerade eben",
}
GERMAN_NUMBERS = {
    ("in %(num)s day", "in %(num)s days"): ("in %(num)s Tag, 100 %%", "in %(num)s Tagen, 100 %%"),
    (
        "You already have %(num)s token, the most allowed. Delete it first.",
        "You already have %(num)s tokens, the most allowed. Delete one first.",
    ): ("Mehr als %(num)s geht nicht.", "Mehr als %(num)s gehen nicht."),
}


@pytest.fixture
def german_host(make_host: Callable[..., Host], tmp_path: Path) -> Host:
    """A host with Flask-Babel in the language that the browser requests, with German texts of its own."""
    catalog = Catalog(locale="de")
    for message, translation in GERMAN.items():
        catalog.add(message, translation)
    for numbers, translations in GERMAN_NUMBERS.items():
        catalog.add(numbers, translations)
    folder = tmp_path / "de" / "LC_MESSAGES"
    folder.mkdir(parents=True)
    with (folder / "access_tokens.mo").open("wb") as file:
        write_mo(file, catalog)
    host = make_host(ACCESS_TOKENS_MAX_PER_OWNER=1, BABEL_TRANSLATION_DIRECTORIES=str(tmp_path))
    Babel(host.app, locale_selector=lambda: request.accept_languages.best_match(["en", "de", "pl"], "en"))
    return host


def test_without_flask_babel_the_page_is_english(host: Host) -> None:
    answer = host.client("ann").get(PAGE, headers={"Accept-Language": "de"})
    assert "Access tokens" in Page(answer).text
    assert 'lang="en"' in answer.text


def test_with_a_catalog_the_page_is_in_the_reader_s_language(german_host: Host) -> None:
    client = german_host.client("ann")
    for language, word in (("de", "Zugriffsschlüssel"), ("en", "Access tokens"), ("de", "Zugriffsschlüssel")):
        answer = client.get(PAGE, headers={"Accept-Language": language})
        assert [element.text.strip() for element in Page(answer).all("h1")] == [word]
        assert f'lang="{language}"' in answer.text


def test_a_language_without_a_catalog_gets_english_texts_and_english_dates(german_host: Host) -> None:
    with german_host.app.test_request_context(headers={"Accept-Language": "pl"}):
        assert texts.gettext("Access tokens") == "Access tokens"
        assert texts.exact_time(NOON) == "1 March 2026, 12:00 UTC"
        assert texts.language() == "en"


def test_dates_and_sentences_are_in_one_language(german_host: Host) -> None:
    with german_host.app.test_request_context(headers={"Accept-Language": "de"}):
        assert texts.exact_time(NOON) == "1. März 2026 um 12:00 UTC"
        assert texts.language() == "de"


def test_a_refusal_is_in_the_reader_s_language(german_host: Host) -> None:
    client, german = german_host.client("ann"), {"Accept-Language": "de"}
    answer = client.post(NEW, data={"name": "x", "lifetime_days": "x"}, headers=german)
    assert "1 bis 99.999 Tage." in Page(answer).text
    german_host.generate("ann", "laptop")
    full = client.post(NEW, data={"name": "x", "lifetime_days": "7"}, headers=german)
    assert "Mehr als 1 geht nicht." in Page(full).text


def test_numbers_take_the_plural_of_the_language_and_a_percent_sign_stays_literal(german_host: Host) -> None:
    with german_host.app.test_request_context(headers={"Accept-Language": "de"}):
        assert texts.relative_time(NOON + timedelta(days=1), NOON) == "in 1 Tag, 100 %"
        assert texts.relative_time(NOON + timedelta(days=7), NOON) == "in 7 Tagen, 100 %"
        assert texts.relative_time(NOON, NOON) == "gerade eben"


def test_a_message_outside_an_application_is_english() -> None:
    assert texts.gettext("Access tokens") == "Access tokens"
    assert texts.ngettext("%(num)s token", "%(num)s tokens", 1) == "1 token"
    assert texts.ngettext("%(num)s token", "%(num)s tokens", 2) == "2 tokens"
    assert texts.ngettext("%(num)s of %(most)s", "%(num)s of %(most)s", 2, most=9) == "2 of 9"
    assert texts.format_date(NOON) == "1 March 2026"


def test_a_percent_sign_in_a_value_or_a_message_without_values_stays_literal() -> None:
    assert texts.gettext("100 %") == "100 %"
    assert texts.gettext("“%(name)s”", name="100 %s %(name)s") == "“100 %s %(name)s”"


@pytest.mark.parametrize(
    ("ahead", "words"),
    [
        (timedelta(seconds=44), "in a moment"),
        (timedelta(minutes=1), "in 1 minute"),
        (timedelta(minutes=54), "in 54 minutes"),
        (timedelta(hours=1), "in 1 hour"),
        (timedelta(hours=21), "in 21 hours"),
        (timedelta(days=1), "in 1 day"),
        (timedelta(days=30), "in 30 days"),
        (timedelta(days=98), "in 98 days"),
        (timedelta(days=180), "in 6 months"),
        (timedelta(days=699), "in 23 months"),
        (timedelta(days=731), "in 2 years"),
        (timedelta(days=99_999), "in 274 years"),
        (timedelta(0), "just now"),
        (timedelta(seconds=-44), "just now"),
        (timedelta(minutes=-5), "5 minutes ago"),
        (timedelta(hours=-2), "2 hours ago"),
        (timedelta(days=-3), "3 days ago"),
        (timedelta(days=-365), "12 months ago"),
        (timedelta(days=-3653), "10 years ago"),
    ],
)
def test_a_relative_time_is_given_in_the_largest_unit(ahead: timedelta, words: str) -> None:
    assert texts.relative_time(NOON + ahead, NOON) == words
