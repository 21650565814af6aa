"""The operations on tokens: generate, find, list and delete them.

Each needs an application context. Those that write commit the host's session.
"""

import uuid
from collections.abc import Iterable, Iterator
from datetime import timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, func, insert, or_, select, true
from sqlalchemy import delete as delete_from
from sqlalchemy.exc import IntegrityError

from . import clock, policy
from . import secret as _secret
from .policy import TokenRefused
from .secret import Secret
from .signals import token_deleted, token_generated
from .state import UNLIMITED, State, current_state
from .store.connections import StoreError, reading, writing
from .store.entities import NewToken, Page, Token, status_at
from .store.limits import enforce_limit
from .store.listing import page
from .store.lookup import lookup
from .store.rows import COLUMNS, of_owner, owner_value, parse_token_id, select_tokens, token_from_row, token_table
from .texts import gettext as _

__all__ = [
    "AlreadyGenerated",
    "NewToken",
    "Page",
    "StoreError",
    "Token",
    "TokenRefused",
    "count_by_scheme",
    "delete",
    "delete_all",
    "find",
    "generate",
    "get",
    "is_well_formed",
    "iter_all",
    "owned_by",
    "page",
    "prune",
]

MAX_NONCE = 32
"""Characters."""

BATCH = 500
"""Rows that one statement of an operator reads or deletes."""


class AlreadyGenerated(TokenRefused):
    """The same form was sent before: its token exists, and its secret was shown then."""


def generate(
    owner_id: object,
    name: str,
    *,
    description: str = "",
    lifetime_days: int | None = None,
    scopes: Iterable[str] = (),
    nonce: str | None = None,
) -> NewToken:
    """Generate a token for an owner and commit it.

    :param owner_id: the host's ID of the owner: an int, a UUID or text.
    :param name: one line of 1 to 100 characters.
    :param description: one line of at most 255 characters.
    :param lifetime_days: days until the token expires; None for the configured default, -1 for never.
    :param scopes: the names of declared scopes that this owner may grant.
    :param nonce: text of 1 to 32 characters for which at most one token is ever generated.
    :return: the token and its secret.
    :raises TokenRefused: where a name, lifetime or scope is not allowed, or the owner holds as many tokens as they
        may; nothing is stored then.
    :raises ValueError: for an owner ID or a nonce of another form.
    :raises StoreError: where the database cannot be used.
    """
    if nonce is not None and not 0 < len(nonce) <= MAX_NONCE:
        raise ValueError(f"A nonce is text of 1 to {MAX_NONCE} characters.")
    state = current_state()
    owner = policy.validate_owner_id(owner_id)
    granted = policy.validate_scopes(owner, scopes)
    days = policy.default_lifetime() if lifetime_days is None else policy.validate_lifetime(lifetime_days)
    created = clock.now()
    expires = None if days == UNLIMITED else created + timedelta(days=days)
    secret = _secret.generate(state.prefixes[0])
    new = NewToken(
        Token(
            id=uuid.uuid4(),
            owner_id=owner,
            name=policy.validate_name(name),
            description=policy.validate_description(description),
            scopes=granted,
            created_at=created,
            expires_at=expires,
            last_used_at=None,
            hint=_secret.hint(secret),
            status=status_at(created, expires),
        ),
        secret,
    )
    _store(state, new.token, *next(iter(_secret.candidate_digests(secret, state.peppers).items())), nonce)
    token_generated.send(state.app, token=new.token)
    return new


def find(secret: str | Secret) -> Token | None:
    """Return the live token of a secret; None where it is malformed, unknown, deleted or expired.

    Scopes, the feature flag and whether the owner may act are left to the caller.

    :raises StoreError: where the database cannot be used.
    """
    if not isinstance(secret, (str, Secret)):
        return None
    secret = Secret(str(secret))  # crash reporters print the local variables of every frame
    state = current_state()
    if not _secret.is_well_formed(str(secret), state.prefixes):
        return None
    match = lookup(state, _secret.candidate_digests(secret, state.peppers))
    return None if match is None or match.token.expired else match.token


def is_well_formed(text: str) -> bool:
    """Return whether text has the form of a secret of this application: a known prefix, the length, the checksum.

    It asks no database, so it tells secrets of this extension from other bearer tokens at no cost.
    """
    return isinstance(text, str) and _secret.is_well_formed(text, current_state().prefixes)


def owned_by(owner_id: object) -> list[Token]:
    """Return every token of an owner, the newest first.

    :raises StoreError: where the database cannot be used.
    """
    state = current_state()
    columns = token_table(state).c
    statement = select_tokens(state).where(of_owner(state, policy.validate_owner_id(owner_id)))
    with reading(state) as connection:
        rows = connection.execute(statement.order_by(columns.created_at.desc(), columns.id)).all()
    moment = clock.now()
    return [token_from_row(row, moment) for row in rows]


def get(owner_id: object, token_id: object) -> Token | None:
    """Return one token of an owner, or None where they have none with this ID.

    :param token_id: a UUID, or its text.
    :raises StoreError: where the database cannot be used.
    """
    state = current_state()
    mine = of_owner(state, policy.validate_owner_id(owner_id))
    wanted = parse_token_id(token_id)
    if wanted is None:
        return None
    with reading(state) as connection:
        row = connection.execute(select_tokens(state).where(mine, token_table(state).c.id == wanted)).first()
    return None if row is None else token_from_row(row, clock.now())


def delete(owner_id: object, token_id: object) -> bool:
    """Delete one token of an owner and commit. It is refused from then on.

    :param token_id: a UUID, or its text.
    :return: whether it was deleted: False where they have none with this ID.
    :raises StoreError: where the database cannot be used.
    """
    state = current_state()
    token = get(owner_id, token_id)
    if token is None:
        return False
    mine = and_(of_owner(state, token.owner_id), token_table(state).c.id == token.id)
    with writing(state) as connection:
        deleted = connection.execute(delete_from(token_table(state)).where(mine)).rowcount == 1
    if deleted:
        token_deleted.send(state.app, token=token)
    return deleted


def delete_all(owner_id: object) -> int:
    """Delete every token of an owner and commit.

    :return: how many there were.
    :raises StoreError: where the database cannot be used.
    """
    state = current_state()
    mine = of_owner(state, policy.validate_owner_id(owner_id))
    with reading(state) as connection:
        rows = connection.execute(select_tokens(state).where(mine)).all()
    if not rows:
        return 0
    with writing(state) as connection:
        count = connection.execute(delete_from(token_table(state)).where(mine)).rowcount
    _send_deleted(state, rows)
    return count


def prune(expired_days: int = 30, *, dry_run: bool = False) -> int:
    """Delete the tokens of all owners that expired more than a number of days ago, in batches.

    :param expired_days: whole days from 0.
    :param dry_run: only count them.
    :return: how many were deleted, or would be.
    :raises ValueError: where ``expired_days`` is negative or not a whole number.
    :raises StoreError: where the database cannot be used.
    """
    if type(expired_days) is not int or not 0 <= expired_days <= policy.MAX_DAYS:
        raise ValueError(f"expired_days is {expired_days!r}. Give a whole number of days from 0 to {policy.MAX_DAYS}.")
    state = current_state()
    columns = token_table(state).c
    old = columns.expires_at < clock.now() - timedelta(days=expired_days)
    if dry_run:
        with reading(state) as connection:
            return connection.execute(select(func.count()).select_from(token_table(state)).where(old)).scalar_one()
    pruned = 0
    while True:
        with writing(state) as connection:
            rows = connection.execute(select_tokens(state).where(old).limit(BATCH)).all()
            chosen = and_(columns.id.in_([row[0] for row in rows]), old)
            pruned += connection.execute(delete_from(token_table(state)).where(chosen)).rowcount if rows else 0
        _send_deleted(state, rows)
        if len(rows) < BATCH:
            return pruned


def iter_all() -> Iterator[Token]:
    """Iterate over the tokens of all owners, in batches, so that no connection is held in between.

    :raises StoreError: where the database cannot be used.
    """
    state = current_state()
    columns = token_table(state).c
    statement = select_tokens(state).order_by(columns.owner_id, columns.id).limit(BATCH)
    after: ColumnElement[bool] = true()
    while True:
        with reading(state) as connection:
            rows = connection.execute(statement.where(after)).all()
        moment = clock.now()
        for row in rows:
            yield token_from_row(row, moment)
        if len(rows) < BATCH:
            return
        last = rows[-1]
        after = or_(columns.owner_id > last[1], and_(columns.owner_id == last[1], columns.id > last[0]))


def count_by_scheme() -> dict[str, int]:
    """Return the number of tokens by the scheme of their digest, which tells when a pepper is no longer needed.

    :raises StoreError: where the database cannot be used.
    """
    state = current_state()
    scheme = token_table(state).c.scheme
    with reading(state) as connection:
        rows = connection.execute(select(scheme, func.count()).group_by(scheme)).all()
    return {row[0]: row[1] for row in rows}


def _store(state: State, token: Token, scheme: str, digest: str, nonce: str | None) -> None:
    """Insert the row of a new token and commit it."""
    row = {key: getattr(token, key) for key in COLUMNS}
    row |= {"owner_id": owner_value(state, token.owner_id), "scopes": " ".join(token.scopes)}
    row |= {"digest": digest, "scheme": scheme, "nonce": nonce}
    try:
        with writing(state) as connection:
            if _nonce_used(connection, state, token.owner_id, nonce):
                raise _already_generated()
            with enforce_limit(connection, state, token.owner_id):
                connection.execute(insert(token_table(state)), row)
    except (IntegrityError, TokenRefused):
        # Where the same form came twice at once, the other one may have taken the last place.
        with reading(state) as connection:
            used = _nonce_used(connection, state, token.owner_id, nonce)
        if used:
            raise _already_generated() from None
        raise


def _nonce_used(connection: Connection, state: State, owner_id: str, nonce: str | None) -> bool:
    if nonce is None:
        return False
    columns = token_table(state).c
    statement = select(columns.id).where(of_owner(state, owner_id), columns.nonce == nonce)
    return connection.execute(statement).first() is not None


def _already_generated() -> AlreadyGenerated:
    return AlreadyGenerated(
        _("This token was already generated. Its secret was shown once and cannot be shown again.")
    )


def _send_deleted(state: State, rows: Iterable[Any]) -> None:
    moment = clock.now()
    for row in rows:
        token_deleted.send(state.app, token=token_from_row(row, moment))
