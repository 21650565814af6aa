"""Helpers for the tests of the page: requests, form data, and parsed responses."""

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


def edit_path(token: tokens.Token | uuid.UUID) -> str:
    return f"/access-tokens/{token if isinstance(token, uuid.UUID) else token.id}/edit"


def use_path(token: tokens.Token) -> str:
    return f"/access-tokens/{token.id}/use"


def form_data(client: Any, path: str = NEW, **fields: Any) -> dict[str, Any]:
    """The data that the Generate form submits, with its hidden fields, after a name was entered."""
    return {**Page(client.get(path)).form("/new").fields, **token_fields("laptop"), **fields}


def token_fields(name: str, **fields: Any) -> dict[str, Any]:
    """The fields of the Generate form that describe a token, without the hidden ones."""
    return {"name": name, "lifetime_days": "30", **fields}


def answer_to_question(client: Any, token: tokens.Token) -> dict[str, Any]:
    """The data that the delete confirmation submits."""
    return dict(Page(client.get(delete_path(token))).form("/delete").fields)


def names(host: Host, owner: object = "ann") -> list[str]:
    """The names of an owner's tokens."""
    with host.app.app_context():
        return sorted(token.name for token in tokens.owned_by(owner))


def shown_names(answer: Any) -> list[str]:
    """The names of the tokens in a list, read from the delete button of each row."""
    labels = [f"{element.attributes.get('aria-label', '')} {element.text}" for element in Page(answer).elements]
    return sorted({found[1] for text in labels if (found := re.search(r"Delete token (t-\w+)", text))})


def is_fragment(answer: Any) -> bool:
    """Whether a response is the panel alone, without the layout."""
    tags = [element.tag for element in Page(answer).elements]
    return tags[0] == "section" and "html" not in tags and "main" not in tags


def status_of(client: Any, path: str) -> int:
    """The status code of a GET request; the response, which may be a file, is closed."""
    with client.get(path) as answer:
        return int(answer.status_code)


def asset_path(client: Any) -> str:
    """The URL of one of the page's assets."""
    page = Page(client.get(PAGE))
    urls = [
        value for element in page.elements for name, value in element.attributes.items() if name in ("href", "src")
    ]
    return next(url for url in urls if "/assets/" in url)


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
    """Configure a layout of the host's own."""
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
        ("GET", edit_path(token)),
        ("POST", edit_path(token)),
        ("GET", use_path(token)),
    ]


def refused_everywhere(host: Host, client: Any, status: int, headers: dict[str, str] | None = None) -> list[Any]:
    """Assert that every request to the page gets this status and changes nothing; return the responses."""
    new = host.generate("ann", "t-kept")
    before = host.rows()
    answers = [
        client.open(path, method=method, headers=headers, data=token_fields("t-x") if method == "POST" else None)
        for method, path in all_requests(new.token)
    ]
    assert [answer.status_code for answer in answers] == [status] * len(answers)
    assert all("t-kept" not in answer.text for answer in answers)
    assert host.rows() == before
    return answers
