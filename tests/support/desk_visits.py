"""What an operator does at the desk in Chromium."""

from playwright.sync_api import Page, expect

from sites import settle


def click(page: Page, name: str, role: str = "button") -> None:
    settle(page)
    page.get_by_role(role, name=name, exact=True).click()  # type: ignore[arg-type]


def filter_by(page: Page, status: str, number: str) -> None:
    """Filter the list by a status that a number of tokens have."""
    page.get_by_label("Status").select_option(label=status)
    click(page, "Filter")
    expect(page.locator(".access-tokens-matching")).to_contain_text(number)


def open_form_for(page: Page, owner: str) -> None:
    click(page, "Generate for an owner", "link")
    page.get_by_label("Owner ID", exact=True).fill(owner)
    click(page, "Continue")
    expect(page.get_by_label("Name")).to_be_focused()


def generate_for(page: Page, owner: str, name: str = "laptop") -> str:
    """Generate a token through the forms and return its secret."""
    open_form_for(page, owner)
    page.get_by_label("Name").fill(name)
    click(page, "Generate")
    field = page.get_by_label("Your new token")
    expect(field).to_be_focused()
    return field.input_value()


def find_in(page: Page, text: str) -> None:
    page.get_by_text("Whose secret is this?").click()
    page.get_by_label("A token, or text that contains tokens").fill(text)
    click(page, "Find")
