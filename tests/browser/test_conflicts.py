"""The pages of conflicts in a browser, with the keyboard alone."""

import os
import re
from urllib.parse import urlsplit

import pytest
import requests
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from tests.integration.test_conflicts import Study

# The same requests are tested on both databases elsewhere.
pytestmark = pytest.mark.one_database("couchdb")


@pytest.fixture
def study(server):
    return Study(server)


def pages(server):
    return server.url.removesuffix("/dicom-web") + "/ui/conflicts"


def name_of(study):
    row = study.server.get("/studies", params={"StudyInstanceUID": study.uid, "includefield": "all"}).json()[0]
    return row["00100010"]["Value"][0]["Alphabetic"]


def log_in(browser, server):
    """Log in to the database as its web interface does; return its root."""
    given = urlsplit(server.database)
    root = f"{given.scheme}://{given.hostname}:{given.port}"
    answer = requests.post(f"{root}/_session", json={"name": given.username, "password": given.password}, timeout=30)
    answer.raise_for_status()
    browser.open(root)
    for cookie in answer.cookies:
        browser.driver.add_cookie({"name": cookie.name, "value": cookie.value, "path": "/"})
    return root


def test_choosing_saving_and_undoing(browser, server, study):
    browser.open(pages(server))
    browser.reach(f"a[href$='/{study.uid}']")
    browser.follow()
    assert "Doe^John" in browser.text("#a0")
    assert "Doe^Jon" in browser.text("#a0")
    # The radio buttons are one stop of the Tab key; the arrows choose.
    browser.reach("#a0 input[type=radio]")
    browser.press(Keys.ARROW_DOWN)
    browser.reach("#a0-by")
    browser.press("Ann")
    browser.follow()
    assert browser.focus.get_attribute("role") == "status"
    assert browser.text("[role=status]") == "Saved."
    assert name_of(study) == "Doe^Jon"
    assert "Corrected by Ann" in browser.text("#a0")
    if picture := os.environ.get("SCREENSHOT"):
        browser.driver.save_screenshot(picture)
    # Enter in a field saves; undoing has a button.
    browser.reach("#a0-by")
    browser.press("Bob")
    browser.reach("#a0 button[value=undo]")
    browser.follow()
    assert browser.text("[role=status]") == "Undone."
    assert name_of(study) == "Doe^John"
    history = browser.text().partition("History")[2]
    assert history.index("Bob") < history.index("Ann")
    assert browser.complaints() == []


def test_typing_another_value(browser, server, study):
    browser.open(f"{pages(server)}/{study.uid}")
    browser.reach("#a0 input[name=other]")
    browser.press("Poe^Ed")
    assert browser.driver.find_element(By.ID, "a0-other").is_selected()
    browser.press(Keys.ESCAPE)
    assert browser.driver.find_element(By.CSS_SELECTOR, "#a0 input[name=other]").get_attribute("value") == ""
    assert not browser.driver.find_element(By.ID, "a0-other").is_selected()
    browser.press('<b>Poe</b>^"Ed"\'&')
    browser.reach("#a0-by")
    browser.press("Ann <script>")
    browser.follow()
    assert name_of(study) == '<b>Poe</b>^"Ed"\'&'
    assert '<b>Poe</b>^"Ed"\'&' in browser.text("#a0")
    assert "Ann <script>" in browser.text("#a0")
    assert browser.complaints() == []


def test_a_wrong_value_is_told(browser, server, study):
    browser.open(f"{pages(server)}/{study.uid}")
    browser.reach("#further-tag")
    browser.press("Patient's Birth Date")
    browser.reach("#further-other")
    browser.press("yesterday")
    browser.reach("#further-by")
    browser.press("Ann")
    browser.follow()
    assert browser.focus.get_attribute("role") == "alert"
    assert "no date" in browser.text("[role=alert]")
    assert study.state()["history"] == []
    browser.reach("#further-tag")
    browser.press("Patient's Birth Date")
    browser.reach("#further-other")
    browser.press("1970-01-02")
    browser.reach("#further-by")
    browser.press("Ann")
    browser.follow()
    assert study.found_by(PatientBirthDate="19700102")


def test_all_studies_of_the_patient(browser, server):
    studies = [Study(server, PatientID="P-UI") for _ in range(2)]
    browser.open(f"{pages(server)}/{studies[0].uid}")
    browser.reach("#a0 input[name=other]")
    browser.press("Poe^Ed")
    browser.reach("#a0 input[name=scope]")
    browser.press(Keys.SPACE)
    browser.reach("#a0-by")
    browser.press("Ann")
    browser.follow()
    assert "2 studies" in browser.text("[role=status]")
    assert [name_of(one) for one in studies] == ["Poe^Ed"] * 2


def test_nobody_is_overtaken(browser, server, study):
    browser.open(f"{pages(server)}/{study.uid}")
    study.fix(tag="PatientName", value="Roe^Jane", by="Carla")
    browser.reach("#a0-by")
    browser.press("Ann")
    browser.follow()
    assert "Carla" in browser.text("[role=alert]")
    assert name_of(study) == "Roe^Jane"


def test_the_page_that_the_database_serves(browser, server, study):
    root = log_in(browser, server)
    base = f"{root}/{server.database.rpartition('/')[2]}/_design/dicom/_list/conflicts/conflicts_by_date"
    browser.open(f"{base}?reduce=false&include_docs=true&descending=true")
    browser.reach(f"a[href*='{study.uid}']")
    browser.follow()
    assert "Doe^Jon" in browser.text("#a0")
    browser.reach("#a0 input[type=radio]")
    browser.press(Keys.ARROW_DOWN)
    browser.reach("#a0 button[value=save]")
    browser.follow()
    assert name_of(study) == "Doe^Jon"
    assert "Corrected by admin" in browser.text("#a0")
    assert "_list/conflict/" in browser.driver.current_url


def test_forms_of_other_sites(server, study):
    form = {"tag": "00100010", "choice": "other", "other": "x", "by": "Eve", "action": "save"}
    url = f"{pages(server)}/{study.uid}"
    for origin in ("http://evil.example", "null"):
        assert requests.post(url, data=form, headers={"Origin": origin}, timeout=30).status_code == 403
    token = re.search('name="token" value="(.+?)"', requests.get(url, timeout=30).text)[1]
    assert requests.post(url, data=form, timeout=30).status_code == 403
    assert requests.post(url, data={**form, "by": "", "token": token}, timeout=30).status_code == 400
    assert name_of(study) == "Doe^John"
    assert requests.get(f"{server.url}/ui/conflicts/{study.uid}", timeout=30).status_code == 200
    assert requests.get(f"{server.url}/ui/conflicts/1.2.3", timeout=30).status_code == 404
