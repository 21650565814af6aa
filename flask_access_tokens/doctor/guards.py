"""Guards without effect or that no token passes, cached guarded views, and routes that conflict with the package's."""

import inspect
from collections.abc import Iterator
from typing import Any

from werkzeug.routing import Rule

from ..api import routes
from ..finding import Finding
from ..state import OWN_BLUEPRINTS, State


def guard_findings(state: State) -> Iterator[Finding]:
    """Find guards outside their routes or without one, hidden or cached guarded views, and undeclared scopes."""
    for route in routes.guarded_routes(state.app):
        if not route.reachable:
            yield Finding(
                "guard-unreachable",
                f"{route.method} {route.rule}: {route.endpoint} is not reachable, because another rule matches. Remove"
                " one of the two rules.",
            )
        if _is_cached(state.app.view_functions[route.endpoint], route.method):
            yield Finding(
                "guard-cached",
                f"{route.method} {route.rule}: {route.endpoint} is cached by Flask-Caching, which serves the response"
                " for one token with any other, or without one. Remove the cache from the view, and cache what it"
                " computes, for each owner.",
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


def route_findings(state: State) -> Iterator[Finding]:
    """Find the host's rules below the URL prefix; without a prefix, those that a rule of the package hides."""
    prefix = state.config["ACCESS_TOKENS_URL_PREFIX"].rstrip("/")
    adapter = state.app.url_map.bind("localhost")
    for rule in sorted(state.app.url_map.iter_rules(), key=lambda rule: (rule.rule, rule.endpoint)):
        if _is_own(rule.endpoint):
            continue
        if (prefix and f"{rule.rule}/".startswith(f"{prefix}/")) or (not prefix and _is_hidden(adapter, rule)):
            yield Finding(
                "route-below-prefix",
                f"{rule.rule}: {rule.endpoint} is among the routes of the page and the endpoints. It may hide one"
                " of them, or be hidden by one, now or in a later version. Change its rule, or"
                " ACCESS_TOKENS_URL_PREFIX.",
            )


def _is_cached(view: Any, method: str) -> bool:
    """Return whether Flask-Caching wraps a view, or the method of its class, within or around the guard."""
    answers = getattr(getattr(view, "view_class", None), method.lower(), view)
    found = (inspect.unwrap(each, stop=lambda each: hasattr(each, "make_cache_key")) for each in (view, answers))
    return any(hasattr(each, "make_cache_key") and hasattr(each, "uncached") for each in found)


def _is_own(endpoint: Any) -> bool:
    return str(endpoint).rpartition(".")[0] in OWN_BLUEPRINTS


def _is_hidden(adapter: Any, rule: Rule) -> bool:
    """Return whether a request for a rule without arguments gets to a view of the package."""
    if rule.arguments or rule.subdomain or rule.host:
        return False
    # Flask adds OPTIONS, and Werkzeug HEAD, to rules of other methods.
    methods = (rule.methods or {"GET"}) - {"HEAD", "OPTIONS"} or {"OPTIONS"}
    return any(_is_own(_matched(adapter, rule.rule, method)) for method in methods)


def _matched(adapter: Any, path: str, method: str) -> str:
    """Return the endpoint that a request gets to; "" where it gets to none."""
    try:
        return str(adapter.match(path, method=method)[0])
    except Exception:
        return ""
