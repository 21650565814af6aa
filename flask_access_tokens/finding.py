"""A problem with how the package is set up, as the command line reports it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Finding:
    """One problem."""

    code: str
    """A short name that stays the same in later versions."""
    message: str
    """A sentence that says what is wrong, followed by what to do."""
