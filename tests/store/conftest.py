"""Fixtures for the tests of the store."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from owned import OwnedHost


@pytest.fixture
def make_owned(database_url: str) -> Iterator[Callable[..., OwnedHost]]:
    """Create hosts whose users are mapped, on each of the three databases, and drop their tables in the end."""
    hosts: list[OwnedHost] = []

    def make(**members: Any) -> OwnedHost:
        hosts.append(OwnedHost(database_url, **members))
        return hosts[-1]

    yield make
    for host in hosts:
        with host.app.app_context():
            host.db.drop_all()
            host.db.engine.dispose()
