"""The views of the operators' desk, where everybody's tokens are listed, found, generated and deleted."""

import functools
from collections.abc import Callable
from typing import Any

from flask import Blueprint, Response, abort, redirect, url_for
from flask.typing import ResponseReturnValue
from flask_wtf.csrf import CSRFError
from itsdangerous import BadSignature
from werkzeug.exceptions import RequestEntityTooLarge

from .. import tokens
from ..session_user import check_csrf
from ..state import current_state, logger
from ..texts import format_number, ngettext
from ..texts import gettext as _
from ..tokens import AlreadyGenerated, TokenRefused
from .chosen import Chosen, chosen_by_request
from .desk_forms import MOST_FOUND, DeletionForm, chosen_owner, deletion_form, tokens_of_text
from .desk_panel import DeskPanel
from .desk_params import list_params, searches_for_secret
from .forms import blank_form, linked_form, sent_form
from .headers import wants_fragment
from .identity import require_operator
from .responses import about_new, dropped_message, expired_message, render, scope_needed, store_errors_as_503
from .signed import sent_notice, sign_notice

blueprint = Blueprint("desk", __name__, url_prefix="/all")

_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")

View = Callable[..., ResponseReturnValue]


def _route(rule: str, method: str) -> Callable[[View], View]:
    """Register a view for operators, which is called with the operator's ID; for everybody else the answer is 404."""

    def decorate(view: View) -> View:
        @functools.wraps(view)
        def answer() -> ResponseReturnValue:
            with store_errors_as_503():
                return view(require_operator())

        blueprint.add_url_rule(
            rule, view.__name__, answer, methods=[method], provide_automatic_options=False, strict_slashes=False
        )
        return view

    return decorate


# Otherwise 405, or Flask's own answer to OPTIONS, would tell everybody else that the desk exists.
@blueprint.route("/", methods=_METHODS[1:], provide_automatic_options=False, strict_slashes=False)
@blueprint.route("/<path:path>", methods=_METHODS, provide_automatic_options=False)
def nothing(path: str = "") -> ResponseReturnValue:
    abort(404)


@_route("/", "GET")
def index(operator: str) -> ResponseReturnValue:
    if searches_for_secret():
        notice = _("This is a secret. Look it up under “Whose secret is this?”: here, it becomes a part of the URL.")
        return _render(operator, notice=notice, is_error=True)
    return _render(operator, notice=sent_notice(_reader(operator)))


@_route("/find", "POST")
def find(operator: str) -> ResponseReturnValue:
    try:
        check_csrf(current_state())
        secrets, found = tokens_of_text()
    except CSRFError as error:
        return _render_expired(operator, error)
    except RequestEntityTooLarge:
        notice = _("This text is too long. Send a part of it.")
        return _render(operator, notice=notice, is_error=True, status=413)
    if not secrets:
        return _render(operator, notice=_("This text contains no token of this application."), is_error=True)
    notice = _("No token has this secret. It may have been deleted.") if not found else ""
    if secrets > MOST_FOUND:
        most = _("Only the first %(most)s secrets of the text were looked up.", most=format_number(MOST_FOUND))
        notice = f"{notice} {most}".strip()
    return _render(operator, found=found or None, notice=notice, is_error=not found)


@_route("/delete", "GET")
def confirm_delete(operator: str) -> ResponseReturnValue:
    chosen = chosen_by_request()
    form = deletion_form(operator, chosen.choice, chosen.moment)
    return _refused_choice(operator, chosen) or _render(operator, deleting=chosen, form=form)


@_route("/delete", "POST")
def delete(operator: str) -> ResponseReturnValue:
    chosen = chosen_by_request()
    form = DeletionForm()
    try:
        check_csrf(current_state())
        chosen = chosen.as_of(form.read_moment(operator, chosen.choice))
    except (CSRFError, BadSignature) as error:
        fresh = deletion_form(operator, chosen.choice, chosen.moment, reason=form.reason.data or "")
        return _refused_choice(operator, chosen) or _render_expired(operator, error, deleting=chosen, form=fresh)
    if refused := _refused_choice(operator, chosen):
        return refused
    if not form.validate():
        return _render(operator, deleting=chosen, form=form, status=422)
    deleted = tokens.delete_many(
        chosen.to_delete(),
        by=operator,
        reason=form.reason.data or None,
        unless_used=chosen.is_of_unused,
        rotated_since=None if chosen.is_of_unused else chosen.moment,
    )
    number = len(deleted)
    notice = ngettext("%(num)s token was deleted.", "%(num)s tokens were deleted.", number)
    if chosen.left:
        notice += " " + _("More tokens match.")  # Babel before Python 3.12 finds no texts within an f-string
    return _render_done(operator, notice)


@_route("/new", "GET")
def new(operator: str) -> ResponseReturnValue:
    owner, problem = chosen_owner()
    if not owner:
        return _render(operator, choosing_owner=True, problem=problem, status=422 if problem else 200)
    return _render_form(operator, owner, linked_form(owner, operator))


@_route("/new", "POST")
def generate(operator: str) -> ResponseReturnValue:
    owner, problem = chosen_owner()
    if not owner:
        return _render(operator, choosing_owner=True, problem=problem, status=422)
    form = sent_form(owner, operator)
    try:
        check_csrf(current_state())
        nonce = form.read_nonce()
    except (CSRFError, BadSignature) as error:
        shown: dict[str, Any] = {"for_owner": owner, "scope_needed": scope_needed()}
        if not form.is_ours:
            return _render_expired(operator, error, dropped_message(), form=blank_form(owner, operator), **shown)
        form.renew_nonce()
        return _render_expired(operator, error, form=form, **shown)
    if not form.validate():
        return _render_form(operator, owner, form, status=422)
    try:
        created = tokens.generate(
            owner,
            form.name.data,
            description=form.description.data,
            lifetime_days=form.days,
            scopes=form.scopes.data or (),
            nonce=nonce,
            by=operator,
            reason=form.reason.data or None,
        )
    except AlreadyGenerated as error:
        return _render(operator, notice=str(error), is_error=True, status=409)
    except TokenRefused as error:
        if error.field == "owner_id":
            return _render(operator, choosing_owner=True, problem=str(error), status=422)
        if error.field is None:
            # The limit. The message of the error addresses the owner.
            notice = _("This owner already has the most tokens allowed. Delete one of them first.")
            return _render_form(operator, owner, form, notice=notice, is_error=True, status=422)
        form[error.field].errors = [str(error)]
        return _render_form(operator, owner, form, status=422)
    return _render(operator, created=created, **about_new(created.token))


def _refused_choice(operator: str, chosen: Chosen) -> Response | None:
    """Return the response where there is nothing to delete; None where there is."""
    if chosen.empty:
        notice = _("Select tokens, or filter the list, and then delete them.")
        return _render(operator, notice=notice, is_error=True, status=422)
    if not chosen.number:
        return _render(operator, notice=_("These tokens are already gone."), is_error=True, status=404)
    return None


def _render(operator: str, *, status: int = 200, **shown: Any) -> Response:
    return render(DeskPanel(operator, **shown), status)


def _render_form(operator: str, owner: str, form: Any, **shown: Any) -> Response:
    return _render(operator, for_owner=owner, form=form, scope_needed=scope_needed(), **shown)


def _render_expired(operator: str, error: Exception, message: str = "", **shown: Any) -> Response:
    logger.info("A form of the operators' desk was refused: %s", error)
    return _render(operator, notice=message or expired_message(), is_error=True, status=400, **shown)


def _render_done(operator: str, notice: str) -> ResponseReturnValue:
    """Answer a deletion with the list and a notice; without JavaScript, with a redirect that carries the notice."""
    if wants_fragment():
        return _render(operator, notice=notice)
    values = {**list_params(), "notice": sign_notice(_reader(operator), notice)}
    return redirect(url_for("access_tokens.desk.index", _external=False, **values), 303)


def _reader(operator: str) -> str:
    """Return whom a notice is for. An operator may have the ID of an owner, but no ID contains a line break."""
    return f"operator\n{operator}"
