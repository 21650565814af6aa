"""A thread that writes for a process what no request should wait for."""

import atexit
import os
import threading
from collections.abc import Callable
from typing import Any
from weakref import WeakSet

_WINDOW = 0.1
"""Seconds in which items are collected, so that they share one transaction."""

_PAUSE = 1
"""Seconds before items that could not be written are tried again."""

_IDLE = 5
"""Seconds without items after which the thread ends."""

_EXIT = 2
"""Seconds that the end of the process waits for what is pending."""

Items = dict[str, Any]

_writers: WeakSet["BackgroundWriter"] = WeakSet()


class BackgroundWriter:
    """Writes items in batches. Its thread starts with the first item, and anew after it has ended for lack of items.

    :param write: takes items by their keys, returns those to try again, and raises nothing.
    """

    # Locks and threads are made when they are needed: gevent may replace them after the import.

    def __init__(self, write: Callable[[Items], Items]) -> None:
        self._process = os.getpid()
        self._write = write
        self._pending: Items = {}
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._closing = False
        _writers.add(self)

    @property
    def is_of_this_process(self) -> bool:
        """Whether the process was not forked since; a fork has no threads, and may have its locks locked forever."""
        return self._process == os.getpid()

    def add(self, key: str, item: Any, most: int) -> bool:
        """Let an item be written soon; one with a key that is pending is dropped, and so is one too many.

        :param most: the number of items that may be pending.
        :return: False where no thread can be started, as at the end of a process.
        """
        with self._changed:
            if self._closing:
                return False
            if self._thread is None or not self._thread.is_alive():
                thread = threading.Thread(target=self._run, name="flask_access_tokens", daemon=True)
                try:
                    thread.start()
                except RuntimeError:
                    return False
                self._thread = thread
            if len(self._pending) < most:
                self._pending.setdefault(key, item)
            self._changed.notify()
        return True

    def close(self) -> None:
        """Write what is pending, once, and end the thread; a store that hangs delays this by two seconds at most."""
        with self._changed:
            self._closing = True
            self._changed.notify()
            thread = self._thread
        if thread is not None:
            thread.join(_EXIT)

    def _run(self) -> None:
        pause: float = _WINDOW
        while items := self._next_batch(pause):
            left = self._write(items)
            pause = _PAUSE if left else _WINDOW
            with self._changed:
                if self._closing and (left or not self._pending):
                    return
                self._pending = {**left, **self._pending}

    def _next_batch(self, pause: float) -> Items:
        with self._changed:
            self._changed.wait_for(lambda: self._pending or self._closing, _IDLE)
            if self._pending:
                self._changed.wait_for(lambda: self._closing, pause)
            items, self._pending = self._pending, {}
            if not items:
                self._thread = None
            return items


@atexit.register
def _close_all() -> None:
    for writer in list(_writers):
        if writer.is_of_this_process:
            writer.close()
