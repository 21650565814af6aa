"""The thread that writes last-used updates."""

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from flask_access_tokens.store import background
from flask_access_tokens.store.background import BackgroundWriter
from load import at_once, wait_until


class Store:
    """What a writer writes to; it can be held, and refuse items."""

    def __init__(self) -> None:
        self.batches: list[dict[str, Any]] = []
        self.refused: set[str] = set()
        self.free = threading.Event()
        self.free.set()
        self.writing = threading.Event()

    def write(self, items: dict[str, Any]) -> dict[str, Any]:
        self.writing.set()
        self.free.wait(30)
        self.batches.append(items)
        return {key: item for key, item in items.items() if key in self.refused}

    @property
    def written(self) -> list[tuple[str, Any]]:
        return [each for items in self.batches for each in items.items() if each[0] not in self.refused]


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.fixture
def writer(store: Store) -> Iterator[BackgroundWriter]:
    writer = BackgroundWriter(store.write)
    yield writer
    store.free.set()
    writer.close()


def test_items_that_come_while_others_are_written_share_a_batch(store: Store, writer: BackgroundWriter) -> None:
    store.free.clear()
    writer.add("first", 1, most=10)
    store.writing.wait(30)
    for key, item in (("a", 1), ("b", 2), ("a", 3)):
        writer.add(key, item, most=10)
    store.free.set()
    wait_until(lambda: len(store.batches) == 2)
    assert store.batches == [{"first": 1}, {"a": 1, "b": 2}]


def test_no_more_items_are_kept_than_allowed(store: Store, writer: BackgroundWriter) -> None:
    store.free.clear()
    writer.add("first", 1, most=3)
    store.writing.wait(30)
    for number in range(9):
        assert writer.add(str(number), number, most=3)
    store.free.set()
    wait_until(lambda: len(store.batches) == 2)
    assert store.batches[1] == {"0": 0, "1": 1, "2": 2}


def test_an_item_that_could_not_be_written_is_tried_again(
    store: Store, writer: BackgroundWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(background, "_PAUSE", 0.01)
    store.refused = {"a"}
    writer.add("a", 1, most=10)
    writer.add("b", 2, most=10)
    wait_until(lambda: len(store.batches) >= 3)
    store.refused = set()
    wait_until(lambda: ("a", 1) in store.written)
    assert store.written.count(("b", 2)) == 1


def test_the_thread_ends_without_items_and_starts_anew(
    store: Store, writer: BackgroundWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(background, "_IDLE", 0.01)
    for turn in (1, 2):
        writer.add("a", turn, most=10)
        wait_until(lambda turn=turn: ("a", turn) in store.written)
        wait_until(lambda: "flask_access_tokens" not in [thread.name for thread in threading.enumerate()])


def test_at_the_end_everything_pending_is_written_and_nothing_more_is_taken(
    store: Store, writer: BackgroundWriter
) -> None:
    writer.add("a", 1, most=10)
    writer.close()
    assert store.written == [("a", 1)]
    assert writer.add("b", 2, most=10) is False


def test_a_store_that_hangs_does_not_keep_the_process(
    store: Store, writer: BackgroundWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(background, "_EXIT", 0.01)
    store.free.clear()
    writer.add("a", 1, most=10)
    store.writing.wait(30)
    writer.close()
    assert store.written == []


def test_a_process_that_can_start_no_thread_is_told(
    store: Store, writer: BackgroundWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    assert writer.add("a", 1, most=10) is False


def test_many_threads_may_add_items(store: Store, writer: BackgroundWriter) -> None:
    at_once(8, lambda number: [writer.add(f"{number} {turn}", turn, most=1000) for turn in range(50)])
    wait_until(lambda: len(store.written) == 400)
    assert len(set(store.written)) == 400
