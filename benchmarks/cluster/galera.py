"""A MariaDB Galera cluster of three nodes on loopback ports."""

import glob
import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pymysql

from .processes import Program, free_port, give_to, program, wait_for

# The group's time-outs stay as they are by default: with evs.inactive_timeout=PT2S (by default 15 s) the nodes that
# remain after a loss drop each other as well before they have agreed, and none may write or read.
SUSPECT_SECONDS = 5
"""After this long without an answer the others leave a node out (``evs.suspect_timeout``, its default)."""

SETTINGS = (
    "--bind-address=127.0.0.1",
    "--skip-name-resolve",
    "--binlog-format=ROW",
    "--innodb-autoinc-lock-mode=2",
    "--innodb-flush-log-at-trx-commit=0",
    "--innodb-buffer-pool-size=64M",
    "--innodb-log-file-size=16M",
    "--max-connections=300",
    "--wsrep-on=ON",
    "--wsrep-cluster-name=access_tokens",
    "--wsrep-slave-threads=2",
)


def find_provider() -> str:
    """The path of Galera's library.

    :raises FileNotFoundError: where it is not installed.
    """
    found = glob.glob("/usr/lib*/galera*/libgalera_smm.so") + glob.glob("/usr/lib*/libgalera_smm.so")
    if not found:
        raise FileNotFoundError("galera-4 is not installed")
    return found[0]


class Node:
    """One server of the cluster."""

    def __init__(self, folder: Path, provider: str) -> None:
        self.folder = folder
        self.provider = provider
        self.port, self.group_port, self.transfer_port, self.copy_port = (free_port() for _ in range(4))
        self.program: Program | None = None

    @property
    def url(self) -> str:
        # PyMySQL reads the machine's certificates for each connection otherwise.
        return f"mariadb+pymysql://root@127.0.0.1:{self.port}/tokens?ssl_disabled=true"

    def start(self, group: Sequence["Node"]) -> None:
        """Start it and let it join a group; without one it begins a new group."""
        members = ",".join(f"127.0.0.1:{node.group_port}" for node in group)
        options = f"gmcast.listen_addr=tcp://127.0.0.1:{self.group_port}; ist.recv_addr=127.0.0.1:{self.transfer_port}"
        command = [
            program("mariadbd"),
            "--no-defaults",
            f"--datadir={self.folder / 'data'}",
            f"--port={self.port}",
            f"--socket={self.folder / 'socket'}",
            f"--pid-file={self.folder / 'pid'}",
            *SETTINGS,
            f"--wsrep-provider={self.provider}",
            f"--wsrep-provider-options={options}; gcache.size=32M",
            f"--wsrep-cluster-address=gcomm://{members}",
            "--wsrep-node-address=127.0.0.1",
            f"--wsrep-node-name=node-{self.port}",
            f"--wsrep-sst-receive-address=127.0.0.1:{self.copy_port}",
        ]
        self.program = Program(command, self.folder / "log", "mysql")

    def end(self) -> None:
        if self.program is not None:
            self.program.end()

    def kill(self) -> None:
        if self.program is not None:
            self.program.kill()

    def run(self, *statements: str, database: str | None = None) -> tuple[Any, ...] | None:
        """Run statements in one session and return the last one's first row."""
        with closing(self.connect(database)) as connection, connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
            return cursor.fetchone()

    def connect(self, database: str | None = "tokens") -> "pymysql.Connection[Any]":
        """A session in which each statement is committed."""
        return pymysql.connect(
            host="127.0.0.1",
            port=self.port,
            user="root",
            database=database,
            autocommit=True,
            connect_timeout=5,
            read_timeout=30,
            ssl_disabled=True,
        )

    def status(self, name: str) -> str:
        """A status variable of Galera; "" where the server does not answer."""
        with suppress(pymysql.Error):
            row = self.run(f"SHOW GLOBAL STATUS LIKE 'wsrep_{name}'")
            return str(row[1]) if row else ""
        return ""

    def is_member(self, size: int) -> bool:
        """Whether it is up to date in a group of a size that may write."""
        alone = self.program is not None and not self.program.running
        if alone:
            raise RuntimeError(f"mariadbd ended:\n{(self.folder / 'log').read_text()[-2000:]}")
        wanted = {"local_state_comment": "Synced", "cluster_status": "Primary", "cluster_size": str(size)}
        return all(self.status(name) == value for name, value in wanted.items())


class Galera:
    """Three nodes that begin with the same empty database."""

    def __init__(self) -> None:
        provider = find_provider()
        self.folder = Path(tempfile.mkdtemp(prefix="access-tokens-galera-"))
        self.nodes = [Node(self.folder / f"node-{number}", provider) for number in range(3)]
        try:
            self._start()
        except BaseException:
            self.close()
            raise

    def _start(self) -> None:
        self.folder.chmod(0o755)
        for node in self.nodes:
            node.folder.mkdir()
            give_to(node.folder, "mysql")
        first = self.nodes[0]
        self._install(first.folder / "data")
        # Begun and ended once: then all have the same data at the same position, and none has to copy another's.
        self._own()
        first.start(())
        wait_for(lambda: first.is_member(1), "the first node begins")
        first.run("CREATE DATABASE tokens CHARACTER SET utf8mb4")
        first.end()
        for node in self.nodes[1:]:
            shutil.copytree(first.folder / "data", node.folder / "data")
        self._own()
        for count, node in enumerate(self.nodes, 1):
            node.start(self.nodes if count > 1 else ())
            wait_for(lambda node=node, count=count: node.is_member(count), "a node joins")

    def _own(self) -> None:
        if os.geteuid() == 0:
            for each in self.folder.rglob("*"):
                shutil.chown(each, "mysql", "mysql")

    def _install(self, data: Path) -> None:
        command = [program("mariadb-install-db"), "--no-defaults", f"--datadir={data}", "--skip-test-db"]
        command += ["--auth-root-authentication-method=normal"]
        user = ["--user=mysql"] if os.geteuid() == 0 else []
        with (self.folder / "install.log").open("wb") as log:
            subprocess.run([*command, *user], check=True, stdout=log, stderr=log, cwd=self.folder)

    def conflicts(self) -> int:
        """The number of transactions that were ended so far because of one on another node."""
        names = ("local_cert_failures", "local_bf_aborts")
        return sum(int(node.status(name) or 0) for node in self.nodes for name in names)

    def isolate(self, node: Node) -> None:
        """Cut a node off from the others; clients still reach it."""
        node.run("SET GLOBAL wsrep_provider_options = 'gmcast.isolate=1'")

    def rejoin(self, node: Node) -> None:
        """Connect a node that was cut off, and wait until it is a member again."""
        node.run("SET GLOBAL wsrep_provider_options = 'gmcast.isolate=0'")
        self.wait_for_all()

    def wait_for(self, query: str) -> None:
        """Wait until every node has applied what the others have committed, and let it answer a query."""
        for node in self.nodes:
            node.run("SET SESSION wsrep_sync_wait = 1", query, database="tokens")

    def wait_for_all(self) -> None:
        """Wait until every node is a member again."""
        for node in self.nodes:
            wait_for(lambda node=node: node.is_member(len(self.nodes)), "every node is a member")

    def close(self) -> None:
        for node in self.nodes:
            node.kill()
        shutil.rmtree(self.folder, ignore_errors=True)
