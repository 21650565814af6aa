"""Adoption: the secrets that an earlier system handed out become tokens, so that its clients keep them."""

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from . import clock, policy
from . import secret as _secret
from .policy import TokenRefused
from .secret import Digest, Secret
from .state import UNLIMITED, State, current_state
from .store.adoption import Candidate, NotAdoptable, adopt_missing, candidate
from .store.entities import Token, status_at
from .store.owners import no_such_owner, unknown_owners
from .store.reads import get
from .store.table import owner_value
from .strength import weakness

_FIRST_YEAR, _LAST_YEAR = 1970, 9998
"""Other times are errors of an export, or stand for "never"; in another time zone, not all of them can be read."""


@dataclass(frozen=True, slots=True)
class Entry:
    """What is to be adopted, not validated yet; the fields are the parameters of :func:`adopt`."""

    owner_id: object
    secret: Secret | Digest
    name: str
    description: str = ""
    scopes: Iterable[str] = ()
    created_at: datetime | None = None
    expires_at: datetime | None = None
    last_used_at: datetime | None = None


@dataclass(slots=True)
class Outcome:
    """What :func:`adopt_all` did, or found wrong."""

    adopted: int = 0
    present: int = 0
    """Tokens that were there already, with the same secret and owner."""
    problems: list[tuple[int, ValueError]] = field(default_factory=list)
    """The places of the entries that cannot be adopted, and why. Nothing is adopted where there is one."""


def adopt(
    owner_id: object,
    secret: str | Secret | Digest,
    name: str,
    *,
    description: str = "",
    scopes: Iterable[str] = (),
    created_at: datetime | None = None,
    expires_at: datetime | None = None,
    last_used_at: datetime | None = None,
    allow_uuid4: bool = False,
) -> Token:
    """Adopt a secret of an earlier system as a token, so that its client can keep it, and commit.

    Adopting a secret again changes nothing. No limit on the number of tokens applies, and no signal is sent.

    :param owner_id: the host's ID of the owner: an int, a UUID or text.
    :param secret: the text that the client sends, of the form that ``ACCESS_TOKENS_ADOPTED`` describes, or the digest
        that the earlier system stored of it. How strong the secret behind a digest is cannot be checked.
    :param name: one line of 1 to 100 characters.
    :param description: one line of at most 255 characters.
    :param scopes: the names of declared scopes that this owner may grant.
    :param created_at: when the earlier system generated it, an aware datetime; None for now.
    :param expires_at: when it expires, an aware datetime; None for the maximum lifetime from now, or never where the
        host has set none.
    :param last_used_at: when it was last used, an aware datetime; None for never.
    :param allow_uuid4: whether to adopt a UUID of version 4.
    :return: the token; the existing one where the owner already has one with this secret.
    :raises TokenRefused: where the secret is too weak or of another form, it belongs to another owner, or a value is
        not allowed; nothing is stored then.
    :raises ValueError: for an owner ID or a secret of another type.
    :raises StoreError: where the database cannot be used.
    """
    if isinstance(secret, str):
        secret = Secret(secret)  # crash reporters print the local variables of every frame
    entry = Entry(owner_id, secret, name, description, scopes, created_at, expires_at, last_used_at)
    state = current_state()
    prepared = _prepare(state, entry, allow_uuid4)
    (found,) = adopt_missing(state, [prepared])
    return (found and get(prepared.token.owner_id, found)) or prepared.token


def adopt_all(entries: Sequence[Entry], *, allow_uuid4: bool = False, dry_run: bool = False) -> Outcome:
    """Adopt many secrets in one transaction, all or none, and commit it.

    :param allow_uuid4: whether to adopt UUIDs of version 4.
    :param dry_run: only look for problems, and count.
    :return: how many were adopted and how many were there already, or every problem.
    :raises StoreError: where the database cannot be used.
    """
    state, outcome = current_state(), Outcome()
    prepared: dict[int, Candidate] = {}
    owners: dict[int, str] = {}
    for place, entry in enumerate(entries):
        try:
            owners[place] = _validate_owner(state, entry.owner_id)
        except ValueError as refused:
            outcome.problems.append((place, refused))
    unknown = unknown_owners(state, owners.values())  # first: the host's scopes loader may not expect them
    for place, owner_id in owners.items():
        try:
            if owner_id in unknown:
                raise no_such_owner()
            prepared[place] = _prepare(state, entries[place], allow_uuid4)
        except ValueError as refused:
            outcome.problems.append((place, refused))
    prepared = _without_repeated(prepared, outcome)
    places = list(prepared)
    try:
        found = adopt_missing(state, list(prepared.values()), dry_run=dry_run or bool(outcome.problems))
    except NotAdoptable as refused:
        outcome.problems += [(places[place], reason) for place, reason in refused.problems]
    else:
        outcome.adopted = found.count(None)
        outcome.present += len(found) - outcome.adopted
    outcome.problems.sort(key=lambda problem: problem[0])
    return outcome


def _prepare(state: State, entry: Entry, allow_uuid4: bool) -> Candidate:
    """Return what to adopt for an entry.

    :raises TokenRefused: where a value is not allowed.
    :raises ValueError: for an owner ID or a secret of another type.
    """
    moment = clock.now()
    owner_id = _validate_owner(state, entry.owner_id)
    secret = _validate_secret(state, entry.secret, allow_uuid4)
    created = moment if entry.created_at is None else _validate_past(entry.created_at, "created_at", moment)
    expires = _validate_expiry(entry.expires_at, moment)
    used = None if entry.last_used_at is None else _validate_past(entry.last_used_at, "last_used_at", moment)
    token = Token(
        id=uuid.uuid4(),
        owner_id=owner_id,
        name=policy.validate_name(entry.name),
        description=policy.validate_description(entry.description),
        scopes=policy.validate_scopes(owner_id, entry.scopes),
        created_at=created,
        expires_at=expires,
        last_used_at=used,
        last_used_from=None,
        hint=_secret.hint(secret),
        generated_by=None,
        replaces=None,
        replaced=False,
        status=status_at(moment, created, expires),
    )
    return candidate(state, token, secret)


def _validate_owner(state: State, given: object) -> str:
    owner_id = policy.validate_owner_id(given)
    try:
        owner_value(state, owner_id)
    except ValueError:
        # Without the ID: where columns of a file were mixed up, it may be a secret.
        raise TokenRefused(
            "The column owner_id cannot hold this owner ID. Give the ID of an owner.", "owner_id"
        ) from None
    return owner_id


def _validate_secret(state: State, secret: Secret | Digest, allow_uuid4: bool) -> Secret | Digest:
    if isinstance(secret, Digest):
        if state.adopted is None:
            raise _adopted_not_set()
        return secret
    if not isinstance(secret, Secret):
        raise ValueError(f"A secret is a string or a Digest, not {type(secret).__name__}. Pass one of these.")
    recognized = _secret.recognize(str(secret), state.prefixes, state.adopted)
    # First: nobody should change the pattern for the sake of a weak secret.
    own = recognized is not None and not recognized.adopted
    weak = None if own else weakness(str(recognized or secret), allow_uuid4=allow_uuid4)
    if weak is not None:
        raise TokenRefused(f"The secret cannot be adopted. {weak}", "secret")
    if recognized is None and not _secret.can_be_sent(str(secret)):
        raise TokenRefused(
            "The secret has a blank, comma, quote, backslash or a character that is not ASCII. Requests with it would"
            " be refused. Its client needs a new token.",
            "secret",
        )
    if recognized is None and state.adopted is None:
        raise _adopted_not_set()
    if recognized is None:
        raise TokenRefused(
            "Requests with this secret would be refused, because ACCESS_TOKENS_ADOPTED does not match it. Set a"
            " regular expression that does.",
            "secret",
        )
    return recognized


def _adopted_not_set() -> TokenRefused:
    return TokenRefused(
        "Requests with this secret would be refused, because ACCESS_TOKENS_ADOPTED is not set. Set a regular"
        " expression that matches the secrets of the earlier system.",
        "secret",
    )


def _validate_past(value: datetime, name: str, moment: datetime) -> datetime:
    time = _validate_time(value, name)
    if time > moment:
        raise TokenRefused(f"{name} is in the future. Correct it, or leave it out.", name)
    return time


def _validate_expiry(value: datetime | None, moment: datetime) -> datetime | None:
    most = policy.max_lifetime()
    latest = None if most == UNLIMITED else moment + timedelta(days=most)
    if value is None:
        return latest
    time = _validate_time(value, "expires_at")
    if time <= moment:
        raise TokenRefused("The token has already expired. Do not adopt it.", "expires_at")
    if latest is not None and time > latest:
        raise TokenRefused(
            f"The token would expire later than {most} days from now, the maximum lifetime. Give an earlier time, or"
            " none.",
            "expires_at",
        )
    return time


def _validate_time(value: datetime, name: str) -> datetime:
    if not isinstance(value, datetime) or value.tzinfo is None:
        raise TokenRefused(f"{name} is not an aware datetime. Give one with a time zone, such as UTC.", name)
    try:
        time = clock.as_utc(value)
    except OverflowError:
        time = value
    if time.year < _FIRST_YEAR:
        raise TokenRefused(f"{name} is before {_FIRST_YEAR}. Correct it.", name)
    if time.year > _LAST_YEAR:
        raise TokenRefused(f"{name} is after {_LAST_YEAR}. Correct it, or leave it out.", name)
    return time


def _without_repeated(prepared: dict[int, Candidate], outcome: Outcome) -> dict[int, Candidate]:
    """Return the candidates without those whose secret an earlier one has, and count or report these."""
    kept: dict[int, Candidate] = {}
    owners: dict[str, str] = {}
    for place, one in prepared.items():
        owner_id = next((owners[key] for key in one.keys if key in owners), None)
        if owner_id is None:
            kept[place] = one
            owners.update(dict.fromkeys(one.keys, one.token.owner_id))
        elif owner_id == one.token.owner_id:
            outcome.present += 1
        else:
            refused = TokenRefused(
                "An earlier entry has the same secret for another owner. Remove the wrong one.", "secret"
            )
            outcome.problems.append((place, refused))
    return kept
