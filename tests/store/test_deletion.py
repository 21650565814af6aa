"""The deletion of rotated tokens, whose successors then replace their predecessors."""

from typing import Any

import pytest

from flask_access_tokens import tokens
from flask_access_tokens.tokens import AlreadyReplaced, NewToken
from host import Clock, Host
from load import at_once


def rotate(host: Host, new: NewToken, **values: Any) -> NewToken:
    with host.app.app_context():
        return tokens.rotate(new.token.owner_id, new.token.id, **values)


@pytest.mark.parametrize("way", ["delete", "delete_many", "prune"])
def test_a_token_has_one_successor_when_those_between_are_deleted(stored_host: Host, clock: Clock, way: str) -> None:
    chain = [stored_host.generate("ann", lifetime_days=-1)]
    for hours in (48, 0, 0, 0):
        chain.append(rotate(stored_host, chain[-1], overlap_hours=hours))
    between = [new.token.id for new in chain[1:-1]]
    clock.pass_(hours=2)
    with stored_host.app.app_context():
        if way == "delete":
            assert all(tokens.delete("ann", id_) for id_ in between)
        elif way == "delete_many":
            assert len(tokens.delete_many([each for each in tokens.owned_by("ann") if each.id in between])) == 3
        else:
            assert tokens.prune(0) == 3
        left = tokens.get("ann", chain[-1].token.id)
    assert left is not None
    assert left.replaces == chain[0].token.id
    with pytest.raises(AlreadyReplaced):
        rotate(stored_host, chain[0])


@pytest.mark.parametrize("way", ["delete", "delete_many"])
def test_a_token_that_is_rotated_while_it_is_deleted_leaves_no_place_for_a_second_successor(
    stored_host: Host, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    first = stored_host.generate("ann")
    second = rotate(stored_host, first)
    third: list[NewToken] = []
    get = tokens.get

    def get_before_it_is_rotated(*arguments: Any) -> Any:
        token = get(*arguments)
        at_once(1, lambda _: third.append(rotate(stored_host, second)))
        return token

    monkeypatch.setattr(tokens, "get", get_before_it_is_rotated)
    with stored_host.app.app_context():
        if way == "delete":
            assert tokens.delete("ann", second.token.id)
        else:
            assert len(tokens.delete_many([tokens.get("ann", second.token.id)])) == 1
        left = get("ann", third[0].token.id)
    assert left is not None
    assert left.replaces == first.token.id
    with pytest.raises(AlreadyReplaced):
        rotate(stored_host, first)


@pytest.mark.parametrize("way", ["delete_all", "prune"])
def test_rotated_tokens_are_deleted_in_as_many_statements_as_others(host: Host, clock: Clock, way: str) -> None:
    counts = set()
    for owner, rotations in (("ann", 3), ("bob", 30)):
        new = host.generate(owner)
        for _ in range(rotations):
            new = rotate(host, new, overlap_hours=0)
        clock.pass_(days=31)
        with host.statements() as seen, host.app.app_context():
            assert (tokens.prune() if way == "prune" else tokens.delete_all(owner)) >= rotations
        updates = [each for each in seen if each.startswith("UPDATE")]
        assert len(updates) <= 1
        counts.add(len(seen) - len(updates))
    assert len(counts) == 1
