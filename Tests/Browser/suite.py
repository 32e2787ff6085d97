"""Runs cases one after the other, keeps going after a failure, and counts."""
import os
import re
import time
import traceback

from playwright.sync_api import expect

import checks

# Pages and their streams share a small machine with what they show.
expect.set_options(timeout=15_000)


class Suite:
    def __init__(self, hub, browser, shots):
        self.hub, self.browser, self.shots = hub, browser, shots
        self.passed, self.failed = [], []
        self.console = checks.Console()
        self.page = None
        # What cases hand on to later ones.
        self.kept = {}
        os.makedirs(shots, exist_ok=True)

    def context(self, **options):
        settings = {"viewport": {"width": 1280, "height": 860}, "reduced_motion": "reduce", **options}
        context = self.browser.new_context(base_url=self.hub.url, **settings)
        context.set_default_timeout(15000)
        if settings.get("java_script_enabled", True):
            self.console.watch(context)
        return context

    def run(self, cases):
        for case in cases:
            if self.hub.process.poll() is not None:
                self.failed.append("the hub stays up")
                print(f"FAIL the hub ended with status {self.hub.process.returncode}", flush=True)
                return
            name = case.__doc__.strip().rstrip(".")
            began = time.monotonic()
            before = len(self.console.complaints)
            try:
                case(self)
                complaints = self.console.complaints[before:]
                assert not complaints, f"the browser complained: {complaints[:5]}"
            except Exception as error:  # every case is reported; none may end the run
                self.failed.append(name)
                print(f"FAIL {name}\n{self.reason(error)}", flush=True)
                self.shot(f"fail-{case.__name__}")
            else:
                self.passed.append(name)
                print(f"ok   {name} ({time.monotonic() - began:.1f} s)", flush=True)

    @staticmethod
    def reason(error):
        frames = [frame for frame in traceback.extract_tb(error.__traceback__) if "/Browser/" in frame.filename]
        where = [f"{os.path.basename(frame.filename)}:{frame.lineno}" for frame in frames]
        return "     " + " ".join(where) + "\n     " + str(error).strip().replace("\n", "\n     ")[:1500]

    def shot(self, name, page=None):
        page = page or self.page
        if page and not page.is_closed():
            page.screenshot(path=f"{self.shots}/{name}.png", full_page=True)

    # Steps that many cases share.

    def log_in(self, page, key=None):
        page.goto("/login")
        page.get_by_label("API key").fill(key or self.hub.key)
        page.get_by_role("button", name="Log in with the key").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("Overview")

    def open(self, path):
        answer = self.page.goto(path)
        assert answer.status == 200, f"{path} answered {answer.status}"
        return self.page

    def mark(self):
        """From here on the page must not be loaded anew."""
        self.page.evaluate("window.notReloaded = true")

    def assert_not_reloaded(self):
        assert self.page.evaluate("window.notReloaded === true"), "the page was loaded anew"

    def status(self):
        return self.page.locator("#live-status .state")

    def deployment_ends(self, word, seconds=90):
        expect(self.status()).to_have_text(re.compile(word), timeout=seconds * 1000)
