"""The panel of the operators' desk, in each of its states."""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from flask import request, url_for
from flask_wtf.csrf import generate_csrf

from ..state import current_state
from ..store.desk import MOST_COUNTED, Listing, filtered, overview
from ..store.filters import statuses
from ..store.order import usual_sort
from ..store.owners import checks_owner, owners_of
from ..store.summary import RECENTLY
from ..texts import format_number, ngettext
from ..texts import gettext as _
from ..tokens import Token
from .chosen import MOST_DELETED, Chosen
from .desk_params import filter_of, list_params
from .forms import link_params
from .panel import Panel, despite_store_errors

PAGE_SIZE = 25


@dataclass
class DeskPanel(Panel):
    """The list of everybody's tokens, the tokens of a pasted text, the forms, or the question before a deletion."""

    operator: str
    found: list[Token] | None = None
    """The tokens of a text that the operator has sent."""
    deleting: Chosen | None = None
    choosing_owner: bool = False
    problem: str = ""
    """What is wrong with the owner that was chosen."""
    for_owner: str = ""
    """The owner for whom the form generates a token."""

    listing: Listing | None = field(init=False, default=None)

    stylesheets = ("access-tokens.css", "desk.css")
    endpoint = "access_tokens.desk.index"
    page_param = "after"
    suggestions: tuple[str, ...] = field(init=False, default=())
    # What the panel of an owner says of a new token, and this one does not.
    use_url = ""
    predecessor = None

    def __post_init__(self) -> None:
        super().__post_init__()
        self.list_params = list_params()
        if self.state in ("owner", "form"):
            # The owner in the query string is that of the new token: no filter of the list to return to.
            self.list_params.pop("owner", None)
        if self.created is not None:
            # Newest first: the row of the new token belongs to the response.
            self.list_params = {"owner": self.created.token.owner_id}
            with despite_store_errors():
                listing = self._listed()
                # Read now, because an error while a template is rendered would lose the secret.
                self.owners = _owners(listing.tokens)
                self.listing = listing
        if self.state == "list":
            self.listing = self._listed()
            if not self.listing.tokens and "after" in self.list_params:
                # The tokens of this page are gone.
                del self.list_params["after"]
                self.listing = self._listed()

    def _listed(self) -> Listing:
        return filtered(
            current_state(),
            filter_of(self.list_params),
            sort=self.sort,
            after=self.list_params.get("after", ""),
            size=PAGE_SIZE,
        )

    @property
    def state(self) -> str:
        """``list``, ``found``, ``owner``, ``form``, ``created`` or ``deleting``."""
        if self.choosing_owner:
            return "owner"
        states = (("created", self.created), ("found", self.found), ("deleting", self.deleting), ("form", self.form))
        return next((state for state, shown in states if shown is not None), "list")

    @property
    def pieces(self) -> list[str]:
        """The templates that make up the panel, from the top down."""
        pieces = {
            "list": ["desk/_overview.html", "desk/_filter.html", "desk/_find.html", "desk/_list.html"],
            "found": ["desk/_found.html"],
            "created": ["_secret.html", *(["desk/_list.html"] if self.listing else [])],
            "deleting": ["desk/_question.html"],
            "owner": ["desk/_owner_form.html"],
            "form": ["_form.html"],
        }
        return ["desk/_heading.html", "_notice.html", *pieces[self.state]]

    @property
    def title(self) -> str:
        owner = self.created.token.owner_id if self.created else self.for_owner
        if owner:
            return _("New token for %(owner)s", owner=owner)
        titles = {"found": _("Tokens in the text"), "deleting": _("Delete tokens"), "owner": _("New token")}
        return titles.get(self.state) or _("All access tokens")

    @property
    def address(self) -> str:
        """The URL of this panel; that of the list for what has no URL: a new token, and the tokens of a text."""
        if self.choosing_owner:
            return url_for("access_tokens.desk.new")
        if self.for_owner:
            return self.form_url
        return self.list_url() if self.deleting is None else self.deletion_url

    @property
    def announcement(self) -> str:
        """What screen readers announce when this panel has replaced another."""
        return self.notice or (self.matching_text if self.state == "list" else "")

    # The list

    @property
    def default_sort(self) -> str:
        return usual_sort(self.list_params.get("status", ""))

    @cached_property
    def owners(self) -> dict[str, Any]:
        """The owners of the tokens that are shown, by their IDs, without those who do not exist."""
        return _owners((self.listing.tokens if self.listing else []) + (self.found or []))

    @property
    def owner_missing(self) -> str:
        """What the list says where a token has no owner to show; "" where the host checks no owner."""
        state = current_state()
        if state.owner is not None and state.loaders.owner is None:
            return _("Owner gone")
        # A loader returns none for those who may not act either.
        return _("Owner gone or inactive") if checks_owner(state) else ""

    def status_of(self, token: Token) -> str:
        """Return the status that the list shows: that of the token, or ``owner-gone`` if only its owner is missing."""
        gone = not token.expired and self.owner_missing and token.owner_id not in self.owners
        return "owner-gone" if gone else token.status

    def status_label(self, token: Token) -> str:
        return self.owner_missing if self.status_of(token) == "owner-gone" else super().status_label(token)

    def owner_name(self, owner_id: str) -> str:
        """Return the name of an owner whose class itself has a ``__str__``: that of a base may show every value."""
        owner = self.owners.get(owner_id)
        return str(owner) if "__str__" in vars(type(owner)) and str(owner) != owner_id else ""

    @staticmethod
    def generated_by(token: Token) -> str:
        """Return by whom a token was generated, where that was not its owner."""
        if token.generated_by == "cli":
            return _("on the command line")
        return _("by %(operator)s", operator=token.generated_by)

    @property
    def matching_text(self) -> str:
        """How many tokens match the filter."""
        return tokens_text(self.listing.matching) if self.listing else ""

    @cached_property
    def selected(self) -> set[str]:
        """The IDs of the tokens that were selected when the question about them was cancelled."""
        return set(request.args.get("selected", "").split(","))

    @property
    def filtered(self) -> bool:
        return not filter_of(self.list_params).empty

    @property
    def overview(self) -> list[tuple[str, str, str]]:
        """The statuses to look at first, each with its label and how many tokens have it."""
        counts = overview(current_state())
        return [(status, _status_label(status), number_text(number)) for status, number in counts.items()]

    @property
    def statuses(self) -> list[tuple[str, str]]:
        """The statuses to filter by, each with its label."""
        return [(status, _status_label(status)) for status in statuses(current_state())]

    @property
    def scopes(self) -> list[str]:
        """The scopes to filter by: those that are declared, and the one that the list is filtered by."""
        chosen = self.list_params.get("scope")
        return list(dict.fromkeys([*current_state().scopes, *([chosen] if chosen else [])]))

    # The forms and the question

    @property
    def csrf_token(self) -> str:
        """The value of the CSRF field of the form for a text, which has no other hidden field."""
        return str(generate_csrf())

    @property
    def form_url(self) -> str:
        """The URL that the form is sent to; it keeps what a link filled in."""
        values = link_params() if self.form is not None and self.form.prefilled else {}
        return url_for("access_tokens.desk.generate", owner=self.for_owner, **values)

    @property
    def deletion_url(self) -> str:
        """The URL of the question, which chooses the tokens."""
        values: dict[str, Any] = dict(self.list_params)
        if self.deleting is not None and self.deleting.ids:
            values["token"] = [each.hex for each in self.deleting.ids]  # shorter: servers take 4,094 bytes
        else:
            values["everything"] = 1
        return url_for("access_tokens.desk.confirm_delete", **values)

    @property
    def everything_url(self) -> str:
        """The URL of the question about all tokens that the filter shows."""
        values: dict[str, Any] = {**self.list_params, "after": None, "everything": 1}
        return url_for("access_tokens.desk.confirm_delete", **values)

    @property
    def number_text(self) -> str:
        """How many tokens are to be deleted."""
        return tokens_text(self.deleting.number) if self.deleting else ""

    @property
    def whose(self) -> str:
        """Whose the tokens are that are to be deleted."""
        if self.deleting is None:
            return ""
        summary = self.deleting.summary
        names = ", ".join(summary.owner_ids)
        more = summary.owners - len(summary.owner_ids)
        if summary.owners > MOST_COUNTED or self.deleting.number > MOST_COUNTED:
            return _("They belong to %(names)s and others.", names=names)
        if more:
            return ngettext(
                "They belong to %(names)s and %(num)s other owner.",
                "They belong to %(names)s and %(num)s other owners.",
                more,
                names=names,
            )
        if summary.owners == 1:
            return _("Owner: %(name)s.", name=names)
        return _("Owners: %(names)s.", names=names)

    @property
    def lately(self) -> str:
        """How many of the tokens that are to be deleted were used lately; "" where none was."""
        number = self.deleting.summary.used_recently if self.deleting else 0
        if not number:
            return ""
        return ngettext(
            "%(count)s of them was used within the last %(days)s days.",
            "%(count)s of them were used within the last %(days)s days.",
            number,
            count=number_text(number),
            days=RECENTLY.days,
        )

    @property
    def in_parts(self) -> str:
        """That not all tokens are deleted at once; "" where they are."""
        if self.deleting is None or self.deleting.ids or self.deleting.number <= MOST_COUNTED:
            return ""
        return _("At most %(most)s are deleted at a time.", most=format_number(MOST_DELETED))


def _owners(shown: list[Token]) -> dict[str, Any]:
    return owners_of(current_state(), {token.owner_id for token in shown})


def _status_label(status: str) -> str:
    labels = {
        "active": _("Active"),
        "expiring": _("Expiring soon"),
        "expired": _("Expired"),
        "unused": _("Never used"),
        "asleep": _("Unused for 90 days"),
        "no-expiration": _("No expiration"),
        "owner-gone": _("Owner gone"),
    }
    return labels[status]


def number_text(number: int) -> str:
    """Return a number, or that there are more than are counted."""
    return f"{format_number(MOST_COUNTED)}+" if number > MOST_COUNTED else format_number(number)


def tokens_text(number: int) -> str:
    return ngettext("%(count)s token", "%(count)s tokens", number, count=number_text(number))
