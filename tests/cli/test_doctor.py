"""The command ``doctor``: silent in a sound host, a line for each finding in another, and the table in the guide."""

import ast
import json
import re
from collections.abc import Callable
from pathlib import Path

import flask_access_tokens
from examples import ROOT
from flask_access_tokens import secret
from host import Host
from owned import OwnedHost
from sound import SOUND, durable, enforce_foreign_keys


def test_a_sound_host_is_silent(make_host: Callable[..., Host], database_url: str) -> None:
    host = make_host(durable(database_url), **SOUND)
    host.generate("ann")
    for options in ([], ["--json"]):
        ran = host.call("doctor", *options)
        assert (ran.exit_code, ran.stdout, ran.stderr) == (0, "", "")


def test_a_sound_host_with_owner_is_silent(database_url: str) -> None:
    host = OwnedHost(durable(database_url))
    host.app.config.update(SOUND)
    with host.app.app_context():
        enforce_foreign_keys(host.db.engine)
        host.generate(host.add("Ann"))
        ran = host.app.test_cli_runner().invoke(args=["access-tokens", "doctor"])
        assert (ran.exit_code, ran.output) == (0, "")
        host.db.drop_all()
        host.db.engine.dispose()


def test_each_finding_is_a_line_with_a_code_and_what_to_do(make_host: Callable[..., Host]) -> None:
    host = make_host(**SOUND | {"SECRET_KEY": "", "SESSION_COOKIE_SECURE": False})
    host.app.config["ACCESS_TOKENS_PEPPERS"] = ["lost"]
    host.generate()
    host.app.config["ACCESS_TOKENS_PEPPERS"] = []
    ran, as_json = host.call("doctor"), host.call("doctor", "--json")
    assert ran.exit_code == as_json.exit_code == 1
    assert ran.stderr == as_json.stderr == ""
    lines = [line.split("\t") for line in ran.stdout.splitlines()]
    assert [code for code, _ in lines] == ["secret-key-missing", "cookie-secure", "pepper-missing"]
    assert [json.loads(line) for line in as_json.stdout.splitlines()] == [
        {"code": code, "message": message} for code, message in lines
    ]


def test_what_the_host_names_cannot_control_the_terminal(make_host: Callable[..., Host]) -> None:
    host = make_host(**SOUND)
    host.app.add_url_rule("/access-tokens/\x1b[31m\u202e", "mine", lambda: "mine")
    ran = host.call("doctor")
    assert ran.stdout.startswith(r"route-below-prefix" + "\t" + r"/access-tokens/\x1b[31m\u202e: mine")


def test_no_secret_is_printed(make_host: Callable[..., Host]) -> None:
    host = make_host(**SOUND | {"SECRET_KEY": "kx7-q2m-v9z"}, ACCESS_TOKENS_PEPPERS=["ground black pepper"])
    made = host.generate()
    host.app.config["ACCESS_TOKENS_PEPPERS"] = ["white pepper"]
    printed = host.call("doctor").output
    for hidden in ("kx7", "ground", "white", made.secret, secret.generate("pat").__class__.__name__):
        assert hidden not in printed


def test_every_code_is_in_the_table_of_the_guide() -> None:
    package = Path(flask_access_tokens.__file__).parent
    calls = [node for path in package.rglob("*.py") for node in ast.walk(ast.parse(path.read_text()))]
    codes = {
        str(ast.literal_eval(call.args[0]))
        for call in calls
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "Finding"
    }
    section = (ROOT / "docs" / "guide.md").read_text().partition("### What the doctor finds")[2].partition("\n## ")[0]
    assert set(re.findall(r"^\| `([a-z-]+)` \|", section, re.MULTILINE)) == codes
