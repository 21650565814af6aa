"""The documentation: its code runs, and it covers every setting, public name and command."""

import dataclasses
import re
import subprocess
import sys
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

import flask_access_tokens
from examples import ROOT, examples_of, run_example
from flask_access_tokens import tokens
from flask_access_tokens.cli import commands
from flask_access_tokens.config import DEFAULTS
from host import bearer
from sound import found
from visits import generate_on_page

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def examples() -> list[Any]:
    """Every block of Python code, with its page and heading; a recipe is one example, whatever its blocks."""
    listed = []
    for page in PAGES:
        for heading, blocks in groupby(examples_of(page), key=itemgetter(0)):
            codes = [code for _, code in blocks]
            codes = ["\n".join(codes)] if page.stem == "recipes" else codes
            # The five lines of the README need an application, which their own test has.
            codes = codes[1:] if page.stem == "README" else codes
            # The walk-throughs need the tables of other systems, which their own tests make.
            codes = codes if page.stem != "adopting" or heading == "The file" else []
            # A listener for all engines would outlive its example; the test of the quick start removes it.
            codes = [code for code in codes if "@event.listens_for(Engine" not in code]
            listed += [pytest.param(code, id=f"{page.name}: {heading}") for code in codes]
    return listed


ADD_USER = """
with app.app_context():
    db.session.add(User(id=1))
    db.session.commit()
"""
"""What the quick start does when its user signs in."""


@pytest.mark.parametrize("example", examples())
def test_an_example_runs(
    example: str, request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    quick_start = examples_of(ROOT / "README.md")[1][1]
    (tmp_path / "app.py").write_text(quick_start)
    if "def test_" in example:
        (tmp_path / "test_example.py").write_text(example)
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "error"]
        ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
        assert ran.returncode == 0, ran.stdout + ran.stderr
        return
    alone = example == quick_start or "recipes.md" in request.node.name
    run_example(example if alone else f"{quick_start}\n{ADD_USER}\n{example}", tmp_path, monkeypatch)


@pytest.mark.case("S25")
@pytest.mark.parametrize("page", ["README.md", "docs/quickstart.md"])
def test_the_doctor_finds_nothing_in_the_quick_start_but_what_production_needs(
    page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = run_example(examples_of(ROOT / page)[-1][1], tmp_path, monkeypatch).app
    monkeypatch.setenv("FLASK_DEBUG", "1")  # as flask --debug sets it
    assert found(app) == {}
    monkeypatch.delenv("FLASK_DEBUG")
    assert found(app).keys() == {"cookie-secure", "foreign-keys-off"}
    app.config["SESSION_COOKIE_SECURE"] = True
    (listener,) = [code for _, code in examples_of(ROOT / "docs" / "guide.md") if "PRAGMA" in code]
    namespace: dict[str, Any] = {}
    exec(listener, namespace)
    with app.app_context():
        app.extensions["sqlalchemy"].engine.dispose()
    try:
        assert found(app) == {}
    finally:
        sa.event.remove(sa.Engine, "connect", namespace["enforce_foreign_keys"])
    with app.app_context():
        app.extensions["sqlalchemy"].engine.dispose()


APPLICATION = """
from flask import Flask
from flask_login import LoginManager, UserMixin, current_user, login_user
from flask_sqlalchemy import SQLAlchemy

app = Flask(__name__)
app.config.update(SECRET_KEY="change me", SQLALCHEMY_DATABASE_URI="sqlite:///app.sqlite3")
db = SQLAlchemy(app)
login_manager = LoginManager(app)


class User(UserMixin, db.Model):
    id = db.Column(db.Integer, primary_key=True)
    name = db.Column(db.String(50))


login_manager.user_loader(lambda user_id: db.session.get(User, int(user_id)))
app.add_url_rule("/sign-in", view_func=lambda: str(login_user(db.session.get(User, 1))), endpoint="sign_in")
"""
"""An application with Flask-Login, as the README assumes it."""


def test_five_lines_are_enough_and_a_deleted_user_leaves_no_token(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = examples_of(ROOT / "README.md")[0][1]
    assert len([line for line in code.splitlines() if line]) == 5
    host = run_example(APPLICATION + code, tmp_path, monkeypatch)
    client = host.app.test_client()
    with host.app.app_context():
        host.db.create_all()
        host.db.session.add(host.User(name="Ann"))
        host.db.session.commit()
    client.get("/sign-in")
    secret = generate_on_page(client)
    header = bearer(secret)
    assert host.app.test_client().get("/api/me", headers=header).get_json() == {"name": "Ann"}
    with host.app.app_context():
        host.db.session.delete(host.db.session.get(host.User, 1))
        host.db.session.commit()
        assert list(tokens.iter_all()) == []
    assert host.app.test_client().get("/api/me", headers=header).status_code == 401
    with host.app.app_context():
        host.db.engine.dispose()


def test_every_setting_is_described_with_its_default() -> None:
    described = dict(
        re.findall(r"^\| `(ACCESS_TOKENS_\w+)` \| `(.+?)` \| .{20,}\|$", page("configuration"), re.MULTILINE)
    )
    assert described == {key: repr(value).replace("'", '"') for key, value in DEFAULTS.items()}


def test_every_public_name_is_described() -> None:
    assert (
        undescribed(name for name in vars(flask_access_tokens) if not name.startswith("_") and name not in MODULES)
        == []
    )


def test_every_operation_is_described() -> None:
    assert undescribed(tokens.__all__) == []


def test_every_operation_is_exported() -> None:
    own = {name for name, value in vars(tokens).items() if getattr(value, "__module__", None) == tokens.__name__}
    assert {name for name in own if not name.startswith("_")} <= set(tokens.__all__)


@pytest.mark.parametrize("record", [tokens.Token, tokens.NewToken, tokens.Page])
def test_every_attribute_of_the_returned_objects_is_described(record: type) -> None:
    fields = [field.name for field in dataclasses.fields(record)] if dataclasses.is_dataclass(record) else []
    names = {*fields, *(name for name, value in vars(record).items() if isinstance(value, property))}
    assert undescribed(name for name in names if not name.startswith("_")) == []


def test_every_command_is_described_with_its_options() -> None:
    guide = page("guide")
    for name, command in commands.commands.items():
        (row,) = re.findall(rf"^\| `flask access-tokens {name}[ `].*$", guide, re.MULTILINE)
        for parameter in command.params:
            assert parameter.opts[0] in row or (parameter.name or "").upper() in row


def test_every_page_is_in_the_table_of_contents() -> None:
    listed = re.findall(r"```\{toctree\}\n(?::.*\n)*\n(.*?)```", page("index"), re.DOTALL)[0].split()
    assert sorted([*listed, "index"]) == sorted(path.stem for path in PAGES if path.parent.name == "docs")


def test_every_link_of_the_readme_leads_to_a_file() -> None:
    links = re.findall(r"\]\(([^)#]+)|(?:src|srcset)=\"([^\"]+)\"", (ROOT / "README.md").read_text())
    missing = [path for path in map("".join, links) if not path.startswith("https:") and not (ROOT / path).exists()]
    assert missing == []


def test_every_make_target_is_described() -> None:
    (targets,) = re.findall(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert [target for target in targets.split() if f"`make {target}`" not in page("contributing")] == []


MODULES = {path.stem for path in Path(flask_access_tokens.__file__).parent.iterdir()} - {"tokens"}


def page(name: str) -> str:
    """The text of a page of the documentation."""
    return (ROOT / "docs" / f"{name}.md").read_text()


def undescribed(names: Any) -> list[str]:
    """Those of the names that the API page does not mention."""
    text = page("api")
    return sorted(name for name in names if not re.search(rf"\b{name}\b", text))
