"""The form as a whole: links that prefill it, unknown fields, malformed bodies."""

import io
from collections.abc import Callable

import pytest

from catalogs import NEW
from form import error_of, held, send
from host import SCOPES, Host
from markup import Page


@pytest.mark.case("C10")
def test_a_person_grants_only_the_scopes_they_may_grant(stored_host: Host) -> None:
    @stored_host.access_tokens.scopes_loader
    def grantable(owner_id: str) -> list[str]:
        return ["read", "undeclared"] if owner_id == "bob" else list(SCOPES)

    bob = stored_host.client("bob")
    offered = {element.attributes["value"] for element in Page(bob.get(NEW)).all("input", name="scopes")}
    assert offered == {"read"}
    for scope in ("write", "undeclared"):
        assert bob.post(NEW, data={"name": "x", "lifetime_days": "7", "scopes": scope}).status_code == 422
    assert held(stored_host, "bob") == []
    assert bob.post(NEW, data={"name": "x", "lifetime_days": "7", "scopes": "read"}).status_code == 200
    assert (
        stored_host.client("ann").post(NEW, data={"name": "x", "lifetime_days": "7", "scopes": "write"}).status_code
        == 200
    )


@pytest.mark.case("C07")
def test_columns_without_a_form_field_cannot_be_set(stored_host: Host) -> None:
    row = {
        "owner_id": "ann",
        "user_id": "ann",
        "owner": "ann",
        "id": "00000000-0000-4000-8000-000000000000",
        "token_id": "00000000-0000-4000-8000-000000000000",
        "digest": "0" * 64,
        "hint": "mine",
        "scheme": "plain",
        "created_at": "2001-01-01T00:00:00Z",
        "last_used_at": "2001-01-01T00:00:00Z",
        "expires_at": "",
        "is_admin": "1",
    }
    bob, form = stored_host.client("bob"), {"name": "laptop", "lifetime_days": "30"}
    assert bob.post(NEW, data={**form, **row}).status_code == 200
    assert bob.post(NEW, query_string=row, data=form).status_code == 200
    assert bob.post(NEW, json={**form, **row}).status_code == 422
    assert held(stored_host, "ann") == []
    bobs = held(stored_host, "bob")
    assert len(bobs) == 2
    assert row["digest"] not in {stored["digest"] for stored in stored_host.rows()}
    for token in bobs:
        assert str(token.id) != row["id"]
        assert token.hint != "mine"
        assert token.created_at.year > 2001
        assert token.last_used_at is None
        assert token.expires_at is not None
        assert token.scopes == ()


def test_a_link_may_prefill_the_form_but_only_submitted_values_count(host: Host) -> None:
    client = host.client("ann")
    link = {"name": "CI", "description": "for builds", "lifetime_days": "7", "scopes": "write"}
    page = Page(client.get(NEW, query_string=link))
    values = {element.attributes.get("value") for element in page.all("input")}
    assert {"CI", "7"} <= values
    assert [element.attributes["value"] for element in page.all("input", name="scopes", checked="")] == ["write"]
    assert client.post(NEW, query_string=link, data={}).status_code == 422
    assert client.post(NEW, query_string=link, data={"lifetime_days": "9"}).status_code == 422
    assert held(host) == []


def test_a_form_without_a_lifetime_is_refused(host: Host) -> None:
    answer = host.client("ann").post(NEW, data={"name": "CI"})
    assert answer.status_code == 422
    assert "1 to 99,999 days" in error_of(answer, "lifetime_days")
    assert held(host) == []


def test_the_first_value_of_a_repeated_field_is_used(host: Host) -> None:
    answer = send(host, name=["first", "second"], description=["one", "two"], lifetime_days=["7", "9"])
    assert answer.status_code == 200
    assert [(token.name, token.description) for token in held(host)] == [("first", "one")]


def test_a_file_upload_is_not_accepted_as_a_text_field(host: Host) -> None:
    sent = {"name": (io.BytesIO(b"laptop"), "name.txt"), "lifetime_days": "30"}
    assert host.client("ann").post(NEW, data=sent, content_type="multipart/form-data").status_code == 422
    assert held(host) == []


MALFORMED_BODIES = [
    (b"", "application/x-www-form-urlencoded"),
    (b'{"name": "laptop"}', "application/json"),
    (b"[[[", "application/json"),
    (b"name=laptop", "text/plain"),
    (b"name=\xff\xfe", "application/x-www-form-urlencoded"),
    (b"name=\xed\xa0\x80", "application/x-www-form-urlencoded"),
    (b"name=%00", "application/x-www-form-urlencoded"),
    (b"name=x\x00y", "application/x-www-form-urlencoded"),
    (b"garbage", "multipart/form-data; boundary=b"),
    (b"garbage", "multipart/form-data"),
    (
        b'--b\r\nContent-Disposition: form-data; name="name"\r\n\r\n\xff\x00\r\n--b--\r\n',
        "multipart/form-data; boundary=b",
    ),
]


def test_a_malformed_body_generates_no_token(host: Host) -> None:
    for body, kind in MALFORMED_BODIES:
        answer = host.client("ann").post(NEW, data=body, content_type=kind)
        assert answer.status_code in (413, 422), body  # 413 is Werkzeug's own answer before 3.0.1
    assert held(host) == []


def test_invalid_encodings_never_cause_a_server_error(stored_host: Host) -> None:
    kind = "application/x-www-form-urlencoded"
    for sent in ("%ff%fe", "%ed%a0%80", "%F0%9F"):
        answer = stored_host.client("ann").post(NEW, data=f"name=a{sent}&lifetime_days=7".encode(), content_type=kind)
        assert answer.status_code in (200, 422), sent
        assert stored_host.client("ann").get("/access-tokens/").status_code == 200


def test_the_form_has_the_expected_labels_fields_and_buttons(host: Host) -> None:
    page = Page(host.client("ann").get(NEW))
    form = page.form("/access-tokens/new")
    assert "novalidate" in form.attributes
    assert {"name", "description", "lifetime_days", "scopes"} <= {
        element.attributes.get("name") for element in page.elements
    }
    labels = {" ".join(element.text.split()) for element in page.all("label")}
    assert {"Name", "Description (optional)", "Lifetime (days)"} <= labels
    assert page.all("input", name="lifetime_days")[0].attributes["value"] == "365"
    assert {"Generate", "Cancel"} <= {
        " ".join(element.text.split()) for element in page.elements if element.tag in ("a", "button")
    }
    for sentence in SCOPES.values():
        assert sentence in page.text


def test_the_values_entered_are_kept_after_a_validation_error(host: Host) -> None:
    answer = send(host, name="CI", description="for builds", lifetime_days="x", scopes=["write"])
    page = Page(answer)
    assert page.all("input", name="name")[0].attributes["value"] == "CI"
    assert page.all("input", name="lifetime_days")[0].attributes["value"] == "x"
    assert "for builds" in answer.text
    assert [element.attributes["value"] for element in page.all("input", name="scopes", checked="")] == ["write"]


@pytest.mark.case("F07")
def test_the_form_enforces_the_hosts_maximum_lifetime(make_host: Callable[..., Host]) -> None:
    host = make_host(ACCESS_TOKENS_MAX_LIFETIME_DAYS=90)
    page = Page(host.client("ann").get(NEW))
    assert page.all("input", name="lifetime_days")[0].attributes["value"] == "90"
    for lifetime in ("91", "-1", "365"):
        answer = send(host, lifetime_days=lifetime)
        assert answer.status_code == 422
        assert "1 to 90 days" in error_of(answer, "lifetime_days")
    assert held(host) == []
    assert send(host, lifetime_days="90").status_code == 200


@pytest.mark.case("F06")
def test_a_token_that_never_expires_is_shown_as_such(stored_host: Host) -> None:
    assert send(stored_host, lifetime_days="-1").status_code == 200
    (token,) = held(stored_host)
    assert token.expires_at is None
    assert "Never" in Page(stored_host.client("ann").get("/access-tokens/")).text


def test_a_default_lifetime_of_never_prefills_the_form(make_host: Callable[..., Host]) -> None:
    host = make_host(ACCESS_TOKENS_DEFAULT_LIFETIME_DAYS=-1)
    assert Page(host.client("ann").get(NEW)).all("input", name="lifetime_days")[0].attributes["value"] == "-1"
    host.app.config["ACCESS_TOKENS_MAX_LIFETIME_DAYS"] = 30
    assert Page(host.client("ann").get(NEW)).all("input", name="lifetime_days")[0].attributes["value"] == "30"
