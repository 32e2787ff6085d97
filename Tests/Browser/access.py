"""Logging in and out, rights, headers, hostile input."""
import base64
import hashlib
import hmac
import http.client
import random
import re
import time
import urllib.parse

from playwright.sync_api import expect

PASSWORD = "correct horse battery"


def headers_are_strict(suite):
    """Every answer carries the strict headers, and assets are kept forever."""
    page = suite.page
    answer = page.goto("/")
    assert page.url.endswith("/login"), page.url
    policy = answer.headers["content-security-policy"]
    for word in ("default-src 'none'", "script-src 'self'", "style-src 'self'", "frame-ancestors 'none'"):
        assert word in policy, policy
    assert "unsafe" not in policy, policy
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["cache-control"] == "no-store"
    for path in page.evaluate("Array.from(document.querySelectorAll('link, script')).map((e) => e.href || e.src)"):
        asset = page.request.get(path)
        assert asset.status == 200 and "immutable" in asset.headers["cache-control"], path
        assert re.search(r"\.[0-9a-f]{16}\.(css|js|svg)$", path), path
    for path in ("/assets/roost.css", "/assets/"):
        assert page.request.get(path).status == 404, path
    for path in ("/live", "/log?kind=service&id=x&node=y"):
        assert page.request.get(path).status == 401, path


def wrong_key_is_refused(suite):
    """A wrong key is refused with one sentence, and a page that was asked for comes after the login."""
    page = suite.page
    page.goto("/events?kind=run")
    page.get_by_label("API key").fill("roost_wrong_00000000000000000000000000000000")
    page.get_by_role("button", name="Log in with the key").click()
    expect(page.get_by_role("alert")).to_contain_text("API key")
    page.get_by_label("API key").fill(suite.hub.key)
    page.get_by_role("button", name="Log in with the key").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Events")
    assert page.url.endswith("/events?kind=run"), page.url
    cookie = next(item for item in page.context.cookies() if "roost" in item["name"])
    assert cookie["httpOnly"] and cookie["sameSite"] == "Lax", cookie


def forms_need_their_token(suite):
    """A form without its token, or from another site, changes nothing."""
    request = suite.page.request
    for form, headers in (
        ({"name": "intruder"}, {}), ({"name": "intruder", "csrf": "0" * 64}, {}),
        ({"name": "intruder"}, {"Origin": "https://evil.example"}),
        ({"name": "intruder"}, {"Sec-Fetch-Site": "cross-site"}),
    ):
        answer = request.post("/stacks", form=form, headers=headers, max_redirects=0)
        assert answer.status == 403, answer.status
    names = [stack["name"] for stack in suite.hub.api("GET", "/stacks")[1]["items"]]
    assert names == ["default"], names


def user_is_made(suite):
    """A user is made on the page, logs in, and sees only what the role allows."""
    page = suite.open("/users")
    page.get_by_role("link", name="New user").first.click()
    page.get_by_label("Email").fill("not an address")
    page.get_by_label("Password").fill("short")
    page.get_by_role("button", name="Create user").click()
    expect(page.get_by_role("alert")).to_contain_text("Some values were not accepted")
    expect(page.locator("#f-email")).to_have_attribute("aria-invalid", "true")
    expect(page.locator("#f-email")).to_have_value("not an address")
    expect(page.locator("#f-password")).to_have_value("")
    page.get_by_label("Email").fill("viewer@example.org")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_label("Role").select_option("viewer")
    page.get_by_role("button", name="Create user").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("viewer@example.org")
    assert PASSWORD not in page.content()

    context = suite.context()
    viewer = context.new_page()
    viewer.goto("/login")
    viewer.get_by_label("Email").fill("viewer@example.org")
    viewer.get_by_label("Password").fill(PASSWORD)
    viewer.get_by_role("button", name="Log in as a user").click()
    expect(viewer.get_by_role("heading", level=1)).to_have_text("Overview")
    expect(viewer.get_by_role("link", name="Add service")).to_have_count(0)
    service = suite.hub.service("web")
    viewer.goto(f"/services/{service['id']}")
    expect(viewer.get_by_role("button", name="Deploy")).to_have_count(0)
    csrf = viewer.locator("input[name=csrf]").first.input_value()
    answer = viewer.request.post(f"/services/{service['id']}/restart", form={"csrf": csrf}, max_redirects=0)
    assert answer.status == 403, answer.status
    assert viewer.goto(f"/services/{service['id']}/edit").status == 403
    viewer.get_by_role("button", name="Log out").click()
    expect(viewer.get_by_label("API key")).to_be_visible()
    viewer.goto("/services")
    assert "/login" in viewer.url
    context.close()


def code_of(secret):
    """The six digits that an app shows (RFC 6238)."""
    step = int(time.time()) // 30
    digest = hmac.new(base64.b32decode(secret), step.to_bytes(8, "big"), hashlib.sha1).digest()
    start = digest[-1] & 15
    return f"{(int.from_bytes(digest[start : start + 4], 'big') & 0x7FFFFFFF) % 1000000:06}"


def own_account_is_changed(suite):
    """A user changes the password and sets up a second factor; the other sessions end."""
    suite.hub.api("POST", "/users", {"email": "self@example.org", "password": PASSWORD})
    pages = []
    for _ in range(2):
        page = suite.context().new_page()
        page.goto("/login")
        page.get_by_label("Email").fill("self@example.org")
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Log in as a user").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("Overview")
        pages.append(page)
    own, other = pages
    own.get_by_role("link", name="user:self@example.org").click()
    expect(own.get_by_role("heading", level=1)).to_have_text("Your account")
    for current, heard in (("not the password", "Current password is wrong"), (PASSWORD, "The password was changed")):
        own.get_by_label("Current password").fill(current)
        own.get_by_label("New password").fill("another " + PASSWORD)
        own.get_by_role("button", name="Change the password").click()
        expect(own.locator(".notice")).to_contain_text(heard)
        assert PASSWORD not in own.content()
    other.goto("/")
    assert "/login" in other.url, other.url
    own.get_by_role("button", name="Set up a second factor").click()
    secret = own.locator("#totp-secret").inner_text()
    own.get_by_label("Code").fill("12")
    own.get_by_role("button", name="Turn it on").click()
    expect(own.get_by_role("alert")).to_contain_text("Code is wrong")
    assert own.locator("#totp-secret").inner_text() == secret
    own.get_by_label("Code").fill(code_of(secret))
    own.get_by_role("button", name="Turn it on").click()
    expect(own.get_by_role("heading", level=1)).to_have_text("The second factor is on")
    codes = own.locator("#once-codes").inner_text().split()
    assert len(set(codes)) == 10, codes
    own.get_by_role("link", name="Done, I have copied it").click()
    expect(own.get_by_text("10 recovery codes are left")).to_be_visible()
    other.get_by_label("Email").fill("self@example.org")
    other.get_by_label("Password").fill("another " + PASSWORD)
    other.get_by_role("button", name="Log in as a user").click()
    other.get_by_label("Code").fill(codes[0])
    other.get_by_role("button", name="Log in").click()
    expect(other.get_by_role("link", name="user:self@example.org")).to_be_visible()
    own.get_by_label("Code").fill(codes[1])
    own.get_by_role("button", name="Take the second factor away").click()
    expect(own.get_by_role("button", name="Set up a second factor")).to_be_visible()
    for page in pages:
        page.context.close()


def guessing_is_limited(suite):
    """Too many wrong passwords are answered with how long to wait."""
    context = suite.context()
    page = context.new_page()
    statuses = []
    for _ in range(12):
        page.goto("/login")
        page.get_by_label("Email").fill("guessed@example.org")
        page.get_by_label("Password").fill("wrong password")
        with page.expect_response(lambda answer: answer.request.method == "POST") as caught:
            page.get_by_role("button", name="Log in as a user").click()
        statuses.append(caught.value.status)
        expect(page.get_by_role("alert")).to_be_visible()
    assert statuses[0] == 401 and statuses[-1] == 429, statuses
    assert int(caught.value.headers["retry-after"]) > 0
    expect(page.get_by_role("alert")).to_contain_text("Too many failed logins")
    expect(page.get_by_label("Email")).to_have_value("guessed@example.org")
    context.close()


def unknown_pages_are_friendly(suite):
    """What does not exist is a friendly page."""
    page = suite.page
    for path in ("/nothing", "/services/unknown", "/stacks/%3Cscript%3E", "/services/x/y/z", "/deployments/new",
                 "/services/unknown/edit", "/deployments/unknown/rollback", "/services/unknown/explode"):
        assert page.goto(path).status == 404, path
        expect(page.get_by_role("heading", level=1)).to_have_text("There is nothing here")
        expect(page.get_by_role("link", name="Go to the overview")).to_be_visible()


def hostile_input_is_refused(suite):
    """No input makes the hub fail."""
    cookie = "; ".join(f"{item['name']}={item['value']}" for item in suite.page.context.cookies())
    csrf = suite.page.locator("input[name=csrf]").first.input_value()
    chance = random.Random(7)
    service = suite.hub.service("web")["id"]
    bits = ["'", '"', "<script>alert(1)</script>", "../" * 9 + "etc/passwd", "%00", "\x00", "é\u0301", "9" * 400, "-1",
            "null", "{{csrf}}", "[0].key", "a" * 70000, "%zz", "\u202e", "', DROP TABLE resources --"]
    names = ["name", "kind", "git_url", "git_ref", "port", "instances", "env[0].key", "env[0].value", "env[0].secret",
             "hostnames", "health_check.path", "_version", "_once", "_step", "cpu_quota", "stack_id", "memory_max"]
    queries = ["cursor", "search", "status", "kind", "service", "node", "q", "actor", "done", "topics", "offset", "id"]
    paths = ["/", "/services", "/events", "/audit-logs", "/search", "/log", "/stacks/new", "/services/new", "/nodes",
             f"/services/{service}", f"/services/{service}/edit", "/api-keys", "/install-tokens", "/theme",
             "/logout%00"]
    connection = http.client.HTTPConnection("127.0.0.1", suite.hub.port, timeout=20)
    refused = 0
    for _ in range(400):
        if chance.random() < 0.5:
            query = urllib.parse.urlencode([(chance.choice(queries), chance.choice(bits)[:2000]) for _ in range(3)])
            connection.request("GET", f"{chance.choice(paths)}?{query}", headers={"Cookie": cookie})
        else:
            pairs = [(chance.choice(names), chance.choice(bits)) for _ in range(6)] + [("csrf", csrf)]
            path = chance.choice(["/services", "/stacks", "/users", "/api-keys", "/install-tokens", "/theme",
                                  f"/services/{service}/edit", "/services/x/delete", f"/services/{service}/bang"])
            # A form that would be taken is not what this case is about.
            body = urllib.parse.urlencode([pair for pair in pairs if pair[0] != "_step"] + [("_step", "preview")])
            connection.request("POST", path, body=body, headers={
                "Cookie": cookie, "Content-Type": "application/x-www-form-urlencoded"})
        answer = connection.getresponse()
        text = answer.read()
        assert answer.status < 500, (answer.status, text[:300])
        assert b"<script>alert" not in text
        refused += answer.status >= 400
    for kind in ("text/plain", "application/json", "application/x-www-form-urlencoded", "a/b; charset=\x7f"):
        connection.request("POST", "/login", body=b"\xff\xfe&&&==&%", headers={"Content-Type": kind})
        answer = connection.getresponse()
        answer.read()
        assert 400 <= answer.status < 500, (kind, answer.status)
    connection.request("POST", "/services", body=b"a" * (2 << 20), headers={
        "Cookie": cookie, "Content-Type": "application/x-www-form-urlencoded"})
    answer = connection.getresponse()
    assert answer.status == 413, answer.status
    assert refused > 50, refused


CASES = [headers_are_strict, wrong_key_is_refused, forms_need_their_token, user_is_made, own_account_is_changed,
         guessing_is_limited, unknown_pages_are_friendly, hostile_input_is_refused]
