"""A browser for tests of pages: the system's Chromium, driven by Playwright. Where there is none, they skip."""

import shutil

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome")


@pytest.fixture(scope="session")
def browser():
    """One Chromium for all pages."""
    api = pytest.importorskip(
        "playwright.sync_api", reason='needs Playwright: pip install "nanoae[test]"'
    )
    path = next(filter(None, map(shutil.which, NAMES)), None)
    if path is None:
        pytest.skip("needs a browser: apt-get install chromium")
    with api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@pytest.fixture
def open_page(browser):
    """open_page(file, width=1440, dark=False): a page of the browser. At the end of the test nothing may have been
    written to the console, and nothing asked for but the files opened."""
    pages, said, asked, opened = [], [], [], set()

    def open_file(file, width=1440, dark=False):
        page = browser.new_page(
            viewport={"width": width, "height": 900}, color_scheme="dark" if dark else "light"
        )
        pages.append(page)
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("request", lambda request: asked.append(request.url))
        opened.add(file.resolve().as_uri())
        page.goto(file.resolve().as_uri())
        return page

    yield open_file
    for page in pages:
        page.close()
    assert said == []
    assert {url for url in asked if not url.startswith(("data:", "blob:"))} <= opened
