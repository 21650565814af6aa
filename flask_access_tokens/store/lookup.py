"""The lookup: the one SELECT by which the guard finds a token, and the SELECT of many tokens by their secrets."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Select, bindparam, or_
from sqlalchemy.exc import DBAPIError

from .. import clock
from ..state import State
from .connections import Reader, connection_of, read, read_rows
from .direct import DirectSelect, plain_engine
from .entities import Token
from .owners import may_act, select_with_owner
from .rows import FURTHER, select_tokens, token_from_row
from .table import token_table


@dataclass(slots=True)
class Match:
    """A token found by its digest, with what the last-used update needs to know of its row."""

    token: Token
    digest: str = field(repr=False)
    scheme: str
    candidates: Mapping[str, str] = field(repr=False)
    """The digests of the secret by scheme, the one to store first."""
    selected_owner: Sequence[Any]
    """What the SELECT tells of the owner."""
    schema_map: Mapping[Any, Any] | None = field(repr=False)
    """The ``schema_translate_map`` of the connection that read it."""

    def owner_may_act(self, state: State) -> bool:
        """Return whether the owner exists and may act; they are loaded only where the SELECT does not tell."""
        told = may_act(state, self.token.owner_id, self.selected_owner)
        return self.token.owner is not None if told is None else told


def lookup(state: State, candidates: Mapping[str, str]) -> Match | None:
    """Find a token, expired ones included, by the digests that its row may carry; one SELECT.

    The host's session reads it, or the driver's connection where that returns the same. A row is accepted only with
    the digest of its own scheme, compared in Python: the collation of a column does not decide.

    :param candidates: the digests by scheme.
    :return: the match; None where no row has such a digest.
    :raises StoreError: where the database cannot be used.
    """
    row, schema_map = _first(state, _parameters(candidates.values()))
    if row is None:
        return None
    digest, scheme, *selected_owner = row[FURTHER:]
    if candidates.get(scheme) != digest:
        return None
    return Match(token_from_row(row, clock.now()), digest, scheme, candidates, selected_owner, schema_map)


def lookup_all(state: State, candidates: Sequence[Mapping[str, str]]) -> list[list[Token]]:
    """Find the tokens of several secrets, expired ones included, as :func:`lookup` finds one; one SELECT.

    :param candidates: for each secret, the digests by scheme; none for a text that is no secret.
    :return: for each secret, its token; several for an adopted one whose digest was adopted too.
    :raises StoreError: where the database cannot be used.
    """
    digests = [digest for each in candidates for digest in each.values()]
    statement = select_tokens(state, "digest", "scheme").where(token_table(state).c.digest.in_(digests))
    rows = {row[FURTHER]: row for row in read_rows(state, statement)} if digests else {}
    moment = clock.now()
    accepted = (
        [rows[digest] for scheme, digest in each.items() if digest in rows and rows[digest][-1] == scheme]
        for each in candidates
    )
    return [[token_from_row(row, moment) for row in found] for found in accepted]


_Found = tuple[Sequence[Any] | None, Mapping[Any, Any] | None]


def _first(state: State, parameters: dict[str, str]) -> _Found:
    """Return the first row with one of the digests, and the schema map that it was read with.

    Where the server has closed the driver's connection, the session reads instead: its first error lets the pool drop
    its other connections, which are closed as well after a restart of the server.
    """
    engine = plain_engine(state)
    key = None if engine is None else (engine.dialect, len(parameters))
    direct: DirectSelect | None = state.lookups.get(key)
    if engine is not None and direct is not None and direct.usable:
        try:
            return direct.first(engine, parameters), None
        except DBAPIError as error:
            error.hide_parameters = True
            if not error.connection_invalidated:
                raise

    def first(reader: Reader) -> _Found:
        row = reader.execute(_select(state, len(parameters)), parameters).first()
        return row, connection_of(state, reader).get_execution_options().get("schema_translate_map")

    found = read(state, first)
    if engine is not None and direct is None:
        # Only now: a dialect that has not connected does not know its server, and SQLAlchemy keeps what it answers.
        state.lookups[key] = DirectSelect(_select(state, len(parameters)), engine.dialect, parameters)
    return found


def _select(state: State, count: int) -> Select[Any]:
    """Return the SELECT by a number of digests, built once."""
    statement: Select[Any] | None = state.lookups.get(count)
    if statement is None:
        digest = token_table(state).c.digest
        same = or_(*(digest == bindparam(name) for name in _parameters([""] * count)))
        selected = select_with_owner(state, select_tokens(state, "digest", "scheme"))
        statement = state.lookups[count] = selected.where(same)
    return statement


def _parameters(digests: Iterable[str]) -> dict[str, str]:
    return {f"digest_{number}": digest for number, digest in enumerate(digests)}
