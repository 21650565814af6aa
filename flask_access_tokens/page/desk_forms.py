"""The forms of the operators' desk: the text that may contain a secret, the owner, the question before a deletion."""

from datetime import datetime
from io import BytesIO
from itertools import chain, islice

from flask import request
from flask_wtf import FlaskForm
from itsdangerous import BadSignature
from wtforms import Field, HiddenField, StringField

from .. import policy, secret
from ..state import current_state
from ..store.owners import checks_owner, load_owner
from ..store.reads import find_each
from ..store.table import owner_value
from ..texts import gettext as _
from ..tokens import Token
from .forms import FORM_AGE, valid
from .signed import signer

MOST_FOUND = 100
"""Secrets of a text that are looked up."""


class DeletionForm(FlaskForm):  # type: ignore[misc]
    """The question before a deletion, with the reason that its signals carry."""

    reason = StringField()
    asked = HiddenField()

    prefilled = frozenset[str]()
    """No link fills it in."""

    def validate_reason(self, field: Field) -> None:
        field.data = valid(policy.validate_reason, field.data or "")

    def read_moment(self, operator: str, choice: object) -> datetime:
        """Return when an operator was asked the question about what they chose.

        :raises BadSignature: where that was too long ago, or the page did not ask them this.
        """
        *asked, moment = signer("deletion").loads(self.asked.data or "", max_age=FORM_AGE)
        if asked != [operator, choice]:
            raise BadSignature("Somebody else was asked this question, or this operator another one.")
        return datetime.fromisoformat(moment)


def deletion_form(operator: str, choice: object, moment: datetime, *, reason: str = "") -> DeletionForm:
    """Return the form of a question that an operator is asked about a choice at a time."""
    asked = signer("deletion").dumps([operator, choice, moment.isoformat()])
    return DeletionForm(formdata=None, reason=reason, asked=asked)


def tokens_of_text() -> tuple[int, list[Token]]:
    """Return how many secrets the sent text contains, and the tokens of the first ``MOST_FOUND``.

    At most one more than those is counted, which stands for any larger number.
    """
    state = current_state()
    prefixes, adopted = state.prefixes, state.adopted
    # As BytesIO, whose repr does not show it, because crash reporters print the variables of every frame.
    text = BytesIO(request.form.get("text", "").encode(errors="ignore"))
    secrets = list(islice(secret.iter_secrets(text, prefixes, adopted), MOST_FOUND + 1))
    return len(secrets), list(chain.from_iterable(find_each(secrets[:MOST_FOUND])))


def chosen_owner() -> tuple[str, str]:
    """Return the owner ID in the query string, or what is wrong with it, each "" where there is none."""
    state = current_state()
    sent = request.args.get("owner", "").strip()
    if not sent:
        return "", _("Enter the ID of an owner.") if "owner" in request.args else ""
    try:
        owner_id = policy.validate_owner_id(sent)
        owner_value(state, owner_id)
        known = not checks_owner(state) or load_owner(state, owner_id) is not None
    except ValueError:
        known = False
    return (owner_id, "") if known else ("", _("No owner has this ID, or the owner is inactive."))
