"""The guarded routes of an application: which views ask for a token, and for which scopes."""

import contextlib
import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from flask import Flask
from flask.views import View


@dataclass(frozen=True)
class Guard:
    """What a guarded view asks for."""

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


def mark(guarded: Any, view: Any, guard: Guard) -> None:
    """Say on the functions themselves that one guards the other: their names prove nothing."""
    guarded._access_token_guard = (guarded, guard)
    while view is not None:
        with contextlib.suppress(AttributeError):  # a method or a builtin takes no attributes
            view._access_token_inside = view
        view = getattr(view, "__wrapped__", None)


def guard_of(view: Any) -> Guard | None:
    """What a view function asks for, or None where it is not guarded."""
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
    """What a request for an endpoint is asked for: by its blueprints, its view or the method of its class."""
    view = app.view_functions.get(endpoint or "")
    if endpoint is None or view is None:
        return None
    places = [_method_of(view, method), view]
    blueprint = endpoint.rpartition(".")[0]
    while blueprint:
        places += app.before_request_funcs.get(blueprint, [])
        blueprint = blueprint.rpartition(".")[0]
    places += app.before_request_funcs.get(None, [])
    found = [guard for guard in map(_guard_at, places) if guard is not None]
    if not found:
        return None
    scopes = dict.fromkeys(scope for guard in found for scope in guard.scopes)
    return Guard(tuple(scopes), all(guard.optional for guard in found))


def guarded_routes(app: Flask) -> Iterator[Route]:
    """Every guarded rule of an application, a method each, in the order of the rules."""
    adapter = app.url_map.bind("localhost")
    for rule in sorted(app.url_map.iter_rules(), key=lambda rule: (rule.rule, rule.endpoint)):
        for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}):
            guard = guard_of_request(app, rule.endpoint, method)
            if guard is not None:
                reachable = bool(rule.arguments) or _matches(adapter, rule, method)
                yield Route(method, rule.rule, rule.endpoint, guard, reachable)


def misplaced_endpoints(app: Flask) -> list[str]:
    """The endpoints whose registered function is guarded elsewhere: the decorators stand in the wrong order."""
    return sorted(
        endpoint
        for endpoint, view in app.view_functions.items()
        if getattr(view, "_access_token_inside", None) is view and guard_of(view) is None
    )


def routeless_endpoints(app: Flask) -> list[str]:
    """The endpoints of guarded functions that no rule leads to."""
    routed = {rule.endpoint for rule in app.url_map.iter_rules()}
    return sorted(
        endpoint
        for endpoint, view in app.view_functions.items()
        if endpoint not in routed and guard_of(view) is not None
    )


def _guard_at(place: Callable[..., Any] | None) -> Guard | None:
    if isinstance(place, functools.partial):
        whole = getattr(place.func, "_access_token_plain_call", None)
        return whole(*place.args, **place.keywords) if whole else None
    whole = getattr(place, "_access_token_plain_call", None)
    return whole() if whole else guard_of(place)


def _method_of(view: Any, method: str) -> Any:
    """The method of a view class that answers an HTTP method."""
    view_class: type[View] | None = getattr(view, "view_class", None)
    if view_class is None:
        return None
    return getattr(view_class, method.lower(), None) or getattr(view_class, "dispatch_request", None)


def _matches(adapter: Any, rule: Any, method: str) -> bool:
    if rule.subdomain or rule.host:
        return True
    try:
        endpoint, _ = adapter.match(rule.rule, method=method)
    except Exception:
        return False
    return bool(endpoint == rule.endpoint)
