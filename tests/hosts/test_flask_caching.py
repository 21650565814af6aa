"""A guarded view whose response Flask-Caching keeps, which it would serve to anybody: the finding, and the recipe."""

from collections.abc import Callable, Iterator
from functools import wraps
from pathlib import Path
from typing import Any

import pytest
from flask import Blueprint
from flask.views import MethodView
from flask_caching import Cache

from examples import recipe
from flask_access_tokens import current_token, require_token, token_required, tokens
from host import Host, bearer
from sound import SOUND, found


@pytest.fixture
def host(make_host: Callable[..., Host]) -> Host:
    return make_host(**SOUND, CACHE_TYPE="SimpleCache")


@pytest.fixture
def cache(host: Host) -> Cache:
    return Cache(host.app)


def owner() -> str:
    return current_token.owner_id


def upper(view: Any) -> Any:
    """A decorator of the host's that keeps the names of what it wraps."""

    @wraps(view)
    def changed(*args: Any, **kwargs: Any) -> str:
        return str(view(*args, **kwargs)).upper()

    return changed


ORDERS: dict[str, Callable[[Cache], Any]] = {
    "above the guard": lambda cache: cache.cached(60)(token_required(owner)),
    "below the guard": lambda cache: token_required(cache.cached(60)(owner)),
    "above other decorators": lambda cache: cache.cached(60)(upper(token_required(upper(owner)))),
    "below other decorators": lambda cache: upper(token_required(upper(cache.cached(60)(owner)))),
    "memoized": lambda cache: token_required(cache.memoize(60)(owner)),
}


@pytest.mark.case("S21")
@pytest.mark.parametrize("order", ORDERS)
def test_a_cached_guarded_view_is_found_wherever_the_cache_is(host: Host, cache: Cache, order: str) -> None:
    host.app.add_url_rule("/cached", view_func=ORDERS[order](cache))
    client = host.client()
    of_ann = client.get("/cached", headers=bearer(host.generate("ann").secret))
    of_bob = client.get("/cached", headers=bearer(host.generate("bob").secret))
    assert (of_ann.text.lower(), of_bob.text) == ("ann", of_ann.text), "the cache serves Ann's response to Bob"
    messages = found(host.app)
    assert messages.keys() == {"guard-cached"}
    assert messages["guard-cached"].startswith("GET /cached: owner ")
    ran = host.call("routes", "--check")
    assert (ran.exit_code, ran.stderr.strip()) == (1, messages["guard-cached"])


@pytest.mark.case("S21")
def test_a_cached_view_is_found_in_a_class_and_behind_a_guarded_blueprint(host: Host, cache: Cache) -> None:
    class OfMethod(MethodView):
        decorators = [token_required]  # noqa: RUF012

        @cache.cached(60)
        def get(self) -> str:
            return owner()

        def post(self) -> str:
            return owner()

    blueprint = Blueprint("v1", __name__, url_prefix="/v1")
    blueprint.before_request(require_token)
    blueprint.get("/me")(cache.cached(60)(owner))
    host.app.add_url_rule("/class", view_func=OfMethod.as_view("of_method"))
    host.app.register_blueprint(blueprint)
    lines = host.call("routes", "--check").stderr.splitlines()
    assert [line.partition(" is ")[0] for line in lines] == ["GET /class: of_method", "GET /v1/me: v1.owner"]


@pytest.mark.case("S21")
def test_what_is_cached_elsewhere_is_not_found(host: Host, cache: Cache) -> None:
    host.app.get("/open")(cache.cached(60)(lambda: "open to everybody"))
    host.app.get("/guarded")(token_required(upper(owner)))
    assert found(host.app) == {}


@pytest.fixture
def example(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    example = recipe("Flask-Caching", tmp_path, monkeypatch)
    yield example
    with example.app.app_context():
        example.db.engine.dispose()


@pytest.mark.case("S21")
def test_the_recipe_serves_each_owner_their_own_and_nobody_nothing(example: Any) -> None:
    with example.app.app_context():
        example.db.session.add_all([example.User(name="Ann"), example.User(name="Bob")])
        example.db.session.commit()
        secrets = [tokens.generate(owner, "laptop").secret for owner in (1, 2)]
    client = example.app.test_client()
    for _ in range(2):
        assert [client.get("/api/report", headers=bearer(each)).json["name"] for each in secrets] == ["Ann", "Bob"]
    assert client.get("/api/report").status_code == 401
    assert not {code for code in found(example.app) if code.startswith("guard")}
