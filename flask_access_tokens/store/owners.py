"""The owners of tokens: whether one exists and may act, and that their tokens go with them."""

import inspect as python_inspect
import sys
from collections.abc import Iterable, Sequence
from contextlib import suppress
from functools import lru_cache, partial
from typing import Any

from sqlalchemy import Column, ColumnElement, Connection, Integer, Select, SmallInteger, event, exists, inspect, select
from sqlalchemy import delete as delete_from
from sqlalchemy.orm import Mapper, QueryableAttribute, Session
from sqlalchemy.types import TypeEngine

from ..models import AccessTokenMixin, owner_column
from ..policy import TokenRefused
from ..state import NO_ROW, State
from ..texts import gettext as _
from .connections import read_again, read_objects, read_rows
from .table import comparable, owner_value, token_table

_BATCH = 500
"""Owner IDs in one statement."""

_SOME = 20
"""Rows that :func:`some_owner_ids` reads."""


def checks_owner(state: State) -> bool:
    """Return whether the owner is checked on each use of a token."""
    return state.loaders.owner is not None or state.owner is not None or _user_loader(state) is not None


def load_owner(state: State, owner_id: str) -> Any:
    """Return the owner of a token, or None where there is none or they may not act.

    :raises RuntimeError: where nothing is set up that could load them.
    """
    try:
        if state.loaders.owner is not None:
            if state.active is not None and read_objects(state, partial(_load_mapped, state, owner_id)) is None:
                return None
            return read_again(state, partial(state.app.ensure_sync(state.loaders.owner), owner_id)) or None
        if state.owner is not None:
            owner = read_objects(state, partial(_load_mapped, state, owner_id))
        elif (load_user := _user_loader(state)) is not None:
            owner = read_again(state, partial(state.app.ensure_sync(load_user), owner_id))
            # A loader may look into the request first, and return whoever that names.
            if owner is not None and state.login_id(owner) != owner_id:
                return None
        else:
            raise RuntimeError(
                "No owner is set. Pass the column that identifies an owner, AccessTokens(app, db, owner=User.id), or"
                " decorate a function with @access_tokens.owner_loader: it takes an owner ID and returns the owner, or"
                " None to refuse the token."
            )
    except NO_ROW:
        return None
    if owner is None or state.active is not None:  # by which a mapped owner was loaded
        return owner
    active = getattr(owner, "is_active", True)
    return owner if (active() if callable(active) else active) else None


def owners_of(state: State, owner_ids: Iterable[str]) -> dict[str, Any]:
    """Return owners by their IDs, without those that do not exist.

    With ``owner=``, the host's session loads them, 500 in one statement, whether they may act or not. Otherwise a
    loader is called for each; where none is set there are no owners to return.
    """
    wanted = list(dict.fromkeys(owner_ids))
    if state.owner is None or state.loaders.owner is not None:
        loaded = {owner_id: load_owner(state, owner_id) for owner_id in wanted} if checks_owner(state) else {}
        return {owner_id: owner for owner_id, owner in loaded.items() if owner is not None}
    found = read_objects(state, partial(_load_all_mapped, state, state.owner, wanted))
    return {owner_id: found[owner_id] for owner_id in wanted if owner_id in found}


def _load_all_mapped(state: State, column: Any, wanted: Sequence[str], session: Session) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for start in range(0, len(wanted), _BATCH):
        values = _values(state, wanted[start : start + _BATCH])
        # Unique, because the host's class may load a collection by a join.
        rows = session.scalars(select(column.class_).where(column.in_(values))).unique()
        found |= {str(getattr(owner, column.key)): owner for owner in rows}
    return found


def _values(state: State, owner_ids: Iterable[str]) -> list[Any]:
    """Return owner IDs as they are compared with the host's column, without those of another kind."""
    values = []
    for owner_id in owner_ids:
        with suppress(ValueError):
            values.append(comparable(state.owner, owner_value(state, owner_id)))
    return values


def select_with_owner(state: State, statement: Select[Any]) -> Select[Any]:
    """Return a SELECT of tokens with the value that identifies the owner and, in SQL, whether they may act.

    The SELECT is returned as it is without ``owner=``, and with an owner loader unless ``active=`` is given as well.
    """
    if state.owner is None or (state.loaders.owner is not None and state.active is None):
        return statement
    owner_class = state.owner.class_
    active = _active_expression(state)
    added = [state.owner] if active is None else [state.owner, active]
    joined = statement.add_columns(*added)
    return joined.join_from(state.model, owner_class, state.model.owner_id == state.owner, isouter=True)


def may_act(state: State, owner_id: str, selected: Sequence[Any]) -> bool | None:
    """Return whether the owner of a token may act, by what :func:`select_with_owner` added to its row.

    None where the row does not tell, and the owner has to be loaded. The value is compared in Python once more.
    """
    if not selected:
        return None if checks_owner(state) else True
    if selected[0] is None or str(selected[0]) != owner_id or not all(selected[1:]):
        return False
    return True if state.loaders.owner is None and not _asks_object(state) else None


def no_such_owner() -> TokenRefused:
    """Return the refusal of an owner who does not exist."""
    return TokenRefused(_("No owner has this ID."), "owner_id")


def unknown_owners(state: State, owner_ids: Iterable[str]) -> set[str]:
    """Return which owner IDs identify nobody; none of them where the extension was set up without ``owner=``."""
    if state.owner is None:
        return set()
    wanted = sorted(set(owner_ids))
    known: set[str] = set()
    for start in range(0, len(wanted), _BATCH):
        values = _values(state, wanted[start : start + _BATCH])
        known.update(str(row[0]) for row in read_rows(state, select(state.owner).where(state.owner.in_(values))))
    return set(wanted) - known


def some_owner_ids(state: State) -> list[str]:
    """Return the owner IDs of a few tokens, each once.

    :raises StoreError: where the database cannot be used.
    """
    rows = read_rows(state, select(state.model.owner_id).limit(_SOME))
    return list(dict.fromkeys(str(row[0]) for row in rows))


def is_orphan(state: State) -> ColumnElement[bool]:
    """Return the condition that the owner of a token does not exist.

    :raises RuntimeError: where the extension was set up without ``owner=``: a loader does not tell an owner who is
        gone from one who may not act.
    """
    if state.owner is None:
        raise RuntimeError("Orphans can be found only with owner=: AccessTokens(app, db, owner=User.id).")
    return ~exists().where(owner_column(state.owner) == token_table(state).c.owner_id)


def delete_with_owners(model: type[AccessTokenMixin], owner: QueryableAttribute[Any]) -> None:
    """Delete the tokens of an owner in the flush that deletes the owner, on every database.

    SQLite enforces foreign keys only where the host turns that on, and gives the id of a deleted row to the next one.
    Where the database does not delete the tokens itself, an owner who gets a value therefore loses the tokens that an
    earlier owner of the same value left.
    """
    column, table = owner_column(owner), model.__table__  # type: ignore[attr-defined]
    models = column.info.setdefault("access_tokens_models", set())
    if model in models:
        return
    models.add(model)

    def delete_tokens(connection: Connection, value: Any) -> None:
        connection.execute(delete_from(table).where(table.c.owner_id == value))

    def delete_left_over_tokens(connection: Connection, value: Any) -> None:
        if connection.dialect.name == "sqlite" or not table.c.owner_id.foreign_keys:
            delete_tokens(connection, value)

    def before_delete(mapper: Mapper[Any], connection: Connection, instance: Any) -> None:
        history = inspect(instance).attrs[owner.key].load_history()
        delete_tokens(connection, next(iter((*history.deleted, *history.unchanged)), None))

    def after_insert(mapper: Mapper[Any], connection: Connection, instance: Any) -> None:
        delete_left_over_tokens(connection, getattr(instance, owner.key))

    def before_update(mapper: Mapper[Any], connection: Connection, instance: Any) -> None:
        for value in inspect(instance).attrs[owner.key].history.added:
            delete_left_over_tokens(connection, value)

    event.listen(owner.class_, "before_delete", before_delete, propagate=True)
    event.listen(owner.class_, "after_insert", after_insert, propagate=True)
    event.listen(owner.class_, "before_update", before_update, propagate=True)


def validate_owner(model: type[AccessTokenMixin], owner: QueryableAttribute[Any]) -> None:
    """Check that a model of the host's own can be joined to its owners.

    :raises ValueError: where the columns hold different types, or are in different databases.
    """
    column: Column[Any] = owner_column(owner)
    own = model.__table__.c.owner_id  # type: ignore[attr-defined]
    kinds = [_python_type(one.type) for one in (own, column)]
    if None not in kinds and kinds[0] is not kinds[1]:
        raise ValueError(
            f"{own} holds {kinds[0].__name__} and {column} holds {kinds[1].__name__}. Declare owner_id in"  # type: ignore[union-attr]
            f" {model.__name__} again, as a foreign key to {column}."
        )
    if own.table.metadata.info.get("bind_key") != column.table.metadata.info.get("bind_key"):
        raise ValueError(f"{own} and {column} are in different databases. Use an owner_loader instead of owner=.")


def validate_active(active: Any, owner: Any) -> None:
    """Check that ``active=`` can be a part of a SELECT of owners.

    :raises TypeError: if it is not an SQL expression.
    :raises ValueError: without ``owner=``.
    """
    if active is None:
        return
    kind = getattr(active, "type", None) if isinstance(active, (ColumnElement, QueryableAttribute)) else None
    if not isinstance(kind, TypeEngine) or _python_type(kind) is not bool:
        raise TypeError(
            f"active is {active!r}. Pass an SQL expression over the owner's class that is true or false:"
            " active=User.disabled_at.is_(None)."
        )
    if owner is None:
        raise ValueError("active= needs owner=: AccessTokens(app, db, owner=User.id, active=User.enabled).")


def _python_type(kind: TypeEngine[Any]) -> type | None:
    try:
        return kind.python_type
    except NotImplementedError:
        return None


def _load_mapped(state: State, owner_id: str, session: Session) -> Any:
    """Return an owner as ``owner=`` maps it; with ``active=``, one who may act."""
    owner: Any = state.owner
    value, mapper, kind = owner_value(state, owner_id), inspect(owner.class_), owner.type
    # Session.get compares a value of the column's own type, for which it may be too long.
    short = not isinstance(kind, Integer) or value.bit_length() < (16 if isinstance(kind, SmallInteger) else 32)
    if short and state.active is None and list(mapper.primary_key) == list(owner.property.columns):
        found = session.get(mapper, value)
    else:
        mine = [owner == comparable(owner, value)]
        mine += [] if state.active is None else [_active_expression(state)]
        # Unique, because the host's class may load a collection by a join.
        found = session.scalars(select(owner.class_).where(*mine)).unique().one_or_none()
    return found if found is not None and str(getattr(found, owner.key)) == owner_id else None


def _active_expression(state: State) -> Any:
    """Return what tells in SQL whether an owner may act: ``active=``, or ``is_active`` if the class maps it.

    It is mapped as a column, or as a hybrid with an expression of its own. Without one, a hybrid that combines
    conditions with ``and`` would lose some of them in SQL.

    :raises ValueError: if ``active=`` has columns of other tables, whose rows would decide for all owners.
    """
    if state.owner is None:
        return None
    owner_class = state.owner.class_
    if state.active is not None:
        mapper: Any = inspect(owner_class)
        own = {*mapper.tables, mapper.selectable}
        if not own.issuperset(select(state.active).get_final_froms()):  # not earlier: it configures the mappers
            raise ValueError(
                f"active= has columns of another table than those of {owner_class.__name__}. Ask for a related row by"
                " active=User.organization.has(...), or by an exists() that names the owner."
            )
        return state.active
    descriptor: Any = inspect(owner_class).all_orm_descriptors.get("is_active")
    return None if descriptor is None or not _is_sql(descriptor) else owner_class.is_active


def asks_who_may_act(state: State) -> bool:
    """Return whether anything but their existence decides with ``owner=`` whether an owner may act."""
    return _active_expression(state) is not None or _asks_object(state)


def _asks_object(state: State) -> bool:
    """Return whether ``is_active`` has to be asked of an owner who was loaded."""
    return state.owner is not None and state.active is None and _has_own_property(state.owner.class_)


@lru_cache(maxsize=64)
def _has_own_property(owner_class: type) -> bool:
    """Return whether ``is_active`` has to be asked of an owner: it is neither absent, always true, nor in SQL."""
    always = {True, vars(getattr(sys.modules.get("flask_login"), "UserMixin", object)).get("is_active")}
    mappers: Any = inspect(owner_class).self_and_descendants
    classes = [mapper.class_ for mapper in mappers]
    found = [python_inspect.getattr_static(one, "is_active", True) for one in classes]
    return any(not _is_sql(one) and one not in always for one in found)


def _is_sql(descriptor: Any) -> bool:
    return isinstance(descriptor, QueryableAttribute) or getattr(descriptor, "expr", None) is not None


def _user_loader(state: State) -> Any:
    manager = state.login_manager
    return None if manager is None else manager.user_callback
