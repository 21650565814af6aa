"""The row of a new token, and its insertion: once for a nonce, and within the limit."""

import uuid
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError

from .. import secret as _secret
from ..policy import TokenRefused
from ..state import UNLIMITED, State
from ..texts import gettext as _
from .connections import read_rows
from .entities import NewToken, Token, status_at
from .limits import insert_within_limit
from .owners import no_such_owner, unknown_owners
from .rows import COLUMNS, select_tokens
from .table import is_of_owner, of_owner, owner_value, token_table
from .transactions import in_transaction, is_conflict

MAX_NONCE = 32
"""Characters."""


class AlreadyGenerated(TokenRefused):
    """The same form was sent before: its token exists, and its secret was shown then."""


def new_token(
    state: State,
    owner_id: str,
    created: datetime,
    lifetime_days: int,
    *,
    name: str,
    description: str,
    scopes: tuple[str, ...],
    by: str | None,
    replaces: uuid.UUID | None = None,
) -> NewToken:
    """Return a new token with its secret, which is not stored yet. The values are validated already.

    :param lifetime_days: days, or -1 for a token that never expires.
    :param by: who generates it, where that is known.
    """
    expires = None if lifetime_days == UNLIMITED else created + timedelta(days=lifetime_days)
    secret = _secret.generate(state.prefixes[0])
    token = Token(
        id=uuid.uuid4(),
        owner_id=owner_id,
        name=name,
        description=description,
        scopes=scopes,
        created_at=created,
        expires_at=expires,
        last_used_at=None,
        last_used_from=None,
        hint=_secret.hint(secret),
        generated_by=None if by in (owner_id, "token") else by,  # a program with the token acts for the owner
        replaces=replaces,
        replaced=False,
        status=status_at(created, created, expires),
    )
    return NewToken(token, secret)


def row_of(state: State, new: NewToken) -> dict[str, Any]:
    """Return the values of a new token's row, with the digest of its secret."""
    scheme, digest = next(iter(_secret.candidate_digests(new.secret, state.peppers).items()))
    return row_of_token(state, new.token) | {"digest": digest, "scheme": scheme}


def row_of_token(state: State, token: Token) -> dict[str, Any]:
    """Return the values of a token's row, without its digest."""
    row = {key: getattr(token, key) for key in COLUMNS}
    return row | {"owner_id": owner_value(state, token.owner_id), "scopes": " ".join(token.scopes)}


def insert_new(state: State, new: NewToken, nonce: str | None) -> None:
    """Insert the row of a new token and commit it.

    :raises AlreadyGenerated: where the owner has a token with this nonce.
    :raises TokenRefused: where the owner holds as many tokens as allowed, or does not exist.
    """
    owner_id = new.token.owner_id
    row = row_of(state, new) | {"nonce": nonce and _digest_of_nonce(owner_id, nonce)}

    def insert_row(connection: Connection) -> None:
        if _nonce_used(state, owner_id, nonce):
            raise _already_generated()
        insert_within_limit(connection, state, owner_id, row)

    try:
        in_transaction(state, insert_row)
    except (DataError, OverflowError):
        raise no_such_owner() from None  # everything else is validated
    except (DBAPIError, TokenRefused) as error:
        # Where the same form came twice at once, the other one may have been first, or have taken the last place.
        known = isinstance(error, (IntegrityError, TokenRefused)) or is_conflict(error)
        if known and _nonce_used(state, owner_id, nonce):
            raise _already_generated() from None
        if isinstance(error, IntegrityError) and unknown_owners(state, [owner_id]):
            raise no_such_owner() from None  # deleted at the same moment
        raise


def _nonce_used(state: State, owner_id: str, nonce: str | None) -> bool:
    if nonce is None:
        return False
    # A row of an earlier version has it as it was given.
    either = token_table(state).c.nonce.in_([nonce, _digest_of_nonce(owner_id, nonce)])
    statement = select_tokens(state).where(of_owner(state, owner_id), either)
    return any(is_of_owner(row, owner_id) for row in read_rows(state, statement))


def _digest_of_nonce(owner_id: str, nonce: str) -> str:
    """Return what a row stores of a nonce, which is unique in the table: other owners may have the same one."""
    return sha256(f"{owner_id}\n{nonce}".encode()).hexdigest()[:MAX_NONCE]


def _already_generated() -> AlreadyGenerated:
    return AlreadyGenerated(
        _("This token was already generated. Its secret was shown once and cannot be shown again.")
    )
