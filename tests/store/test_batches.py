"""Many tokens at once: found by their secrets, and deleted."""

from typing import Any

import pytest

from flask_access_tokens import secret, token_deleted, tokens
from flask_access_tokens.secret import Secret
from flask_access_tokens.store import batches, reads
from host import Host


def test_find_all_returns_a_token_or_none_for_each_secret(stored_host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reads, "BATCH", 3)
    stored_host.app.config["ACCESS_TOKENS_PEPPERS"] = ["key"]
    made = [stored_host.generate(f"owner {number}") for number in range(5)]
    texts: list[Any] = [
        made[3].secret,
        "",
        "pat_x",
        str(secret.generate("pat")),
        made[0].secret,
        Secret(made[1].secret),
    ]
    with stored_host.app.app_context():
        found = list(tokens.find_all([*texts, made[3].secret]))
        assert list(tokens.find_all([])) == []
    expected = [made[3], None, None, None, made[0], made[1], made[3]]
    assert [token and token.id for token in found] == [new and new.token.id for new in expected]
    assert [token.owner_id for token in found if token is not None] == ["owner 3", "owner 0", "owner 1", "owner 3"]


def test_texts_that_are_no_secrets_take_no_statement(host: Host) -> None:
    with host.statements() as statements, host.app.app_context():
        assert list(tokens.find_all(["", "x", "pat_x"])) == [None, None, None]
    assert statements == []


@pytest.mark.case("G06")
def test_find_all_accepts_a_row_only_with_the_digest_of_its_own_scheme(stored_host: Host) -> None:
    made = stored_host.generate("ann")
    stored_host.app.config["ACCESS_TOKENS_PEPPERS"] = ["gone"]
    keyed = stored_host.generate("ann")
    stored_host.app.config["ACCESS_TOKENS_PEPPERS"] = []
    with stored_host.app.app_context():
        assert [token is not None for token in tokens.find_all([made.secret, keyed.secret])] == [True, False]
        model = stored_host.access_tokens.model
        for row in stored_host.db.session.query(model):
            row.scheme = secret.schemes(["gone"])[0]
        stored_host.db.session.commit()
        assert list(tokens.find_all([made.secret])) == [None]


def test_delete_many_deletes_tokens_of_any_owners_and_returns_those_that_were_there(
    stored_host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tokens, "BATCH", 2)
    made = [stored_host.generate(f"owner {number % 2}").token for number in range(5)]
    heard: list[Any] = []

    def note(sender: Any, token: Any, **extra: Any) -> None:
        heard.append((token.id, extra))

    with stored_host.app.app_context(), token_deleted.connected_to(note, stored_host.app):
        tokens.delete(made[1].owner_id, made[1].id)
        heard.clear()
        deleted = tokens.delete_many(made[:4], by="ann")
        assert tokens.delete_many(made[:4]) == []
        assert [token.id for token in tokens.iter_all()] == [made[4].id]
    assert [token.id for token in deleted] == [made[0].id, made[2].id, made[3].id]
    assert heard == [(token.id, {"by": "ann"}) for token in deleted]


def test_a_batch_is_no_larger_than_a_statement_may_be() -> None:
    assert batches.BATCH <= 999  # parameters, on SQLite before 3.32
