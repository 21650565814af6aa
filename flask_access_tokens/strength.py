"""Whether a secret of an earlier system is too weak, or too long, to be adopted.

It tells only what is plain from the text: a secret that looks random may have been made in a way that is not.
"""

import math
import re

MIN_LENGTH = 20
MAX_LENGTH = 950
"""Characters. With the name of a scheme, a longer secret would exceed the length of a header value that is read."""
MIN_BITS = 100
"""Too many to enumerate. 20 random letters and digits have as many, even if the letters happen to be of one case."""

_ALPHABETS = (
    ("digits", 10, re.compile(r"[0-9]+", re.ASCII)),
    ("hexadecimal digits", 16, re.compile(r"[0-9a-f]+|[0-9A-F]+", re.ASCII)),
    ("letters of one case and digits", 36, re.compile(r"[0-9a-z]+|[0-9A-Z]+", re.ASCII)),
    ("letters and digits", 62, re.compile(r"[0-9A-Za-z]+", re.ASCII)),
)
_PRINTABLE = ("printable characters", 64)
"""Other characters are mostly those of base64, and a few separators add little."""

_MIN_KINDS = 8
_UUID = re.compile(r"(?:urn:uuid:)?\{?[0-9a-f]{8}-[0-9a-f]{4}-([0-9a-f])[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}\}?")
_JWT = re.compile(r"e[wy][A-Za-z0-9_-]*(?:\.[A-Za-z0-9_-]*){2,4}", re.ASCII)
"""In base64, "{" and the character after it. An encrypted one has five parts (RFC 7516)."""


def weakness(text: str, *, allow_uuid4: bool = False) -> str | None:
    """Return why a secret cannot be adopted, as a sentence without the secret; None where it can.

    :param allow_uuid4: whether a random UUID is strong enough: it has 122 bits, but is often made, shown and logged as
        an identifier.
    """
    if _JWT.fullmatch(text):
        return "It is a JSON Web Token: its claims, the expiration included, would be ignored."
    uuid = _UUID.fullmatch(text.lower())
    if uuid is not None:
        if uuid[1] != "4":
            return f"It is a UUID of version {uuid[1]}, which can be guessed."
        if not allow_uuid4:
            return (
                "It is a UUID of version 4. Allow these (--allow-uuid4 or allow_uuid4=True) if they were kept secret"
                " and never used as identifiers."
            )
        return None
    if len(text) < MIN_LENGTH:
        return f"It has {len(text)} characters, and needs at least {MIN_LENGTH}."
    if len(text) > MAX_LENGTH:
        return f"It has {len(text)} characters, and at most {MAX_LENGTH} can be sent."
    name, size = next(((name, size) for name, size, pattern in _ALPHABETS if pattern.fullmatch(text)), _PRINTABLE)
    kinds = len(set(text))
    # So few that this refuses about ten of a million random secrets at most.
    least = min(_MIN_KINDS, size // 2)
    if kinds < least:
        return f"It has only {kinds} different characters, and needs at least {least}."
    bits = int(len(text) * math.log2(size))
    if bits < MIN_BITS:
        needed = math.ceil(MIN_BITS / math.log2(size))
        return f"It has at most {bits} bits: {len(text)} {name}. At least {needed} are needed for {MIN_BITS} bits."
    return None
