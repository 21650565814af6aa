"""The recipes of the documentation do what they say."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from examples import recipe
from host import bearer
from pages import NEW, PAGE
from refusals import FORGED
from visits import add_csrf_view, command, csrf_header, generate_on_page, new_secret, owned, running, sign_in


@pytest.fixture
def example(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The module of the recipe that a test names."""
    module = recipe(request.param, tmp_path, monkeypatch)
    with running(module.app):
        yield module


def of_recipe(heading: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("example", [heading], indirect=True)


def add(example: Any, *rows: dict[str, Any]) -> None:
    with example.app.app_context():
        example.db.session.add_all(example.User(**row) for row in rows)
        example.db.session.commit()


def get(example: Any, path: str, secret: str) -> Any:
    return example.app.test_client().get(path, headers=bearer(secret))


@of_recipe("Flask-Login with its own get_id()")
def test_the_recipe_for_flask_login(example: Any) -> None:
    add(example, {"email": "ann"})
    with example.app.app_context():
        session_id = example.db.session.get(example.User, 1).get_id()
    client = sign_in(example.app, session_id)
    secret = generate_on_page(client)
    with example.app.app_context():
        example.db.session.get(example.User, 1).password_hash = "new"
        example.db.session.commit()
    assert client.get(PAGE).status_code == 401
    assert get(example, "/api/me", secret).get_json() == {"email": "ann"}


@of_recipe("Flask-Security")
def test_the_recipe_for_flask_security(example: Any) -> None:
    with example.app.app_context():
        store = example.app.security.datastore
        for name, roles in (("ann", []), ("bob", [store.find_or_create_role("admin")])):
            store.create_user(email=name, password="", roles=roles)
        store.commit()
        ids = {user.email: user.fs_uniquifier for user in example.db.session.query(example.User)}
        auth_token = store.find_user(email="ann").get_auth_token()
    secrets = {name: generate_on_page(sign_in(example.app, ids[name])) for name in ids}
    assert get(example, "/api/admin", secrets["bob"]).get_json() == {"email": "bob"}
    assert get(example, "/api/admin", secrets["ann"]).status_code == 403
    for path in (PAGE, NEW):
        assert example.app.test_client().get(f"{path}?auth_token={auth_token}").status_code != 200


@of_recipe("Flask-Principal")
def test_the_recipe_for_flask_principal(example: Any) -> None:
    add(example, {"role": "reader"}, {"role": "admin"})
    assert get(example, "/api/admin", generate_on_page(sign_in(example.app, 2))).get_json() == {"role": "admin"}
    assert get(example, "/api/admin", generate_on_page(sign_in(example.app, 1))).status_code == 403


@of_recipe("Flask-Admin")
def test_the_recipe_for_flask_admin(example: Any) -> None:
    add(example, {"name": "ann"})
    client = sign_in(example.app, 1)
    secret = generate_on_page(client)
    assert f'href="{PAGE}"' in client.get("/admin/user/").text
    assert get(example, "/api/me", secret).get_json() == {"name": "ann"}
    assert get(example, "/admin/user/", secret).status_code == 403


@of_recipe("Flask-RESTful")
def test_the_recipe_for_flask_restful(example: Any) -> None:
    headers = bearer(new_secret(example.app, "ann", scopes=["notes:write"]))
    client = example.app.test_client()
    assert client.post("/api/notes", headers=headers).status_code == 201
    assert client.get("/api/notes", headers=headers).status_code == 403
    assert client.post("/api/notes").status_code == 401
    assert command(example.app, "routes", "--check").splitlines() == [
        "GET\t/api/notes\tnotes:read",
        "POST\t/api/notes\tnotes:write",
    ]


@of_recipe("One view for the session and for tokens")
def test_the_recipe_for_the_session_and_tokens(example: Any) -> None:
    add(example, {"name": "ann"})
    add_csrf_view(example.app)
    client, headers = sign_in(example.app, 1), bearer(new_secret(example.app, 1, scopes=["notes:write"]))
    assert client.get("/api/notes").get_json() == {"user": "ann", "by": "session"}
    assert client.post("/api/notes").status_code == 400
    assert client.post("/api/notes", headers=csrf_header(client)).status_code == 200
    assert example.app.test_client().post("/api/notes", headers=headers).get_json() == {"user": "ann", "by": "token"}
    assert client.get("/v1/me").get_json() == {"user": "ann"}
    assert example.app.test_client().get("/v1/me").status_code == 401


@of_recipe("Old API tokens beside access tokens")
def test_the_recipe_for_old_tokens(example: Any) -> None:
    add(example, {"name": "ann", "token": "0" * 32}, {"name": "bob"})
    assert get(example, "/api/me", "0" * 32).get_json() == {"name": "ann"}
    assert get(example, "/api/me", new_secret(example.app, 2)).get_json() == {"name": "bob"}
    refused = get(example, "/api/me", FORGED)
    assert (refused.status_code, 'realm="api"' in refused.headers["WWW-Authenticate"]) == (401, True)
    assert get(example, "/api/me", "1" * 32).status_code == 401
    assert owned(example.app, 1) == []
