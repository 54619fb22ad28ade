"""Instances in the transfer syntax that was asked for, as parts, alone and zipped (PS3.18 8.7.3.5.2, 10.4.1.1.1)."""

import zipfile
from io import BytesIO

import numpy as np
import pytest
import requests
from pydicom import dcmread

from tests.integration.gallery import IMAGES, parts_of
from tests.made_objects import pixels_of

# What depends on the database is tested on both by test_qido_matching.py and test_store_and_retrieve.py.
pytestmark = pytest.mark.one_database("couchdb")

EXPLICIT = "1.2.840.10008.1.2.1"
MULTIPART = 'multipart/related; type="application/dicom"'


@pytest.mark.parametrize("name", IMAGES)
def test_an_instance_is_decoded_when_no_transfer_syntax_is_named(gallery, name):
    response = gallery.get(name, accept="application/dicom")
    assert response.status_code == 200, response.text
    assert response.headers["Content-Type"] == f"application/dicom; transfer-syntax={EXPLICIT}"
    assert int(response.headers["Content-Length"]) == len(response.content)
    got, stored = dcmread(BytesIO(response.content)), gallery.datasets[name]
    assert got.file_meta.TransferSyntaxUID == EXPLICIT
    assert got.SOPInstanceUID == stored.SOPInstanceUID
    assert np.array_equal(got.pixel_array, pixels_of(stored))
    if stored.file_meta.TransferSyntaxUID == EXPLICIT:
        assert response.content == gallery.files[name]
    kept = {element.tag for element in stored} - {element.tag for element in got}
    assert all(tag.group == 0x7FE0 or tag.element == 0 or tag >= 0xFFFA0000 for tag in kept)


@pytest.mark.parametrize("name", [*IMAGES, "report", "pdf", "seg-binary"])
@pytest.mark.parametrize("accept", ["*/*", "application/dicom; transfer-syntax=*", f"{MULTIPART}; transfer-syntax=*"])
def test_an_instance_as_it_is_stored(gallery, name, accept):
    response = gallery.get(name, accept=accept)
    assert response.status_code == 200, response.text
    body = response.content if accept.startswith("application") else parts_of(response)[0][1]
    assert body == gallery.files[name]


@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2.5", "1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.4.90"])
@pytest.mark.parametrize("name", ["image_dfl.dcm", "SC_rgb_jpeg_dcmtk.dcm", "MR_small_RLE.dcm"])
def test_an_instance_is_encoded_when_asked(gallery, name, syntax):
    response = gallery.get(name, accept=f"application/dicom; transfer-syntax={syntax}")
    if name == "MR_small_RLE.dcm" and syntax.endswith(".80"):
        assert response.status_code == 406  # signed pixels
        assert EXPLICIT in response.json()["reason"]
        return
    assert response.status_code == 200, response.text
    got = dcmread(BytesIO(response.content))
    assert got.file_meta.TransferSyntaxUID == syntax
    assert np.array_equal(got.pixel_array, pixels_of(gallery.datasets[name]))


def test_the_heaviest_acceptable_transfer_syntax_is_sent(gallery):
    accept = (
        "application/dicom; transfer-syntax=1.2.840.10008.1.2.4.100, "
        "application/dicom; transfer-syntax=1.2.840.10008.1.2.5;q=0.4, "
        f"application/dicom; transfer-syntax={EXPLICIT};q=0.8"
    )
    response = gallery.get("JPEG2000.dcm", accept=accept)
    assert dcmread(BytesIO(response.content)).file_meta.TransferSyntaxUID == EXPLICIT


def test_an_unavailable_transfer_syntax_is_not_acceptable_and_others_are_named(gallery):
    response = gallery.get("CT_small.dcm", accept="application/dicom; transfer-syntax=1.2.840.10008.1.2.4.50")
    assert response.status_code == 406
    assert f"transfer-syntax={EXPLICIT}" in response.json()["reason"]
    assert gallery.get("CT_small.dcm", accept="image/jpeg").status_code == 406


@pytest.mark.parametrize("level", ["study", "series"])
def test_all_instances_of_a_resource(gallery, level):
    # Of two files in one study and series, one is in Implicit VR.
    names = IMAGES[:2]
    response = gallery.get(names[0], accept=MULTIPART, level=level)
    assert response.status_code == 200, response.text
    parts = parts_of(response)
    assert len(parts) == 2
    for kind, body, location in parts:
        dataset = dcmread(BytesIO(body))
        name = next(name for name in names if gallery.datasets[name].SOPInstanceUID == dataset.SOPInstanceUID)
        assert kind == f"application/dicom; transfer-syntax={EXPLICIT}"
        assert location == gallery.server.url + gallery.path(name)
        assert np.array_equal(pixels_of(dataset), pixels_of(gallery.datasets[name]))
    stored = parts_of(gallery.get(names[0], accept=f"{MULTIPART}; transfer-syntax=*", level=level))
    assert {body for _kind, body, _location in stored} == {gallery.files[name] for name in names}


def test_what_no_acceptable_transfer_syntax_holds_is_left_out_and_told(gallery):
    response = gallery.get("CT_small.dcm", accept=f"{MULTIPART}; transfer-syntax=1.2.840.10008.1.2", level="series")
    assert response.status_code == 206
    assert response.headers["Warning"].startswith("299 ")
    assert [body for _kind, body, _location in parts_of(response)] == [gallery.files["MR_small_implicit.dcm"]]


@pytest.mark.parametrize("level", ["study", "series", "instance"])
def test_a_zip_of_a_resource(gallery, level):
    response = gallery.get("CT_small.dcm", accept="application/zip", level=level)
    assert response.status_code == 200
    assert response.headers["Content-Type"] == "application/zip"
    with zipfile.ZipFile(BytesIO(response.content)) as archived:
        assert archived.testzip() is None
        contents = {name: archived.read(name) for name in archived.namelist()}
    dataset = gallery.datasets["CT_small.dcm"]
    name = f"{dataset.StudyInstanceUID}/{dataset.SeriesInstanceUID}/{dataset.SOPInstanceUID}.dcm"
    assert contents[name] == gallery.files["CT_small.dcm"]
    assert len(contents) == (1 if level == "instance" else 2)


def test_a_range_of_an_instance_as_it_is_stored(gallery):
    accept = "application/dicom; transfer-syntax=*"
    response = gallery.get("CT_small.dcm", accept=accept, headers={"Range": "bytes=128-131"})
    assert response.status_code == 206
    assert response.content == b"DICM"
    assert response.headers["Content-Range"] == f"bytes 128-131/{len(gallery.files['CT_small.dcm'])}"


def test_head_tells_what_get_would(gallery):
    for below in ("", "/frames/1", "/rendered", "/metadata", "/bulkdata/7FE00010", "/thumbnail"):
        url = gallery.server.url + gallery.path("CT_small.dcm") + below
        session = requests.Session()
        head = session.head(url, headers={"Accept": "*/*", "Accept-Encoding": "identity"}, timeout=30)
        get = session.get(url, headers={"Accept": "*/*", "Accept-Encoding": "identity"}, timeout=30)
        assert head.status_code == get.status_code == 200, below
        assert head.content == b""
        kinds = [answer.headers["Content-Type"].split("boundary")[0] for answer in (head, get)]
        assert kinds[0] == kinds[1]
        if "Content-Length" in head.headers:
            assert int(head.headers["Content-Length"]) == len(get.content)


def test_dicom_and_rendered_media_types_together_are_refused(gallery):
    response = gallery.get("CT_small.dcm", accept="application/dicom, image/png")
    assert response.status_code == 400
    assert gallery.get("CT_small.dcm", accept="application/dicom, */*;q=0.1").status_code == 200
