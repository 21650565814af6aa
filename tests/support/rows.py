"""Tokens of every kind in one list."""

from datetime import timedelta

import pytest

from flask_access_tokens import clock
from host import Host, bearer


def fill_list(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tokens of every kind: active, described, used, expiring, expired."""
    host.generate("ann", "Nightly backup", description="Copies the notes. Ask Bob.", scopes=["read"])
    used = host.generate("ann", "Build server", lifetime_days=-1, scopes=["read", "write"])
    host.app.test_client().get("/api", headers=bearer(used.secret))
    host.generate("ann", "Visitor", lifetime_days=5)
    host.generate("ann", "Phone")
    real = clock.now
    monkeypatch.setattr(clock, "now", lambda: real() - timedelta(days=29))
    host.generate("ann", "Monitoring", lifetime_days=30)
    monkeypatch.setattr(clock, "now", lambda: real() - timedelta(days=40))
    host.generate("ann", "Old laptop", lifetime_days=30)
    monkeypatch.setattr(clock, "now", real)
