#!/usr/bin/env python3
"""Clicks through the dashboard of a real hub in Chromium.

Environment: ROOST_BIN, the program; ROOST_SHOTS, where screenshots go (a temporary folder otherwise); ROOST_KEEP, to
keep the hub's folder. The exit status is 0 when everything passed.
"""
import os
import sys
import tempfile

from playwright.sync_api import sync_playwright

import access
import looks
import services
import sites
from hub import Hub, Repository
from suite import Suite


def main():
    program = os.environ.get("ROOST_BIN")
    if not program or not os.access(program, os.X_OK):
        sys.exit("ROOST_BIN must name the roost program")
    shots = os.environ.get("ROOST_SHOTS") or tempfile.mkdtemp(prefix="roost-shots-")
    chosen = set(sys.argv[1:])
    hub = Hub(os.path.abspath(program))
    try:
        hub.start()
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(
                executable_path=os.environ.get("CHROMIUM", "/usr/bin/chromium"),
                args=["--no-sandbox", "--disable-dev-shm-usage"])
            suite = Suite(hub, browser, shots)
            suite.page = suite.context().new_page()
            suite.kept["repository"] = Repository(f"{hub.folder}/shop")
            suite.kept["repository"].commit("version 1")
            if chosen and "wrong_key_is_refused" not in chosen:
                suite.log_in(suite.page)
            cases = access.CASES + services.CASES + sites.CASES + looks.CASES + sites.LAST_CASES + services.LAST_CASES
            suite.run([case for case in cases if not chosen or case.__name__ in chosen])
            browser.close()
    finally:
        hub.remove(keep=bool(os.environ.get("ROOST_KEEP")))
    print(f"screenshots: {shots}")
    print(f"{len(suite.passed)} passed, {len(suite.failed)} failed")
    return 1 if suite.failed or not suite.passed else 0


if __name__ == "__main__":
    sys.exit(main())
