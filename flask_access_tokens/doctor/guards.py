"""Guards that have no effect, or that no token passes."""

from collections.abc import Iterator

from ..api import routes
from ..finding import Finding
from ..state import State


def guard_findings(state: State) -> Iterator[Finding]:
    """Find guards outside their routes or without one, unreachable guarded views, and scopes that are not declared."""
    for route in routes.guarded_routes(state.app):
        if not route.reachable:
            yield Finding(
                "guard-unreachable",
                f"{route.method} {route.rule}: {route.endpoint} is not reachable, because another rule matches. Remove"
                " one of the two rules.",
            )
        undeclared = [scope for scope in route.guard.scopes if scope not in state.scopes]
        if undeclared:
            yield Finding(
                "scope-undeclared",
                f"{route.method} {route.rule}: no token can have {' '.join(undeclared)}. Declare it in"
                " ACCESS_TOKENS_SCOPES, or correct the guard.",
            )
    for endpoint in routes.misplaced_endpoints(state.app):
        yield Finding(
            "guard-misplaced",
            f"{endpoint} is guarded outside its route, and open to everybody. Put @token_required below the route's"
            " decorator.",
        )
    for endpoint in routes.routeless_endpoints(state.app):
        yield Finding(
            "guard-without-rule", f"{endpoint} is guarded, but has no rule. Add a rule for it, or remove the view."
        )
