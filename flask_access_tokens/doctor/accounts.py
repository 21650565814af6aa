"""How the host's accounts are known: who is signed in, who may act, and by which ID."""

import re
from collections.abc import Iterator
from typing import Any

from sqlalchemy import inspect

from ..finding import Finding
from ..session_user import other_id_problem
from ..state import State
from ..store.owners import asks_who_may_act, load_owner, some_owner_ids

_SPEAKS_OF_ACTING = re.compile(
    r"(?!is_active$)(?:is_|account_|user_)*"
    r"(?:(?:active|inactive|enabled|disabled|activated|deactivated|banned|blocked|locked|suspended|frozen|archived|closed"
    r"|deleted|approved)(?:_(?:at|on|until|since|date|flag))?|(?:ban|lock|lockout|suspension)_(?:until|ends?|expires)(?:_at)?)"
).fullmatch


def account_findings(state: State) -> Iterator[Finding]:
    """Find that nothing tells who is signed in, and that disabling a person has no effect on their tokens."""
    if state.loaders.identity is None and state.login_manager is None:
        yield Finding(
            "identity-loader-missing",
            "Nothing tells who is signed in, so nobody can open the page. Decorate a function with"
            " @access_tokens.identity_loader: it returns the ID of whoever is signed in, or None.",
        )
    if state.owner is None or state.loaders.owner is not None or asks_who_may_act(state):
        return
    names = [name for name in _columns_and_properties(state.owner.class_) if _SPEAKS_OF_ACTING(_snake_case(name))]
    if names:
        yield Finding(
            "owner-active",
            f"Nothing tells whether an owner may act, although {state.owner.class_.__name__} has {', '.join(names)}:"
            " the tokens of a person who was disabled work on. Pass an SQL expression that says who may act, such as"
            " active=User.disabled_at.is_(None), beside owner=.",
        )


def _columns_and_properties(owner_class: type) -> list[str]:
    mapper: Any = inspect(owner_class)
    static = {name for one in owner_class.__mro__ for name, value in vars(one).items() if isinstance(value, property)}
    return sorted(static | (set(mapper.all_orm_descriptors.keys()) - set(mapper.relationships.keys())))


def _snake_case(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def session_id_findings(state: State) -> list[Finding]:
    """Find that tokens belong to what ``get_id()`` returns although it is not the primary key of the user.

    The owners of some stored tokens are loaded, because only an instance has a key to compare with.

    :raises StoreError: where the database cannot be used.
    """
    loaders, manager = state.loaders, state.login_manager
    by_session = state.owner is None and loaders.owner is None and loaders.identity is None
    if not by_session or manager is None or manager.user_callback is None:
        return []
    # A user loader is otherwise called in requests only, and that of Flask-Security needs one.
    with state.app.test_request_context():
        for owner_id in some_owner_ids(state):
            user = load_owner(state, owner_id)
            problem = None if user is None else other_id_problem(user, user.get_id())
            if problem is not None:
                return [Finding("session-id", problem)]
    return []
