"""Private and undocumented names of the dependencies: the contributing page lists all that the package uses."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "flask_access_tokens"
UNDOCUMENTED = {
    "__dataclass_fields__",
    "before_request_funcs",
    "class_",
    "dispatch",
    "kw",
    "provide_automatic_options",
    "view_class",
}
DOCUMENTED = {"_get_current_object"}
"""Documented by Werkzeug in spite of its underscore."""


def accessed_names() -> Iterator[tuple[str, str]]:
    """Every attribute that the package reads or writes, by name or by a string, and where."""
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            where = f"{path.name}:{getattr(node, 'lineno', 0)}"
            if isinstance(node, ast.Attribute):
                yield node.attr, where
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id.endswith("attr"):
                yield from ((argument.value, where) for argument in node.args if isinstance(argument, ast.Constant))


def own_names() -> set[str]:
    """The private names that the package itself defines, as functions, classes, fields or attributes."""
    names: set[str] = set()
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                names.add(node.name)
            if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                names.add(node.target.id)
            if (
                isinstance(node, ast.Attribute)
                and isinstance(node.ctx, ast.Store)
                and ast.unparse(node.value) == "self"
            ):
                names.add(node.attr)
    return names


def listed() -> list[tuple[str, str]]:
    """The names and the test of each row of the table."""
    page = (ROOT / "docs" / "contributing.md").read_text()
    table = page.partition("## Undocumented names")[2].partition("\n## ")[0]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines() if "`test_" in line]
    return [(row[0], row[-1].strip("`")) for row in rows if len(row) == 4]


def test_no_private_name_of_a_dependency_is_used_but_those_that_are_listed() -> None:
    own = own_names()
    private = [
        f"{where}: {name}"
        for name, where in accessed_names()
        if isinstance(name, str) and re.match(r"_(?!_)|__(?!.*__$)", name)
        if name not in own | DOCUMENTED and not name.startswith(("_access_token", "_access_tokens"))
    ]
    assert private == []


def test_the_contributing_page_lists_every_undocumented_name_that_is_used() -> None:
    used = {name for name, _ in accessed_names()} & UNDOCUMENTED
    table = " ".join(names for names, _ in listed())
    assert used == UNDOCUMENTED
    assert {name for name in UNDOCUMENTED if re.search(rf"\b{name}`", table)} == UNDOCUMENTED


@pytest.mark.parametrize(("names", "test"), listed())
def test_every_listed_name_has_a_test(names: str, test: str) -> None:
    tests = (path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
    assert any(f"def {test}(" in text for text in tests), names
