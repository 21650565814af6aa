"""Deleting at the operators' desk: many tokens at once, tokens of one time, and one that is used at that moment."""

from collections.abc import Iterator
from datetime import timedelta

import pytest

from desk_pages import DESK, DESK_DELETE, answer_to, change, notice, store_rows, stored_names, with_operator
from flask_access_tokens import tokens
from flask_access_tokens.page.chosen import Chosen
from host import Clock, Host
from markup import Page

OF_ANN = f"{DESK_DELETE}?owner=ann&everything=1"


@pytest.fixture
def desk_host(stored_host: Host) -> Host:
    return with_operator(stored_host)


def test_everything_is_deleted_where_many_tokens_have_one_time(desk_host: Host, clock: Clock) -> None:
    store_rows(desk_host, 1100, created_at=clock.moment - timedelta(days=1))
    olga = desk_host.client("olga")
    answer = olga.post(OF_ANN, data=answer_to(olga, OF_ANN))
    assert notice(olga.get(answer.location)) == "1100 tokens were deleted."
    assert stored_names(desk_host) == []


def test_a_token_that_is_used_at_the_moment_of_the_deletion_is_kept_by_a_filter_of_unused_ones(
    desk_host: Host, clock: Clock
) -> None:
    host = desk_host
    token = host.generate("ann", "t-asleep", lifetime_days=-1).token
    clock.pass_(days=100)
    olga = host.client("olga")
    path = f"{DESK_DELETE}?status=asleep&everything=1"
    form = answer_to(olga, path)
    read = Chosen._filtered

    def read_and_use(chosen: Chosen) -> Iterator[tokens.Token]:
        found = list(read(chosen))
        change(host, token, last_used_at=clock.moment)
        yield from found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Chosen, "_filtered", read_and_use)
        assert olga.post(path, data=form).status_code == 303
        assert stored_names(host) == ["t-asleep"]
        assert olga.post(OF_ANN, data=answer_to(olga, OF_ANN)).status_code == 303
    assert stored_names(host) == []


def test_the_url_of_100_selected_tokens_fits_the_request_line_of_gunicorn(host: Host) -> None:
    with_operator(host)
    store_rows(host, 100)
    olga = host.client("olga")
    with host.app.app_context():
        chosen = [token.id.hex for token in tokens.iter_all()]
    page = Page(olga.get(f"{DESK_DELETE}?{'&'.join(f'token={each}' for each in chosen)}"))
    action = page.form("/delete").attributes["action"]
    assert action.count("token=") == 100
    assert len(action) < 4000
    boxes = [each.attributes["value"] for each in Page(olga.get(DESK)).all("input", name="token")]
    assert set(boxes) <= set(chosen)
