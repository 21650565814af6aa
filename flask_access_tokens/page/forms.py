"""The forms of the page."""

import uuid
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

from flask import request
from flask_wtf import FlaskForm
from itsdangerous import BadSignature
from werkzeug.datastructures import MultiDict
from wtforms import Field, HiddenField, SelectMultipleField, StringField, ValidationError
from wtforms.widgets import CheckboxInput, ListWidget

from .. import policy
from ..policy import TokenRefused
from ..state import current_state
from ..texts import gettext as _
from ..tokens import Token
from .signed import signer

FORM_AGE = 24 * 60 * 60
"""Seconds for which a form that was left open can still be sent."""

Value = TypeVar("Value")
Valid = TypeVar("Valid")


class _TokenForm(FlaskForm):  # type: ignore[misc]
    """What a person says about a token. :mod:`flask_access_tokens.policy` validates it."""

    name = StringField()
    description = StringField()
    access_tokens_nonce = HiddenField()
    """A one-time value. Applications have CSRF tokens of their own in a field "nonce"."""

    owner_id: str
    """The owner of the token."""
    maker: str
    """Who fills in the form: the owner, or an operator for them. Nobody else can send it."""
    prefilled: frozenset[str] = frozenset()
    """The fields in which a link has chosen something else than the form starts with."""

    def validate_name(self, field: Field) -> None:
        field.data = valid(policy.validate_name, field.data)

    def validate_description(self, field: Field) -> None:
        field.data = valid(policy.validate_description, field.data)

    def renew_nonce(self) -> None:
        """Give the form a one-time value of its own."""
        self.access_tokens_nonce.data = signer("form").dumps([uuid.uuid4().hex, self.owner_id, self.maker])

    def read_nonce(self) -> str | None:
        """Return the one-time value that the form was sent with, or None where it has none.

        :raises BadSignature: where it is too old, somebody else's, or not one of ours.
        """
        return self._signed_nonce(FORM_AGE)

    @property
    def is_ours(self) -> bool:
        """Whether the page made this form for whoever sends it, however long ago. Another site cannot forge that."""
        try:
            return self._signed_nonce(None) is not None
        except BadSignature:
            return False

    def _signed_nonce(self, max_age: int | None) -> str | None:
        if not self.access_tokens_nonce.data:
            return None
        nonce, *made_for = signer("form").loads(self.access_tokens_nonce.data, max_age=max_age)
        if made_for != [self.owner_id, self.maker]:
            raise BadSignature("This form was made for somebody else.")
        return str(nonce)


class GenerateForm(_TokenForm):
    """What a person enters for a new token."""

    lifetime_days = StringField()
    scopes = SelectMultipleField(
        option_widget=CheckboxInput(), widget=ListWidget(prefix_label=False), validate_choice=False
    )

    days: int

    def validate_lifetime_days(self, field: Field) -> None:
        self.days = valid(policy.parse_lifetime, field.data or "")

    def validate_scopes(self, field: Field) -> None:
        if not set(field.data or ()) <= dict(field.choices).keys():
            raise ValidationError(_("You can't grant one of the requested scopes. Select from those listed."))
        valid(partial(policy.validate_scopes, self.owner_id), field.data or [])


class OperatorForm(GenerateForm):
    """What an operator enters for a new token of somebody else."""

    reason = StringField()

    def validate_reason(self, field: Field) -> None:
        field.data = valid(policy.validate_reason, field.data or "")


class EditForm(_TokenForm):
    """What a person may change of a token."""


class RotateForm(FlaskForm):  # type: ignore[misc]
    """How long the old token is to work beside the new one."""

    overlap_hours = StringField()

    hours: int

    def validate_overlap_hours(self, field: Field) -> None:
        self.hours = valid(policy.parse_overlap, field.data or "")


class DeleteForm(FlaskForm):  # type: ignore[misc]
    """The confirmation of a deletion: nothing but the CSRF token."""


def blank_form(owner_id: str, operator: str | None = None) -> GenerateForm:
    """Return a new form with the values that it starts with.

    :param operator: who fills it in, where that is not the owner.
    """
    form = _form(
        owner_id,
        operator,
        formdata=None,
        name="",
        description="",
        lifetime_days=str(policy.default_lifetime()),
        scopes=[],
    )
    form.renew_nonce()
    return form


def linked_form(owner_id: str, operator: str | None = None) -> GenerateForm:
    """Return a new form, prefilled as far as the query string says so."""
    form = blank_form(owner_id, operator)
    chosen = _linked(form)
    for name, value in chosen.items():
        form[name].data = value
    form.prefilled = frozenset(chosen)
    return form


def link_params() -> dict[str, Any]:
    """Return the part of the query string that fills in the form."""
    values = {name: request.args.getlist(name) for name in ("name", "description", "lifetime_days", "scopes")}
    return {name: given for name, given in values.items() if given}


def _linked(form: GenerateForm) -> dict[str, Any]:
    """Return the values that the query string chooses for a form: neither empty, nor what the form starts with."""
    params = link_params()
    values: dict[str, Any] = {name: given[0].strip() for name, given in params.items()}
    # As the form sends them: those that are offered, each once.
    values["scopes"] = [scope for scope, _ in form.scopes.choices if scope in params.get("scopes", ())]
    if values.get("lifetime_days") == str(policy.default_lifetime()):
        del values["lifetime_days"]
    return {name: value for name, value in values.items() if value}


def sent_form(owner_id: str, operator: str | None = None) -> GenerateForm:
    """Return the form that this request sends; a field that it leaves out is empty."""
    form = _form(owner_id, operator, formdata=request.form, name="", description="", lifetime_days="", scopes=[])
    form.lifetime_days.data = _sent_lifetime(request.form)
    form.prefilled = frozenset(name for name, value in _linked(form).items() if form[name].data == value)
    return form


def edit_form(token: Token, *, sent: bool) -> EditForm:
    """Return the form that edits a token: as this request sends it, or with the values of the token."""
    form = EditForm(formdata=request.form if sent else None, name=token.name, description=token.description)
    form.owner_id = form.maker = token.owner_id
    if not sent:
        form.renew_nonce()
    return form


def rotate_form(*, sent: bool) -> RotateForm:
    """Return the form that rotates a token: as this request sends it, or with the configured overlap."""
    return RotateForm(formdata=request.form if sent else None, overlap_hours=str(policy.validate_overlap(None)))


def _sent_lifetime(sent: MultiDict[str, str]) -> str:
    """Return the preset where the number beside it is still the one that was shown: only a script changes both."""
    number, preset = sent.get("lifetime_days", ""), sent.get("lifetime_preset", "")
    return preset if preset and number == sent.get("lifetime_shown") else number


def _form(owner_id: str, operator: str | None, formdata: MultiDict[str, str] | None, **data: object) -> GenerateForm:
    form = GenerateForm(formdata=formdata, **data) if operator is None else OperatorForm(formdata=formdata, **data)
    form.owner_id = owner_id
    # Operators may have the IDs of owners, which contain no line break.
    form.maker = owner_id if operator is None else f"operator\n{operator}"
    state = current_state()
    form.scopes.choices = [(scope, state.scopes[scope]) for scope in state.allowed_scopes(owner_id)]
    return form


def valid(validate: Callable[[Value], Valid], value: Value) -> Valid:
    """Return a value as :mod:`flask_access_tokens.policy` validates it.

    :raises ValidationError: where it is refused.
    """
    try:
        return validate(value)
    except TokenRefused as refused:
        raise ValidationError(str(refused)) from None
