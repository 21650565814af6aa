"""The forms of the page."""

from collections.abc import Callable
from typing import TypeVar

from flask_wtf import FlaskForm
from wtforms import Field, HiddenField, SelectMultipleField, StringField, ValidationError
from wtforms.widgets import CheckboxInput, ListWidget

from .. import policy
from ..policy import TokenRefused

Value = TypeVar("Value")
Checked = TypeVar("Checked")


class GenerateForm(FlaskForm):  # type: ignore[misc]
    """What a person says of a token they want; the verbs' own checks decide."""

    name = StringField()
    description = StringField()
    lifetime_days = StringField()
    scopes = SelectMultipleField(
        option_widget=CheckboxInput(), widget=ListWidget(prefix_label=False), validate_choice=False
    )
    nonce = HiddenField()

    owner_id: str
    days: int

    def validate_name(self, field: Field) -> None:
        field.data = _checked(policy.checked_name, field.data)

    def validate_description(self, field: Field) -> None:
        field.data = _checked(policy.checked_description, field.data)

    def validate_lifetime_days(self, field: Field) -> None:
        self.days = _checked(policy.days_of, field.data or "")

    def validate_scopes(self, field: Field) -> None:
        _checked(lambda scopes: policy.checked_scopes(self.owner_id, scopes), field.data or [])


class DeleteForm(FlaskForm):  # type: ignore[misc]
    """The answer to the delete question: nothing but the CSRF token."""


def _checked(check: Callable[[Value], Checked], value: Value) -> Checked:
    try:
        return check(value)
    except TokenRefused as refused:
        raise ValidationError(str(refused)) from None
