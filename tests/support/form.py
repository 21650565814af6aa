"""The Generate form, sent and read."""

from typing import Any

from flask_access_tokens import tokens
from host import Host
from markup import Page

NEW = "/access-tokens/new"


def held(host: Host, owner: str = "ann") -> list[tokens.Token]:
    """What an owner holds, the newest first."""
    with host.app.app_context():
        return tokens.owned_by(owner)


def send(host: Host, **fields: Any) -> Any:
    """Ann's answer to a form with these fields; what she leaves out stands as the form starts."""
    return host.client("ann").post(NEW, data={"name": "laptop", "lifetime_days": "30", **fields})


def error_of(answer: Any, name: str) -> str:
    """The words joined to a field that was refused."""
    page = Page(answer)
    fields = [element for element in page.elements if element.attributes.get("name") == name]
    assert fields, f"no field {name}"
    assert fields[0].attributes["aria-invalid"] == "true"
    said = fields[0].attributes["aria-describedby"].split()
    return " ".join(element.text for element in page.elements if element.attributes.get("id") in said)
