"""The commands that generate, rotate, list and delete tokens."""

import click

from .. import policy, secret, tokens
from ..state import State, current_state
from .group import commands, no_such_token, report_errors, time_text
from .leaks import delete_all_found
from .output import counted, json_option, print_cells, print_json, token_cells

_COLUMNS = (
    "TOKEN ID",
    "OWNER",
    "NAME",
    "TOKEN",
    "STATUS",
    "SCOPES",
    "CREATED",
    "EXPIRES",
    "LAST USED",
    "USED FROM",
)


@commands.command()
@click.argument("owner_id")
@click.argument("name")
@click.option("--description", default="", help="One line of at most 255 characters.")
@click.option("--lifetime-days", help="Days until the token expires; -1 for never. Default: as configured.")
@click.option("--scope", "scopes", multiple=True, help="A declared scope; repeat the option for more.")
@report_errors
def generate(owner_id: str, name: str, description: str, lifetime_days: str | None, scopes: tuple[str, ...]) -> None:
    """Generate a token for OWNER_ID. The secret alone is printed to standard output."""
    days = None if lifetime_days is None else policy.parse_lifetime(lifetime_days)
    new = tokens.generate(owner_id, name, description=description, lifetime_days=days, scopes=scopes, by="cli")
    click.echo(f"Token {new.token.id} generated. Its secret is shown only this once:", err=True)
    click.echo(new.secret)


@commands.command()
@click.argument("owner_id")
@click.argument("token_id")
@click.option("--overlap-hours", type=int, help="Hours for which the old token still works. Default: as configured.")
@click.option("--lifetime-days", help="Days until the new token expires; -1 for never. Default: as the old one's.")
@report_errors
def rotate(owner_id: str, token_id: str, overlap_hours: int | None, lifetime_days: str | None) -> None:
    """Replace the token TOKEN_ID of OWNER_ID. The new secret alone is printed to standard output."""
    if tokens.get(owner_id, token_id) is None:
        raise no_such_token(owner_id)
    days = None if lifetime_days is None else policy.parse_lifetime(lifetime_days)
    new = tokens.rotate(owner_id, token_id, overlap_hours=overlap_hours, lifetime_days=days, by="cli")
    click.echo(f"Token {new.token.id} generated. Its secret is shown only this once:", err=True)
    click.echo(new.secret)
    old = tokens.get(owner_id, token_id)
    if old is not None:
        click.echo(f"Token {old.id} works until {time_text(old.expires_at)}.", err=True)


@commands.command("list")
@click.argument("owner_id", required=False)
@json_option
@report_errors
def list_(owner_id: str | None, as_json: bool) -> None:
    """List the tokens of OWNER_ID, or those of all owners."""
    state = current_state()
    listed = tokens.iter_all() if owner_id is None else tokens.owned_by(owner_id)
    if not as_json:
        print_cells(*_COLUMNS)
    for token in listed:
        if as_json:
            print_json(token)
            continue
        print_cells(
            *token_cells(state, token),
            " ".join(token.scopes) or "-",
            time_text(token.created_at),
            time_text(token.expires_at),
            time_text(token.last_used_at),
            token.last_used_from or "-",
        )
    _report_peppers(state)


@commands.command()
@click.argument("owner_id", required=False)
@click.argument("token_id", required=False)
@click.option(
    "--stdin",
    "from_stdin",
    is_flag=True,
    help="Delete the tokens of all secrets in a text, which is read from standard input. List them first with find.",
)
@json_option
@report_errors
def delete(owner_id: str | None, token_id: str | None, from_stdin: bool, as_json: bool) -> None:
    """Delete the token TOKEN_ID of OWNER_ID, or with --stdin many tokens. They stop working at once."""
    # What was given is not repeated: it may be a secret.
    if from_stdin:
        if owner_id is not None:
            raise click.UsageError("With --stdin, give no OWNER_ID and no TOKEN_ID: the secrets in the text decide.")
        delete_all_found(as_json)
        return
    if owner_id is None or token_id is None:
        raise click.UsageError("Give OWNER_ID and TOKEN_ID, or --stdin and a text on standard input.")
    if as_json:
        raise click.UsageError("--json needs --stdin.")
    if not tokens.delete(owner_id, token_id, by="cli"):
        raise no_such_token(owner_id)
    click.echo(f"Token {token_id} deleted.")


@commands.command("delete-all")
@click.argument("owner_id")
@report_errors
def delete_all(owner_id: str) -> None:
    """Delete every token of OWNER_ID."""
    count = tokens.delete_all(owner_id, by="cli")
    click.echo(f"{counted(count, 'token')} deleted.")


@commands.command()
@click.option("--expired-days", default="30", show_default=True, help="Days since the tokens expired.")
@click.option("--orphans", is_flag=True, help="Also delete the tokens whose owner does not exist.")
@click.option("--dry-run", is_flag=True, help="Only count them.")
@report_errors
def prune(expired_days: str, orphans: bool, dry_run: bool) -> None:
    """Delete the tokens that expired long ago."""
    # int() would accept other scripts' digits and underscores.
    if not (expired_days.isascii() and expired_days.isdigit() and len(expired_days) <= 5):
        raise ValueError(f"{expired_days!r} is not a number of days. Give a whole number from 0 to {policy.MAX_DAYS}.")
    try:
        count = tokens.prune(int(expired_days), orphans=orphans, dry_run=dry_run, by="cli")
    except RuntimeError as error:  # there is no owner= to find orphans by
        raise click.ClickException(str(error)) from None
    was = "would be" if dry_run else "was" if count == 1 else "were"
    click.echo(f"{counted(count, 'token')} {was} deleted.")


def _report_peppers(state: State) -> None:
    """Print how many rows are not yet keyed under the newest pepper, and how many can no longer be accepted."""
    newest, *older = secret.schemes(state.peppers)
    counts = tokens.count_by_scheme()
    waiting = sum(counts.get(scheme, 0) for scheme in older)
    lost = sum(count for scheme, count in counts.items() if scheme not in (newest, *older))
    if waiting and state.peppers:
        click.echo(f"{waiting} tokens are not keyed under the newest pepper; each will be when next used.", err=True)
    if lost:
        click.echo(f"{lost} tokens are keyed under a pepper that is not configured, and are refused.", err=True)
