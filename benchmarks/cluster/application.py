"""The application for gunicorn: the host of the tests, as it runs in production."""

import threading

from flask import Flask

from workers import application as host_application


def application() -> Flask:
    """A host with settings from the environment.

    ``HELD_CONNECTIONS`` is the number of connections that a thread of the host's own takes from the pool and keeps.
    """
    app = host_application()
    app.config["TESTING"] = False  # in tests the extension writes last-used updates within the request
    held = app.config.get("HELD_CONNECTIONS", 0)
    if held:
        threading.Thread(target=_hold, args=(app, held), daemon=True).start()
    return app


def _hold(app: Flask, count: int) -> None:
    with app.app_context():
        engine = app.extensions["sqlalchemy"].engine
    held = [engine.connect() for _ in range(count)]
    threading.Event().wait()
    del held
