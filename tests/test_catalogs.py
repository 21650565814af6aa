"""The catalogs that come with the package: complete and compiled."""

import io
import re
from pathlib import Path

import pytest
from babel.messages.frontend import CommandLineInterface
from babel.messages.mofile import write_mo

from catalogs import GERMAN, LANGUAGES, PLACEHOLDER, ROOT, TRANSLATIONS, both, messages, read_catalog


def test_the_template_contains_every_message_of_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    extracted = tmp_path / "extracted.pot"
    CommandLineInterface().run(
        ["pybabel", "--quiet", "extract", "-F", "pyproject.toml", "-o", str(extracted), "flask_access_tokens"]
    )
    found = {message.id for message in messages(extracted)}
    assert found == {message.id for message in messages(TRANSLATIONS / "access_tokens.pot")}, "run: make messages"
    assert len(found) > 100


@pytest.mark.parametrize("path", LANGUAGES, ids=lambda path: path.parts[-3])
def test_every_message_is_translated_in_every_form_and_keeps_its_placeholders(path: Path) -> None:
    template = {message.id for message in messages(TRANSLATIONS / "access_tokens.pot")}
    translated = messages(path)
    assert {message.id for message in translated} == template, "run: make messages"
    for message in translated:
        assert not message.fuzzy, message.id
        for original, translation in both(message):
            assert translation.strip(), original
            assert set(PLACEHOLDER.findall(translation)) == set(PLACEHOLDER.findall(original)), original
            assert PLACEHOLDER.sub("", translation).count("%") == 0, translation
            assert translation[-1] == original[-1] or original[-1] not in ".?!:…", translation


@pytest.mark.parametrize("path", LANGUAGES, ids=lambda path: path.parts[-3])
def test_the_compiled_catalog_matches_its_source(path: Path) -> None:
    compiled = io.BytesIO()
    write_mo(compiled, read_catalog(path))
    assert path.with_suffix(".mo").read_bytes() == compiled.getvalue(), "run: make messages"


def test_german_uses_sie_and_one_term_for_each_concept() -> None:
    said = " ".join(translation for message in messages(GERMAN) for _, translation in both(message))
    assert not re.search(r"\b([Dd]u|[Dd]ein\w*|[Dd]ir|[Dd]ich)\b", said)
    assert not re.search(r"\b(Schlüssel|generieren|erzeugen|entfernen|widerrufen)", said)
