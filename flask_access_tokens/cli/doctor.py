"""The command that checks the application."""

from ..doctor import examine
from ..state import current_state
from .group import commands, report_errors
from .output import json_option, print_cells, print_json


@commands.command("doctor")
@json_option
@report_errors
def doctor(as_json: bool) -> None:
    """Check the application, its configuration and its database, and print a line for each problem.

    A line has a code, what is wrong, and what to do. Exits with status 1 if there is any problem. Changes nothing.
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
