"""The group ``flask access-tokens``, and what its commands have in common."""

from collections.abc import Callable
from datetime import datetime
from functools import wraps
from typing import Any, TypeVar

import click
from flask.cli import AppGroup

from .. import tokens
from ..store.connections import error_summary

_FORMULA = tuple("=+-@＝＋－＠")
"""What a spreadsheet may take for the beginning of a formula."""

Command = TypeVar("Command", bound=Callable[..., Any])

commands = AppGroup("access-tokens", help="Generate, list and delete access tokens.")


def report_errors(command: Command) -> Command:
    """Print a refused request or a database error as one line, and exit with 1."""

    @wraps(command)
    def run(*args: Any, **kwargs: Any) -> Any:
        try:
            return command(*args, **kwargs)
        except ValueError as refused:
            raise click.ClickException(str(refused)) from None
        except tokens.StoreError as error:
            raise click.ClickException(f"The token store cannot be used: {error_summary(error)}") from None

    return run  # type: ignore[return-value]


def no_such_token(owner_id: str) -> click.ClickException:
    """Return the error for an ID of a token that an owner does not have; it may be a secret, and is not repeated."""
    return click.ClickException(f"{owner_id} has no token with this ID.")


def escape_formula(text: str) -> str:
    """Return a text that a spreadsheet does not take for a formula."""
    return f"'{text}" if text.startswith(_FORMULA) and text != "-" else text


def time_text(value: datetime | None) -> str:
    """Return a time in UTC, or "never"."""
    return "never" if value is None else value.strftime("%Y-%m-%d %H:%M:%S UTC")
