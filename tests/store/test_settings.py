"""The settings that a cluster needs; ``make cluster`` asks on a cluster."""

from flask_access_tokens.store.settings import settings_findings
from host import Host


def test_a_single_server_breaks_no_promise(stored_host: Host) -> None:
    with stored_host.app.app_context():
        assert settings_findings(stored_host.app.extensions["access_tokens"]) == []
