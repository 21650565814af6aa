"""The texts of the page, translated where the host uses Flask-Babel."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime, tzinfo
from functools import lru_cache
from pathlib import Path
from typing import Any

from flask import current_app, has_app_context, has_request_context

DOMAIN = "access_tokens"
TRANSLATIONS = Path(__file__).with_name("translations")

_english = ContextVar("flask_access_tokens.english", default=False)

_MONTHS = (
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
)


def _mark(singular: str, plural: str) -> tuple[str, str]:
    """Mark a text for the catalog, to be translated when it is used."""
    return singular, plural


_MINUTE, _HOUR, _DAY = 60, 3600, 86400
_UNITS = (
    (
        _MINUTE,
        55 * _MINUTE,
        _mark("in %(num)s minute", "in %(num)s minutes"),
        _mark("%(num)s minute ago", "%(num)s minutes ago"),
    ),
    (
        _HOUR,
        22 * _HOUR,
        _mark("in %(num)s hour", "in %(num)s hours"),
        _mark("%(num)s hour ago", "%(num)s hours ago"),
    ),
    (
        _DAY,
        99 * _DAY,
        _mark("in %(num)s day", "in %(num)s days"),
        _mark("%(num)s day ago", "%(num)s days ago"),
    ),
    (
        _DAY * 365.25 / 12,
        700 * _DAY,
        _mark("in %(num)s month", "in %(num)s months"),
        _mark("%(num)s month ago", "%(num)s months ago"),
    ),
    (
        _DAY * 365.25,
        None,
        _mark("in %(num)s year", "in %(num)s years"),
        _mark("%(num)s year ago", "%(num)s years ago"),
    ),
)
"""Seconds of a unit, seconds below which it is used, and its texts for the future and the past."""


def gettext(message: str, **values: Any) -> str:
    """Return a message in the language of the request, with its ``%(name)s`` placeholders filled."""
    catalog = _catalog()
    text: str = message if catalog is None else catalog.gettext(message)
    return text % values if values else text


def ngettext(singular: str, plural: str, num: int, **values: Any) -> str:
    """Return the singular or plural message for a number, which fills ``%(num)s``."""
    catalog = _catalog()
    text: str = (singular if num == 1 else plural) if catalog is None else catalog.ngettext(singular, plural, num)
    return text % {"num": num, **values}


@contextmanager
def in_english() -> Iterator[None]:
    """Leave the texts of a block in English, without the host's locale selector, which may read the session."""
    before = _english.set(True)
    try:
        yield
    finally:
        _english.reset(before)


def language() -> str:
    """Return the language of the messages as a value of the ``lang`` attribute."""
    locale = _locale()
    return "en" if locale is None else str(locale).replace("_", "-")


def zone() -> tzinfo:
    """Return the time zone of all times: Flask-Babel's, and UTC without it."""
    found: tzinfo | None = _of_babel("get_timezone")
    return UTC if found is None else found


def zone_name() -> str:
    """Return the name by which a browser knows the time zone; "UTC" where it has none."""
    here = zone()
    # Flask-Babel's zones are pytz's; a selector of the host may return zoneinfo's.
    return str(getattr(here, "zone", None) or getattr(here, "key", None) or "UTC")


def format_date(moment: datetime) -> str:
    """Return the date of a time, with the month in letters."""
    moment = moment.astimezone(zone())
    locale = _locale()
    if locale is None:
        return f"{moment.day} {_MONTHS[moment.month - 1]} {moment.year}"
    from babel import dates

    return dates.format_date(moment, "long", locale=locale)


def short_date(moment: datetime) -> str:
    """Return the date of a time in its usual short form."""
    locale = _locale()
    if locale is None:
        moment = moment.astimezone(zone())
        return f"{moment.day} {_MONTHS[moment.month - 1][:3]} {moment.year}"
    from babel import dates

    return dates.format_date(moment.astimezone(zone()), "medium", locale=locale)


def format_number(number: int) -> str:
    """Return a whole number with its thousands grouped."""
    locale = _locale()
    if locale is None:
        return f"{number:,}"
    from babel import numbers

    return numbers.format_decimal(number, locale=locale)


def exact_time(moment: datetime) -> str:
    """Return a time to the minute, with its offset from UTC."""
    return _with_time(format_date(moment), moment)


def short_time(moment: datetime) -> str:
    """Return a time to the minute, with its date in the usual short form."""
    return _with_time(short_date(moment), moment)


def relative_time(moment: datetime, now: datetime) -> str:
    """Return how far a time is from now, roughly: "3 days ago", "in 2 hours"."""
    seconds = (moment - now).total_seconds()
    ahead, seconds = seconds > 0, abs(seconds)
    if seconds < 45:
        return gettext("in a moment") if ahead else gettext("just now")
    unit, future, past = next(
        (unit, future, past) for unit, most, future, past in _UNITS if most is None or seconds < most
    )
    return ngettext(*(future if ahead else past), max(1, round(seconds / unit)))


def _with_time(day: str, moment: datetime) -> str:
    here = moment.astimezone(zone()).isoformat(timespec="minutes")
    time, offset = here[11:16], here[16:]
    clock = "UTC" if offset == "+00:00" else f"UTC{offset}"
    return gettext("%(day)s, %(time)s %(zone)s", day=day, time=time, zone=clock)


def _locale() -> Any:
    """Return the locale of the request; None without a catalog for it, so that texts and dates have one language."""
    return None if _catalog() is None else _of_babel("get_locale")


def _catalog() -> Any:
    """Return the messages in the language of the request, or None where they are not translated."""
    locale = None if _english.get() else _of_babel("get_locale")
    if locale is None:
        return None
    from flask_babel import get_babel

    return _load(locale, tuple(get_babel().translation_directories))


@lru_cache(maxsize=256)
def _load(locale: Any, directories: tuple[str, ...]) -> Any:
    """Return the catalog of a locale: the host's, and the package's for what that does not translate."""
    from babel.support import Translations

    found = None
    for directory in (str(TRANSLATIONS), *directories):
        catalog = Translations.load(directory, [locale], DOMAIN)
        if isinstance(catalog, Translations):
            if found is not None:
                catalog.add_fallback(found)
            found = catalog
    return found


def _of_babel(name: str) -> Any:
    """Call a function of Flask-Babel; None without Flask-Babel, or where the host's selector needs a request."""
    if not has_app_context() or "babel" not in current_app.extensions:
        return None
    import flask_babel

    try:
        return getattr(flask_babel, name)()
    except RuntimeError:
        if has_request_context():
            raise
        return None
