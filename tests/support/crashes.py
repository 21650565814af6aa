"""Errors that a host raises, and what a crash reporter shows of them."""

import traceback
from pathlib import Path
from typing import Any

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
