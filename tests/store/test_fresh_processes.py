"""What a process reads whose first statement is a check, for each URL form of a server."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa

from databases import address, new_database

SUPPORT = Path(__file__).parent.parent / "support"

PROCESS = """
import sys
import uuid

import sqlalchemy as sa
from flask import session
from sqlalchemy.orm import mapped_column

from flask_access_tokens import tokens
from owned import OwnedHost
from programs import ROTATE


def host(url):
    made = OwnedHost(url, key="uuid")
    made.app.config["ACCESS_TOKENS_ENDPOINTS"] = ["rotate"]
    made.access_tokens.identity_loader(lambda: session["id"])
    return made


def set_up(made, name):
    owner = made.add(name)
    made.generate(owner)
    return made.generate(owner), owner


url = sys.argv[1]
if sys.argv[2] == "prepare":
    header, owner = set_up(host(url), "ann")
    print(header["Authorization"], owner)
else:
    OwnedHost.creates_tables = False
    made = host(url)
    header = {"Authorization": sys.argv[3]}
    client = made.app.test_client()
    for _ in range(3):
        assert client.get("/api", headers=header).get_json() == {"owner": sys.argv[4]}
    with made.app.app_context():
        (user,) = made.db.session.scalars(sa.select(made.user))
        assert user.uuid == uuid.UUID(sys.argv[4]), repr(user.uuid)
        for token in tokens.iter_all():
            assert type(token.id) is uuid.UUID, repr(token.id)
    assert client.post(ROTATE, headers=header).status_code == 200
    print("right")
"""


@pytest.mark.case("S01")
@pytest.mark.parametrize(
    "driver", ["postgresql+psycopg", "postgresql+psycopg2", "postgresql+pg8000", "mysql+pymysql", "mariadb+pymysql"]
)
def test_ids_are_uuids_in_a_process_whose_first_statement_is_a_check(
    driver: str, server: Callable[[str], sa.URL], tmp_path: Path
) -> None:
    with new_database(server("mariadb" if "pymysql" in driver else "postgresql")) as url:
        given = address(url.set(drivername=driver))

        def run(*arguments: str) -> str:
            command = [sys.executable, "-W", "error", "-c", PROCESS, given, *arguments]
            ran = subprocess.run(command, cwd=SUPPORT, capture_output=True, text=True, timeout=60)
            assert ran.returncode == 0, ran.stderr
            return ran.stdout

        credential, _, owner = run("prepare").strip().rpartition(" ")
        assert run("check", credential, owner) == "right\n"
