"""The walk-throughs of the page on adopting: tables as the earlier systems make them, exported and adopted as told."""

import hashlib
import secrets
import sqlite3
import zlib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from canary import Canary
from examples import ROOT, examples_of, import_module, run_example
from flask_access_tokens import tokens
from host import SEPARATE_STDERR, bearer

BLOCKS = examples_of(ROOT / "docs" / "adopting.md")

DJANGO = """
CREATE TABLE "authtoken_token" (
    "key" varchar(40) NOT NULL PRIMARY KEY,
    "created" datetime NOT NULL,
    "user_id" integer NOT NULL UNIQUE REFERENCES "auth_user" ("id") DEFERRABLE INITIALLY DEFERRED
);
CREATE TABLE "knox_authtoken" (
    "digest" varchar(128) NOT NULL PRIMARY KEY,
    "created" datetime NOT NULL,
    "user_id" integer NOT NULL REFERENCES "auth_user" ("id") DEFERRABLE INITIALLY DEFERRED,
    "expiry" datetime NULL,
    "token_key" varchar(25) NOT NULL
);
INSERT INTO "authtoken_token" VALUES ('ffa14ba65ae45fb0951bebf4b02225b49e6035f3', '2026-01-28 12:33:27.785591', 1);
INSERT INTO "knox_authtoken" VALUES (
    '5e2744c4e8346b28c14925d5100f2d057f797a55d843fe4e1e2e47952d7c0a72'
    || 'b2275911512ed6373a95b011164bbd6005604aaa5f89d1f80731cae7a2754721',
    '2026-01-28 12:33:27.788568', 1, NULL, '190795bdfeef18d'
);
INSERT INTO "knox_authtoken" VALUES (
    '93c3feff2c1e3317e49a31aa93611cec17dca6183b763aee49eac09b3e40c3b8'
    || '7edecbfe8710f6f75d80fbbb6824d53d851d44d9b52a3c3be94a7edd67be0d82',
    '2026-01-28 12:33:27.791110', 2, '2096-11-25 12:33:27.790841', '28de1a4d52d2cde'
);
"""
"""What the migrations of Django REST framework 3.18 and knox 5.1 create on SQLite, with tokens that they generated."""

DJANGO_KEYS = {
    "ffa14ba65ae45fb0951bebf4b02225b49e6035f3": 1,
    "190795bdfeef18d7e0b49f532a7e07ac1451c141ac16bb50c863fad501e39e24": 1,
    "28de1a4d52d2cde23ebb8c29af6e370d4faa7dce2bdee2e6980b1e36e7993cbc": 2,
}

SANCTUM = """
create table "personal_access_tokens" (
    "id" integer primary key autoincrement not null,
    "tokenable_type" varchar not null,
    "tokenable_id" integer not null,
    "name" varchar not null,
    "token" varchar not null,
    "abilities" text,
    "last_used_at" datetime,
    "expires_at" datetime,
    "created_at" datetime,
    "updated_at" datetime
);
create unique index "personal_access_tokens_token_unique" on "personal_access_tokens" ("token");
"""
"""What Sanctum's migration creates on SQLite."""


class Walk:
    """The application of one walk-through, with two users."""

    def __init__(self, heading: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (application,) = (code for each, code in BLOCKS if each == "The application of the examples")
        configuration, self.script = (code for each, code in BLOCKS if each == heading)
        self.module = import_module("app", f"{application}\n{configuration}", folder, monkeypatch)
        self.app, self.folder, self.monkeypatch = self.module.app, folder, monkeypatch
        with self.app.app_context():
            self.module.db.create_all()
            self.module.db.session.add_all([self.module.User(id=1), self.module.User(id=2)])
            self.module.db.session.commit()

    def set(self, user_id: int, **values: Any) -> None:
        with self.app.app_context():
            user = self.module.db.session.get(self.module.User, user_id)
            for name, value in values.items():
                setattr(user, name, value)
            self.module.db.session.commit()

    def adopt(self, capsys: pytest.CaptureFixture[str]) -> str:
        """Run the script and the command, twice; return what the command printed."""
        capsys.readouterr()
        run_example(self.script, self.folder, self.monkeypatch)
        exported, printed = capsys.readouterr().out, []
        for _ in range(2):
            runner = self.app.test_cli_runner(**SEPARATE_STDERR)
            ran = runner.invoke(args=["access-tokens", "adopt", "-"], input=exported)
            assert ran.exit_code == 0, ran.output
            printed.append(ran.stdout)
        return "".join(printed)

    def get(self, headers: dict[str, str]) -> Any:
        return self.app.test_client().get("/api/me", headers=headers)


@pytest.fixture
def walk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], Walk]]:
    """A function that starts the walk-through below a heading."""
    begun: list[Walk] = []

    def begin(heading: str) -> Walk:
        begun.append(Walk(heading, tmp_path, monkeypatch))
        return begun[-1]

    yield begin
    for one in begun:
        one.app.config["TESTING"] = True
        with one.app.app_context():
            one.module.db.session.remove()
            one.module.db.engine.dispose()


def both(user_id: int) -> dict[str, Any]:
    return {"id": user_id, "scopes": ["notes:read", "notes:write"]}


def test_a_column_api_key_on_the_user(
    walk: Callable[[str], Walk], capsys: pytest.CaptureFixture[str], canary: Canary
) -> None:
    one, key = walk("A column api_key on the user"), secrets.token_urlsafe(32)
    canary.remember(key)
    one.app.config["TESTING"] = True
    one.set(1, api_key=key)
    assert one.adopt(capsys) == "1 adopted, 0 already there.\n0 adopted, 1 already there.\n"
    assert one.get({"X-API-Key": key}).get_json() == both(1)
    assert one.get({"X-API-Key": secrets.token_urlsafe(32)}).status_code == 401


def test_flask_httpauth_as_in_the_mega_tutorial(
    walk: Callable[[str], Walk], capsys: pytest.CaptureFixture[str]
) -> None:
    one, live, expired = walk("Flask-HTTPAuth, as in the Flask Mega-Tutorial"), *(secrets.token_hex(16) for _ in "12")
    one.app.config["TESTING"] = True
    now = datetime.now(UTC)
    one.set(1, token=live, token_expiration=(now + timedelta(days=9)).replace(tzinfo=None))
    one.set(2, token=expired, token_expiration=(now - timedelta(seconds=1)).replace(tzinfo=None))
    assert one.adopt(capsys) == "1 adopted, 0 already there.\n0 adopted, 1 already there.\n"
    assert one.get(bearer(live)).get_json() == both(1)
    assert one.get(bearer(expired)).status_code == 401
    with one.app.app_context():
        (token,) = tokens.owned_by(1)
    assert token.expires_at == now + timedelta(days=9)


def test_django_rest_framework_and_knox(walk: Callable[[str], Walk], capsys: pytest.CaptureFixture[str]) -> None:
    one = walk("Django REST framework and knox")
    one.app.config["TESTING"] = True
    with sqlite3.connect(one.folder / "django.sqlite3") as connection:
        connection.executescript(DJANGO)
    connection.close()
    assert one.adopt(capsys) == "3 adopted, 0 already there.\n0 adopted, 3 already there.\n"
    for _ in range(2):  # the second time, the digest has been replaced
        for key, user_id in DJANGO_KEYS.items():
            answer = one.get({"Authorization": f"Token {key}"})
            assert answer.get_json() == {"id": user_id, "scopes": ["notes:read"]}
    assert one.adopt(capsys) == "0 adopted, 3 already there.\n" * 2
    with one.app.app_context():
        (token,) = tokens.owned_by(2)
        assert tokens.count_by_scheme() == {"sha256": 3}
    assert (token.name, token.created_at) == (
        "Token 28de1a4d52d2cde",
        datetime(2026, 1, 28, 12, 33, 27, 791110, UTC),
    )


def test_laravel_sanctum(walk: Callable[[str], Walk], capsys: pytest.CaptureFixture[str]) -> None:
    one = walk("Laravel Sanctum")
    one.app.config["TESTING"] = True
    random = [secrets.token_hex(20) for _ in "123"]
    plain = [f"{text}{zlib.crc32(text.encode()):08x}" for text in random[:2]] + random[2:]
    rows = [
        ("App\\Models\\User", 1, "laptop", '["*"]', "2026-01-02 03:04:05", None),
        ("App\\Models\\User", 2, "phone", '["notes:view"]', None, "2096-01-02 03:04:05"),
        ("App\\Models\\Team", 1, "bot", '["*"]', None, None),
    ]
    with sqlite3.connect(one.folder / "laravel.sqlite3") as connection:
        connection.executescript(SANCTUM)
        for (kind, owner, name, abilities, used, expires), text in zip(rows, plain, strict=True):
            digest = hashlib.sha256(text.encode()).hexdigest()
            values = (kind, owner, name, digest, abilities, used, expires, "2026-01-01 00:00:00")
            connection.execute(
                "insert into personal_access_tokens (tokenable_type, tokenable_id, name, token, abilities,"
                " last_used_at, expires_at, created_at) values (?, ?, ?, ?, ?, ?, ?, ?)",
                values,
            )
    connection.close()
    assert one.adopt(capsys) == "2 adopted, 0 already there.\n0 adopted, 2 already there.\n"
    assert one.get(bearer(f"1|{plain[0]}")).get_json() == both(1)
    assert one.get(bearer(plain[0])).get_json() == both(1)
    assert one.get(bearer(f"2|{plain[1]}")).get_json() == {"id": 2, "scopes": ["notes:read"]}
    assert one.get(bearer(f"3|{plain[2]}")).status_code == 401
    with one.app.app_context():
        (token,) = tokens.owned_by(2)
    assert (token.name, token.expires_at) == ("phone", datetime(2096, 1, 2, 3, 4, 5, tzinfo=UTC))
