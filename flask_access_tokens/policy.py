"""What a token may be: whose, under which name, for how long, with which scopes."""

import re
import unicodedata
import uuid
from collections.abc import Iterable

from .state import FOREVER, current_state
from .texts import gettext as _
from .texts import ngettext

MAX_OWNER = 255
MAX_NAME = 100
MAX_DESCRIPTION = 255
MAX_DAYS = 99_999

_DAYS = re.compile(r"-?[0-9]{1,5}", re.ASCII)
_BLANKS = set("\u115f\u1160\u2800\u3164\uffa0")
"""Letters and symbols that leave nothing to see."""

_JOINERS = {"\u200c", "\u200d"}


class TokenRefused(ValueError):
    """A wish that cannot be granted; its message can be shown to a person.

    ``field`` names what was wrong: name, description, lifetime_days, scopes, or None for the whole.
    """

    def __init__(self, message: str, field: str | None = None) -> None:
        super().__init__(message)
        self.field = field


def owner_key(owner_id: object) -> str:
    """An owner id as text; a ``ValueError`` refuses what cannot be one."""
    if isinstance(owner_id, bool) or not isinstance(owner_id, (int, str, uuid.UUID)):
        raise ValueError(f"An owner id is an int, a UUID or a text, not {type(owner_id).__name__}.")
    # Members of an enumeration are their value here, not their name.
    text = (
        str.__str__(owner_id)
        if isinstance(owner_id, str)
        else str(owner_id if isinstance(owner_id, uuid.UUID) else int(owner_id))
    )
    if not text or text != text.strip() or len(text) > MAX_OWNER or _unfit(text):
        raise ValueError(
            "An owner id is 1 to 255 characters on one line, without blanks around it: databases disagree on them."
        )
    return text


def checked_name(name: str) -> str:
    """A name without the blanks around it, or :exc:`TokenRefused`."""
    text = _one_line(name, "name")
    if not any(unicodedata.category(character)[0] in "LNPS" and character not in _BLANKS for character in text):
        raise TokenRefused(_("Give the token a name, so that you know it again."), "name")
    if len(text) > MAX_NAME:
        raise TokenRefused(
            _(
                "The name has %(count)d characters. Use at most %(most)d.",
                count=len(text),
                most=MAX_NAME,
            ),
            "name",
        )
    return text


def checked_description(description: str) -> str:
    """A description without the blanks around it, or :exc:`TokenRefused`."""
    text = _one_line(description, "description")
    if len(text) > MAX_DESCRIPTION:
        raise TokenRefused(
            _(
                "The description has %(count)d characters. Use at most %(most)d.",
                count=len(text),
                most=MAX_DESCRIPTION,
            ),
            "description",
        )
    return text


def checked_lifetime(days: int) -> int:
    """A lifetime in days within the host's bounds, or :exc:`TokenRefused`."""
    most = longest_lifetime()
    forever = most == FOREVER
    bound = MAX_DAYS if forever else most
    if type(days) is int and (1 <= days <= bound or (days == FOREVER and forever)):
        return days
    if forever:
        message = _(
            "Enter a whole number of days: 1 to %(most)d days, or -1 for a token that never expires.",
            most=bound,
        )
    else:
        message = ngettext(
            "Enter 1 day: no other lifetime is allowed here.",
            "Enter a whole number of days: 1 to %(num)s days.",
            bound,
        )
    raise TokenRefused(message, "lifetime_days")


def days_of(text: str) -> int:
    """A lifetime that a person typed, within the host's bounds, or :exc:`TokenRefused`."""
    typed = text.strip()
    # int() would take Arabic digits, underscores and a plus sign.
    return checked_lifetime(int(typed) if _DAYS.fullmatch(typed) else 0)


def longest_lifetime() -> int:
    """The longest lifetime the host allows, in days; -1 allows any, and tokens that never expire."""
    most: int = current_state().config["ACCESS_TOKENS_MAX_LIFETIME_DAYS"]
    return min(most, MAX_DAYS)


def default_lifetime() -> int:
    """The lifetime in days that the form starts with, within the host's bounds."""
    days: int = current_state().config["ACCESS_TOKENS_DEFAULT_LIFETIME_DAYS"]
    most = longest_lifetime()
    if most != FOREVER and not 1 <= days <= most:
        return most
    return min(days, MAX_DAYS)


def checked_scopes(owner_id: str, scopes: Iterable[str]) -> tuple[str, ...]:
    """Scopes that this owner may grant, in the declared order, or :exc:`TokenRefused`."""
    if isinstance(scopes, (str, bytes)):
        raise ValueError(f"scopes is one text, {scopes!r}. Give a list of scope names.")
    wanted = list(scopes)
    if not wanted:
        return ()
    grantable = current_state().grantable(owner_id)
    for scope in wanted:
        if scope not in grantable:
            raise TokenRefused(
                _("A scope was asked for that you cannot grant. Choose from those listed."),
                "scopes",
            )
    if len(set(wanted)) != len(wanted):
        raise TokenRefused(_("A scope was chosen twice. Choose each once."), "scopes")
    return tuple(scope for scope in grantable if scope in wanted)


def _one_line(text: str, field: str) -> str:
    if not isinstance(text, str):
        raise TokenRefused(_("This must be text."), field)
    if _unfit(text := text.strip()):
        raise TokenRefused(_("Use one line, without control or invisible characters."), field)
    return text


def _unfit(text: str) -> bool:
    """Whether a text has characters that break the line, steer its direction or cannot be seen.

    Joiners and tags stay: they hold emoji and some scripts together.
    """
    return any(
        category in ("Cc", "Cs", "Zl", "Zp")
        or (category == "Cf" and character not in _JOINERS and not "\U000e0020" <= character <= "\U000e007f")
        for character, category in ((character, unicodedata.category(character)) for character in text)
    )
