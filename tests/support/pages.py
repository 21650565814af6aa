"""What the tests of the page send, and how they read an answer."""

import re
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from jinja2 import DictLoader

from flask_access_tokens import tokens
from host import Host
from markup import Page

PAGE = "/access-tokens/"
NEW = "/access-tokens/new"
HTMX = {"HX-Request": "true"}
NOBODY = uuid.UUID("00000000-0000-4000-8000-000000000000")
SECRET = re.compile(r"pat_[0-9A-Za-z]{49}")

Make = Callable[..., Host]


def delete_path(token: tokens.Token | uuid.UUID) -> str:
    return f"/access-tokens/{token if isinstance(token, uuid.UUID) else token.id}/delete"


def use_path(token: tokens.Token) -> str:
    return f"/access-tokens/{token.id}/use"


def wish(client: Any, path: str = NEW, **fields: Any) -> dict[str, Any]:
    """What the Generate form sends when a person has opened it and typed a name."""
    return {**Page(client.get(path)).form("/new").fields, **typed("laptop"), **fields}


def typed(name: str, **fields: Any) -> dict[str, Any]:
    """What the form says of a token, without what it carries hidden."""
    return {"name": name, "lifetime_days": "30", **fields}


def answer_to_question(client: Any, token: tokens.Token) -> dict[str, Any]:
    """What the button of the delete question sends."""
    return dict(Page(client.get(delete_path(token))).form("/delete").fields)


def names(host: Host, owner: object = "ann") -> list[str]:
    """The names of what an owner holds."""
    with host.app.app_context():
        return sorted(token.name for token in tokens.owned_by(owner))


def shown_names(answer: Any) -> list[str]:
    """The names of the tokens in a list, by the action of each row."""
    said = [f"{element.attributes.get('aria-label', '')} {element.text}" for element in Page(answer).elements]
    return sorted({found[1] for text in said if (found := re.search(r"Delete token (t-\w+)", text))})


def is_fragment(answer: Any) -> bool:
    """Whether an answer is the panel alone."""
    tags = [element.tag for element in Page(answer).elements]
    return tags[0] == "section" and "html" not in tags and "main" not in tags


def status_of(client: Any, path: str) -> int:
    """The status of a file, which is closed."""
    with client.get(path) as answer:
        return int(answer.status_code)


def asset_path(client: Any) -> str:
    """An asset of the page, as the page names it."""
    page = Page(client.get(PAGE))
    places = [
        value for element in page.elements for name, value in element.attributes.items() if name in ("href", "src")
    ]
    return next(place for place in places if "/assets/" in place)


def store_many(host: Host, number: int) -> None:
    moment = datetime.now(UTC)
    rows = [
        {
            "id": uuid.uuid4(),
            "owner_id": "ann",
            "name": f"t-{one}",
            "description": "",
            "digest": uuid.uuid4().hex * 2,
            "scheme": "sha256",
            "hint": "pat_…0000",
            "scopes": "",
            "created_at": moment,
        }
        for one in range(number)
    ]
    with host.app.app_context():
        host.db.session.execute(sa.insert(host.access_tokens.model.__table__), rows)
        host.db.session.commit()


def layout(host: Host, template: str) -> None:
    """Give the host a layout of its own."""
    host.app.jinja_loader = DictLoader({"base.html": template})
    host.app.config["ACCESS_TOKENS_BASE_TEMPLATE"] = "base.html"


def all_requests(token: tokens.Token) -> list[tuple[str, str]]:
    return [
        ("GET", PAGE),
        ("HEAD", PAGE),
        ("GET", NEW),
        ("POST", NEW),
        ("GET", delete_path(token)),
        ("POST", delete_path(token)),
        ("GET", use_path(token)),
    ]


def refused_everywhere(host: Host, client: Any, status: int, headers: dict[str, str] | None = None) -> list[Any]:
    """Every request of the page is answered with this status, and nothing changes."""
    new = host.generate("ann", "t-kept")
    before = host.rows()
    answers = [
        client.open(path, method=method, headers=headers, data=typed("t-x") if method == "POST" else None)
        for method, path in all_requests(new.token)
    ]
    assert [answer.status_code for answer in answers] == [status] * len(answers)
    assert all("t-kept" not in answer.text for answer in answers)
    assert host.rows() == before
    return answers
