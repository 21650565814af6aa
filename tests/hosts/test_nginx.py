"""The nginx of the documentation lets only requests through whose token it has verified with the application."""

import http.client
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from flask import Flask, jsonify, request

from host import Host, bearer
from nginx import Nginx, documented
from programs import OPEN
from refusals import BARE, FORGED, INVALID
from served import served


@dataclass
class Gateway:
    """nginx, the application behind it, and what both of its upstreams were sent."""

    host: Host
    port: int
    verified: list[Any] = field(default_factory=list)

    def call(self, path: str = "/reports/1", *, method: str = "GET", body: str = "", **headers: str) -> Any:
        """The status, the headers and, of the protected service, the JSON of an answer."""
        names = {name.replace("_", "-") if name != "X_Access_Token_Owner" else name: headers[name] for name in headers}
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        connection.request(method, path, body or None, names)
        answer = connection.getresponse()
        text = answer.read().decode()
        connection.close()
        return answer.status, answer.headers, json.loads(text) if answer.status == 200 else text


def service() -> Flask:
    """A service that trusts the headers of its gateway, and tells what it was sent."""
    app = Flask("service")

    @app.route("/reports/<path:_>", methods=["GET", "POST"])
    def report(_: str) -> Any:
        return jsonify(headers=dict(request.headers), body=request.get_data(as_text=True))

    return app


@pytest.fixture
def gateway(make_host: Callable[..., Host], tmp_path: Path) -> Iterator[Gateway]:
    host = make_host(f"sqlite:///{tmp_path / 'host.sqlite3'}", **OPEN)
    gateway = Gateway(host, 0)

    @host.app.before_request
    def note() -> None:
        gateway.verified.append((dict(request.headers), request.get_data(as_text=True)))

    with served(host.app) as application, served(service()) as reports:
        nginx = Nginx(documented("endpoints"), tmp_path, listens=8080, ports={8000: application, 9000: reports})
        gateway.port = nginx.port
        try:
            yield gateway
        finally:
            nginx.close()


def test_nginx_asks_the_application_and_passes_on_whose_token_it_is(gateway: Gateway) -> None:
    new = gateway.host.generate("Änn 100%", scopes=["read", "write"])
    good = bearer(new.secret)
    status, _, sent = gateway.call(**good)
    assert status == 200
    assert sent["headers"]["X-Access-Token-Owner"] == "%C3%84nn%20100%25"
    assert sent["headers"]["X-Access-Token-Id"] == str(new.token.id)
    assert sent["headers"]["X-Access-Token-Scopes"] == "read write"
    assert "Authorization" not in sent["headers"]

    # Of the request itself, verify gets the credential alone; the service gets the rest.
    status, _, sent = gateway.call(method="POST", body="a=1", Cookie="session=ann", **good)
    assert (status, sent["body"], sent["headers"]["Cookie"]) == (200, "a=1", "session=ann")
    headers, body = gateway.verified[-1]
    assert set(headers) == {"Host", "Authorization", "Connection"}
    assert body == ""

    # No client can forge what the service trusts, in any spelling that WSGI takes for the same.
    status, _, sent = gateway.call(
        X_Access_Token_Owner="bob",
        **{"x-access-token-owner": "bob", "X-Access-Token-ID": "1", "X-Access-Token-Scopes": "admin", **good},
    )
    assert status == 200
    assert "bob" not in str(sent)
    assert sent["headers"]["X-Access-Token-Scopes"] == "read write"

    # A token without scopes leaves no place for a header of the client's either.
    gateway.host.access_tokens.scopes_loader(lambda _: ["read"])
    assert gateway.call(**good)[2]["headers"]["X-Access-Token-Scopes"] == "read"

    # The internal location cannot be asked for.
    assert gateway.call("/_verify", **good)[0] == 404


def test_nginx_passes_refusals_on_with_their_challenge(gateway: Gateway) -> None:
    for headers, challenge in (({}, BARE), (bearer(FORGED), INVALID)):
        status, answer, _ = gateway.call(**{"X-Access-Token-Owner": "bob", **headers})
        assert (status, answer.get_all("WWW-Authenticate")) == (401, [challenge])
    poor = gateway.host.generate("ann", scopes=["write"])
    status, answer, _ = gateway.call(**bearer(poor.secret))
    challenge = (
        'Bearer realm="api", error="insufficient_scope",'
        ' error_description="The access token lacks the scope: read", scope="read"'
    )
    assert (status, answer.get_all("WWW-Authenticate")) == (403, [challenge])

    # Without the store, and with the endpoint closed, nobody gets through either.
    good = bearer(gateway.host.generate("ann", scopes=["read"]).secret)
    assert gateway.call(**good)[0] == 200
    gateway.host.app.config["ACCESS_TOKENS_ENDPOINTS"] = ()
    status, answer, _ = gateway.call(**good)
    assert (status, answer["Retry-After"]) == (503, None)
    gateway.host.app.config["ACCESS_TOKENS_ENDPOINTS"] = ("verify",)
    with gateway.host.app.app_context():
        gateway.host.db.drop_all()
    status, answer, _ = gateway.call(**good)
    assert (status, answer["Retry-After"], answer["WWW-Authenticate"]) == (503, "2", None)
