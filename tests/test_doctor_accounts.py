"""What the doctor finds in how the accounts of an application are known."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from flask_login import UserMixin
from sqlalchemy.ext.hybrid import hybrid_property
from sqlalchemy.orm import mapped_column

from host import Host
from owned import OwnedHost
from sound import SOUND, enforce_foreign_keys, found


@pytest.mark.case("S19")
def test_that_nothing_tells_who_is_signed_in_is_found(make_host: Callable[..., Host]) -> None:
    host = make_host(**SOUND)
    assert found(host.app) == {}
    host.access_tokens._loaders.identity = None
    assert "@access_tokens.identity_loader" in found(host.app)["identity-loader-missing"]


def disabled_at() -> Any:
    return mapped_column(sa.DateTime)


DISABLING: dict[str, dict[str, Any]] = {
    "a column": {"disabled_at": disabled_at()},
    "active beside UserMixin": {"active": mapped_column(sa.Boolean), "is_active": UserMixin.is_active},
    "a property": {"is_banned": property(lambda user: False)},
    "a hybrid": {"account_locked": hybrid_property(lambda user: user.name == "Bob")},
    "a word of another case": {"bannedAt": disabled_at()},
    "a time until when": {"lockout_end": disabled_at()},
}


@pytest.fixture
def doctored(tmp_path: Path) -> Callable[..., set[str]]:
    """A function that returns what the doctor finds in a host of users."""

    def examine(**values: Any) -> set[str]:
        host = OwnedHost(f"sqlite:///{tmp_path / 'host.sqlite3'}", **values)
        host.app.config.update(SOUND)
        with host.app.app_context():
            enforce_foreign_keys(host.db.engine)
        codes = set(found(host.app))
        with host.app.app_context():
            host.db.engine.dispose()
        return codes

    return examine


@pytest.mark.case("S04")
@pytest.mark.parametrize("way", DISABLING)
def test_a_way_to_disable_people_that_decides_nothing_is_found(doctored: Callable[..., set[str]], way: str) -> None:
    assert doctored(**DISABLING[way]) == {"owner-active"}


@pytest.mark.case("S04")
def test_a_host_that_says_who_may_act_or_speaks_of_nothing_is_left_alone(doctored: Callable[..., set[str]]) -> None:
    assert doctored() == set()
    for name in ("last_active_at", "mfa_enabled", "active_plan", "deleted_items_count", "email_notifications_enabled"):
        assert doctored(**{name: mapped_column(sa.Integer)}) == set(), name
    assert doctored(disabled_at=disabled_at(), may_act=lambda user: user.disabled_at.is_(None)) == set()
    assert doctored(disabled_at=disabled_at(), is_active=property(lambda user: user.disabled_at is None)) == set()
    assert doctored(disabled_at=disabled_at(), is_active=mapped_column(sa.Boolean, default=True)) == set()
