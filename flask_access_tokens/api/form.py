"""The form in which a program sends a secret to an endpoint (RFC 7009 §2.1, RFC 7662 §2.1)."""

from flask import abort, request

from ..secret import Secret, recognize
from ..state import State
from .responses import refusal

MAX_FORM_LENGTH = 16 * 1024
"""Bytes. No form that is sent here is longer."""


def sent_secret(state: State) -> Secret | None:
    """Return the secret that a form sends as ``token``; None where this does not have the form of a secret.

    Only the body is read, never the query string, which logs would contain.

    :raises HTTPException: 400 where the form does not have it exactly once (RFC 6749 §3.2), 411 for a form without a
        length, and 413 for a long one.
    """
    prefixes, adopted = state.prefixes, state.adopted  # first: where they are bad, no frame holds the text
    chunked = "chunked" in request.headers.get("Transfer-Encoding", "").lower()
    # Over HTTP/2, the server ends a body that has no length.
    if chunked or (request.environ.get("wsgi.input_terminated") and not request.environ.get("CONTENT_LENGTH")):
        abort(refusal(411, "invalid_request", "Send the form with a Content-Length."))
    if (request.content_length or 0) > MAX_FORM_LENGTH:
        abort(refusal(413, "invalid_request", f"The form is too long. Send at most {MAX_FORM_LENGTH} bytes."))
    is_form = request.mimetype == "application/x-www-form-urlencoded"
    # A file ends with a line break, and a revocation that it made ineffective would still be answered with 200.
    sent = [Secret(text.strip()) for text in request.form.getlist("token")] if is_form else []
    if len(sent) != 1 or not str(sent[0]):
        abort(refusal(400, "invalid_request", "Send one token, in a form (application/x-www-form-urlencoded)."))
    return recognize(str(sent[0]), prefixes, adopted)
