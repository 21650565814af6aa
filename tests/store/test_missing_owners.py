"""Owners who do not exist: they get no token, whatever their ID, and have none."""

import uuid
from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa

from flask_access_tokens import tokens
from flask_access_tokens.state import current_state
from flask_access_tokens.store.owners import load_owner
from flask_access_tokens.tokens import TokenRefused
from host import SEPARATE_STDERR
from load import at_once
from owned import OwnedHost

Make = Callable[..., OwnedHost]

NOBODY = [7, 99_999_999_999, -99_999_999_999, 2**63, 10**30]
REFUSED = r"^No owner has this ID\.$"


def call(host: OwnedHost, *arguments: str) -> Any:
    return host.app.test_cli_runner(**SEPARATE_STDERR).invoke(args=["access-tokens", *arguments])


@pytest.mark.case("S16")
def test_an_owner_who_does_not_exist_gets_no_token(make_owned: Make) -> None:
    host = make_owned()
    host.add("ann")
    host.app.config["ACCESS_TOKENS_ADOPTED"] = "[0-9A-Za-z]{30}"
    host.access_tokens.scopes_loader(lambda owner_id: host.db.session.get_one(host.user, owner_id) and [])
    for owner in NOBODY:
        with host.app.app_context():
            with pytest.raises(TokenRefused, match=REFUSED) as refusal:
                tokens.generate(owner, "laptop", scopes=["read"])
            assert refusal.value.field == "owner_id"
            with pytest.raises(TokenRefused, match=REFUSED):
                tokens.adopt(owner, "0123456789abcdefghijABCDEFGHIJ", "old")
        ran = call(host, "generate", "--", str(owner), "laptop")
        assert (ran.exit_code, ran.stdout, ran.stderr) == (1, "", "Error: No owner has this ID.\n")
    assert host.owners() == []


@pytest.mark.case("S16", "S24")
@pytest.mark.parametrize("kind", [sa.SmallInteger, sa.Integer, sa.BigInteger])
def test_an_owner_id_of_any_length_is_answered(make_owned: Make, kind: Any) -> None:
    host = make_owned(id=sa.orm.mapped_column(kind, primary_key=True))
    ann = host.add("ann", id=1)
    header = host.generate(ann)
    for owner in NOBODY:
        with host.app.app_context():
            assert load_owner(current_state(), str(owner)) is None
            assert tokens.owned_by(owner) == []
            assert tokens.get(owner, uuid.uuid4()) is None
            assert tokens.page(owner).matching == tokens.delete_all(owner) == 0
            assert tokens.delete(owner, uuid.uuid4()) is False
            assert host.db.session.scalar(sa.select(1)) == 1
        assert call(host, "list", "--", str(owner)).exit_code == 0
        assert call(host, "delete-all", "--", str(owner)).stdout == "0 tokens deleted.\n"
    assert host.app.test_client().get("/api", headers=header).get_json() == {"owner": "1"}


@pytest.mark.case("S16")
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_sqlite_holds_longer_ids_than_the_type_says(make_owned: Make) -> None:
    host = make_owned()
    owner = host.add("ann", id=99_999_999_999)
    header = host.generate(owner)
    assert host.app.test_client().get("/name", headers=header).get_json() == {"name": "ann"}
    with host.app.app_context():
        assert load_owner(current_state(), str(owner)).name == "ann"
        assert tokens.delete_all(owner) == 1


@pytest.mark.case("S16")
@pytest.mark.parametrize("database_url", ["postgresql", "mariadb"], indirect=True)
@pytest.mark.parametrize("limit", [-1, 3])
def test_an_owner_who_is_deleted_at_the_same_moment_gets_no_token(make_owned: Make, limit: int) -> None:
    host = make_owned()
    host.app.config["ACCESS_TOKENS_MAX_PER_OWNER"] = limit
    ann = host.add("ann")
    left = [ann]

    def delete_first(connection: Any, cursor: Any, statement: str, *_: Any) -> None:
        if statement.startswith("INSERT") and left:
            id_ = left.pop()
            at_once(1, lambda _: host.run(lambda session: session.delete(session.get(host.user, id_))))

    with host.app.app_context():
        sa.event.listen(host.db.engine, "before_cursor_execute", delete_first)
        with pytest.raises(TokenRefused, match=REFUSED):
            tokens.generate(ann, "laptop")
    assert host.owners() == []


@pytest.mark.case("S16")
@pytest.mark.parametrize("path", ["new", "all/new?owner={}"], ids=["page", "desk"])
def test_a_form_for_an_owner_who_is_deleted_meanwhile_is_answered(make_owned: Make, path: str) -> None:
    host = make_owned()
    host.app.config.update(WTF_CSRF_ENABLED=False, ACCESS_TOKENS_SCOPES={"read": "Read things"})
    host.access_tokens.operator_loader(lambda: "olga")
    ann = host.add("ann")

    def delete(owner_id: str) -> list[str]:
        host.run(lambda session: session.execute(sa.delete(host.user)))
        return []

    host.access_tokens.scopes_loader(delete)
    client = host.app.test_client()
    client.get(f"/sign-in/{ann}")
    form = {"name": "laptop", "lifetime_days": "7"}
    answer = client.post(f"/access-tokens/{path.format(ann)}", data=form)
    assert (answer.status_code, "No owner has this ID." in answer.text) == (422, True)
    assert host.owners() == []
