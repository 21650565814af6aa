"""The ready-made text of an expiry notice."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from flask_babel import Babel, force_locale
from jinja2 import DictLoader, StrictUndefined

from flask_access_tokens import tokens
from flask_access_tokens.notices import Notice, compose
from host import Clock, Host
from markup import Page


def notice(host: Host, *, name: str = "CI", used: bool = False, **values: Any) -> Notice:
    """The notice about a token of 90 days, seven days before it expires."""
    new = host.generate("ann", name, lifetime_days=90, **values)
    if used:
        with host.app.app_context():
            table = host.access_tokens.model.__table__
            last = new.token.created_at + timedelta(days=80)
            host.db.session.execute(sa.update(table).values(last_used_at=last))
            host.db.session.commit()
    return compose_at(host, new.token.id, new.token.created_at + timedelta(days=83))


def compose_at(host: Host, token_id: object, moment: Any) -> Notice:
    with pytest.MonkeyPatch.context() as patch, host.app.app_context():
        patch.setattr("flask_access_tokens.clock.now", lambda: moment)
        token = tokens.get("ann", token_id)
        assert token is not None
        return compose(token, 7)


def hint(host: Host) -> str:
    return str(host.rows()[0]["hint"])


def test_the_text_says_which_token_when_it_expires_and_what_to_do(host: Host, clock: Clock) -> None:
    found = notice(host, used=True, description="Builds. Ask Bob.")
    assert found.subject == "Access token “CI” expires in 7 days"
    assert found.text == (
        f"Your access token “CI” ({hint(host)}) expires in 7 days, on 4 August 2031, 07:08 UTC.\n\n"
        "Builds. Ask Bob.\n\n"
        "Last used 3 days ago.\n\n"
        "If a program still needs it, rotate it or generate a new token before then, and give the new one to the"
        " program. If nothing needs it, let it expire.\n"
    )
    page = Page(found.html)
    assert page.text.split() == f"{found.subject} {found.text}".split()


def test_a_token_that_was_never_used_is_said_to_be_so(host: Host, clock: Clock) -> None:
    found = notice(host)
    for text in (found.text, found.html):
        assert "Never used. Nothing appears to depend on it." in text
    assert "\n\n\n" not in found.text


def test_where_people_generate_no_tokens_they_are_sent_to_the_operators(host: Host, clock: Clock) -> None:
    host.app.config["ACCESS_TOKENS_SELF_SERVICE"] = False
    found = notice(host)
    for text in (found.text, found.html):
        assert "ask the operators of this application for a new token before then." in text
        assert "rotate" not in text


def test_the_link_to_the_page_is_there_where_it_can_be_built(make_host: Callable[..., Host], clock: Clock) -> None:
    url = "https://app.example/access-tokens/"
    host = make_host(SERVER_NAME="app.example", PREFERRED_URL_SCHEME="https")
    found = notice(host)
    assert found.text.endswith(f"let it expire.\n\n{url}\n")
    assert f'<a href="{url}">Access tokens</a>' in found.html
    host = make_host()
    found = notice(host)
    assert "access-tokens/" not in found.text + found.html
    with host.app.test_request_context(base_url="https://app.example"):
        (token,) = tokens.owned_by("ann")
        assert url in compose(token, 7).text


def test_a_page_below_a_variable_prefix_has_no_link(make_host: Callable[..., Host], clock: Clock) -> None:
    found = notice(make_host(SERVER_NAME="app.example", ACCESS_TOKENS_URL_PREFIX="/<tenant>/tokens"))
    assert "http" not in found.text
    assert "href" not in found.html


def test_a_name_is_escaped_in_html_and_nowhere_else(host: Host, clock: Clock) -> None:
    host.app.select_jinja_autoescape = lambda name: True  # type: ignore[method-assign]
    name = "<b>&amp; \"R&D\" {{ 7 * 7 }} '%(hint)s'"
    found = notice(host, name=name, description="<i>it</i>")
    assert name in found.subject
    assert f"“{name}”" in found.text
    assert "\n<i>it</i>\n" in found.text
    assert "<b>" not in found.html
    assert "<i>" not in found.html
    assert f"“{name}”" in Page(found.html).text


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r", "\x0b", "\x85", "\u2028"], ids=ascii)
def test_the_subject_is_one_line_whatever_the_name_contains(host: Host, clock: Clock, end: str) -> None:
    token = host.generate("ann", "name", lifetime_days=90).token
    with host.app.app_context():
        table = host.access_tokens.model.__table__
        host.db.session.execute(sa.update(table).values(name=f"CI{end}Bcc: eve@example.org"))
        host.db.session.commit()
    subject = compose_at(host, token.id, token.created_at + timedelta(days=83)).subject
    assert subject == "Access token “CI Bcc: eve@example.org” expires in 7 days"


def test_settings_of_the_host_s_templates_and_its_context_processors_do_not_matter(
    make_host: Callable[..., Host], clock: Clock
) -> None:
    plain, host = notice(make_host()), make_host()
    host.app.jinja_options = {"trim_blocks": True, "lstrip_blocks": True, "undefined": StrictUndefined}

    @host.app.context_processor
    def needs_a_request() -> dict[str, Any]:
        raise RuntimeError("Working outside of request context.")

    found = notice(host)
    assert found.text[found.text.index(")") :] == plain.text[plain.text.index(")") :]
    assert found.subject == plain.subject


def test_a_template_of_the_host_s_takes_precedence(make_host: Callable[..., Host], clock: Clock) -> None:
    host = make_host()
    host.app.jinja_loader = DictLoader(  # type: ignore[misc]
        {
            "access_tokens/expiry_notice_subject.txt": "[Intranet] {{ token.name }}: {{ days }} days",
            "access_tokens/expiry_notice.html": "<p>{{ exact_time(token.expires_at) }} {{ token.owner_id }}</p>",
        }
    )
    found = notice(host, name="a & b")
    assert found.subject == "[Intranet] a & b: 7 days"
    assert found.html == "<p>4 August 2031, 07:08 UTC ann</p>"
    assert found.text.startswith("Your access token “a & b” ")


def test_the_language_can_be_chosen_for_each_owner_without_a_request(host: Host, clock: Clock) -> None:
    Babel(host.app, default_timezone="Europe/Berlin")
    token = host.generate("ann", "CI", lifetime_days=90).token
    clock.pass_(days=83)
    with host.app.app_context():
        english = compose(token, 7)
        with force_locale("de"):
            german = compose(token, 7)
    assert '<html lang="en">' in english.html
    assert "in 7 days, on 4 August 2031, 09:08 UTC+02:00" in english.text
    assert '<html lang="de">' in german.html
    for text in (german.text, german.html):
        assert "in 7 Tagen" in text
        assert "4. August 2031, 09:08 UTC+02:00" in text


def test_a_token_that_never_expires_has_no_notice(host: Host) -> None:
    token = host.generate("ann", "CI", lifetime_days=-1).token
    with host.app.app_context(), pytest.raises(ValueError, match="never expires"):
        compose(token, 7)
