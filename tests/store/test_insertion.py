"""The row of a new token."""

from typing import Any

import pytest
import sqlalchemy as sa

from flask_access_tokens import tokens
from host import Host


@pytest.mark.parametrize(("by", "shown"), [("cli", "cli"), (7, "7"), ("ann", None), ("token", None), (None, None)])
def test_a_token_tells_who_generated_it_where_that_was_not_its_owner(
    stored_host: Host, by: Any, shown: str | None
) -> None:
    new = stored_host.generate("ann", by=by)
    with stored_host.app.app_context():
        old = tokens.get("ann", new.token.id)
        successor = tokens.rotate("ann", new.token.id, by=by)
    assert old is not None
    assert [old.generated_by, new.token.generated_by, successor.token.generated_by] == [shown] * 3


def test_one_nonce_generates_one_token(stored_host: Host) -> None:
    stored_host.generate("ann", nonce="once")
    with stored_host.app.app_context():
        with pytest.raises(tokens.AlreadyGenerated) as refusal:
            tokens.generate("ann", "laptop", nonce="once")
        message = "This token was already generated. Its secret was shown once and cannot be shown again."
        assert (str(refusal.value), refusal.value.field) == (message, None)
        assert len(tokens.owned_by("ann")) == 1
        tokens.generate("ann", "laptop", nonce="n")
        assert len(tokens.owned_by("ann")) == 2


@pytest.mark.case("S18")
def test_one_nonce_generates_a_token_for_each_owner(stored_host: Host) -> None:
    made = stored_host.generate("ann", nonce="once")
    stored_host.generate("bob", nonce="once")
    stored_host.generate("bob", nonce=made.token.id.hex)
    with stored_host.app.app_context():
        tokens.rotate("ann", made.token.id)
        with pytest.raises(tokens.AlreadyGenerated):
            tokens.generate("bob", "laptop", nonce="once")


def test_a_nonce_that_an_earlier_version_stored_as_it_was_given_generates_no_other_token(stored_host: Host) -> None:
    stored_host.generate("ann", nonce="once")
    with stored_host.app.app_context():
        stored_host.db.session.execute(sa.update(stored_host.access_tokens.model).values(nonce="once"))
        stored_host.db.session.commit()
        with pytest.raises(tokens.AlreadyGenerated):
            tokens.generate("ann", "laptop", nonce="once")
