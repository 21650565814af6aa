"""Test the package on clusters of databases; prints a table: ``python -m benchmarks.cluster [--short] [--only ...]``.

Three MariaDB Galera nodes, a PostgreSQL primary with a synchronous standby, and PgBouncer, all from Debian's packages,
in scratch folders and on loopback ports. It exits with 1 where a row misses its aim.
"""

import argparse
import signal
import sys
import time
import traceback
from types import FrameType

from .galera import find_provider
from .postgresql import find_postgresql
from .processes import program
from .rows import Clusters, Result, Row
from .table import ROWS

MET = {True: "yes", False: "**no**", None: "–"}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cluster", description=__doc__)
    parser.add_argument("--short", action="store_true", help="fewer rounds: about three minutes")
    parser.add_argument("--only", nargs="+", choices=ROWS, default=list(ROWS), metavar="NAME", help=", ".join(ROWS))
    parser.add_argument("--check", action="store_true", help="only check that the servers are installed")
    options = parser.parse_args()
    if options.check:
        sys.exit(_missing())
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    clusters = Clusters(options.short)
    found: list[tuple[Row, Result]] = []
    started = time.monotonic()
    try:
        for name in options.only:
            row_started = time.monotonic()
            result = _measure(clusters, ROWS[name])
            found.append((ROWS[name], result))
            took = time.monotonic() - row_started
            print(f"{name} ({took:.0f} s): {MET[result.met]}: {result.measured}", file=sys.stderr, flush=True)
    finally:
        clusters.close()
    print("| row | measured | aim | met |\n|---|---|---|---|")
    for row, result in found:
        print(f"| {row.title} | {result.measured} | {row.aim} | {MET[result.met]} |")
    print(f"took {time.monotonic() - started:.0f} s", file=sys.stderr)
    sys.exit(any(result.met is False for _, result in found))


def _measure(clusters: Clusters, row: Row) -> Result:
    """Measure a row. One that ends with an error misses its aim, and the next ones get new clusters."""
    try:
        return row.measure(clusters)
    except Exception as error:
        traceback.print_exc()
        clusters.drop_galera()
        clusters.drop_pair()
        return Result(f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}", False)


def _missing() -> str | None:
    """What is not installed, in words."""
    try:
        find_postgresql()
        for name in ("mariadbd", "mariadb-install-db", "rsync", "pgbouncer"):
            program(name)
        find_provider()
    except FileNotFoundError as error:
        return f"{error}. Install mariadb-server, galera-4, rsync, postgresql and pgbouncer."
    return None


def _interrupt(number: int, frame: FrameType | None) -> None:
    """Let everything that was started end; a second signal does not interrupt that."""
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, signal.SIG_IGN)
    raise KeyboardInterrupt


if __name__ == "__main__":
    main()
