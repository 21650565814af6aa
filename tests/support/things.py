"""A table of the host, with a view that writes to it."""

from typing import Any

import sqlalchemy as sa

from flask_access_tokens import (
    token_required,
)
from host import Host


def with_things(host: Host) -> Any:
    """Add a table to the host, and a view that adds a row to it; return the model."""

    class Thing(host.db.Model):  # type: ignore[name-defined,misc]
        id = sa.Column(sa.Integer, primary_key=True)
        name = sa.Column(sa.String(20))

    with host.app.app_context():
        host.db.create_all()

    @host.app.post("/things/<how>")
    @token_required
    def add(how: str) -> str:
        thing = Thing(name=how)
        host.db.session.add(thing)
        if how != "add":
            host.db.session.flush()
        if how == "commit":
            host.db.session.commit()
        return "added"

    return Thing


def counted(host: Host, model: Any) -> int:
    with host.app.app_context():
        count: int = host.db.session.execute(sa.select(sa.func.count()).select_from(model)).scalar_one()
        return count
