"""The listing: one page of an owner's tokens, searched, filtered and sorted."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Table, and_, case, func, or_, select

from .. import clock, policy
from ..secret import HINT_TAIL
from ..state import current_state
from .connections import Reader, read
from .entities import Page
from .rows import is_expiring, of_exact_owner, select_tokens, token_from_row
from .table import token_table


def page(
    owner_id: object,
    *,
    search: str = "",
    status: str = "",
    sort: str = "",
    number: int = 1,
    size: int = 25,
) -> Page:
    """Return one page of an owner's tokens; live tokens come before expired ones.

    :param owner_id: the host's ID of the owner.
    :param search: a part of the name, the description, a scope or the hint, in any case, or a token ID.
    :param status: ``active`` (expiring tokens included), ``expiring``, ``expired`` or ``unused``; anything else stands
        for all of them.
    :param sort: ``name``, ``created``, ``expires`` or ``used``, with ``-`` in front for the reverse order; anything
        else is the newest first.
    :param number: the page, counted from 1; a number beyond the last page gives the last one.
    :param size: the number of tokens on a page.
    :raises StoreError: where the database cannot be used.
    """
    state = current_state()
    moment = clock.now()
    owner = policy.validate_owner_id(owner_id)
    model, table = state.model, token_table(state)

    def listed(reader: Reader) -> Page:
        conditions = _conditions(table, moment) | {"expiring": is_expiring(state, reader, moment)}
        order = _order(table, sort, conditions["expired"])
        mine = of_exact_owner(state, reader, owner)
        counted = reader.execute(
            select(
                func.count(model.id).label("all"),
                *(func.count(case((condition, 1))).label(key) for key, condition in conditions.items()),
            ).where(mine)
        )
        counts: dict[str, int] = dict(counted.mappings().one())
        chosen = and_(mine, conditions[status]) if status in conditions else mine
        statement = select_tokens(state).where(chosen).order_by(*order)
        if search:
            # In Python, because databases fold the case of ASCII only, of everything, or of nothing.
            texts = select(model.id, model.name, model.description, model.scopes, model.hint)
            ids = [row[0] for row in reader.execute(texts.where(chosen).order_by(*order)) if _matches(row, search)]
            matching = len(ids)
        else:
            matching = counts.get(status, counts["all"])
        pages = max(1, -(-matching // size))
        shown = min(max(1, number), pages)
        start = (shown - 1) * size
        if search:
            statement = statement.where(model.id.in_(ids[start : start + size]))
        else:
            statement = statement.offset(start).limit(size)
        rows = reader.execute(statement).all()
        return Page([token_from_row(row, moment) for row in rows], matching, shown, pages, counts)

    return read(state, listed)


def _matches(row: Sequence[Any], search: str) -> bool:
    """Return whether a search finds a row of a token ID, texts and a hint, of which the end is enough."""
    wanted = search.casefold()
    *texts, hint = (text.casefold() for text in row[1:])
    is_hint = len(wanted) >= HINT_TAIL and hint.endswith(wanted.replace("...", "…"))
    return is_hint or str(row[0]) == wanted or any(wanted in text for text in texts)


def _conditions(table: Table, moment: datetime) -> dict[str, ColumnElement[bool]]:
    """Return the condition of each status but that of expiring tokens."""
    expires = table.c.expires_at
    return {
        "active": or_(expires.is_(None), expires > moment),
        "expired": expires <= moment,
        "unused": table.c.last_used_at.is_(None),
    }


def _order(table: Table, sort: str, expired: ColumnElement[bool]) -> list[ColumnElement[Any]]:
    keys = {
        "name": func.lower(table.c.name),
        "created": table.c.created_at,
        "expires": table.c.expires_at,
        "used": table.c.last_used_at,
    }
    key = sort.removeprefix("-")
    column = keys.get(key, table.c.created_at)
    descending = sort not in keys
    # NULL means never: later than any date of expiry, earlier than any use. Databases disagree on where NULLs go.
    never = case((column.is_(None), 1 if key == "expires" else -1), else_=0)
    return [
        case((expired, 1), else_=0),
        never.desc() if descending else never,
        column.desc() if descending else column,
        table.c.id,
    ]
