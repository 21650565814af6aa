"""The required cases: each is covered by a test that is marked with it."""

import ast
from pathlib import Path

import pytest

GROUPS = {
    "A": "01 02 03 04 05 06 07 08 10 11 12 14 15 16 18 19",
    "B": "01 03 04 06 10 12 13 14 15 16 17 19 21 22 24 25",
    "C": "01 03 06 07 08 10 11 12 13 14 15",
    "D": "01 02 03 04 05 07 08 09 10 12 13 14 15 17 18 20",
    "E": "01 02 03 04 06 07 09 10 11 12 13 14 15 18 19 20 21 22 23 24",
    "F": "01 05 06 07 08 09 11 12 13 14 15",
    "G": "01 02 04 05 06 07",
    "H": "01 02 03 04 05",
    "R": "1 2 3 4 5",
    "S": " ".join(f"{number:02}" for number in range(1, 26)),
}
CASES = {f"{group}{number}" for group, numbers in GROUPS.items() for number in numbers.split()}

DOCUMENTED = {
    "D19": "TLS is not enforced.",
    "F16": "those tokens are valid again",
}
"""Cases that the package's code does not decide, each with its sentence on the page on security."""


@pytest.fixture(scope="module")
def marked() -> set[str]:
    """Every case that a test is marked with."""
    found: set[str] = set()
    for path in Path(__file__).parent.rglob("test_*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "pytest.mark.case":
                found |= {ast.literal_eval(argument) for argument in node.args}
    return found


def test_every_case_is_covered_by_a_test(marked: set[str]) -> None:
    assert sorted(CASES - marked) == []


def test_no_test_is_marked_with_an_unknown_case(marked: set[str]) -> None:
    assert sorted(marked - CASES - set(DOCUMENTED)) == []


def test_every_case_without_a_test_is_documented() -> None:
    page = (Path(__file__).parent.parent / "docs" / "security.md").read_text()
    assert [case for case, sentence in DOCUMENTED.items() if sentence not in page] == []
