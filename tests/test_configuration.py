"""The configuration: what is refused, and when it is read."""

from typing import Any

import pytest
from flask_sqlalchemy import SQLAlchemy

from applications import application, new_token_header
from flask_access_tokens import (
    AccessTokens,
    secret,
    token_required,
    tokens,
)
from flask_access_tokens.config import DEFAULTS
from host import Host, bearer


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("ACCESS_TOKENS_ENABLED", "yes"),
        ("ACCESS_TOKENS_ENABLED", 1),
        ("ACCESS_TOKENS_ENABLED", None),
        ("ACCESS_TOKENS_SELF_SERVICE", "False"),
        ("ACCESS_TOKENS_PREFIX", "a b"),
        ("ACCESS_TOKENS_PREFIX", []),
        ("ACCESS_TOKENS_DEFAULT_LIFETIME_DAYS", 0),
        ("ACCESS_TOKENS_DEFAULT_LIFETIME_DAYS", "365"),
        ("ACCESS_TOKENS_MAX_LIFETIME_DAYS", -2),
        ("ACCESS_TOKENS_MAX_LIFETIME_DAYS", None),
        ("ACCESS_TOKENS_MAX_LIFETIME_DAYS", True),
        ("ACCESS_TOKENS_MAX_PER_OWNER", 0),
        ("ACCESS_TOKENS_MAX_PER_OWNER", 1.5),
        ("ACCESS_TOKENS_SCOPES", ["read"]),
        ("ACCESS_TOKENS_SCOPES", {"a b": "Two"}),
        ("ACCESS_TOKENS_SCOPES", {'a"': "Quote"}),
        ("ACCESS_TOKENS_SCOPES", {"": "Nothing"}),
        ("ACCESS_TOKENS_SCOPES", {7: "Seven"}),
        ("ACCESS_TOKENS_LAST_USED_INTERVAL", -1),
        ("ACCESS_TOKENS_LAST_USED_INTERVAL", "60"),
        ("ACCESS_TOKENS_LAST_USED_INTERVAL", True),
        ("ACCESS_TOKENS_LAST_USED_INTERVAL", float("nan")),
        ("ACCESS_TOKENS_LAST_USED_FROM", "yes"),
        ("ACCESS_TOKENS_LAST_USED_FROM", None),
        ("ACCESS_TOKENS_REALM", 'a"b'),
        ("ACCESS_TOKENS_REALM", "é"),
        ("ACCESS_TOKENS_REALM", "a\r\nb"),
        ("ACCESS_TOKENS_REALM", None),
        ("ACCESS_TOKENS_PEPPERS", ["good", ""]),
        ("ACCESS_TOKENS_PEPPERS", [None]),
        ("ACCESS_TOKENS_HTMX", "cdn"),
        ("ACCESS_TOKENS_ENDPOINTS", "self"),
        ("ACCESS_TOKENS_ENDPOINTS", None),
        ("ACCESS_TOKENS_ENDPOINTS", ["self", "rotation"]),
        ("ACCESS_TOKENS_ENDPOINTS", [["self"]]),
        ("ACCESS_TOKENS_INTROSPECTION_SCOPE", "undeclared"),
        ("ACCESS_TOKENS_INTROSPECTION_SCOPE", ["read"]),
        ("ACCESS_TOKENS_NOTICE_DAYS", None),
        ("ACCESS_TOKENS_NOTICE_DAYS", 7),
        ("ACCESS_TOKENS_NOTICE_DAYS", "71"),
        ("ACCESS_TOKENS_NOTICE_DAYS", [7, 0]),
        ("ACCESS_TOKENS_NOTICE_DAYS", [100_000]),
        ("ACCESS_TOKENS_NOTICE_DAYS", [1.5]),
        ("ACCESS_TOKENS_NOTICE_DAYS", [True]),
        ("ACCESS_TOKENS_NOTICE_DAYS", [7, 1, 7]),
        ("ACCESS_TOKENS_ADOPTED", "[0-9a-f"),
        ("ACCESS_TOKENS_ADOPTED", ""),
        ("ACCESS_TOKENS_ADOPTED", "[0-9a-f]*"),
        ("ACCESS_TOKENS_ADOPTED", "(?u)[0-9a-f]{32}"),
        ("ACCESS_TOKENS_ADOPTED", "[0-9a-f]{99999999999999999999}"),
        ("ACCESS_TOKENS_ADOPTED", ["[0-9a-f]{32}"]),
        ("ACCESS_TOKENS_ALSO_FROM", None),
        ("ACCESS_TOKENS_ALSO_FROM", [7]),
    ],
)
def test_an_invalid_setting_raises_at_setup_and_is_named(key: str, value: object) -> None:
    app = application(**{key: value})
    with pytest.raises(ValueError, match="Scope|" + key):
        AccessTokens(app, SQLAlchemy(app))


@pytest.mark.case("S25")
@pytest.mark.parametrize("prefix", ["pat_", " pat", "my app", "my-app", "1pat", "a__b", "x" * 33])
def test_a_prefix_that_cannot_be_used_is_refused_with_every_rule(prefix: str) -> None:
    app = application(ACCESS_TOKENS_PREFIX=prefix)
    with pytest.raises(ValueError, match=f"^ACCESS_TOKENS_PREFIX is {prefix!r}") as refused:
        AccessTokens(app, SQLAlchemy(app))
    for rule in ("letters and digits", "such as 'my_app'", "no blanks", "the underscore after it is added", "1 to 32"):
        assert rule in str(refused.value)


@pytest.mark.case("S19")
@pytest.mark.parametrize("text", ["True", "true", "False", "yes", "1", "", "0"])
def test_a_flag_from_an_environment_variable_is_refused_with_how_to_convert_it(text: str) -> None:
    app = application(ACCESS_TOKENS_ENABLED=text)
    with pytest.raises(ValueError, match=r"^ACCESS_TOKENS_ENABLED is '.*'\. Set True, False or a function") as refused:
        AccessTokens(app, SQLAlchemy(app))
    assert str(refused.value).endswith('ACCESS_TOKENS_ENABLED = os.environ["NAME"] == "true".')


@pytest.mark.case("S19")
@pytest.mark.parametrize("flag", [True, False, lambda owner_id: True])
def test_a_flag_may_be_a_bool_or_a_callable(flag: Any) -> None:
    app = application(ACCESS_TOKENS_ENABLED=flag)
    AccessTokens(app, SQLAlchemy(app))
    app.get("/api")(token_required(lambda: "in"))
    assert app.test_client().get("/api", headers=new_token_header(app)).status_code == (401 if flag is False else 200)


def test_introspection_is_not_opened_without_its_scope() -> None:
    app = application(ACCESS_TOKENS_ENDPOINTS=["introspect"], ACCESS_TOKENS_SCOPES={"ask": "Ask"})
    db = SQLAlchemy(app)
    with pytest.raises(ValueError, match="ACCESS_TOKENS_INTROSPECTION_SCOPE is None"):
        AccessTokens(app, db)
    app.config["ACCESS_TOKENS_INTROSPECTION_SCOPE"] = "ask"
    AccessTokens(app, db)


@pytest.mark.parametrize("unset", [None, "", b"", (), []])
def test_an_empty_pepper_setting_means_no_pepper(unset: Any) -> None:
    app = application(ACCESS_TOKENS_PEPPERS=unset)
    AccessTokens(app, SQLAlchemy(app))
    app.get("/api")(token_required(lambda: "in"))
    header = new_token_header(app)
    with app.app_context():
        assert tokens.count_by_scheme() == {"sha256": 1}
    assert app.test_client().get("/api", headers=header).status_code == 200


@pytest.mark.parametrize("pepper", ["one", b"one"])
def test_one_pepper_may_be_given_alone(pepper: Any) -> None:
    app = application(ACCESS_TOKENS_PEPPERS=pepper)
    AccessTokens(app, SQLAlchemy(app))
    new_token_header(app)
    app.config["ACCESS_TOKENS_PEPPERS"] = ["one"]
    with app.app_context():
        (scheme,) = tokens.count_by_scheme()
        assert scheme == secret.schemes(["one"])[0]


def test_the_defaults_are_set_where_the_host_sets_nothing() -> None:
    app = application(ACCESS_TOKENS_REALM="ours")
    AccessTokens(app, SQLAlchemy(app))
    assert {key: app.config[key] for key in DEFAULTS} == DEFAULTS | {"ACCESS_TOKENS_REALM": "ours"}


def test_settings_are_read_when_they_are_used(host: Host) -> None:
    old = host.generate().secret
    host.app.config["ACCESS_TOKENS_PREFIX"] = ["new", "pat"]
    host.app.config["ACCESS_TOKENS_REALM"] = "other"
    new = host.generate().secret
    assert new.startswith("new_")
    client = host.client()
    assert [client.get("/api", headers=bearer(text)).status_code for text in (old, new)] == [200, 200]
    assert client.get("/api").headers["WWW-Authenticate"] == 'Bearer realm="other"'
    host.app.config["ACCESS_TOKENS_PREFIX"] = "new"
    assert [client.get("/api", headers=bearer(text)).status_code for text in (old, new)] == [401, 200]
