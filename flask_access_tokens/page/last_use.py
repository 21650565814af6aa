"""What the page tells of the last use of a token: when it was, and from where."""

from dataclasses import dataclass
from datetime import datetime

from .. import texts
from ..store import origin
from ..store.summary import RECENTLY
from ..texts import gettext as _
from ..tokens import Token


@dataclass(frozen=True)
class LastUse:
    """The last use of a token, seen at a time. Everything about its origin is "" where it is not known."""

    token: Token
    now: datetime

    @property
    def recent(self) -> bool:
        last = self.token.last_used_at
        return last is not None and self.now - last < RECENTLY

    @property
    def address(self) -> str:
        return origin.address_of(self.token.last_used_from or "")

    @property
    def program(self) -> str:
        """The whole ``User-Agent``."""
        return origin.program_of(self.token.last_used_from or "")

    @property
    def sentence(self) -> str:
        """When and from where the token was last used; "" where it never was."""
        if self.token.last_used_at is None:
            return ""
        distance = texts.relative_time(self.token.last_used_at, self.now)
        address, program = self.address, origin.product_of(self.program)
        if address and program:
            return _(
                "Last used %(distance)s by %(program)s from %(address)s.",
                distance=distance,
                program=program,
                address=address,
            )
        if address:
            return _("Last used %(distance)s from %(address)s.", distance=distance, address=address)
        if program:
            return _("Last used %(distance)s by %(program)s.", distance=distance, program=program)
        return _("Last used %(distance)s.", distance=distance)
