"""The guarded routes of an application: which views require a token, and with which scopes."""

import contextlib
import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from flask import Flask
from flask.views import View


@dataclass(frozen=True)
class Guard:
    """What a guarded view requires."""

    scopes: tuple[str, ...]
    optional: bool


@dataclass(frozen=True)
class Route:
    """One method of one guarded rule."""

    method: str
    rule: str
    endpoint: str
    guard: Guard
    reachable: bool
    """Whether a request for the rule gets to the endpoint."""


def mark_guarded(guarded: Any, view: Any, guard: Guard) -> None:
    """Record on the functions themselves that one guards the other, because decorators may copy names."""
    guarded._access_token_guard = (guarded, guard)
    while view is not None:
        with contextlib.suppress(AttributeError):  # methods and builtins take no attributes
            view._access_token_inside = view
        view = getattr(view, "__wrapped__", None)


def mark_plain_call(function: Any, make_guard: Callable[..., Guard]) -> None:
    """Record that calling a function, with arguments or without, is a guard."""
    function._access_token_plain_call = make_guard


def guard_of(view: Any) -> Guard | None:
    """Return what a view function requires, or None where it is not guarded."""
    scopes: list[str] = []
    optional, found = True, False
    while view is not None:
        marked, guard = getattr(view, "_access_token_guard", (None, None))
        if guard is not None and marked is view:
            found, optional = True, optional and guard.optional
            scopes += guard.scopes
        view = getattr(view, "__wrapped__", None)
    return Guard(tuple(dict.fromkeys(scopes)), optional) if found else None


def guard_of_request(app: Flask, endpoint: str | None, method: str) -> Guard | None:
    """Return what the view of an endpoint requires, its blueprints and the method of its class included."""
    view = app.view_functions.get(endpoint or "")
    if endpoint is None or view is None:
        return None
    functions = [_method_of(view, method), view]
    blueprint = endpoint.rpartition(".")[0]
    while blueprint:
        functions += app.before_request_funcs.get(blueprint, [])
        blueprint = blueprint.rpartition(".")[0]
    functions += app.before_request_funcs.get(None, [])
    found = [guard for guard in map(_guard_or_call, functions) if guard is not None]
    if not found:
        return None
    scopes = dict.fromkeys(scope for guard in found for scope in guard.scopes)
    return Guard(tuple(scopes), all(guard.optional for guard in found))


def guarded_routes(app: Flask) -> Iterator[Route]:
    """Iterate over the guarded routes of an application, one for each method, in the order of their rules."""
    adapter = app.url_map.bind("localhost")
    for rule in sorted(app.url_map.iter_rules(), key=lambda rule: (rule.rule, rule.endpoint)):
        for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}):
            guard = guard_of_request(app, rule.endpoint, method)
            if guard is not None:
                reachable = bool(rule.arguments) or _is_matched(adapter, rule, method)
                yield Route(method, rule.rule, rule.endpoint, guard, reachable)


def misplaced_endpoints(app: Flask) -> list[str]:
    """Return the endpoints whose view is guarded outside its route: the decorators are in the wrong order."""
    return sorted(
        endpoint
        for endpoint, view in app.view_functions.items()
        if getattr(view, "_access_token_inside", None) is view and guard_of(view) is None
    )


def routeless_endpoints(app: Flask) -> list[str]:
    """Return the endpoints of guarded views that have no rule."""
    routed = {rule.endpoint for rule in app.url_map.iter_rules()}
    return sorted(
        endpoint
        for endpoint, view in app.view_functions.items()
        if endpoint not in routed and guard_of(view) is not None
    )


def _guard_or_call(function: Callable[..., Any] | None) -> Guard | None:
    """Return what a function requires: a guarded view, or a plain call that is a guard itself."""
    if isinstance(function, functools.partial):
        make_guard = getattr(function.func, "_access_token_plain_call", None)
        return make_guard(*function.args, **function.keywords) if make_guard else None
    make_guard = getattr(function, "_access_token_plain_call", None)
    return make_guard() if make_guard else guard_of(function)


def _method_of(view: Any, method: str) -> Any:
    """Return the method of a view class that answers an HTTP method."""
    view_class: type[View] | None = getattr(view, "view_class", None)
    if view_class is None:
        return None
    return getattr(view_class, method.lower(), None) or getattr(view_class, "dispatch_request", None)


def _is_matched(adapter: Any, rule: Any, method: str) -> bool:
    if rule.subdomain or rule.host:
        return True
    try:
        endpoint, _ = adapter.match(rule.rule, method=method)
    except Exception:
        return False
    return bool(endpoint == rule.endpoint)
