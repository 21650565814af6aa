"""Links that prefill the form: the form says so, and marks what the link chose."""

from typing import Any

import pytest

from catalogs import NEW, client_of, set_up_babel
from host import Host
from markup import Page
from pages import Make, form_data

WARNING = "A link filled in this form. Check each value before you generate the token."
MARK = "Set by the link"


def opened(host: Host, query: str) -> Page:
    """The form that a link opens."""
    answer = host.client("ann").get(f"{NEW}?{query}")
    assert answer.status_code == 200
    return Page(answer)


def marked(page: Page) -> set[str]:
    """The fields with a mark, each named by its name or, for a checkbox, its value."""
    marks = {element.attributes["id"] for element in page.elements if element.text == MARK}
    fields = [element.attributes for element in page.all("input") if "aria-describedby" in element.attributes]
    of_fields = {
        field["value"] if field.get("type") == "checkbox" else field["name"]
        for field in fields
        if marks & set(field["aria-describedby"].split())
    }
    assert len(of_fields) == len(marks), "a mark belongs to no field"
    return of_fields


@pytest.mark.parametrize(
    ("query", "fields"),
    [
        ("name=CI", {"name"}),
        ("description=for+builds", {"description"}),
        ("lifetime_days=-1", {"lifetime_days"}),
        ("scopes=read", {"read"}),
        ("scopes=read&scopes=write&name=CI&lifetime_days=30", {"read", "write", "name", "lifetime_days"}),
        ("scopes=write&scopes=admin", {"write"}),
    ],
)
def test_a_prefilled_form_says_so_before_its_fields_and_marks_what_the_link_chose(
    host: Host, query: str, fields: set[str]
) -> None:
    page = opened(host, query)
    assert page.text.index(WARNING) < page.text.index("Description (optional)")
    assert marked(page) == fields
    (warning,) = [element for element in page.all("p") if element.text == WARNING]
    assert [element.attributes for element in page.elements if "autofocus" in element.attributes] == [
        warning.attributes
    ], "screen readers would start after the warning"


@pytest.mark.parametrize(
    "query",
    [
        "",
        "q=CI&status=active&sort=name&page=2",
        "owner=bob&access_tokens_nonce=x&csrf_token=x&days=30&scope=read",
        "name=&description=+&lifetime_days=&scopes=",
        "lifetime_days=365",
        "scopes=admin&scopes=READ",
    ],
)
def test_a_link_that_chooses_nothing_opens_an_ordinary_form(host: Host, query: str) -> None:
    page = opened(host, query)
    assert WARNING not in page.text
    assert MARK not in page.text
    assert page.form("/new").fields["lifetime_days"] == ["365"]
    (name,) = page.all("input", name="name")
    assert "autofocus" in name.attributes


def test_the_default_lifetime_of_the_host_is_not_a_choice_of_the_link(make_host: Make) -> None:
    host = make_host(ACCESS_TOKENS_DEFAULT_LIFETIME_DAYS=30)
    assert marked(opened(host, "lifetime_days=30")) == set()
    assert marked(opened(host, "lifetime_days=365")) == {"lifetime_days"}


def test_a_scope_that_the_owner_cannot_grant_is_neither_chosen_nor_marked(host: Host) -> None:
    host.access_tokens.scopes_loader(lambda owner_id: ["read"])
    page = opened(host, "scopes=write")
    assert WARNING not in page.text
    assert page.form("/new").fields["scopes"] == []


def test_a_form_that_was_sent_is_not_marked(host: Host) -> None:
    client = host.client("ann")
    answer = client.post(f"{NEW}?name=CI&scopes=read", data=form_data(client, name="", scopes=["write"]))
    assert answer.status_code == 422
    assert WARNING not in Page(answer).text
    assert marked(Page(answer)) == set()


def test_a_refused_form_still_marks_what_the_link_chose_and_the_person_kept(host: Host) -> None:
    client = host.client("ann")
    form = Page(client.get(f"{NEW}?lifetime_days=30&scopes=read&scopes=none&description=for+builds"))
    (action,) = [
        element.attributes["action"] for element in form.all("form") if element.attributes["method"] == "post"
    ]
    sent = form_data(client, name="", lifetime_days="30", scopes=["read"], description="mine")
    refused = client.post(action, data=sent)
    assert refused.status_code == 422
    assert WARNING in refused.text
    assert marked(Page(refused)) == {"lifetime_days", "read"}
    changed = client.post(action, data={**sent, "lifetime_days": "90", "scopes": []})
    assert marked(Page(changed)) == set()
    assert WARNING not in changed.text


def test_a_refused_form_marks_scopes_and_a_name_whatever_their_order_and_value(host: Host) -> None:
    client = host.client("ann")
    link = f"{NEW}?name=365&scopes=write&scopes=read&description="
    assert marked(Page(client.get(link))) == {"name", "read", "write"}
    refused = client.post(link, data=form_data(client, name="365", scopes=["read", "write"], lifetime_days="0"))
    assert refused.status_code == 422
    assert marked(Page(refused)) == {"name", "read", "write"}


def test_the_warning_and_the_marks_are_translated(make_host: Make) -> None:
    host = make_host()
    set_up_babel(host)
    german: Any = client_of(host).get(f"{NEW}?name=CI&scopes=read")
    text = Page(german).text
    assert "Ein Link hat dieses Formular ausgefüllt." in text
    assert text.count("Vom Link vorgegeben") == 2
