"""The limit of live tokens."""

import pytest

from flask_access_tokens import (
    tokens,
)
from flask_access_tokens.tokens import TokenRefused
from host import Clock, Host


def test_the_limit_counts_live_tokens_of_one_owner(stored_host: Host, clock: Clock) -> None:
    stored_host.app.config["ACCESS_TOKENS_MAX_PER_OWNER"] = 2
    stored_host.generate("bob")
    stored_host.generate("ann", lifetime_days=1)
    stored_host.generate("ann", lifetime_days=-1)
    with stored_host.app.app_context():
        with pytest.raises(TokenRefused) as refusal:
            tokens.generate("ann", "laptop")
        assert str(refusal.value) == "You already have 2 tokens, the most allowed. Delete one first."
        assert refusal.value.field is None
        assert len(tokens.owned_by("ann")) == 2
    clock.pass_(days=1)
    stored_host.generate("ann")


def test_a_limit_of_one_is_in_the_singular(host: Host) -> None:
    host.app.config["ACCESS_TOKENS_MAX_PER_OWNER"] = 1
    host.generate("ann")
    with host.app.app_context(), pytest.raises(TokenRefused) as refusal:
        tokens.generate("ann", "laptop")
    assert str(refusal.value) == "You already have 1 token, the most allowed. Delete it first."
