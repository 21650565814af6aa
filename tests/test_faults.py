"""Many at once, and a store that fails: real workers, real locks, real kills."""

import logging
import os
import re
import sqlite3
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from flask import g
from host import Host, bearer
from servers import Answer, Gunicorn, PostgreSQL, Proxy

from flask_access_tokens import current_token, secret, token_required, tokens

LIMIT = 3
SECRET = re.compile(r"pat_[0-9A-Za-z]{49}")
NONCE = re.compile(r'name="nonce"[^>]*value="([^"]+)"')
# PyMySQL reads the machine's certificates for each connection otherwise.
PATIENT = {
    "sqlite": {"timeout": 10},
    "postgresql": {"connect_timeout": 2},
    "mariadb": {"connect_timeout": 2, "ssl_disabled": True},
}


@dataclass
class Served:
    """One database with a host in four workers on it, and the same host here for what a test prepares."""

    kind: str
    host: Host
    gunicorn: Gunicorn
    proxy: Proxy
    connections_at_start: int

    def generate(self, owner: str, times: int = 1) -> list[str]:
        with self.host.app.app_context():
            return [tokens.generate(owner, f"laptop {number}").secret for number in range(times)]

    def owned_by(self, owner: str) -> list[tokens.Token]:
        with self.host.app.app_context():
            return tokens.owned_by(owner)

    def use(self, text: str) -> Answer:
        return self.gunicorn.call("/api", secret=text)

    def run(self, *statements: str) -> None:
        with self.host.app.app_context(), self.host.db.engine.begin() as connection:
            for statement in statements:
                connection.exec_driver_sql(statement)

    def scalar(self, statement: str) -> Any:
        with self.host.app.app_context(), self.host.db.engine.connect() as connection:
            return connection.exec_driver_sql(statement).scalar()


@pytest.fixture(scope="module", params=["sqlite", "sqlite in WAL", "postgresql", "mariadb"])
def served(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    server_database: Callable[[str], str],
) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("served")
    kind = request.param
    if kind.startswith("sqlite"):
        with sqlite3.connect(folder / "host.sqlite3") as connection:
            connection.execute(f"PRAGMA journal_mode = {'wal' if 'WAL' in kind else 'delete'}")
        connection.close()
        with _serving("sqlite", sa.make_url(f"sqlite:///{folder / 'host.sqlite3'}"), folder) as serving:
            yield serving
        return
    server = sa.make_url(server_database(kind))
    name = f"access_tokens_{uuid.uuid4().hex[:12]}"
    with (
        _on_server(server, f"CREATE DATABASE {name}", f"DROP DATABASE {name}"),
        _serving(kind, server.set(database=name), folder) as serving,
    ):
        yield serving


@contextmanager
def _on_server(server: sa.URL, first: str, last: str) -> Iterator[None]:
    engine = sa.create_engine(server, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
    with engine.connect() as connection:
        connection.exec_driver_sql(first)
    try:
        yield
    finally:
        with engine.connect() as connection:
            connection.exec_driver_sql(last)


@contextmanager
def _serving(kind: str, url: sa.URL, folder: Path) -> Iterator[Served]:
    proxy = Proxy(url.host or "127.0.0.1", url.port or 9)
    through = url if kind == "sqlite" else url.set(host="127.0.0.1", port=proxy.port)
    options = {"pool_timeout": 5, "connect_args": PATIENT[kind]}
    common = {"ACCESS_TOKENS_MAX_PER_OWNER": LIMIT, "SQLALCHEMY_ENGINE_OPTIONS": options}
    host = Host(_text(url), **common)
    with host.app.app_context():
        host.db.create_all()
    settings = {"url": _text(through), **common}
    gunicorn = Gunicorn(settings, folder, threads=2, preload=True)
    try:
        yield Served(kind, host, gunicorn, proxy, proxy.accepted)
    finally:
        gunicorn.stop()
        proxy.close()
        with host.app.app_context():
            host.db.drop_all()
            host.db.engine.dispose()
    assert "Error handling request" not in gunicorn.log.read_text()


def _text(url: sa.URL) -> str:
    return url.render_as_string(hide_password=False)


on_servers = pytest.mark.parametrize("served", ["postgresql", "mariadb"], indirect=True)
"""SQLite is no server: there is nothing to stop."""


def someone(name: str) -> str:
    """A person whom no other test knows."""
    return f"{name}-{uuid.uuid4().hex[:8]}"


def at_once(count: int, work: Callable[[int], Any]) -> list[Any]:
    """The results of one function, called by so many threads at the same moment."""
    start = threading.Barrier(count)

    def one(number: int) -> Any:
        start.wait(10)
        return work(number)

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(one, range(count)))


@contextmanager
def load(threads: int, step: Callable[[int], Any]) -> Iterator[list[Any]]:
    """Call one function in threads until the block ends; the list collects what came back."""
    results: list[Any] = []
    stop = threading.Event()

    def work(number: int) -> None:
        while not stop.is_set():
            results.append(step(number))

    with ThreadPoolExecutor(threads) as pool:
        futures = [pool.submit(work, number) for number in range(threads)]
        try:
            yield results
        finally:
            stop.set()
    for future in futures:
        future.result()


def statuses(answers: list[Answer]) -> Counter[int]:
    return Counter(answer.status for answer in answers)


def forged() -> str:
    """A secret of the right form that nobody was given."""
    return str(secret.generate("pat"))


# Races


@pytest.mark.case("E01")
def test_sixteen_at_once_never_pass_the_limit(served: Served) -> None:
    for _ in range(4):
        ann = someone("ann")
        served.generate(ann, LIMIT - 1)
        cookie = served.gunicorn.sign_in(ann)
        wish = {"name": "one more", "lifetime_days": "1"}
        answers = at_once(
            16,
            lambda _, cookie=cookie, wish=wish: served.gunicorn.call(
                "/access-tokens/new", form=wish, cookie=cookie, read_first=True
            ),
        )
        assert statuses(answers) == {200: 1, 422: 15}
        assert all("the most allowed" in answer.text for answer in answers if answer.status == 422)
        assert len(served.owned_by(ann)) == LIMIT


@pytest.mark.case("E02")
def test_of_eight_who_delete_one_token_one_succeeds(served: Served) -> None:
    for _ in range(5):
        ann = someone("ann")
        served.generate(ann)
        (token,) = served.owned_by(ann)
        cookie = served.gunicorn.sign_in(ann)
        path = f"/access-tokens/{token.id}/delete"
        answers = at_once(8, lambda _, path=path, cookie=cookie: served.gunicorn.call(path, form={}, cookie=cookie))
        assert statuses(answers) == {303: 1, 404: 7}


@pytest.mark.case("E03", "E06")
def test_a_deletion_counts_on_every_worker_from_its_answer_on(served: Served) -> None:
    ann = someone("ann")
    (text,) = served.generate(ann)
    (token,) = served.owned_by(ann)
    cookie = served.gunicorn.sign_in(ann)
    workers = {str(pid) for pid in served.gunicorn.pids()}
    with load(6, lambda _: served.use(text)) as uses:
        _wait_until(lambda: {answer.headers.get("X-Worker") for answer in list(uses)} >= workers)
        deleted = served.gunicorn.call(f"/access-tokens/{token.id}/delete", form={}, cookie=cookie)
        _wait_until(
            lambda: {use.headers.get("X-Worker") for use in list(uses) if use.started > deleted.ended} >= workers
        )
    assert deleted.status == 303
    assert statuses([use for use in uses if use.ended < deleted.started]).keys() == {200}
    assert statuses([use for use in uses if use.started > deleted.ended]).keys() == {401}
    assert statuses(uses).keys() == {200, 401}


@pytest.mark.case("E04")
def test_one_form_sent_twice_at_once_and_once_later_makes_one_token(served: Served) -> None:
    ann = someone("ann")
    cookie = served.gunicorn.sign_in(ann)
    page = served.gunicorn.call("/access-tokens/new", cookie=cookie).text
    found = NONCE.search(page)
    assert found
    wish = {"name": "laptop", "lifetime_days": "1", "nonce": found[1]}
    answers = at_once(2, lambda _: served.gunicorn.call("/access-tokens/new", form=wish, cookie=cookie))
    answers.append(served.gunicorn.call("/access-tokens/new", form=wish, cookie=cookie))
    assert statuses(answers) == {200: 1, 409: 2}
    assert len(served.owned_by(ann)) == 1
    for answer in answers:
        assert bool(SECRET.search(answer.text)) == (answer.status == 200)
        assert ("already generated" in answer.text) == (answer.status == 409)


@pytest.mark.case("E22")
def test_two_applications_in_one_process_never_mix(make_host: Callable[..., Host], database_url: str) -> None:
    one, two = make_host(database_url), make_host("sqlite://")
    secrets = {}
    for host, owner in ((one, "ann"), (two, "bob")):
        with host.app.app_context():
            secrets[owner] = tokens.generate(owner, "laptop").secret

    def use(number: int) -> None:
        ann, bob = one.client(), two.client()
        for _ in range(12):
            assert ann.get("/api", headers=bearer(secrets["ann"])).get_json()["owner"] == "ann"
            assert ann.get("/api", headers=bearer(secrets["bob"])).status_code == 401
            assert ann.get("/optional").get_json()["owner"] is None
            if number == 0:  # a database in memory has one connection: one thread at a time
                assert bob.get("/api", headers=bearer(secrets["bob"])).get_json()["owner"] == "bob"
                assert bob.get("/api", headers=bearer(secrets["ann"])).status_code == 401

    at_once(8, use)


# The store goes away


@pytest.mark.case("E10", "E11", "E14")
@on_servers
def test_a_stopped_store_answers_503_everywhere_and_recovers_without_a_restart(served: Served) -> None:
    ann = someone("ann")
    (text,) = served.generate(ann)
    (token,) = served.owned_by(ann)
    call = served.gunicorn.call
    cookie = served.gunicorn.sign_in(ann)
    at_once(8, lambda _: served.use(text))  # so that the workers hold connections that die
    served.proxy.refuse()
    for _ in range(4):
        asked = [
            served.use(text),
            served.use(forged()),
            call("/optional", secret=text),
            call("/access-tokens/", cookie=cookie),
            call("/access-tokens/new", form={"name": "phone", "lifetime_days": "1"}, cookie=cookie),
            call(f"/access-tokens/{token.id}/delete", cookie=cookie),
            call(f"/access-tokens/{token.id}/delete", form={}, cookie=cookie),
        ]
        assert statuses(asked) == {503: 7}
        assert {answer.headers["Retry-After"] for answer in asked} <= {"1", "2", "3", "4", "5"}
        assert not any("WWW-Authenticate" in answer.headers for answer in asked)
        assert not any(re.search("SELECT|127.0.0.1|psycopg|pymysql", answer.text) for answer in asked)
    assert served.use(f"{text[:-1]}{'0' if text[-1] != '0' else '1'}").status == 401
    assert served.use("nonsense").status == 401
    served.proxy.open()
    _recovered(served.gunicorn, text)
    assert [token.id for token in served.owned_by(ann)] == [token.id]


@pytest.mark.case("E12")
@on_servers
def test_a_store_cut_off_again_and_again_under_load_never_refuses_a_good_token(served: Served) -> None:
    good = {owner: served.generate(owner)[0] for owner in (someone("ann"), someone("bob"))}
    owners = list(good)

    def step(number: int) -> tuple[str | None, Answer]:
        owner = owners[number] if number < len(owners) else None
        return owner, served.use(good[owner] if owner else forged())

    with load(6, step) as results:
        for _ in range(3):
            time.sleep(0.3)
            served.proxy.refuse()
            time.sleep(0.2)
            served.proxy.open()
            time.sleep(0.2)
            served.proxy.cut()
        _recovered(served.gunicorn, good[owners[0]])
    for owner, answer in results:
        assert answer.status in ((200, 503) if owner else (401, 503))
        if answer.status == 200:
            assert answer.json["owner"] == owner
    assert {answer.status for _, answer in results} == {200, 401, 503}


@pytest.mark.case("E13")
@on_servers
def test_a_frozen_store_makes_answers_late_and_never_wrong(served: Served) -> None:
    ann = someone("ann")
    (text,) = served.generate(ann)
    at_once(8, lambda _: served.use(text))
    thaw = threading.Timer(1, served.proxy.thaw)
    served.proxy.freeze()
    thaw.start()
    answers = at_once(8, lambda number: served.use(text if number % 2 else forged()))
    assert statuses(answers[1::2]).keys() <= {200, 503}
    assert statuses(answers[::2]).keys() <= {401, 503}
    _recovered(served.gunicorn, text)


@pytest.mark.case("E12", "E13")
def test_a_killed_and_a_frozen_postgresql_cost_no_token(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    if PostgreSQL.binaries() is None:
        reason = "the programs of a PostgreSQL server are not installed"
        pytest.fail(reason) if os.environ.get("CI") == "true" else pytest.skip(reason)
    server = PostgreSQL()
    request.addfinalizer(server.close)
    host = Host(server.url)
    with host.app.app_context():
        host.db.create_all()
        text = tokens.generate("ann", "laptop").secret
        host.db.engine.dispose()
    gunicorn = Gunicorn({"url": server.url}, tmp_path, workers=2, threads=2)
    request.addfinalizer(gunicorn.stop)
    with load(4, lambda number: (number % 2, gunicorn.call("/api", secret=text if number % 2 else forged()))) as seen:
        time.sleep(0.3)
        server.kill()
        time.sleep(0.2)
        server.start()
        _recovered(gunicorn, text)
        server.freeze()
        time.sleep(0.7)
        server.thaw()
        _recovered(gunicorn, text)
    assert {answer.status for good, answer in seen if good} == {200, 503}
    assert {answer.status for good, answer in seen if not good} == {401, 503}
    assert "Error handling request" not in gunicorn.log.read_text()


@pytest.mark.case("E10", "E11")
def test_a_locked_sqlite_file_answers_503_and_recovers(make_host: Callable[..., Host], tmp_path: Path) -> None:
    path = tmp_path / "host.sqlite3"
    host = make_host(f"sqlite:///{path}", SQLALCHEMY_ENGINE_OPTIONS={"connect_args": {"timeout": 0.1}})
    with host.app.app_context():
        made = tokens.generate("ann", "laptop")
    ann = host.client("ann")
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    answers = [
        host.client().get("/api", headers=bearer(made.secret)),
        host.client().get("/api", headers=bearer(forged())),
        ann.get("/access-tokens/"),
        ann.post("/access-tokens/new", data={"name": "phone", "lifetime_days": "1"}),
        ann.post(f"/access-tokens/{made.token.id}/delete"),
    ]
    assert [answer.status_code for answer in answers] == [503] * 5
    assert {answer.headers["Retry-After"] for answer in answers} == {"2"}
    other.execute("ROLLBACK")
    other.close()
    assert host.client().get("/api", headers=bearer(made.secret)).status_code == 200


@pytest.mark.case("E23")
def test_a_missing_table_answers_503_with_one_clear_line(stored_host: Host, caplog: pytest.LogCaptureFixture) -> None:
    with stored_host.app.app_context():
        stored_host.db.drop_all()
    caplog.set_level(logging.INFO, "flask_access_tokens")
    ann = stored_host.client("ann")
    for path, headers in (("/api", bearer(forged())), ("/access-tokens/", {})):
        answer = ann.get(path, headers=headers)
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "2")
        (record,) = caplog.records
        assert record.levelno == logging.ERROR
        assert "access_tokens" in record.getMessage()
        assert "SELECT" not in record.getMessage()
        assert "\n" not in record.getMessage()
        assert record.exc_info is None
        caplog.clear()


def _recovered(gunicorn: Gunicorn, text: str) -> None:
    """Wait until every answer is right; two seconds from now at most."""
    back = time.monotonic()
    while statuses(at_once(8, lambda _: gunicorn.call("/api", secret=text))) != {200: 8}:
        assert time.monotonic() - back < 2


def _wait_until(reached: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not reached():
        assert time.monotonic() < deadline
        time.sleep(0.01)


# Workers


@pytest.mark.case("E20")
def test_workers_forked_from_a_loaded_application_share_no_connection(served: Served) -> None:
    ann, bob = someone("ann"), someone("bob")
    texts = {ann: served.generate(ann)[0], bob: served.generate(bob)[0]}
    assert served.connections_at_start == 0

    def use(number: int) -> None:
        owner = (ann, bob)[number % 2]
        for _ in range(15):
            answer = served.use(texts[owner])
            assert (answer.status, answer.json["owner"]) == (200, owner)

    at_once(8, use)


@pytest.mark.case("E21")
def test_killed_workers_lose_no_acknowledged_token_and_revive_no_deleted_one(served: Served) -> None:
    gunicorn = served.gunicorn
    kept: list[tuple[str, str]] = []
    deleted: list[str] = []

    def step(number: int) -> None:
        person = someone("ann")
        signed_in = gunicorn.call(f"/sign-in/{person}")
        if signed_in.status != 200:
            return
        cookie = signed_in.headers["Set-Cookie"].partition(";")[0]
        made = gunicorn.call("/access-tokens/new", form={"name": "laptop", "lifetime_days": "1"}, cookie=cookie)
        if made.status != 200:
            assert made.status == 0
            return
        text = SECRET.search(made.text)
        assert text
        assert served.use(text[0]).status in (200, 0)
        if number % 2:
            kept.append((person, text[0]))
            return
        (token,) = served.owned_by(person)
        gone = gunicorn.call(f"/access-tokens/{token.id}/delete", form={}, cookie=cookie)
        assert gone.status in (303, 0)
        if gone.status == 303:
            deleted.append(text[0])

    with load(6, step):
        for _ in range(3):
            time.sleep(0.4)
            gunicorn.kill_a_worker()
        time.sleep(0.4)
    gunicorn.wait_for_workers()
    assert kept
    assert deleted
    for person, text in kept[-60:]:
        assert served.use(text).json["owner"] == person
    assert statuses([served.use(text) for text in deleted[-60:]]).keys() == {401}


# What the check leaves alone


@pytest.fixture(params=["sqlite in memory", "sqlite", "postgresql", "mariadb"])
def any_url(request: pytest.FixtureRequest, tmp_path: Path, server_database: Callable[[str], str]) -> str:
    if request.param == "sqlite in memory":
        return "sqlite://"
    return f"sqlite:///{tmp_path / 'host.sqlite3'}" if request.param == "sqlite" else server_database(request.param)


def _host_with_things(make_host: Callable[..., Host], url: str) -> tuple[Host, Any]:
    """A host with a table of its own, and two guarded views that add a row to it."""
    host = Host(url)
    host.app.config["ACCESS_TOKENS_LAST_USED_INTERVAL"] = 0
    db = host.db

    class Thing(db.Model):  # type: ignore[misc, name-defined]
        id = sa.Column(sa.Integer, primary_key=True)
        name = sa.Column(sa.String(20))

    @host.app.post("/things/<name>")
    @token_required
    def add(name: str) -> dict[str, str]:
        db.session.add(Thing(name=name))
        db.session.flush()
        return {"owner": current_token.owner_id}

    @host.app.post("/things/<name>/commit")
    @token_required
    def add_and_commit(name: str) -> dict[str, str]:
        db.session.add(Thing(name=name))
        db.session.commit()
        return {"owner": current_token.owner_id}

    with host.app.app_context():
        db.create_all()
    return host, Thing


def _drop(host: Host) -> None:
    with host.app.app_context():
        host.db.session.remove()
        host.db.drop_all()
        host.db.engine.dispose()


@pytest.mark.case("E07", "E09")
def test_a_view_decides_alone_what_of_its_work_is_kept(make_host: Callable[..., Host], any_url: str) -> None:
    host, thing = _host_with_things(make_host, any_url)
    try:
        with host.app.app_context():
            made = tokens.generate("ann", "laptop")
        client, headers = host.client(), bearer(made.secret)
        assert client.post("/things/loose", headers=headers).status_code == 200
        assert client.post("/things/kept/commit", headers=headers).status_code == 200
        assert client.post("/things/loose", headers=headers).status_code == 200
        with host.app.app_context():
            assert host.db.session.scalars(sa.select(thing.name)).all() == ["kept"]
            (token,) = tokens.owned_by("ann")
        assert token.last_used_at is not None
    finally:
        _drop(host)


@pytest.mark.case("E09")
def test_the_check_expires_and_flushes_nothing_of_the_host(make_host: Callable[..., Host], any_url: str) -> None:
    host, thing = _host_with_things(make_host, any_url)
    try:
        with host.app.app_context():
            made = tokens.generate("ann", "laptop")
            host.db.session.add(thing(id=1, name="before"))
            host.db.session.commit()

        @host.app.before_request
        def load_and_change() -> None:
            g.loaded = host.db.session.get(thing, 1)
            g.added = thing(name="pending")
            host.db.session.add(g.added)

        @host.app.get("/look")
        @token_required
        def look() -> dict[str, bool]:
            state = sa.inspect(g.loaded)
            return {"expired": bool(state.expired_attributes), "pending": sa.inspect(g.added).pending}

        answer = host.client().get("/look", headers=bearer(made.secret)).get_json()
        assert answer == {"expired": False, "pending": True}
    finally:
        _drop(host)


# The pool


@pytest.mark.case("E14")
def test_an_exhausted_pool_answers_503_and_recovers(make_host: Callable[..., Host], database_url: str) -> None:
    options = {"pool_size": 1, "max_overflow": 0, "pool_timeout": 1}
    host = make_host(database_url, SQLALCHEMY_ENGINE_OPTIONS=options)
    with host.app.app_context():
        text = tokens.generate("ann", "laptop").secret
        engine = host.db.engine
    asked: list[Callable[[], Any]] = [
        lambda: host.client().get("/api", headers=bearer(text)),
        lambda: host.client("ann").get("/access-tokens/"),
        lambda: host.client("ann").post("/access-tokens/new", data={"name": "phone", "lifetime_days": "1"}),
    ]
    with engine.connect():
        started = time.monotonic()
        answers = at_once(3, lambda number: asked[number]())
        assert 1 <= time.monotonic() - started < 4
        assert [(answer.status_code, answer.headers["Retry-After"]) for answer in answers] == [(503, "2")] * 3
        assert host.client().get("/api", headers=bearer("nonsense")).status_code == 401
    assert host.client().get("/api", headers=bearer(text)).status_code == 200
    assert host.client("ann").get("/access-tokens/").status_code == 200


@pytest.mark.case("E15")
def test_one_connection_a_request_is_enough(make_host: Callable[..., Host], database_url: str) -> None:
    options: dict[str, Any] = {"pool_size": 2, "max_overflow": 0, "pool_timeout": 5}
    if database_url.startswith("sqlite"):
        options["connect_args"] = PATIENT["sqlite"]
    host = make_host(database_url, SQLALCHEMY_ENGINE_OPTIONS=options, ACCESS_TOKENS_LAST_USED_INTERVAL=0)

    @host.app.before_request
    def open_session() -> None:
        host.db.session.execute(sa.text("SELECT count(*) FROM access_tokens")).all()

    with host.app.app_context():
        texts = [tokens.generate("ann", f"laptop {number}").secret for number in range(8)]

    def work(number: int) -> list[int]:
        api, page = host.client(), host.client(f"ann {number}")
        found = []
        for turn in range(31):
            found.append(api.get("/api", headers=bearer(texts[number])).status_code)
            if turn % 4 == 0:
                found.append(page.get("/access-tokens/").status_code)
                wish = {"name": f"phone {turn}", "lifetime_days": "1"}
                found.append(page.post("/access-tokens/new", data=wish).status_code)
            else:
                found.append(api.get("/api", headers=bearer(forged())).status_code)
        return found

    found = Counter(status for each in at_once(8, work) for status in each)
    assert found.keys() == {200, 401}
    assert sum(found.values()) >= 500


# The stamp


@pytest.mark.case("E18")
def test_a_stamp_that_cannot_be_written_costs_no_request(
    make_host: Callable[..., Host], database_url: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    writer = make_host(database_url)
    with writer.app.app_context():
        text = tokens.generate("ann", "laptop").secret
    reader = Host(*_read_only(database_url, tmp_path))
    caplog.set_level(logging.INFO, "flask_access_tokens")
    state = reader.app.extensions["access_tokens"]
    for _ in range(3):
        state.updates_resume_at = 0
        started = time.monotonic()
        assert reader.client().get("/api", headers=bearer(text)).status_code == 200
        assert time.monotonic() - started < 1
    (record,) = caplog.records
    assert (record.levelno, record.exc_info) == (logging.WARNING, None)
    assert "Last-used times are not being written" in record.getMessage()
    assert text not in record.getMessage()
    assert state.failed_updates == 3
    with reader.app.app_context():
        reader.db.engine.dispose()


def _read_only(url: str, folder: Path) -> tuple[str]:
    if url.startswith("sqlite"):
        return (f"sqlite:///file:{folder / 'host.sqlite3'}?mode=ro&uri=true",)
    mark = "?" if "?" not in url else "&"
    if url.startswith("postgresql"):
        return (f"{url}{mark}options=-c%20default_transaction_read_only%3Don",)
    return (f"{url}{mark}init_command=SET%20SESSION%20TRANSACTION%20READ%20ONLY",)


@pytest.mark.case("E18")
def test_a_locked_row_delays_no_request(stored_host: Host) -> None:
    with stored_host.app.app_context():
        text = tokens.generate("ann", "laptop").secret
        engine = stored_host.db.engine
    lock = "UPDATE access_tokens SET name = 'held'"
    with engine.connect() as other:
        other.exec_driver_sql(lock if engine.dialect.name == "sqlite" else "SELECT id FROM access_tokens FOR UPDATE")
        for _ in range(3):
            started = time.monotonic()
            assert stored_host.client().get("/api", headers=bearer(text)).status_code == 200
            assert time.monotonic() - started < 1
        other.rollback()
    with stored_host.app.app_context():
        stored_host.app.extensions["access_tokens"].updates_resume_at = 0
        assert stored_host.client().get("/api", headers=bearer(text)).status_code == 200
        assert tokens.owned_by("ann")[0].last_used_at is not None


@pytest.mark.case("E18")
@pytest.mark.parametrize("database_url", ["postgresql", "mariadb"], indirect=True)
def test_a_locked_table_delays_one_request_a_little_and_then_none(
    make_host: Callable[..., Host], database_url: str
) -> None:
    host = make_host(database_url)
    with host.app.app_context():
        text = tokens.generate("ann", "laptop").secret
        engine = host.db.engine
    postgresql = engine.dialect.name == "postgresql"
    lock = "LOCK TABLE access_tokens IN EXCLUSIVE MODE" if postgresql else "LOCK TABLES access_tokens READ"
    with engine.connect() as other:
        other.exec_driver_sql(lock)
        took = []
        for _ in range(3):
            started = time.monotonic()
            assert host.client().get("/api", headers=bearer(text)).status_code == 200
            took.append(time.monotonic() - started)
        if not postgresql:
            other.exec_driver_sql("UNLOCK TABLES")
        other.rollback()
    # MariaDB counts this wait in whole seconds.
    assert took[0] < (0.6 if postgresql else 1.8)
    assert max(took[1:]) < 0.3


@pytest.mark.case("E19")
def test_many_uses_of_one_token_by_four_workers_write_a_handful_of_stamps(served: Served) -> None:
    ann = someone("ann")
    (text,) = served.generate(ann)
    served.run(*COUNT_UPDATES[served.kind])
    at_once(8, lambda _: [served.use(text) for _ in range(40)])
    assert 1 <= served.scalar("SELECT count(*) FROM updates_made") <= 5


COUNT_UPDATES = {
    "sqlite": [
        "CREATE TABLE updates_made (id INTEGER)",
        "CREATE TRIGGER count_updates AFTER UPDATE ON access_tokens BEGIN INSERT INTO updates_made VALUES (1); END",
    ],
    "mariadb": [
        "CREATE TABLE updates_made (id INTEGER)",
        "CREATE TRIGGER count_updates AFTER UPDATE ON access_tokens FOR EACH ROW INSERT INTO updates_made VALUES (1)",
    ],
    "postgresql": [
        "CREATE TABLE updates_made (id INTEGER)",
        "CREATE FUNCTION count_updates() RETURNS trigger LANGUAGE plpgsql AS"
        " 'BEGIN INSERT INTO updates_made VALUES (1); RETURN NULL; END'",
        "CREATE TRIGGER count_updates AFTER UPDATE ON access_tokens"
        " FOR EACH STATEMENT EXECUTE FUNCTION count_updates()",
    ],
}
"""Statements on PostgreSQL, those that change no row too; changed rows elsewhere."""
