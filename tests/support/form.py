"""Helpers that submit the Generate form and read its errors."""

from typing import Any

from flask_access_tokens import tokens
from host import Host
from markup import Page

NEW = "/access-tokens/new"


def held(host: Host, owner: str = "ann") -> list[tokens.Token]:
    """The tokens of an owner, newest first."""
    with host.app.app_context():
        return tokens.owned_by(owner)


def send(host: Host, **fields: Any) -> Any:
    """The response to a form that Ann submits with these fields, and defaults for a name and a lifetime."""
    return host.client("ann").post(NEW, data={"name": "laptop", "lifetime_days": "30", **fields})


def error_of(answer: Any, name: str) -> str:
    """The text that aria-describedby links to an invalid field."""
    page = Page(answer)
    fields = [element for element in page.elements if element.attributes.get("name") == name]
    assert fields, f"no field {name}"
    assert fields[0].attributes["aria-invalid"] == "true"
    described_by = fields[0].attributes["aria-describedby"].split()
    return " ".join(element.text for element in page.elements if element.attributes.get("id") in described_by)
