"""The owner of an accepted token, as whom Flask-Login and Flask-Principal see the request."""

import sys
from typing import Any, cast

from flask import Flask, current_app

from ..state import State, current_state
from ..store.entities import Token
from ..store.owners import checks_owner
from ..store.table import owner_value
from .guard import accepted_token

_USER = "_login_user"
"""The attribute of ``flask.g`` in which Flask-Login keeps the user of a request."""


class _ActingUser:
    """What ``flask.g`` tells of the user. Nothing is loaded before it is asked for."""

    def __contains__(self, name: str) -> bool:
        return (name == _USER and accepted_token() is not None) or super().__contains__(name)  # type: ignore[misc]

    @property
    def _login_user(self) -> Any:
        token = accepted_token()
        return self._stored(_USER) if token is None else _user_of(current_state(), token)

    @property
    def identity(self) -> Any:
        """The identity of Flask-Principal."""
        stored, token = self._stored("identity"), accepted_token()
        principal = sys.modules.get("flask_principal")
        if token is None or principal is None or not isinstance(stored, principal.Identity):
            return stored
        if getattr(stored, "access_token", None) is not token:
            stored = principal.Identity(owner_value(current_state(), token.owner_id))
            stored.access_token = token
            self.__dict__["identity"] = stored
            # Not identity_changed, which would store the identity in the session.
            principal.identity_loaded.send(current_app._get_current_object(), identity=stored)  # type: ignore[attr-defined]
        return stored

    def _stored(self, name: str) -> Any:
        try:
            return self.__dict__[name]
        except KeyError:
            raise AttributeError(name) from None


def act_as_owner(app: Flask) -> None:
    """Let the host's own permission checks see the owner of a request's token, whatever its session says."""
    base = app.app_ctx_globals_class
    app.app_ctx_globals_class = cast(Any, type(base.__name__, (_ActingUser, base), {}))


def _user_of(state: State, token: Token) -> Any:
    owner = token.owner if checks_owner(state) else None
    return owner if hasattr(owner, "is_authenticated") else state.login_manager.anonymous_user()
