"""Tokens that are refused because their pepper is not configured."""

from collections.abc import Mapping

from .. import secret
from ..finding import Finding
from ..state import State


def pepper_findings(state: State, counts: Mapping[str, int]) -> list[Finding]:
    """Find tokens whose digest is under no scheme that is accepted.

    :param counts: the number of tokens by scheme.
    """
    accepted = secret.schemes(state.peppers)
    lost = sum(count for scheme, count in counts.items() if scheme not in accepted)
    if not lost:
        return []
    return [
        Finding(
            "pepper-missing",
            f"{lost} {'token is' if lost == 1 else 'tokens are'} keyed under a pepper that is not configured, and"
            " refused. Add it again at the end of ACCESS_TOKENS_PEPPERS, or let the owners generate new tokens.",
        )
    ]
