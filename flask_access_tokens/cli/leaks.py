"""The commands for secrets that leaked: find their tokens in a text, delete them, and patterns for secret scanners."""

import sys
from collections.abc import Iterable, Iterator
from io import BytesIO
from itertools import islice
from typing import BinaryIO
from uuid import UUID

import click

from .. import secret, tokens
from ..signals import tell_deleted
from ..state import State, current_state
from ..store.connections import error_summary
from ..store.deletion import delete_tokens
from ..store.reads import find_each
from ..store.rotation import iter_successors
from .group import commands, report_errors, time_text
from .output import cell, counted, json_option, print_cells, print_json, token_cells
from .patterns import FORMATS

_BATCH = 500
"""Tokens that are deleted and printed at once."""


@commands.command("find")
@json_option
@report_errors
def find(as_json: bool) -> None:
    """Find the tokens of all secrets in a text: a log, a dump, or a secret alone. It is read from standard input.

    Prints the ID, owner, name, hint, status and last use of each token, and whether it has a successor. Expired tokens
    are found too. It changes nothing.
    """
    state = current_state()
    found: list[UUID] = []
    for token in _tokens_of_input(state):
        found.append(token.id)
        _print_token(state, token, as_json)
    _report_successors(iter_successors(state, found))


def delete_all_found(as_json: bool) -> None:
    """Delete the tokens of all secrets on standard input, and print those that were deleted."""
    state = current_state()
    found = _tokens_of_input(state)
    deleted: set[UUID] = set()
    successors: dict[UUID, tokens.Token] = {}
    try:
        while batch := list(islice(found, _BATCH)):
            gone, met = delete_tokens(state, batch)
            for token in tell_deleted(state.app, gone, "cli"):
                deleted.add(token.id)
                _print_token(state, token, as_json)
            successors |= {each.id: each for each in met}
            # Now: nobody can rotate what was deleted, but the successors may have been rotated.
            successors |= {each.id: each for each in iter_successors(state, [each.id for each in met])}
    except tokens.StoreError as error:
        # Now: the next run does not find those tokens, and cannot name their successors.
        _report_successors(each for key, each in successors.items() if key not in deleted)
        raise click.ClickException(
            f"The token store cannot be used: {error_summary(error)}. Tokens deleted before that: {len(deleted)}."
            " Run the command again with the same text."
        ) from None
    click.echo(f"{counted(len(deleted), 'token')} deleted.", err=True)
    _report_successors(each for key, each in successors.items() if key not in deleted)


@commands.command("pattern")
@click.option(
    "--format",
    "form",
    type=click.Choice([*FORMATS]),
    default="regex",
    show_default=True,
    help="For gitleaks and trufflehog, a configuration file; for github, the fields of a custom pattern.",
)
@report_errors
def pattern(form: str) -> None:
    """Print a regular expression or a rule that finds secrets, for secret scanners."""
    click.echo(FORMATS[form](current_state().prefixes))


def _tokens_of_input(state: State) -> Iterator[tokens.Token]:
    """Iterate over the tokens of the secrets on standard input, and report how many secrets there were.

    :raises click.ClickException: where there is no token.
    """
    stream: BinaryIO = sys.stdin.buffer
    if sys.stdin.isatty():
        click.echo("Paste the text, and end it with Ctrl-D (on Windows, Ctrl-Z and Enter).", err=True)
        stream = BytesIO(stream.read())  # read in blocks, a terminal would need the end twice
    secrets = found = 0
    for each in find_each(secret.iter_secrets(stream, state.prefixes, state.adopted)):
        secrets += 1
        found += len(each)
        yield from each
    if not secrets:
        raise click.ClickException("The text contains no secret of this application.")
    if not found:
        raise click.ClickException(f"{counted(secrets, 'secret')} found. No token with such a secret exists.")
    click.echo(f"{counted(secrets, 'secret')} found. {counted(found, 'token')} with such a secret.", err=True)


def _print_token(state: State, token: tokens.Token, as_json: bool) -> None:
    if as_json:
        print_json(token)
        return
    successor = "has a successor" if token.replaced else "-"
    print_cells(*token_cells(state, token), time_text(token.last_used_at), successor)


def _report_successors(successors: Iterable[tokens.Token]) -> None:
    """Print the tokens that work and replaced some of these: whoever had a secret may have rotated its token."""
    for token in successors:
        if not token.expired:
            click.echo(
                f"Token {token.id} of {cell(token.owner_id)} is a successor and still works. Delete it too, unless"
                " its owner generated it.",
                err=True,
            )
