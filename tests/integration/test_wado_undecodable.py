"""What cannot be decoded is sent as it is stored to who names no transfer syntax (PS3.18 8.7.3, 8.7.3.3)."""

import io
import zipfile
from struct import pack

import pytest
import requests
from pydicom import Dataset, dcmread
from pydicom.encaps import encapsulate
from pydicom.uid import generate_uid

from tests.integration.gallery import parts_of
from tests.made_objects import as_bytes, video
from tests.server import Server
from tests.unit.made_images import sample

# The database has no part in it.
pytestmark = pytest.mark.one_database("embedded")

EXPLICIT = "1.2.840.10008.1.2.1"
MULTIPART = 'multipart/related; type="application/dicom"'
OCTETS = 'multipart/related; type="application/octet-stream"'
STREAM = b"\0\0\0\x20ftypmp42" + bytes(range(256)) * 30
MP4 = "1.2.840.10008.1.2.4.102"
MPEG2 = "1.2.840.10008.1.2.4.100"
JPEG_XL = ("1.2.840.10008.1.2.4.110", "1.2.840.10008.1.2.4.112")
# Besides HEVC, a retired process of JPEG, and a JPEG 2000 that is none.
OTHERS = {
    MPEG2: "video/mpeg",
    "1.2.840.10008.1.2.4.107": "video/mp4",
    **dict.fromkeys(JPEG_XL, "image/jxl"),
    "1.2.840.10008.1.2.4.53": "image/jpeg",
    "1.2.840.10008.1.2.4.91": "image/jp2",
}


def placed(data: bytes, study: str, series: str) -> Dataset:
    dataset = dcmread(io.BytesIO(data))
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = study, series
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    return dataset


def stored(server: Server, *datasets: Dataset) -> list[bytes]:
    files = []
    for dataset in datasets:
        syntax = dataset.file_meta.TransferSyntaxUID
        if syntax in JPEG_XL:  # pydicom does not know it
            dataset.file_meta.TransferSyntaxUID = MPEG2
        files.append(as_bytes(dataset).replace(MPEG2.encode(), syntax.encode()))
    response = server.store(*files)
    assert response.status_code in (200, 202), response.text
    return files


def image(syntax: str) -> Dataset:
    """Return an image whose code stream no decoder reads."""
    dataset = placed(sample("CT_small.dcm"), generate_uid(), generate_uid())
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.PixelData = encapsulate([STREAM], has_bot=False)
    dataset["PixelData"].is_undefined_length = True
    return dataset


@pytest.fixture(scope="module")
def study(server: Server) -> tuple[str, str, list[bytes]]:
    """Store a study of two images and a video in another series; return its path, that of the video, and the files."""
    uid, first, second = generate_uid(), generate_uid(), generate_uid()
    datasets = [placed(sample(name), uid, first) for name in ("CT_small.dcm", "MR_small_RLE.dcm")]
    datasets.append(placed(video(STREAM), uid, second))
    files = stored(server, *datasets)
    return f"/studies/{uid}", f"/studies/{uid}/series/{second}/instances/{datasets[2].SOPInstanceUID}", files


def test_no_instance_is_missing_where_no_transfer_syntax_is_named(server, study):
    path, movie, files = study
    response = server.get(path, headers={"Accept": MULTIPART})
    assert response.status_code == 200
    assert "Warning" not in response.headers
    parts = parts_of(response)
    labels = sorted(kind.partition("transfer-syntax=")[2] for kind, _body, _location in parts)
    assert labels == [EXPLICIT, EXPLICIT, MP4]
    for kind, body, location in parts:
        assert kind == f"application/dicom; transfer-syntax={dcmread(io.BytesIO(body)).file_meta.TransferSyntaxUID}"
        if location.endswith(movie):
            assert body == files[2]


@pytest.mark.parametrize("level", ["series", "instance"])
def test_every_level_alike(server, study, level):
    path = study[1] if level == "instance" else study[1].partition("/instances")[0]
    response = server.get(path, headers={"Accept": MULTIPART})
    assert response.status_code == 200, response.text
    assert [(kind, body) for kind, body, _ in parts_of(response)] == [
        (f"application/dicom; transfer-syntax={MP4}", study[2][2])
    ]
    named = server.get(path, headers={"Accept": f"{MULTIPART}; transfer-syntax={EXPLICIT}"})
    assert named.status_code == 406
    assert MP4 in named.json()["reason"]


def test_who_names_a_transfer_syntax_is_told_what_is_left_out(server, study):
    response = server.get(study[0], headers={"Accept": f"{MULTIPART}; transfer-syntax={EXPLICIT}"})
    assert (response.status_code, len(parts_of(response))) == (206, 2)
    assert response.headers["Warning"].startswith("299 ")


def test_alone_and_by_the_uri_service(server, study):
    uids = study[1].split("/")
    query = {"requestType": "WADO", "studyUID": uids[2], "seriesUID": uids[4], "objectUID": uids[6]}
    query["contentType"] = "application/dicom"
    alone = server.get(study[1], headers={"Accept": "application/dicom"})
    by_uri = requests.get(server.url, params=query, timeout=60)
    # The URI service's media types have no parameter (PS3.18 8.7.3.5.2).
    for response, kind in ((alone, f"application/dicom; transfer-syntax={MP4}"), (by_uri, "application/dicom")):
        assert (response.status_code, response.content) == (200, study[2][2])
        assert response.headers["Content-Type"] == kind
    assert requests.get(server.url, params={**query, "transferSyntax": EXPLICIT}, timeout=60).status_code == 406
    # What a client prefers counts: a zip file when it weighs more.
    accept = "application/dicom;q=0.5, application/zip"
    archived = server.get(study[1], headers={"Accept": accept})
    assert zipfile.ZipFile(io.BytesIO(archived.content)).testzip() is None


def test_frames_and_bulk_data_of_a_video(server, study):
    for below in ("/frames/1", "/pixeldata", "/bulkdata", "/bulkdata/7FE00010"):
        response = server.get(study[1] + below, headers={"Accept": OCTETS})
        assert response.status_code == 200, (below, response.text)
        ((kind, body, _location),) = parts_of(response)
        assert (kind, body) == (f"video/mp4; transfer-syntax={MP4}", STREAM)
        named = server.get(study[1] + below, headers={"Accept": f"{OCTETS}; transfer-syntax={EXPLICIT}"})
        assert named.status_code == 406
    alone = server.get(study[1] + "/frames/1", headers={"Accept": "application/octet-stream"})
    assert (alone.status_code, alone.headers["Content-Type"]) == (200, f"video/mp4; transfer-syntax={MP4}")


@pytest.mark.parametrize("syntax", OTHERS)
def test_other_transfer_syntaxes_that_nobody_decodes(server, syntax):
    dataset = image(syntax)
    (file,) = stored(server, dataset)
    study = f"/studies/{dataset.StudyInstanceUID}"
    path = f"{study}/series/{dataset.SeriesInstanceUID}/instances/{dataset.SOPInstanceUID}"
    label = f"application/dicom; transfer-syntax={syntax}"
    for level in (study, path):
        response = server.get(level, headers={"Accept": MULTIPART})
        assert [part[:2] for part in parts_of(response)] == [(label, file)]
    alone = server.get(path, headers={"Accept": "application/dicom"})
    assert (alone.headers["Content-Type"], alone.content) == (label, file)
    known = {"Accept": "application/dicom", "If-None-Match": alone.headers["ETag"]}
    assert server.get(path, headers=known).status_code == 304
    frame = server.get(f"{path}/frames/1", headers={"Accept": OCTETS})
    assert frame.status_code == 200, frame.text
    ((kind, body, _location),) = parts_of(frame)
    assert (kind, body) == (f"{OTHERS[syntax]}; transfer-syntax={syntax}", STREAM)
    named = server.get(path, headers={"Accept": f"application/dicom; transfer-syntax={EXPLICIT}"})
    assert named.status_code == 406
    assert syntax in named.json()["reason"]
    if OTHERS[syntax].startswith("video"):
        return
    # The URI service has no picture of it for who takes anything else (PS3.18 9.4.1.1).
    uids = {"studyUID": dataset.StudyInstanceUID, "seriesUID": dataset.SeriesInstanceUID}
    query = {"requestType": "WADO", **uids, "objectUID": dataset.SOPInstanceUID}
    for accept in ("*/*", None, "text/html,image/avif,*/*;q=0.8", "image/jpeg, */*;q=0.1"):
        answer = requests.get(server.url, params=query, headers={"Accept": accept}, timeout=60)
        assert (answer.status_code, answer.content) == (200, file), accept
        assert answer.headers["Content-Type"] == "application/dicom"
    for more in ({"contentType": "image/jpeg"}, {"frameNumber": "1"}):
        assert requests.get(server.url, params={**query, **more}, timeout=60).status_code == 406


def test_an_acceptable_form_that_can_be_made_goes_before_the_stored_one(server):
    # Signed pixels have no JPEG-LS; the client names what it takes instead.
    dataset = placed(sample("MR_small.dcm"), generate_uid(), generate_uid())
    stored(server, dataset)
    study = f"/studies/{dataset.StudyInstanceUID}"
    instance = f"{study}/series/{dataset.SeriesInstanceUID}/instances/{dataset.SOPInstanceUID}"
    for kind, level in ((MULTIPART, study), (MULTIPART, instance), ("application/dicom", instance)):
        accept = f"{kind}; transfer-syntax=1.2.840.10008.1.2.4.80, {kind}; transfer-syntax=1.2.840.10008.1.2.5; q=0.5"
        response = server.get(level, headers={"Accept": accept})
        assert response.status_code == 200, response.text
        body = response.content if kind != MULTIPART else parts_of(response)[0][1]
        assert dcmread(io.BytesIO(body)).file_meta.TransferSyntaxUID == "1.2.840.10008.1.2.5"


@pytest.mark.parametrize("level", ["study", "series", "instance"])
def test_resources_as_their_bulk_data(server, study, level):
    # PS3.18 10.4.4: a required media type of study, series and instance resources; B.10 shows an answer.
    path = {"study": study[0], "series": study[1].partition("/instances")[0], "instance": study[1]}[level]
    for accept in (OCTETS, f"{OCTETS}; transfer-syntax=*", 'multipart/related; type="video/mp4"'):
        whole, listed = (server.get(path + below, headers={"Accept": accept}) for below in ("", "/bulkdata"))
        # Values that no acceptable media type holds are left out, and that is told (PS3.18 Table 10.4.3-1).
        partial = "video" in accept and level == "study"
        assert whole.status_code == (206 if partial else 200), whole.text
        assert ("Warning" in whole.headers) is partial
        assert parts_of(whole) == parts_of(listed)
        # The pixels of three images, and a private value of CT_small.dcm.
        assert len(parts_of(whole)) == (4 if level == "study" and "octet" in accept else 1)
    # Where files are accepted as well, they are what a study is.
    both = server.get(path, headers={"Accept": f"{OCTETS}, {MULTIPART}"})
    assert both.headers["Content-Type"].startswith(MULTIPART)
    assert server.get(path, headers={"Accept": 'multipart/related; type="image/jphc"'}).status_code == 406


def test_no_bulk_data_is_no_reason_to_say_that_an_instance_is_not_there(server):
    dataset = placed(sample("rtplan.dcm"), generate_uid(), generate_uid())
    stored(server, dataset)
    response = server.get(f"/studies/{dataset.StudyInstanceUID}", headers={"Accept": OCTETS})
    assert response.status_code == 406
    assert "application/dicom" in response.json()["reason"]


@pytest.fixture(scope="module")
def long(server) -> str:
    """Store 40 frames of 512 KB, of which the last is damaged: more than is made ahead; return the instance's path."""
    dataset = placed(sample("MR_small_RLE.dcm"), generate_uid(), generate_uid())
    zeros = b"\x81\0" * (512 * 512 // 128)
    frame = pack("<16I", 2, 64, 64 + len(zeros), *[0] * 13) + zeros * 2
    dataset.Rows = dataset.Columns = 512
    dataset.NumberOfFrames = 40
    dataset.PixelData = encapsulate([frame] * 39 + [frame[:200]])
    stored(server, dataset)
    return f"/studies/{dataset.StudyInstanceUID}/series/{dataset.SeriesInstanceUID}/instances/{dataset.SOPInstanceUID}"


@pytest.mark.parametrize(
    ("below", "accept"),
    [
        ("/frames/" + ",".join(map(str, range(1, 41))), f"{OCTETS}; transfer-syntax={EXPLICIT}"),
        ("/pixeldata", f"{OCTETS}; transfer-syntax={EXPLICIT}"),
        ("", MULTIPART),
        ("", "application/dicom"),
    ],
)
def test_no_client_takes_what_breaks_off_for_the_whole(server, long, below, accept):
    """RFC 9112 8: a message without its last chunk, or shorter than it said, is incomplete."""
    response = server.get(long + below, headers={"Accept": accept}, stream=True)
    assert response.status_code == 200
    with pytest.raises((requests.exceptions.ChunkedEncodingError, requests.exceptions.ConnectionError)):
        _whole = response.content
    # What is stored can be had as before.
    whole = server.get(long, headers={"Accept": "application/dicom; transfer-syntax=*"})
    assert dcmread(io.BytesIO(whole.content)).NumberOfFrames == 40
