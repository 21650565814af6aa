"""The objects that the operations return: tokens and pages of tokens, without their digests."""

import uuid
from dataclasses import dataclass, fields, replace
from datetime import datetime, timedelta
from typing import Any

from ..secret import Secret
from ..state import current_state
from .owners import load_owner

EXPIRING = timedelta(days=15)
"""The time before its expiry from which a token may be expiring."""


@dataclass(eq=False)
class Token:
    """An access token as it was when it was read. Times are aware and in UTC.

    Its fields are public. The digest is not among them and neither is the owner, so nothing that
    serializes, copies or prints a token can show them.
    """

    __slots__ = (
        "_owner",
        "created_at",
        "description",
        "expires_at",
        "generated_by",
        "hint",
        "id",
        "last_used_at",
        "last_used_from",
        "name",
        "owner_id",
        "replaced",
        "replaces",
        "scopes",
        "status",
    )

    id: uuid.UUID
    owner_id: str
    name: str
    description: str
    scopes: tuple[str, ...]
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None
    last_used_from: str | None
    """The address and the ``User-Agent`` of the last use, where ``ACCESS_TOKENS_LAST_USED_FROM`` is on."""
    hint: str
    generated_by: str | None
    """Who generated the token: the ID of an operator, ``"cli"`` or another word; None for the owner, or if unknown."""
    replaces: uuid.UUID | None
    """The ID of the predecessor."""
    replaced: bool
    """Whether the token has a successor."""
    status: str
    """``active``, ``expiring``, ``replaced`` (it works until the overlap ends) or ``expired``."""

    @property
    def owner(self) -> Any:
        """The owner, as the host's loader returns it or as ``owner=`` maps it; loaded once, when first asked for."""
        if not hasattr(self, "_owner"):
            self._owner = load_owner(current_state(), self.owner_id)
        return self._owner

    @property
    def expired(self) -> bool:
        """Whether the token had expired when it was read."""
        return self.status == "expired"

    def __getstate__(self) -> tuple[None, dict[str, Any]]:
        return None, {field.name: getattr(self, field.name) for field in fields(self)}


class NewToken:
    """A token with its secret, which exists as text only here. The repr masks the secret."""

    __slots__ = ("_secret", "token")

    def __init__(self, token: Token, secret: Secret) -> None:
        self.token = token
        self._secret = secret

    @property
    def secret(self) -> str:
        """The text to hand to the client. It is not stored."""
        return str(self._secret)

    def __repr__(self) -> str:
        return f"<NewToken {self.token.id} {self.token.hint}>"


@dataclass(frozen=True, slots=True)
class Page:
    """One page of an owner's tokens, with the number of their tokens by status."""

    tokens: list[Token]
    matching: int
    number: int
    pages: int
    counts: dict[str, int]


def status_at(moment: datetime, created_at: datetime, expires_at: datetime | None, *, replaced: bool = False) -> str:
    """Return the status of a token at a time: active, expiring, replaced or expired.

    It is expiring when at most 15 days and at most a quarter of its lifetime are left, and expires at the very instant
    (RFC 7519 §4.1.4). It is replaced while it works beside its successor.

    :param replaced: whether it has a successor.
    """
    left = None if expires_at is None else expires_at - moment
    if left is not None and left <= timedelta(0):
        return "expired"
    if replaced:
        return "replaced"
    if expires_at is None or left is None:
        return "active"
    return "expiring" if left <= EXPIRING and left * 4 <= expires_at - created_at else "active"


def as_replaced(token: Token, moment: datetime, ends: datetime) -> Token:
    """Return a token as it is at a time with a successor, when it works until its overlap ends or it expires."""
    expires = ends if token.expires_at is None else min(token.expires_at, ends)
    status = status_at(moment, token.created_at, expires, replaced=True)
    return replace(token, expires_at=expires, replaced=True, status=status)
