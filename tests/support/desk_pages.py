"""Helpers for the tests of the operators' desk: its operator, its requests, and what its list shows."""

import re
import uuid
from collections.abc import Iterable
from datetime import timedelta
from typing import Any, TypeVar

import sqlalchemy as sa
from flask import session
from jinja2 import DictLoader

from flask_access_tokens import clock, tokens
from markup import Page

DESK = "/access-tokens/all/"
DESK_FIND = f"{DESK}find"
DESK_DELETE = f"{DESK}delete"
DESK_NEW = f"{DESK}new"

AnyHost = TypeVar("AnyHost", bound=Any)

_DELETE_LABEL = re.compile(r"Delete token (.+) of (.+)")


def with_operator(host: AnyHost, *operators: str) -> AnyHost:
    """Let these people, or Olga alone, be operators while they are signed in; return the host."""
    known = operators or ("olga",)
    host.access_tokens.operator_loader(lambda: session.get("person") if session.get("person") in known else None)
    return host


def selection(*chosen: tokens.Token) -> str:
    """The URL of the question about the deletion of these tokens."""
    return f"{DESK_DELETE}?{'&'.join(f'token={token.id}' for token in chosen)}"


def answer_to(client: Any, path: str, **fields: Any) -> dict[str, Any]:
    """The data that the form at a path of the desk sends, with these fields changed."""
    opened = client.get(path)
    assert opened.status_code == 200, opened.text
    (form,) = [form for form in Page(opened).forms if form.attributes["method"] == "post"]
    return {**form.fields, **fields}


def find_data(client: Any, text: str) -> dict[str, Any]:
    """The data that the form for a text sends."""
    return {**Page(client.get(DESK)).form("/find").fields, "text": text}


def generated_data(client: Any, owner: str, **fields: Any) -> dict[str, Any]:
    """The data that the form for a new token of an owner sends."""
    answered = answer_to(client, f"{DESK_NEW}?owner={owner}")
    return {**answered, "name": "laptop", "lifetime_days": "30", **fields}


def listed(answer: Any) -> list[tuple[str, str]]:
    """The owner and the name of each token in a list of the desk, in its order."""
    labels = [element.attributes.get("aria-label", "") for element in Page(answer).all("button")]
    return [(found[2], found[1]) for label in labels if (found := _DELETE_LABEL.fullmatch(label))]


def listed_names(answer: Any) -> list[str]:
    return [name for _, name in listed(answer)]


def matching(answer: Any) -> str:
    """How many tokens match, in the words above the list; an empty list has none."""
    lines = [element for element in Page(answer).all("div") if "matching" in element.attributes.get("class", "")]
    return lines[0].text.replace("Delete all of these", "").strip() if lines else "0 tokens"


def overview(answer: Any) -> dict[str, str]:
    """The numbers on top of the list, by status."""
    links = [
        element for element in Page(answer).all("a") if element.attributes.get("id", "").startswith("access-tokens-ov")
    ]
    return {
        element.attributes["id"].removeprefix("access-tokens-overview-"): element.text.split()[0] for element in links
    }


def notice(answer: Any) -> str:
    """The notice of a response; "" where it has none."""
    shown = [each for each in Page(answer).all("p") if "access-tokens-notice" in each.attributes.get("class", "")]
    return " ".join(each.text for each in shown)


def stored_names(host: Any) -> list[str]:
    """The names of all tokens."""
    with host.app.app_context():
        return sorted(token.name for token in tokens.iter_all())


def change(host: Any, token: tokens.Token, **values: Any) -> None:
    """Write values into the row of a token."""
    table = host.access_tokens.model.__table__
    with host.app.app_context(), host.db.engine.begin() as connection:
        connection.execute(sa.update(table).where(table.c.id == token.id).values(values))


def store_rows(host: Any, number: int, owners: Iterable[Any] = ("ann",), **values: Any) -> None:
    """Store many tokens at once, of these owners in turn, created one second apart."""
    moment, known = clock.now(), list(owners)
    rows = [
        {
            "id": uuid.uuid4(),
            "owner_id": known[each % len(known)],
            "name": f"t-{each}",
            "description": "",
            "digest": uuid.uuid4().hex * 2,
            "scheme": "sha256",
            "hint": "pat_…0000",
            "scopes": "",
            "created_at": moment - timedelta(seconds=number - each),
            **values,
        }
        for each in range(number)
    ]
    with host.app.app_context():
        host.db.session.execute(sa.insert(host.access_tokens.model.__table__), rows)
        host.db.session.commit()


def shadow(host: Any, **templates: str) -> None:
    """Let the host replace templates of the desk, each given by its name without ``.html``."""
    host.app.jinja_loader = DictLoader(
        {f"access_tokens/desk/{name}.html": template for name, template in templates.items()}
    )
