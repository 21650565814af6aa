"""What the commands print: lines that are harmless in a terminal and a spreadsheet, and JSON for programs."""

import json
import sys
from dataclasses import asdict
from datetime import datetime
from typing import Any

import click

from ..policy import has_unsafe_characters
from ..state import State
from ..store.entities import Token
from ..store.owners import checks_owner
from .group import escape_formula

json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object per line.")


def print_cells(*texts: str) -> None:
    """Print texts separated by tabs."""
    click.echo("\t".join(map(cell, texts)))


def cell(text: str) -> str:
    """Return a text without what could control a terminal, hide other text, break its line or be a formula.

    Names and owner IDs are validated, but rows may have been written without the operations.
    """
    safe = (each.encode("unicode_escape").decode() if has_unsafe_characters(each) else each for each in text)
    return escape_formula(_encodable("".join(safe)))


def _encodable(text: str) -> str:
    """Return a text with escapes in place of what the encoding of the standard output does not have."""
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    return text.encode(encoding, "backslashreplace").decode(encoding)


def print_json(record: Any) -> None:
    """Print a dataclass, such as a token with its public fields, as one line of JSON (RFC 8259), in printable ASCII.

    Times are those of RFC 3339.
    """
    # The one control character that json leaves as it is.
    click.echo(json.dumps(asdict(record), default=_json_value).replace("\x7f", "\\u007f"))


def _json_value(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)


def token_cells(state: State, token: Token) -> tuple[str, ...]:
    """Return the ID, owner, name, hint and status of a token.

    The status is "owner gone" where the owner does not exist or may not act.
    """
    status = "owner gone" if checks_owner(state) and token.owner is None else token.status
    return str(token.id), token.owner_id, token.name, token.hint, status


def counted(number: int, noun: str) -> str:
    """Return a number with a noun in the singular or the plural."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
