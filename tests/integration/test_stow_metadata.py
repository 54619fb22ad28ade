"""Metadata and bulk data are stored, found and retrieved like files (PS3.18 10.5.1.4), on each database."""

import io

import numpy as np
import pytest
import requests
from dicomweb_client import DICOMwebClient
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.encaps import generate_frames

from dicouch.dicom.media.dicom_xml import dataset_to_xml
from tests.requests_made import Made, attribute, body, content_type, image, metadata, split

PIXELS = bytes(range(12))
REFERENCED, FAILED, OTHER = "00081199", "00081198", "0008119A"


def send(server, *parts, kind="application/dicom+json", study="", accept="application/dicom+json", data=None):
    return requests.post(
        f"{server.url}/studies" + (f"/{study}" if study else ""),
        data=data if data is not None else body(*parts),
        headers={"Content-Type": content_type(kind), "Accept": accept},
        timeout=60,
    )


def items(answer, tag):
    return answer.json().get(tag, {}).get("Value", [])


@pytest.mark.parametrize("kind", ["json", "xml"])
def test_a_file_taken_apart_is_stored_and_found(server, kind):
    original = dcmread(get_testdata_file("CT_small.dcm"))
    original.StudyInstanceUID += f".{len(kind)}"
    dataset, bulk = split(original)
    kind = f"application/dicom+{kind}"
    first = Made(dataset_to_xml(dataset), kind) if kind.endswith("xml") else metadata(dataset)
    answer = send(server, first, *(Made(data, location=at) for at, data in bulk.items()), kind=kind)
    assert answer.status_code in (200, 202), answer.text
    client = DICOMwebClient(server.url)
    (found,) = client.search_for_studies(search_filters={"StudyInstanceUID": original.StudyInstanceUID})
    assert found["00100020"]["Value"] == [original.PatientID]
    uids = original.StudyInstanceUID, original.SeriesInstanceUID, original.SOPInstanceUID
    retrieved = client.retrieve_instance(*uids)
    assert np.array_equal(retrieved.pixel_array, original.pixel_array)
    assert client.retrieve_instance_frames(*uids, frame_numbers=[1])[0] == original.PixelData


def test_compressed_frames_are_retrieved_as_they_were_sent(server):
    original = dcmread(get_testdata_file("color3d_jpeg_baseline.dcm"))
    frames = list(generate_frames(original.PixelData, number_of_frames=original.NumberOfFrames))[:3]
    dataset = image(77, x00280008=attribute("IS", 3))
    dataset = {tag: element for tag, element in dataset.items() if tag[:4] != "0028" or tag == "00280008"}
    answer = send(server, metadata(dataset), *(Made(frame, "image/jpeg", "bulk/1") for frame in frames))
    assert answer.status_code == 200, answer.text
    url = items(answer, REFERENCED)[0]["00081190"]["Value"][0]
    for number, frame in enumerate(frames, 1):
        accept = "image/jpeg; transfer-syntax=1.2.840.10008.1.2.4.50"
        got = requests.get(f"{url}/frames/{number}", headers={"Accept": accept}, timeout=60)
        assert got.status_code == 200, got.text
        assert got.content.rstrip(b"\0") == frame.rstrip(b"\0")


def test_each_failure_is_told_and_the_rest_is_stored(server):
    wrong = image(12, x00280010=attribute("US", 50))
    answer = send(
        server,
        metadata(image(11), wrong, image(13, "gone"), image(14, x0020000D=None), 7),
        Made(PIXELS, location="bulk/1"),
        Made(b"spare", location="unused"),
    )
    assert answer.status_code == 202
    assert [item["00081155"]["Value"] for item in items(answer, REFERENCED)] == [["1.2.3.4.11"]]
    failed = {item["00081155"]["Value"][0]: item for item in items(answer, FAILED)}
    told = {uid: item["00081197"]["Value"][0] for uid, item in failed.items()}
    assert told == {"1.2.3.4.12": 0xA900, "1.2.3.4.13": 0xA922, "1.2.3.4.14": 0x0120}
    assert all(item["00081150"]["Value"] == ["1.2.840.10008.5.1.4.1.1.7"] for item in failed.values())
    others = items(answer, OTHER)
    assert sorted(item["00081197"]["Value"][0] for item in others) == [0xA922, 0xC000]
    assert any("unused" in item["00000902"]["Value"][0] for item in others)


def test_to_a_study(server):
    answer = send(server, metadata(image(21)), Made(PIXELS, location="../bulk"), study="1.2.3")
    assert answer.status_code == 409
    answer = send(server, metadata(image(21, "../bulk")), Made(PIXELS, location="../bulk"), study="1.2.3")
    assert answer.status_code == 200
    answer = send(server, metadata(image(22)), Made(PIXELS, location="bulk/1"), study="9.9")
    assert answer.status_code == 409
    assert items(answer, FAILED)[0]["00081197"]["Value"] == [0xA901]


@pytest.mark.parametrize(
    ("status", "parts", "options"),
    [
        (400, [Made(b"[", "application/dicom+json")], {}),
        (400, [Made(b"7", "application/dicom+json")], {}),
        (400, [metadata()], {}),
        (400, [Made(PIXELS, location="bulk/1")], {}),
        (400, [Made(b"<a/>", "application/dicom+xml")], {"kind": "application/dicom+xml"}),
        (409, [metadata(image(31))], {}),
        (415, [metadata(image(31))], {"kind": "image/png"}),
        (415, [metadata(image(31))], {"kind": "application/dicom+zip"}),
        (406, [metadata(image(31))], {"accept": "text/html"}),
    ],
)
def test_status_codes(server, status, parts, options):
    answer = send(server, *parts, **options)
    assert answer.status_code == status, answer.text
    if status != 409 and OTHER not in answer.json():  # which tells what is wrong with each part
        assert set(answer.json()) == {"error", "reason"}


def test_a_body_that_breaks_off_keeps_what_was_whole(server):
    data = body(metadata(image(41), image(42, "b")), Made(PIXELS, location="bulk/1"), Made(PIXELS, location="b"))
    answer = send(server, data=data[:-25])
    assert answer.status_code == 202
    assert [item["00081155"]["Value"] for item in items(answer, REFERENCED)] == [["1.2.3.4.41"]]
    assert [item["00081155"]["Value"] for item in items(answer, FAILED)] == [["1.2.3.4.42"]]
    assert "ends" in answer.headers["Warning"]


def test_what_is_stored_reads_as_a_file(server):
    answer = send(
        server,
        metadata(image(51, x0020000D=attribute("UI", "1.2.51"), x00100010=attribute("PN", {"Alphabetic": "Größe^Ä"}))),
        Made(PIXELS, location="bulk/1"),
    )
    url = items(answer, REFERENCED)[0]["00081190"]["Value"][0]
    got = requests.get(url, headers={"Accept": "application/dicom"}, timeout=60)
    made = dcmread(io.BytesIO(got.content))
    assert (str(made.PatientName), made.PixelData) == ("Größe^Ä", PIXELS)
    (told,) = requests.get(url + "/metadata", timeout=60).json()
    assert told["00100010"]["Value"] == [{"Alphabetic": "Größe^Ä"}]
    assert told["7FE00010"]["vr"] == "OW"
