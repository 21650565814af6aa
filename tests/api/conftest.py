"""Fixtures for the tests of the guard."""

import uuid
from collections.abc import Callable, Iterator

import pytest
from flask import Flask

from flask_access_tokens import token_rejected
from host import Host
from programs import OPEN


@pytest.fixture
def reasons(host: Host) -> Iterator[list[str]]:
    """The reasons for which the host refused tokens, as its signals give them."""
    heard: list[str] = []

    def hear(sender: Flask, reason: str, token_id: uuid.UUID | None) -> None:
        heard.append(reason)

    with token_rejected.connected_to(hear, host.app):
        yield heard


@pytest.fixture
def open_host(make_host: Callable[..., Host]) -> Host:
    """A host with all endpoints for programs."""
    return make_host(**OPEN)


@pytest.fixture
def stored_open_host(make_host: Callable[..., Host], database_url: str) -> Host:
    """A host with all endpoints for programs, on each of the three databases."""
    return make_host(database_url, **OPEN)
