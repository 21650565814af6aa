"""The command that tells the owners of tokens that expire soon."""

import click

from .. import notices
from ..state import current_state
from .group import commands, report_errors
from .output import counted, print_cells


@commands.command("notify")
@click.option("--dry-run", is_flag=True, help="Only list the notices that are due.")
@report_errors
def notify(dry_run: bool) -> None:
    """Send a notice for each token that expires soon, each once."""
    if current_state().disabled:
        click.echo("Access tokens are disabled, so no notice is due.", err=True)
    if dry_run:
        print_cells("TOKEN ID", "OWNER", "NAME", "DAYS")
        for token, days in notices.due():
            print_cells(str(token.id), token.owner_id, token.name, str(days))
        return
    try:
        sent, failed = notices.send_due()
    except RuntimeError as error:  # no receiver is connected
        raise click.ClickException(str(error)) from None
    click.echo(f"{counted(sent, 'notice')} sent.")
    if failed:
        raise click.ClickException(
            f"{counted(failed, 'notice')} could not be sent; the next run tries again. See the log."
        )
