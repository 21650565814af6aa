"""The rules for secret scanners."""

import json
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml

from flask_access_tokens import secret
from host import Host
from missing import missing

PREFIXES = ("new", "my_pat", "pat")


@pytest.fixture
def prefixed(host: Host) -> Host:
    host.app.config["ACCESS_TOKENS_PREFIX"] = PREFIXES
    return host


def secrets_in_contexts() -> tuple[str, set[str]]:
    """A text with secrets of every prefix in the places where they leak, and with what is none; and the secrets."""
    contexts = (
        'token = "{}"',
        "curl -H 'Authorization: Bearer {}' https://example.org",
        '{{"text": "key:\\n{}\\n"}}',
        '{{"url": "a\\u003d{}"}}',
        "https://example.org/?next=%2F%3Ft%3D{}%26x",
        "*_{}_*",
        "的{}的",
    )
    made = {str(secret.generate(prefix)): context for prefix in PREFIXES for context in contexts}
    none = [f"pat_{'a1B' * 20}", f"pat_{'x' * 48}", f"other_{'a1B' * 16}x"]
    return "\n".join([*(context.format(text) for text, context in made.items()), *none, ""]), set(made)


def test_the_pattern_matches_what_the_host_issues(prefixed: Host) -> None:
    text, made = secrets_in_contexts()
    printed = prefixed.call("pattern").stdout
    assert set(re.findall(printed.strip(), text)) == made
    assert re.fullmatch(printed.strip(), prefixed.generate().secret)
    assert prefixed.call("pattern", "--format", "regex").stdout == printed


def test_the_gitleaks_format_is_a_rule_beside_those_of_gitleaks(prefixed: Host) -> None:
    configuration = tomllib.loads(prefixed.call("pattern", "--format", "gitleaks").stdout)
    assert configuration["extend"] == {"useDefault": True}
    (rule,) = configuration["rules"]
    assert rule["id"] == "new-access-token"
    assert rule["keywords"] == ["new_", "my_pat_", "pat_"]
    assert rule["regex"] == secret.pattern(PREFIXES)


def test_gitleaks_finds_exactly_the_secrets_in_the_history_of_a_repository(prefixed: Host, tmp_path: Path) -> None:
    gitleaks = shutil.which("gitleaks") or missing("gitleaks is not installed")
    (tmp_path / "gitleaks.toml").write_text(prefixed.call("pattern", "--format", "gitleaks").stdout)
    folder = tmp_path / "repository"
    folder.mkdir()
    text, made = secrets_in_contexts()
    git = ["git", "-c", "user.name=Ann", "-c", "user.email=ann@example.org", "-C", str(folder)]
    subprocess.run([*git, "init", "--quiet"], check=True)
    for content in (text, "nothing\n"):
        (folder / "notes.txt").write_text(content)
        subprocess.run([*git, "add", "notes.txt"], check=True)
        subprocess.run([*git, "commit", "--quiet", "--message", "Notes"], check=True)
    report = tmp_path / "report.json"
    options = ["--config", tmp_path / "gitleaks.toml", "--report-format", "json", "--report-path", report]
    options += ["--enable-rule", "new-access-token"]  # alone: one of gitleaks' own finds secrets in curl commands
    ran = subprocess.run([gitleaks, "git", folder, *options], capture_output=True, text=True)
    assert ran.returncode == 1, ran.stderr
    found = json.loads(report.read_text())
    assert {each["Secret"] for each in found} == made


def test_the_trufflehog_format_is_a_detector_with_the_same_expression(prefixed: Host) -> None:
    configuration = yaml.safe_load(prefixed.call("pattern", "--format", "trufflehog").stdout)
    assert configuration == {
        "detectors": [
            {
                "name": "new-access-token",
                "description": "Access token",
                "keywords": ["new_", "my_pat_", "pat_"],
                "regex": {"secret": secret.pattern(PREFIXES)},
            }
        ]
    }


def test_the_github_format_is_the_fields_of_a_custom_pattern(prefixed: Host) -> None:
    printed = prefixed.call("pattern", "--format", "github").stdout
    fields = dict(line.split(": ", 1) for line in printed.splitlines())
    assert list(fields) == ["Pattern name", "Secret format", "Before secret", "After secret"]
    # Hyperscan has no assertions that look around, and Python spells the end of a text differently.
    assert "(?=" not in printed
    assert "(?<" not in printed
    after = fields["After secret"].replace(r"\z", r"\Z")
    text, made = secrets_in_contexts()
    whole = f"(?:{fields['Before secret']})({fields['Secret format']})(?:{after})"
    assert set(re.findall(whole, text, re.ASCII)) == made


def test_a_format_that_does_not_exist_is_refused(host: Host) -> None:
    result = host.call("pattern", "--format", "yara")
    assert result.exit_code == 2
    assert "gitleaks" in result.stderr
