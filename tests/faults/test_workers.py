"""Workers: forked from a loaded application, killed, and the updates that four of them write."""

import pytest

from load import at_once, load, someone, wait_until
from place import Served
from scenarios import Storm, count_updates


@pytest.mark.case("E20")
def test_workers_forked_from_a_loaded_application_share_no_connection(served: Served) -> None:
    assert served.connections_at_start == 0
    ann, bob = someone("ann"), someone("bob")
    texts = {owner: served.place.generate(owner)[0] for owner in (ann, bob)}

    def use(number: int) -> None:
        owner = (ann, bob)[number % 2]
        for _ in range(15):
            answer = served.use(texts[owner])
            assert (answer.status, answer.json["owner"]) == (200, owner)

    at_once(8, use)


@pytest.mark.case("E21")
def test_killed_workers_lose_no_acknowledged_token_and_restore_no_deleted_one(served: Served) -> None:
    storm = Storm(served.place, served.gunicorn)

    def went_on_since(operations: int) -> bool:
        return storm.seen.total() >= operations + 40

    with load(4, storm.step):
        for _ in range(3):
            operations = storm.seen.total()
            wait_until(lambda operations=operations: went_on_since(operations))
            served.gunicorn.kill_a_worker()
        operations = storm.seen.total()
        wait_until(lambda: went_on_since(operations) and bool(storm.kept) and bool(storm.deleted))
    served.gunicorn.wait_for_workers()
    assert storm.seen.keys() <= {0, 200, 303}
    assert storm.wrong() == {}


@pytest.mark.case("E19")
def test_many_uses_of_one_token_by_four_workers_write_few_updates(served: Served) -> None:
    ann = someone("ann")
    (text,) = served.place.generate(ann)
    updates = count_updates(served.place, ann)
    at_once(8, lambda _: [served.use(text) for _ in range(40)])
    wait_until(lambda: updates() >= 1)
    assert updates() <= 5
