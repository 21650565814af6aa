"""The views of the page. GET renders a form or a confirmation, and POST to the same URL submits it."""

import functools
import uuid
from collections.abc import Callable
from typing import Any

from flask import (
    Blueprint,
    Response,
    abort,
    jsonify,
    redirect,
    send_from_directory,
    url_for,
)
from flask.typing import ResponseReturnValue
from flask_wtf.csrf import CSRFError
from itsdangerous import BadSignature
from jinja2 import pass_context
from jinja2.runtime import Context
from werkzeug.exceptions import Forbidden, NotFound

from .. import clock, texts, tokens
from ..session_user import check_csrf
from ..state import current_state, logger
from ..store.connections import error_summary
from ..texts import gettext as _
from ..tokens import AlreadyGenerated, AlreadyReplaced, NewToken, Token, TokenRefused
from . import desk
from .assets import FOLDER, asset_url
from .forms import DeleteForm, GenerateForm, blank_form, edit_form, linked_form, rotate_form, sent_form
from .headers import wants_fragment, watch_request
from .identity import current_owner_or_none, may_fetch_assets, require_owner
from .own_panel import OwnPanel, list_params
from .panel import Panel, despite_store_errors
from .responses import about_new, dropped_message, expired_message, render, scope_needed, store_errors_as_503
from .signed import sent_notice, sign_notice

blueprint = Blueprint("access_tokens", __name__, template_folder="templates")

blueprint.url_value_preprocessor(watch_request)
blueprint.register_blueprint(desk.blueprint)

View = Callable[..., ResponseReturnValue]


def _for_owner(view: View) -> View:
    """Call a view with the owner ID of whoever is signed in; everybody else is answered before it runs."""

    @functools.wraps(view)
    def answer(**arguments: Any) -> ResponseReturnValue:
        with store_errors_as_503():
            return view(require_owner(), **arguments)

    return answer


def _for_token(view: View) -> View:
    """Call a view with the owner ID of whoever is signed in and their token of this ID; without one, answer 404."""

    @_for_owner
    @functools.wraps(view)
    def answer(owner: str, token_id: uuid.UUID) -> ResponseReturnValue:
        token = tokens.get(owner, token_id)
        return _not_found(owner) if token is None else view(owner, token)

    return answer


@blueprint.get("/")
@_for_owner
def index(owner: str) -> ResponseReturnValue:
    return _render(owner, notice=sent_notice(owner))


@blueprint.get("/new")
@_for_owner
def new(owner: str) -> ResponseReturnValue:
    _require_self_service()
    return _render_form(owner, linked_form(owner))


@blueprint.post("/new")
@_for_owner
def generate(owner: str) -> ResponseReturnValue:
    _require_self_service()
    form = sent_form(owner)
    try:
        check_csrf(current_state())
        nonce = form.read_nonce()
    except (CSRFError, BadSignature) as error:
        if not form.is_ours:
            form = blank_form(owner)
            return _render_expired(owner, error, dropped_message(), form=form, scope_needed=scope_needed())
        form.renew_nonce()
        return _render_expired(owner, error, form=form, scope_needed=scope_needed())
    if not form.validate():
        return _render_form(owner, form, status=422)
    try:
        created = tokens.generate(
            owner,
            form.name.data,
            description=form.description.data,
            lifetime_days=form.days,
            scopes=form.scopes.data or (),
            nonce=nonce,
            by=owner,
        )
    except AlreadyGenerated as error:
        return _render(owner, notice=str(error), is_error=True, status=409)
    except TokenRefused as error:
        if error.field not in form:
            return _render_form(owner, form, notice=str(error), is_error=True, status=422)
        form[error.field].errors = [str(error)]
        return _render_form(owner, form, status=422)
    return _render_created(owner, created)


@blueprint.get("/<uuid:token_id>/rotate")
@_for_token
def confirm_rotation(owner: str, token: Token) -> ResponseReturnValue:
    _require_self_service()
    if token.replaced:
        return _render_already_rotated(owner)
    return _render(owner, rotating=token, form=rotate_form(sent=False))


@blueprint.post("/<uuid:token_id>/rotate")
@_for_token
def rotate(owner: str, token: Token) -> ResponseReturnValue:
    _require_self_service()
    form = rotate_form(sent=True)
    try:
        check_csrf(current_state())
    except CSRFError as error:
        return _render_expired(owner, error, rotating=token, form=rotate_form(sent=False))
    if not form.validate():
        return _render(owner, rotating=token, form=form, status=422)
    try:
        created = tokens.rotate(owner, token.id, overlap_hours=form.hours, by=owner)
    except AlreadyReplaced:
        return _render_already_rotated(owner)
    except TokenRefused as error:
        return _render(owner, rotating=token, form=form, notice=str(error), is_error=True, status=422)
    predecessor = None
    with despite_store_errors():
        predecessor = tokens.get(owner, token.id)
    return _render_created(owner, created, predecessor=predecessor)


@blueprint.get("/<uuid:token_id>/delete")
@_for_token
def confirm_delete(owner: str, token: Token) -> ResponseReturnValue:
    predecessor = None if token.replaces is None else tokens.get(owner, token.replaces)
    return _render(owner, deleting=token, predecessor=predecessor, form=DeleteForm())


@blueprint.post("/<uuid:token_id>/delete")
@_for_token
def delete(owner: str, token: Token) -> ResponseReturnValue:
    try:
        check_csrf(current_state())
    except CSRFError as error:
        return _render_expired(owner, error, deleting=token, form=DeleteForm())
    if not tokens.delete(owner, token.id, by=owner):
        return _not_found(owner)
    return _render_done(owner, _("Token “%(name)s” was deleted.", name=token.name))


@blueprint.get("/<uuid:token_id>/edit")
@_for_token
def edit(owner: str, token: Token) -> ResponseReturnValue:
    return _render(owner, editing=token, form=edit_form(token, sent=False))


@blueprint.post("/<uuid:token_id>/edit")
@_for_token
def update(owner: str, token: Token) -> ResponseReturnValue:
    form = edit_form(token, sent=True)
    try:
        check_csrf(current_state())
    except CSRFError as error:
        kept = form if form.is_ours else edit_form(token, sent=False)
        return _render_expired(owner, error, editing=token, form=kept)
    if not form.validate():
        return _render(owner, editing=token, form=form, status=422)
    updated = tokens.update(owner, token.id, name=form.name.data, description=form.description.data)
    if updated is None:
        return _not_found(owner)
    return _render_done(owner, _("Token “%(name)s” was saved.", name=updated.name))


@blueprint.get("/<uuid:token_id>/use")
@_for_token
def use(owner: str, token: Token) -> ResponseReturnValue:
    """Return when a token was last used, for the script that waits for the first use."""
    if token.last_used_at is None:
        return jsonify(used=None)
    return jsonify(
        used=Panel.machine_time(token.last_used_at),
        distance=texts.relative_time(token.last_used_at, clock.now()),
        moment=Panel.exact_time(token.last_used_at),
    )


@blueprint.get("/assets/<path:name>")
def asset(name: str) -> ResponseReturnValue:
    with store_errors_as_503():
        if not may_fetch_assets():
            abort(404)
    response = send_from_directory(FOLDER, name, max_age=86400)
    response.headers["X-Content-Type-Options"] = "nosniff"
    return response


def _require_self_service() -> None:
    if not current_state().config["ACCESS_TOKENS_SELF_SERVICE"]:
        raise Forbidden(_("Tokens are generated by the operators of this application."))


def _render(owner: str, *, status: int = 200, **shown: Any) -> Response:
    return render(OwnPanel(owner, **shown), status)


def _render_created(owner: str, created: NewToken, **shown: Any) -> Response:
    return _render(owner, created=created, **about_new(created.token), **shown)


def _render_already_rotated(owner: str) -> Response:
    notice = _("This token was already rotated. Its new secret was shown once and cannot be shown again.")
    return _render(owner, notice=notice, is_error=True, status=409)


def _render_done(owner: str, notice: str) -> ResponseReturnValue:
    """Answer a change with the list and a notice, which a redirect takes there without JavaScript."""
    if wants_fragment():
        return _render(owner, notice=notice)
    values = {**list_params(), "notice": sign_notice(owner, notice)}
    return redirect(url_for("access_tokens.index", _external=False, **values), 303)


def _render_form(owner: str, form: GenerateForm, **shown: Any) -> Response:
    return _render(owner, form=form, scope_needed=scope_needed(), **shown)


def _render_expired(owner: str, error: Exception, message: str = "", **shown: Any) -> Response:
    logger.info("A form of the access token page was refused: %s", error)
    message = message or expired_message()
    return _render(owner, notice=message, is_error=True, status=400, **shown)


def _not_found(owner: str) -> Response:
    """Answer 404, or the current list to htmx; alike for unknown, deleted and other people's tokens."""
    if not wants_fragment():
        raise NotFound(_("You have no such token; it may have been deleted already."))
    return _render(owner, notice=_("This token is already gone."), is_error=True)


@pass_context
def access_tokens_panel(context: Context) -> Panel | None:
    """Return the panel for a template: this response's own, or in a page of the host the list of whoever is signed in.

    None where nobody is signed in, the feature is disabled for them, or the database cannot be used.
    """
    for name in ("panel", "access_tokens_shown"):
        if isinstance(shown := context.get(name), Panel):
            return shown
    try:
        owner = current_owner_or_none()
        return None if owner is None else OwnPanel(owner, embedded=True)
    except tokens.StoreError as error:
        logger.error("The access tokens of a page cannot be listed: %s", error_summary(error))
        return None


@blueprint.app_context_processor
def _template_globals() -> dict[str, Any]:
    return {"access_tokens_panel": access_tokens_panel, "access_tokens_asset": asset_url}
