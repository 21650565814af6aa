"""Server programs that run in the background, each ended by its own process id."""

import os
import random
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

PORTS = range(20_000, 30_000)
"""Below the ports that Linux gives to outgoing connections, so that a stopped server finds its port free again."""

_handed_out: set[int] = set()


def free_port() -> int:
    """A loopback port that nothing uses, and that is not returned again."""
    for port in random.sample(PORTS, 1000):
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            if port not in _handed_out:
                _handed_out.add(port)
                return port
    raise RuntimeError("no free port")


def program(name: str, *folders: str) -> str:
    """The path of a program, also in folders that PATH may not have.

    :raises FileNotFoundError: where it is not installed.
    """
    found = shutil.which(name, path=os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", *folders]))
    if found is None:
        raise FileNotFoundError(f"{name} is not installed")
    return found


def wait_for(reached: Callable[[], bool], what: str, seconds: float = 60) -> float:
    """Wait until a condition holds, and return how many seconds that took.

    :raises TimeoutError: where it does not hold in time.
    """
    started = time.monotonic()
    while not reached():
        if time.monotonic() - started > seconds:
            raise TimeoutError(f"{what}: not within {seconds:.0f} s")
        time.sleep(0.01)
    return time.monotonic() - started


class Program:
    """A running program.

    :param user: who runs it where this process is root.
    """

    def __init__(self, command: Sequence[object], log: Path, user: str | None = None) -> None:
        self.log = log
        who = {"user": user, "group": user, "extra_groups": []} if user and os.geteuid() == 0 else {}
        with log.open("ab") as output:
            # In a session of its own, so that Ctrl-C reaches this process first.
            self.process = subprocess.Popen(
                [str(part) for part in command],
                cwd=log.parent,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                **who,  # type: ignore[call-overload]
            )

    @property
    def running(self) -> bool:
        return self.process.poll() is None

    def freeze(self) -> None:
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self.process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """End it as a power failure would."""
        self.thaw()
        self.process.kill()
        self.process.wait(20)

    def end(self, seconds: float = 20) -> None:
        """Ask it to end, and kill it where it does not in time."""
        self.thaw()
        self.process.terminate()
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()


def give_to(folder: Path, user: str) -> None:
    """Let a user own a folder, where this process is root."""
    if os.geteuid() == 0:
        shutil.chown(folder, user, user)
