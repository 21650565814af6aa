"""The page in Spanish and in French."""

import re
from collections.abc import Callable
from datetime import timedelta

import pytest

from catalogs import NEW, NOON, PAGE, TRANSLATIONS, both, client_of, messages, set_up_babel
from flask_access_tokens import texts
from host import Host
from markup import Page

NBSP = "\u00a0"


def translations(language: str) -> list[str]:
    path = TRANSLATIONS / language / "LC_MESSAGES" / "access_tokens.po"
    return [translation for message in messages(path) for _, translation in both(message)]


@pytest.fixture
def host(make_host: Callable[..., Host]) -> Host:
    """A host in the language that the browser requests."""
    host = make_host()
    set_up_babel(host)
    return host


@pytest.mark.parametrize(
    ("language", "title", "link", "number", "expiry"),
    [
        ("es", "Tokens de acceso", "Generar nuevo token", "99.999", "Con una duración de 30 días, caduca el"),
        (
            "fr",
            "Jetons d’accès",
            "Générer un nouveau jeton",
            "99\u202f999",
            "Avec une durée de vie de 30 jours, le jeton expire le",
        ),
    ],
)
def test_the_page_is_in_the_language_of_the_reader(
    host: Host, language: str, title: str, link: str, number: str, expiry: str
) -> None:
    client = client_of(host, language)
    page = Page(client.get(PAGE))
    assert [element.text.strip() for element in page.all("h1")] == [title]
    assert link in page.text
    form = Page(client.get(NEW, query_string={"lifetime_days": "30"})).text
    assert number in form
    assert expiry in form


@pytest.mark.parametrize(
    ("language", "ahead", "said"),
    [
        ("es", timedelta(days=1), "dentro de 1 día"),
        ("es", timedelta(days=2), "dentro de 2 días"),
        ("es", timedelta(hours=-1), "hace 1 hora"),
        ("es", timedelta(days=-150), "hace 5 meses"),
        ("fr", timedelta(days=1), "dans 1 jour"),
        ("fr", timedelta(days=2), "dans 2 jours"),
        ("fr", timedelta(hours=-1), "il y a 1 heure"),
        ("fr", timedelta(days=-1000), "il y a 3 ans"),
    ],
)
def test_relative_times_take_the_right_number(host: Host, language: str, ahead: timedelta, said: str) -> None:
    with host.app.test_request_context(headers={"Accept-Language": language}):
        assert texts.relative_time(NOON + ahead, NOON) == said


@pytest.mark.parametrize(("language", "said"), [("es", "0 de 6 tokens."), ("fr", "0 sur 6 jetons.")])
def test_a_search_without_results_is_counted_in_the_plural_of_the_language(
    host: Host, language: str, said: str
) -> None:
    for number in range(6):
        host.generate("ann", f"robot {number}")
    assert said in client_of(host, language).get(PAGE, query_string={"q": "zebra"}).text


def test_french_counts_none_in_the_singular(host: Host) -> None:
    with host.app.test_request_context(headers={"Accept-Language": "fr"}):
        assert [texts.ngettext("%(num)s token.", "%(num)s tokens.", number) for number in (0, 1, 2)] == [
            "0 jeton.",
            "1 jeton.",
            "2 jetons.",
        ]


def test_french_sets_its_spaces_quotes_and_apostrophes() -> None:
    said = " ".join(translations("fr"))
    assert "'" not in said
    assert not re.search(rf"[^{NBSP}][;:?!»](?!\S)", said)
    assert not re.search(rf"«[^{NBSP}]", said)


@pytest.mark.parametrize(
    ("language", "avoided"),
    [
        ("es", r"\b(tú|tus?|borrar|bórralo|revocar|alcances?|ámbitos?|clave)\b"),
        ("fr", r"\b(tu|ton|tes|toi|tokens?|effacer le|révoquer|portées?|clé)\b"),
    ],
)
def test_one_form_of_address_and_one_term_for_each_concept(language: str, avoided: str) -> None:
    said = " ".join(translations(language)).replace("$TOKEN", "")
    assert re.findall(avoided, said, re.IGNORECASE) == []
