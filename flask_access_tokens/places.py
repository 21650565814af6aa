"""The places of a request where a credential may be, beside ``Authorization: Bearer``."""

import re
from dataclasses import dataclass

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", re.ASCII)
"""RFC 9110 §5.6.2, the grammar of the names of fields and schemes."""

_BY_BROWSERS = re.compile(
    r"accept|accept-(?:charset|encoding|language)|authorization|cache-control|connection|content-(?:language|length|type)"
    r"|cookie|date|device-memory|dnt|downlink|dpr|ect|expect|forwarded|host|last-event-id|origin|ping-(?:from|to)|pragma"
    r"|priority|range|referer|rtt|save-data|upgrade-insecure-requests|user-agent|via|viewport-width|width"
    r"|(?:access-control|if|proxy|sec|x-forwarded)-.*",
    re.IGNORECASE | re.ASCII,
)
"""Headers that a browser or a proxy sends by itself, or that any web page can set without a CORS preflight request."""

_MAX_LENGTH = 64


@dataclass(frozen=True, slots=True)
class Places:
    """Where a credential may be."""

    schemes: tuple[str, ...]
    """The schemes of ``Authorization``, Bearer included."""
    keys: tuple[str, ...]
    """The keys in the WSGI environ of headers whose whole value is the credential."""
    headers: tuple[str, ...]
    """The names of all these headers, for ``Vary``."""


def validate_places(configured: object) -> Places | None:
    """Return the places that a host adds; None where it adds none.

    :param configured: one place or a list of them: the name of a header, or ``Authorization: `` and a scheme.
    :raises ValueError: where one cannot be used.
    """
    names = (configured,) if isinstance(configured, str) else configured
    if not isinstance(names, (list, tuple)):
        raise ValueError('ACCESS_TOKENS_ALSO_FROM must be a list of strings, such as ["X-API-Key"].')
    schemes, headers = ["bearer"], ["Authorization"]
    for name in names:
        header, separator, scheme = name.partition(": ") if isinstance(name, str) else ("", "", "")
        if separator and header.lower() == "authorization":
            problem = _problem_of_scheme(scheme, schemes)
            schemes.append(scheme.lower())
        else:
            problem = _problem_of_header(name, headers)
            headers.append(name)
        if problem:
            raise ValueError(
                f"ACCESS_TOKENS_ALSO_FROM {name!r} cannot be used: {problem}. Set the name of a header, such as"
                ' "X-API-Key", or another scheme, such as "Authorization: Token". A query string cannot be used:'
                " servers, proxies and browsers log it (RFC 9700 §4.3.2)."
            )
    if not names:
        return None
    keys = tuple(f"HTTP_{name.upper().replace('-', '_')}" for name in headers[1:])
    return Places(tuple(schemes), keys, tuple(headers))


def _problem_of_scheme(scheme: str, known: list[str]) -> str:
    if not _TOKEN.fullmatch(scheme) or len(scheme) > _MAX_LENGTH:
        return "this is not the name of a scheme"
    if scheme.lower() in ("basic", "digest", "negotiate", "ntlm"):
        return "this scheme carries no token"
    if scheme.lower() in known:
        return "it is read already"
    return ""


def _problem_of_header(name: object, known: list[str]) -> str:
    if not isinstance(name, str) or not _TOKEN.fullmatch(name) or len(name) > _MAX_LENGTH:
        return "this is not the name of a header"
    if _BY_BROWSERS.fullmatch(name.replace("_", "-")):  # which are one in the WSGI environ
        return "browsers send this header themselves or let any web page set it, or proxies send it"
    if name.upper().replace("-", "_") in {one.upper().replace("-", "_") for one in known}:
        return "it is read already"
    return ""
