"""A host with an operators' desk, and tokens of every kind on it."""

from datetime import timedelta
from typing import Any

import sqlalchemy as sa
from flask import session
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy.orm import Mapped, mapped_column

from flask_access_tokens import clock, tokens
from host import Host

DESK = "/access-tokens/all/"
OPERATOR = "olga"
LONG_ID = "w" * 255

_TOKENS: tuple[tuple[str, str, str, int, int, float | None], ...] = (
    # the owner, the name, who generated it, days since then, its lifetime in days, days since its last use
    ("ann", "Nightly backup", "ann", 10, 365, 0.1),
    ("ann", "Build server", "cli", 300, -1, 120),
    ("bob", "Phone", OPERATOR, 20, 30, 1),
    ("bob", "Old laptop", "bob", 120, 90, 40),
    ("bob", "Spreadsheet", "bob", 150, 365, None),
    ("carl", "Monitoring", "carl", 5, 90, None),
)


def people(db: SQLAlchemy) -> Any:
    """Map people with names; return the column that identifies them."""

    class Person(db.Model):  # type: ignore[name-defined,misc]
        id: Mapped[str] = mapped_column(sa.String(255), primary_key=True)
        name: Mapped[str] = mapped_column(sa.String(100))

        def __str__(self) -> str:
            return self.name

    return Person.id


def open_desk(host: Host) -> None:
    """Let Olga be the operator of a host with :func:`people`, and add the people."""
    host.access_tokens.operator_loader(lambda: OPERATOR if session.get("person") == OPERATOR else None)
    person = host.app.extensions["access_tokens"].owner.class_
    with host.app.app_context():
        for id_, name in (("ann", "Ann"), ("bob", "Bob"), ("carl", "Carl"), (OPERATOR, "Olga"), (LONG_ID, "M" * 100)):
            host.db.session.add(person(id=id_, name=name))
        host.db.session.commit()


def generate_aged(host: Host, owner: str, name: str, by: str, age: int, lifetime: int, used: float | None) -> None:
    """Generate a token that is some days old, and was last used some days ago."""
    with host.app.app_context():
        new = tokens.generate(owner, name, lifetime_days=lifetime, scopes=["read"], by=by)
        row: Any = host.db.session.get(host.access_tokens.model, new.token.id)
        row.created_at -= timedelta(days=age)
        row.expires_at = row.expires_at and row.expires_at - timedelta(days=age)
        row.last_used_at = None if used is None else clock.now() - timedelta(days=used)
        host.db.session.commit()


def fill_desk(host: Host) -> None:
    """Fill two pages: tokens that are active, used, asleep, expired, replaced, long, and of an owner who is gone."""
    for number in range(24):
        host.generate("ann", f"robot {number:02}")
    for row in _TOKENS:
        generate_aged(host, *row)
    host.generate(LONG_ID, "W" * 100, description="d" * 255, scopes=["read", "write"], by=LONG_ID)
    with host.app.app_context():
        replaced = tokens.generate("ann", "Rotated")
        tokens.rotate("ann", replaced.token.id)
        # In SQL, as by hand: the host's session would delete Carl's tokens too.
        table = host.app.extensions["access_tokens"].owner.class_.__table__
        host.db.session.execute(sa.delete(table).where(table.c.id == "carl"))
        host.db.session.commit()
