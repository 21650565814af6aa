"""The catalogs of the package, and the texts of a response."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from babel.messages.catalog import Catalog
from babel.messages.pofile import read_po
from flask import request
from flask_babel import Babel

from host import Host
from markup import Page

ROOT = Path(__file__).parents[2]
TRANSLATIONS = ROOT / "flask_access_tokens" / "translations"
GERMAN = TRANSLATIONS / "de" / "LC_MESSAGES" / "access_tokens.po"
PAGE, NEW = "/access-tokens/", "/access-tokens/new"
SPOKEN = {"aria-label", "title", "placeholder", "alt"}
PLACEHOLDER = re.compile(r"%\((\w+)\)[sd]")
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def read_catalog(path: Path) -> Catalog:
    """Read a catalog from its source file."""
    with path.open("rb") as file:
        return read_po(file)


def both(message: Any) -> list[tuple[str, str]]:
    """The forms of a message, each with its translation."""
    ids, strings = message.id, message.string
    return list(zip(ids, strings, strict=True)) if isinstance(ids, tuple) else [(ids, strings)]


def messages(path: Path) -> list[Any]:
    """Every message of a catalog except its header."""
    return [message for message in read_catalog(path) if message.id]


LANGUAGES = sorted(path for path in TRANSLATIONS.glob("*/LC_MESSAGES/*.po"))


def set_up_babel(host: Host, **choices: Any) -> None:
    languages = ["en", "de", "de_AT", "es", "fr", "pl"]
    choices.setdefault("locale_selector", lambda: request.accept_languages.best_match(languages, "en"))
    Babel(host.app, **choices)


def client_of(host: Host, language: str = "de") -> Any:
    """A test client signed in as Ann that requests a language."""
    client = host.client("ann")
    client.environ_base["HTTP_ACCEPT_LANGUAGE"] = language
    return client


def words(answer: Any) -> Iterator[str]:
    """The texts of a page, including attributes that are shown or read aloud."""
    page = Page(answer)
    yield from (line.strip() for line in re.split(r"\n| {2,}", page.text) if line.strip())
    for element in page.elements:
        for name, value in element.attributes.items():
            if value and (name in SPOKEN or name.startswith("data-text-") or name == "data-announcement"):
                yield " ".join(value.split())
