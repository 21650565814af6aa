"""Errors that a host raises, and what a crash reporter shows of them."""

import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa

import flask_access_tokens

PACKAGE = str(Path(flask_access_tokens.__file__).parent)


def locals_of_ours(error: BaseException) -> str:
    """What a crash reporter prints of this package's frames, for an error and the errors that led to it."""
    shown = []
    chain: list[BaseException] = [error]
    for each in chain:
        chain += [cause for cause in (each.__cause__, each.__context__) if cause is not None and cause not in chain]
        for frame, _ in traceback.walk_tb(each.__traceback__):
            if frame.f_code.co_filename.startswith(PACKAGE):
                shown.append(f"{frame.f_code.co_qualname}: {frame.f_locals!r}")
        shown.append("".join(traceback.format_exception(each)))
    return "\n".join(shown)


class Broken(Exception):
    """An arbitrary error in the host."""


def breaks(*_: Any, **__: Any) -> Any:
    raise Broken


@contextmanager
def unreadable_after_generation(host: Any, what: str) -> Iterator[None]:
    """Let SELECTs that contain a text fail, from the generation or rotation of a token to the end of the block."""
    generated = []

    def note(*_: Any, **__: Any) -> None:
        generated.append(True)

    def fails(connection: Any, cursor: Any, statement: str, *_: Any) -> None:
        if generated and statement.startswith("SELECT") and what in statement:
            raise sa.exc.OperationalError(statement, {}, Exception("the server closed the connection"))

    with host.app.app_context():
        engine = host.db.engine
    sa.event.listen(engine, "before_cursor_execute", fails)
    try:
        with (
            flask_access_tokens.token_generated.connected_to(note, host.app),
            flask_access_tokens.token_rotated.connected_to(note, host.app),
        ):
            yield
    finally:
        sa.event.remove(engine, "before_cursor_execute", fails)
    assert generated
