"""What is no image: waveforms as drawings, structure sets and key objects as text, large reports (PS3.18 8.7.4)."""

import io

import highdicom as hd
import numpy as np
import pytest
import requests
from highdicom.sr import CodedConcept
from PIL import Image
from pydicom import Dataset, dcmread
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from tests.integration.gallery import parts_of
from tests.made_objects import PDF, as_bytes, document, report, segmentation, sources
from tests.server import Server
from tests.unit.made_images import sample

# What depends on the database is tested on both by test_qido_matching.py and test_store_and_retrieve.py.
pytestmark = pytest.mark.one_database("embedded")

INK = (16, 16, 48)


def large(dataset: Dataset) -> Dataset:
    """Give a data set more than 4 MB of JSON: its document keeps only what searches need."""
    block = dataset.private_block(0x0019, "TEST", create=True)
    for number in range(200):
        block.add_new(number, "UT", f"{number} " + "x" * 30_000)
    return dataset


def structures() -> Dataset:
    dataset = dcmread(io.BytesIO(sample("rtstruct.dcm")), force=True)
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    return dataset


def key_object() -> Dataset:
    return hd.ko.KeyObjectSelectionDocument(
        evidence=sources(),
        content=hd.ko.KeyObjectSelection(
            document_title=CodedConcept("113000", "DCM", "Of Interest"),
            referenced_objects=sources(),
            description="Look at this <one>",
        ),
        series_instance_uid=generate_uid(),
        series_number=9,
        sop_instance_uid=generate_uid(),
        instance_number=1,
        manufacturer="Maker",
    )


def nameless() -> Dataset:
    dataset = dcmread(io.BytesIO(document()))
    dataset.MIMETypeOfEncapsulatedDocument = ""
    return dataset


def two_labels() -> Dataset:
    dataset = dcmread(io.BytesIO(segmentation("LABELMAP")))
    dataset.PixelData = np.full((128, 128), 2, np.uint8).tobytes()
    return dataset


MADE = {
    "ecg": lambda: dcmread(io.BytesIO(sample("waveform_ecg.dcm"))),
    "structures": structures,
    "key": key_object,
    "report": lambda: large(dcmread(io.BytesIO(report()))),
    "signed": lambda: large(dcmread(io.BytesIO(sample("MR_small.dcm")))),
    "large-pdf": lambda: large(dcmread(io.BytesIO(document()))),
    "pdf": nameless,
    "labels": two_labels,
    "plan": lambda: dcmread(io.BytesIO(sample("rtplan.dcm"))),
}


@pytest.fixture(scope="module")
def paths(server: Server) -> dict[str, str]:
    """Store one of each in a study of its own; return the resources of the instances by name."""
    found = {}
    for name, make in MADE.items():
        dataset = make()
        dataset.StudyInstanceUID, dataset.SeriesInstanceUID = generate_uid(), generate_uid()
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        response = server.store(as_bytes(dataset))
        assert response.status_code in (200, 202), response.text
        uids = dataset.StudyInstanceUID, dataset.SeriesInstanceUID, dataset.SOPInstanceUID
        found[name] = "/studies/{}/series/{}/instances/{}".format(*uids)
        attachments = server.document(":".join(uids)).get("_attachments", {})
        assert ("dataset.json" in attachments) == (name in ("report", "signed", "large-pdf"))
    return found


def get(server: Server, path: str, accept: str) -> requests.Response:
    response = server.get(path, headers={"Accept": accept})
    assert response.status_code == 200, response.text
    return response


@pytest.mark.parametrize("kind", ["image/png", "image/jpeg", "image/gif", "image/jp2", "*/*"])
def test_an_ecg_is_a_drawing(server, paths, kind):
    response = get(server, paths["ecg"] + "/rendered", kind)
    assert response.headers["Content-Type"] == ("image/jpeg" if kind == "*/*" else kind)
    made = Image.open(io.BytesIO(response.content))
    assert made.size == (1040, 2520)
    if kind == "image/png":
        ink = (np.asarray(made.convert("RGB")) == INK).all(axis=-1)
        assert all(ink[60 + 100 * row : 160 + 100 * row].any() for row in range(24))
    known = {"Accept": kind, "If-None-Match": response.headers["ETag"]}
    assert server.get(paths["ecg"] + "/rendered", headers=known).status_code == 304


def test_a_drawing_at_every_level_and_by_the_uri_service(server, paths):
    study, series, instance = paths["ecg"].split("/")[2::2]
    ((kind, body, location),) = parts_of(get(server, f"/studies/{study}/rendered", "*/*"))
    assert kind == "image/jpeg"
    assert location == f"{server.url}{paths['ecg']}/rendered"
    assert Image.open(io.BytesIO(body)).size == (1040, 2520)
    alone = get(server, f"/studies/{study}/series/{series}/rendered?viewport=400,400&annotation=patient", "image/png")
    assert max(Image.open(io.BytesIO(alone.content)).size) == 400
    query = {"requestType": "WADO", "studyUID": study, "seriesUID": series, "objectUID": instance}
    by_uri = requests.get(server.url, params={**query, "contentType": "image/png"}, timeout=60)
    assert Image.open(io.BytesIO(by_uri.content)).size == (1040, 2520)
    assert server.get(paths["ecg"] + "/frames/1/rendered", headers={"Accept": "image/png"}).status_code == 404
    assert server.get(paths["ecg"] + "/rendered", headers={"Accept": "text/plain"}).status_code == 406
    assert get(server, paths["ecg"] + "/thumbnail", "*/*").headers["Content-Type"] == "image/jpeg"


def test_structure_sets_and_key_objects_are_text(server, paths):
    said = {
        "structures": [
            "RT Structure Set: sep30",
            "ROI 1: patient",
            "  Volume: 49200 cm³",
            "  Interpreted type: EXTERNAL",
        ],
        "key": ["Of Interest", "Key Object Description: Look at this <one>", f"Source: {sources()[0].SOPInstanceUID}"],
    }
    for name, lines in said.items():
        plain = get(server, paths[name] + "/rendered", "text/plain")
        assert plain.headers["Content-Type"] == "text/plain; charset=utf-8"
        assert all(line in plain.content.decode().splitlines() for line in lines), plain.text
        html = get(server, paths[name].partition("/series")[0] + "/rendered", "*/*")
        assert html.headers["Content-Type"] == "text/html; charset=utf-8"
    assert "Look at this &lt;one&gt;" in html.content.decode()
    assert "<b>ROI 2</b>: Isocenter 1" in get(server, paths["structures"] + "/rendered", "text/html").content.decode()


def test_a_report_with_a_large_data_set_is_a_report(server, paths):
    assert "Length: 12.5 mm" in get(server, paths["report"] + "/rendered", "text/plain").content.decode()
    study, series, instance = paths["report"].split("/")[2::2]
    query = {"requestType": "WADO", "studyUID": study, "seriesUID": series, "objectUID": instance}
    by_uri = requests.get(server.url, params={**query, "contentType": "text/html"}, timeout=60)
    assert "Müller Anna" in by_uri.content.decode()


def test_frames_of_a_large_data_set_are_offered_only_as_they_can_be_had(server, paths):
    accept = 'multipart/related; type="image/jls", multipart/related; type="image/jp2"; q=0.5'
    assert parts_of(get(server, paths["signed"] + "/frames/1", accept))[0][0].startswith("image/jp2")
    refused = server.get(paths["signed"] + "/frames/1", headers={"Accept": "image/jls"})
    assert refused.status_code == 406
    assert "jls" not in refused.json()["reason"]


@pytest.mark.parametrize("name", ["pdf", "large-pdf"])
def test_a_pdf_is_one_whatever_names_it(server, paths, name):
    for below in ("/rendered", "/bulkdata/00420011"):
        response = get(server, paths[name] + below, "application/pdf")
        assert response.headers["Content-Type"] == "application/pdf"
        assert response.content.rstrip(b"\0") == PDF.rstrip(b"\0")


def test_labels_have_colours(server, paths):
    for below in ("/thumbnail", "/rendered"):
        made = np.asarray(Image.open(io.BytesIO(get(server, paths["labels"] + below, "image/png").content)))
        assert made.ndim == 3
        assert made.max() == 255
        assert len(np.unique(made.reshape(-1, 3), axis=0)) == 1


def test_what_has_neither_picture_nor_text(server, paths):
    assert server.get(paths["plan"] + "/rendered", headers={"Accept": "*/*"}).status_code == 406
