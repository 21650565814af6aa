"""What a token grants: its scopes, its owner and the feature flag."""

from typing import Any

import pytest
from sqlalchemy.exc import NoResultFound
from werkzeug.exceptions import NotFound

from flask_access_tokens import current_token, token_required
from host import Host, bearer
from refusals import BARE, DISABLED, INVALID, assert_refused


@pytest.mark.case("C12")
def test_a_token_without_scopes_opens_only_views_that_require_none(stored_host: Host) -> None:
    client, header = stored_host.client(), bearer(stored_host.generate().secret)
    assert client.get("/api", headers=header).status_code == 200
    assert client.post("/write", headers=header).status_code == 403


@pytest.mark.case("C11")
def test_a_scope_that_the_owner_lost_is_refused_at_the_next_request(host: Host) -> None:
    may = {"ann": ["read", "write"], "bob": ["read", "write"]}
    host.access_tokens.scopes_loader(lambda owner_id: may[owner_id])
    ann, bob = (bearer(host.generate(owner, scopes=["write"]).secret) for owner in ("ann", "bob"))
    client = host.client()
    assert client.post("/write", headers=ann).status_code == 200
    may["ann"] = ["read"]
    assert client.post("/write", headers=ann).status_code == 403
    assert client.get("/api", headers=ann).get_json()["scopes"] == []
    assert client.post("/write", headers=bob).status_code == 200
    may["ann"] = ["write"]
    assert client.post("/write", headers=ann).status_code == 200


@pytest.mark.case("C15")
def test_a_scope_that_was_renamed_grants_nothing(stored_host: Host) -> None:
    header = bearer(stored_host.generate(scopes=["write"]).secret)
    stored_host.app.config["ACCESS_TOKENS_SCOPES"] = {"read": "Read", "change": "Change"}
    client = stored_host.client()
    assert client.post("/write", headers=header).status_code == 403
    assert client.get("/api", headers=header).get_json()["scopes"] == []


def test_an_error_in_the_scopes_loader_accepts_no_token(host: Host) -> None:
    header = bearer(host.generate(scopes=["write"]).secret)
    host.app.config["PROPAGATE_EXCEPTIONS"] = False
    host.access_tokens.scopes_loader(lambda owner_id: 1 / 0)
    assert host.client().post("/write", headers=header).status_code == 500


def test_an_owner_that_the_loader_does_not_know_is_refused(host: Host, reasons: list[str]) -> None:
    people = {"ann": "Ann", "bob": "Bob"}
    host.access_tokens.owner_loader(people.get)
    host.app.get("/me")(token_required(lambda: str(current_token.owner)))
    header, client = bearer(host.generate("ann").secret), host.client()
    assert client.get("/me", headers=header).text == "Ann"
    del people["ann"]
    assert_refused(client.get("/me", headers=header), 401, INVALID)
    assert reasons == ["owner"]


def raises(error: Exception) -> Any:
    def load(_: str) -> Any:
        raise error

    return load


@pytest.mark.parametrize(
    "load",
    [lambda _: 0, lambda _: "", lambda _: False, lambda _: [], raises(NoResultFound()), raises(NotFound())],
    ids=["count", "empty text", "false", "empty list", "scalar_one", "get_or_404"],
)
def test_an_owner_loader_that_returns_anything_false_or_finds_no_row_refuses_the_token(
    host: Host, load: Any, reasons: list[str]
) -> None:
    header = bearer(host.generate("ann", scopes=["write"]).secret)
    host.access_tokens.owner_loader(load)
    assert_refused(host.client().get("/api", headers=header), 401, INVALID)
    assert reasons == ["owner"]


@pytest.mark.parametrize("error", [NoResultFound(), NotFound()])
def test_a_scopes_loader_that_finds_no_row_grants_no_scope(host: Host, error: Exception) -> None:
    header = bearer(host.generate("ann", scopes=["write"]).secret)
    host.access_tokens.scopes_loader(raises(error))
    assert host.client().get("/api", headers=header).get_json()["scopes"] == []
    assert host.client().post("/write", headers=header).status_code == 403


@pytest.mark.parametrize("error", [NoResultFound(), NotFound()])
def test_an_identity_loader_that_finds_no_row_means_that_nobody_is_signed_in(host: Host, error: Exception) -> None:
    def load() -> Any:
        raise error

    host.access_tokens.identity_loader(load)
    assert host.client("ann").get("/access-tokens/").status_code == 401


def test_the_owner_is_loaded_once_per_request(host: Host) -> None:
    asked: list[str] = []

    @host.access_tokens.owner_loader
    def load(owner_id: str) -> str:
        asked.append(owner_id)
        return owner_id

    host.app.get("/me")(token_required(lambda: f"{current_token.owner}{current_token.owner}"))
    assert host.client().get("/me", headers=bearer(host.generate("ann").secret)).text == "annann"
    assert asked == ["ann"]


def test_without_a_loader_the_token_is_accepted_and_reading_its_owner_raises_with_the_next_step(host: Host) -> None:
    host.app.get("/me")(token_required(lambda: str(current_token.owner)))
    header = bearer(host.generate("ann").secret)
    assert host.client().get("/api", headers=header).status_code == 200
    with pytest.raises(RuntimeError, match=r"@access_tokens\.owner_loader"):
        host.client().get("/me", headers=header)


def test_async_loaders_are_awaited(host: Host) -> None:
    @host.access_tokens.owner_loader
    async def load(owner_id: str) -> str | None:
        return {"ann": "Ann"}.get(owner_id)

    assert host.client().get("/api", headers=bearer(host.generate("ann").secret)).status_code == 200
    assert_refused(host.client().get("/api", headers=bearer(host.generate("bob").secret)), 401, INVALID)


@pytest.mark.case("H02", "H03")
def test_a_flag_that_is_off_refuses_without_sql_and_turning_it_on_loses_nothing(stored_host: Host) -> None:
    client, header = stored_host.client(), bearer(stored_host.generate().secret)
    for off in (False, None, 0, 1, "", "true", "false", [True]):
        stored_host.app.config["ACCESS_TOKENS_ENABLED"] = off
        with stored_host.statements() as seen:
            assert_refused(client.get("/api", headers=header), 401, DISABLED)
            assert_refused(client.get("/optional", headers=header), 401, DISABLED)
            assert_refused(client.get("/api"), 401, BARE)
            assert client.get("/optional").status_code == 200
        assert seen == []
    assert stored_host.rows()[0]["last_used_at"] is None
    stored_host.app.config["ACCESS_TOKENS_ENABLED"] = True
    assert client.get("/api", headers=header).status_code == 200


@pytest.mark.case("H04")
def test_the_flag_may_differ_by_owner(host: Host, reasons: list[str]) -> None:
    host.app.config["ACCESS_TOKENS_ENABLED"] = lambda owner_id: owner_id == "ann"
    client = host.client()
    assert client.get("/api", headers=bearer(host.generate("ann").secret)).status_code == 200
    assert_refused(client.get("/api", headers=bearer(host.generate("bob").secret)), 401, DISABLED)
    assert reasons == ["disabled"]


@pytest.mark.parametrize("answer", [1, "yes", None, [True]])
def test_a_flag_that_returns_anything_but_true_is_off(host: Host, answer: object) -> None:
    host.app.config["ACCESS_TOKENS_ENABLED"] = lambda owner_id: answer
    assert_refused(host.client().get("/api", headers=bearer(host.generate().secret)), 401, DISABLED)


def test_a_flag_that_raises_is_off_and_is_logged(host: Host, caplog: pytest.LogCaptureFixture) -> None:
    host.app.config["ACCESS_TOKENS_ENABLED"] = lambda owner_id: 1 / 0
    assert_refused(host.client().get("/api", headers=bearer(host.generate().secret)), 401, DISABLED)
    assert "counts as off" in caplog.text
