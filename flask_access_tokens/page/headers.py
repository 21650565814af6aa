"""The response headers of the page."""

from typing import Any

from flask import Response, request, url_for

from ..state import at_the_end
from ..store.connections import RETRY_AFTER


def is_htmx() -> bool:
    """Return whether htmx sent the request."""
    return request.headers.get("HX-Request") == "true"


def wants_fragment() -> bool:
    """Return whether htmx wants the panel alone; a boosted link or a restored page wants the whole page."""
    whole_page = "HX-Boosted" in request.headers or "HX-History-Restore-Request" in request.headers
    return is_htmx() and not whole_page


def watch_request(endpoint: str | None, _: dict[str, Any] | None) -> None:
    """See to the headers of a request for the page, before any function of the host's may answer it."""
    if endpoint != "access_tokens.asset":
        at_the_end(request, _set_headers)


def _set_headers(response: Response) -> None:
    """Set the headers of a response of the page. The host's own CSP, framing and referrer headers are kept."""
    headers = response.headers
    if is_htmx() and (response.status_code == 401 or (wants_fragment() and response.location)):
        # htmx would follow a redirect and put the host's sign-in page into the panel.
        headers["HX-Redirect"] = headers.pop("Location", None) or url_for("access_tokens.index")
        response.status_code = 401
    headers["Cache-Control"] = "no-store"
    response.vary.update(["Cookie", "HX-Request"])
    headers.setdefault("Referrer-Policy", "same-origin")
    headers.setdefault("X-Content-Type-Options", "nosniff")
    if "Content-Security-Policy" not in headers and "X-Frame-Options" not in headers:
        headers["Content-Security-Policy"] = "frame-ancestors 'none'"
    if response.status_code == 503:
        headers.setdefault("Retry-After", str(RETRY_AFTER))
