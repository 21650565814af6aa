"""Fixtures for the tests of the page."""

from collections.abc import Callable

import pytest

from desk import fill_desk, open_desk, people
from host import Host
from pages import Make
from sites import Site


@pytest.fixture(params=["csrf nowhere", "csrf on every view"])
def login_host(request: pytest.FixtureRequest, make_host: Make) -> Host:
    """A host with and without CSRFProtect, whose check runs before the page identifies the visitor."""
    return make_host(csrf=request.param == "csrf on every view")


@pytest.fixture(params=["every view", "no view", "chosen views"])
def protected_host(request: pytest.FixtureRequest, make_host: Make) -> Host:
    """A host with CSRF protection on every view, none or chosen ones; the page's forms are always protected."""
    if request.param == "no view":
        return make_host(WTF_CSRF_ENABLED=True)
    return make_host(csrf=True, WTF_CSRF_CHECK_DEFAULT=request.param == "every view")


@pytest.fixture
def desk_site(make_site: Callable[..., Site]) -> Site:
    """A site with two pages of tokens at the operators' desk, of which Ann has most."""
    site = make_site(owner=people)
    open_desk(site.host)
    fill_desk(site.host)
    return site
