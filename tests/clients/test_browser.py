"""Clients in a browser, on a page of another origin: dicomweb-client, dcmjs, dicom-microscopy-viewer."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO

import numpy as np
import pytest
import requests
from PIL import Image
from pydicom.encaps import generate_frames

from tests.browser.conftest import browser, chromium
from tests.clients.conftest import STUDY
from tests.made_objects import pixels_of
from tests.made_slide import SERIES, TILE
from tests.made_slide import STUDY as SLIDE
from tests.server import ROOT

# The same requests are tested on both databases elsewhere.
pytestmark = pytest.mark.one_database("embedded")

__all__ = ["browser", "chromium"]

PAGES = ROOT / "tests/js"
VIEWER = "node_modules/dicom-microscopy-viewer/dist/dynamic-import"


class _Files(SimpleHTTPRequestHandler):
    extensions_map = SimpleHTTPRequestHandler.extensions_map | {".wasm": "application/wasm", ".js": "text/javascript"}

    def translate_path(self, path: str) -> str:
        """Have the viewer where its README says that a page gets it."""
        return super().translate_path(path.replace("/dicom-microscopy-viewer/", f"/{VIEWER}/", 1))

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def pages() -> Iterator[str]:
    """Serve tests/js with its packages; return the URL of the page."""
    if not (PAGES / VIEWER).is_dir():
        pytest.fail(
            "the clients are not installed: run the tests with make test, or npm ci --ignore-scripts in tests/js"
        )
    running = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Files, directory=str(PAGES)))
    threading.Thread(target=running.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{running.server_port}/clients.html"
    running.shutdown()
    running.server_close()


@pytest.fixture
def call(hospital, browser, pages):
    """Give a function that calls one of the page's functions with the server's URL and waits for what it returns."""
    browser.open(pages)
    browser.driver.set_script_timeout(60)

    def run(name: str, *arguments: object):
        told = browser.driver.execute_async_script("callClient(...arguments)", name, [hospital.server.url, *arguments])
        complaints = browser.complaints()
        assert "error" not in told, (told, complaints)
        assert [line for line in complaints if "SEVERE" in line or "Access-Control" in line] == []
        return told

    return run


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def test_dicomweb_client_and_dcmjs_search(call):
    everything, named, series, instances, none = call("search", STUDY, f"{STUDY}.1")
    assert STUDY in [row["StudyInstanceUID"] for row in everything]
    (row,) = named
    assert (row["StudyInstanceUID"], row["PatientID"], row["NumberOfStudyRelatedInstances"]) == (STUDY, "LB1", 5)
    assert row["PatientName"][0]["Alphabetic"] == "Beethoven^Ludwig"
    assert [(row["SeriesInstanceUID"], row["StudyInstanceUID"]) for row in series] == [
        (f"{STUDY}.{number}", STUDY) for number in range(1, 5)
    ]
    assert [row["SOPInstanceUID"] for row in instances] == [f"{STUDY}.1.1", f"{STUDY}.1.2"]
    assert none == []


@pytest.mark.parametrize("number", [1, 2, 4])
def test_dcmjs_reads_the_same_in_metadata_and_file(hospital, call, number):
    told = call("compare", STUDY, f"{STUDY}.{number}")
    assert told["files"] == (2 if number == 1 else 1)
    assert told["compared"] > 30
    assert told["differences"] == []


def test_dicomweb_client_retrieves(hospital, call):
    name = "emri_small_jpeg_ls_lossless.dcm"
    stored = hospital.datasets[name]
    told = call("retrieve", STUDY, f"{STUDY}.2", str(stored.SOPInstanceUID), [1, 3])
    whole = pixels_of(stored)
    assert told["linked"] == sha(hospital.files[name])
    assert told["pixels"] == sha(whole.tobytes())  # without a transfer syntax, Explicit VR Little Endian
    assert told["frames"] == [sha(whole[index].tobytes()) for index in (0, 2)]
    assert told["bulk"] == [sha(frame.tobytes()) for frame in whole]
    png, *jpegs = told["shown"]
    assert bytes(png) == b"\x89PNG"
    assert [bytes(jpeg[:3]) for jpeg in jpegs] == [b"\xff\xd8\xff"] * 2


def test_dcmjs_writes_and_dicomweb_client_stores(hospital, call):
    told = call("store", STUDY, f"{STUDY}.4", f"{STUDY}.4.5", "1.14.3")
    assert told["told"] == 1
    for answer in told["answers"]:
        assert answer["ReferencedSOPSequence"][0]["ReferencedSOPInstanceUID"] == "1.14.3.1.1"
    (row,) = hospital.server.get("/studies?PatientName=größe*").json()
    assert row["00100010"]["Value"] == [{"Alphabetic": "Größe^Änne"}]
    requests.delete(f"{hospital.server.url}/studies/1.14.3", timeout=30).raise_for_status()


def test_dicom_microscopy_viewer_shows_the_slide(hospital, call):
    """Each tile that it draws is the one stored, through its own decoder and colour transformation."""
    told = call("slide", SLIDE, SERIES, 12)
    assert (told["failed"], len(told["tiles"])) == ([], 12), (told["asked"], told["loadedFrom"])
    assert {status for _, status in told["asked"]} == {200}
    paths = [path for path, _ in told["asked"]]
    assert any("bulkdata" in path for path in paths)  # the ICC profile
    assert len([path for path in paths if path.endswith("/rendered")]) == 2
    for place, values in told["tiles"].items():
        uid, number = place.split("/")
        stored = hospital.datasets[f"slide-{uid.rpartition('.')[2]}"]
        frames = list(generate_frames(stored.PixelData, number_of_frames=stored.NumberOfFrames))
        expected = np.asarray(Image.open(BytesIO(frames[int(number) - 1])).convert("RGB")).astype(int)
        shown = np.array(values).reshape(TILE, TILE, -1)[..., :3]
        assert np.abs(shown - expected).max() <= 4, place
