"""Real files go in and are found (PS3.18 10.4, 10.5, 10.6); test_wado_matrix.py has them back bit for bit."""

import email
from io import BytesIO
from pathlib import Path

import pytest
import requests
from dicomweb_client import DICOMwebClient
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.encaps import generate_frames

from tests.files import identifiers, real_files

REFERENCED, FAILED, OTHER = "00081199", "00081198", "0008119A"


def parts_of(response: requests.Response) -> list[tuple[str, bytes]]:
    """Return content type and body of each part."""
    head = b"Content-Type: " + response.headers["Content-Type"].encode() + b"\r\n\r\n"
    message = email.message_from_bytes(head + response.content)
    assert message.is_multipart()
    return [(part["Content-Type"], part.get_payload(decode=True)) for part in message.get_payload()]


@pytest.fixture(scope="module")
def server(bundled):
    """Give the server that has every real file."""
    return bundled.server


@pytest.fixture(scope="module")
def stored(bundled):
    """Return what the answers said of each SOP Instance UID."""
    return bundled.told


def test_every_readable_file_is_stored(server, stored):
    expected = [path for path in real_files() if identifiers(path)]
    assert len(stored[REFERENCED]) >= len(expected)
    refused = len(stored[FAILED]) + len(stored[OTHER])
    assert len(stored[REFERENCED]) + refused == len(real_files())
    for item in stored[FAILED] + stored[OTHER]:
        assert item["00081197"]["Value"][0] > 0
        assert item["00000902"]["Value"][0]


def test_every_study_is_found(server, bundled):
    studies = {path.split("/")[2] for path in bundled.paths()}
    found = {row["0020000D"]["Value"][0] for row in server.get("/studies").json()}
    assert found == studies


def test_dicomweb_client_walks_the_hierarchy(server, stored):
    client = DICOMwebClient(server.url, permissive_uid=True)
    studies = client.search_for_studies(get_remaining=True, limit=10)
    assert len(studies) > 20
    for study in studies[:20]:
        uid = study["0020000D"]["Value"][0]
        total = 0
        for series in client.search_for_series(uid):
            instances = client.search_for_instances(uid, series["0020000E"]["Value"][0])
            assert len(instances) == series["00201209"]["Value"][0]
            total += len(instances)
        assert total == study["00201208"]["Value"][0]
        metadata = client.retrieve_study_metadata(uid)
        assert len(metadata) == total


def test_metadata_names_bulk_data_that_answers(server, stored):
    dataset = dcmread(get_testdata_file("CT_small.dcm"))
    path = f"/studies/{dataset.StudyInstanceUID}/metadata"
    (metadata,) = server.get(path).json()
    assert metadata["00100010"]["Value"] == [{"Alphabetic": "CompressedSamples^CT1"}]
    uri = metadata["7FE00010"]["BulkDataURI"]
    assert uri.startswith(server.url)
    response = requests.get(uri, headers={"Accept": "application/octet-stream; transfer-syntax=*"}, timeout=60)
    assert response.content == dataset.PixelData
    part = requests.get(uri, headers={"Range": "bytes=100-199", "Accept": "*/*"}, timeout=60)
    if part.status_code == 206:
        assert part.content == dataset.PixelData[100:200]


@pytest.mark.parametrize("name", ["CT_small.dcm", "JPEG2000.dcm", "SC_rgb_rle_2frame.dcm", "color3d_jpeg_baseline.dcm"])
def test_frames_as_stored(server, stored, name):
    path = get_testdata_file(name)
    dataset = dcmread(path)
    server.store(Path(path).read_bytes())  # other files have its UIDs, too
    place = f"/studies/{dataset.StudyInstanceUID}/series/{dataset.SeriesInstanceUID}"
    base = f"{place}/instances/{dataset.SOPInstanceUID}/frames/"
    accept = "multipart/related; type=application/octet-stream; transfer-syntax=*"
    count = int(dataset.get("NumberOfFrames", 1))
    listed = ",".join(str(number) for number in range(1, min(count, 3) + 1))
    response = server.get(base + listed, headers={"Accept": accept})
    assert response.status_code == 200, response.text
    parts = parts_of(response)
    assert len(parts) == min(count, 3)
    if dataset.file_meta.TransferSyntaxUID.is_compressed:
        for (_kind, frame), expected in zip(
            parts, generate_frames(dataset.PixelData, number_of_frames=count), strict=False
        ):
            assert frame.rstrip(b"\x00") == expected.rstrip(b"\x00")
    else:
        assert parts[0][1] == dataset.PixelData[: len(parts[0][1])]
    beyond = server.get(f"{base}{count + 1}", headers={"Accept": accept})
    assert beyond.status_code == 404
    assert str(count) in beyond.json()["reason"]


def test_the_same_file_again_is_a_success_and_writes_nothing(server, stored):
    data = real_files()[next(path for path in real_files() if path.name == "CT_small.dcm")]
    uids = identifiers(next(path for path in real_files() if path.name == "CT_small.dcm"))
    document = f"{server.database}/{':'.join(uids)}"
    before = requests.get(document, timeout=30).json()["_rev"]
    response = server.store(data, data)
    assert response.status_code in (200, 202)
    assert len(response.json()[REFERENCED]["Value"]) == 2
    assert requests.get(document, timeout=30).json()["_rev"] == before


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/studies/1.2.3.4.5/metadata", 404),
        ("/studies/1.2.3.4.5", 404),
        ("/studies/1.2.3/series/4.5/instances/6.7", 404),
        ("/studies/1.2.3/series/4.5/instances/6.7/frames/1", 404),
        ("/studies/a%20b/metadata", 400),
        ("/studies/1.2.3/series/4.5/instances/6.7/frames/0", 400),
        ("/studies/1.2.3/series/4.5/instances/6.7/frames/2,1", 400),
        ("/nothing", 404),
        ("/studies?limit=-1", 400),
        ("/studies?StudyDate=yesterday", 400),
    ],
)
def test_errors_are_json_with_cors(server, path, status):
    response = server.get(path, headers={"Origin": "http://localhost:3000"})
    assert response.status_code == status, response.text
    assert set(response.json()) == {"error", "reason"}
    assert response.headers["Access-Control-Allow-Origin"] == "http://localhost:3000"


def test_what_is_not_acceptable(server, stored):
    assert server.get("/studies", headers={"Accept": "text/html"}).status_code == 406
    response = requests.post(server.url + "/studies", data=b"x", headers={"Content-Type": "text/plain"}, timeout=30)
    assert response.status_code == 415
    assert "reason" in response.json()


def test_a_search_right_after_the_answer_sees_the_study(server):
    for number in range(20):
        dataset = dcmread(get_testdata_file("MR_small.dcm"))
        dataset.StudyInstanceUID = f"1.2.826.0.1.3680043.8.498.{number}"
        dataset.SeriesInstanceUID = f"{dataset.StudyInstanceUID}.1"
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = f"{dataset.StudyInstanceUID}.1.1"
        buffer = BytesIO()
        dataset.save_as(buffer)
        assert server.store(buffer.getvalue()).status_code in (200, 202)
        response = server.get(f"/studies?StudyInstanceUID={dataset.StudyInstanceUID}")
        assert response.status_code == 200, response.text
        rows = response.json()
        assert [row["00201208"]["Value"] for row in rows] == [[1]]
