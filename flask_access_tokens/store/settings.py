"""Settings of the database and its connections on which the promises of the package depend."""

from collections.abc import Iterator

from sqlalchemy import Connection

from ..finding import Finding
from ..state import State
from .connections import reading_connection


def settings_findings(state: State) -> list[Finding]:
    """Find settings of the connections to the tokens that break a promise of the package.

    :raises StoreError: where the database cannot be used.
    """
    with reading_connection(state) as connection:
        if connection.dialect.name == "postgresql":
            return list(_pooler_findings(connection))
        if connection.dialect.name in ("mysql", "mariadb"):
            return list(_galera_findings(connection))
    return []


def _pooler_findings(connection: Connection) -> Iterator[Finding]:
    driver = connection.connection.driver_connection
    info = getattr(driver, "info", None)
    if getattr(driver, "prepare_threshold", None) is None or info is None:
        return
    # A pooler passes a number of its own to the client.
    if connection.exec_driver_sql("SELECT pg_backend_pid()").scalar() != info.backend_pid:
        yield Finding(
            "prepared-statements",
            "A pooler such as PgBouncer stands between the application and PostgreSQL, and psycopg prepares"
            " statements, which other clients of the pooler do not share. Set prepare_threshold to None in"
            " connect_args, unless PgBouncer 1.22 or later has max_prepared_statements set.",
        )


def _galera_findings(connection: Connection) -> Iterator[Finding]:
    names = "'wsrep_on', 'wsrep_sync_wait', 'wsrep_dirty_reads'"
    found = connection.exec_driver_sql(f"SHOW SESSION VARIABLES WHERE Variable_name IN ({names})")
    variables = {row[0]: row[1] for row in found}
    if variables.get("wsrep_on") != "ON":
        return
    if not int(variables["wsrep_sync_wait"]) & 1:
        yield Finding(
            "galera-sync-wait",
            "This Galera node reads before it has applied what other nodes have committed, so a token that was deleted"
            " on another node may still be accepted. Set wsrep_sync_wait to 1.",
        )
    if variables.get("wsrep_dirty_reads") == "ON":
        yield Finding(
            "galera-dirty-reads",
            "This Galera node reads even where it is cut off from the others, which may have deleted tokens since. Set"
            " wsrep_dirty_reads to OFF.",
        )
