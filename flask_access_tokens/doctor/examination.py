"""All checks. One that fails does not prevent the others; those of the database run only where it can be reached."""

from collections.abc import Callable, Iterable, Iterator

from .. import tokens
from ..config import setting_findings
from ..finding import Finding
from ..state import State
from ..store.connections import error_summary, read
from ..store.inspection import table_findings
from ..store.settings import clock_findings, foreign_key_findings, settings_findings
from ..store.uses import try_update
from .accounts import account_findings, session_id_findings
from .guards import guard_findings, route_findings
from .peppers import pepper_findings
from .session import session_findings

Check = Callable[[State], Iterable[Finding]]


def examine(state: State) -> Iterator[Finding]:
    """Run all checks in the context of an application, and change nothing.

    :return: the findings, in the order in which they are best corrected.
    """
    yield from _found_by(_OF_APPLICATION, state)
    try:
        read(state, lambda _: None)
    except tokens.StoreError as error:
        yield Finding(
            "database-unavailable",
            f"The database of the tokens cannot be used ({error_summary(error)}). Start it or correct its URL, and run"
            " the command again.",
        )
        return
    except Exception as error:
        yield _failed("connection to the database", error)
        return
    of_table = list(_found_by({"table": table_findings}, state))
    yield from of_table
    yield from _found_by(_OF_CONNECTIONS, state)
    if not any(finding.code == "table-missing" for finding in of_table):
        yield from _found_by(_OF_ROWS, state)


def _found_by(checks: dict[str, Check], state: State) -> Iterator[Finding]:
    for name, check in checks.items():
        try:
            found = list(check(state))
        except Exception as error:  # a check calls the host's loaders and listeners, which may raise anything
            found = [_failed(name, error)]
        yield from found


def _failed(name: str, error: Exception) -> Finding:
    return Finding(
        "check-failed",
        f"The check of the {name} failed ({error_summary(error)}). Correct the cause, in the database or in a function"
        " of the application, and run the command again.",
    )


def _peppers(state: State) -> list[Finding]:
    return pepper_findings(state, tokens.count_by_scheme())


def _last_used_updates(state: State) -> Iterator[Finding]:
    try:
        if not try_update(state):
            yield Finding(
                "last-used-hidden",
                "Row-level security hides every token from an update of last-used times, because no listener of the"
                " session sets a tenant or role. Set it in an after_begin listener instead of before_request.",
            )
    except tokens.StoreError as error:
        yield Finding(
            "last-used",
            f"Last-used times cannot be written ({error_summary(error)}). Connect to a server that accepts writes, as"
            " a role that may SELECT and UPDATE the table of the tokens.",
        )


_OF_APPLICATION: dict[str, Check] = {
    "guards": guard_findings,
    "routes": route_findings,
    "accounts": account_findings,
    "settings": setting_findings,
    "session": session_findings,
}
_OF_CONNECTIONS: dict[str, Check] = {
    "settings of the database": settings_findings,
    "foreign keys": foreign_key_findings,
    "clocks": clock_findings,
}
_OF_ROWS: dict[str, Check] = {
    "peppers": _peppers,
    "session IDs": session_id_findings,
    "last-used updates": _last_used_updates,
}
