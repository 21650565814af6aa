"""The panel: what the templates of the page read, in each of its six states."""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from flask import request, url_for

from .. import clock, policy, texts, tokens
from ..state import UNLIMITED, current_state
from ..texts import gettext as _
from ..texts import ngettext
from ..tokens import NewToken, Page, Token
from .forms import link_params
from .last_use import LastUse

PAGE_SIZE = 25
HANDFUL = 5
"""Tokens that one finds without a search."""
PRESETS = (7, 30, 60, 90, 365)
"""Lifetimes in days."""
OVERLAPS = (0, 1, 24, 7 * 24)
"""Hours."""

SORTS = {"name": "name", "created": "-created", "expires": "expires", "used": "-used"}
"""What can be sorted, each with its first direction."""


@dataclass
class Panel:
    """One response of the page: the list, the form, a token just created, or the form or question about a token."""

    owner: str
    form: Any = None
    created: NewToken | None = None
    editing: Token | None = None
    rotating: Token | None = None
    deleting: Token | None = None
    predecessor: Token | None = None
    """The token that the one just created, or the one to delete, replaced."""
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

    listed: Page | None = field(init=False, default=None)
    list_params: dict[str, str] = field(init=False)
    """The state of the list in the query string: search, status, sort, page."""

    t = staticmethod(_)
    tn = staticmethod(ngettext)

    def __post_init__(self) -> None:
        self.now = clock.now()
        self.list_params = {} if self.embedded else list_params()
        if self.state == "list":
            self.listed = _listed(self.owner, self.list_params)
        elif self.created is not None:
            # Newest first and unfiltered: the row of the new token belongs to the response.
            self.listed = _listed(self.owner, {})

    @property
    def state(self) -> str:
        """``list``, ``form``, ``created``, ``editing``, ``rotating`` or ``deleting``."""
        for state in ("created", "editing", "rotating", "deleting"):
            if getattr(self, state) is not None:
                return state
        return "list" if self.form is None else "form"

    @property
    def title(self) -> str:
        titles = {"form": _("New token"), "editing": _("Edit token"), "rotating": _("Rotate token")}
        titles |= {"deleting": _("Delete token")}
        return titles.get(self.state) or _("Access tokens")

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
    def filterable(self) -> bool:
        """Whether the list is long enough for a search and filters, or narrowed by them already."""
        return self.listed is not None and (self.listed.counts["all"] > HANDFUL or self.filtered)

    @property
    def filtered(self) -> bool:
        return bool(self.list_params.get("q") or self.list_params.get("status"))

    @property
    def address(self) -> str:
        """The URL of this panel; that of the list for a new token, whose secret has no URL."""
        if self.state == "form":
            return self.url_of("new")
        if self.editing is not None:
            return self.url_of("edit", self.editing)
        if self.rotating is not None:
            return self.url_of("confirm_rotation", self.rotating)
        if self.deleting is not None:
            return self.url_of("confirm_delete", self.deleting)
        return self.list_url()

    @property
    def form_url(self) -> str:
        """The URL that the form is sent to; it keeps what a link filled in."""
        values: dict[str, Any] = {**self.list_params, **(link_params() if self.form.prefilled else {})}
        return url_for("access_tokens.generate", **values)

    def list_url(self, **changes: object) -> str:
        """Return the URL of the list with some parameters changed; None and "" leave one out."""
        return url_for("access_tokens.index", **_without_blanks({**self.list_params, **changes}))

    def url_of(self, endpoint: str, token: Token | None = None) -> str:
        """Return the URL of a view of the page, with the parameters that lead back to this list."""
        values: dict[str, Any] = dict(self.list_params)
        if token is not None:
            values["token_id"] = token.id
        return url_for(f"access_tokens.{endpoint}", **values)

    def sort_url(self, key: str) -> str:
        """Return the URL that sorts by a column, or reverses its order."""
        current = self._sort
        if current.removeprefix("-") != key:
            return self.list_url(sort=SORTS[key], page=None)
        return self.list_url(sort=key if current.startswith("-") else f"-{key}", page=None)

    def sorted_by(self, key: str) -> str:
        """Return the value of ``aria-sort`` for a column; "" where the list is sorted by another."""
        current = self._sort
        if current.removeprefix("-") != key:
            return ""
        return "descending" if current.startswith("-") else "ascending"

    @property
    def _sort(self) -> str:
        return self.list_params.get("sort") or "-created"

    @property
    def counts(self) -> list[tuple[str, str, int]]:
        """The statuses to filter by, each with its label and the number of tokens."""
        counts = self.listed.counts if self.listed else {}
        labels = {
            "": _("All"),
            "active": _("Active"),
            "expiring": _("Expiring soon"),
            "expired": _("Expired"),
            "unused": _("Never used"),
        }
        return [(status, label, counts.get(status or "all", 0)) for status, label in labels.items()]

    @property
    def announcement(self) -> str:
        """What screen readers announce when this panel has replaced another."""
        if self.notice:
            return self.notice
        if self.state != "list" or self.listed is None:
            return ""
        return f"{self.found} {self.position}".strip()

    @property
    def found(self) -> str:
        """How many tokens the list has, or how many of all where it is narrowed."""
        if self.listed is None:
            return ""
        number, total = self.listed.matching, self.listed.counts["all"]
        if self.filtered:
            return ngettext("%(found)s of %(num)s token.", "%(found)s of %(num)s tokens.", total, found=number)
        return ngettext("%(num)s token.", "%(num)s tokens.", number)

    @property
    def order(self) -> str:
        """By what the list is sorted, in words."""
        key = self._sort.removeprefix("-")
        columns = {"name": _("Name"), "created": _("Created"), "expires": _("Expires"), "used": _("Last used")}
        if self._sort.startswith("-"):
            return _("Sorted by %(column)s, descending.", column=columns[key])
        return _("Sorted by %(column)s, ascending.", column=columns[key])

    @property
    def position(self) -> str:
        """Which page of the list this is; "" where there is only one."""
        if self.listed is None or self.listed.pages == 1:
            return ""
        return _("Page %(number)s of %(pages)s.", number=self.listed.number, pages=self.listed.pages)

    # One token

    @staticmethod
    def status_label(token: Token) -> str:
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

    @property
    def overlaps(self) -> list[tuple[str, str]]:
        """The overlaps to choose from, the configured one among them, each with its label."""
        hours = sorted({*OVERLAPS, policy.validate_overlap(None)})
        return [(str(number), _overlap_label(number)) for number in hours]

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
    def suggestions(self) -> list[str]:
        """Usual names that the owner has not given to a token yet."""
        taken = {token.name.casefold() for token in tokens.page(self.owner, size=100).tokens}
        names = (_("Laptop"), _("Nightly backup"), _("Build server"), _("Spreadsheet"), _("Monitoring"))
        return [name for name in names if name.casefold() not in taken][:3]

    @property
    def first_invalid_field(self) -> str:
        """The field to focus: the first with an error, else the name; "" where a message is focused instead."""
        for name in ("name", "description", "lifetime_days", "scopes"):
            if name in self.form and self.form[name].errors:
                return name
        return "" if self.notice or self.form.prefilled else "name"


def list_params() -> dict[str, str]:
    """Return the state of the list in the query string, without what is unknown."""
    args = request.args
    number = args.get("page", "")
    sort = args.get("sort", "")
    status = args.get("status", "")
    return _without_blanks(
        {
            "q": args.get("q", "").strip()[: policy.MAX_NAME_LENGTH],
            "status": status if status in ("active", "expiring", "expired", "unused") else "",
            "sort": sort if sort.removeprefix("-") in SORTS else "",
            "page": number if number.isascii() and number.isdigit() and len(number) < 9 else "",
        }
    )


def _listed(owner: str, params: Mapping[str, str]) -> Page:
    return tokens.page(
        owner,
        search=params.get("q", ""),
        status=params.get("status", ""),
        sort=params.get("sort", ""),
        number=int(params.get("page", 1)),
        size=PAGE_SIZE,
    )


def _overlap_label(hours: int) -> str:
    if hours == 0:
        return _("Not at all")
    if hours % 24 == 0:
        return ngettext("%(num)s day", "%(num)s days", hours // 24)
    return ngettext("%(num)s hour", "%(num)s hours", hours)


def _without_blanks(values: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value not in (None, "")}
