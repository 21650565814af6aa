"""The German that comes along, and languages of the host's own: complete, in step, and all that the page says."""

import io
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from babel.messages.catalog import Catalog
from babel.messages.frontend import CommandLineInterface
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from flask import Flask, render_template_string, request
from flask_babel import Babel, gettext
from host import Host
from markup import Page

from flask_access_tokens import clock, texts, tokens

ROOT = Path(__file__).parent.parent
TRANSLATIONS = ROOT / "flask_access_tokens" / "translations"
GERMAN = TRANSLATIONS / "de" / "LC_MESSAGES" / "access_tokens.po"
PAGE, NEW = "/access-tokens/", "/access-tokens/new"
SPOKEN = {"aria-label", "title", "placeholder", "alt"}
PLACE = re.compile(r"%\((\w+)\)[sd]")
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def catalogue(path: Path) -> Catalog:
    """A catalogue as it is written."""
    with path.open("rb") as file:
        return read_po(file)


def both(message: Any) -> list[tuple[str, str]]:
    """The forms of a message, each with its translation."""
    ids, strings = message.id, message.string
    return list(zip(ids, strings, strict=True)) if isinstance(ids, tuple) else [(ids, strings)]


def messages(path: Path) -> list[Any]:
    """Every message of a catalogue but its header."""
    return [message for message in catalogue(path) if message.id]


LANGUAGES = sorted(path for path in TRANSLATIONS.glob("*/LC_MESSAGES/*.po"))


# The files


def test_the_template_holds_every_text_that_the_package_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    extracted = tmp_path / "extracted.pot"
    CommandLineInterface().run(
        ["pybabel", "--quiet", "extract", "-F", "pyproject.toml", "-o", str(extracted), "flask_access_tokens"]
    )
    found = {message.id for message in messages(extracted)}
    assert found == {message.id for message in messages(TRANSLATIONS / "access_tokens.pot")}, "run: make messages"
    assert len(found) > 100


@pytest.mark.parametrize("path", LANGUAGES, ids=lambda path: path.parts[-3])
def test_every_text_is_translated_in_every_form_and_keeps_its_places(path: Path) -> None:
    template = {message.id for message in messages(TRANSLATIONS / "access_tokens.pot")}
    translated = messages(path)
    assert {message.id for message in translated} == template, "run: make messages"
    for message in translated:
        assert not message.fuzzy, message.id
        for original, translation in both(message):
            assert translation.strip(), original
            assert set(PLACE.findall(translation)) == set(PLACE.findall(original)), original
            assert PLACE.sub("", translation).count("%") == 0, translation
            assert translation[-1] == original[-1] or original[-1] not in ".?!:…", translation


@pytest.mark.parametrize("path", LANGUAGES, ids=lambda path: path.parts[-3])
def test_what_is_compiled_is_what_is_written(path: Path) -> None:
    compiled = io.BytesIO()
    write_mo(compiled, catalogue(path))
    assert path.with_suffix(".mo").read_bytes() == compiled.getvalue(), "run: make messages"


def test_german_calls_people_sie_and_a_thing_by_one_name() -> None:
    said = " ".join(translation for message in messages(GERMAN) for _, translation in both(message))
    assert not re.search(r"\b([Dd]u|[Dd]ein\w*|[Dd]ir|[Dd]ich)\b", said)
    assert not re.search(r"\b(Schlüssel|generieren|erzeugen|entfernen|widerrufen)", said)


# The page


@pytest.fixture
def german(make_host: Callable[..., Host]) -> Host:
    """A host that speaks the language which the browser asks for, and whose own words are German."""
    host = make_host(ACCESS_TOKENS_SCOPES={"read": "Dinge lesen", "write": "Dinge ändern"})
    _speak(host)
    return host


def _speak(host: Host, **choices: Any) -> None:
    languages = ["en", "de", "de_AT", "fr", "pl"]
    Babel(host.app, locale_selector=lambda: request.accept_languages.best_match(languages, "en"), **choices)


def client_of(host: Host, language: str = "de") -> Any:
    """Ann's browser, which asks for a language."""
    client = host.client("ann")
    client.environ_base["HTTP_ACCEPT_LANGUAGE"] = language
    return client


def words(answer: Any) -> Iterator[str]:
    """What a page says: its texts, and the attributes that are read out or shown."""
    page = Page(answer)
    yield from (line.strip() for line in re.split(r"\n| {2,}", page.text) if line.strip())
    for element in page.elements:
        for name, value in element.attributes.items():
            if value and (name in SPOKEN or name.startswith("data-text-") or name == "data-announcement"):
                yield " ".join(value.split())


PLACES = {
    "name": r"wxyz\d*",
    "day": r"\d{1,2}\. \w+ \d{4}",
    "date": r"(?:\d{1,2}\. \w+ \d{4}|\{date\})",
    "time": r"(?:\d\d:\d\d|\{time\})",
    "zone": "UTC",
    "distance": r"(?:vor \d+ \w+|in \d+ \w+|gerade eben|gleich|\{distance\})",
}
"""What may stand in the place of a message; in any other a number."""


def pattern(translation: str) -> str:
    """An expression that a message fits with its places filled."""
    parts = PLACE.split(" ".join(translation.split()))
    return "".join(PLACES.get(part, r"\d+") if index % 2 else re.escape(part) for index, part in enumerate(parts))


SAYINGS = [pattern(translation) for message in messages(GERMAN) for _, translation in both(message)]
DATA = [
    r"wxyz\d*|Zweck",
    r"pat_…\w{4}|[0-9a-f-]{36}|\d+|·|−?1",
    r"read|write|Dinge lesen|Dinge ändern",
    r"curl -H .*|\{time\} Ihrer Zeit",
]
GERMAN_ONLY = re.compile(rf"(?:(?:{'|'.join([*SAYINGS, *DATA])})[ .·]*)+")


def unexplained(answer: Any) -> list[str]:
    """What a page says that is neither in the German catalogue nor the host's."""
    return [text for text in words(answer) if not GERMAN_ONLY.fullmatch(text)]


def test_the_search_for_english_finds_every_english_text(german: Host) -> None:
    german.generate("ann", "wxyz")
    english = unexplained(client_of(german, "en").get(PAGE))
    assert {"Access tokens", "Generate new token", "Last used", "Search", "Delete token wxyz", "Never"} <= set(english)


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
    for wish in ({"name": "\x07"}, {"name": ""}, {"scopes": ["read", "read"], "name": "wxyz"}):
        assert unexplained(client.post(NEW, data={"lifetime_days": "7", **wish})) == []


@pytest.mark.parametrize("most", [1, 90])
def test_a_host_s_maximum_is_said_in_german(german: Host, most: int) -> None:
    german.app.config["ACCESS_TOKENS_MAX_LIFETIME_DAYS"] = most
    assert unexplained(client_of(german).get(NEW)) == []
    assert unexplained(client_of(german).post(NEW, data={"name": "wxyz", "lifetime_days": "91"})) == []


def test_a_new_token_and_the_refusal_of_a_second_are_german(german: Host) -> None:
    client = client_of(german)
    (nonce,) = Page(client.get(NEW)).form("/new").fields["nonce"]
    wish = {"name": "wxyz", "lifetime_days": "7", "nonce": nonce}
    made = client.post(NEW, data=wish)
    assert "Ihr neues Token" in made.text
    assert unexplained(made) == []
    again = client.post(NEW, data=wish)
    assert again.status_code == 409
    assert "Sein Geheimnis wurde einmal angezeigt" in again.text
    assert unexplained(again) == []
    german.app.config["ACCESS_TOKENS_MAX_PER_OWNER"] = 1
    full = client.post(NEW, data={"name": "wxyz", "lifetime_days": "7"})
    assert "Sie haben bereits 1 Token" in full.text
    assert unexplained(full) == []
    expired = client.post(NEW, data={**wish, "nonce": "broken"})
    assert "Dieses Formular ist abgelaufen" in expired.text
    assert unexplained(expired) == []


def test_the_question_is_german_for_a_used_an_unused_and_an_expired_token(
    german: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    client, token = client_of(german), german.generate("ann", "wxyz", lifetime_days=7)
    question = f"{PAGE}{token.token.id}/delete"
    for said in ("Es scheint nichts davon abzuhängen.", "Wahrscheinlich hängt noch etwas davon ab."):
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
        "Ein Zugriffstoken öffnet diese Seite nicht." in client.get(PAGE, headers={"Authorization": "Bearer x"}).text
    )
    unknown = client.get("/access-tokens/00000000-0000-0000-0000-000000000000/delete")
    assert (unknown.status_code, "Sie haben kein solches Token" in unknown.text) == (404, True)
    with german.app.app_context():
        german.db.drop_all()
    lost = client.get(PAGE)
    assert (lost.status_code, "gerade nicht erreichbar" in lost.text) == (503, True)


def test_a_first_use_is_told_in_german(german: Host) -> None:
    token = german.generate("ann", "wxyz")
    german.client().get("/api", headers={"Authorization": f"Bearer {token.secret}"})
    assert client_of(german).get(f"{PAGE}{token.token.id}/use").get_json()["distance"] == "gerade eben"


def test_a_refused_wish_speaks_german_and_the_api_does_not(german: Host) -> None:
    asking = german.app.test_request_context(headers={"Accept-Language": "de"})
    with asking, pytest.raises(tokens.TokenRefused, match=r"^Geben Sie dem Token einen Namen"):
        tokens.generate("ann", "")
    refused = german.client().get("/api", headers={"Authorization": "Bearer x", "Accept-Language": "de"})
    assert refused.get_json()["error_description"] == "The access token is malformed, unknown or no longer valid."
    assert refused.headers["WWW-Authenticate"].isascii()


@pytest.mark.parametrize(
    ("language", "said"),
    [("de", "de"), ("de-AT", "de-AT"), ("en", "en"), ("fr", "en"), ("xx", "en")],
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
def test_german_distances_take_the_right_case_and_number(german: Host, ahead: timedelta, said: str) -> None:
    with german.app.test_request_context(headers={"Accept-Language": "de"}):
        assert texts.relative_time(NOON + ahead, NOON) == said


# Time zones


@pytest.mark.parametrize(
    ("zone", "said", "name"),
    [
        (None, "1. März 2026, 12:00 UTC", "UTC"),
        ("Europe/Berlin", "1. März 2026, 13:00 UTC+01:00", "Europe/Berlin"),
        ("America/St_Johns", "1. März 2026, 08:30 UTC-03:30", "America/St_Johns"),
        (ZoneInfo("Pacific/Kiritimati"), "2. März 2026, 02:00 UTC+14:00", "Pacific/Kiritimati"),
        (timezone(timedelta(hours=1)), "1. März 2026, 13:00 UTC+01:00", "UTC"),
    ],
)
def test_moments_are_said_in_the_zone_of_the_host_and_name_it(
    make_host: Callable[..., Host], zone: str | tzinfo | None, said: str, name: str
) -> None:
    host = make_host()
    _speak(host, timezone_selector=lambda: zone)
    with host.app.test_request_context(headers={"Accept-Language": "de"}):
        assert texts.exact_time(NOON) == said
        assert texts.format_date(NOON) == said.partition(",")[0]
    assert f'data-zone="{name}"' in client_of(host).get(PAGE).text


def test_english_without_a_catalogue_keeps_the_zone_of_the_host(make_host: Callable[..., Host]) -> None:
    host = make_host(BABEL_DEFAULT_TIMEZONE="Europe/Berlin")
    _speak(host)
    with host.app.test_request_context():
        assert texts.exact_time(NOON) == "1 March 2026, 13:00 UTC+01:00"


# A host with texts of its own


def _write(folder: Path, locale: str, **said: Any) -> None:
    mine = Catalog(locale=locale)
    for message, translation in said["messages"].items():
        mine.add(message, translation)
    target = folder / locale / "LC_MESSAGES"
    target.mkdir(parents=True)
    with (target / f"{said.get('domain', 'access_tokens')}.mo").open("wb") as file:
        write_mo(file, mine)


def test_a_host_changes_one_text_and_keeps_the_others(make_host: Callable[..., Host], tmp_path: Path) -> None:
    _write(tmp_path, "de", messages={"Access tokens": "API-Schlüssel"})
    _write(tmp_path, "en", messages={"Access tokens": "API keys"})
    host = make_host(BABEL_TRANSLATION_DIRECTORIES=str(tmp_path))
    _speak(host)
    german, english = client_of(host).get(PAGE).text, client_of(host, "en").get(PAGE).text
    assert "<title>API-Schlüssel</title>" in german
    assert "Neues Token erstellen" in german
    assert "<title>API keys</title>" in english
    assert "Generate new token" in english


def test_a_host_adds_a_language_with_plurals_of_its_own(make_host: Callable[..., Host], tmp_path: Path) -> None:
    days = ("in %(num)s day", "in %(num)s days")
    said = {days: ("za %(num)s dzień", "za %(num)s dni", "za %(num)s dnia"), "Access tokens": "Tokeny dostępu"}
    _write(tmp_path / "mine", "pl", messages=said)
    (tmp_path / "more").mkdir()
    host = make_host(BABEL_TRANSLATION_DIRECTORIES=f"{tmp_path / 'mine'};{tmp_path / 'more'}")
    _speak(host)
    answer = client_of(host, "pl").get(PAGE).text
    assert '<html lang="pl">' in answer
    assert "<title>Tokeny dostępu</title>" in answer
    with host.app.test_request_context(headers={"Accept-Language": "pl"}):
        assert texts.relative_time(NOON + timedelta(days=1), NOON) == "za 1 dzień"
        assert texts.relative_time(NOON + timedelta(days=3), NOON) == "za 3 dni"
        assert texts.relative_time(NOON + timedelta(days=2, hours=20), NOON) == "za 3 dni"
        assert texts.format_date(NOON) == "1 marca 2026"


def test_the_host_s_own_catalogue_and_ours_never_mix(make_host: Callable[..., Host], tmp_path: Path) -> None:
    _write(tmp_path, "de", domain="messages", messages={"Delete": "Weg damit", "Done": "Erledigt"})
    host = make_host(BABEL_TRANSLATION_DIRECTORIES=str(tmp_path))
    _speak(host)

    @host.app.get("/settings")
    def settings() -> str:
        own = gettext("Delete") + "|" + gettext("Cancel")
        return own + render_template_string("|{{ _('Done') }}|{% include 'access_tokens/_page.html' %}")

    host.generate("ann", "wxyz")
    answer = client_of(host).get("/settings").text
    assert answer.startswith("Weg damit|Cancel|Erledigt|")
    assert ">Löschen</button>" in answer
    assert answer.count("Weg damit") == 1


def test_two_hosts_in_one_process_each_have_their_own_texts(make_host: Callable[..., Host], tmp_path: Path) -> None:
    _write(tmp_path, "de", messages={"Access tokens": "API-Schlüssel"})
    mine, other = make_host(BABEL_TRANSLATION_DIRECTORIES=str(tmp_path)), make_host()
    for host, title in ((mine, "API-Schlüssel"), (other, "Zugriffstoken"), (mine, "API-Schlüssel")):
        if "babel" not in host.app.extensions:
            _speak(host)
        assert f"<title>{title}</title>" in client_of(host).get(PAGE).text


# Outside a request


def test_a_command_whose_host_asks_the_request_for_the_language_speaks_english(german: Host) -> None:
    refused = german.call("generate", "ann", "")
    assert refused.exit_code == 1
    assert refused.stderr == "Error: Give the token a name, so that you know it again.\n"


def test_outside_a_request_the_default_language_of_the_host_counts(make_host: Callable[..., Host]) -> None:
    host = make_host(BABEL_DEFAULT_LOCALE="de")
    Babel(host.app)
    with host.app.app_context(), pytest.raises(tokens.TokenRefused, match=r"^Geben Sie dem Token einen Namen"):
        tokens.generate("ann", "")


def test_an_error_in_the_host_s_selector_is_the_host_s(make_host: Callable[..., Host]) -> None:
    def fail() -> str:
        raise RuntimeError("no language today")

    host = make_host()
    Babel(host.app, locale_selector=fail)
    with pytest.raises(RuntimeError, match="no language today"):
        client_of(host).get(PAGE)


def test_without_an_application_the_words_are_english_and_the_zone_is_utc() -> None:
    assert texts.gettext("Cancel") == "Cancel"
    assert texts.zone() is UTC
    with Flask("bare").app_context():
        assert (texts.language(), texts.zone_name()) == ("en", "UTC")
