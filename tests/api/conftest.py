"""Fixtures for the tests of the guard."""

import uuid
from collections.abc import Iterator

import pytest
from flask import Flask

from flask_access_tokens import token_rejected
from host import Host


@pytest.fixture
def reasons(host: Host) -> Iterator[list[str]]:
    """The reasons for which the host refused tokens, as its signals give them."""
    heard: list[str] = []

    def hear(sender: Flask, reason: str, token_id: uuid.UUID | None) -> None:
        heard.append(reason)

    with token_rejected.connected_to(hear, host.app):
        yield heard
