"""Rules for secret scanners: gitleaks, TruffleHog, and GitHub's secret scanning.

A prefix is of ASCII letters, digits and underscores, so it needs no quoting in any of them.
"""

from collections.abc import Callable, Sequence

from .. import secret


def gitleaks(prefixes: Sequence[str]) -> str:
    """Return a configuration file for gitleaks 8, which extends its own rules."""
    keywords = ", ".join(f'"{prefix}_"' for prefix in prefixes)
    return f"""\
title = "gitleaks' own rules, and the access tokens of this application"

[extend]
useDefault = true

[[rules]]
id = "{_name(prefixes)}"
description = "Access token"
regex = '''{secret.pattern(prefixes)}'''
keywords = [{keywords}]"""


def trufflehog(prefixes: Sequence[str]) -> str:
    """Return a configuration file for TruffleHog 3, with a detector beside its own."""
    keywords = "\n".join(f"      - '{prefix}_'" for prefix in prefixes)
    return f"""\
detectors:
  - name: {_name(prefixes)}
    description: Access token
    keywords:
{keywords}
    regex:
      secret: '{secret.pattern(prefixes)}'"""


def github(prefixes: Sequence[str]) -> str:
    """Return the fields of a custom pattern of GitHub's secret scanning, in the syntax of Hyperscan.

    GitHub's own "Before secret" would miss a secret that follows an escape of JSON or of a URL.
    """
    return f"""\
Pattern name: {_name(prefixes)}
Secret format: {secret.unbounded_pattern(prefixes)}
Before secret: \\A|[^0-9A-Za-z]|\\\\[bfnrt]|\\\\u[0-9A-Fa-f]{{4}}|%[0-9A-Fa-f]{{2}}
After secret: \\z|[^0-9A-Za-z]"""


def _name(prefixes: Sequence[str]) -> str:
    """Return a name that other applications' rules in the same file do not have."""
    return f"{prefixes[0].replace('_', '-')}-access-token"


FORMATS: dict[str, Callable[[Sequence[str]], str]] = {
    "regex": secret.pattern,
    "gitleaks": gitleaks,
    "trufflehog": trufflehog,
    "github": github,
}
"""The formats of ``flask access-tokens pattern``."""
