"""OHIF as `make demo` serves it, in a headless Chromium: what a person sees, and that nothing complains.

What OHIF shows is read from its canvas and held against pydicom's pixels. It filters the rows of a list once more by
itself, so the requests that it sent are asked again, and their answers looked at.
"""

from __future__ import annotations

import os
from contextlib import suppress
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import requests
from PIL import Image
from pydicom import dcmread
from pydicom.pixels import apply_voi_lut
from selenium.common.exceptions import TimeoutException
from selenium.webdriver import ActionChains
from selenium.webdriver.common.actions.wheel_input import ScrollOrigin
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from dicouch.scripts import viewer
from dicouch.scripts.examples import head, others
from tests.conftest import skip
from tests.made_objects import as_bytes
from tests.server import serve

# All of it on one database, a short way on the other: what differs between them is tested without OHIF.
on_one = pytest.mark.parametrize("database", ["embedded"], indirect=True, scope="session")
on_other = pytest.mark.parametrize("database", ["couchdb"], indirect=True, scope="session")

# What shows something: the first viewport.
VIEWPORT = """
var viewport = window.cornerstone && cornerstone.getRenderingEngines().flatMap(engine => engine.getViewports())[0];
"""
IMAGE = VIEWPORT + "return viewport && viewport.getCurrentImageId && viewport.getCurrentImageId()"
# React's router follows the history: the application need not start again.
GO = "history.pushState({}, '', arguments[0]); dispatchEvent(new PopStateEvent('popstate', {state: {}}))"
# What Chromium 156 accepts for an object; PS3.18 8.7.5 must not find DICOM media types in it.
OBJECT = "text/html,application/xml;q=0.9,image/jxl,image/avif,image/webp,image/apng,*/*;q=0.8"
# Which image it shows, and the grey of its canvas in the middle of some pixels. Each pixel is drawn as it is.
LOOK = (
    VIEWPORT
    + """
var [points, done] = arguments, canvas = viewport.getCanvas(), image = viewport.getCurrentImageId();
viewport.setProperties({interpolationType: cornerstone.Enums.InterpolationType.NEAREST});
viewport.element.addEventListener(cornerstone.Enums.Events.IMAGE_RENDERED, () => {
  var context = canvas.getContext('2d');
  done([image, viewport.getCurrentImageIdIndex(), points.map(point => {
    var [x, y] = viewport.worldToCanvas(cornerstone.utilities.imageToWorldCoords(image, point));
    return Array.from(context.getImageData(x * devicePixelRatio, y * devicePixelRatio, 1, 1).data);
  })]);
}, {once: true});
viewport.render();
"""
)
STORE = """
var done = arguments[0], measurementData = services.measurementService.getMeasurements();
commandsManager.runCommand('storeMeasurements', {measurementData, additionalFindingTypes: [], dataSource: 'dicouch',
  options: {SeriesDescription: 'Of a test'}}, 'CORNERSTONE_STRUCTURED_REPORT').then(
  report => done([report.SOPInstanceUID, measurementData[0].displayText.primary[0]]), error => done(String(error)));
"""


class Viewer:
    """OHIF in a browser, before a server that has studies.

    Parameters
    ----------
    driver : WebDriver
    server : tests.server.Server
    files : dict
        Part 10 bytes of what is stored, by SOP Instance UID.
    """

    def __init__(self, driver, server, files):
        self.driver, self.server, self.files = driver, server, files
        self.root = server.url.removesuffix("/dicom-web") + "/ohif/"

    def wait(self, what, *arguments, limit=60):
        """Wait until a script returns something."""
        return WebDriverWait(self.driver, limit, 0.2).until(lambda d: d.execute_script(what, *arguments), what)

    def click(self, path):
        """Click what is there, if it is."""
        for found in self.driver.find_elements(By.XPATH, path):
            self.driver.execute_script("arguments[0].click()", found)

    def start(self):
        """Start the application with the study list, and clear away what it tells new users."""
        self.driver.get(self.root)
        self.wait("return document.body.innerText.includes('Example, Ada')")
        self.click("//button[@data-cy='confirm-and-hide-button']")

    def open(self, mode, study):
        """Open a study by the link of the demonstration."""
        self.driver.execute_script(GO, f"{self.root}{mode}?StudyInstanceUIDs={study}")

    def open_images(self, study):
        """Open a study of images, and wait for the first."""
        self.open("viewer", study)
        uids = {dcmread(BytesIO(data)).SOPInstanceUID for data in self.files.values() if study.encode() in data}
        WebDriverWait(self.driver, 120, 0.1).until(
            lambda d: any(uid in (d.execute_script(IMAGE) or "") for uid in uids)
        )
        self.click("//button[text()='Skip all']")

    def rows(self):
        """Return the patients of the study list."""
        lines = self.wait("return [...document.querySelectorAll('tbody tr')].map(row => row.innerText)")
        return [line.partition("\t")[0].strip() for line in lines if "Example," in line]

    def finds(self, asked, *patients):
        """Wait until a list shows the patients, and hold the server's own answer to what was asked against it."""
        script = "return performance.getEntriesByType('resource').map(e => e.name).find(n => n.includes(arguments[0]))"
        answer = requests.get(self.wait(script, asked), timeout=60).json()
        names = {row["00100010"]["Value"][0]["Alphabetic"].replace("^", ", ") for row in answer}
        assert names == set(patients)
        WebDriverWait(self.driver, 30, 0.1).until(lambda _driver: self.rows() == list(patients))

    def shown(self):
        """Return the data set, the number of the image, and what the canvas and pydicom have in the same places."""
        uid = self.wait(IMAGE).partition("/instances/")[2]
        uid, _, frame = uid.partition("/frames/")
        dataset = dcmread(BytesIO(self.files[uid]))
        pixels = dataset.pixel_array
        plane = pixels[int(frame) - 1] if pixels.ndim == 3 else pixels
        # pydicom's result fills the range of the stored bits.
        low = -(1 << dataset.BitsStored - 1) if dataset.PixelRepresentation else 0
        wanted = np.round((apply_voi_lut(plane, dataset) - low) / ((1 << dataset.BitsStored) - 1) * 255)
        places = np.random.default_rng(5).integers(0, plane.shape, (200, 2))
        self.driver.set_script_timeout(60)
        _image, index, found = self.driver.execute_async_script(LOOK, [[c + 0.5, r + 0.5] for r, c in places.tolist()])
        grey = np.array(found)[:, 0]
        assert (np.array(found)[:, :3] == grey[:, None]).all()
        return dataset, index, grey, wanted[places[:, 0], places[:, 1]]

    def agrees(self):
        """Hold what is shown against pydicom; return the data set and the number of the image."""
        dataset, index, grey, wanted = self.shown()
        assert len(set(wanted)) > 10, "too plain a picture says nothing"
        assert np.abs(grey - wanted).max() <= 2
        return dataset, index

    def open_series(self, modality, shown):
        """Show a series that has no thumbnail; return what a script finds once it is there."""
        path = f"//*[@data-cy='study-browser-thumbnail-no-image'][.//*[text()='{modality}']]"
        self.wait("return document.evaluate(arguments[0], document, null, 9).singleNodeValue", path)
        for limit in (15, 30, 60):  # a click passes while another series is being shown
            ActionChains(self.driver).double_click(self.driver.find_element(By.XPATH, path)).perform()
            with suppress(TimeoutException):
                return self.wait(shown, limit=limit)
        raise AssertionError(f"{modality} does not open")

    def errors(self):
        """Return what console and network say that is wrong."""
        entries = self.driver.get_log("browser")
        return [entry["message"] for entry in entries if entry["level"] == "SEVERE"]


@pytest.fixture(scope="module")
def filled(database, fresh_database, tmp_path_factory, pytestconfig):
    """Give a server with OHIF and example studies; of the slide two levels, on the other database the CT alone."""
    folder = viewer.installed()
    if folder is None:
        skip(pytestconfig, "OHIF", "it is not installed: make demo, or make test, installs it")
    made = head.ct_series()
    if "CouchDB" not in database.name:
        report = [head.segmentation(made), head.document(made[0])]
        made = [*made, *report, *others.cine_study(), *list(others.slide_study())[1:], *others.video_study()]
    files = {dataset.SOPInstanceUID: as_bytes(dataset) for dataset in made}
    with serve(fresh_database, tmp_path_factory.mktemp("ohif") / "gunicorn.log", OHIF=str(folder)) as server:
        stored = server.store(*files.values())
        assert stored.status_code == 200, stored.text[:2000]
        yield server, files


@pytest.fixture(scope="module")
def started(filled, chromium):
    """Give OHIF as it has started, once."""
    chromium.set_window_size(1400, 900)
    viewer = Viewer(chromium, *filled)
    viewer.start()
    yield viewer
    chromium.get("about:blank")


@pytest.fixture
def ohif(started):
    started.errors()
    return started


def picture(ohif, name):
    """Keep a picture for the documentation, where a folder is named for them."""
    if folder := os.environ.get("SCREENSHOTS"):
        ohif.driver.save_screenshot(str(Path(folder, f"{name}.png")))


@on_one
def test_the_study_list_and_its_filters(ohif):
    picture(ohif, "ohif-list")
    assert ohif.rows() == ["Example, Emil", "Example, Dora", "Example, Cleo", "Example, Ada"]
    ohif.driver.find_element(By.CSS_SELECTOR, "thead input, tbody input").send_keys("cle")
    ohif.finds("PatientName=*cle*", "Example, Cleo")
    for query, asked, patients in (
        ("startDate=20240520&endDate=20240605", "StudyDate=20240520-20240605", ["Example, Dora", "Example, Cleo"]),
        # Only one of the series of the study is a segmentation.
        ("modalities=SEG", "ModalitiesInStudy=SEG", ["Example, Ada"]),
    ):
        ohif.driver.get(f"{ohif.root}?{query}")
        ohif.finds(asked, *patients)
    assert ohif.errors() == []


@on_one
def test_a_ct_agrees_with_pydicom_while_scrolling(ohif):
    ohif.open_images(head.CT_STUDY)
    first, index = ohif.agrees()
    # The thumbnail of a series is a picture, not a sign.
    script = "return [...document.querySelectorAll('[data-cy=study-browser-thumbnail] img')].map(i => i.naturalWidth)"
    assert all(width > 50 for width in ohif.wait(script))
    canvas = ohif.driver.find_element(By.CSS_SELECTOR, "[data-cy=viewport-pane] canvas")
    syntaxes = {first.file_meta.TransferSyntaxUID}
    for _ in range(2):
        before = index
        ActionChains(ohif.driver).scroll_from_origin(ScrollOrigin.from_element(canvas), 0, 60).perform()
        ohif.wait(VIEWPORT + "return viewport.getCurrentImageIdIndex() !== arguments[0]", before)
        dataset, index = ohif.agrees()
        assert index > before
        assert dataset.SOPInstanceUID != first.SOPInstanceUID
        syntaxes.add(dataset.file_meta.TransferSyntaxUID)
    # Every other slice is compressed.
    ohif.driver.execute_script(VIEWPORT + "viewport.setImageIdIndex(arguments[0])", index + 1)
    ohif.wait(VIEWPORT + "return viewport.getCurrentImageIdIndex() === arguments[0]", index + 1)
    syntaxes.add(ohif.agrees()[0].file_meta.TransferSyntaxUID)
    assert len(syntaxes) == 2
    assert ohif.errors() == []


@on_one
def test_frames_agree_with_pydicom(ohif):
    ohif.open_images(others.CINE_STUDY)
    assert ohif.agrees()[1] == 0
    ohif.driver.execute_script(VIEWPORT + "viewport.setImageIdIndex(6)")
    ohif.wait(VIEWPORT + "return viewport.getCurrentImageId().endsWith('/frames/7')")
    assert ohif.agrees()[1] == 6
    assert ohif.errors() == []


@on_one
def test_measurements_are_stored_and_found(ohif):
    ohif.open_images(head.CT_STUDY)
    ohif.driver.find_element(By.CSS_SELECTOR, "[data-cy=Length-btn]").click()
    canvas = ohif.driver.find_element(By.CSS_SELECTOR, "[data-cy=viewport-pane] canvas")
    drag = ActionChains(ohif.driver).move_to_element_with_offset(canvas, -100, 0).click_and_hold()
    drag.move_by_offset(100, 20).move_by_offset(100, 20).release().perform()
    ohif.wait("return services.measurementService.getMeasurements().length")
    for answer in ohif.driver.find_elements(By.XPATH, "//button[contains(., 'Yes')]"):
        answer.click()
    ohif.wait("return services.measurementService.getMeasurements()[0].displayText.primary.length")
    picture(ohif, "ohif-ct")
    ohif.driver.set_script_timeout(60)
    uid, length = ohif.driver.execute_async_script(STORE)
    path = f"/studies/{head.CT_STUDY}"
    series = ohif.server.get(f"{path}/series", params={"Modality": "SR"}).json()
    assert [one["0008103E"]["Value"] for one in series] == [["Of a test"]]
    url = f"{path}/series/{series[0]['0020000E']['Value'][0]}/instances/{uid}"
    answer = ohif.server.get(url, headers={"Accept": "application/dicom"})
    report = dcmread(BytesIO(answer.content))
    values = [float(element.value) for element in report.iterall() if element.keyword == "NumericValue"]
    assert values == [pytest.approx(float(length.split()[0]), abs=0.06)]
    referenced = {element.value for element in report.iterall() if element.keyword == "ReferencedSOPInstanceUID"}
    assert referenced <= set(ohif.files)
    assert ohif.errors() == []


@on_one
def test_a_segmentation_and_a_pdf_open(ohif):
    ohif.open_images(head.CT_STUDY)
    loaded = "return services.segmentationService.getSegmentations().map(s => Object.values(s.segments)[0].label)[0]"
    assert ohif.open_series("SEG", loaded) == "Lesion"
    picture(ohif, "ohif-segmentation")
    source = ohif.open_series(
        "DOC", "var found = document.querySelector('object[type=\"application/pdf\"]'); return found && found.data"
    )
    answer = requests.get(source, headers={"Accept": OBJECT}, timeout=60)
    assert (answer.headers["Content-Type"], answer.content[:5]) == ("application/pdf", b"%PDF-")
    assert ohif.errors() == []


@on_one
def test_a_slide_opens(ohif):
    ohif.open("microscopy", others.SLIDE_STUDY)

    def tissue(driver):
        """Whether the window has the colours of the tissue, which the viewer itself has not."""
        shown = np.asarray(Image.open(BytesIO(driver.get_screenshot_as_png())).convert("RGB")).astype(int)
        return (np.abs(shown - (236, 190, 214)).max(axis=2) < 12).sum() > 10_000

    WebDriverWait(ohif.driver, 60).until(tissue)
    picture(ohif, "ohif-slide")
    assert ohif.errors() == []


@on_one
def test_a_video_plays(ohif):
    ohif.open("viewer", others.VIDEO_STUDY)
    playing = "var video = viewport && viewport.videoElement; return video && video.readyState > 1 && "
    size = ohif.wait(VIEWPORT + playing + "[video.videoWidth, video.duration]")
    assert size[0] == 320
    assert size[1] == pytest.approx(3.16, abs=0.05)
    assert ohif.errors() == []


@on_other
@pytest.mark.one_database("embedded")
def test_the_list_and_a_ct(ohif):
    assert ohif.rows() == ["Example, Ada"]
    ohif.open_images(head.CT_STUDY)
    ohif.agrees()
    assert ohif.errors() == []
