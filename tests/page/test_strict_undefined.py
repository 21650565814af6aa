"""The page in an application whose templates may not read anything undefined."""

from flask import render_template_string
from jinja2 import StrictUndefined

from catalogs import NEW, PAGE
from desk import DESK, OPERATOR, fill_desk, open_desk, people
from host import Host
from markup import Page
from pages import HTMX, NOBODY, Make, answer_to_question, delete_path, form_data


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
        (400, ann.post(NEW, data={**sent, "access_tokens_nonce": "x"})),
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


def test_the_desk_reads_nothing_undefined_in_any_state(make_host: Make) -> None:
    host = make_host(owner=people)
    open_desk(host)
    fill_desk(host)
    host.app.jinja_env.undefined = StrictUndefined
    secret = host.generate("bob", "In a log").secret
    olga = host.client(OPERATOR)
    selected = [("token", str(row["id"])) for row in host.rows()[:2]]
    question = f"{DESK}delete?everything=1&status=asleep"
    sent = dict(Page(olga.get(f"{DESK}new?owner=bob")).form("/new").fields)
    new = {**sent, "name": "laptop", "lifetime_days": "7"}
    asked = dict(Page(olga.get(question)).form("/delete").fields)
    answers = [
        (200, olga.get(DESK)),
        (200, olga.get(DESK, headers=HTMX)),
        (200, olga.get(f"{DESK}?status=owner-gone&sort=-used&scope=read")),
        (200, olga.get(f"{DESK}?q=zebra")),
        (200, olga.post(f"{DESK}find", data={"text": secret})),
        (200, olga.post(f"{DESK}find", data={"text": "odd"})),
        (200, olga.get(f"{DESK}new")),
        (422, olga.get(f"{DESK}new?owner=nobody")),
        (200, olga.get(f"{DESK}new?owner=bob&name=CI&scopes=read")),
        (422, olga.post(f"{DESK}new?owner=bob", data={"lifetime_days": "x", "reason": "r" * 300})),
        (400, olga.post(f"{DESK}new?owner=bob", data={**new, "access_tokens_nonce": "x"})),
        (200, olga.post(f"{DESK}new?owner=bob", data=new)),
        (409, olga.post(f"{DESK}new?owner=bob", data=new)),
        (422, olga.get(f"{DESK}delete")),
        (200, olga.get(f"{DESK}delete", query_string=selected)),
        (200, olga.get(question)),
        (422, olga.post(question, data={**asked, "reason": "r" * 300})),
        (400, olga.post(question, data={"asked": "x"})),
        (200, olga.post(question, data=asked, headers=HTMX)),
        (404, olga.get(f"{DESK}delete?token={NOBODY}")),
    ]
    assert [answer.status_code for _, answer in answers] == [status for status, _ in answers]
