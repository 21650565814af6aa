"""Hosts that serve two tenants, each with a person "ann"; the header X-Tenant names the tenant of a request."""

from collections.abc import Callable
from typing import Any

import sqlalchemy as sa
from flask import Flask, g, request
from flask_sqlalchemy import SQLAlchemy

from applications import application
from flask_access_tokens import AccessTokens, current_token, token_required, tokens
from flask_access_tokens.tokens import NewToken
from host import add_sign_in, bearer

TENANTS = ("north", "south")


def tenant_application(url: str, **config: Any) -> Flask:
    """An application that puts the tenant of each request in ``flask.g``."""
    app = application(WTF_CSRF_ENABLED=False, **config)
    app.config["SQLALCHEMY_DATABASE_URI"] = url

    @app.before_request
    def choose_tenant() -> None:
        g.tenant = request.headers["X-Tenant"]

    return app


class Tenants:
    """A host of two tenants, and what its requests find."""

    def __init__(self, app: Flask, db: SQLAlchemy, model: Any = None) -> None:
        self.app, self.db = app, db
        access_tokens = AccessTokens(app, db, model=model)
        add_sign_in(app, access_tokens)
        self.model = model = access_tokens.model

        @app.get("/api")
        @token_required
        def api() -> dict[str, str]:
            return {"owner": current_token.owner_id}

        @app.get("/api/names")
        @token_required
        def names() -> list[str]:
            return list(db.session.scalars(sa.select(model.name)))

        @app.get("/own-query")
        def own_query() -> dict[str, bool]:
            return {token.name: token.last_used_at is not None for token in db.session.scalars(sa.select(model))}

    def run(self, tenant: str, operation: Callable[..., Any], *arguments: Any) -> Any:
        """The result of an operation within a request of a tenant."""
        with self.app.test_request_context(headers={"X-Tenant": tenant}):
            self.app.preprocess_request()
            return operation(*arguments)

    def generate(self) -> dict[str, NewToken]:
        """Generate a token for Ann in each tenant, and check that the host's own query finds each in its tenant."""
        made = {tenant: self.run(tenant, tokens.generate, "ann", f"t-{tenant}") for tenant in TENANTS}
        for tenant in TENANTS:
            assert self.uses(tenant) == {f"t-{tenant}": False}
        return made

    def uses(self, tenant: str) -> dict[str, bool]:
        """Whether each token of a tenant was used, by name, as the host's own query in an unguarded view finds it."""
        uses: dict[str, bool] = self.client(tenant).get("/own-query").get_json()
        return uses

    def call(self, tenant: str, new: NewToken, path: str = "/api") -> Any:
        """The response to a request of a tenant with a token."""
        return self.client(tenant).get(path, headers=bearer(new.secret))

    def client(self, tenant: str, person: str | None = None) -> Any:
        """A test client of a tenant, signed in as a person if one is named."""
        client = self.app.test_client()
        client.environ_base["HTTP_X_TENANT"] = tenant
        if person is not None:
            client.get(f"/sign-in/{person}")
        return client
