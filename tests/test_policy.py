"""The policy: which values are accepted, and the messages for those that are refused."""

import enum
import uuid
from datetime import timedelta
from typing import Any

import pytest

from flask_access_tokens import secret, tokens
from flask_access_tokens.tokens import TokenRefused
from host import Clock, Host, short

BAD_OWNERS: list[Any] = [None, "", True, False, b"ann", 1.0, [], object(), " ann", "ann ", "a\nb", "a\0b", "x" * 256]
BAD_OWNERS += ["\u202eann", "a\u200bb", "\ud800", "\x7f", secret.Secret("pat_x")]


@pytest.mark.parametrize("owner_id", BAD_OWNERS, ids=short)
def test_an_invalid_owner_id_is_refused_by_every_operation(host: Host, owner_id: Any) -> None:
    with host.app.app_context(), host.statements() as seen:
        for operation in (
            lambda: tokens.generate(owner_id, "laptop"),
            lambda: tokens.owned_by(owner_id),
            lambda: tokens.get(owner_id, uuid.uuid4()),
            lambda: tokens.delete(owner_id, uuid.uuid4()),
            lambda: tokens.delete_all(owner_id),
            lambda: tokens.page(owner_id),
        ):
            with pytest.raises(ValueError, match=r"^An owner ID is ") as error:
                operation()
            if isinstance(owner_id, str):
                says = (
                    "1 to 255 characters on one line, without surrounding blanks: databases compare those differently."
                )
            else:
                says = f"an int, a UUID or a string, not {type(owner_id).__name__}. Pass one, such as user.id."
            assert str(error.value) == f"An owner ID is {says}"
    assert seen == []


class Number(int, enum.Enum):
    ONE = 1


class Word(str, enum.Enum):  # noqa: UP042
    ANN = "ann"


@pytest.mark.parametrize(("owner_id", "text"), [(Number.ONE, "1"), (Word.ANN, "ann")])
def test_an_owner_id_that_is_a_member_of_an_enumeration_counts_by_its_value(
    host: Host, owner_id: Any, text: str
) -> None:
    assert host.generate(owner_id).token.owner_id == text
    with host.app.app_context():
        assert len(tokens.owned_by(text)) == 1


def refused(host: Host, field: str | None, **values: Any) -> str:
    """The message of a refused call, which has stored nothing."""
    values = {"owner_id": "ann", "name": "laptop"} | values
    with host.app.app_context():
        with pytest.raises(TokenRefused) as refusal:
            tokens.generate(**values)
        assert tokens.owned_by("ann") == []
    assert refusal.value.field == field
    assert isinstance(refusal.value, ValueError)
    return str(refusal.value)


NAMES_WITHOUT = ["", " ", "\u00a0", "\u2003", "\u3164", "\u2800\u115f"]
NAMES_BROKEN = ["a\0b", "a\nb", "a\r\nb", "a\tb", "a\x1bb", "a\x85b", "a\u2028b", "a\u2029b", "a\u202eb", "a\u2066b"]
NAMES_BROKEN += ["a\u200bb", "a\ufeffb", "a\u200eb", "a\u00adb", "\ud800", "a\u2060b", "a\U000e0001b"]
SCOTLAND = "🏴\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f"
NAMES_FINE = [
    "a",
    "a\U000e0020b",
    SCOTLAND,
    "x" * 100,
    "王" * 100,
    "😀" * 100,
    "👩\u200d👩\u200d👧 family",
    "é",
    "e\u0301",
    "a'b\"; --",
    "<b>",
    "%s",
    "{{7*7}}",
    "\\",
]


GIVE_A_NAME = "Enter a name so you can recognize this token later."
ONE_LINE = "Use one line, without control or invisible characters."


@pytest.mark.parametrize(
    ("name", "message"),
    [
        *((name, GIVE_A_NAME) for name in NAMES_WITHOUT),
        *((name, ONE_LINE) for name in NAMES_BROKEN),
        *((name, f"name is of type {type(name).__name__}. Give text.") for name in (None, 7, b"a")),
        ("x" * 101, "The name has 101 characters. Use at most 100."),
        ("😀" * 101, "The name has 101 characters. Use at most 100."),
        ("x" * 1_000_000, "The name has 1000000 characters. Use at most 100."),
    ],
    ids=short,
)
def test_a_name_that_is_not_one_line_of_1_to_100_characters_is_refused(host: Host, name: Any, message: str) -> None:
    assert refused(host, "name", name=name) == message


@pytest.mark.parametrize("name", NAMES_FINE, ids=short)
def test_a_valid_name_is_stored_unchanged_on_every_database(stored_host: Host, name: str) -> None:
    made = stored_host.generate("ann", name, description=name)
    found = stored_host.find(made.secret)
    assert found is not None
    assert (found.name, found.description) == (name, name)


@pytest.mark.parametrize(
    ("description", "message"),
    [
        *((description, ONE_LINE) for description in NAMES_BROKEN),
        *((value, f"description is of type {type(value).__name__}. Give text.") for value in (None, 7)),
        ("x" * 256, "The description has 256 characters. Use at most 255."),
    ],
    ids=short,
)
def test_a_description_that_is_not_one_line_of_255_characters_is_refused(
    host: Host, description: Any, message: str
) -> None:
    assert refused(host, "description", description=description) == message


@pytest.mark.parametrize("days", [0, -2, 10**12, 100_000])
def test_a_lifetime_out_of_bounds_is_refused_and_the_message_has_the_range(host: Host, days: Any) -> None:
    message = refused(host, "lifetime_days", lifetime_days=days)
    assert message == "Enter 1 to 99,999 days, or -1 for no expiration."


@pytest.mark.case("S25")
@pytest.mark.parametrize("days", [True, False, 1.0, "30", "", float("nan"), b"1"])
def test_a_lifetime_that_is_not_an_int_is_refused_by_its_type(host: Host, days: Any) -> None:
    message = refused(host, "lifetime_days", lifetime_days=days)
    assert message == f"lifetime_days is of type {type(days).__name__}. Give a whole number of days as an int."


@pytest.mark.case("F07")
def test_the_host_s_longest_lifetime_is_the_bound(host: Host, clock: Clock) -> None:
    host.app.config["ACCESS_TOKENS_MAX_LIFETIME_DAYS"] = 365
    for days in (366, -1, 0):
        message = refused(host, "lifetime_days", lifetime_days=days)
        assert message == "Enter 1 to 365 days."
    made = host.generate(lifetime_days=365)
    host.app.config["ACCESS_TOKENS_MAX_LIFETIME_DAYS"] = 10
    found = host.find(made.secret)
    assert found is not None
    assert found.expires_at == clock.moment + timedelta(days=365)
    clock.pass_(days=365)
    host.app.config["ACCESS_TOKENS_MAX_LIFETIME_DAYS"] = -1
    assert host.find(made.secret) is None


def test_a_maximum_lifetime_of_one_day_is_in_the_singular(host: Host) -> None:
    host.app.config["ACCESS_TOKENS_MAX_LIFETIME_DAYS"] = 1
    assert refused(host, "lifetime_days", lifetime_days=2) == "Enter 1 day. No other lifetime is allowed here."


@pytest.mark.parametrize(
    ("most", "default", "days"),
    [
        (-1, 365, 365),
        (30, 365, 30),
        (30, 30, 30),
        (30, 1, 1),
        (-1, -1, None),
        (90, -1, 90),
        (-1, 10**6, 99_999),
        (10**6, 10**6, 99_999),
    ],
)
def test_the_default_lifetime_keeps_within_the_bounds(
    host: Host, clock: Clock, most: int, default: int, days: int | None
) -> None:
    host.app.config.update(ACCESS_TOKENS_MAX_LIFETIME_DAYS=most, ACCESS_TOKENS_DEFAULT_LIFETIME_DAYS=default)
    expires = host.generate().token.expires_at
    assert expires == (None if days is None else clock.moment + timedelta(days=days))


@pytest.mark.case("S25")
def test_a_scope_that_is_not_declared_or_not_granted_is_refused_by_name(host: Host) -> None:
    host.access_tokens.scopes_loader(lambda owner_id: ["read", "elsewhere"])
    for scope in ("other", "elsewhere", "", "read ", "READ", None, ["read"]):
        message = refused(host, "scopes", scopes=["read", scope])
        assert message == f"ACCESS_TOKENS_SCOPES does not declare the scope {scope!r}. It declares: read, write."
    assert len(refused(host, "scopes", scopes=["x" * 1_000_000])) < 200
    message = refused(host, "scopes", scopes=["read", "write"])
    assert message == "This owner may not grant the scope 'write'. The scopes loader returns, of those declared: read."
    host.access_tokens.scopes_loader(lambda owner_id: [])
    assert refused(host, "scopes", scopes=["read"]).endswith("declared: none.")
    host.app.config["ACCESS_TOKENS_SCOPES"] = {}
    assert refused(host, "scopes", scopes=["read"]).endswith("the scope 'read'. It declares: none.")


def test_a_scope_that_is_named_twice_is_refused(host: Host) -> None:
    assert refused(host, "scopes", scopes=["read", "read"]) == "A scope was selected twice. Select each once."


@pytest.mark.parametrize("scopes", ["read", "read write", b"read"])
def test_scopes_as_one_string_are_a_clear_error(host: Host, scopes: Any) -> None:
    with host.app.app_context(), pytest.raises(ValueError, match="Give a list"):
        tokens.generate("ann", "laptop", scopes=scopes)
    assert host.rows() == []


@pytest.mark.case("S25")
def test_who_acts_is_named_in_the_error_about_them(host: Host) -> None:
    with host.app.app_context(), pytest.raises(ValueError, match=r"^by is an int, a UUID or a string, not object"):
        tokens.generate("ann", "laptop", by=object())  # type: ignore[arg-type]
    with host.app.app_context(), pytest.raises(ValueError, match=r"^by is 1 to 255 characters on one line"):
        tokens.generate("ann", "laptop", by="")
