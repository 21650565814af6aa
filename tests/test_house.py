"""The shape of the house: which room may know which, where SQL lives, what the repository holds."""

import ast
import hashlib
import json
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from host import Host, bearer

from flask_access_tokens import tokens

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "flask_access_tokens"

FLOORS = (
    {"__init__"},
    {"extension"},
    {"views", "guard", "cli"},
    {"panel", "forms"},
    {"tokens"},
    {"policy"},
    {"state"},
    {"routes", "bearer", "models", "secret", "signals", "texts"},
)
"""From the roof down. A room imports from the floors below its own, and no other."""

STATEMENTS = {"select", "insert", "update", "delete", "text"}
RUNS = {"commit", "execute", "exec_driver_sql", "scalar", "scalars", "flush", "rollback"}
BY_NEITHER = {"prune", "count_by_scheme"}
"""The operator's verbs: they name neither an owner nor a digest."""


def trees() -> dict[str, ast.Module]:
    """Every room, parsed."""
    return {path.stem: ast.parse(path.read_text()) for path in PACKAGE.glob("*.py")}


def imports(tree: ast.Module, rooms: set[str]) -> set[str]:
    """The rooms that a room imports anywhere in it, under ``TYPE_CHECKING`` and inside functions too."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            module = node.module or ""
            if node.level == 0 and module.split(".")[0] != "flask_access_tokens":
                continue
            named = module if node.level else module.removeprefix("flask_access_tokens").lstrip(".")
            found |= {named.split(".")[0]} if named else {alias.name for alias in node.names} & rooms
        elif isinstance(node, ast.Import):
            found |= {
                [*alias.name.split("."), "__init__"][1]
                for alias in node.names
                if alias.name.split(".")[0] == "flask_access_tokens"
            }
    return found


def test_every_room_stands_on_a_floor() -> None:
    assert set().union(*FLOORS) == set(trees())


@pytest.mark.parametrize("number", range(len(FLOORS)))
def test_imports_run_down_never_up_and_never_sideways(number: int) -> None:
    rooms = trees()
    below: set[str] = set().union(*FLOORS[number + 1 :])
    for room in FLOORS[number]:
        assert imports(rooms[room], set(rooms)) <= below, room


@pytest.mark.parametrize("room", ["secret", "bearer"])
def test_what_is_audited_alone_imports_nothing_of_the_house(room: str) -> None:
    rooms = trees()
    assert imports(rooms[room], set(rooms)) == set()


def test_statements_and_commits_are_in_the_hall_alone() -> None:
    for room, tree in trees().items():
        if room == "tokens":
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "sqlalchemy":
                assert not {alias.name for alias in node.names} & STATEMENTS, room
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                assert node.func.attr not in RUNS, f"{room}:{node.lineno}"
            if isinstance(node, ast.Attribute) and node.attr == "session":
                assert room == "state", f"{room}:{node.lineno}"


def test_every_function_with_a_statement_names_the_owner_or_the_digest() -> None:
    def names(function: ast.AST) -> set[str]:
        """What it compares, and what it writes into a new row."""
        compared = [node.left for node in ast.walk(function) if isinstance(node, ast.Compare)]
        keys = [key for node in ast.walk(function) if isinstance(node, ast.Dict) for key in node.keys]
        return (
            {node.attr for node in compared if isinstance(node, ast.Attribute)}
            | {node.id for node in compared if isinstance(node, ast.Name)}
            | {str(key.value) for key in keys if isinstance(key, ast.Constant)}
        )

    def statements(function: ast.AST) -> set[str]:
        calls = [node.func for node in ast.walk(function) if isinstance(node, ast.Call)]
        return {call.id for call in calls if isinstance(call, ast.Name)} & {*STATEMENTS, "delete_from", "_select"}

    functions = [node for node in ast.walk(trees()["tokens"]) if isinstance(node, ast.FunctionDef)]
    unbound = {
        function.name
        for function in functions
        if statements(function) and not names(function) & {"owner_id", "digest"}
    }
    # _select is the list of columns, to which each verb adds its condition.
    assert unbound == {*BY_NEITHER, "_select"}


@pytest.fixture
def statements(make_host: Callable[..., Host]) -> Iterator[tuple[Host, list[str]]]:
    """A host, and the statements on the token table that it runs."""
    host = make_host(
        ACCESS_TOKENS_MAX_PER_OWNER=5, ACCESS_TOKENS_PEPPERS=["first"], ACCESS_TOKENS_LAST_USED_INTERVAL=0
    )
    seen: list[str] = []

    def note(connection: Any, cursor: Any, statement: str, *_: Any) -> None:
        if "access_tokens" in statement:
            seen.append(" ".join(statement.split()))

    with host.app.app_context():
        engine = host.db.engine
    sa.event.listen(engine, "before_cursor_execute", note)
    yield host, seen
    sa.event.remove(engine, "before_cursor_execute", note)


def test_every_statement_that_runs_for_a_person_or_a_program_names_the_owner_or_the_digest(
    statements: tuple[Host, list[str]],
) -> None:
    host, seen = statements
    with host.app.app_context():
        kept = tokens.generate("ann", "laptop", scopes=["read"], nonce="once")
        gone = tokens.generate("ann", "phone")
        with pytest.raises(tokens.AlreadyGenerated):
            tokens.generate("ann", "laptop", nonce="once")
        tokens.owned_by("ann")
        tokens.get("ann", kept.token.id)
        for search in ("", "lap"):
            tokens.page("ann", search=search, status="active", sort="-name")
        tokens.delete("ann", gone.token.id)
    host.app.config["ACCESS_TOKENS_PEPPERS"] = ["second", "first"]
    assert host.client().get("/api", headers=bearer(kept.secret)).status_code == 200
    browser = host.client("ann")
    browser.get("/access-tokens/?q=lap&sort=used")
    browser.get(f"/access-tokens/{kept.token.id}/delete")
    browser.post(f"/access-tokens/{kept.token.id}/delete")
    with host.app.app_context():
        tokens.delete_all("ann")

    assert {statement.split()[0] for statement in seen} == {"SELECT", "INSERT", "UPDATE", "DELETE"}
    for statement in seen:
        if not statement.startswith("INSERT"):
            _, _, where = statement.partition(" WHERE ")
            assert re.search(r"\b(?:owner_id|digest) (?:=|IN)", where), statement


def test_the_vendored_htmx_is_the_file_that_its_record_names() -> None:
    static = PACKAGE / "static"
    record = json.loads((static / "htmx.json").read_text())
    assert record["version"] == "4.0.1"
    assert record["sha256"] == "a0abb04f2f45a1f89d1d4844023245537e5e6014c87b144553e0607b4cc32130"
    assert hashlib.sha256((static / record["file"]).read_bytes()).hexdigest() == record["sha256"]
    assert "Zero-Clause BSD" in (static / record["licence"]).read_text()
    assert [path.name for path in static.glob("*htmx*.js")] == [record["file"]]


def test_no_tracked_file_names_a_place_on_somebodys_machine() -> None:
    # In brackets, so that this line is not found.
    place = re.compile(r"(?<![\w.])/(?:hom[e]|wor[k]|roo[t]|User[s])/\w")
    named = [
        f"{path}: {found[0]}"
        for path in _tracked()
        if (found := place.search((ROOT / path).read_text(errors="ignore"))) is not None
    ]
    assert named == []


def test_pyproject_is_the_only_file_of_settings() -> None:
    others = re.compile(
        r"(setup\.(cfg|py)|tox\.ini|\.?(pytest|mypy)\.ini|\.?ruff\.toml|\.flake8|\.coveragerc|.*\.lock)$"
    )
    assert [path for path in _tracked() if others.match(Path(path).name)] == []


def _tracked() -> list[str]:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return [path for path in listed.splitlines() if (ROOT / path).is_file()]
