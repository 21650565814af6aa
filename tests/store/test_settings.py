"""The settings that a cluster needs; ``make cluster`` asks on a cluster."""

from flask_access_tokens.store.settings import settings_problems
from host import Host


def test_a_single_server_has_no_problems(stored_host: Host) -> None:
    with stored_host.app.app_context():
        assert settings_problems(stored_host.app.extensions["access_tokens"]) == []
