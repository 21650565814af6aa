"""An application with a function before every request that redirects whoever is not signed in."""

from collections.abc import Callable

import pytest
from flask import Blueprint, redirect, request, session
from flask.typing import ResponseReturnValue

from flask_access_tokens import current_token, require_token, token_required
from host import Host, bearer


@pytest.fixture
def walled(make_host: Callable[..., Host]) -> Host:
    """The host of the guide: its API asks for a token, everything else for a session."""
    host = make_host(csrf=True)
    api = Blueprint("v1", __name__, url_prefix="/v1")

    @host.app.before_request
    def require_sign_in() -> ResponseReturnValue | None:
        if request.blueprint == "v1":
            return require_token()
        if "person" not in session and request.endpoint != "sign_in":
            return redirect("/sign-in")
        return None

    @api.route("/notes", methods=["GET", "POST"])
    @token_required("write")
    def notes() -> str:
        return current_token.owner_id

    api.get("/unguarded")(lambda: "reached")
    host.app.get("/dashboard")(lambda: "reached")
    host.app.register_blueprint(api)
    return host


@pytest.mark.case("S25")
def test_a_token_passes_the_wall_to_the_api_and_no_further(walled: Host) -> None:
    header = bearer(walled.generate("ann", scopes=["write"]).secret)
    client = walled.client()
    assert client.get("/v1/notes", headers=header).text == "ann"
    assert client.post("/v1/notes", headers=header).text == "ann"
    assert client.get("/v1/notes").status_code == 401
    assert client.get("/v1/unguarded").status_code == 401
    assert client.get("/v1/notes", headers=bearer(walled.generate("ann").secret)).status_code == 403
    assert client.get("/dashboard", headers=header).location == "/sign-in"


@pytest.mark.case("S25")
def test_a_session_passes_the_wall_everywhere_but_to_the_api(walled: Host) -> None:
    client = walled.client("ann")
    assert client.get("/dashboard").text == "reached"
    assert client.get("/v1/notes").status_code == 401
