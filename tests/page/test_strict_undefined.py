"""The page in an application whose templates may not read anything undefined."""

from flask import render_template_string
from jinja2 import StrictUndefined

from catalogs import NEW, PAGE
from host import Host
from pages import HTMX, NOBODY, answer_to_question, delete_path, form_data


def test_the_page_reads_nothing_undefined_in_any_state(host: Host) -> None:
    host.app.jinja_env.undefined = StrictUndefined

    @host.app.get("/settings")
    def settings() -> str:
        return render_template_string("{% include 'access_tokens/_page.html' %}")

    token = host.generate("ann", "t-a", description="for builds", scopes=["read"], lifetime_days=5).token
    for number in range(26):
        host.generate("ann", f"t-{number}")
    ann, bob = host.client("ann"), host.client("bob")
    question = answer_to_question(ann, token)
    sent = form_data(ann)
    answers = [
        (200, bob.get(PAGE)),
        (200, ann.get(PAGE)),
        (200, ann.get(f"{PAGE}?q=t-&status=active&sort=-name&page=2")),
        (200, ann.get(f"{PAGE}?q=nothing")),
        (200, ann.get(NEW)),
        (200, ann.get(f"{NEW}?name=CI&lifetime_days=-1&scopes=read")),
        (422, ann.post(NEW, data={"name": "", "lifetime_days": "x", "scopes": ["admin"]})),
        (400, ann.post(NEW, data={**sent, "nonce": "x"})),
        (200, ann.post(NEW, data=sent)),
        (409, ann.post(NEW, data=sent)),
        (200, ann.get(delete_path(token))),
        (200, ann.get("/settings")),
        (200, bob.get("/settings")),
        (404, ann.get(delete_path(NOBODY))),
        (200, ann.get(delete_path(NOBODY), headers=HTMX)),
        (200, ann.post(delete_path(token), data=question, headers=HTMX)),
    ]
    assert [answer.status_code for _, answer in answers] == [status for status, _ in answers]
