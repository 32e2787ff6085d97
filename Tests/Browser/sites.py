"""Domains in front of services: made, opened to a user, changed and taken down with the dashboard."""
from playwright.sync_api import expect

from hub import wait_for


def site_is_made(suite):
    """A site is made with the form; a word that is no service is refused beside its field."""
    page = suite.open("/sites")
    page.get_by_role("link", name="New site").first.click()
    page.locator("#f-domain").fill("shop.example.org")
    page.locator("#f-upstream").fill("nowhere")
    page.get_by_role("button", name="Create site").click()
    expect(page.locator("#f-upstream-flaw")).to_contain_text("no service of the stack")
    expect(page.locator("#f-domain")).to_have_value("shop.example.org")
    page.locator("#f-upstream").fill("web")
    page.get_by_label("Auth").select_option("basic")
    page.get_by_role("button", name="Show what would change").click()
    expect(page.get_by_role("heading", name="What would change")).to_be_visible()
    page.get_by_role("button", name="Create site").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("shop.example.org")
    expect(page.locator("#live-meta").get_by_role("link", name="web")).to_be_visible()
    expect(page.locator("#live-users")).to_contain_text("nobody may pass")
    suite.shot("site")


def user_is_added_to_a_site(suite):
    """A user is added; the password is on no page."""
    page = suite.page
    page.get_by_role("link", name="Add user").click()
    page.locator("#f-username").fill("ada")
    page.locator("#f-password").fill("correct horse")
    page.get_by_role("button", name="Create site user").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("ada")
    assert "correct horse" not in page.content() and "$2b$" not in page.content()
    site = suite.hub.api("GET", "/sites")[1]["items"][0]["id"]
    page = suite.open(f"/sites/{site}")
    expect(page.locator("#live-users").get_by_role("link", name="ada")).to_be_visible()


def site_is_named_by_its_service(suite):
    """The page of a service leads to the sites in front of it."""
    page = suite.open("/sites")
    page.get_by_role("link", name="shop.example.org").click()
    page.locator("#live-meta").get_by_role("link", name="web").click()
    page.locator("#live-sites").get_by_role("link", name="shop.example.org").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("shop.example.org")


def site_is_removed(suite):
    """A removed site is gone from the hub when no server has it."""
    page = suite.open("/sites")
    page.get_by_role("link", name="shop.example.org").click()
    page.get_by_role("link", name="Remove this site").click()
    page.get_by_role("button", name="Delete").click()
    wait_for("the site is gone", lambda: not suite.hub.api("GET", "/sites")[1]["items"], seconds=60)


CASES = [site_is_made, user_is_added_to_a_site, site_is_named_by_its_service]
LAST_CASES = [site_is_removed]
