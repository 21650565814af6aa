"""The tokens that an operator has chosen to delete: those that were selected, or all that a filter shows."""

from collections.abc import Iterator
from dataclasses import astuple, dataclass, replace
from datetime import datetime
from functools import cached_property
from itertools import islice
from uuid import UUID

from flask import request

from .. import clock
from ..state import current_state
from ..store.batches import BATCH
from ..store.desk import chosen_tokens, count, filtered
from ..store.filters import Filter
from ..store.rows import parse_token_id
from ..store.summary import Summary, summary
from ..tokens import Token
from .desk_params import drops_filter, filter_of, list_params

MOST_SELECTED = 100
MOST_DELETED = 5_000
"""Tokens that one request deletes, so that no server ends it for taking too long."""


@dataclass(frozen=True)
class Chosen:
    """Tokens of any owners that are to be deleted, as they were at a time."""

    ids: tuple[UUID, ...]
    """Those that were selected; without any, the filter chooses."""
    filter: Filter
    moment: datetime
    """When the question was asked: the time at which the filter applies. Tokens generated later are not chosen."""

    @property
    def empty(self) -> bool:
        """Whether nothing was chosen."""
        return not self.ids and self.filter.empty

    @property
    def is_of_unused(self) -> bool:
        """Whether a filter chooses tokens because they are not used."""
        return self.filter.status in ("unused", "asleep")

    @property
    def choice(self) -> list[list[str]]:
        """What was chosen, for the signature of the question about it."""
        return [[each.hex for each in self.ids], list(astuple(self.filter))]

    @cached_property
    def selected(self) -> list[Token]:
        """The tokens that were selected and are still there."""
        return chosen_tokens(current_state(), self.ids) if self.ids else []

    @cached_property
    def summary(self) -> Summary:
        return summary(current_state(), self.selected if self.ids else self.filter, self.moment)

    @property
    def number(self) -> int:
        """How many there are, as :func:`flask_access_tokens.store.desk.count` counts."""
        return self.summary.number

    @property
    def left(self) -> int:
        """How many match the filter now, counted in the same way."""
        return 0 if self.ids else count(current_state(), self.filter, self.moment)

    def as_of(self, moment: datetime) -> "Chosen":
        """Return what was chosen, as it was at another time."""
        return replace(self, moment=moment)

    def to_delete(self) -> Iterator[Token]:
        """Iterate over the tokens that one request deletes, as they are now."""
        return islice(iter(self.selected) if self.ids else self._filtered(), MOST_DELETED)

    def _filtered(self) -> Iterator[Token]:
        after: str | None = ""
        while after is not None:
            # Read only when the page before is deleted, so that tokens no longer match that were used in the meantime.
            page = filtered(current_state(), self.filter, sort="created", after=after, size=BATCH, moment=self.moment)
            yield from (token for token in page.tokens if token.created_at <= self.moment)
            after = page.after or None


def chosen_by_request() -> Chosen:
    """Return what the query string chooses: tokens by their IDs, or with ``everything`` all that its filter shows."""
    sent = request.args.getlist("token")[:MOST_SELECTED]
    ids = tuple(dict.fromkeys(found for found in map(parse_token_id, sent) if found is not None))
    everything = "everything" in request.args and not sent and not drops_filter()
    return Chosen(ids, filter_of(list_params()) if everything else Filter(), clock.now())
