"""What every panel of the page has: the texts, the times, the sorting and the form that its templates read."""

import shlex
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, ClassVar

from flask import url_for

from .. import clock, policy, texts
from ..state import UNLIMITED, current_state, logger
from ..store.connections import StoreError, error_summary
from ..texts import gettext as _
from ..texts import ngettext
from ..tokens import NewToken, Token
from .last_use import LastUse

PRESETS = (7, 30, 60, 90, 365)
"""Lifetimes in days."""

SORTS = {"name": "name", "created": "-created", "expires": "expires", "used": "-used"}
"""What a list can be sorted by, each with its first direction."""


@dataclass(kw_only=True)
class Panel:
    """One response of the page, which htmx swaps in as a whole: an owner's or an operator's."""

    form: Any = None
    created: NewToken | None = None
    notice: str = ""
    is_error: bool = False
    """Whether the notice reports an error."""
    embedded: bool = False
    """Whether the panel is part of a page of the host's, whose query string is not read."""
    url: str = ""
    """The URL of the curl example for a new token; "" for no example."""
    useless: bool = False
    """Whether the application has guarded routes, and the new token opens none of them."""
    scope_needed: bool = False
    """Whether the application has guarded routes, and a token without scopes would open none of them."""

    list_params: dict[str, str] = field(init=False, default_factory=dict)
    """The state of the list in the query string, such as its filter and its page."""

    stylesheets: ClassVar[tuple[str, ...]] = ("access-tokens.css",)
    endpoint: ClassVar[str]
    """The endpoint of the list."""
    page_param: ClassVar[str]
    """The parameter in the query string that says which page of the list is shown."""

    t = staticmethod(_)
    tn = staticmethod(ngettext)

    def __post_init__(self) -> None:
        self.now = clock.now()

    @property
    def language(self) -> str:
        return texts.language()

    @property
    def zone(self) -> str:
        """The name of the time zone of all times."""
        return texts.zone_name()

    @property
    def self_service(self) -> bool:
        return bool(current_state().config["ACCESS_TOKENS_SELF_SERVICE"])

    @property
    def htmx(self) -> str:
        """The setting ``ACCESS_TOKENS_HTMX``: auto, bundled or host."""
        return str(current_state().config["ACCESS_TOKENS_HTMX"])

    @property
    def command(self) -> str:
        """A shell command that tries the new token, or a header; it has a variable in place of the secret."""
        header = "Authorization: Bearer $TOKEN"
        return f'curl -H "{header}" {shlex.quote(self.url)}' if self.url else header

    # The list

    @property
    def index_url(self) -> str:
        """The URL of the list as it is at first."""
        return url_for(self.endpoint)

    def list_url(self, **changes: object) -> str:
        """Return the URL of the list with some parameters changed; None and "" leave one out."""
        return url_for(self.endpoint, **without_blanks({**self.list_params, **changes}))

    def sort_url(self, key: str) -> str:
        """Return the URL that sorts by a column, or reverses its order."""
        current, first_page = self.sort, {self.page_param: None}
        if current.removeprefix("-") != key:
            return self.list_url(sort=SORTS[key], **first_page)
        return self.list_url(sort=key if current.startswith("-") else f"-{key}", **first_page)

    def sorted_by(self, key: str) -> str:
        """Return the value of ``aria-sort`` for a column; "" where the list is sorted by another."""
        current = self.sort
        if current.removeprefix("-") != key:
            return ""
        return "descending" if current.startswith("-") else "ascending"

    @property
    def sort(self) -> str:
        """What the list is sorted by, with ``-`` in front where it is descending."""
        return self.list_params.get("sort") or self.default_sort

    @property
    def default_sort(self) -> str:
        return "-created"

    @property
    def order(self) -> str:
        """By what the list is sorted, in words."""
        key = self.sort.removeprefix("-")
        columns = {"name": _("Name"), "created": _("Created"), "expires": _("Expires"), "used": _("Last used")}
        if self.sort.startswith("-"):
            return _("Sorted by %(column)s, descending.", column=columns[key])
        return _("Sorted by %(column)s, ascending.", column=columns[key])

    # One token

    def status_label(self, token: Token) -> str:
        if token.status == "replaced" and token.expires_at is not None:
            return _("Replaced, works until %(time)s", time=texts.short_time(token.expires_at))
        labels = {"expiring": _("Expiring soon"), "expired": _("Expired")}
        return labels.get(token.status, _("Active"))

    def relative_time(self, moment: datetime) -> str:
        return texts.relative_time(moment, self.now)

    @staticmethod
    def exact_time(moment: datetime) -> str:
        return texts.exact_time(moment)

    @staticmethod
    def short_date(moment: datetime) -> str:
        return texts.short_date(moment)

    @staticmethod
    def machine_time(moment: datetime) -> str:
        """Return a time as ``<time datetime>`` takes it."""
        return moment.isoformat(timespec="seconds").replace("+00:00", "Z")

    def last_use(self, token: Token) -> LastUse:
        return LastUse(token, self.now)

    # The form

    @property
    def presets(self) -> list[tuple[str, str]]:
        """Usual lifetimes that the host allows, each with its label; none where it allows none of them."""
        most = policy.max_lifetime()
        presets = [
            (str(days), ngettext("%(num)s day", "%(num)s days", days))
            for days in PRESETS
            if most == UNLIMITED or days <= most
        ]
        return [*presets, (str(UNLIMITED), _("Never"))] if most == UNLIMITED else presets

    @property
    def may_never_expire(self) -> bool:
        return policy.max_lifetime() == UNLIMITED

    @property
    def max_days(self) -> int:
        most = policy.max_lifetime()
        return policy.MAX_DAYS if most == UNLIMITED else most

    @property
    def lifetime_range(self) -> str:
        return policy.lifetime_range()

    @property
    def expiry_text(self) -> str:
        """When the lifetime in the form ends, true whatever is typed there later; "" where it is not a valid one.

        The script says it of the number that is typed.
        """
        try:
            days = policy.parse_lifetime(self.form.lifetime_days.data or "")
        except policy.TokenRefused:
            return ""
        if days == UNLIMITED:
            return _("With -1, the token never expires.")
        return ngettext(
            "A lifetime of %(num)s day ends on %(date)s.",
            "A lifetime of %(num)s days ends on %(date)s.",
            days,
            date=texts.format_date(self.now + timedelta(days=days)),
        )

    @property
    def first_invalid_field(self) -> str:
        """The field to focus: the first with an error, else the name; "" where a message is focused instead."""
        for name in ("name", "description", "lifetime_days", "scopes", "reason"):
            if name in self.form and self.form[name].errors:
                return name
        return "name" if "name" in self.form and not (self.notice or self.form.prefilled) else ""


@contextmanager
def despite_store_errors() -> Iterator[None]:
    """Go on where the database cannot be read: a new secret is shown this one time."""
    try:
        yield
    except StoreError as error:
        logger.error("The page cannot read the database, and shows a new access token alone: %s", error_summary(error))


def without_blanks(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values that are neither None nor ""."""
    return {key: value for key, value in values.items() if value not in (None, "")}
