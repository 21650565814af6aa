"""The life cycle of a token on the page, and the separation of owners."""

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy.orm import Mapped, mapped_column

from catalogs import NEW, PAGE
from crashes import unreadable_after_generation
from flask_access_tokens import AccessTokenMixin, clock, token_deleted
from host import Host, bearer
from markup import Page
from pages import HTMX, NOBODY, SECRET, Make, answer_to_question, delete_path, form_data, names, shown_names, use_path


def test_a_person_generates_uses_and_deletes_a_token(stored_host: Host) -> None:
    client = stored_host.client("ann")
    generated = client.post(NEW, data=form_data(client, scopes=["read"]))
    assert (generated.status_code, generated.location) == (200, None)
    (secret,) = SECRET.findall(generated.text)
    page = Page(generated)
    (field,) = [element for element in page.all("input") if element.attributes.get("value") == secret]
    assert "readonly" in field.attributes
    assert "Your new token" in generated.text
    assert "won't be able to see it again" in " ".join(page.text.split())
    called = stored_host.client().get("/api", headers=bearer(secret))
    assert called.get_json() == {"owner": "ann", "scopes": ["read"]}
    (token,) = [found for found in [stored_host.find(secret)] if found]
    question = Page(client.get(delete_path(token)))
    assert "cannot be undone" in question.text
    assert "Any program using this token will immediately lose access." in question.text
    deleted = client.post(delete_path(token), data=answer_to_question(client, token))
    assert deleted.status_code == 303
    assert "Token “laptop” was deleted." in Page(client.get(deleted.location)).text
    assert "was deleted" not in client.get(PAGE).text
    assert stored_host.client().get("/api", headers=bearer(secret)).status_code == 401
    assert stored_host.rows() == []


@pytest.mark.case("D12")
def test_a_secret_is_in_one_response_and_in_no_later_one(stored_host: Host) -> None:
    client = stored_host.client("ann")
    form = form_data(client)
    generated = client.post(NEW, data=form)
    (secret,) = SECRET.findall(generated.text)
    body = secret.removeprefix("pat_")
    assert generated.text.count(body) == 1
    assert body not in str(generated.headers)
    (token,) = [found for found in [stored_host.find(secret)] if found]
    later = [
        client.get(PAGE),
        client.get(PAGE, headers=HTMX),
        client.get(NEW),
        client.get(delete_path(token)),
        client.post(NEW, data=form),
        client.get(PAGE, query_string={"q": "laptop"}),
    ]
    for answer in later:
        assert body not in answer.text
        assert body not in str(answer.headers)
    hint = f"pat_…{secret[-4:]}"
    assert token.hint == hint
    assert hint in later[0].text
    with client.session_transaction() as stored:
        assert body not in repr(dict(stored))
    assert body not in repr(token)


def test_a_new_token_is_listed_in_the_same_response(stored_host: Host) -> None:
    client = stored_host.client("ann")
    for headers in ({}, HTMX):
        generated = client.post(NEW, data=form_data(client, name="t-new"), headers=headers)
        assert generated.status_code == 200
        assert "t-new" in shown_names(generated)
        assert generated.text.count(SECRET.findall(generated.text)[0]) == 1


@pytest.mark.parametrize("headers", [{}, HTMX], ids=["page", "htmx"])
def test_a_secret_is_shown_even_if_the_list_cannot_be_read(host: Host, headers: dict[str, str]) -> None:
    client = host.client("ann")
    form = form_data(client, name="t-new")
    with unreadable_after_generation(host, "FROM access_tokens"):
        generated = client.post(NEW, data=form, headers=headers)
    assert generated.status_code == 200
    assert shown_names(generated) == []
    assert client.get("/api", headers=bearer(SECRET.findall(generated.text)[0])).status_code == 200


def test_the_secret_of_a_successor_is_shown_even_if_nothing_can_be_read(host: Host) -> None:
    client = host.client("ann")
    path = f"{PAGE}{host.generate('ann', 't-old').token.id}/rotate"
    form = Page(client.get(path)).form("/rotate").fields
    with unreadable_after_generation(host, "FROM access_tokens"):
        rotated = client.post(path, data=form)
    assert rotated.status_code == 200
    assert client.get("/api", headers=bearer(SECRET.findall(rotated.text)[0])).status_code == 200


def test_a_person_without_tokens_sees_a_link_to_the_form(host: Host) -> None:
    page = Page(host.client("ann").get(PAGE))
    assert [element.text.strip() for element in page.all("h1")] == ["Access tokens"]
    assert any(
        "Generate new token" in element.text and element.attributes.get("href") == NEW for element in page.all("a")
    )


@pytest.mark.case("F09")
def test_the_list_shows_when_a_token_was_last_used(stored_host: Host) -> None:
    new = stored_host.generate("ann", "laptop", lifetime_days=30)
    client = stored_host.client("ann")
    assert "Never" in Page(client.get(PAGE)).text
    before = datetime.now(UTC)
    assert stored_host.client().get("/api", headers=bearer(new.secret)).status_code == 200
    (row,) = stored_host.rows()
    assert row["last_used_at"] is not None
    page = Page(client.get(PAGE))
    moments = [element.attributes["datetime"] for element in page.all("time")]
    used = max(
        datetime.fromisoformat(moment) for moment in moments if moment < (before + timedelta(days=1)).isoformat()
    )
    assert before - timedelta(seconds=1) <= used <= datetime.now(UTC)
    assert "Never" not in page.text.replace("Never used", "")


@pytest.mark.case("C01", "D08", "F09")
def test_the_first_use_is_reported_for_the_owners_own_tokens_only(stored_host: Host) -> None:
    new = stored_host.generate("ann", "laptop")
    ann, bob = stored_host.client("ann"), stored_host.client("bob")
    assert ann.get(use_path(new.token)).get_json() == {"used": None}
    stored_host.client().get("/api", headers=bearer(new.secret))
    answer = ann.get(use_path(new.token))
    used = datetime.fromisoformat(answer.get_json()["used"])
    assert timedelta(0) <= datetime.now(UTC) - used < timedelta(minutes=1)
    assert answer.headers["Cache-Control"] == "no-store"
    assert {"Cookie", "HX-Request"} <= set(answer.vary)
    assert bob.get(use_path(new.token)).status_code == 404
    assert bob.post(use_path(new.token)).status_code == 405


@pytest.mark.case("F08")
def test_an_expired_token_stays_in_the_list_marked_as_expired_and_can_be_deleted(
    stored_host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    live = stored_host.generate("ann", "t-live", lifetime_days=30)
    old = stored_host.generate("ann", "t-old", lifetime_days=1)
    later = datetime.now(UTC) + timedelta(days=2)
    monkeypatch.setattr(clock, "now", lambda: later)
    client = stored_host.client("ann")
    page = Page(client.get(PAGE))
    rows = [" ".join(row.text.split()) for row in page.all("tr")]
    (expired,) = [row for row in rows if "t-old" in row]
    assert "Expired" in expired
    assert rows[-1] == expired
    assert stored_host.client().get("/api", headers=bearer(old.secret)).status_code == 401
    assert client.post(delete_path(old.token), data={}).status_code == 303
    assert names(stored_host) == ["t-live"]
    assert stored_host.client().get("/api", headers=bearer(live.secret)).status_code == 200


@pytest.mark.case("F07")
def test_a_changed_maximum_does_not_change_existing_tokens(make_host: Make) -> None:
    host = make_host(ACCESS_TOKENS_MAX_LIFETIME_DAYS=30)
    host.generate("ann", "t-a", lifetime_days=30)
    before = host.rows()
    for most in (1, 365, -1):
        host.app.config["ACCESS_TOKENS_MAX_LIFETIME_DAYS"] = most
        assert host.client("ann").get(PAGE).status_code == 200
        assert host.rows() == before


@pytest.mark.case("C01")
def test_nobody_can_delete_another_persons_token(stored_host: Host) -> None:
    token = stored_host.generate("ann", "t-ann")
    deleted: list[Any] = []

    def note(sender: Any, **sent: Any) -> None:
        deleted.append(sent)

    with token_deleted.connected_to(note):
        bob = stored_host.client("bob")
        assert bob.post(delete_path(token.token), data={}).status_code == 404
        assert bob.get(delete_path(token.token)).status_code == 404
        fresh = bob.post(delete_path(token.token), headers=HTMX)
        assert fresh.status_code == 200
        assert "t-ann" not in fresh.text
        question = bob.get(delete_path(token.token), headers=HTMX)
        assert "t-ann" not in question.text
    assert deleted == []
    assert stored_host.client().get("/api", headers=bearer(token.secret)).status_code == 200


@pytest.mark.case("C01")
def test_another_persons_an_unknown_and_a_deleted_token_get_the_same_response(stored_host: Host) -> None:
    foreign = stored_host.generate("ann", "t-ann").token.id
    deleted = stored_host.generate("bob", "t-bob").token.id
    bob = stored_host.client("bob")
    bob.post(delete_path(deleted))
    for method in ("get", "post"):
        for headers in ({}, HTMX):
            answers = [getattr(bob, method)(delete_path(one), headers=headers) for one in (foreign, deleted, NOBODY)]
            assert len({(answer.status_code, answer.text) for answer in answers}) == 1
            assert answers[0].status_code == (200 if headers else 404)


@pytest.mark.case("C03")
def test_a_list_contains_only_its_owners_tokens_whatever_the_query(stored_host: Host) -> None:
    for number in range(3):
        stored_host.generate("ann", f"t-ann{number}")
    for number in range(2):
        stored_host.generate("bob", f"t-bob{number}")
    bob = stored_host.client("bob")
    queries = [
        "",
        "page=2",
        "owner=ann",
        "user_id=ann",
        "owner_id=ann&owner_id=bob",
        "sort=owner_id",
        "status=all&owner=ann",
        "q=t-",
        "q=ann",
    ]
    for query in queries:
        answer = bob.get(f"{PAGE}?{query}")
        assert "t-ann" not in answer.text
        assert shown_names(answer) == ([] if query == "q=ann" else ["t-bob0", "t-bob1"])


OWNERS = ["o'brien", 'a"b', "a/b\\c", "😀", "%s%(x)s", "<b>", "ann@example.org", "ÀÉ", "null", "-1", "a" * 255, "__"]


def test_an_owner_id_may_be_any_text(host: Host) -> None:
    for owner in OWNERS:
        client = host.app.test_client()
        with client.session_transaction() as signed_in:
            signed_in["person"] = owner
        assert client.post(NEW, data=form_data(client, name="t-mine")).status_code == 200, owner
        assert names(host, owner) == ["t-mine"]
        assert shown_names(client.get(PAGE)) == ["t-mine"]
    assert names(host, "ann") == []


def test_owner_ids_are_compared_exactly(stored_host: Host) -> None:
    owners = ["ann", "Ann", "ANN", "ånn", "ann.", "annn", "ann%", "_nn"]
    for owner in owners:
        stored_host.generate(owner, f"t-{owners.index(owner)}")
    for owner in owners:
        client = stored_host.app.test_client()
        with client.session_transaction() as signed_in:
            signed_in["person"] = owner
        assert shown_names(client.get(PAGE)) == [f"t-{owners.index(owner)}"]


@pytest.mark.parametrize(("kind", "ann", "bob"), [(int, 1, 2), (uuid.UUID, uuid.UUID(int=1), uuid.UUID(int=2))])
def test_owner_ids_may_be_numbers_and_uuids_in_the_hosts_own_column(
    make_host: Make, database_url: str, kind: type, ann: object, bob: object
) -> None:
    def own_model(db: Any) -> Any:
        class ApiToken(AccessTokenMixin, db.Model):
            __tablename__ = "api_tokens"
            owner_id: Mapped[kind] = mapped_column(index=True)  # type: ignore[valid-type]

        return ApiToken

    host = make_host(database_url, model=own_model)
    host.access_tokens.identity_loader(lambda: ann)
    client = host.client()
    generated = client.post(NEW, data=form_data(client, name="t-ann"))
    assert generated.status_code == 200
    (token,) = [found for found in [host.find(SECRET.findall(generated.text)[0])] if found]
    host.access_tokens.identity_loader(lambda: bob)
    assert shown_names(client.get(PAGE)) == []
    assert client.post(delete_path(token)).status_code == 404
    host.access_tokens.identity_loader(lambda: str(ann))
    assert shown_names(client.get(PAGE)) == ["t-ann"]
    assert client.post(delete_path(token)).status_code == 303
