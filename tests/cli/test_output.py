"""What the commands print: harmless in a terminal and a spreadsheet, and JSON for programs."""

import json
from datetime import datetime
from typing import Any

import pytest
import sqlalchemy as sa
from flask import jsonify

from flask_access_tokens import tokens
from flask_access_tokens.api.guard import token_required
from host import Host


def objects(result: Any) -> list[Any]:
    """The JSON objects that a command prints, one a line."""
    assert result.exit_code == 0, result.output
    assert result.stdout.isascii()
    assert set(result.stdout) - set("\n") == {each for each in result.stdout if each.isprintable()}
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_json_has_the_public_fields_of_a_token(stored_host: Host) -> None:
    made = stored_host.generate("ann", "laptop", description="Builds ☺", scopes=["read"], lifetime_days=30)
    with stored_host.app.app_context():
        (token,) = tokens.owned_by("ann")
        fields = jsonify(token).get_json()
    printed = [
        objects(stored_host.call("list", "--json")),
        objects(stored_host.call("list", "ann", "--json")),
        objects(stored_host.call("find", "--json", stdin=made.secret)),
        objects(stored_host.call("delete", "--stdin", "--json", stdin=made.secret)),
    ]
    times = {"created_at", "expires_at"}
    for (found,) in printed:
        assert {key: value for key, value in found.items() if key not in times} == {
            key: value for key, value in fields.items() if key not in times
        }
        for name in times:
            assert datetime.fromisoformat(found[name]) == getattr(token, name)
            assert found[name].endswith("+00:00")
    assert stored_host.rows() == []


def test_the_list_of_no_tokens_is_no_line_of_json(host: Host) -> None:
    assert objects(host.call("list", "--json")) == []


def test_routes_as_json(host: Host) -> None:
    host.app.add_url_rule("/either", view_func=token_required("read", or_session=True)(lambda: ""), endpoint="either")
    routes = {route["endpoint"]: route for route in objects(host.call("routes", "--json"))}
    assert routes["either"] == {
        "method": "GET",
        "rule": "/either",
        "endpoint": "either",
        "guard": {
            "scopes": ["read"],
            "optional": False,
            "or_session": True,
        },
        "reachable": True,
    }
    assert routes["write"]["guard"]["scopes"] == ["write"]


@pytest.mark.case("D12", "B21")
@pytest.mark.parametrize("command", [["list"], ["find"], ["delete", "--stdin"]], ids=" ".join)
def test_text_that_was_written_past_the_operations_is_harmless(host: Host, command: list[str]) -> None:
    made = host.generate("=owner", "laptop")
    table = host.access_tokens.model.__table__
    with host.app.app_context(), host.db.engine.begin() as connection:
        connection.execute(sa.update(table).values(name="\x1b]0;x\x07\t\u202e\x7f\x9b\r\n=1+1", scopes="=1 @x"))
    shown = host.call(*command, stdin=made.secret)
    row = shown.stdout.splitlines()[-1].split("\t")
    assert len(row) == (11 if command == ["list"] else 7)
    assert row[1:3] == ["'=owner", r"\x1b]0;x\x07\t\u202e\x7f\x9b\r\n=1+1"]
    assert shown.stdout.replace("\t", "").replace("\n", "").isprintable()
    if command == ["list"]:
        assert row[5] == "'=1 @x"
        assert objects(host.call("list", "--json"))[0]["name"].startswith("\x1b]0;x")


@pytest.mark.parametrize("name", ["＝1+1", "＋1", "－1", "＠x", "-1"])
def test_no_name_is_a_formula_in_any_width(host: Host, name: str) -> None:
    host.generate("ann", name)
    assert host.call("list").stdout.splitlines()[1].split("\t")[2] == f"'{name}"
