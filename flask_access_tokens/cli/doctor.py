"""The command that examines the application."""

from ..doctor import examine
from ..state import current_state
from .group import commands, report_errors
from .output import json_option, print_cells, print_json


@commands.command("doctor")
@json_option
@report_errors
def doctor(as_json: bool) -> None:
    """Examine the application, its configuration and its database, and print a line for whatever is wrong.

    Each line has a code, what is wrong, and what to do. Exits with 1 where something is wrong. It changes nothing.
    """
    found = False
    for finding in examine(current_state()):
        found = True
        if as_json:
            print_json(finding)
        else:
            print_cells(finding.code, finding.message)
    if found:
        raise SystemExit(1)
