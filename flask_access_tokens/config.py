"""The settings with their defaults, and their check while an application starts."""

import re
from collections.abc import Iterator, Mapping, Set
from difflib import get_close_matches
from typing import Any

from flask import Config

from .finding import Finding
from .places import validate_places
from .policy import MAX_DAYS, MAX_OVERLAP_HOURS
from .secret import validate_adopted, validate_prefixes
from .state import ENDPOINTS, MAX_INTERVAL, SCOPE, UNLIMITED, State, configured_peppers

DEFAULTS: dict[str, Any] = {
    "ACCESS_TOKENS_ENABLED": True,
    "ACCESS_TOKENS_SELF_SERVICE": True,
    "ACCESS_TOKENS_URL_PREFIX": "/access-tokens",
    "ACCESS_TOKENS_PREFIX": "pat",
    "ACCESS_TOKENS_DEFAULT_LIFETIME_DAYS": 365,
    "ACCESS_TOKENS_MAX_LIFETIME_DAYS": -1,
    "ACCESS_TOKENS_MAX_PER_OWNER": -1,
    "ACCESS_TOKENS_OVERLAP_HOURS": 24,
    "ACCESS_TOKENS_NOTICE_DAYS": (30, 7, 1),
    "ACCESS_TOKENS_SCOPES": {},
    "ACCESS_TOKENS_LAST_USED_INTERVAL": 60,
    "ACCESS_TOKENS_LAST_USED_FROM": False,
    "ACCESS_TOKENS_ENDPOINTS": (),
    "ACCESS_TOKENS_INTROSPECTION_SCOPE": None,
    "ACCESS_TOKENS_ADOPTED": None,
    "ACCESS_TOKENS_ALSO_FROM": (),
    "ACCESS_TOKENS_REALM": "api",
    "ACCESS_TOKENS_PEPPERS": (),
    "ACCESS_TOKENS_BASE_TEMPLATE": "access_tokens/base.html",
    "ACCESS_TOKENS_HTMX": "auto",
}


def check_config(config: Config) -> None:
    """Check a configuration while the application starts.

    :raises ValueError: for a value that cannot work; the message says what to set.
    """
    validate_prefixes(config["ACCESS_TOKENS_PREFIX"])
    validate_adopted(config["ACCESS_TOKENS_ADOPTED"])
    validate_places(config["ACCESS_TOKENS_ALSO_FROM"])
    _check_limits(config)
    _check_times(config)
    _check_notice_days(config["ACCESS_TOKENS_NOTICE_DAYS"])
    _check_choices(config)
    _check_scopes(config["ACCESS_TOKENS_SCOPES"])
    _check_endpoints(config)
    realm = config["ACCESS_TOKENS_REALM"]
    if not isinstance(realm, str) or not re.fullmatch(r"[\x20\x21\x23-\x5B\x5D-\x7E]*", realm):
        raise ValueError(f'ACCESS_TOKENS_REALM is {realm!r}. Set printable ASCII without " and \\ (RFC 9110 §11.5).')
    for pepper in configured_peppers(config):
        if not isinstance(pepper, (str, bytes)) or not pepper:
            raise ValueError("ACCESS_TOKENS_PEPPERS must be a list of strings that are not empty, newest first.")


def setting_findings(state: State) -> Iterator[Finding]:
    """Find settings that do not exist and have no effect. Their values are not shown: one may be a pepper."""
    prefix = "ACCESS_TOKENS_"
    names = [name.removeprefix(prefix) for name in DEFAULTS]
    for key in sorted(str(key) for key in state.config.keys() - DEFAULTS.keys()):
        if key.startswith(prefix):
            nearest = get_close_matches(key.removeprefix(prefix).upper(), names, 1)
            advice = f"Set {prefix}{nearest[0]} instead" if nearest else "Correct its name"
            yield Finding("setting-unknown", f"{key} does not exist and has no effect. {advice}, or remove it.")


def _check_limits(config: Config) -> None:
    for key in (
        "ACCESS_TOKENS_DEFAULT_LIFETIME_DAYS",
        "ACCESS_TOKENS_MAX_LIFETIME_DAYS",
        "ACCESS_TOKENS_MAX_PER_OWNER",
    ):
        value = config[key]
        if type(value) is not int or (value < 1 and value != UNLIMITED):
            raise ValueError(f"{key} is {value!r}. Set a whole number from 1, or -1 for no limit.")


def _check_times(config: Config) -> None:
    interval = config["ACCESS_TOKENS_LAST_USED_INTERVAL"]
    if isinstance(interval, bool) or not isinstance(interval, (int, float)) or not 0 <= interval <= MAX_INTERVAL:
        raise ValueError(
            f"ACCESS_TOKENS_LAST_USED_INTERVAL is {interval!r}. Set a number of seconds from 0 to {MAX_INTERVAL}."
        )
    overlap = config["ACCESS_TOKENS_OVERLAP_HOURS"]
    if type(overlap) is not int or not 0 <= overlap <= MAX_OVERLAP_HOURS:
        raise ValueError(
            f"ACCESS_TOKENS_OVERLAP_HOURS is {overlap!r}. Set a whole number of hours from 0 to {MAX_OVERLAP_HOURS}."
        )


def _check_notice_days(windows: object) -> None:
    if (
        not isinstance(windows, (list, tuple))
        or any(type(days) is not int or not 1 <= days <= MAX_DAYS for days in windows)
        or len(set(windows)) < len(windows)
    ):
        raise ValueError(
            f"ACCESS_TOKENS_NOTICE_DAYS is {windows!r}. Set a tuple of different whole numbers of days from 1 to"
            f" {MAX_DAYS}, or an empty one for no notices."
        )


def _check_choices(config: Config) -> None:
    for key in ("ACCESS_TOKENS_ENABLED", "ACCESS_TOKENS_SELF_SERVICE", "ACCESS_TOKENS_LAST_USED_FROM"):
        or_callable = " or a function that takes an owner ID" if key == "ACCESS_TOKENS_ENABLED" else ""
        if not isinstance(config[key], bool) and not (or_callable and callable(config[key])):
            raise ValueError(
                f"{key} is {config[key]!r}. Set True, False{or_callable}. Convert the text of an environment variable:"
                f' {key} = os.environ["NAME"] == "true".'
            )
    if config["ACCESS_TOKENS_HTMX"] not in ("auto", "bundled", "host"):
        raise ValueError('ACCESS_TOKENS_HTMX must be "auto", "bundled" or "host".')


def _check_scopes(scopes: object) -> None:
    if not isinstance(scopes, Mapping):
        raise ValueError("ACCESS_TOKENS_SCOPES must be a dict of scope names to descriptions for people.")
    for scope in scopes:
        if not isinstance(scope, str) or not SCOPE.fullmatch(scope):
            raise ValueError(
                f'Scope {scope!r} cannot be used: set printable ASCII without blanks, " and \\ (RFC 6749 §3.3).'
            )


def _check_endpoints(config: Config) -> None:
    endpoints = config["ACCESS_TOKENS_ENDPOINTS"]
    if not isinstance(endpoints, (list, tuple, Set)) or not all(each in ENDPOINTS for each in endpoints):
        raise ValueError(f"ACCESS_TOKENS_ENDPOINTS is {endpoints!r}. Set a list of any of {', '.join(ENDPOINTS)}.")
    scope = config["ACCESS_TOKENS_INTROSPECTION_SCOPE"]
    declared = isinstance(scope, str) and scope in config["ACCESS_TOKENS_SCOPES"]
    if not declared and (scope is not None or "introspect" in endpoints):
        raise ValueError(
            f"ACCESS_TOKENS_INTROSPECTION_SCOPE is {scope!r}. Set the scope that a service's own token needs, one of"
            " ACCESS_TOKENS_SCOPES."
        )
