"""The program of the documentation that renews its secret, against a served application that loses answers."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from examples import ROOT, examples_of, run_example
from host import Host, bearer
from programs import OPEN, ROTATE, status
from served import served


class LosesAnswers:
    """A proxy that fails on the first requests, before or after the application has answered them."""

    def __init__(self, app: Any, plan: list[str]) -> None:
        self.app = app
        self.plan = plan

    def __call__(self, environ: Any, start_response: Any) -> Iterable[bytes]:
        event = self.plan.pop(0) if self.plan else "pass"
        if event == "unavailable":
            start_response("503 Service Unavailable", [("Content-Type", "text/html")])
            return [b"<h1>Try again</h1>"]
        if event in ("lost", "cut"):
            answer = b"".join(self.app(environ, lambda *_: None))
            status = "502 Bad Gateway" if event == "lost" else "200 OK"
            start_response(status, [("Content-Length", "9" if event == "lost" else str(len(answer)))])
            return [b"<h1></h1>"] if event == "lost" else [answer[:20]]
        return self.app(environ, start_response)  # type: ignore[no-any-return]


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    (code,) = (code for _, code in examples_of(ROOT / "docs" / "endpoints.md") if "def rotate(" in code)
    return run_example(code, tmp_path, monkeypatch)


@pytest.fixture
def host(make_host: Callable[..., Host], tmp_path: Path) -> Host:
    return make_host(f"sqlite:///{tmp_path / 'host.sqlite3'}", **OPEN)


@pytest.mark.parametrize("plan", [[], ["unavailable"], ["lost", "cut", "unavailable", "lost"]], ids=len)
def test_the_program_ends_up_with_a_secret_that_works_whatever_is_lost(
    program: Any, host: Host, tmp_path: Path, plan: list[str]
) -> None:
    file, old = tmp_path / "secret", host.generate("ann")
    file.write_text(f"{old.secret}\n")
    with served(LosesAnswers(host.app, list(plan))) as port:
        program.rotate(f"http://127.0.0.1:{port}{ROTATE}", file, pause=0)
    new = file.read_text()
    assert new != old.secret
    assert [status(host, secret) for secret in (new, old.secret)] == [200, 200]
    assert len(host.rows()) == 2
    assert file.stat().st_mode & 0o777 == 0o600
    assert not (tmp_path / "secret.new").exists()


def test_the_program_gives_up_where_somebody_else_uses_its_successor(program: Any, host: Host, tmp_path: Path) -> None:
    file, old = tmp_path / "secret", host.generate("ann")
    file.write_text(old.secret)
    new = host.client().post(ROTATE, headers=bearer(old.secret)).json["secret"]
    assert status(host, new) == 200
    with served(host.app) as port, pytest.raises(RuntimeError, match=r'409: .*"token_reused"'):
        program.rotate(f"http://127.0.0.1:{port}{ROTATE}", file, pause=0)
    assert file.read_text() == old.secret
