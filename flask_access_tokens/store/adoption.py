"""The rows of adopted tokens: which are there already, and the insertion of the others, many at once."""

import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from sqlalchemy import Connection, Row, insert, or_, select
from sqlalchemy.exc import IntegrityError

from .. import secret as _secret
from ..policy import TokenRefused
from ..secret import Digest, Secret
from ..state import State
from .connections import read_rows
from .entities import Token
from .insertion import row_of_token
from .owners import no_such_owner, unknown_owners
from .table import is_of_owner, token_table
from .transactions import in_transaction, savepoint

_BATCH = 200
"""Tokens in one statement, of which each may have several digests."""


@dataclass(slots=True)
class Candidate:
    """A token to adopt, and by what its row is known if it is there already."""

    token: Token
    digests: Mapping[str, str] = field(repr=False)
    """The digests of the secret by scheme, the one to store first."""
    nonce: str | None = field(repr=False)
    """What remains in the row of a digest of an earlier system when the digest is replaced on use."""

    @property
    def keys(self) -> set[str]:
        """What two candidates for the same secret have in common."""
        return set(self.digests.values())


class NotAdoptable(TokenRefused):
    """Some candidates cannot be adopted, because of what the database holds.

    :param problems: the places of the candidates, and why.
    """

    def __init__(self, problems: Sequence[tuple[int, TokenRefused]]) -> None:
        super().__init__(str(problems[0][1]))
        self.problems = problems


def candidate(state: State, token: Token, secret: Secret | Digest) -> Candidate:
    """Return what to adopt for a secret, or for the digest that an earlier system stored of it."""
    if isinstance(secret, Digest):
        nonce = sha256(f"{secret.algorithm}:{secret.hexadecimal}".encode()).hexdigest()[:32]
        return Candidate(token, {secret.algorithm: secret.stored}, nonce)
    return Candidate(token, _secret.candidate_digests(secret, state.peppers), None)


def adopt_missing(state: State, candidates: Sequence[Candidate], *, dry_run: bool = False) -> list[uuid.UUID | None]:
    """Insert the rows of those candidates that are not there, and commit; all of them or none.

    :return: the ID of the token that is there already for each candidate; None for one that was inserted, or would be.
    :raises NotAdoptable: where owners do not exist, or others have the same secrets; nothing is inserted then.
    """
    if dry_run:
        return _find(state, candidates)

    def insert_missing(connection: Connection) -> list[uuid.UUID | None]:
        found = _find(state, candidates)
        try:
            with savepoint(connection):
                _insert(connection, state, candidates, found)
        except IntegrityError:
            # Others have adopted some at the same time. A locking read sees them at every isolation level of MariaDB.
            found = _find(state, candidates, lock=True)
            _insert(connection, state, candidates, found)
        return found

    return in_transaction(state, insert_missing)


def _insert(
    connection: Connection, state: State, candidates: Sequence[Candidate], found: Sequence[uuid.UUID | None]
) -> None:
    table, rows = token_table(state), []
    for one, token_id in zip(candidates, found, strict=True):
        if token_id is None:
            scheme, digest = next(iter(one.digests.items()))
            rows.append(row_of_token(state, one.token) | {"scheme": scheme, "digest": digest, "nonce": one.nonce})
    for start in range(0, len(rows), _BATCH):
        connection.execute(insert(table), rows[start : start + _BATCH])


def _find(state: State, candidates: Sequence[Candidate], *, lock: bool = False) -> list[uuid.UUID | None]:
    """Return the ID of the token that is there already for each candidate.

    :raises NotAdoptable: where owners do not exist, or others have the same secrets.
    """
    matches = [next((row for row in found if row is not None), None) for found in _rows(state, candidates, lock=lock)]
    unknown = unknown_owners(state, {one.token.owner_id for one in candidates})
    problems = []
    for place, (one, row) in enumerate(zip(candidates, matches, strict=True)):
        if one.token.owner_id in unknown:
            problems.append((place, no_such_owner()))
        elif row is not None and not is_of_owner(row, one.token.owner_id):
            problems.append((place, TokenRefused("Another owner has a token with this secret.", "secret")))
    if problems:
        raise NotAdoptable(problems)
    return [None if row is None else row.id for row in matches]


def _rows(state: State, candidates: Sequence[Candidate], *, lock: bool) -> Iterator[list[Row[Any] | None]]:
    """Yield the rows that are there for each candidate, by each of its digests and its nonce."""
    model = state.model
    for start in range(0, len(candidates), _BATCH):
        batch = candidates[start : start + _BATCH]
        nonces = [one.nonce for one in batch if one.nonce is not None]
        same = model.digest.in_(sorted(set().union(*(one.keys for one in batch))))
        statement = select(model.id, model.owner_id, model.digest, model.scheme, model.nonce)
        statement = statement.where(or_(same, model.nonce.in_(nonces)) if nonces else same)
        if lock:
            statement = statement.with_for_update(read=True)
        rows = read_rows(state, statement)
        by_digest = {(row.scheme, row.digest): row for row in rows}
        by_nonce = {row.nonce: row for row in rows if row.nonce is not None}
        for one in batch:
            yield [*(by_digest.get(pair) for pair in one.digests.items()), by_nonce.get(one.nonce)]
