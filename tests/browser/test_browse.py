"""The home page and the study browser in a browser: with the keyboard alone, on a phone, in the dark, for everybody."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from tests.conftest import skip
from tests.made import instance

# tests/integration/test_browse.py asks for the same pages on both databases.
pytestmark = pytest.mark.one_database("couchdb")

AXE = Path(__file__).parents[1] / "js/node_modules/axe-core/axe.min.js"
RUN_AXE = """axe.run(document, {resultTypes: ['violations']}).then(found => JSON.stringify(found.violations.map(
  one => [one.id, one.impact, one.nodes.map(node => node.html.slice(0, 200))])))"""
WIDTHS = """const root = document.documentElement;
  root.querySelectorAll('details').forEach(one => { one.open = true });
  return [root.scrollWidth, innerWidth, [...document.querySelectorAll('main *')].filter(
 one =>
    one.getBoundingClientRect().right > 361 && !one.closest('svg, thead')).map(one => one.outerHTML.slice(0, 200))]"""
STUDY = "9.61"
ONE = f"/ui/studies/{STUDY}/series/9.61.1/instances/9.61.1.1"
LONG = "Wolfeschlegelsteinhausenbergerdorff^Hubert Blaine"


@pytest.fixture(scope="module")
def site(server):
    """A server with one study of two series, whose texts are long, and thirty others."""
    told = {"PatientName": LONG, "StudyDescription": "W" * 64, "PatientID": "L" * 64, "Modality": "CT"}
    pixels = bytes(range(256)) * 128
    files = [instance(STUDY, f"9.61.{n}", f"9.61.{n}.1", pixels=pixels, SeriesNumber=n, **told) for n in (1, 2)]
    years = [f"{2000 + n}0101" for n in range(26)]
    files += [instance(f"9.62.{n}", f"9.62.{n}.1", f"9.62.{n}.1.1", StudyDate=year) for n, year in enumerate(years)]
    assert server.store(*files).status_code == 200
    return server.url.removesuffix("/dicom-web")


PAGES = [
    "/",
    "/ui/studies",
    f"/ui/studies/{STUDY}",
    f"/ui/studies/{STUDY}/series/9.61.1",
    ONE,
    f"{ONE}/delete",
    "/ui/capabilities",
]


def keep(browser, name):
    """Keep a picture of what is shown, where somebody wants one."""
    if folder := os.environ.get("SCREENSHOTS"):
        browser.driver.save_screenshot(str(Path(folder, name)))


def test_with_the_keyboard_from_home_to_an_attribute(browser, site):
    browser.open(f"{site}/")
    browser.press(Keys.TAB)
    assert browser.focus.text == "Skip to the content"
    assert browser.focus.is_displayed()
    browser.press(Keys.ENTER)
    browser.press(Keys.TAB)
    assert browser.focus.get_attribute("id") == "q"
    browser.press("wolfe")
    browser.follow()
    assert "PatientName=wolfe" in browser.driver.current_url
    for link in (f"/ui/studies/{STUDY}", "/series/9.61.1", ONE):
        browser.reach(f"main table a[href$='{link}']")
        browser.follow()
    assert "PatientName" in browser.text(".tree")
    assert LONG in browser.text(".tree")
    # Back to the study by the way that the page shows.
    browser.reach(f"nav[aria-label='You are here'] a[href$='{STUDY}']")
    browser.follow()
    assert browser.driver.current_url.endswith(f"/ui/studies/{STUDY}")
    assert browser.complaints() == []


def test_deleting_with_the_keyboard(browser, site):
    browser.open(f"{site}/ui/studies/{STUDY}/series/9.61.2/instances/9.61.2.1")
    browser.reach("a[href$='/delete']")
    browser.follow()
    assert "1 instance" in browser.text("main")
    browser.reach("a[href$='9.61.2.1']:not([aria-current])")
    browser.follow()
    assert "Attributes" in browser.text("main")
    browser.reach("a[href$='/delete']")
    browser.follow()
    browser.reach("button.danger")
    browser.follow()
    assert browser.focus.get_attribute("role") == "status"
    assert "1 instance was deleted" in browser.text("[role=status]")
    assert browser.driver.find_elements(By.CSS_SELECTOR, "a[href$='9.61.2']") == []
    assert browser.complaints() == []


@pytest.fixture
def emulate(browser):
    """Return what makes the browser a phone, or dark; afterwards it is as it was."""

    def command(name, **options):
        browser.driver.execute_cdp_cmd(f"Emulation.{name}", options)

    yield command
    command("clearDeviceMetricsOverride")
    command("setEmulatedMedia", features=[])


def test_on_a_phone(browser, site, emulate):
    emulate("setDeviceMetricsOverride", width=360, height=740, deviceScaleFactor=2, mobile=True)
    for path in [*PAGES, "/ui/conflicts", f"/ui/conflicts/{STUDY}"]:
        browser.open(site + path)
        widths = browser.driver.execute_script(WIDTHS)
        assert widths[0] <= 360, (path, widths)
        assert widths[1:] == [360, []], path
        if path == "/ui/studies":
            keep(browser, "studies-phone.png")
    assert browser.complaints() == []


def test_in_the_dark(browser, site, emulate):
    browser.open(f"{site}/")
    light = browser.driver.execute_script("return getComputedStyle(document.documentElement).backgroundColor")
    keep(browser, "home.png")
    emulate("setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "dark"}])
    dark = browser.driver.execute_script("return getComputedStyle(document.documentElement).backgroundColor")
    assert (light, dark) == ("rgb(255, 255, 255)", "rgb(17, 21, 26)")
    browser.open(f"{site}/ui/studies")
    keep(browser, "studies-dark.png")


def test_axe_finds_nothing(browser, site, emulate, pytestconfig):
    """WCAG 2.2 A and AA, as far as axe-core knows, in both schemes."""
    if not AXE.is_file():
        skip(pytestconfig, "accessibility", "axe-core is not in tests/js/node_modules")
    script = AXE.read_text(encoding="utf-8")
    for scheme in ("light", "dark"):
        emulate("setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        for path in PAGES if scheme == "light" else ["/", ONE]:
            browser.open(site + path)
            # The page's own policy lets no script in: this one comes through the debugger.
            browser.driver.execute_cdp_cmd("Runtime.evaluate", {"expression": script})
            asked = {"expression": RUN_AXE, "awaitPromise": True, "returnByValue": True}
            told = browser.driver.execute_cdp_cmd("Runtime.evaluate", asked)
            assert json.loads(told["result"]["value"]) == [], (path, scheme)


def test_the_list_of_studies_says_that_there_are_new_ones(browser, site, server):
    browser.open(f"{site}/ui/studies")
    notice = browser.driver.find_element(By.ID, "news")
    assert not notice.is_displayed()
    # Nobody knows when the page begins to listen: what came before is no news.
    for number in range(1, 100):
        if number % 10 == 1:
            server.store(instance("9.63", "9.63.1", f"9.63.1.{number}", PatientName="New^Nora", StudyDate="20990101"))
        time.sleep(0.2)
        if notice.is_displayed():
            break
    notice.find_element(By.TAG_NAME, "a").click()
    assert "Nora" in browser.text("main")
    assert not browser.driver.find_element(By.ID, "news").is_displayed()
    assert browser.complaints() == []


def test_without_scripts(browser, site, emulate):
    emulate("setScriptExecutionDisabled", value=True)
    try:
        browser.driver.get(f"{site}/ui/studies/{STUDY}")
        browser.driver.find_element(By.CSS_SELECTOR, "table a").click()
        assert "Instances" in browser.text("main")
    finally:
        emulate("setScriptExecutionDisabled", value=False)
