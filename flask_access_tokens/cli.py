"""The operator's door: ``flask access-tokens``."""

import sys
from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

import click
from flask import current_app
from flask.cli import AppGroup

from . import policy, secret, tokens
from .api import routes
from .state import State, current_state

Command = TypeVar("Command", bound=Callable[..., Any])

commands = AppGroup("access-tokens", help="Generate, list and delete access tokens.")


def _say_errors(command: Command) -> Command:
    """Answer a refused wish or a store that cannot be reached in one line."""

    @wraps(command)
    def said(*args: Any, **kwargs: Any) -> Any:
        try:
            return command(*args, **kwargs)
        except ValueError as refused:
            raise click.ClickException(str(refused)) from None
        except tokens.StoreError as error:
            raise click.ClickException(f"The token store cannot be used: {tokens.failure(error)}") from None

    return said  # type: ignore[return-value]


@commands.command()
@click.argument("owner_id")
@click.argument("name")
@click.option("--description", default="", help="One line of at most 255 characters.")
@click.option("--lifetime-days", help="Days until it expires; -1 never. Default: as configured.")
@click.option("--scope", "scopes", multiple=True, help="A declared scope; repeat it for more.")
@_say_errors
def generate(owner_id: str, name: str, description: str, lifetime_days: str | None, scopes: tuple[str, ...]) -> None:
    """Generate a token for OWNER_ID and print its secret, alone, on standard output."""
    days = None if lifetime_days is None else policy.days_of(lifetime_days)
    new = tokens.generate(owner_id, name, description=description, lifetime_days=days, scopes=scopes)
    click.echo(f"Token {new.token.id} generated; its secret is shown this once:", err=True)
    click.echo(new.secret)


@commands.command("list")
@click.argument("owner_id", required=False)
@_say_errors
def list_(owner_id: str | None) -> None:
    """List the tokens of OWNER_ID, or everybody's."""
    state = current_state()
    found = tokens.everyones() if owner_id is None else iter(tokens.owned_by(owner_id))
    click.echo(
        "\t".join(
            (
                "TOKEN ID",
                "OWNER",
                "NAME",
                "TOKEN",
                "STATUS",
                "SCOPES",
                "CREATED",
                "EXPIRES",
                "LAST USED",
            )
        )
    )
    for token in found:
        click.echo(
            "\t".join(
                (
                    str(token.id),
                    token.owner_id,
                    _harmless(token.name),
                    token.hint,
                    _status(state, token),
                    " ".join(token.scopes) or "-",
                    _moment(token.created_at),
                    _moment(token.expires_at),
                    _moment(token.last_used_at),
                )
            )
        )
    _say_keys(state)


@commands.command()
@click.argument("owner_id")
@click.argument("token_id")
@_say_errors
def delete(owner_id: str, token_id: str) -> None:
    """Delete the token TOKEN_ID of OWNER_ID; it stops working at once."""
    if not tokens.delete(owner_id, token_id):
        # Not repeated: what was given as an id may be a secret.
        raise click.ClickException(f"{owner_id} has no token of this id.")
    click.echo(f"Token {token_id} deleted.")


@commands.command("delete-all")
@click.argument("owner_id")
@_say_errors
def delete_all(owner_id: str) -> None:
    """Delete every token of OWNER_ID."""
    click.echo(f"{tokens.delete_all(owner_id)} tokens deleted.")


@commands.command()
@click.option("--expired-days", default="30", show_default=True, help="Days since they expired.")
@click.option("--dry-run", is_flag=True, help="Count them only.")
@_say_errors
def prune(expired_days: str, dry_run: bool) -> None:
    """Delete the tokens that expired long ago."""
    # int() would take other scripts' digits and underscores.
    plain = expired_days.isascii() and expired_days.isdigit() and len(expired_days) <= 5
    if not plain:
        raise ValueError(f"{expired_days!r} days cannot be. Give a whole number of days from 0 to {policy.MAX_DAYS}.")
    count = tokens.prune(int(expired_days), dry_run=dry_run)
    click.echo(f"{count} tokens {'would be' if dry_run else 'were'} deleted.")


@commands.command("find")
@_say_errors
def find() -> None:
    """Tell whose token a leaked secret is: reads the secret from standard input, one line."""
    token = tokens.find(sys.stdin.readline(1024).strip())
    if token is None:
        raise click.ClickException("No live token has this secret.")
    click.echo(f"{token.id}\t{token.owner_id}\t{_harmless(token.name)}\t{token.hint}")


@commands.command("routes")
@click.option("--check", is_flag=True, help="Exit with 1 where a guard does not hold.")
@_say_errors
def routes_(check: bool) -> None:
    """List the guarded routes with the scopes they need."""
    problems = []
    declared = current_state().scopes
    for route in routes.guarded_routes(current_app):
        needs = " ".join(route.guard.scopes) or "any token"
        click.echo(f"{route.method}\t{route.rule}\t{needs}{' (optional)' if route.guard.optional else ''}")
        if not route.reachable:
            problems.append(f"{route.method} {route.rule}: {route.endpoint} is not reachable; another rule answers.")
        undeclared = [scope for scope in route.guard.scopes if scope not in declared]
        if undeclared:
            problems.append(f"{route.method} {route.rule}: no token can hold {' '.join(undeclared)}; declare it.")
    for endpoint in routes.misplaced_endpoints(current_app):
        problems.append(f"{endpoint} is guarded outside its route: put @token_required below the route's decorator.")
    for endpoint in routes.routeless_endpoints(current_app):
        problems.append(f"{endpoint} is guarded, and no rule leads to it.")
    for problem in problems:
        click.echo(problem, err=True)
    if check and problems:
        raise SystemExit(1)


@commands.command("pattern")
@_say_errors
def pattern() -> None:
    """Print a regular expression that finds secrets, for secret scanners."""
    click.echo(secret.pattern(current_state().prefixes))


def _status(state: State, token: tokens.Token) -> str:
    return "owner gone" if state.vouches and token.owner is None else token.status


def _say_keys(state: State) -> None:
    """Tell how many rows wait for their next use to be keyed anew, and how many can never be accepted."""
    newest, *older = secret.schemes(state.peppers)
    counts = tokens.count_by_scheme()
    waiting = sum(counts.get(scheme, 0) for scheme in older)
    lost = sum(count for scheme, count in counts.items() if scheme not in (newest, *older))
    if waiting:
        click.echo(
            f"{waiting} tokens are not keyed under the newest pepper; each is at its next use.",
            err=True,
        )
    if lost:
        click.echo(
            f"{lost} tokens are keyed under a pepper that is not configured, and are refused.",
            err=True,
        )


def _harmless(name: str) -> str:
    """A name that a spreadsheet does not take for a formula."""
    return f"'{name}" if name.startswith(("=", "+", "-", "@")) else name


def _moment(value: Any) -> str:
    return "never" if value is None else value.strftime("%Y-%m-%d %H:%M:%S UTC")
