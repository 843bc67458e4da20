"""Pages of the dashboard, open in a browser: what goes wrong on one is told by the test that has it."""

import re
from contextlib import contextmanager

from kit.daemon import DEADLINE

WAIT = DEADLINE * 1000
DESK = {"width": 1240, "height": 780}
PHONE = {"width": 375, "height": 720}


def open_page(browser, dashboard):
    """Open the page as a person does; what goes wrong on it is kept."""
    page = browser.new_context(viewport=DESK, color_scheme="light").new_page()
    page.set_default_timeout(WAIT)
    page.wrong = []
    page.on("pageerror", lambda error: page.wrong.append(str(error)))
    page.on("console", lambda said: said.type == "error" and page.wrong.append(said.text))
    page.goto(dashboard.new_address())
    page.wait_for_selector("[data-job]")
    return page


@contextmanager
def page_of(browser, dashboard):
    """Open one that is closed behind the test; nothing may go wrong on it."""
    page = open_page(browser, dashboard)
    try:
        yield page
    finally:
        page.context.close()
    assert [one for one in page.wrong if "Failed to load resource" not in one] == []


class Tab:
    """The page as somebody has it open for days: tests take it one after the other; after one that fails, a new one."""

    def __init__(self, browser, dashboard):
        self._browser = browser
        self._dashboard = dashboard
        self._page = None

    @contextmanager
    def page(self):
        """Have it, at its first view; nothing may go wrong on it."""
        page, self._page = self._page or open_page(self._browser, self._dashboard), None
        try:
            look_at(page, "#/")
            page.fill(".jobs-find", "")
            page.evaluate("document.activeElement.blur()")
            yield page
            assert [one for one in page.wrong if "Failed to load resource" not in one] == []
        except BaseException:
            page.context.close()
            raise
        self._page = page


LOOK = """hash => location.hash === hash || new Promise(done => {
    addEventListener("hashchange", () => requestAnimationFrame(done), { once: true });
    location.hash = hash;
})"""


def look_at(page, address):
    """Go to an address of the page; returns once the page has drawn that it does."""
    page.evaluate(LOOK, address)


def has(page, place, text):
    """Wait until a text stands there: what is printed comes when it comes, stdout and stderr each by itself."""
    page.locator(place, has_text=text).first.wait_for()


def settled(page):
    """Wait until nothing says that it is being read."""
    page.locator(".empty", has_text=re.compile("Reading|Asking")).first.wait_for(state="detached")
