"""The command that lists and checks the guarded routes."""

import click
from flask import current_app

from ..api import routes
from ..doctor.guards import guard_findings
from ..state import current_state
from .group import commands, report_errors
from .output import json_option, print_cells, print_json


@commands.command("routes")
@click.option("--check", is_flag=True, help="Exit with 1 where a guard has no effect.")
@json_option
@report_errors
def routes_(check: bool, as_json: bool) -> None:
    """List the guarded routes with the scopes they require."""
    for route in routes.guarded_routes(current_app):
        if as_json:
            print_json(route)
        else:
            print_cells(route.method, route.rule, _requirement(route.guard))
    problems = list(guard_findings(current_state()))
    for problem in problems:
        click.echo(problem.message, err=True)
    if check and problems:
        raise SystemExit(1)


def _requirement(guard: routes.Guard) -> str:
    more = " (optional)" if guard.optional else " (or a session)" if guard.or_session else ""
    return (" ".join(guard.scopes) or "any token") + more
