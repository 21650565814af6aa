"""With Flask-Login, the page is for whoever the session names, whatever the host's loaders find in a request."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from flask import Flask, g, request
from flask_login import AnonymousUserMixin, LoginManager, UserMixin, current_user
from flask_sqlalchemy import SQLAlchemy

from flask_access_tokens import AccessTokens, token_required
from host import bearer
from pages import NEW, PAGE
from visits import CONFIG, add_csrf_view, names_on_page, new_secret, owned, running, sign_in

ANN, BOB = 1, 2
DESK = "/access-tokens/all/"


class Users:
    """A host of Ann, an administrator, and Bob, whose API keys are ``key of ann`` and ``key of bob``."""

    def __init__(self, *, owner: bool = True, identity: Callable[[], Any] | None = None) -> None:
        self.app = app = Flask("host")
        app.config.update(CONFIG, WTF_CSRF_ENABLED=False)
        db = SQLAlchemy(app)

        class User(UserMixin, db.Model):  # type: ignore[name-defined,misc]
            id = db.Column(db.Integer, primary_key=True)
            name = db.Column(db.String(100), nullable=False)

        self.db, self.user = db, User
        self.manager = LoginManager(app)
        self.access_tokens = AccessTokens(app, db, owner=User.id if owner else None)
        if identity is not None:
            self.access_tokens.identity_loader(identity)
        self.access_tokens.operator_loader(lambda: ANN if current_user.get_id() == str(ANN) else None)
        add_csrf_view(app)
        app.route("/notes", methods=["GET", "POST"])(token_required(or_session=True)(lambda: current_user.name))

    def by_name(self, name: str) -> Any:
        return self.db.session.execute(self.db.select(self.user).filter_by(name=name)).scalar_one_or_none()


@pytest.fixture
def make_users() -> Iterator[Callable[..., Users]]:
    contexts = []

    def make(**values: Any) -> Users:
        users = Users(**values)
        context = running(users.app)
        context.__enter__()
        contexts.append(context)
        with users.app.app_context():
            users.db.session.add_all([users.user(id=ANN, name="ann"), users.user(id=BOB, name="bob")])
            users.db.session.commit()
        return users

    yield make
    for context in contexts:
        context.__exit__(None, None, None)


def sent_key() -> str:
    return (request.args.get("api_key") or request.headers.get("X-Key") or "").removeprefix("key of ")


def through_user_loader(users: Users) -> None:
    """As Redash does: the loader of session users looks at the key first."""

    @users.manager.user_loader
    def load(user_id: str) -> Any:
        return users.by_name(sent_key()) or users.db.session.get(users.user, int(user_id))


def through_request_loader(users: Users) -> None:
    users.manager.user_loader(lambda user_id: users.db.session.get(users.user, int(user_id)))
    users.manager.request_loader(lambda request: users.by_name(sent_key()))


def through_hook(users: Users) -> None:
    users.manager.user_loader(lambda user_id: users.db.session.get(users.user, int(user_id)))

    @users.app.before_request
    def set_user() -> None:
        if user := users.by_name(sent_key()):
            g._login_user = user


KEYS = [{"query_string": {"api_key": "key of ann"}}, {"headers": {"X-Key": "key of ann"}}]


@pytest.mark.case("S03", "S24")
@pytest.mark.parametrize("own", [None, lambda: current_user.id, lambda: current_user], ids=["none", "ID", "user"])
@pytest.mark.parametrize("owner", [True, False], ids=["owner=", "user loader"])
@pytest.mark.parametrize("load", [through_user_loader, through_request_loader, through_hook])
def test_a_key_of_ann_s_opens_nothing_of_hers_for_bob_or_anybody(
    make_users: Callable[..., Users], load: Callable[[Users], None], owner: bool, own: Any
) -> None:
    if own is not None and not owner:
        own = lambda: current_user.get_id()  # noqa: E731
    users = make_users(owner=owner, identity=own and (lambda: own() if current_user.is_authenticated else None))
    load(users)
    new_secret(users.app, ANN, "hers")
    for client in (sign_in(users.app, BOB), users.app.test_client()):
        for key in KEYS:
            for path in (PAGE, NEW):
                answer = client.get(path, **key)
                assert answer.status_code == 401 or "hers" not in answer.text
            client.post(NEW, data={"name": "stolen", "lifetime_days": "30"}, **key)
            assert client.get(DESK, **key).status_code == 404
            answer = client.get("/notes", **key)
            assert (answer.status_code, answer.text) != (200, "ann")
    assert owned(users.app, ANN) == ["hers"]
    ann = sign_in(users.app, ANN)
    assert names_on_page(ann) == ["hers"]
    assert ann.get(DESK).status_code == 200


@pytest.mark.case("S03")
def test_a_token_of_bob_s_does_not_act_for_whomever_a_loader_finds_in_the_request(
    make_users: Callable[..., Users],
) -> None:
    users = make_users(owner=False)
    through_user_loader(users)
    header = bearer(new_secret(users.app, BOB))
    assert users.app.test_client().get("/notes", headers=header).text == "bob"
    assert users.app.test_client().get("/notes?api_key=key of ann", headers=header).status_code == 401


@pytest.mark.case("S03")
@pytest.mark.parametrize("owner", [True, False], ids=["owner=", "user loader"])
@pytest.mark.parametrize("kind", ["unstored", "no ID", "guest"])
def test_a_user_without_an_id_or_a_sign_in_is_nobody(make_users: Callable[..., Users], kind: str, owner: bool) -> None:
    users = make_users(owner=owner)

    class Key:
        is_authenticated, is_active, is_anonymous = True, True, False

    class Guest(AnonymousUserMixin):
        id = ANN

        def get_id(self) -> str:
            return str(ANN)

    made = {"unstored": lambda: users.user(name="key"), "no ID": Key, "guest": Guest}[kind]
    users.manager.user_loader(lambda user_id: users.db.session.get(users.user, int(user_id)))
    if kind == "guest":
        users.manager.anonymous_user = Guest
        users.access_tokens.identity_loader(lambda: current_user)
    else:
        users.manager.request_loader(lambda request: made() if "api_key" in request.args else None)
    users.access_tokens.operator_loader(lambda: "op" if current_user.is_authenticated else None)
    client = users.app.test_client()
    for path in (PAGE, NEW, "/notes"):
        assert client.get(path, query_string={"api_key": "k"}).status_code == 401
    assert client.get(DESK, query_string={"api_key": "k"}).status_code == 404
    assert client.post(NEW, data={"name": "x"}, query_string={"api_key": "k"}).status_code == 401


@pytest.mark.case("S24")
@pytest.mark.parametrize("user_id", ["99999999999", str(2**70), "007", "ann"])
def test_a_session_with_an_id_that_no_owner_can_have_is_nobody_s(
    make_users: Callable[..., Users], user_id: str
) -> None:
    users = make_users(identity=lambda: user_id)
    for path in (PAGE, NEW, "/notes"):
        assert users.app.test_client().get(path).status_code == 401
