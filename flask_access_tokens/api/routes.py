"""The guarded routes of an application: which views require a token, and with which scopes."""

import contextlib
import functools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from flask import Flask
from flask.views import MethodView, View
from werkzeug.exceptions import NotFound
from werkzeug.routing import MapAdapter, RequestRedirect, Rule


@dataclass(frozen=True)
class Guard:
    """What a guarded view requires."""

    scopes: tuple[str, ...]
    optional: bool = False
    or_session: bool = False


@dataclass(frozen=True)
class Route:
    """One method of one guarded rule."""

    method: str
    rule: str
    endpoint: str
    guard: Guard
    reachable: bool
    """Whether no other rule takes the requests for this one."""


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
    found: list[Guard] = []
    while view is not None:
        view = getattr(view, "__func__", view)  # a bound method
        marked, guard = getattr(view, "_access_token_guard", (None, None))
        if guard is not None and marked is view:
            found.append(guard)
        view = view.func if isinstance(view, functools.partial) else getattr(view, "__wrapped__", None)
    return _all_of(found)


def guard_of_request(app: Flask, endpoint: str | None, method: str) -> Guard | None:
    """Return what the guards of an endpoint require of an HTTP method: those of its blueprints, class and view."""
    view = app.view_functions.get(endpoint or "")
    if endpoint is None or view is None:
        return None
    functions = [*_of_class(view, method), view, *_hooks(app, endpoint)]
    return _all_of([guard for guard in map(_guard_or_call, functions) if guard is not None])


def guarded_routes(app: Flask) -> Iterator[Route]:
    """Iterate over the guarded routes of an application, one for each method, in the order of their rules."""
    adapter = app.url_map.bind("localhost")
    for rule in sorted(app.url_map.iter_rules(), key=lambda rule: (rule.rule, rule.endpoint)):
        for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}):
            guard = guard_of_request(app, rule.endpoint, method)
            if guard is not None:
                reachable = bool(rule.arguments) or _is_reached(adapter, rule, method)
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


def _all_of(guards: list[Guard]) -> Guard | None:
    """Return what several guards require together."""
    if not guards:
        return None
    return Guard(
        tuple(dict.fromkeys(scope for guard in guards for scope in guard.scopes)),
        all(guard.optional for guard in guards),
        any(guard.or_session for guard in guards) and all(guard.optional or guard.or_session for guard in guards),
    )


def _hooks(app: Flask, endpoint: str) -> list[Callable[..., Any]]:
    """Return the functions that run before the view of an endpoint: those of its blueprints and the application."""
    hooks: list[Callable[..., Any]] = []
    blueprint = endpoint.rpartition(".")[0]
    while blueprint:
        hooks += app.before_request_funcs.get(blueprint, [])
        blueprint = blueprint.rpartition(".")[0]
    return hooks + app.before_request_funcs.get(None, [])


def _guard_or_call(function: Any) -> Guard | None:
    """Return what a function requires: a guarded view, or a plain call that is a guard itself."""
    if isinstance(function, functools.partial):
        make_guard = getattr(function.func, "_access_token_plain_call", None)
        return make_guard(*function.args, **function.keywords) if make_guard else guard_of(function)
    make_guard = getattr(function, "_access_token_plain_call", None)
    return make_guard() if make_guard else guard_of(function)


def _of_class(view: Any, method: str) -> list[Any]:
    """Return what guards an HTTP method in a view class: the method itself, and decorators as Flask-RESTful has."""
    view_class: type[View] | None = getattr(view, "view_class", None)
    if view_class is None:
        return []
    # Flask's own classes ignore this attribute.
    ignores = view_class.dispatch_request in (View.dispatch_request, MethodView.dispatch_request)
    decorators = () if ignores else getattr(view_class, "method_decorators", ())
    if isinstance(decorators, Mapping):
        decorators = decorators.get(method.lower(), ())
    answers = getattr(view_class, method.lower(), None) or getattr(view_class, "dispatch_request", None)
    return [answers, *decorators]


def _is_reached(adapter: MapAdapter, rule: Rule, method: str) -> bool:
    """Return whether no other rule takes the requests for a rule without arguments."""
    if rule.subdomain or rule.host:
        return True
    try:
        endpoint, _ = adapter.match(rule.rule, method=method, websocket=rule.websocket)
    except RequestRedirect:
        return rule.alias or rule.redirect_to is not None
    except NotFound:  # it is only for building URLs
        return True
    return bool(endpoint == rule.endpoint)
