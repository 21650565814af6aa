"""Pooled connections that the server has closed, as a restart does: each read is repeated on a new one."""

import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask, session
from flask_login import LoginManager, UserMixin, login_user
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Mapped, mapped_column

from databases import close_connections
from desk import DESK, OPERATOR
from flask_access_tokens import AccessTokens, clock, current_token, token_expiring, token_required, tokens
from flask_access_tokens.state import current_state
from flask_access_tokens.store import desk, lookup, owners, rotation, summary
from flask_access_tokens.store.filters import Filter
from host import Host, bearer
from pages import NEW, PAGE, delete_path, edit_path, token_fields
from programs import INTROSPECT, OPEN, REVOKE, ROTATE, SELF, VERIFY

DRIVERS = ("postgresql+psycopg", "postgresql+psycopg2", "mariadb+pymysql")
"""pg8000 raises an error of the socket, which SQLAlchemy does not take for a closed connection."""


def people(db: SQLAlchemy) -> Any:
    """Map people whose ``is_active`` has to be asked of the object."""

    class Person(db.Model):  # type: ignore[name-defined,misc]
        id: Mapped[str] = mapped_column(sa.String(50), primary_key=True)

        @property
        def is_active(self) -> bool:
            return self.id != "gone"

    return Person.id


class Restarted:
    """A host whose database server closes all pooled connections before each thing that is done."""

    def __init__(self, host: Host) -> None:
        self.host = host
        with host.app.app_context():
            self.engine = host.db.engine
        self.wrong: dict[str, Any] = {}

    def close(self) -> None:
        with self.engine.connect(), self.engine.connect(), self.engine.connect():
            pass
        close_connections(self.engine)

    def ask(self, name: str, call: Callable[[], Any], right: Any = 200) -> None:
        """Note what a call returns, or the status of its response, where that is not right."""
        self.close()
        try:
            found = call()
        except Exception as error:
            found = error
        found = getattr(found, "status_code", found)
        if found != right:
            self.wrong[name] = found

    def read(self, name: str, call: Callable[[], Any], right: Any) -> None:
        """As :meth:`ask`, for an operation in a context of its own."""

        def run() -> Any:
            with self.host.app.app_context():
                return call()

        self.ask(name, run, right)


@pytest.fixture(params=DRIVERS)
def restarted(
    request: pytest.FixtureRequest, make_host: Callable[..., Host], server_database: Callable[..., str]
) -> Iterator[Restarted]:
    kind = request.param.partition("+")[0]
    url = sa.make_url(server_database(kind, "closing")).set(drivername=request.param)
    host = make_host(url.render_as_string(hide_password=False), owner=people, **OPEN)
    person = host.app.extensions["access_tokens"].owner.class_
    with host.app.app_context():
        host.db.session.add_all([person(id=name) for name in ("ann", "bob", OPERATOR)])
        host.db.session.commit()
    host.access_tokens.operator_loader(lambda: OPERATOR if session.get("person") == OPERATOR else None)
    host.app.get("/owner")(token_required(lambda: current_token.owner.id))
    restarted = Restarted(host)
    yield restarted
    restarted.engine.dispose()


@pytest.mark.case("S13")
def test_every_door_answers_after_the_server_has_closed_all_pooled_connections(restarted: Restarted) -> None:
    host, ask = restarted.host, restarted.ask
    made, other = host.generate("ann", scopes=["introspect"]), host.generate("ann", "phone")
    header, ann, olga = bearer(made.secret), host.client("ann"), host.client(OPERATOR)
    form = {"token": other.secret}
    for path in (PAGE, NEW, edit_path(made.token), delete_path(made.token), f"{PAGE}{made.token.id}/rotate"):
        ask(f"GET {path}", lambda path=path: ann.get(path))
    ask("POST new", lambda: ann.post(NEW, data=token_fields("new")))
    ask("POST edit", lambda: ann.post(edit_path(made.token), data={"name": "renamed", "description": ""}), 303)
    for path in ("", "?status=active&sort=-used", "?owner=ann", "?q=ann", "new"):
        ask(f"GET desk {path}", lambda path=path: olga.get(DESK + path))
    ask("POST desk find", lambda: olga.post(f"{DESK}find", data={"secret": made.secret}))
    ask("GET desk delete, chosen", lambda: olga.get(f"{DESK}delete?token={other.token.id}"))
    ask("GET desk delete, all", lambda: olga.get(f"{DESK}delete?everything=1&status=active"))
    for path in ("/api", "/owner", "/optional", SELF, VERIFY):
        ask(path, lambda path=path: host.client().get(path, headers=header))
    ask("introspect", lambda: host.client().post(INTROSPECT, data=form, headers=header))
    ask("rotate", lambda: host.client().post(ROTATE, headers=header))
    ask("rotate again", lambda: host.client().post(ROTATE, headers=header))
    ask("revoke", lambda: host.client().post(REVOKE, data=form))
    ask("POST delete", lambda: ann.post(delete_path(made.token)), 303)
    assert restarted.wrong == {}


@pytest.mark.case("S13", "S24")
def test_every_reading_operation_returns_what_is_there_after_the_server_has_closed_all_connections(
    restarted: Restarted,
) -> None:
    host, read = restarted.host, restarted.read
    made = host.generate("ann")
    with host.app.app_context():
        new = tokens.rotate("ann", made.token.id)
        state = current_state()
    both, moment = [{made.token.id, new.token.id}], clock.now() + timedelta(seconds=1)

    def ids(found: Any) -> Any:
        return [{token.id for token in found}]

    read("find", lambda: ids([tokens.find(made.secret), tokens.find(new.secret)]), both)
    read("find_all", lambda: ids(tokens.find_all([made.secret, new.secret])), both)
    read("get", lambda: tokens.get("ann", made.token.id).id, made.token.id)  # type: ignore[union-attr]
    read("owned_by", lambda: ids(tokens.owned_by("ann")), both)
    read("page", lambda: ids(tokens.page("ann", search="lap").tokens), both)
    read("iter_all", lambda: ids(tokens.iter_all()), both)
    read("orphans", lambda: list(tokens.orphans()), [])
    read("prune", lambda: tokens.prune(0, dry_run=True), 0)
    read("count_by_scheme", lambda: tokens.count_by_scheme(), {"sha256": 2})
    read("owner", lambda: tokens.get("ann", made.token.id).owner.id, "ann")  # type: ignore[union-attr]
    read("owners", lambda: list(owners.owners_of(state, ["ann", "bob"])), ["ann", "bob"])
    read("owner alone", lambda: owners.load_owner(state, "ann").id, "ann")
    read("unknown owners", lambda: owners.unknown_owners(state, ["ann", "carl"]), {"carl"})
    read("some owners", lambda: owners.some_owner_ids(state), ["ann"])
    read("successor", lambda: rotation.successor_of(state, made.token)[0].id, new.token.id)  # type: ignore[union-attr]
    read("successors", lambda: ids(rotation.iter_successors(state, [made.token.id])), [{new.token.id}])
    read("list", lambda: ids(desk.filtered(state, Filter()).tokens), both)
    read("count", lambda: desk.count(state, Filter()), 2)
    read("overview", lambda: desk.overview(state)["active"], 2)
    read("chosen", lambda: ids(desk.chosen_tokens(state, [made.token.id, new.token.id])), both)
    read("summary", lambda: summary.summary(state, Filter(), moment).number, 2)
    read("lookup", lambda: lookup.lookup(state, {"sha256": "0" * 64}), None)
    assert restarted.wrong == {}


@pytest.mark.case("S13", "S24")
def test_every_command_works_after_the_server_has_closed_all_pooled_connections(
    restarted: Restarted, tmp_path: Path
) -> None:
    host = restarted.host
    made, other = host.generate("ann", lifetime_days=5), host.generate("ann", "phone")
    adopted = tmp_path / "adopted.jsonl"
    adopted.write_text(json.dumps({"owner_id": "ann", "name": "old", "secret": made.secret}) + "\n")
    told: list[Any] = []

    def tell(_: Any, token: Any, **extra: Any) -> None:
        told.append(token.id)

    token_expiring.connect(tell, host.app)
    for command, text in (
        ("list", ""),
        ("list ann", ""),
        ("find", made.secret),
        ("prune --dry-run", ""),
        ("prune --orphans --dry-run", ""),
        ("notify --dry-run", ""),
        ("notify", ""),
        (f"adopt --dry-run {adopted}", ""),
        ("generate ann new", ""),
        (f"rotate ann {made.token.id}", ""),
        ("delete --stdin", made.secret),
        (f"delete ann {other.token.id}", ""),
        ("delete-all ann", ""),
    ):
        restarted.ask(command, lambda command=command, text=text: host.call(*command.split(), stdin=text).exit_code, 0)
    restarted.ask("doctor", lambda: "check-failed" in host.call("doctor").output, False)
    assert (restarted.wrong, told) == ({}, [made.token.id])


@pytest.mark.case("S13")
def test_in_a_transaction_that_the_host_began_nothing_is_read_again(restarted: Restarted) -> None:
    host = restarted.host
    made = host.generate("ann")
    with host.app.app_context():
        host.db.session.execute(sa.text("SELECT 1"))
        close_connections(restarted.engine)
        for read in (
            lambda: tokens.owned_by("ann"),
            lambda: owners.load_owner(current_state(), "ann"),
            lambda: tokens.find(made.secret),
        ):
            with pytest.raises(sa.exc.SQLAlchemyError):
                read()
        host.db.session.rollback()
        assert len(tokens.owned_by("ann")) == 1


@pytest.mark.case("S13")
@pytest.mark.parametrize("driver", DRIVERS)
def test_the_page_is_shown_where_the_user_loader_of_flask_login_meets_a_closed_connection(
    server_database: Callable[..., str], driver: str
) -> None:
    app = Flask("host")
    kind = driver.partition("+")[0]
    url = sa.make_url(server_database(kind, "closing by a loader")).set(drivername=driver)
    app.config.update(TESTING=True, SECRET_KEY="a key for tests", WTF_CSRF_ENABLED=False)
    app.config["SQLALCHEMY_DATABASE_URI"] = url.render_as_string(hide_password=False)
    db = SQLAlchemy(app)

    class User(UserMixin, db.Model):  # type: ignore[name-defined,misc]
        id: Mapped[int] = mapped_column(primary_key=True)

    AccessTokens(app, db, owner=User.id)
    LoginManager(app).user_loader(lambda user_id: db.session.get(User, int(user_id)))
    app.add_url_rule("/sign-in", "sign_in", lambda: str(login_user(db.session.get(User, 1))))
    app.add_url_rule("/both", "both", token_required(or_session=True)(lambda: "in"))
    with app.app_context():
        db.create_all()
        db.session.add(User(id=1))
        db.session.commit()
        engine = db.engine
    client = app.test_client()
    client.get("/sign-in")
    for path in (PAGE, NEW, "/both"):
        with engine.connect(), engine.connect():
            pass
        close_connections(engine)
        assert client.get(path).status_code == 200
    with app.app_context():
        db.session.remove()
        db.drop_all()
        engine.dispose()


def test_a_loader_that_fails_otherwise_is_called_once(host: Host) -> None:
    called: list[int] = []

    def load() -> Any:
        called.append(1)
        raise OperationalError(None, None, Exception("gone"))

    host.access_tokens.identity_loader(load)
    assert host.client().get(PAGE).status_code == 503
    assert called == [1]
