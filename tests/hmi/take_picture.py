"""Take docs/pictures/live.png of a running site: URL USER PASSWORD OUT [SECONDS to let the trends grow]."""

from __future__ import annotations

import sys
import time

from playwright.sync_api import sync_playwright

ARGUMENTS = (
    "--no-sandbox",
    "--headless",
    "--disable-gpu",
    "--disable-background-networking",
    "--no-first-run",
)


def take(url: str, user: str, password: str, out: str, seconds: str = "150") -> None:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=ARGUMENTS)
        page = browser.new_page(viewport={"width": 1600, "height": 1000}, locale="en-GB")
        page.goto(url)
        page.fill("#user", user)
        page.fill("#password", password)
        page.click("button")
        page.wait_for_selector("body[data-feed=live]")
        time.sleep(float(seconds))
        page.screenshot(path=out)
        browser.close()


if __name__ == "__main__":
    take(*sys.argv[1:])
