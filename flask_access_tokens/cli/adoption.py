"""The command that adopts the secrets of an earlier system from a file."""

import csv
import io
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any, BinaryIO

import click

from ..adoption import Entry, adopt_all
from ..secret import Digest, Secret
from ..state import current_state
from .group import commands, report_errors

DEFAULT_NAME = "Adopted key"

_SECRETS = ("secret", "sha256", "sha512")
_TIMES = ("created_at", "expires_at", "last_used_at")
_COLUMNS = ("owner_id", *_SECRETS, "name", "description", "scopes", *_TIMES)
_MOST_PROBLEMS = 20
_NAME = re.compile(r"[A-Za-z_ ]{1,19}", re.ASCII)
"""What is shown of an unknown column: in a file without a header, it may be a secret."""


@commands.command()
@click.argument("file", type=click.File("rb"))
@click.option("--dry-run", is_flag=True, help="Only look for problems, and count.")
@click.option("--allow-uuid4", is_flag=True, help="Also adopt UUIDs of version 4.")
@report_errors
def adopt(file: BinaryIO, dry_run: bool, allow_uuid4: bool) -> None:
    """Adopt the secrets of an earlier system from FILE, CSV with a header or JSON lines; - is standard input.

    Required columns are owner_id and one of secret, sha256 and sha512. Optional columns are name, description, scopes,
    created_at, expires_at and last_used_at. Either all secrets are adopted or none.
    """
    lines, entries, problems = _read(file)
    outcome = adopt_all(entries, allow_uuid4=allow_uuid4, dry_run=dry_run or bool(problems))
    problems = sorted(problems + [(lines[place], _reason(refused)) for place, refused in outcome.problems])
    if problems:
        raise click.ClickException("\n".join(["Nothing was adopted. Correct these lines:", *_by_reason(problems)]))
    if dry_run:
        click.echo(f"{outcome.adopted} would be adopted, {outcome.present} already there. Nothing was stored.")
    else:
        click.echo(f"{outcome.adopted} adopted, {outcome.present} already there.")


def _reason(refused: ValueError) -> str:
    """Return why an entry cannot be adopted, without a scope: if columns were mixed up, it may be a secret."""
    if getattr(refused, "field", None) != "scopes":
        return str(refused)
    declared = ", ".join(current_state().scopes) or "none"
    return f"A scope is not declared, not granted to this owner, or there twice. Declared are: {declared}."


def _by_reason(problems: list[tuple[int, str]]) -> Iterator[str]:
    """Yield a line for each reason, with the numbers of the lines that it holds for."""
    lines: dict[str, list[int]] = {}
    for line, reason in problems:
        lines.setdefault(reason, []).append(line)
    for reason, numbers in list(lines.items())[:_MOST_PROBLEMS]:
        shown = ", ".join(map(str, numbers[:_MOST_PROBLEMS]))
        more = f" and {len(numbers) - _MOST_PROBLEMS} more" if len(numbers) > _MOST_PROBLEMS else ""
        yield f"  line{'s' if len(numbers) > 1 else ''} {shown}{more}: {reason}"
    if len(lines) > _MOST_PROBLEMS:
        yield f"  and {len(lines) - _MOST_PROBLEMS} other reasons"


def _read(file: BinaryIO) -> tuple[list[int], list[Entry], list[tuple[int, str]]]:
    """Return the line numbers of the entries of a file, the entries, and the lines without one, with the reason.

    Secrets are masked here, so that no frame holds one while the host's code runs.
    """
    try:
        text = file.read().decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ValueError("The file is not UTF-8. Convert it first.") from None
    lines: list[int] = []
    entries: list[Entry] = []
    problems: list[tuple[int, str]] = []
    for line, values in _json_lines(text) if text.lstrip()[:1] == "{" else _csv_lines(text):
        try:
            if isinstance(values, str):
                raise ValueError(values)
            entries.append(_entry(values))
            lines.append(line)
        except ValueError as error:
            problems.append((line, str(error)))
    return lines, entries, problems


def _csv_lines(text: str) -> Iterator[tuple[int, Mapping[str, Any] | str]]:
    """Yield the number of each line of CSV with its values, or with what is wrong with it."""
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    try:
        _check_columns(reader.fieldnames or ())
        for values in reader:
            if None in values or None in values.values():
                yield reader.line_num, "It has more or fewer values than there are columns."
            else:
                yield reader.line_num, {key: value for key, value in values.items() if value}
    except csv.Error as error:
        yield reader.reader.line_num, f"It is not CSV: {error}."


def _json_lines(text: str) -> Iterator[tuple[int, Mapping[str, Any] | str]]:
    """Yield the number of each line of JSON with its values, or with what is wrong with it."""
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            values = json.loads(line)
            if not isinstance(values, dict):
                raise ValueError
        except (ValueError, RecursionError):
            yield number, "It is not a JSON object on one line."
            continue
        try:
            _check_columns(values)
        except ValueError as error:
            yield number, str(error)
        else:
            yield number, {key: value for key, value in values.items() if value is not None and value != ""}


def _check_columns(columns: Iterable[str]) -> None:
    names = list(columns)
    known = ", ".join(_COLUMNS)
    if not set(names) & set(_COLUMNS):
        # Without what is there: in a file without a header, it may be a secret.
        raise ValueError(
            f"No column has a known name. The columns are {known}. In CSV, the first line names them, with commas"
            " between them."
        )
    unknown = [name for name in names if name not in _COLUMNS]
    if unknown:
        shown = [name if _NAME.fullmatch(str(name)) else "…" for name in unknown]
        raise ValueError(f"Unknown columns: {', '.join(shown)}. The columns are {known}.")
    if len(set(names)) != len(names):
        raise ValueError("A column is there twice. Remove one of them.")


def _entry(values: Mapping[str, Any]) -> Entry:
    """Return the entry of a line.

    :raises ValueError: where a value is missing, or is not of its form.
    """
    if "owner_id" not in values:
        raise ValueError("It has no owner_id.")
    given = [column for column in _SECRETS if column in values]
    if len(given) != 1:
        raise ValueError(f"It has {len(given)} values for {', '.join(_SECRETS)}. Give exactly one.")
    text = values[given[0]]
    if not isinstance(text, str):
        raise ValueError(f"{given[0]} is not text.")
    scopes = values.get("scopes", "")
    if isinstance(scopes, str):
        scopes = scopes.split()
    if not isinstance(scopes, list):
        raise ValueError("scopes is neither text nor a list.")
    return Entry(
        values["owner_id"],
        Secret(text) if given == ["secret"] else Digest(given[0], text),
        values.get("name", DEFAULT_NAME),
        values.get("description", ""),
        scopes,
        *(_time(values, column) for column in _TIMES),
    )


def _time(values: Mapping[str, Any], column: str) -> datetime | None:
    if column not in values:
        return None
    try:
        time = datetime.fromisoformat(values[column])
    except (TypeError, ValueError):
        raise ValueError(f"{column} is not a time such as 2026-01-31T12:00:00Z (ISO 8601).") from None
    if time.tzinfo is None:
        raise ValueError(f"{column} has no offset from UTC. Add one; for UTC it is Z: 2026-01-31T12:00:00Z.")
    return time
