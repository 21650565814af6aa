"""The reading operations: tokens by their secrets, one token by its ID, and all tokens of an owner."""

from collections.abc import Iterable, Iterator
from itertools import islice

from .. import clock, policy
from .. import secret as _secret
from ..secret import Secret
from ..state import State, current_state
from .batches import BATCH
from .connections import read_rows
from .entities import NewToken, Token
from .lookup import lookup, lookup_all
from .rows import parse_token_id, select_tokens, token_from_row
from .table import is_of_owner, of_owner, token_table


def find(secret: str | Secret) -> Token | None:
    """Return the live token of a secret; None where it is malformed, unknown, deleted or expired.

    Scopes, the feature flag and whether the owner may act are left to the caller.

    :raises StoreError: where the database cannot be used.
    """
    if not isinstance(secret, (str, Secret)):
        return None
    secret = _masked(secret)  # crash reporters print the local variables of every frame
    state = current_state()
    recognized = _recognize(state, secret)
    if recognized is None:
        return None
    match = lookup(state, _secret.candidate_digests(recognized, state.peppers))
    return None if match is None or match.token.expired else match.token


def find_all(secrets: Iterable[str | Secret]) -> Iterator[Token | None]:
    """Iterate over the tokens of many secrets, in batches, so that no connection is held in between.

    Unlike :func:`find`, it finds expired tokens too: after a leak, what they were used for matters. Their status is
    ``expired``.

    :param secrets: texts of any form.
    :return: for each secret, in the same order, its token; None where it is malformed, unknown or deleted. An adopted
        secret whose digest was adopted too has two tokens: the other one is found once this one is deleted.
    :raises StoreError: where the database cannot be used.
    """
    masked = map(_masked, secrets)
    del secrets  # as above
    for found in find_each(masked):
        yield found[0] if found else None


def find_each(secrets: Iterable[Secret]) -> Iterator[list[Token]]:
    """Iterate over all tokens of many secrets: an adopted one has several where its digest was adopted too."""
    state, remaining = current_state(), iter(secrets)
    digests = 1 + len(state.peppers) + (state.adopted is not None)  # of one secret
    while batch := list(islice(remaining, max(1, BATCH // digests))):
        peppers, recognized = state.peppers, [_recognize(state, each) for each in batch]
        yield from lookup_all(
            state, [{} if each is None else _secret.candidate_digests(each, peppers) for each in recognized]
        )


def _masked(secret: str | Secret) -> Secret:
    return secret if isinstance(secret, Secret) else Secret(secret)


def _recognize(state: State, secret: Secret) -> Secret | None:
    """Return what is digested of a secret; None where no token can have it."""
    return secret if secret.adopted else _secret.recognize(str(secret), state.prefixes, state.adopted)


def owned_by(owner_id: object) -> list[Token]:
    """Return every token of an owner, the newest first.

    :raises StoreError: where the database cannot be used.
    """
    state = current_state()
    owner, columns = policy.validate_owner_id(owner_id), token_table(state).c
    statement = select_tokens(state).where(of_owner(state, owner)).order_by(columns.created_at.desc(), columns.id)
    rows, moment = read_rows(state, statement), clock.now()
    return [token_from_row(row, moment) for row in rows if is_of_owner(row, owner)]


def get(owner_id: object, token_id: object) -> Token | None:
    """Return one token of an owner, or None where they have none with this ID.

    :param token_id: a UUID, or its text.
    :raises TypeError: for a token, or a secret.
    :raises StoreError: where the database cannot be used.
    """
    state = current_state()
    owner = policy.validate_owner_id(owner_id)
    mine, wanted = of_owner(state, owner), parse_token_id(token_id)
    if wanted is None:
        text = Secret(token_id.decode(errors="ignore") if isinstance(token_id, bytes) else str(token_id).strip())
        if isinstance(token_id, (Token, NewToken, state.model)) or _recognize(state, text):
            raise TypeError("This is a token or a secret. Pass the ID of a token: token.id.")
        return None
    rows = read_rows(state, select_tokens(state).where(mine, token_table(state).c.id == wanted))
    return next((token_from_row(row, clock.now()) for row in rows if is_of_owner(row, owner)), None)
