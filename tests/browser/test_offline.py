"""A patient's metadata replicated from the server and searched without it: the same rows, in node and in a browser."""

from __future__ import annotations

import json
import subprocess
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from tests import offline
from tests.made import instance
from tests.server import ROOT, Server

BELOW = [query for query in offline.QUERIES if f"/{offline.STUDY}/" in query]
LOGIC = ROOT / "scripts/logic"
SEARCH_ALL = """
const [queries, done] = arguments;
(async () => {
  const found = [];
  for (const query of queries) { found.push(await offline.search(query)); }
  return JSON.stringify(found);
})().then(done, problem => done(String(problem && problem.stack || problem)));
"""
FETCH = "fetch(arguments[0]).then(() => arguments[1]('reached'), () => arguments[1]('cut'));"


class Quiet(SimpleHTTPRequestHandler):
    """Files of a folder."""

    def log_message(self, *_arguments: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def expected(server: Server) -> list[dict[str, Any]]:
    """Give what the server answers to each query."""
    offline.fill(server)
    return offline.answers(server)


@pytest.fixture(scope="session")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the folder of the page, made anew."""
    folder = tmp_path_factory.mktemp("offline")
    done = subprocess.run(["node", "pack.js", str(folder)], cwd=LOGIC, timeout=60, check=False)
    if done.returncode:
        pytest.fail("run the tests with make test, or npm ci --ignore-scripts in scripts/logic")
    return folder


def test_in_node_as_on_the_server(server, expected, page, tmp_path):
    given = {
        "module": str(page / "dicouch-logic.js"),
        "pouchdb": str(LOGIC / "node_modules/pouchdb"),
        "folder": str(tmp_path / "local"),
        "url": server.url,
        "studies": offline.STUDIES,
        "queries": offline.QUERIES,
        "below": BELOW,
        "refused": offline.REFUSED,
    }
    node = ["node", str(ROOT / "tests/js/offline.js")]
    done = subprocess.run(node, input=json.dumps(given), capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert len(offline.QUERIES) >= 100
    assert (found["docs"], found["again"], found["attachments"]) == (10 * 10 + 1 + 7, 0, 0)
    assert offline.differences(expected, found["array"]) == []
    some = [one for query, one in zip(offline.QUERIES, expected, strict=True) if query in BELOW]
    assert offline.differences(some, found["pouch"], BELOW) == []
    assert (
        found["refused"] == [server.get(query).status_code for query in offline.REFUSED] == [400] * len(offline.REFUSED)
    )


@pytest.mark.one_database("couchdb")
def test_in_a_browser_without_a_network(server, expected, page, browser, tmp_path):
    driver = browser.driver
    driver.set_script_timeout(60)
    running = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(page)))
    thread = threading.Thread(target=running.serve_forever, daemon=True)
    thread.start()
    address = f"http://localhost:{running.server_port}/"

    def wait_for(selector: str, text: str) -> None:
        try:
            WebDriverWait(driver, 60, 0.1).until(lambda _driver: text in browser.text(selector))
        except Exception as problem:
            raise AssertionError((browser.text(), browser.complaints())) from problem

    def enter(name: str, text: str) -> None:
        field = driver.find_element(By.ID, name)
        field.clear()
        field.send_keys(text)

    try:
        browser.open(address)
        wait_for("#state", "Nothing is here yet.")
        enter("server", server.url)
        enter("patient", offline.PATIENT)
        driver.find_element(By.CSS_SELECTOR, "#take button").click()
        wait_for("#state", f"{len(offline.STUDIES)} studies are here, in 108 documents.")
        driver.execute_async_script("navigator.serviceWorker.ready.then(arguments[0])")
        assert driver.execute_async_script(FETCH, f"{server.url}/studies?limit=1") == "reached"
    finally:
        running.shutdown()
        running.server_close()
    cut(driver, True)
    try:
        browser.open(address)  # from the browser itself
        wait_for("#state", f"{len(offline.STUDIES)} studies are here")
        assert not driver.execute_script("return navigator.onLine")
        assert driver.execute_async_script(FETCH, f"{server.url}/studies?limit=1") == "cut"
        found = json.loads(driver.execute_async_script(SEARCH_ALL, offline.QUERIES))
        assert offline.differences(expected, found) == []
        # As a person does it.
        enter("query", "/studies?PatientName=adams*")
        driver.find_element(By.CSS_SELECTOR, "#search button").click()
        wait_for("#told", "1 rows")
        assert "Adams^Amelia" in browser.text("#rows")
        enter("query", "/studies?StudyDate=20230230")
        driver.find_element(By.CSS_SELECTOR, "#search button").click()
        wait_for("#told", server.get("/studies?StudyDate=20230230").json()["reason"])
        (tmp_path / "own.dcm").write_bytes(instance("1.2.9", "1.2.9.1", "1.2.9.1.1", PatientName="Own^File"))
        (tmp_path / "other.txt").write_text("no DICOM")
        driver.find_element(By.ID, "files").send_keys(f"{tmp_path / 'own.dcm'}\n{tmp_path / 'other.txt'}")
        wait_for("#state", "12 studies are here, in 111 documents. Not read: other.txt")
        enter("query", "/instances?PatientName=own*")
        driver.find_element(By.CSS_SELECTOR, "#search button").click()
        wait_for("#told", "1 rows")
        driver.find_element(By.ID, "forget").click()
        wait_for("#state", "Nothing is here yet.")
    finally:
        cut(driver, False)
    severe = [
        line for line in browser.complaints() if "ERR_INTERNET_DISCONNECTED" not in line and "ERR_FAILED" not in line
    ]
    assert severe == []


def cut(driver, is_off: bool) -> None:
    """Cut the browser's network, or let it be there again."""
    driver.execute_cdp_cmd("Network.enable", {})
    conditions = {"offline": is_off, "latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}
    driver.execute_cdp_cmd("Network.emulateNetworkConditions", conditions)
