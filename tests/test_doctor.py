"""What the doctor finds in an application: its guards, routes, secret key and session cookie."""

from collections.abc import Callable
from typing import Any

import pytest

from flask_access_tokens import token_required
from host import Host
from sound import SOUND, found


@pytest.fixture
def host(make_host: Callable[..., Host]) -> Host:
    """A host in which nothing is wrong."""
    return make_host(**SOUND)


def test_a_guard_above_its_route_is_found(host: Host) -> None:
    token_required(host.app.get("/wrong")(lambda: "open to everybody"))
    (message,) = found(host.app).values()
    assert found(host.app).keys() == {"guard-misplaced"}
    assert "below the route's decorator" in message


def test_a_guarded_view_without_a_rule_is_found(host: Host) -> None:
    host.app.view_functions["lost"] = token_required(lambda: "in")
    assert found(host.app).keys() == {"guard-without-rule"}


def test_a_guarded_view_that_another_rule_hides_is_found(host: Host) -> None:
    host.app.add_url_rule("/same", "first", lambda: "open to everybody")
    host.app.add_url_rule("/same", "second", token_required(lambda: "in"))
    assert host.client().get("/same").text == "open to everybody"
    assert "GET /same: second" in found(host.app)["guard-unreachable"]


def test_a_scope_that_is_not_declared_is_found(host: Host) -> None:
    host.app.get("/typo")(token_required("raed")(lambda: "in"))
    assert "GET /typo: no token can have raed" in found(host.app)["scope-undeclared"]


@pytest.mark.parametrize("rule", ["/access-tokens/mine", "/access-tokens/new", "/access-tokens/<path:any>"])
def test_a_route_of_the_host_s_below_the_url_prefix_is_found(host: Host, rule: str) -> None:
    host.app.add_url_rule(rule, "mine", lambda **_: "mine")
    messages = found(host.app)
    assert messages.keys() == {"route-below-prefix"}
    assert messages["route-below-prefix"].startswith(f"{rule}: mine is among")


def test_a_route_that_only_begins_like_the_url_prefix_is_none_below_it(host: Host) -> None:
    host.app.add_url_rule("/access-tokens-of-old", "old", lambda: "old")
    host.app.add_url_rule("/<path:page>", "page", lambda page: page)
    assert found(host.app) == {}


def test_without_a_url_prefix_only_a_route_that_is_hidden_is_found(make_host: Callable[..., Host]) -> None:
    host = make_host(**SOUND, ACCESS_TOKENS_URL_PREFIX="/")
    host.app.add_url_rule("/revoke", "mine", lambda: "mine", methods=["POST"])
    assert host.client().post("/revoke").status_code == 404
    messages = found(host.app)
    assert messages.keys() == {"route-below-prefix"}
    assert messages["route-below-prefix"].startswith("/revoke: mine")


@pytest.mark.case("S19")
@pytest.mark.parametrize(
    ("key", "nearest"),
    [
        ("ACCESS_TOKENS_ENABLE", "ACCESS_TOKENS_ENABLED"),
        ("ACCESS_TOKENS_MAX_PER_USER", "ACCESS_TOKENS_MAX_PER_OWNER"),
        ("ACCESS_TOKENS_PEPPER", "ACCESS_TOKENS_PEPPERS"),
        ("ACCESS_TOKENS_scopes", "ACCESS_TOKENS_SCOPES"),
        ("ACCESS_TOKENS_XYZ", None),
    ],
)
def test_a_setting_that_does_not_exist_is_found_with_the_nearest_one_and_without_its_value(
    host: Host, key: str, nearest: str | None
) -> None:
    host.app.config[key] = "ground black pepper"
    messages = found(host.app)
    assert messages.keys() == {"setting-unknown"}
    assert messages["setting-unknown"].startswith(f"{key} ")
    assert (f"Set {nearest} instead" if nearest else "Correct its name") in messages["setting-unknown"]
    assert "black" not in messages["setting-unknown"]


@pytest.mark.parametrize("key", [None, "", b""])
def test_a_missing_secret_key_is_found(host: Host, key: Any) -> None:
    host.app.config["SECRET_KEY"] = key
    assert found(host.app).keys() == {"secret-key-missing"}


@pytest.mark.case("S25")
def test_the_strength_of_a_secret_key_is_not_judged(host: Host) -> None:
    for key in ("dev", b"change-me"):
        host.app.config.update(SECRET_KEY=key, SECRET_KEY_FALLBACKS=["short"])
        assert found(host.app) == {}


@pytest.mark.parametrize(
    ("flag", "value", "code"),
    [
        ("SESSION_COOKIE_SECURE", False, "cookie-secure"),
        ("SESSION_COOKIE_HTTPONLY", False, "cookie-httponly"),
    ],
)
def test_a_flag_of_the_session_cookie_that_is_not_set_is_found(host: Host, flag: str, value: Any, code: str) -> None:
    host.app.config[flag] = value
    messages = found(host.app)
    assert messages.keys() == {code}
    assert flag in messages[code]


def test_without_https_in_debug_mode_the_session_cookie_need_not_be_secure(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    host.app.config["SESSION_COOKIE_SECURE"] = False
    monkeypatch.setenv("FLASK_DEBUG", "1")  # as flask --debug sets it
    assert found(host.app) == {}


def test_without_a_url_prefix_a_route_of_another_method_is_not_hidden(make_host: Callable[..., Host]) -> None:
    host = make_host(**SOUND, ACCESS_TOKENS_URL_PREFIX="/")
    for number, method in enumerate(("PUT", "PATCH", "DELETE")):
        host.app.add_url_rule("/new", f"mine-{number}", lambda: "mine", methods=[method])
    assert host.client().put("/new").text == "mine"
    assert found(host.app) == {}
