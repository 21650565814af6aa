"""Expiry notices: who is told before a token expires, and a text that tells them."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from flask import current_app, url_for
from werkzeug.routing import BuildError

from . import clock, texts
from .signals import token_expiring
from .state import State, current_state, logger
from .store.entities import Token
from .store.notices import claim, iter_due
from .store.owners import checks_owner
from .store.transactions import is_conflict
from .texts import gettext as _


@dataclass(frozen=True, slots=True)
class Notice:
    """The text of a notice: its subject, which is one line, and its body as plain text and as HTML."""

    subject: str
    text: str
    html: str


class SentNotices(NamedTuple):
    """How many notices were sent, and how many could not be."""

    sent: int
    failed: int


def send_due() -> SentNotices:
    """Send :data:`token_expiring` for each token that has reached one of ``ACCESS_TOKENS_NOTICE_DAYS``, each once.

    A receiver runs in a transaction of the host's session, which is committed when it returns. Where one raises an
    error, the error is logged, and the next call sends the notice again. Pending changes of the session are committed.

    :return: how many notices were sent, and how many could not be.
    :raises RuntimeError: where no receiver is connected.
    :raises StoreError: where the database cannot be used.
    """
    state = current_state()
    if next(iter(token_expiring.receivers_for(state.app)), None) is None:
        raise RuntimeError(
            "No receiver is connected to the signal token_expiring, so no owner would be told. Decorate a function"
            " with @token_expiring.connect_via(app): it takes the application, token and days, and tells the owner."
        )
    sent = failed = 0
    windows = _windows(state)
    for token, days in iter_due(state, windows):
        claimed = None
        try:
            with claim(state, token, windows) as claimed:
                if claimed is not None and _may_be_told(state, claimed.token):
                    token_expiring.send(state.app, token=claimed.token, days=claimed.days)
                    claimed.sent = True
        except Exception as error:
            if claimed is None and not is_conflict(error):
                raise
            failed += 1
            message = "The notice %s days before token %s expires could not be sent (%s). The next run tries again."
            logger.error(message, days, token.id, type(error).__name__)
        else:
            sent += claimed is not None and claimed.sent
    return SentNotices(sent, failed)


def due() -> Iterator[tuple[Token, int]]:
    """Iterate over the tokens for which :func:`send_due` would send a notice, each with its ``days``.

    :raises StoreError: where the database cannot be used.
    """
    state = current_state()
    return (found for found in iter_due(state, _windows(state)) if _may_be_told(state, found[0]))


def compose(token: Token, days: int) -> Notice:
    """Return the text of a notice in the current language, from the templates ``access_tokens/expiry_notice…``.

    They are rendered without the host's context processors, which may need a request. The link to the page needs a
    request or ``SERVER_NAME``.

    :param token: a token that expires.
    :param days: which notice it is, in days before the expiration; passed to the templates.
    :raises ValueError: where the token never expires.
    """
    if token.expires_at is None:
        raise ValueError("This token never expires, so there is no notice about it.")
    moment = clock.now()
    values: dict[str, Any] = {
        "token": token,
        "days": days,
        "t": _,
        "exact_time": texts.exact_time,
        "relative_time": lambda time: texts.relative_time(time, moment),
        "language": texts.language(),
        "self_service": current_state().config["ACCESS_TOKENS_SELF_SERVICE"],
        "url": _page_url(),
    }
    subject = " ".join(_render("expiry_notice_subject.txt", values).split())
    paragraphs = _render("expiry_notice.txt", values).split("\n\n")
    text = "\n\n".join(stripped for paragraph in paragraphs if (stripped := paragraph.strip())) + "\n"
    return Notice(subject, text, _render("expiry_notice.html", values | {"subject": subject}))


def _windows(state: State) -> tuple[int, ...]:
    return () if state.disabled else tuple(state.config["ACCESS_TOKENS_NOTICE_DAYS"])


def _may_be_told(state: State, token: Token) -> bool:
    """Return whether a token works at all: not where its owner is gone or may not act, or the feature is off."""
    return state.enabled(token.owner_id) and (not checks_owner(state) or token.owner is not None)


def _render(template: str, values: dict[str, Any]) -> str:
    return current_app.jinja_env.get_template(f"access_tokens/{template}").render(values)


def _page_url() -> str:
    """Return the URL of the page; "" where none can be built outside a request."""
    try:
        return url_for("access_tokens.index", _external=True)
    except (RuntimeError, BuildError):
        return ""
