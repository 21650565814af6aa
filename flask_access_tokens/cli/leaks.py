"""The commands for secrets that leaked: find one, and the pattern by which scanners find them."""

import sys

import click

from .. import secret, tokens
from ..state import current_state
from .group import commands, escape_formula, report_errors


@commands.command("find")
@report_errors
def find() -> None:
    """Find the owner of a leaked secret. The secret is read from standard input, as one line."""
    token = tokens.find(sys.stdin.readline(1024).strip())
    if token is None:
        raise click.ClickException("No live token has this secret.")
    click.echo(f"{token.id}\t{token.owner_id}\t{escape_formula(token.name)}\t{token.hint}")


@commands.command("pattern")
@report_errors
def pattern() -> None:
    """Print a regular expression that finds secrets, for secret scanners."""
    click.echo(secret.pattern(current_state().prefixes))
