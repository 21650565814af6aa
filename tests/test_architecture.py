"""The rules of the architecture: which module may import which, where SQL is, what the repository holds."""

import ast
import hashlib
import json
import re
import subprocess
from collections.abc import Callable, Iterator
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from flask_access_tokens import tokens
from host import Host, bearer

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "flask_access_tokens"

LAYERS = (
    {"__init__"},
    {"extension"},
    {"page", "api", "cli", "doctor"},
    {"config"},
    {"session_user"},
    {"notices"},
    {"tokens"},
    {"rotation", "adoption"},
    {"store"},
    {"policy"},
    {"state"},
    {"models"},
    {"clock", "finding", "places", "secret", "signals", "strength", "texts"},
)
"""Modules and packages from the top down. Each imports from the layers below its own, and from no other."""

SIDEWAYS = {
    ("page.identity", "api.credentials"),
    ("page.responses", "api.routes"),
    ("cli.routes", "api.routes"),
    ("doctor.guards", "api.routes"),
    ("cli.doctor", "doctor.__init__"),
    ("cli.routes", "doctor.guards"),
    ("cli.tokens", "doctor.peppers"),
}
"""The exceptions: the list of guarded routes is shown in four places, the page refuses credentials, and commands print
what the doctor finds."""

STATEMENTS = {"select", "insert", "update", "delete", "text"}
RUNS = {"commit", "execute", "exec_driver_sql", "scalar", "scalars", "flush", "rollback"}
OF_THE_CATALOG = {"_unusable"}
"""It asks PostgreSQL for what it knows of the table, and reads no row of it."""
OF_OPERATORS = {"prune", "count_by_scheme", "insert_within_limit", "some_owner_ids"}
"""The operations for operators, which name neither an owner nor a digest."""
OF_THE_DESK = {"overview", "filtered", "listed", "counted", "count_of", "_number_of", "_by_ids", "_of_filter"}
"""The functions of the operators' list, which reads the tokens of all owners."""
OF_OWNERS = {"_active_expression", "_load_all_mapped", "_load_mapped", "unknown_owners"}
"""The functions that ask for an owner, and for no token."""


@cache
def modules() -> dict[str, ast.Module]:
    """Every module by its dotted name within the package, parsed; a package is named ``package.__init__``."""
    return {
        ".".join(path.relative_to(PACKAGE).with_suffix("").parts): ast.parse(path.read_text())
        for path in PACKAGE.rglob("*.py")
    }


def imports(name: str, tree: ast.Module, known: set[str]) -> set[str]:
    """The modules of the package that a module imports, under ``TYPE_CHECKING`` and inside functions too."""
    found: set[str] = set()
    package = name.split(".")[:-1]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            assert not [alias for alias in node.names if alias.name.startswith("flask_access_tokens")], name
        if not isinstance(node, ast.ImportFrom):
            continue
        assert not (node.module or "").startswith("flask_access_tokens"), f"{name}: import relatively"
        if node.level:
            base = [*package[: len(package) - node.level + 1], *(node.module or "").split(".")]
            for alias in node.names:
                whole, parent = (".".join(filter(None, parts)) for parts in ([*base, alias.name], base))
                found.add(whole if whole in known else parent if parent in known else f"{parent}.__init__")
    return found


def layer_of(name: str) -> int:
    return next(number for number, layer in enumerate(LAYERS) if name.split(".")[0] in layer)


def test_every_module_has_a_layer() -> None:
    assert set().union(*LAYERS) == {name.split(".")[0] for name in modules()}


@pytest.mark.parametrize("name", sorted(modules()))
def test_a_module_imports_only_from_the_layers_below_its_own(name: str) -> None:
    trees = modules()
    for imported in imports(name, trees[name], set(trees)):
        within = "." in name and imported.split(".")[0] == name.split(".")[0]
        assert within or (name, imported) in SIDEWAYS or layer_of(imported) > layer_of(name), imported


def test_no_two_modules_import_each_other() -> None:
    trees = modules()
    graph = {name: imports(name, tree, set(trees)) for name, tree in trees.items()}
    assert len(list(TopologicalSorter(graph).static_order())) == len(trees)


@pytest.mark.parametrize("name", ["secret", "places", "strength", "api.bearer"])
def test_a_module_that_is_audited_by_itself_imports_nothing_of_the_package(name: str) -> None:
    trees = modules()
    assert imports(name, trees[name], set(trees)) == set()


def runs_sql(name: str) -> bool:
    return name == "tokens" or name.startswith("store.")


def test_statements_and_commits_are_in_the_store_and_the_operations_alone() -> None:
    for name, tree in modules().items():
        if runs_sql(name):
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "sqlalchemy":
                assert not {alias.name for alias in node.names} & STATEMENTS, name
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                assert node.func.attr not in RUNS, f"{name}:{node.lineno}"
            if isinstance(node, ast.Attribute) and node.attr == "session":
                assert name == "state", f"{name}:{node.lineno}"


CONNECTS = {"session_connection", "session_factory", "raw_connection", "connect", "session", "active_session"}
MAY_CONNECT = {
    "store.connections": "reads, again where the server had closed the connection",
    "store.direct": "the check, which the session reads in that case",
    "store.transactions": "transactions, run again in that case",
    "store.notices": "the transaction in which a notice is sent",
    "store.last_used": "last uses, tried again",
}


def test_whatever_reads_has_its_connection_from_the_one_function_that_reads_again() -> None:
    for name, tree in modules().items():
        calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
        called = {getattr(call.func, "attr", getattr(call.func, "id", None)) for call in calls}
        if runs_sql(name) and name not in MAY_CONNECT:
            assert not called & CONNECTS, name


def test_every_function_with_a_statement_names_the_owner_or_the_digest() -> None:
    def names(function: ast.AST) -> set[str]:
        """The columns it compares or writes into a new row, and whether it uses the condition on the owner."""
        compared = [node.left for node in ast.walk(function) if isinstance(node, ast.Compare)]
        keys = [key for node in ast.walk(function) if isinstance(node, ast.Dict) for key in node.keys]
        return (
            {node.attr for node in compared if isinstance(node, ast.Attribute)}
            | {node.id for node in compared if isinstance(node, ast.Name)}
            | {
                node.value.attr
                for node in ast.walk(function)
                if isinstance(node, ast.Attribute) and node.attr == "in_" and isinstance(node.value, ast.Attribute)
            }
            | {str(key.value) for key in keys if isinstance(key, ast.Constant)}
            | called(function) & {"of_owner", "of_exact_owner"}
        )

    def called(function: ast.AST) -> set[str]:
        calls = [node.func for node in ast.walk(function) if isinstance(node, ast.Call)]
        return {call.id for call in calls if isinstance(call, ast.Name)}

    def statements(function: ast.AST) -> set[str]:
        return called(function) & {*STATEMENTS, "delete_from", "select_tokens"}

    trees = [tree for name, tree in modules().items() if runs_sql(name)]
    functions = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    unbound = {
        function.name
        for function in functions
        if statements(function) and not names(function) & {"of_owner", "of_exact_owner", "owner_id", "digest"}
    }
    # "replace" is a part of insert_successor, which names the owner. select_tokens is the list of columns, to which
    # its callers add their condition.
    assert unbound == {*OF_OPERATORS, *OF_THE_DESK, *OF_OWNERS, *OF_THE_CATALOG, "replace", "select_tokens"}


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
    static = PACKAGE / "page" / "static"
    record = json.loads((static / "htmx.json").read_text())
    assert record["version"] == "4.0.1"
    assert record["sha256"] == "a0abb04f2f45a1f89d1d4844023245537e5e6014c87b144553e0607b4cc32130"
    assert hashlib.sha256((static / record["file"]).read_bytes()).hexdigest() == record["sha256"]
    assert "Zero-Clause BSD" in (static / record["licence"]).read_text()
    assert [path.name for path in static.glob("*htmx*.js")] == [record["file"]]


def test_no_tracked_file_contains_a_path_on_somebodys_machine() -> None:
    # In brackets, so that this line does not match.
    place = re.compile(r"(?<![\w.])/(?:hom[e]|wor[k]|roo[t]|User[s])/\w")
    named = [
        f"{path}: {found[0]}"
        for path in _tracked()
        if (found := place.search((ROOT / path).read_text(errors="ignore"))) is not None
    ]
    assert named == []


def test_no_python_file_has_more_than_350_lines() -> None:
    lines = {path: len((ROOT / path).read_text().splitlines()) for path in _tracked() if path.endswith(".py")}
    assert {path: count for path, count in lines.items() if count > 350} == {}


def test_pyproject_is_the_only_configuration_file() -> None:
    others = re.compile(
        r"(setup\.(cfg|py)|tox\.ini|\.?(pytest|mypy)\.ini|\.?ruff\.toml|\.flake8|\.coveragerc|.*\.lock)$"
    )
    assert [path for path in _tracked() if others.match(Path(path).name)] == []


def _tracked() -> list[str]:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return [path for path in listed.splitlines() if (ROOT / path).is_file()]
