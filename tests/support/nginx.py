"""A real nginx with the configuration of the documentation, in the foreground and in a scratch folder."""

import os
import re
import shutil
import socket
import subprocess
import time
from contextlib import suppress
from pathlib import Path

from examples import ROOT
from missing import missing

ENVELOPE = """\
daemon off;
master_process off;
pid {folder}/pid;
lock_file {folder}/lock;
error_log {folder}/error.log;
events {{ accept_mutex off; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
{config}
}}
"""
"""What a distribution's main file has, so that it runs as any user. One process, so that ending it ends all."""


def documented(page: str) -> str:
    """The nginx configuration of a page of the documentation."""
    (config,) = re.findall(
        r"^```nginx\n(.*?)^```", (ROOT / "docs" / f"{page}.md").read_text(), re.MULTILINE | re.DOTALL
    )
    return str(config)


class Nginx:
    """A running nginx.

    :param config: what stands in its block ``http``.
    :param listens: the port on which it listens in the configuration; a free one takes its place.
    :param ports: the port to use for each other port that the configuration names.
    """

    def __init__(self, config: str, folder: Path, *, listens: int, ports: dict[int, int]) -> None:
        program = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}{os.pathsep}/usr/sbin")
        if program is None:
            missing("nginx is not installed")
        self.port = _free_port()
        config = _replace(config, f"listen {listens};", f"listen 127.0.0.1:{self.port};")
        for named, port in ports.items():
            config = _replace(config, f"server 127.0.0.1:{named};", f"server 127.0.0.1:{port};")
        file = folder / "nginx.conf"
        file.write_text(ENVELOPE.format(folder=folder, config=config))
        self.log = folder / "error.log"
        command = [program, "-e", str(self.log), "-p", str(folder), "-c", str(file)]
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + 20
        while not self._answers():
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.close()
                raise RuntimeError(f"nginx did not start:\n{self.log.read_text()}")
            time.sleep(0.01)

    def _answers(self) -> bool:
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
            return True
        return False

    def close(self) -> None:
        self.process.terminate()
        self.process.wait(10)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


def _replace(config: str, old: str, new: str) -> str:
    assert config.count(old) == 1, old
    return config.replace(old, new)
