"""The token table as earlier versions created it, for tests of the upgrade."""

from typing import Any

import sqlalchemy as sa

from flask_access_tokens.models import _string, _text, _timestamp


def first_release(name: str, owner: sa.Column[Any] | None = None) -> sa.Table:
    """The table of 0.1.0, whose unique constraints have no names.

    :param owner: the column that identifies an owner, for a model of the host's own with a foreign key.
    """
    metadata = sa.MetaData()
    key: tuple[Any, ...] = (_string(255),)
    if owner is not None:
        owner.table.to_metadata(metadata)
        key = (owner.type, sa.ForeignKey(f"{owner.table.name}.{owner.name}", ondelete="CASCADE"))
    return sa.Table(
        name,
        metadata,
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("owner_id", *key, index=True, nullable=False),
        sa.Column("name", _string(100), nullable=False),
        sa.Column("description", _string(255), nullable=False),
        sa.Column("digest", _string(64), unique=True, nullable=False),
        sa.Column("scheme", _string(32), nullable=False),
        sa.Column("hint", _string(40), nullable=False),
        sa.Column("scopes", _text(), nullable=False),
        sa.Column("created_at", _timestamp(), nullable=False),
        sa.Column("expires_at", _timestamp()),
        sa.Column("last_used_at", _timestamp()),
        sa.Column("nonce", _string(32), unique=True),
    )


def before_names(name: str, owner: sa.Column[Any] | None = None) -> sa.Table:
    """The table of a version between 0.1.0 and the next release, with further unique constraints without names.

    On PostgreSQL it has an index by scope, which other databases have not.
    """
    table = first_release(name, owner)
    table.append_column(sa.Column("last_used_from", _string(255)))
    table.append_column(sa.Column("generated_by", _string(255)))
    table.append_column(sa.Column("replaces", sa.Uuid, unique=True))
    table.append_column(sa.Column("noticed_days", sa.Integer))
    table.append_column(sa.Column("seat", _string(64), unique=True))
    times = ["created_at", "expires_at", "last_used_at"]
    for time, *others in (times, [times[1], times[2], times[0]], [times[2], times[1], times[0]]):
        sa.Index(None, *(table.c[column] for column in (time, "id", *others)))
    sa.Index(None, table.c.hint)
    words = sa.func.string_to_array(table.c.scopes, sa.literal_column("' '"))
    sa.Index(f"ix_{name}_scopes", words, postgresql_using="gin").ddl_if(dialect="postgresql")
    return table
