"""The operations on tokens: generate, find, list, update and delete them.

Each needs an application context. Those that write commit the host's session.
"""

import uuid
from collections.abc import Iterable, Iterator
from datetime import timedelta

from sqlalchemy import ColumnElement, Connection, and_, func, or_, select, true
from sqlalchemy import delete as delete_from
from sqlalchemy import update as update_table
from sqlalchemy.exc import DBAPIError, IntegrityError

from . import clock, policy
from . import secret as _secret
from .policy import TokenRefused
from .secret import Secret
from .signals import token_deleted, token_generated
from .state import UNLIMITED, State, current_state
from .store.batches import delete_where, iter_where
from .store.connections import StoreError, reading, reads
from .store.entities import NewToken, Page, Token, status_at
from .store.limits import insert_within_limit
from .store.listing import page
from .store.lookup import lookup
from .store.owners import is_orphan
from .store.rows import COLUMNS, parse_token_id, select_tokens, token_from_row
from .store.table import is_of_owner, of_owner, owner_value, token_table
from .store.transactions import in_transaction, is_conflict
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
    "orphans",
    "owned_by",
    "page",
    "prune",
    "update",
]

MAX_NONCE = 32
"""Characters."""


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
            status=status_at(created, created, expires),
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


@reads
def owned_by(owner_id: object) -> list[Token]:
    """Return every token of an owner, the newest first.

    :raises StoreError: where the database cannot be used.
    """
    state = current_state()
    owner, columns = policy.validate_owner_id(owner_id), token_table(state).c
    statement = select_tokens(state).where(of_owner(state, owner)).order_by(columns.created_at.desc(), columns.id)
    with reading(state) as reader:
        rows = reader.execute(statement).all()
    moment = clock.now()
    return [token_from_row(row, moment) for row in rows if is_of_owner(row, owner)]


@reads
def get(owner_id: object, token_id: object) -> Token | None:
    """Return one token of an owner, or None where they have none with this ID.

    :param token_id: a UUID, or its text.
    :raises StoreError: where the database cannot be used.
    """
    state = current_state()
    owner = policy.validate_owner_id(owner_id)
    mine, wanted = of_owner(state, owner), parse_token_id(token_id)
    if wanted is None:
        return None
    with reading(state) as reader:
        row = reader.execute(select_tokens(state).where(mine, token_table(state).c.id == wanted)).first()
    return token_from_row(row, clock.now()) if row is not None and is_of_owner(row, owner) else None


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

    def delete_row(connection: Connection) -> bool:
        mine = and_(of_owner(state, token.owner_id), token_table(state).c.id == token.id)
        return connection.execute(delete_from(token_table(state)).where(mine)).rowcount == 1

    try:
        deleted = in_transaction(state, delete_row)
    except DBAPIError as error:
        # Where the conflict was with another deletion of this token, that one has answered the question.
        if not is_conflict(error) or get(owner_id, token.id) is not None:
            raise
        deleted = False
    if deleted:
        token_deleted.send(state.app, token=token)
    return deleted


def update(
    owner_id: object, token_id: object, *, name: str | None = None, description: str | None = None
) -> Token | None:
    """Change the name or the description of a token and commit it. Its secret stays valid.

    :param token_id: a UUID, or its text.
    :param name: one line of 1 to 100 characters; None to keep the name.
    :param description: one line of at most 255 characters; None to keep the description.
    :return: the token as it is now, or None where the owner has none with this ID.
    :raises TokenRefused: where a text is not allowed; nothing is stored then.
    :raises StoreError: where the database cannot be used.
    """
    state = current_state()
    values = {} if name is None else {"name": policy.validate_name(name)}
    if description is not None:
        values["description"] = policy.validate_description(description)
    token = get(owner_id, token_id)
    if token is None or not values:
        return token

    def update_row(connection: Connection) -> None:
        mine = and_(of_owner(state, token.owner_id), token_table(state).c.id == token.id)
        connection.execute(update_table(token_table(state)).where(mine).values(values))

    in_transaction(state, update_row)
    return get(token.owner_id, token.id)


def delete_all(owner_id: object) -> int:
    """Delete every token of an owner and commit, in batches.

    :return: how many there were.
    :raises StoreError: where the database cannot be used.
    """
    state = current_state()
    owner = policy.validate_owner_id(owner_id)
    return _delete_where(state, of_owner(state, owner), owner)


def prune(expired_days: int = 30, *, orphans: bool = False, dry_run: bool = False) -> int:
    """Delete the tokens of all owners that expired more than a number of days ago, in batches.

    :param expired_days: whole days from 0.
    :param orphans: also delete the tokens whose owner does not exist.
    :param dry_run: only count them.
    :return: how many were deleted, or would be.
    :raises ValueError: where ``expired_days`` is negative or not a whole number.
    :raises RuntimeError: for orphans, where the extension was set up without ``owner=``.
    :raises StoreError: where the database cannot be used.
    """
    if type(expired_days) is not int or not 0 <= expired_days <= policy.MAX_DAYS:
        raise ValueError(f"expired_days is {expired_days!r}. Give a whole number of days from 0 to {policy.MAX_DAYS}.")
    state = current_state()
    doomed: ColumnElement[bool] = token_table(state).c.expires_at < clock.now() - timedelta(days=expired_days)
    if orphans:
        doomed = or_(doomed, is_orphan(state))
    if not dry_run:
        return _delete_where(state, doomed)
    with reading(state) as reader:
        return reader.execute(select(func.count(state.model.id)).where(doomed)).scalar_one()


def iter_all() -> Iterator[Token]:
    """Iterate over the tokens of all owners, in batches, so that no connection is held in between.

    :raises StoreError: where the database cannot be used.
    """
    return iter_where(current_state(), true())


def orphans() -> Iterator[Token]:
    """Iterate over the tokens whose owner does not exist, in batches.

    :raises RuntimeError: where the extension was set up without ``owner=``.
    :raises StoreError: where the database cannot be used.
    """
    state = current_state()
    return iter_where(state, is_orphan(state))


@reads
def count_by_scheme() -> dict[str, int]:
    """Return the number of tokens by the scheme of their digest, which tells when a pepper is no longer needed.

    :raises StoreError: where the database cannot be used.
    """
    state = current_state()
    model = state.model
    with reading(state) as reader:
        rows = reader.execute(select(model.scheme, func.count(model.id)).group_by(model.scheme)).all()
    return {row[0]: row[1] for row in rows}


def _store(state: State, token: Token, scheme: str, digest: str, nonce: str | None) -> None:
    """Insert the row of a new token and commit it."""
    row = {key: getattr(token, key) for key in COLUMNS}
    row |= {"owner_id": owner_value(state, token.owner_id), "scopes": " ".join(token.scopes)}
    row |= {"digest": digest, "scheme": scheme, "nonce": nonce}

    def insert_row(connection: Connection) -> None:
        if _nonce_used(state, token.owner_id, nonce):
            raise _already_generated()
        insert_within_limit(connection, state, token.owner_id, row)

    try:
        in_transaction(state, insert_row)
    except (DBAPIError, TokenRefused) as error:
        # Where the same form came twice at once, the other one may have been first, or have taken the last place.
        known = isinstance(error, (IntegrityError, TokenRefused)) or is_conflict(error)
        if known and _nonce_used(state, token.owner_id, nonce):
            raise _already_generated() from None
        raise


def _nonce_used(state: State, owner_id: str, nonce: str | None) -> bool:
    if nonce is None:
        return False
    statement = select_tokens(state).where(of_owner(state, owner_id), token_table(state).c.nonce == nonce)
    with reading(state) as reader:
        return any(is_of_owner(row, owner_id) for row in reader.execute(statement))


def _already_generated() -> AlreadyGenerated:
    return AlreadyGenerated(
        _("This token was already generated. Its secret was shown once and cannot be shown again.")
    )


def _delete_where(state: State, condition: ColumnElement[bool], owner_id: str | None = None) -> int:
    deleted = 0
    for chosen, count in delete_where(state, condition, owner_id):
        deleted += count
        for token in chosen:
            token_deleted.send(state.app, token=token)
    return deleted
