"""The panel of an owner, in each of its six states."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from flask import request, url_for

from .. import policy, tokens
from ..texts import gettext as _
from ..texts import ngettext
from ..tokens import Page, Token
from .forms import link_params
from .panel import SORTS, Panel, despite_store_errors, without_blanks

PAGE_SIZE = 25
HANDFUL = 5
"""Tokens that one finds without a search."""
OVERLAPS = (0, 1, 24, 7 * 24)
"""Hours."""


@dataclass
class OwnPanel(Panel):
    """The list of an owner's tokens, the form, a token just created, or the form or question about a token."""

    owner: str
    editing: Token | None = None
    rotating: Token | None = None
    deleting: Token | None = None
    predecessor: Token | None = None
    """The token that the one just created, or the one to delete, replaced."""

    listed: Page | None = field(init=False, default=None)

    endpoint = "access_tokens.index"
    page_param = "page"

    def __post_init__(self) -> None:
        super().__post_init__()
        self.list_params = {} if self.embedded else list_params()
        if self.state == "list":
            self.listed = _listed(self.owner, self.list_params)
        elif self.created is not None:
            with despite_store_errors():
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
    def pieces(self) -> list[str]:
        """The templates that make up the panel, from the top down."""
        pieces = {
            "form": ["_form.html"],
            "created": ["_secret.html", *(["_list.html"] if self.listed else [])],
            "editing": ["_edit.html"],
            "rotating": ["_rotation.html"],
            "deleting": ["_question.html"],
        }
        return ["_heading.html", "_notice.html", *pieces.get(self.state, ["_list.html"])]

    @property
    def title(self) -> str:
        titles = {"form": _("New token"), "editing": _("Edit token"), "rotating": _("Rotate token")}
        titles |= {"deleting": _("Delete token")}
        return titles.get(self.state) or _("Access tokens")

    # The list

    @property
    def use_url(self) -> str:
        """The URL that tells when the new token was first used; "" where it opens no route."""
        if self.created is None or self.useless:
            return ""
        return url_for("access_tokens.use", token_id=self.created.token.id)

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

    def url_of(self, endpoint: str, token: Token | None = None) -> str:
        """Return the URL of a view of the page, with the parameters that lead back to this list."""
        values: dict[str, Any] = dict(self.list_params)
        if token is not None:
            values["token_id"] = token.id
        return url_for(f"access_tokens.{endpoint}", **values)

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
    def position(self) -> str:
        """Which page of the list this is; "" where there is only one."""
        if self.listed is None or self.listed.pages == 1:
            return ""
        return _("Page %(number)s of %(pages)s.", number=self.listed.number, pages=self.listed.pages)

    @property
    def overlaps(self) -> list[tuple[str, str]]:
        """The overlaps to choose from, the configured one among them, each with its label."""
        hours = sorted({*OVERLAPS, policy.validate_overlap(None)})
        return [(str(number), _overlap_label(number)) for number in hours]

    @property
    def suggestions(self) -> list[str]:
        """Usual names that the owner has not given to a token yet."""
        if self.state != "form":
            return []
        taken = {token.name.casefold() for token in tokens.page(self.owner, size=100).tokens}
        names = (_("Laptop"), _("Nightly backup"), _("Build server"), _("Spreadsheet"), _("Monitoring"))
        return [name for name in names if name.casefold() not in taken][:3]


def list_params() -> dict[str, str]:
    """Return the state of the list in the query string, without what is unknown."""
    args = request.args
    number = args.get("page", "")
    sort = args.get("sort", "")
    status = args.get("status", "")
    return without_blanks(
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
