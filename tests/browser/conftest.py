"""A headless Chromium, driven by Debian's `chromium-driver`; without one these tests are skipped, and that is told."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import suppress

import pytest
from selenium import webdriver
from selenium.common.exceptions import TimeoutException
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

from tests.conftest import skip
from tests.integration.conftest import server

__all__ = ["server"]


class Browser:
    """A browser that is used with the keyboard only.

    Parameters
    ----------
    driver : WebDriver
    """

    def __init__(self, driver: webdriver.Chrome):
        self.driver = driver

    def open(self, url: str) -> None:
        """Open a page."""
        self.driver.get(url)

    def press(self, *keys: str) -> None:
        """Press keys, wherever the focus is."""
        actions = webdriver.ActionChains(self.driver)
        for key in keys:
            actions.send_keys(key)
        actions.perform()

    @property
    def focus(self):
        """The element that has the focus."""
        return self.driver.switch_to.active_element

    def reach(self, selector: str, key: str = Keys.TAB, most: int = 80) -> None:
        """Press Tab until the element is reached."""
        found = self.driver.find_elements(By.CSS_SELECTOR, selector)
        assert found, f"{selector} is not in {self.driver.current_url}: {self.text()[:1000]}"
        wanted = found[0]
        for _ in range(most):
            if self.focus == wanted:
                return
            self.press(key)
        raise AssertionError(f"Tab does not reach {selector}")

    def follow(self) -> None:
        """Press Enter, and wait for the next page."""
        before = self.driver.find_element(By.TAG_NAME, "html")
        self.press(Keys.ENTER)
        WebDriverWait(self.driver, 30, 0.05).until(lambda driver: driver.find_element(By.TAG_NAME, "html") != before)
        WebDriverWait(self.driver, 30, 0.05).until(
            lambda driver: driver.execute_script("return document.readyState") == "complete"
        )
        # What shall have the focus gets it when the page is drawn for the first time. Pages that CouchDB serves run no
        # scripts, so they never call back.
        self.driver.set_script_timeout(1)
        with suppress(TimeoutException):
            self.driver.execute_async_script("requestAnimationFrame(() => requestAnimationFrame(arguments[0]))")
        self.driver.set_script_timeout(30)

    def text(self, selector: str = "body") -> str:
        """Return what a person reads."""
        return self.driver.find_element(By.CSS_SELECTOR, selector).text

    def complaints(self) -> list[str]:
        """Return what the browser complained of: blocked scripts and styles, missing files, errors."""
        return [entry["message"] for entry in self.driver.get_log("browser") if "favicon" not in entry["message"]]


@pytest.fixture(scope="session")
def chromium(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    """Run one browser for all tests."""
    binary = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    driver = shutil.which("chromedriver")
    if not binary or not driver:
        name = "chromium" if not binary else "chromedriver"
        skip(pytestconfig, "in a browser", f"no {name} on PATH (Debian: apt-get install chromium chromium-driver)")
    options = Options()
    options.binary_location = binary
    profile = tmp_path_factory.mktemp("chromium")
    arguments = ["--headless=new", "--disable-dev-shm-usage", "--window-size=1000,1400", f"--user-data-dir={profile}"]
    arguments += ["--disable-background-networking", "--disable-component-update", "--no-first-run"]
    # OHIF draws with WebGL, which needs no graphics hardware this way.
    arguments += ["--use-angle=swiftshader", "--enable-unsafe-swiftshader"]
    if os.geteuid() == 0:
        arguments.append("--no-sandbox")  # Chromium's own sandbox refuses to run as root
    for argument in arguments:
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    running = webdriver.Chrome(options=options, service=Service(driver))
    yield running
    running.quit()


@pytest.fixture
def browser(chromium: webdriver.Chrome) -> Iterator[Browser]:
    """Give the browser, its log empty."""
    chromium.get("about:blank")
    chromium.get_log("browser")
    yield Browser(chromium)
    chromium.get("about:blank")  # what moves in a page would take a processor from the tests that follow
