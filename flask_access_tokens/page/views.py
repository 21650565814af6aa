"""The page's door: a session in, the panel out."""

import contextlib
import uuid
from typing import Any

from flask import (
    Blueprint,
    Response,
    abort,
    after_this_request,
    current_app,
    jsonify,
    make_response,
    redirect,
    render_template,
    request,
    send_from_directory,
    session,
    url_for,
)
from flask.typing import ResponseReturnValue
from flask_wtf.csrf import CSRFError, CSRFProtect
from itsdangerous import BadSignature, URLSafeTimedSerializer
from jinja2 import pass_context
from jinja2.runtime import Context
from werkzeug.datastructures import MultiDict
from werkzeug.exceptions import Forbidden, HTTPException, NotFound, ServiceUnavailable, Unauthorized
from werkzeug.routing import BuildError

from .. import policy, texts, tokens
from ..api import bearer, routes
from ..state import State, current_state, logger
from ..texts import gettext as _
from ..tokens import AlreadyGenerated, NewToken, TokenRefused
from .forms import DeleteForm, GenerateForm
from .panel import Panel, asset_url, list_state

FORM_AGE = 24 * 60 * 60
"""Seconds for which a form that was left open still makes its token."""

blueprint = Blueprint("access_tokens", __name__, template_folder="templates")
_csrf = CSRFProtect()


@blueprint.get("/")
def index() -> ResponseReturnValue:
    owner = _person()
    return _panel(owner)


@blueprint.get("/new")
def new() -> ResponseReturnValue:
    owner = _person()
    _may_generate()
    return _panel(owner, form=_form(owner, prefilled=True))


@blueprint.post("/new")
def generate() -> ResponseReturnValue:
    owner = _person()
    _may_generate()
    _protect()
    form = _form(owner)
    try:
        nonce = _nonce(form.nonce.data, owner)
    except BadSignature:
        return _expired(owner)
    if not form.validate():
        return _panel(owner, form=form, status=422)
    try:
        made = tokens.generate(
            owner,
            form.name.data,
            description=form.description.data,
            lifetime_days=form.days,
            scopes=form.scopes.data or (),
            nonce=nonce,
        )
    except AlreadyGenerated as again:
        return _panel(owner, notice=str(again), alarm=True, status=409)
    except TokenRefused as refused:
        if refused.field is None:
            return _panel(owner, form=form, notice=str(refused), alarm=True, status=422)
        form[refused.field].errors = [str(refused)]
        return _panel(owner, form=form, status=422)
    return _panel(owner, made=made, url=_address_to_try(made))


@blueprint.get("/<uuid:token_id>/delete")
def ask(token_id: uuid.UUID) -> ResponseReturnValue:
    owner = _person()
    token = tokens.get(owner, token_id)
    if token is None:
        return _gone(owner)
    return _panel(owner, asked=token, form=DeleteForm())


@blueprint.post("/<uuid:token_id>/delete")
def delete(token_id: uuid.UUID) -> ResponseReturnValue:
    owner = _person()
    _protect()
    token = tokens.get(owner, token_id)
    if token is None or not tokens.delete(owner, token_id):
        return _gone(owner)
    if _fragment():
        return _panel(owner, notice=_("Token “%(name)s” was deleted.", name=token.name))
    return redirect(url_for("access_tokens.index", _external=False, **list_state()), 303)


@blueprint.get("/<uuid:token_id>/use")
def use(token_id: uuid.UUID) -> ResponseReturnValue:
    """When a token was last used, for the script that waits for the first time."""
    token = tokens.get(_person(), token_id)
    if token is None:
        raise NotFound(_("You have no such token; it may have been deleted already."))
    if token.last_used_at is None:
        return jsonify(used=None)
    return jsonify(
        used=Panel.machine_time(token.last_used_at),
        distance=texts.distance(token.last_used_at, tokens.now()),
        moment=Panel.in_words(token.last_used_at),
    )


@blueprint.get("/assets/<path:name>")
def asset(name: str) -> ResponseReturnValue:
    state = current_state()
    flag = state.config["ACCESS_TOKENS_ENABLED"]
    if state.switched_off or (callable(flag) and not state.enabled(_identity(state))):
        abort(404)
    response = send_from_directory(f"{current_app.blueprints['access_tokens'].root_path}/static", name, max_age=86400)
    response.headers["X-Content-Type-Options"] = "nosniff"
    return response


# Who is there


def _person() -> str:
    """The owner id of whoever is signed in; everybody else is answered here."""
    state = current_state()
    if state.switched_off:
        abort(404)
    stranger = bearer.count(request.environ.get("HTTP_AUTHORIZATION")) > 0
    # A token must not open the page, whatever the host's loaders make of it.
    owner = None if stranger else _identity(state)
    if not state.enabled(owner):
        abort(404)
    if stranger:
        abort(401, _("An access token does not open this page. Sign in instead."))
    if owner is None:
        abort(_sign_in(state))
    try:
        request.args  # noqa: B018
    except UnicodeDecodeError:
        abort(400)
    return owner


def _somebody() -> str | None:
    """The owner id of whoever is signed in and may see the page; None for everybody else."""
    state = current_state()
    if state.switched_off or bearer.count(request.environ.get("HTTP_AUTHORIZATION")) > 0:
        return None
    owner = _identity(state)
    return owner if owner is not None and state.enabled(owner) else None


def _identity(state: State) -> str | None:
    if state.loaders.identity is not None:
        found = state.app.ensure_sync(state.loaders.identity)()
    elif state.login_manager is not None:
        from flask_login import current_user

        found = current_user.get_id() if current_user.is_authenticated else None
        # A request_loader lets in whoever brings a header; this page is for the session.
        if "_user_id" not in session:
            return None
    else:
        raise RuntimeError(
            "No identity loader is set. Decorate a function with @access_tokens.identity_loader: it returns the id of"
            " whoever is signed in, or None."
        )
    return None if found is None or found == "" else policy.owner_key(found)


def _sign_in(state: State) -> Response:
    """The host's own answer to the signed-out."""
    try:
        if state.login_manager is None:
            raise Unauthorized
        answer = state.login_manager.unauthorized()
    except HTTPException as error:
        answer = current_app.handle_user_exception(error)
    return make_response(answer)


def _may_generate() -> None:
    if not current_state().config["ACCESS_TOKENS_SELF_SERVICE"]:
        raise Forbidden(_("Tokens are generated by the operators of this application."))


def _protect() -> None:
    """Check the CSRF token here as well: the host may protect nothing, or chosen views only."""
    if current_app.config.get("WTF_CSRF_ENABLED", True):
        _csrf.protect()


# What was sent


def _form(owner: str, prefilled: bool = False) -> GenerateForm:
    """The form as it was sent, or a fresh one, which a link may fill."""
    args = request.args if prefilled else MultiDict[str, str]()
    form = GenerateForm(
        formdata=None if prefilled else request.form,
        name=args.get("name", ""),
        description=args.get("description", ""),
        lifetime_days=args.get("lifetime_days", str(policy.default_lifetime()) if prefilled else ""),
        scopes=args.getlist("scopes"),
    )
    form.owner_id = owner
    scopes = current_state().scopes
    form.scopes.choices = [(scope, scopes[scope]) for scope in current_state().grantable(owner)]
    if prefilled:
        _renew(form, owner)
    return form


def _renew(form: GenerateForm, owner: str) -> None:
    form.nonce.data = _serializer().dumps([uuid.uuid4().hex, owner])


def _nonce(signed: str | None, owner: str) -> str | None:
    """The one-time value of a form, None where it carries none; raises where it is too old or another's."""
    if not signed:
        return None
    nonce, whose = _serializer().loads(signed, max_age=FORM_AGE)
    if whose != owner:
        raise BadSignature("This form was made for somebody else.")
    return str(nonce)


def _serializer() -> URLSafeTimedSerializer:
    keys = [*(current_app.config.get("SECRET_KEY_FALLBACKS") or ()), current_app.secret_key]
    return URLSafeTimedSerializer(keys, salt="flask-access-tokens.form")


# What is answered


def _panel(owner: str, *, status: int = 200, **shown: Any) -> Response:
    """The panel in one of its states: alone for htmx, inside the host's layout for everyone else."""
    panel = Panel(owner, **shown)
    if _fragment():
        return make_response(render_template("access_tokens/_panel.html", access_tokens_shown=panel))
    return make_response(render_template("access_tokens/page.html", access_tokens_shown=panel), status)


@pass_context
def access_tokens_panel(context: Context) -> Panel | None:
    """What the templates show: the panel of this answer, or the list of whoever is signed in, in a host's own page.

    None where nobody is signed in or the feature is off for them.
    """
    for name in ("panel", "access_tokens_shown"):
        if isinstance(shown := context.get(name), Panel):
            return shown
    owner = _somebody()
    if owner is None:
        return None
    try:
        return Panel(owner, embedded=True)
    except tokens.StoreError as error:
        # A host's page is worth more than the list in it.
        logger.error("The access tokens in a page cannot be read: %s", tokens.failure(error))
        return None


@blueprint.app_context_processor
def _for_templates() -> dict[str, Any]:
    return {"access_tokens_panel": access_tokens_panel, "access_tokens_asset": asset_url}


def _gone(owner: str) -> Response:
    """The same 404 for an unknown, a foreign and a deleted token; htmx gets the fresh list instead."""
    if not _fragment():
        raise NotFound(_("You have no such token; it may have been deleted already."))
    return _panel(owner, notice=_("This token is already gone."), alarm=True)


def _expired(owner: str) -> Response:
    """A fresh form with what was typed, and the reason."""
    form: Any
    message = _("This form has expired. Nothing was changed; please send it again.")
    token_id = (request.view_args or {}).get("token_id")
    if token_id is not None:
        token = tokens.get(owner, token_id)
        return (
            _gone(owner)
            if token is None
            else _panel(owner, asked=token, form=DeleteForm(), notice=message, alarm=True, status=400)
        )
    form = _form(owner)
    _renew(form, owner)
    return _panel(owner, form=form, notice=message, alarm=True, status=400)


@blueprint.errorhandler(CSRFError)
def csrf_failed(error: CSRFError) -> ResponseReturnValue:
    """What the view would have asked first comes first: the flag, a stranger, a token that is gone."""
    logger.info("A form of the access token page was refused: %s", error.description)
    try:
        owner = _person()
        if request.endpoint == "access_tokens.generate":
            _may_generate()
        return _expired(owner)
    except HTTPException as answer:
        # Flask takes no exception from an error handler.
        return current_app.handle_http_exception(answer)
    except tokens.StoreError as unreachable:
        return store_failed(unreachable)


@blueprint.errorhandler(tokens.StoreError)
def store_failed(error: Exception) -> ResponseReturnValue:
    """503: nothing was changed that was not acknowledged, and trying again makes sense."""
    logger.error("The access token page cannot reach its store: %s", tokens.failure(error))
    unavailable = ServiceUnavailable(_("Access tokens cannot be reached now. Try again in a moment."))

    @after_this_request
    def say_when(response: Response) -> Response:
        response.headers["Retry-After"] = str(tokens.RETRY_AFTER)
        return response

    return current_app.handle_http_exception(unavailable)


def finish(response: Response) -> Response:
    """Give the page's answers their headers, after the host has set its own; its CSP and framing stand.

    Sign-in is the host's, by whatever it answers or where it redirects; htmx is told to go there.
    """
    if request.blueprint != "access_tokens" or request.endpoint == "access_tokens.asset":
        return response
    headers = response.headers
    if _htmx() and (response.status_code == 401 or (_fragment() and response.location)):
        # Followed by htmx, a redirect of the host would put its sign-in into the panel.
        headers["HX-Redirect"] = headers.pop("Location", None) or url_for("access_tokens.index")
        response.status_code = 401
    headers["Cache-Control"] = "no-store"
    response.vary.update(["Cookie", "HX-Request"])
    headers.setdefault("Referrer-Policy", "same-origin")
    headers.setdefault("X-Content-Type-Options", "nosniff")
    if "Content-Security-Policy" not in headers and "X-Frame-Options" not in headers:
        headers["Content-Security-Policy"] = "frame-ancestors 'none'"
    return response


def _address_to_try(made: NewToken) -> str:
    """A guarded address of this host that the new token opens, for the curl line; else the host's root."""
    for route in routes.guarded_routes(current_app):
        fits = route.method == "GET" and "<" not in route.rule and route.reachable
        if fits and set(route.guard.scopes) <= set(made.token.scopes):
            with contextlib.suppress(BuildError):  # its subdomain is a parameter
                return url_for(route.endpoint, _external=True)
    return request.url_root


def _htmx() -> bool:
    return request.headers.get("HX-Request") == "true"


def _fragment() -> bool:
    """Whether htmx wants the panel alone; a boosted link or a restored page wants all of it."""
    boosted = "HX-Boosted" in request.headers or "HX-History-Restore-Request" in request.headers
    return _htmx() and not boosted
