"""The check of the configuration while an application starts."""

import re
from collections.abc import Mapping, Set

from flask import Config

from .places import validate_places
from .policy import MAX_DAYS, MAX_OVERLAP_HOURS
from .secret import validate_adopted, validate_prefixes
from .state import ENDPOINTS, MAX_INTERVAL, SCOPE, UNLIMITED, configured_peppers


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
    for key in ("ACCESS_TOKENS_SELF_SERVICE", "ACCESS_TOKENS_LAST_USED_FROM"):
        if not isinstance(config[key], bool):
            raise ValueError(f"{key} is {config[key]!r}. Set True or False.")
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
