"""Settings of the database and its connections on which the promises of the package depend."""

from sqlalchemy import Connection

from ..state import State
from .connections import reading, session_connection


def settings_problems(state: State) -> list[str]:
    """Return what to change in the settings of the connections to the tokens, a sentence for each problem.

    :raises StoreError: where the database cannot be used.
    """
    with reading(state) as reader:
        connection = reader if isinstance(reader, Connection) else session_connection(state, reader)
        if connection.dialect.name == "postgresql":
            return _postgresql_problems(connection)
        if connection.dialect.name in ("mysql", "mariadb"):
            return _galera_problems(connection)
    return []


def _postgresql_problems(connection: Connection) -> list[str]:
    driver = connection.connection.driver_connection
    info = getattr(driver, "info", None)
    if getattr(driver, "prepare_threshold", None) is None or info is None:
        return []
    # A pooler passes a number of its own to the client.
    if connection.exec_driver_sql("SELECT pg_backend_pid()").scalar() == info.backend_pid:
        return []
    return [
        "A pooler such as PgBouncer stands between the application and PostgreSQL, and psycopg prepares statements,"
        " which other clients of the pooler do not share. Set prepare_threshold to None in connect_args, unless"
        " PgBouncer 1.22 or later has max_prepared_statements set."
    ]


def _galera_problems(connection: Connection) -> list[str]:
    names = "'wsrep_on', 'wsrep_sync_wait', 'wsrep_dirty_reads'"
    found = connection.exec_driver_sql(f"SHOW SESSION VARIABLES WHERE Variable_name IN ({names})")
    variables = {row[0]: row[1] for row in found}
    problems = []
    if variables.get("wsrep_on") == "ON":
        if not int(variables["wsrep_sync_wait"]) & 1:
            problems.append(
                "This Galera node reads before it has applied what other nodes have committed, so a token that was"
                " deleted on another node may still be accepted. Set wsrep_sync_wait to 1."
            )
        if variables.get("wsrep_dirty_reads") == "ON":
            problems.append(
                "This Galera node reads even where it is cut off from the others, which may have deleted tokens since."
                " Set wsrep_dirty_reads to OFF."
            )
    return problems
