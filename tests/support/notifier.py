"""An application for ``flask access-tokens notify`` in a process of its own, whose receiver a test stops and kills."""

import json
import os
import sys
from itertools import count
from pathlib import Path
from typing import Any

from flask import Flask

from flask_access_tokens import token_expiring
from host import Host


def create_app() -> Flask:
    """The application, with settings from the environment; Flask's command line calls it.

    Its receiver appends the ID of each token to the file ``NOTICES``. Before it appends the one with the number
    ``STOP_AT``, it says so on standard output and waits for a line on standard input.
    """
    host = Host(**json.loads(os.environ["HOST_SETTINGS"]), TESTING=False)
    numbers, stop_at = count(1), int(os.environ["STOP_AT"])

    @token_expiring.connect_via(host.app)
    def send(sender: Flask, token: Any, days: int, **_: Any) -> None:
        if next(numbers) == stop_at:
            print(token.id, flush=True)
            sys.stdin.readline()
        record(Path(os.environ["NOTICES"]), token.id)

    return host.app


def record(path: Path, token_id: object) -> None:
    """Append a line to a file that several processes write."""
    with path.open("a") as file:
        file.write(f"{os.getpid()} {token_id}\n")
