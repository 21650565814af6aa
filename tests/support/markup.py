"""A parser for the HTML of a page."""

from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any

VOID = {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"}


@dataclass
class Element:
    """One element: its tag, its attributes and all the text inside it."""

    tag: str
    attributes: dict[str, str]
    text: str = ""


@dataclass
class Form:
    """One form: its attributes, and the values of its fields."""

    attributes: dict[str, str]
    fields: dict[str, list[str]] = field(default_factory=dict)


class Page(HTMLParser):
    """The elements, forms and text of a page."""

    def __init__(self, answer: Any) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[Element] = []
        self.forms: list[Form] = []
        self.text = ""
        self._open: list[Element] = []
        self._form: Form | None = None
        self.feed(answer if isinstance(answer, str) else answer.get_data(as_text=True))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = {name: value or "" for name, value in attrs}
        element = Element(tag, attributes)
        self.elements.append(element)
        if tag not in VOID:
            self._open.append(element)
        if tag == "form":
            self._form = Form(attributes)
            self.forms.append(self._form)
        elif tag == "input" and self._form is not None and "name" in attributes:
            chosen = attributes.get("type") not in ("checkbox", "radio") or "checked" in attributes
            values = self._form.fields.setdefault(attributes["name"], [])
            if chosen:
                values.append(attributes.get("value", ""))

    def handle_endtag(self, tag: str) -> None:
        while self._open and any(element.tag == tag for element in self._open):
            if self._open.pop().tag == tag:
                break
        if tag == "form":
            self._form = None

    def handle_data(self, data: str) -> None:
        self.text += data
        for element in self._open:
            element.text += data

    def all(self, tag: str, **attributes: str) -> list[Element]:
        """The elements with this tag and these attributes; underscores in names are read as dashes."""
        wanted = {name.rstrip("_").replace("_", "-"): value for name, value in attributes.items()}
        return [
            element
            for element in self.elements
            if element.tag == tag and all(element.attributes.get(name) == value for name, value in wanted.items())
        ]

    def form(self, ending: str) -> Form:
        """The only form that posts to a URL with this ending, ignoring its query string."""
        found = [
            form
            for form in self.forms
            if form.attributes.get("method", "").lower() == "post"
            and form.attributes["action"].partition("?")[0].endswith(ending)
        ]
        assert len(found) == 1, f"{len(found)} forms post to …{ending}"
        return found[0]
