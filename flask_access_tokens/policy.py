"""What a token may be: its owner, name, description, lifetime and scopes."""

import re
import unicodedata
import uuid
from collections.abc import Iterable
from datetime import datetime, timedelta

from .state import UNLIMITED, current_state
from .texts import format_number, ngettext
from .texts import gettext as _

MAX_OWNER_LENGTH = 255
MAX_NAME_LENGTH = 100
MAX_DESCRIPTION_LENGTH = 255
MAX_DAYS = 99_999
MAX_OVERLAP_HOURS = 366 * 24
"""What ``ACCESS_TOKENS_OVERLAP_HOURS`` may be."""
LONGEST_OVERLAP_HOURS = 7 * 24
"""What a rotation may choose, unless the configured overlap is longer."""

_HOURS = re.compile(r"[0-9]{1,5}", re.ASCII)
_DAYS = re.compile(r"-?[0-9]{1,5}", re.ASCII)
_INVISIBLE = set("\u115f\u1160\u2800\u3164\uffa0")
"""Letters and symbols that show nothing."""

_JOINERS = {"\u200c", "\u200d"}


class TokenRefused(ValueError):
    """A request that policy does not allow; its message can be shown to people.

    ``field`` is what was wrong: ``name``, ``description``, ``lifetime_days``, ``overlap_hours``,
    ``scopes``, or None for none of them.
    """

    def __init__(self, message: str, field: str | None = None) -> None:
        super().__init__(message)
        self.field = field


def validate_owner_id(owner_id: object, name: str = "An owner ID") -> str:
    """Return an owner ID as text.

    :param owner_id: an int, a UUID or text.
    :param name: what the error calls it.
    :raises ValueError: for anything else, and for text that databases do not all compare alike.
    """
    if isinstance(owner_id, bool) or not isinstance(owner_id, (int, str, uuid.UUID)):
        kind = type(owner_id).__name__
        raise ValueError(f"{name} is an int, a UUID or a string, not {kind}. Pass one, such as user.id.")
    # Members of an enumeration stand for their value here, not for their name.
    text = (
        str.__str__(owner_id)
        if isinstance(owner_id, str)
        else str(owner_id if isinstance(owner_id, uuid.UUID) else int(owner_id))
    )
    if not text or text != text.strip() or len(text) > MAX_OWNER_LENGTH or has_unsafe_characters(text):
        raise ValueError(
            f"{name} is 1 to {MAX_OWNER_LENGTH} characters on one line, without surrounding blanks:"
            " databases compare those differently."
        )
    return text


def validate_actor(by: object) -> str | None:
    """Return who acts as text; None where that is not known.

    :param by: the ID of an owner or of an operator, or another word for who acts.
    :raises ValueError: where it does not have the form of an owner ID.
    """
    return None if by is None else validate_owner_id(by, "by")


def validate_name(name: str) -> str:
    """Return a name without surrounding blanks.

    :raises TokenRefused: where it is not one line of 1 to 100 characters with something to see.
    """
    text = _validate_line(name, "name")
    if not any(unicodedata.category(character)[0] in "LNPS" and character not in _INVISIBLE for character in text):
        raise TokenRefused(_("Enter a name so you can recognize this token later."), "name")
    if len(text) > MAX_NAME_LENGTH:
        most, count = MAX_NAME_LENGTH, len(text)
        raise TokenRefused(
            _("The name has %(count)d characters. Use at most %(most)d.", count=count, most=most), "name"
        )
    return text


def validate_description(description: str) -> str:
    """Return a description without surrounding blanks.

    :raises TokenRefused: where it is not one line of at most 255 characters.
    """
    text = _validate_line(description, "description")
    if len(text) > MAX_DESCRIPTION_LENGTH:
        most, count = MAX_DESCRIPTION_LENGTH, len(text)
        raise TokenRefused(
            _("The description has %(count)d characters. Use at most %(most)d.", count=count, most=most), "description"
        )
    return text


def validate_reason(reason: str) -> str:
    """Return the reason of an act without surrounding blanks.

    :raises TokenRefused: where it is not one line of at most 255 characters.
    """
    text = _validate_line(reason, "reason")
    if len(text) > MAX_DESCRIPTION_LENGTH:
        most, count = MAX_DESCRIPTION_LENGTH, len(text)
        raise TokenRefused(
            _("The reason has %(count)d characters. Use at most %(most)d.", count=count, most=most), "reason"
        )
    return text


def validate_lifetime(days: int) -> int:
    """Return a lifetime.

    :param days: whole days, or -1 for a token that never expires.
    :raises TokenRefused: where the host does not allow it.
    """
    if type(days) is not int:
        message = f"lifetime_days is of type {type(days).__name__}. Give a whole number of days as an int."
        raise TokenRefused(message, "lifetime_days")
    most = max_lifetime()
    bound = MAX_DAYS if most == UNLIMITED else most
    if 1 <= days <= bound or days == most == UNLIMITED:
        return days
    raise TokenRefused(lifetime_range(), "lifetime_days")


def lifetime_range() -> str:
    """Return a sentence that says which lifetimes the host allows."""
    most = max_lifetime()
    if most == UNLIMITED:
        return _("Enter 1 to %(most)s days, or -1 for no expiration.", most=format_number(MAX_DAYS))
    return ngettext(
        "Enter 1 day. No other lifetime is allowed here.",
        "Enter 1 to %(most)s days.",
        most,
        most=format_number(most),
    )


def parse_lifetime(text: str) -> int:
    """Return the lifetime that a person typed, in days.

    :raises TokenRefused: where it is not a whole number that the host allows.
    """
    typed = text.strip()
    # int() would accept other scripts' digits, underscores and a plus sign.
    return validate_lifetime(int(typed) if _DAYS.fullmatch(typed) else 0)


def max_lifetime() -> int:
    """Return the longest lifetime that the host allows, in days; -1 where any is allowed, and none at all."""
    most: int = current_state().config["ACCESS_TOKENS_MAX_LIFETIME_DAYS"]
    return min(most, MAX_DAYS)


def default_lifetime() -> int:
    """Return the lifetime that the form starts with, in days; -1 for never. It never exceeds the maximum."""
    days: int = current_state().config["ACCESS_TOKENS_DEFAULT_LIFETIME_DAYS"]
    most = max_lifetime()
    if most != UNLIMITED and not 1 <= days <= most:
        return most
    return min(days, MAX_DAYS)


def successor_lifetime(created_at: datetime, expires_at: datetime | None) -> int:
    """Return the lifetime of a token's successor in days, -1 for never: that of the token, at most the maximum.

    :param expires_at: when the token expires; None for never.
    """
    most = max_lifetime()
    if expires_at is None:
        return most
    days = max(1, round((expires_at - created_at) / timedelta(days=1)))
    return min(days, MAX_DAYS if most == UNLIMITED else most)


def validate_overlap(hours: int | None) -> int:
    """Return an overlap.

    :param hours: whole hours from 0 to a week, or to the configured overlap if that is longer; None for that.
    :raises TokenRefused: for anything else.
    """
    configured: int = current_state().config["ACCESS_TOKENS_OVERLAP_HOURS"]
    if hours is None:
        return configured
    most = max(configured, LONGEST_OVERLAP_HOURS)
    if type(hours) is int and 0 <= hours <= most:
        return hours
    raise TokenRefused(_("Enter 0 to %(most)s hours.", most=format_number(most)), "overlap_hours")


def parse_overlap(text: str) -> int:
    """Return the overlap that a person chose, in hours.

    :raises TokenRefused: where it is not a whole number that is allowed.
    """
    return validate_overlap(int(text) if _HOURS.fullmatch(text) else -1)


def validate_scopes(owner_id: str, scopes: Iterable[str]) -> tuple[str, ...]:
    """Return scopes in the order in which the host declares them.

    :raises TokenRefused: where the owner may not grant one of them, or one is given twice.
    """
    if isinstance(scopes, (str, bytes)):
        raise ValueError(f"scopes is a single string, {scopes!r}. Give a list of scope names.")
    wanted = list(scopes)
    if not wanted:
        return ()
    state = current_state()
    declared, allowed = list(state.scopes), state.allowed_scopes(owner_id)
    for scope in wanted:
        if scope not in declared:
            problem = f"ACCESS_TOKENS_SCOPES does not declare the scope {scope!r:.80}. It declares"
            raise TokenRefused(f"{problem}: {', '.join(declared) or 'none'}.", "scopes")
        if scope not in allowed:
            problem = f"This owner may not grant the scope {scope!r}. The scopes loader returns, of those declared"
            raise TokenRefused(f"{problem}: {', '.join(allowed) or 'none'}.", "scopes")
    if len(set(wanted)) != len(wanted):
        raise TokenRefused(_("A scope was selected twice. Select each once."), "scopes")
    return tuple(scope for scope in allowed if scope in wanted)


def has_unsafe_characters(text: str) -> bool:
    """Return whether text has characters that break its line, change its direction or cannot be seen.

    Joiners and tags are safe: they hold emoji and some scripts together.
    """
    return any(
        category in ("Cc", "Cs", "Zl", "Zp")
        or (category == "Cf" and character not in _JOINERS and not "\U000e0020" <= character <= "\U000e007f")
        for character, category in ((character, unicodedata.category(character)) for character in text)
    )


def _validate_line(text: str, field: str) -> str:
    if not isinstance(text, str):
        raise TokenRefused(f"{field} is of type {type(text).__name__}. Give text.", field)
    if has_unsafe_characters(text := text.strip()):
        raise TokenRefused(_("Use one line, without control or invisible characters."), field)
    return text
