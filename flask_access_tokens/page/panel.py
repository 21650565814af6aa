"""The panel: what its templates read, in each of its four states."""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

from flask import request, url_for

from .. import policy, texts, tokens
from ..state import FOREVER, current_state
from ..texts import gettext as _
from ..texts import ngettext
from ..tokens import NewToken, Page, Token

PAGE_SIZE = 25
PRESETS = (7, 30, 60, 90, 365)
"""Days."""
LATELY = timedelta(days=7)
"""A token used within this time is probably still needed."""

STATIC = Path(__file__).with_name("static")
SORTS = {"name": "name", "created": "-created", "expires": "expires", "used": "-used"}
"""What can be sorted, each with the direction it takes first."""


@dataclass
class Panel:
    """One answer of the page: the list, the form, the token just generated, or the delete question."""

    owner: str
    form: Any = None
    made: NewToken | None = None
    asked: Token | None = None
    notice: str = ""
    alarm: bool = False
    """Whether the notice tells of something that went wrong."""
    embedded: bool = False
    """Whether it stands in a page of the host's own, whose address is not ours to read."""
    url: str = ""
    """What the curl line of a new token asks."""

    listed: Page | None = field(init=False, default=None)
    wanted: dict[str, str] = field(init=False)
    """What the address says of the list: search, status, sort, page."""

    t = staticmethod(_)
    tn = staticmethod(ngettext)

    def __post_init__(self) -> None:
        self.now = tokens.now()
        self.wanted = {} if self.embedded else list_state()
        if self.state == "list":
            self.listed = _listed(self.owner, self.wanted)
        elif self.made is not None:
            # The newest first, whatever the list was narrowed to: the row of the new token is part of the answer.
            self.listed = _listed(self.owner, {})

    @property
    def state(self) -> str:
        """One of list, form, made and asking."""
        if self.made is not None:
            return "made"
        if self.asked is not None:
            return "asking"
        return "list" if self.form is None else "form"

    @property
    def title(self) -> str:
        return _("Access tokens")

    @property
    def language(self) -> str:
        return texts.language()

    @property
    def zone(self) -> str:
        """The time zone of the moments it says."""
        return texts.zone_name()

    @property
    def self_service(self) -> bool:
        return bool(current_state().config["ACCESS_TOKENS_SELF_SERVICE"])

    @property
    def htmx(self) -> str:
        """Who brings htmx: auto, bundled or host."""
        return str(current_state().config["ACCESS_TOKENS_HTMX"])

    @property
    def command(self) -> str:
        """The line that tries a new token; the secret stands in it under a name."""
        return f'curl -H "Authorization: Bearer $TOKEN" {shlex.quote(self.url)}'

    # The list

    @property
    def narrowed(self) -> bool:
        return bool(self.wanted.get("q") or self.wanted.get("status"))

    @property
    def address(self) -> str:
        """Where this list can be found again."""
        return self.list_url()

    def list_url(self, **changes: object) -> str:
        """The address of the list with some of its state changed; None and "" leave a part out."""
        return url_for("access_tokens.index", **_without_blanks({**self.wanted, **changes}))

    def url_of(self, endpoint: str, token: Token | None = None) -> str:
        """An address of the page that leads back to this list."""
        values: dict[str, Any] = dict(self.wanted)
        if token is not None:
            values["token_id"] = token.id
        return url_for(f"access_tokens.{endpoint}", **values)

    def sort_url(self, key: str) -> str:
        """The address that sorts by a column, or turns it round."""
        now = self.wanted.get("sort") or "-created"
        turned = key if now == f"-{key}" else f"-{key}"
        return self.list_url(sort=turned if now.removeprefix("-") == key else SORTS[key], page=None)

    def sorted_by(self, key: str) -> str:
        """What ``aria-sort`` says of a column; "" where it is not the one."""
        now = self.wanted.get("sort") or "-created"
        if now.removeprefix("-") != key:
            return ""
        return "descending" if now.startswith("-") else "ascending"

    @property
    def counts(self) -> list[tuple[str, str, int]]:
        """The statuses to filter by, each with its word and how many tokens have it."""
        found = self.listed.counts if self.listed else {}
        words = {
            "": _("All"),
            "active": _("Active"),
            "expiring": _("Expiring soon"),
            "expired": _("Expired"),
            "unused": _("Never used"),
        }
        return [(status, word, found.get(status or "all", 0)) for status, word in words.items()]

    @property
    def said(self) -> str:
        """What is spoken when this panel has replaced another."""
        if self.notice:
            return self.notice
        if self.state != "list" or self.listed is None:
            return ""
        found = ngettext("%(num)s token.", "%(num)s tokens.", self.listed.matching)
        return f"{found} {self.place}".strip()

    @property
    def place(self) -> str:
        """Which page of the list this is; "" where there is one only."""
        if self.listed is None or self.listed.pages == 1:
            return ""
        return _("Page %(number)s of %(pages)s.", number=self.listed.number, pages=self.listed.pages)

    # Words for a token

    @staticmethod
    def status_word(token: Token) -> str:
        words = {"active": _("Active"), "expiring": _("Expiring soon"), "expired": _("Expired")}
        return words[token.status]

    def distance(self, moment: datetime) -> str:
        return texts.distance(moment, self.now)

    @staticmethod
    def in_words(moment: datetime) -> str:
        return texts.moment_in_words(moment)

    @staticmethod
    def machine_time(moment: datetime) -> str:
        """A moment as ``<time datetime>`` takes it."""
        return moment.isoformat(timespec="seconds").replace("+00:00", "Z")

    @property
    def used_lately(self) -> bool:
        last = self.asked.last_used_at if self.asked else None
        return last is not None and self.now - last < LATELY

    # The form

    @property
    def presets(self) -> list[int]:
        most = policy.longest_lifetime()
        return [days for days in PRESETS if most == FOREVER or days <= most]

    @property
    def may_last_forever(self) -> bool:
        return policy.longest_lifetime() == FOREVER

    @property
    def longest(self) -> int:
        """Days."""
        most = policy.longest_lifetime()
        return policy.MAX_DAYS if most == FOREVER else most

    @property
    def ending(self) -> str:
        """When a token of the lifetime in the form ends, in words; "" where that is no lifetime."""
        try:
            days = policy.days_of(self.form.lifetime_days.data or "")
        except policy.TokenRefused:
            return ""
        if days == FOREVER:
            return _("Never expires. Choose a date if you can: a forgotten token stays open for good.")
        return _("Expires on %(date)s.", date=texts.day(self.now + timedelta(days=days)))

    @property
    def suggestions(self) -> list[str]:
        """Names that people give, without those that are taken."""
        taken = {token.name.casefold() for token in tokens.page(self.owner, size=100).tokens}
        names = (_("Laptop"), _("Nightly backup"), _("Build server"), _("Spreadsheet"), _("Monitoring"))
        return [name for name in names if name.casefold() not in taken][:3]

    @property
    def first_bad(self) -> str:
        """The field to look at first: the first that was refused, else the first of all; "" where a notice comes
        before them.
        """
        for name in ("name", "description", "lifetime_days", "scopes"):
            if self.form[name].errors:
                return name
        return "" if self.notice else "name"


def list_state() -> dict[str, str]:
    """What the address says of the list; anything unknown is left out."""
    args = request.args
    number = args.get("page", "")
    sort = args.get("sort", "")
    status = args.get("status", "")
    return _without_blanks(
        {
            "q": args.get("q", "").strip()[: policy.MAX_NAME],
            "status": status if status in ("active", "expiring", "expired", "unused") else "",
            "sort": sort if sort.removeprefix("-") in SORTS else "",
            "page": number if number.isascii() and number.isdigit() and len(number) < 9 else "",
        }
    )


@cache
def fingerprint(name: str) -> str:
    """A short mark of a static file's content, so that a browser keeps it until it changes."""
    return sha256((STATIC / name).read_bytes()).hexdigest()[:12]


def asset_url(name: str) -> str:
    """The address of a static file of the page."""
    return url_for("access_tokens.asset", name=name, v=fingerprint(name))


def _listed(owner: str, wanted: Mapping[str, str]) -> Page:
    return tokens.page(
        owner,
        search=wanted.get("q", ""),
        status=wanted.get("status", ""),
        sort=wanted.get("sort", ""),
        number=int(wanted.get("page", 1)),
        size=PAGE_SIZE,
    )


def _without_blanks(values: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value not in (None, "")}
