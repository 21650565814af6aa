"""Hosts in which nothing is wrong, and what the command ``doctor`` finds in a host."""

import json
from typing import Any

import sqlalchemy as sa
from flask import Flask

from host import SEPARATE_STDERR

SOUND: dict[str, Any] = {
    "SECRET_KEY": "8f42a73054b1749f8f58848be5e6502c",
    "SESSION_COOKIE_SECURE": True,
}
"""The configuration of a host in production."""


def durable(url: str) -> str:
    """The URL of a database of the tests, whose commits wait for the disk as they do by default."""
    address = sa.make_url(url)
    if address.get_backend_name() == "postgresql":
        address = address.update_query_dict({"options": "-c synchronous_commit=on"})
    return address.render_as_string(hide_password=False)


def enforce_foreign_keys(engine: sa.Engine) -> None:
    """Let the connections of an engine enforce foreign keys, which SQLite does not do by itself."""
    if engine.dialect.name == "sqlite":
        sa.event.listen(
            engine, "connect", lambda connection, _: connection.execute("PRAGMA foreign_keys = ON") and None
        )
        engine.dispose()


def found(app: Flask) -> dict[str, str]:
    """The messages that ``flask access-tokens doctor`` prints, by their codes, which differ."""
    ran = app.test_cli_runner(**SEPARATE_STDERR).invoke(args=["access-tokens", "doctor", "--json"])
    findings: list[dict[str, Any]] = [json.loads(line) for line in ran.stdout.splitlines()]
    messages = {finding["code"]: finding["message"] for finding in findings}
    assert len(messages) == len(findings), ran.stdout
    assert (ran.exit_code, ran.stderr) == (1 if findings else 0, ""), ran.output
    return messages
