"""The check leaves the host's transaction alone."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from flask import g

from flask_access_tokens import current_token, token_required, tokens
from host import Host, bearer


@pytest.fixture(params=["sqlite in memory", "sqlite", "postgresql", "mariadb"])
def any_url(request: pytest.FixtureRequest, tmp_path: Path, server_database: Callable[[str], str]) -> str:
    if request.param == "sqlite in memory":
        return "sqlite://"
    return f"sqlite:///{tmp_path / 'host.sqlite3'}" if request.param == "sqlite" else server_database(request.param)


def _host_with_things(make_host: Callable[..., Host], url: str) -> tuple[Host, Any]:
    """A host with a table of its own, and two guarded views that add a row to it."""
    host = Host(url)
    host.app.config["ACCESS_TOKENS_LAST_USED_INTERVAL"] = 0
    db = host.db

    class Thing(db.Model):  # type: ignore[misc, name-defined]
        id = sa.Column(sa.Integer, primary_key=True)
        name = sa.Column(sa.String(20))

    @host.app.post("/things/<name>")
    @token_required
    def add(name: str) -> dict[str, str]:
        db.session.add(Thing(name=name))
        db.session.flush()
        return {"owner": current_token.owner_id}

    @host.app.post("/things/<name>/commit")
    @token_required
    def add_and_commit(name: str) -> dict[str, str]:
        db.session.add(Thing(name=name))
        db.session.commit()
        return {"owner": current_token.owner_id}

    with host.app.app_context():
        db.create_all()
    return host, Thing


def _drop(host: Host) -> None:
    with host.app.app_context():
        host.db.session.remove()
        host.db.drop_all()
        host.db.engine.dispose()


@pytest.mark.case("E07", "E09")
def test_only_the_view_decides_which_of_its_changes_are_committed(
    make_host: Callable[..., Host], any_url: str
) -> None:
    host, thing = _host_with_things(make_host, any_url)
    try:
        with host.app.app_context():
            made = tokens.generate("ann", "laptop")
        client, headers = host.client(), bearer(made.secret)
        assert client.post("/things/loose", headers=headers).status_code == 200
        assert client.post("/things/kept/commit", headers=headers).status_code == 200
        assert client.post("/things/loose", headers=headers).status_code == 200
        with host.app.app_context():
            assert host.db.session.scalars(sa.select(thing.name)).all() == ["kept"]
            (token,) = tokens.owned_by("ann")
        assert token.last_used_at is not None
    finally:
        _drop(host)


@pytest.mark.case("E09")
def test_the_check_expires_and_flushes_nothing_of_the_host(make_host: Callable[..., Host], any_url: str) -> None:
    host, thing = _host_with_things(make_host, any_url)
    try:
        with host.app.app_context():
            made = tokens.generate("ann", "laptop")
            host.db.session.add(thing(id=1, name="before"))
            host.db.session.commit()

        @host.app.before_request
        def load_and_change() -> None:
            g.loaded = host.db.session.get(thing, 1)
            g.added = thing(name="pending")
            host.db.session.add(g.added)

        @host.app.get("/look")
        @token_required
        def look() -> dict[str, bool]:
            state = sa.inspect(g.loaded)
            return {"expired": bool(state.expired_attributes), "pending": sa.inspect(g.added).pending}

        answer = host.client().get("/look", headers=bearer(made.secret)).get_json()
        assert answer == {"expired": False, "pending": True}
    finally:
        _drop(host)
