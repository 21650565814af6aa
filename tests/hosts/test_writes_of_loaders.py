"""What a loader of the host's writes in its session is the host's to commit."""

from typing import Any

import pytest
import sqlalchemy as sa
from flask_sqlalchemy import SQLAlchemy

from applications import application
from flask_access_tokens import AccessTokens, token_required, tokens
from host import bearer


@pytest.mark.case("S18")
@pytest.mark.parametrize("way", ["flush", "statement"])
@pytest.mark.parametrize("database_url", ["sqlite", "postgresql"], indirect=True)
def test_the_host_keeps_what_its_owner_loader_has_written(database_url: str, way: str) -> None:
    app = application()
    app.config["SQLALCHEMY_DATABASE_URI"] = database_url
    db = SQLAlchemy(app)

    class Person(db.Model):  # type: ignore[name-defined,misc]
        name = db.Column(db.String(20), primary_key=True)
        seen = db.Column(db.Integer, nullable=False, default=0)

    @AccessTokens(app, db).owner_loader
    def load(owner_id: str) -> Any:
        person = db.session.get(Person, owner_id)
        if way == "flush":
            person.seen += 1
            db.session.flush()
        else:
            db.session.execute(sa.update(Person).values(seen=Person.seen + 1))
        return person

    @app.get("/api")
    @token_required
    def api() -> str:
        db.session.commit()
        return "in"

    with app.app_context():
        db.drop_all()
        db.create_all()
        db.session.add(Person(name="ann"))
        db.session.commit()
        header = bearer(tokens.generate("ann", "laptop").secret)
    for _ in range(2):
        assert app.test_client().get("/api", headers=header).text == "in"
    with app.app_context():
        assert db.session.get(Person, "ann").seen == 2
        db.session.remove()
        db.drop_all()
        db.engine.dispose()
