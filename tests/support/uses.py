"""The last-used times of tokens."""

from datetime import datetime

from flask_access_tokens import (
    tokens,
)
from host import Host


def last_uses(host: Host) -> dict[str, datetime | None]:
    """When each of Ann's tokens was last used, by name."""
    with host.app.app_context():
        return {token.name: token.last_used_at for token in tokens.owned_by("ann")}
