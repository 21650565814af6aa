"""``flask access-tokens adopt``: files of an earlier system's secrets."""

import hashlib
import json
import re
import secrets
import time
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import mapped_column

from flask_access_tokens import tokens
from host import SEPARATE_STDERR, Host, bearer
from owned import OwnedHost

HEX = r"[0-9a-f]{32}"
MANY = 10_000


@pytest.fixture
def adopting(host: Host) -> Host:
    host.app.config["ACCESS_TOKENS_ADOPTED"] = HEX
    return host


def key() -> str:
    return secrets.token_hex(16)


def test_ten_thousand_old_keys_are_adopted_in_seconds_and_each_old_client_gets_in(
    stored_host: Host, tmp_path: Path
) -> None:
    # Measured on two cores: 2 seconds on SQLite, 4 on PostgreSQL, 3 on MariaDB.
    stored_host.app.config.update(
        ACCESS_TOKENS_ADOPTED=HEX, ACCESS_TOKENS_ALSO_FROM=["X-API-Key", "Authorization: Token"]
    )
    keys = [key() for _ in range(MANY)]
    lines = [f"user {number},{text},Key {number}" for number, text in enumerate(keys)]
    file = tmp_path / "keys.csv"
    file.write_text("\n".join(["owner_id,secret,name", *lines]))
    began = time.monotonic()
    assert stored_host.call("adopt", str(file)).stdout == f"{MANY} adopted, 0 already there.\n"
    assert time.monotonic() - began < 60
    client = stored_host.client()
    for number in range(0, MANY, 997):
        for headers in (
            bearer(keys[number]),
            {"X-API-Key": keys[number]},
            {"Authorization": f"Token {keys[number]}"},
        ):
            answer = client.get("/api", headers=headers)
            assert (answer.status_code, answer.get_json()["owner"]) == (200, f"user {number}")
        assert client.get("/api", headers={"X-API-Key": key()}).status_code == 401


def test_a_csv_file_has_every_column(adopting: Host) -> None:
    plain, digested = key(), key()
    text = (
        "\ufeffowner_id,secret,sha256,name,description,scopes,created_at,expires_at,last_used_at\r\n"
        f'7,{plain},,"Nightly, 7",Backup,read write,2020-01-02T03:04:05Z,2999-01-01T00:00:00+02:00,\r\n'
        "\r\n"
        f"8,,{hashlib.sha256(digested.encode()).hexdigest().upper()},,,,,,2024-05-06 07:08:09+00:00\r\n"
    )
    ran = adopting.call("adopt", "-", stdin=text.encode())
    assert (ran.exit_code, ran.stdout) == (0, "2 adopted, 0 already there.\n")
    with adopting.app.app_context():
        (first,), (second,) = tokens.owned_by(7), tokens.owned_by(8)
    assert (first.name, first.description, first.scopes) == ("Nightly, 7", "Backup", ("read", "write"))
    assert f"{first.created_at:%Y-%m-%d %H:%M:%S}, {first.expires_at:%Y-%m-%d %H:%M}" == (
        "2020-01-02 03:04:05, 2998-12-31 22:00"
    )
    assert (second.name, second.description, second.scopes) == ("Adopted key", "", ())
    assert f"{second.last_used_at:%Y-%m-%d %H:%M:%S}" == "2024-05-06 07:08:09"
    for text, owner in ((plain, "7"), (digested, "8")):
        assert adopting.client().get("/api", headers=bearer(text)).get_json()["owner"] == owner


def test_json_lines_may_have_numbers_lists_and_nulls(adopting: Host) -> None:
    text, other = key(), key()
    lines: list[dict[str, Any]] = [
        {"owner_id": 7, "secret": text, "name": "Größe\u2028"[:5], "scopes": ["read"], "expires_at": None},
        {"owner_id": "8", "sha512": hashlib.sha512(other.encode()).hexdigest(), "scopes": "read write"},
    ]
    stdin = "\n".join(["", *map(json.dumps, lines), ""])
    assert adopting.call("adopt", "-", stdin=stdin).stdout == "2 adopted, 0 already there.\n"
    assert adopting.call("adopt", "-", stdin=stdin).stdout == "0 adopted, 2 already there.\n"
    for secret, scopes in ((text, ["read"]), (other, ["read", "write"])):
        assert adopting.client().get("/api", headers=bearer(secret)).get_json()["scopes"] == scopes
    assert adopting.call("adopt", "-", stdin=stdin).stdout == "0 adopted, 2 already there.\n"


def test_a_dry_run_finds_the_same_problems_and_stores_nothing(adopting: Host) -> None:
    known, new = key(), key()
    adopting.call("adopt", "-", stdin=f"owner_id,secret\nann,{known}")
    stdin = f"owner_id,secret\nann,{known}\nann,{new}\nann,{new}"
    ran = adopting.call("adopt", "--dry-run", "-", stdin=stdin)
    assert ran.stdout == "1 would be adopted, 2 already there. Nothing was stored.\n"
    assert len(adopting.rows()) == 1
    stdin += f"\nbob,{known}\nbob,{new}\n"
    dry, real = (adopting.call("adopt", *options, "-", stdin=stdin) for options in (["--dry-run"], []))
    assert dry.stderr == real.stderr
    assert (dry.exit_code, real.exit_code, len(adopting.rows())) == (1, 1, 1)
    assert real.stderr == (
        "Error: Nothing was adopted. Correct these lines:\n"
        "  lines 5, 6: An earlier entry has the same secret for another owner. Remove the wrong one.\n"
    )
    ran = adopting.call("adopt", "-", stdin=f"owner_id,secret\nann,{key()}\nbob,{known}")
    assert ran.stderr.endswith("  line 3: Another owner has a token with this secret.\n")
    assert len(adopting.rows()) == 1


def test_every_bad_line_is_reported_with_its_reason_and_without_its_secret(adopting: Host) -> None:
    good, weak, uuid = key(), "0123456789abcdef" * 2, "9c5b94b1-35ad-49bb-b118-8e8fc24abf80"
    adopting.app.config["ACCESS_TOKENS_ADOPTED"] = r"[0-9a-z-]+"
    lines = [
        (f"ann,{good},,", ""),
        (",abc,,", "It has no owner_id."),
        ("ann,,,", "It has 0 values for secret, sha256, sha512. Give exactly one."),
        (f"ann,{key()},{'0' * 64},", "It has 2 values for"),
        ("ann,tooshort,,", "The secret cannot be adopted. It has 8 characters"),
        (f"ann,{uuid},,", "It is a UUID of version 4."),
        (f"ann,,{'0' * 63},", "A sha256 digest is 64 hexadecimal digits."),
        (f"ann,{key()},,2030-01-01T00:00:00", "expires_at has no offset from UTC. Add one; for UTC it is Z"),
        (f"ann,{key()},,soon", "expires_at is not a time such as"),
        (f"ann,{key()},,2020-01-01T00:00:00Z", "The token has already expired."),
        (f"ann,{key()}", "It has more or fewer values than there are columns."),
        (f"ann,{key()},,,,", "It has more or fewer values than there are columns."),
    ]
    text = "\n".join(["owner_id,secret,sha256,expires_at", *(line for line, _ in lines)])
    ran = adopting.call("adopt", "-", stdin=text)
    assert ran.exit_code == 1
    assert ran.stdout == ""
    for number, (_, reason) in enumerate(lines, 2):
        if reason:
            (line,) = (each for each in ran.stderr.splitlines() if re.search(rf"^  lines? .*\b{number}\b.*?: ", each))
            assert reason in line
    assert "  lines 12, 13: It has more or fewer values" in ran.stderr
    for secret in [field for line, _ in lines for field in line.split(",") if len(field) > 20 and "T" not in field]:
        assert secret not in ran.stderr
    assert adopting.rows() == []
    assert weak not in ran.stderr


def test_after_twenty_lines_with_one_reason_the_others_are_counted(adopting: Host) -> None:
    text = "owner_id,secret\n" + "ann,short\n" * 25
    (line,) = adopting.call("adopt", "-", stdin=text).stderr.splitlines()[1:]
    assert line.endswith(
        " 20, 21 and 5 more: The secret cannot be adopted. It has 5 characters, and needs at least 20."
    )


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("", "No column has a known name. The columns are owner_id, secret"),
        ("ann,9b2f6c1ed07a4853b6e41fa2c5d8039e\n", "No column has a known name."),
        ("owner_id,secret,email,phone\n", "Unknown columns: email, phone. The columns are owner_id"),
        ("owner_id,secret,secret\n", "A column is there twice."),
        ('owner_id,secret\nann,"abc', "line 2: It is not CSV"),
        (b"owner_id,secret\nJos\xe9,abc\n", "The file is not UTF-8."),
        (
            '{"owner_id": 1, "secret": "9b2f6c1ed07a4853b6e41fa2c5d8039e"',
            "line 1: It is not a JSON object on one line.",
        ),
        ('{"owner_id": 1, "token": "9b2f6c1ed07a4853b6e41fa2c5d8039e"}', "line 1: Unknown columns: token."),
        ('{"owner_id": 1, "secret": 12345678901234567890}', "line 1: secret is not text."),
        ('{"owner_id": true, "secret": "9b2f6c1ed07a4853b6e41fa2c5d8039e"}', "line 1: An owner ID is an int"),
        ('{"owner_id": 1, "secret": "9b2f6c1ed07a4853b6e41fa2c5d8039e", "scopes": 7}', "line 1: scopes is neither"),
        (
            '{"owner_id": 1, "secret": "9b2f6c1ed07a4853b6e41fa2c5d8039e", "created_at": 7}',
            "line 1: created_at is not",
        ),
        ('{"owner_id": 1, "secret": "9b2f6c1ed07a4853b6e41fa2c5d8039e", "scopes": [[]]}', "line 1: A scope is not"),
        (
            '{"owner_id": 1, "secret": "9b2f6c1ed07a4853b6e41fa2c5d8039e", "name": 7}',
            "line 1: name is of type int. Give text.",
        ),
    ],
)
def test_a_file_of_another_form_is_refused_without_showing_it(adopting: Host, content: Any, reason: str) -> None:
    ran = adopting.call("adopt", "-", stdin=content)
    assert ran.exit_code == 1
    assert reason in ran.stderr
    assert "9b2f" not in ran.stderr
    assert "Traceback" not in ran.output
    assert adopting.rows() == []


def test_a_uuid_needs_the_flag(adopting: Host) -> None:
    adopting.app.config["ACCESS_TOKENS_ADOPTED"] = r"[0-9a-f-]{36}"
    uuid = "9c5b94b1-35ad-49bb-b118-8e8fc24abf80"
    assert adopting.call("adopt", "-", stdin=f"owner_id,secret\nann,{uuid}").exit_code == 1
    ran = adopting.call("adopt", "--allow-uuid4", "-", stdin=f"owner_id,secret\nann,{uuid}")
    assert ran.stdout == "1 adopted, 0 already there.\n"
    assert adopting.client().get("/api", headers=bearer(uuid)).status_code == 200


def test_an_unknown_scope_is_answered_with_the_declared_ones_and_not_repeated(adopting: Host) -> None:
    mixed_up = key()
    ran = adopting.call("adopt", "-", stdin=f"owner_id,secret,scopes\nann,{key()},{mixed_up}\nann,{key()},read read")
    reason = "A scope is not declared, not granted to this owner, or there twice. Declared are: read, write."
    assert ran.stderr.endswith(f"  lines 2, 3: {reason}\n")
    assert mixed_up not in ran.stderr


def test_the_scopes_loader_is_not_asked_about_an_owner_who_does_not_exist() -> None:
    host = OwnedHost("sqlite://", may=mapped_column(sa.String(20)))
    host.app.config.update(ACCESS_TOKENS_ADOPTED=HEX, ACCESS_TOKENS_SCOPES={"read": "Read"})
    host.access_tokens.scopes_loader(lambda owner_id: [host.db.session.get(host.user, int(owner_id)).may])
    ann = host.add("Ann", may="read")
    lines = [f"{owner},{key()},read" for owner in (ann, 99)]
    runner = host.app.test_cli_runner(**SEPARATE_STDERR)
    ran = runner.invoke(args=["access-tokens", "adopt", "-"], input="\n".join(["owner_id,secret,scopes", *lines]))
    assert ran.stderr == "Error: Nothing was adopted. Correct these lines:\n  line 3: No owner has this ID.\n"
    assert host.owners() == []
