"""The words people read, in their language where the host has Flask-Babel."""

from datetime import UTC, datetime, tzinfo
from functools import lru_cache
from pathlib import Path
from typing import Any

from flask import current_app, has_app_context, has_request_context

DOMAIN = "access_tokens"
TRANSLATIONS = Path(__file__).with_name("translations")

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


def _marked(singular: str, plural: str) -> tuple[str, str]:
    """Singular and plural for the catalogue, to be looked up when they are said."""
    return singular, plural


_MINUTE, _HOUR, _DAY = 60, 3600, 86400
_UNITS = (
    (
        _MINUTE,
        55 * _MINUTE,
        _marked("in %(num)s minute", "in %(num)s minutes"),
        _marked("%(num)s minute ago", "%(num)s minutes ago"),
    ),
    (
        _HOUR,
        22 * _HOUR,
        _marked("in %(num)s hour", "in %(num)s hours"),
        _marked("%(num)s hour ago", "%(num)s hours ago"),
    ),
    (
        _DAY,
        99 * _DAY,
        _marked("in %(num)s day", "in %(num)s days"),
        _marked("%(num)s day ago", "%(num)s days ago"),
    ),
    (
        _DAY * 365.25 / 12,
        700 * _DAY,
        _marked("in %(num)s month", "in %(num)s months"),
        _marked("%(num)s month ago", "%(num)s months ago"),
    ),
    (
        _DAY * 365.25,
        None,
        _marked("in %(num)s year", "in %(num)s years"),
        _marked("%(num)s year ago", "%(num)s years ago"),
    ),
)
"""Seconds of a unit, seconds up to which it is used, and its words ahead and back."""


def gettext(message: str, **values: Any) -> str:
    """A message in the language of the request, with its ``%(name)s`` places filled."""
    catalogue = _catalogue()
    text: str = message if catalogue is None else catalogue.gettext(message)
    return text % values if values else text


def ngettext(singular: str, plural: str, num: int, **values: Any) -> str:
    """The singular or plural message for a number, which fills ``%(num)s``."""
    catalogue = _catalogue()
    text: str = (singular if num == 1 else plural) if catalogue is None else catalogue.ngettext(singular, plural, num)
    return text % {"num": num, **values}


def language() -> str:
    """The language the messages come in, as ``<html lang>`` names it."""
    locale = _locale()
    return "en" if locale is None else str(locale).replace("_", "-")


def zone() -> tzinfo:
    """The time zone that moments are said in: Flask-Babel's, UTC without it."""
    found: tzinfo | None = _of_babel("get_timezone")
    return UTC if found is None else found


def zone_name() -> str:
    """The name under which a browser knows the zone; "UTC" where it has none."""
    here = zone()
    # Flask-Babel's zones are pytz's, a selector of the host may give zoneinfo's.
    return str(getattr(here, "zone", None) or getattr(here, "key", None) or "UTC")


def day(moment: datetime) -> str:
    """The day of a moment in words."""
    moment = moment.astimezone(zone())
    locale = _locale()
    if locale is None:
        return f"{moment.day} {_MONTHS[moment.month - 1]} {moment.year}"
    from babel.dates import format_date

    return format_date(moment, "long", locale=locale)


def moment_in_words(moment: datetime) -> str:
    """A moment to the minute, saying how far its clock is from UTC."""
    here = moment.astimezone(zone())
    offset = f"{here:%z}"
    clock = "UTC" if offset == "+0000" else f"UTC{offset[:3]}:{offset[3:]}"
    return gettext("%(day)s, %(time)s %(zone)s", day=day(moment), time=f"{here:%H:%M}", zone=clock)


def distance(moment: datetime, now: datetime) -> str:
    """How far a moment lies from now, roughly, as within a sentence: "3 days ago", "in 2 hours"."""
    seconds = (moment - now).total_seconds()
    ahead, seconds = seconds > 0, abs(seconds)
    if seconds < 45:
        return gettext("in a moment") if ahead else gettext("just now")
    unit, future, past = next(
        (unit, future, past) for unit, most, future, past in _UNITS if most is None or seconds < most
    )
    return ngettext(*(future if ahead else past), max(1, round(seconds / unit)))


def _locale() -> Any:
    """The locale of the request, None where there is no catalogue for it: dates and sentences speak one language."""
    return None if _catalogue() is None else _of_babel("get_locale")


def _catalogue() -> Any:
    """The messages in the language of the request, None where they are not translated."""
    locale = _of_babel("get_locale")
    if locale is None:
        return None
    return _load(locale, tuple(current_app.extensions["babel"].translation_directories))


@lru_cache(maxsize=256)
def _load(locale: Any, directories: tuple[str, ...]) -> Any:
    """The catalogue of a locale: the host's, and ours for what the host does not translate."""
    from babel.support import Translations

    found = None
    for directory in (str(TRANSLATIONS), *directories):
        catalogue = Translations.load(directory, [locale], DOMAIN)
        if isinstance(catalogue, Translations):
            if found is not None:
                catalogue.add_fallback(found)
            found = catalogue
    return found


def _of_babel(name: str) -> Any:
    """What Flask-Babel says of this request; None without Flask-Babel, or where its selector has no request to ask."""
    if not has_app_context() or "babel" not in current_app.extensions:
        return None
    import flask_babel

    try:
        return getattr(flask_babel, name)()
    except RuntimeError:
        if has_request_context():
            raise
        return None
