"""Time zones, and the host's own languages and texts."""

from collections.abc import Callable
from datetime import UTC, timedelta, timezone, tzinfo
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from babel.messages.catalog import Catalog
from babel.messages.mofile import write_mo
from flask import Flask, render_template_string
from flask_babel import Babel, gettext

from catalogs import NOON, PAGE, client_of, set_up_babel
from flask_access_tokens import texts, tokens
from host import Host


@pytest.fixture
def german(make_host: Callable[..., Host]) -> Host:
    """A host in the language that the browser requests, with German texts of its own."""
    host = make_host(ACCESS_TOKENS_SCOPES={"read": "Dinge lesen", "write": "Dinge ändern"})
    set_up_babel(host)
    return host


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
def test_times_are_in_the_host_s_time_zone_and_name_it(
    make_host: Callable[..., Host], zone: str | tzinfo | None, said: str, name: str
) -> None:
    host = make_host()
    set_up_babel(host, timezone_selector=lambda: zone)
    with host.app.test_request_context(headers={"Accept-Language": "de"}):
        assert texts.exact_time(NOON) == said
        assert texts.format_date(NOON) == said.partition(",")[0]
    assert f'data-zone="{name}"' in client_of(host).get(PAGE).text


def test_english_without_a_catalog_keeps_the_time_zone_of_the_host(make_host: Callable[..., Host]) -> None:
    host = make_host(BABEL_DEFAULT_TIMEZONE="Europe/Berlin")
    set_up_babel(host)
    with host.app.test_request_context():
        assert texts.exact_time(NOON) == "1 March 2026, 13:00 UTC+01:00"


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
    set_up_babel(host)
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
    set_up_babel(host)
    answer = client_of(host, "pl").get(PAGE).text
    assert '<html lang="pl">' in answer
    assert "<title>Tokeny dostępu</title>" in answer
    with host.app.test_request_context(headers={"Accept-Language": "pl"}):
        assert texts.relative_time(NOON + timedelta(days=1), NOON) == "za 1 dzień"
        assert texts.relative_time(NOON + timedelta(days=3), NOON) == "za 3 dni"
        assert texts.relative_time(NOON + timedelta(days=2, hours=20), NOON) == "za 3 dni"
        assert texts.format_date(NOON) == "1 marca 2026"


def test_the_host_s_own_catalog_and_ours_never_mix(make_host: Callable[..., Host], tmp_path: Path) -> None:
    _write(tmp_path, "de", domain="messages", messages={"Delete": "Weg damit", "Done": "Erledigt"})
    host = make_host(BABEL_TRANSLATION_DIRECTORIES=str(tmp_path))
    set_up_babel(host)

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
            set_up_babel(host)
        assert f"<title>{title}</title>" in client_of(host).get(PAGE).text


def test_a_command_is_english_where_the_locale_selector_needs_a_request(german: Host) -> None:
    refused = german.call("generate", "ann", "")
    assert refused.exit_code == 1
    assert refused.stderr == "Error: Enter a name so you can recognize this token later.\n"


def test_outside_a_request_the_default_language_of_the_host_is_used(make_host: Callable[..., Host]) -> None:
    host = make_host(BABEL_DEFAULT_LOCALE="de")
    Babel(host.app)
    with host.app.app_context(), pytest.raises(tokens.TokenRefused, match=r"^Geben Sie einen Namen ein"):
        tokens.generate("ann", "")


def test_an_error_in_the_host_s_selector_is_the_host_s(make_host: Callable[..., Host]) -> None:
    def fail() -> str:
        raise RuntimeError("no language today")

    host = make_host()
    Babel(host.app, locale_selector=fail)
    with pytest.raises(RuntimeError, match="no language today"):
        client_of(host).get(PAGE)


def test_without_an_application_the_texts_are_english_and_the_time_zone_is_utc() -> None:
    assert texts.gettext("Cancel") == "Cancel"
    assert texts.zone() is UTC
    with Flask("bare").app_context():
        assert (texts.language(), texts.zone_name()) == ("en", "UTC")
