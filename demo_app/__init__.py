"""A small application with personal access tokens: people to sign in as, their notes, and an API for the notes."""

import secrets
from datetime import timedelta
from pathlib import Path
from typing import Any

from flask import Flask, Response, abort, flash, jsonify, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_login import LoginManager, UserMixin, current_user, login_required, login_user, logout_user
from flask_sqlalchemy import SQLAlchemy
from flask_wtf import CSRFProtect

from flask_access_tokens import AccessTokens, current_token, notices, token_expiring, token_required, tokens

db = SQLAlchemy()
csrf = CSRFProtect()
login_manager = LoginManager()
access_tokens = AccessTokens()


class Person(UserMixin, db.Model):
    id = db.Column(db.String(30), primary_key=True)
    name = db.Column(db.String(100), nullable=False)

    def __str__(self) -> str:
        return str(self.name)

    @property
    def is_operator(self) -> bool:
        return self.id == "olga"


class Note(db.Model):
    id = db.Column(db.Integer, primary_key=True)
    person_id = db.Column(db.ForeignKey(Person.id), index=True, nullable=False)
    text = db.Column(db.String(200), nullable=False)


@login_manager.user_loader
def load_person(person_id: str) -> Person | None:
    return db.session.get(Person, person_id)


@access_tokens.operator_loader
def load_operator() -> str | None:
    return current_user.id if current_user.is_authenticated and current_user.is_operator else None


def create_app() -> Flask:
    """Create the demo, with its database in the instance folder; ``FLASK_…`` variables configure it."""
    app = Flask(__name__)
    app.config.update(
        # A new key at each start ends all sessions; access tokens do not depend on it.
        SECRET_KEY=secrets.token_hex(),
        SESSION_COOKIE_SAMESITE="Lax",
        SQLALCHEMY_DATABASE_URI="sqlite:///demo.sqlite3",
        ACCESS_TOKENS_BASE_TEMPLATE="layout.html",
        ACCESS_TOKENS_PREFIX="demo",
        ACCESS_TOKENS_ENDPOINTS=("self", "rotate"),
        ACCESS_TOKENS_LAST_USED_FROM=True,
        ACCESS_TOKENS_SCOPES={
            "notes:read": "Read your notes",
            "notes:write": "Write notes as you",
        },
    )
    app.config.from_prefixed_env()
    Path(app.instance_path).mkdir(exist_ok=True)

    db.init_app(app)
    csrf.init_app(app)
    login_manager.init_app(app)
    login_manager.login_view = "home"
    login_manager.login_message = "Sign in first: choose a person."
    access_tokens.init_app(app, db, owner=Person.id)
    _add_pages(app)
    _add_api(app)
    token_expiring.connect(_print_notice, app)
    app.after_request(_allow_own_content_only)

    with app.app_context():
        db.create_all()
        for name in ("Ann", "Bob", "Olga"):
            db.session.merge(Person(id=name.lower(), name=name))
        db.session.commit()
    return app


def _add_pages(app: Flask) -> None:
    @app.get("/")
    def home() -> str:
        mine = tokens.owned_by(current_user.id) if current_user.is_authenticated else []
        return render_template(
            "home.html",
            people=db.session.scalars(db.select(Person).order_by(Person.name)).all(),
            notes=_notes_of(current_user.get_id()),
            generated=bool(mine),
            used=any(token.last_used_at for token in mine),
            rotated=any(token.replaced for token in mine),
            expiring=any(token.status == "expiring" for token in mine),
        )

    @app.post("/sign-in/<person_id>")
    def sign_in(person_id: str) -> ResponseReturnValue:
        login_user(db.session.get(Person, person_id) or abort(404))
        return redirect(url_for("home"), 303)

    @app.post("/expiring-token")
    @login_required
    def add_expiring_token() -> ResponseReturnValue:
        generated = tokens.generate(current_user.id, "Old phone", lifetime_days=90, scopes=["notes:read"])
        row = db.session.get(access_tokens.model, generated.token.id)
        row.created_at -= timedelta(days=84)
        row.expires_at -= timedelta(days=84)
        db.session.commit()
        return redirect(url_for("access_tokens.index"), 303)

    @app.post("/sign-out")
    def sign_out() -> ResponseReturnValue:
        logout_user()
        flash("You are signed out. Your tokens still work.")
        return redirect(url_for("home"), 303)


def _add_api(app: Flask) -> None:
    @app.get("/api/me")
    @token_required
    def api_me() -> ResponseReturnValue:
        return jsonify(name=current_user.name, token=current_token.name, scopes=current_token.scopes)

    @app.get("/api/notes")
    @token_required("notes:read")
    def api_notes() -> ResponseReturnValue:
        return jsonify(notes=[note.text for note in _notes_of(current_token.owner_id)])

    @app.post("/api/notes")
    @token_required("notes:write")
    def api_write_note() -> ResponseReturnValue:
        text = request.form.get("text", "").strip()
        if not 1 <= len(text) <= 200:
            return jsonify(error="Send a text of 1 to 200 characters."), 400
        db.session.add(Note(person_id=current_token.owner_id, text=text))
        db.session.commit()
        return jsonify(text=text), 201


def _print_notice(app: Flask, token: tokens.Token, days: int, **_: Any) -> None:
    """Print the notice that an application would send to the owner by email."""
    notice = notices.compose(token, days)
    print(f"To: {token.owner.name}\nSubject: {notice.subject}\n\n{notice.text}")


def _notes_of(person_id: str | None) -> list[Any]:
    return list(db.session.scalars(db.select(Note).filter_by(person_id=person_id).order_by(Note.id.desc())))


def _allow_own_content_only(response: Response) -> Response:
    response.headers.setdefault(
        "Content-Security-Policy",
        "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    )
    return response
