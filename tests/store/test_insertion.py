"""The row of a new token."""

from typing import Any

import pytest

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
