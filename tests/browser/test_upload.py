"""The upload page in a browser: folders dropped and chosen, refusals told, failures tried again, and nothing frozen."""

import os
import time
import uuid

import pytest
import requests
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import Select, WebDriverWait

from tests.conftest import share
from tests.made import instance

# The longest time between two frames, and how many rows the page has.
WATCH = """
window.longest = 0; window.most = 0;
(function frame(before) {
  requestAnimationFrame(function (now) {
    window.longest = Math.max(window.longest, now - before);
    window.most = Math.max(window.most, document.getElementById('rows').rows.length);
    frame(now);
  });
}(performance.now()));
"""


# What has nothing to do with the database is tried with one.
ONE = pytest.mark.parametrize("database", ["embedded"], indirect=True)


@pytest.fixture
def page(browser, server):
    browser.open(server.url.removesuffix("/dicom-web") + "/ui/upload")
    yield browser
    # Whatever a test left running must not ask the next one whether it may leave.
    browser.driver.execute_script("var button = document.getElementById('cancel'); if (button) { button.click(); }")


def drop(page, *paths):
    for kind in ("dragEnter", "dragOver", "drop"):
        data = {"items": [], "files": [str(path) for path in paths], "dragOperationsMask": 1}
        page.driver.execute_cdp_cmd("Input.dispatchDragEvent", {"type": kind, "x": 200, "y": 200, "data": data})


def wait_for(page, text, seconds=60):
    try:
        WebDriverWait(page.driver, seconds, 0.1).until(lambda _driver: text in page.text("#told"))
    except Exception as problem:
        raise AssertionError(page.text("#work")) from problem


def offline(page, is_off):
    page.driver.execute_cdp_cmd("Network.enable", {})
    conditions = {"offline": is_off, "latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}
    page.driver.execute_cdp_cmd("Network.emulateNetworkConditions", conditions)


def rows(page, which="all"):
    Select(page.driver.find_element(By.ID, "which")).select_by_value(which)
    return shown(page)


def shown(page):
    return page.driver.execute_script("return Array.from(document.querySelectorAll('#rows tr'), row => row.innerText)")


def uid():
    return f"2.25.{uuid.uuid4().int % 10**30}"


def stored(server, study):
    return server.get("/studies", params={"StudyInstanceUID": study, "includefield": "00201208"}).json()[0]["00201208"][
        "Value"
    ][0]


def fill(folder, study, number):
    for n in range(number):
        place = folder / f"series {n % 3}"
        place.mkdir(parents=True, exist_ok=True)
        (place / f"{n}.dcm").write_bytes(instance(study, f"{study}.{n % 3}", f"{study}.{n % 3}.{n}"))


@pytest.mark.one_database("couchdb")
def test_a_folder_of_300_and_what_is_none_of_them(page, server, tmp_path):
    study = uid()
    folder = tmp_path / "archive"
    fill(folder, study, 300)
    (folder / "notes.txt").write_text("hello")
    (folder / "empty.dcm").touch()
    (folder / "broken.dcm").write_bytes(bytes(128) + b"DICM" + b"nothing that can be read")
    (folder / "copy.dcm").write_bytes((folder / "series 0/0.dcm").read_bytes())
    other = instance(study, f"{study}.0", f"{study}.0.0", PatientComments="another")
    (folder / "other.dcm").write_bytes(other)
    page.driver.execute_script(WATCH)
    drop(page, folder)
    WebDriverWait(page.driver, 30, 0.02).until(
        lambda driver: float(driver.find_element(By.ID, "all").get_attribute("value")) > 0
    )
    wait_for(page, "stored")
    assert "302 instances stored, 3 files not stored" in page.text("#told")
    assert stored(server, study) == 300
    refused = rows(page, "not")
    assert len(refused) == 3
    assert any("archive/notes.txt" in row and "not a DICOM file" in row for row in refused)
    assert any("archive/empty.dcm" in row and "the file is empty" in row for row in refused)
    assert any("archive/broken.dcm" in row and "(0120H)" in row for row in refused)
    assert page.driver.execute_script("return window.most") <= 50
    link = page.driver.find_element(By.CSS_SELECTOR, "#stored a")
    assert link.get_attribute("href").endswith(f"/ui/studies/{study}")
    assert "302 instances" in page.text("#stored")
    if picture := os.environ.get("SCREENSHOT"):
        page.driver.save_screenshot(picture)
    # The copies are told of, wherever in the list they are.
    told = rows(page, "stored")
    while page.driver.find_element(By.ID, "on").is_enabled():
        page.driver.find_element(By.ID, "on").click()
        told += shown(page)
    assert len(told) == 302
    assert len([row for row in told if "the same SOP Instance UID as" in row]) == 2
    assert [message for message in page.complaints() if "Failed to load resource" not in message] == []


@ONE
def test_failures_are_tried_again(page, server, tmp_path):
    study = uid()
    fill(tmp_path, study, 60)
    offline(page, True)
    try:
        page.driver.find_element(By.ID, "folder").send_keys(str(tmp_path))
        wait_for(page, "60 files not stored")
    finally:
        offline(page, False)
    failed = rows(page)
    assert len(failed) == 50
    assert all("no connection to the server" in row for row in failed)
    page.driver.find_element(By.CSS_SELECTOR, "#rows tr button").click()
    wait_for(page, "1 instance stored, 59 files not stored")
    assert page.text("#retry") == "Try again: 59 files"
    page.driver.find_element(By.ID, "retry").click()
    wait_for(page, "60 instances stored, 0 files not stored")
    assert stored(server, study) == 60


@ONE
def test_what_the_server_refuses_for_now(page, server, tmp_path):
    """The reason of the server is told for each file, as for a disk that is full."""
    study = uid()
    fill(tmp_path, study, 3)
    work = page.driver.find_element(By.ID, "work")
    target = work.get_attribute("data-target")
    page.driver.execute_script("arguments[0].setAttribute('data-target', '/nowhere')", work)
    page.driver.find_element(By.ID, "folder").send_keys(str(tmp_path))
    wait_for(page, "3 files not stored")
    assert all("the server answered 404: there is no resource /nowhere" in row for row in rows(page))
    page.driver.execute_script("arguments[0].setAttribute('data-target', arguments[1])", work, target)
    page.driver.find_element(By.ID, "retry").click()
    wait_for(page, "3 instances stored")


@ONE
def test_thousands_of_files_do_not_freeze_the_page(page, tmp_path):
    count = share(3000)
    for n in range(count):
        place = tmp_path / f"{n // 500}"
        place.mkdir(exist_ok=True)
        (place / f"{n}.txt").write_text("no DICOM")
    page.driver.execute_script(WATCH)
    drop(page, tmp_path)
    wait_for(page, f"0 instances stored, {count:,} files not stored")
    # A page with a row for each file takes seconds for a frame; a busy machine some tenths for any.
    assert page.driver.execute_script("return window.longest") < 1500
    assert page.driver.execute_script("return window.most") == 50
    assert page.driver.execute_script("return document.querySelectorAll('*').length") < 1000
    assert not page.driver.find_element(By.ID, "retry").is_enabled()


@ONE
def test_cancelling_and_leaving(page, server, tmp_path):
    study = uid()
    for n in range(3):
        (tmp_path / f"{n}.dcm").write_bytes(instance(study, f"{study}.1", f"{study}.1.{n}", pixels=bytes(2_000_000)))
    may_leave = "return window.dispatchEvent(new Event('beforeunload', { cancelable: true }))"
    assert page.driver.execute_script(may_leave)
    page.driver.execute_cdp_cmd("Network.enable", {})
    slow = {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": 200_000}
    page.driver.execute_cdp_cmd("Network.emulateNetworkConditions", slow)
    try:
        page.driver.find_element(By.ID, "folder").send_keys(str(tmp_path))
        bar = "#rows tr progress"
        WebDriverWait(page.driver, 30, 0.1).until(
            lambda driver: float(driver.find_element(By.CSS_SELECTOR, bar).get_attribute("value")) > 0
        )
        assert not page.driver.execute_script(may_leave)
        page.driver.find_element(By.ID, "cancel").click()
        wait_for(page, "0 instances stored, 3 files not stored")
        assert all("cancelled" in row for row in rows(page))
        assert page.driver.execute_script(may_leave)
    finally:
        offline(page, False)
    page.driver.find_element(By.ID, "retry").click()
    wait_for(page, "3 instances stored")
    assert stored(server, study) == 3


@pytest.mark.one_database("couchdb")
def test_the_status_in_charts(browser, server):
    root = server.url.removesuffix("/dicom-web")
    deadline = time.monotonic() + 30
    while "<svg" not in requests.get(f"{root}/ui/status", timeout=30).text:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    browser.open(f"{root}/ui/status?still=1")
    assert len(browser.driver.find_elements(By.CSS_SELECTOR, "svg[role=img]")) == 7
    assert "Requests a second" in browser.text()
    assert browser.complaints() == []
    if picture := os.environ.get("SCREENSHOT_STATUS"):
        browser.driver.save_screenshot(picture)
