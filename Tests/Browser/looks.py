"""What every page must hold: width, contrast, names; keyboard, themes, no script, connections that break."""
import re
import socket
import time

from playwright.sync_api import expect

import checks
from hub import wait_for


def pages(suite):
    """Addresses of one page of each sort."""
    api = suite.hub.api
    stack = next(item for item in api("GET", "/stacks")[1]["items"] if item["name"] == "default")["id"]
    node = api("GET", "/nodes")[1]["items"][0]["id"]
    service = suite.kept["service"]
    found = api("GET", f"/services/{service}/deployments")[1]["items"]
    failed = next(item["id"] for item in found if item["status"] == "failed")
    site = api("GET", "/sites")[1]["items"][0]["id"]
    key = api("GET", "/api-keys")[1]["items"][0]["id"]
    return [
        "/", "/stacks", f"/stacks/{stack}", f"/stacks/{stack}/edit", f"/stacks/{stack}/delete", "/services",
        f"/services/{service}", f"/services/{service}/edit", "/services/new", f"/services/{service}/delete",
        f"/services/{service}/rotate-webhook-secret", f"/deployments/{found[-1]['id']}", f"/deployments/{failed}",
        "/sites", "/sites/new", f"/sites/{site}", f"/sites/{site}/edit", f"/sites/{site}/delete",
        f"/site-users/new?site_id={site}",
        "/nodes", f"/nodes/{node}", f"/nodes/{node}/edit", f"/nodes/{node}/delete", "/events", "/events?kind=none",
        "/audit-logs", "/search?q=shop", "/search?q=zzzz", "/api-keys", "/api-keys/new", f"/api-keys/{key}", "/users",
        "/users/new", "/install-tokens", "/install-tokens/new", "/nothing-here",
    ]


def check_all(suite, name, **options):
    context = suite.context(**options)
    page = context.new_page()
    flaws = []
    page.goto("/login")
    flaws += [f"/login: {flaw}" for flaw in checks.flaws_of(page)]
    suite.shot(f"{name}-login", page)
    suite.log_in(page)
    for path in pages(suite):
        page.goto(path)
        for more in page.locator("details:not(.menu)").all()[:3]:
            more.evaluate("(element) => element.setAttribute('open', '')")
        flaws += [f"{path}: {flaw}" for flaw in checks.flaws_of(page)]
        if path.count("/") < 3:
            suite.shot(f"{name}-{re.sub('[^a-z]+', '-', path)[:30]}", page)
    context.close()
    assert not flaws, "\n".join(flaws[:25])


def checks_find_flaws(suite):
    """The checks themselves notice what is wrong."""
    context = suite.browser.new_context(viewport={"width": 360, "height": 640})
    page = context.new_page()
    page.set_content(
        "<html><body><h1>a</h1><h1>b</h1><p style='color:#999;background:#fff'>pale</p><button></button><input id=x>"
        "<input id=x><label for=nobody>c</label><div style='width:900px'>wide</div></body></html>")
    flaws = "\n".join(checks.flaws_of(page))
    for word in ("wider", "low contrast", "button without", "textbox without", "id twice", "for leads nowhere",
                 "not exactly one h1", "not exactly one main", "no language", "an inline style"):
        assert word in flaws, f"{word} is missing in {flaws}"
    context.close()


def wide_and_light(suite):
    """Every page on a wide light screen: names, contrast, structure."""
    check_all(suite, "light", color_scheme="light")


def wide_and_dark(suite):
    """Every page on a wide dark screen: names, contrast, structure."""
    check_all(suite, "dark", color_scheme="dark")


def narrow(suite):
    """Every page on a phone of 360 pixels: nothing to scroll sideways."""
    check_all(suite, "narrow", viewport={"width": 360, "height": 740}, color_scheme="light")


def menu_on_a_phone(suite):
    """On a phone the menu opens and leads on."""
    context = suite.context(viewport={"width": 360, "height": 740})
    page = context.new_page()
    suite.log_in(page)
    expect(page.get_by_role("link", name="Servers")).to_be_hidden()
    page.locator("summary", has_text="Menu").click()
    suite.shot("narrow-menu", page)
    assert not page.evaluate(checks.OVERFLOW)
    page.get_by_role("link", name="Servers").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Servers")
    context.close()


def keyboard_alone(suite):
    """Logging in, searching and reaching a service work with the keyboard alone."""
    context = suite.context()
    page = context.new_page()
    page.goto("/login")
    page.keyboard.type(suite.hub.key)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Overview")
    page.keyboard.press("Tab")
    focused = page.locator(":focus")
    expect(focused).to_have_text("Skip to the content")
    assert focused.bounding_box()["y"] >= 0, "the skip link stays out of sight"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.id") == "find"
    page.keyboard.type("shop")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Search")
    for _ in range(40):
        page.keyboard.press("Tab")
        focused = page.locator(":focus")
        outline = focused.evaluate("(e) => getComputedStyle(e).outlineStyle + ' ' + getComputedStyle(e).outlineWidth")
        assert outline.startswith("solid") and not outline.endswith(" 0px"), (focused.text_content(), outline)
        if focused.text_content() == "shop" and focused.evaluate("(e) => e.closest('main') !== null"):
            break
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("shop")
    reached = set()
    for _ in range(120):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement.textContent.trim().slice(0, 30) + document.activeElement.id"))
    for name in ("Deploy", "Restart", "Settings", "Delete this service", "Log out"):
        assert any(text.startswith(name) for text in reached), f"{name} cannot be reached: {reached}"
    context.close()


def theme_is_kept(suite):
    """The theme changes at once and is kept."""
    page = suite.open("/")
    back = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(back)
    button = page.get_by_role("button", name="Theme")
    button.click()
    expect(button).to_have_text("Theme: light")
    button.click()
    expect(button).to_have_text("Theme: dark")
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    dark = page.evaluate(back)
    assert dark != light, dark
    page.goto("/services")
    assert page.evaluate(back) == dark, "the theme was forgotten"
    page.get_by_role("button", name="Theme").click()
    expect(page.get_by_role("button", name="Theme")).to_have_text("Theme: auto")
    assert page.evaluate(back) == light


def without_script(suite):
    """Without JavaScript everything can be read, and forms work."""
    context = suite.context(java_script_enabled=False)
    page = context.new_page()
    suite.log_in(page)
    expect(page.get_by_role("link", name="Servers")).to_be_visible()
    expect(page.locator("#live-stacks")).to_contain_text("running")
    page.goto(f"/services/{suite.kept['service']}")
    expect(page.get_by_role("log").first).to_contain_text("shop starts")
    page.goto("/api-keys/new")
    page.get_by_label("Name").fill("robot")
    page.get_by_label("Scopes").fill("services:read")
    page.get_by_label("Brands").fill("*")
    page.get_by_role("button", name="Create API key").click()
    expect(page.locator("#once-key")).to_contain_text("roost_")
    page.get_by_role("link", name="Done, I have copied it").click()
    page.get_by_role("link", name="Delete").click()
    page.get_by_role("button", name="Delete robot").click()
    expect(page.get_by_text("Deleted.")).to_be_visible()
    page.get_by_role("button", name="Theme").click()
    expect(page.locator("html")).to_have_attribute("data-theme", "light")
    context.close()


def stream_is_proper(suite):
    """The live stream tells only what was asked for and may be seen, and beats every 15 seconds."""
    page = suite.open("/events")
    script = """(topics) => new Promise((resolve) => {
      const heard = [];
      const source = new EventSource("/live?topics=" + topics);
      source.addEventListener("change", (event) => heard.push(JSON.parse(event.data)));
      source.addEventListener("error", () => heard.push("error"));
      setTimeout(() => { source.close(); resolve(heard); }, 4000);
    })"""
    suite.hub.api("POST", f"/services/{suite.kept['service']}/restart")
    heard = page.evaluate(script, "deployment nonsense")
    kinds = {kind for change in heard for kind in change["kinds"]}
    assert kinds == {"deployment"}, heard
    wait_for("the shop is back", lambda: suite.hub.service("shop")["status"] == "active")
    beats = page.evaluate("""async () => {
      const answer = await fetch("/live?topics=stack");
      const reader = answer.body.getReader();
      const end = Date.now() + 20000;
      let text = "";
      while (Date.now() < end && !text.includes(": heartbeat")) {
        text += new TextDecoder().decode((await reader.read()).value);
      }
      await reader.cancel();
      return [answer.headers.get("content-type"), text];
    }""")
    assert beats[0] == "text/event-stream" and ": heartbeat" in beats[1], beats


def many_streams_stay_bounded(suite):
    """Sixty streams of one person do no harm: all but the newest end, pages still answer."""
    cookie = "; ".join(f"{item['name']}={item['value']}" for item in suite.page.context.cookies())
    suite.page.goto("about:blank")
    streams = []
    for _ in range(60):
        stream = socket.create_connection(("127.0.0.1", suite.hub.port), timeout=10)
        stream.sendall(f"GET /live?topics=stack HTTP/1.1\r\nHost: x\r\nCookie: {cookie}\r\n\r\n".encode())
        text = b""
        while b": connected" not in text:
            more = stream.recv(4096)
            assert more, text
            text += more
        stream.setblocking(False)
        streams.append(stream)

    def is_open(stream):
        try:
            rest = stream.recv(4096)
            return not (rest == b"" or rest.endswith(b"0\r\n\r\n"))
        except BlockingIOError:
            return True

    deadline, left = time.monotonic() + 15, streams
    while len(left) > 24 and time.monotonic() < deadline:
        time.sleep(0.1)
        left = [stream for stream in left if is_open(stream)]
    # No more of them end than must.
    time.sleep(1)
    left = [stream for stream in left if is_open(stream)]
    for stream in streams:
        stream.close()
    assert len(left) == 24, len(left)
    suite.open("/services")


def reconnects(suite):
    """When the hub goes away and comes back, the open page says so and goes on by itself."""
    page = suite.open(f"/services/{suite.kept['service']}")
    expect(page.locator("#live-state")).to_have_text("Live")
    suite.mark()
    suite.console.is_hub_away = True
    took = suite.hub.end()
    assert took < 20, f"the hub took {took:.0f} s to end with a page open"
    expect(page.locator("#live-state")).to_have_text("Reconnecting…", timeout=20000)
    suite.hub.start()
    expect(page.locator("#live-state")).to_have_text("Live", timeout=40000)
    suite.console.is_hub_away = False
    suite.assert_not_reloaded()
    expect(suite.status()).to_have_text("running", timeout=90000)
    wait_for("the shop answers", lambda: suite.hub.fetch("/shop") is not None, seconds=60)
    suite.hub.fetch("/shop/after-the-break")
    expect(page.get_by_role("log").first).to_contain_text("after-the-break", timeout=20000)


CASES = [checks_find_flaws, wide_and_light, wide_and_dark, narrow, menu_on_a_phone, keyboard_alone, theme_is_kept,
         without_script, stream_is_proper, many_streams_stay_bounded, reconnects]
