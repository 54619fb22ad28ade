"""What HTTP asks of every answer: URLs, safety in browsers, names, encodings, errors (RFC 9110, RFC 6266)."""

import gzip
import re
from io import BytesIO
from urllib.parse import urljoin

import pytest
import requests
import zstandard
from dicomweb_client import DICOMwebClient
from pydicom import dcmread

from tests.eventually import eventually
from tests.integration.gallery import parts_of
from tests.made_objects import document

# What depends on the database is tested on both by test_qido_matching.py and test_store_and_retrieve.py.
pytestmark = pytest.mark.one_database("couchdb")

PORTLESS = {"Host": "127.0.0.1"}


def test_a_host_without_a_port_gets_the_one_that_listens(gallery):
    # dicomweb-client sends such a Host with each request.
    server = gallery.server
    row = server.get("/studies?limit=1", headers=PORTLESS).json()[0]
    assert row["00081190"]["Value"][0].startswith(f"{server.url}/studies/")
    metadata = gallery.get("CT_small.dcm", "/metadata", headers=PORTLESS).json()[0]
    place = metadata["7FE00010"]["BulkDataURI"]
    assert place.startswith(f"{server.url}/studies/")
    client = DICOMwebClient(server.url)
    pixels = gallery.datasets["CT_small.dcm"].PixelData
    assert client.retrieve_bulkdata(place) == [pixels]
    assert list(client.iter_bulkdata(place)) == [pixels]
    proxied = server.get("/studies?limit=1", headers={**PORTLESS, "X-Forwarded-Proto": "https"}).json()[0]
    assert proxied["00081190"]["Value"][0].startswith("https://127.0.0.1/dicom-web/studies/")


def _places(gallery, dataset) -> list[str]:
    """Return everywhere that an encapsulated document is answered as itself."""
    study, series, instance = dataset.StudyInstanceUID, dataset.SeriesInstanceUID, dataset.SOPInstanceUID
    above = f"/studies/{study}/series/{series}"
    path = f"{above}/instances/{instance}"
    uri = f"?requestType=WADO&studyUID={study}&seriesUID={series}&objectUID={instance}"
    kind = dataset.MIMETypeOfEncapsulatedDocument
    return [f"{path}/bulkdata/00420011", f"{path}/rendered", f"{above}/rendered", f"{uri}&contentType={kind}"]


@pytest.mark.parametrize(
    ("kind", "shown"),
    [
        ("text/html", False),
        ("TEXT/HTML", False),
        ("image/svg+xml", False),
        ("application/xhtml+xml", False),
        ("text/xml", False),
        ("application/xml", False),
        ("application/dicom+xml", False),
        ("text/javascript", False),
        ("application/javascript", False),
        ("text/css", False),
        ("message/rfc822", False),
        ("application/x-unheard-of", False),
        ("application/pdf", True),
        ("text/plain", True),
        ("image/png", True),
    ],
)
def test_foreign_active_content_is_saved_and_not_shown(gallery, kind, shown):
    body = b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>"
    stored = document(body, kind)
    dataset = dcmread(BytesIO(stored))
    assert gallery.server.store(stored).status_code == 200
    for place in _places(gallery, dataset):
        response = gallery.server.get(place, headers={"Accept": kind.lower()})
        assert response.status_code == 200, (place, response.text)
        assert response.headers["Content-Type"].partition(";")[0] == kind.lower()
        assert response.content.rstrip(b"\0") == body
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        disposition = response.headers.get("Content-Disposition", "")
        if shown:
            assert "Content-Security-Policy" not in response.headers
            assert not disposition.startswith("attachment")
        else:
            assert response.headers["Content-Security-Policy"] == "sandbox"
            assert disposition.startswith("attachment; filename=")


def test_a_document_that_is_a_multipart_goes_as_octets(gallery):
    stored = document(b"--x", "multipart/x-mixed-replace")
    dataset = dcmread(BytesIO(stored))
    gallery.server.store(stored)
    response = gallery.server.get(_places(gallery, dataset)[1], headers={"Accept": "*/*"})
    assert response.headers["Content-Type"] == "application/octet-stream"


def test_reports_are_shown_and_can_do_nothing(gallery):
    response = gallery.get("report", "/rendered", accept="text/html")
    policy = response.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "sandbox" in policy
    assert response.headers["Content-Disposition"].startswith("inline")


def test_every_answer_says_that_its_type_is_its_type(gallery):
    for path in ("/studies", "/studies/1.2.3/metadata", "/nothing", "/instances/count"):
        assert gallery.server.get(path).headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize(
    ("name", "below", "accept", "level", "kind", "extension"),
    [
        ("CT_small.dcm", "", "application/dicom", "instance", "attachment", ".dcm"),
        ("JPEG2000.dcm", "", "application/dicom", "instance", "attachment", ".dcm"),
        ("CT_small.dcm", "", "application/zip", "study", "attachment", ".zip"),
        ("CT_small.dcm", "", "application/zip", "series", "attachment", ".zip"),
        ("CT_small.dcm", "/rendered", "image/jpeg", "instance", "inline", ".jpg"),
        ("CT_small.dcm", "/frames/1/rendered", "image/png", "instance", "inline", "-1.png"),
        ("CT_small.dcm", "/thumbnail", "image/gif", "series", "inline", ".gif"),
        ("pdf", "/rendered", "application/pdf", "instance", "inline", ".pdf"),
        ("report", "/rendered", "text/plain", "instance", "inline", ".txt"),
        ("video", "/rendered", "video/mp4", "instance", "inline", ".mp4"),
    ],
)
def test_files_have_names(gallery, name, below, accept, level, kind, extension):
    # RFC 6266 4.
    response = gallery.get(name, below, accept=accept, level=level)
    dataset = gallery.datasets[name]
    uid = {"study": dataset.StudyInstanceUID, "series": dataset.SeriesInstanceUID}.get(level, dataset.SOPInstanceUID)
    assert response.headers["Content-Disposition"] == f"{kind}; filename={uid}{extension}"


def test_names_of_the_uri_service(gallery):
    dataset = gallery.datasets["CT_small.dcm"]
    query = {
        "requestType": "WADO",
        "studyUID": dataset.StudyInstanceUID,
        "seriesUID": dataset.SeriesInstanceUID,
        "objectUID": dataset.SOPInstanceUID,
        "contentType": "application/dicom",
    }
    response = requests.get(gallery.server.url, params=query, timeout=60)
    assert response.headers["Content-Disposition"] == f"attachment; filename={dataset.SOPInstanceUID}.dcm"


def test_answers_without_a_file_have_no_name(gallery):
    for path in ("/studies", "/studies/1.2.3/rendered"):
        assert "Content-Disposition" not in gallery.server.get(path).headers
    assert "Content-Disposition" not in gallery.get("CT_small.dcm").headers


def test_a_store_request_in_gzip(gallery):
    server, stored = gallery.server, document(b"zipped")
    kind = 'multipart/related; type="application/dicom"; boundary=x'
    body = b"--x\r\nContent-Type: application/dicom\r\n\r\n" + stored + b"\r\n--x--\r\n"
    for headers, data in (({"Content-Type": kind}, body), ({"Content-Type": "application/dicom"}, stored)):
        headers |= {"Content-Encoding": "gzip", "Accept": "application/dicom+json"}
        answer = requests.post(f"{server.url}/studies", gzip.compress(data), headers=headers, timeout=60)
        assert answer.status_code == 200, answer.text
        refused = requests.post(f"{server.url}/studies", data, headers=headers | {"Content-Encoding": "br"}, timeout=60)
        assert (refused.status_code, refused.headers["Accept-Encoding"]) == (415, "gzip, identity")
        broken = requests.post(f"{server.url}/studies", data, headers=headers, timeout=60)
        assert (broken.status_code, "gzip" in broken.json()["reason"]) == (400, True)
    dataset = dcmread(BytesIO(stored))
    path = f"/studies/{dataset.StudyInstanceUID}/series/{dataset.SeriesInstanceUID}/instances/{dataset.SOPInstanceUID}"
    assert server.get(path, headers={"Accept": "application/dicom"}).content == stored


def test_an_empty_expectation(gallery):
    url = f"{gallery.server.url}/studies?limit=1"
    assert requests.get(url, headers={"Expect": ""}, timeout=60).status_code == 200
    assert requests.get(url, headers={"Expect": "toto"}, timeout=60).status_code == 417
    headers = {"Expect": "", "Content-Type": "application/dicom"}
    answer = requests.post(f"{gallery.server.url}/studies", document(b"x"), headers=headers, timeout=60)
    assert answer.status_code == 200


def test_what_cannot_be_parsed_in_accept_is_passed_over(gallery):
    answer = gallery.server.get("/studies?limit=1", headers={"Accept": "toto, application/dicom+json"})
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "application/dicom+json")
    assert gallery.get("CT_small.dcm", "/rendered", accept="image/jpg").headers["Content-Type"] == "image/jpeg"
    assert gallery.server.get("/studies?accept=toto").status_code == 400


CODINGS = ("identity", "gzip", "zstd")


def raw(url: str, coding: str, **headers: str) -> tuple[requests.Response, bytes]:
    """Return an answer and its body, still in its coding."""
    headers = {"Accept": "application/dicom+json", "Accept-Encoding": coding, **headers}
    with requests.get(url, headers=headers, stream=True, timeout=60) as response:
        return response, response.raw.read(decode_content=False)


def plain(body: bytes, coding: str) -> bytes:
    """Return a body without its coding."""
    if coding == "zstd":
        return zstandard.ZstdDecompressor().decompressobj().decompress(body)
    return gzip.decompress(body) if coding == "gzip" else body


@pytest.mark.parametrize("path", ["/studies", "/series", "/instances", "/studies?explain"])
def test_json_is_compressed(gallery, path):
    for coding in CODINGS:
        response, body = raw(gallery.server.url + path, coding)
        assert response.headers.get("Content-Encoding", "identity") == coding
        assert "Accept-Encoding" in response.headers["Vary"]
        assert int(response.headers["Content-Length"]) == len(body)
        head = requests.head(gallery.server.url + path, headers=response.request.headers, timeout=60)
        assert head.headers.get("Content-Encoding", "identity") == coding
        assert plain(body, coding)[:1] in b"[{"


def test_each_coding_of_metadata_has_its_own_tag(gallery):
    url = gallery.server.url + gallery.path("CT_small.dcm", "study") + "/metadata"
    found = {coding: raw(url, coding) for coding in CODINGS}
    tags = {coding: response.headers["ETag"] for coding, (response, _body) in found.items()}
    assert len(set(tags.values())) == 3
    assert len({plain(body, coding) for coding, (_response, body) in found.items()}) == 1
    for coding, tag in tags.items():
        again, body = raw(url, coding)  # remembered
        assert (again.headers["ETag"], body) == (tag, found[coding][1])
        assert raw(url, coding, **{"If-None-Match": tag})[0].status_code == 304
        other = next(name for name in CODINGS if name != coding)
        assert raw(url, other, **{"If-None-Match": tag})[0].status_code == 200
    smaller = [len(found[coding][1]) for coding in ("zstd", "identity")]
    assert smaller[0] * 4 < smaller[1]


PARTS = 'multipart/related; type="application/octet-stream"'


@pytest.mark.parametrize(
    ("name", "path", "accept"),
    [
        ("CT_small.dcm", "7FE00010", "*/*"),
        ("CT_small.dcm", "7FE00010", "application/octet-stream"),
        ("CT_small.dcm", "7FE00010", f"{PARTS}, application/octet-stream;q=0.1"),
        ("pdf", "00420011", "*/*"),
        ("video", "7FE00010", "*/*"),
        ("JPEG2000.dcm", "7FE00010", "*/*"),
    ],
)
def test_a_range_is_honoured_cold_and_behind_the_whole(gallery, name, path, accept):
    below = f"/bulkdata/{path}"
    wanted = {"Range": "bytes=10-29"}
    cold = gallery.get(name, below, accept=accept, headers=wanted)
    assert cold.status_code == 206
    whole = gallery.get(name, below, accept=accept)
    assert whole.status_code == 200
    # A browser asks whether what it has is still true, and cuts the range out of that: not out of a multipart message.
    if whole.headers["Content-Type"].startswith("multipart/"):
        assert whole.headers["Cache-Control"] == "no-store"
        value = parts_of(whole)[0][1]
    else:
        value = whole.content
    assert cold.content == value[10:30]
    assert cold.headers["Content-Range"] == f"bytes 10-29/{len(value)}"
    known = {**wanted, "If-Range": whole.headers["ETag"]}
    after = gallery.get(name, below, accept=accept, headers=known)
    same = whole.headers["ETag"] == cold.headers["ETag"]
    assert (after.status_code, after.content) == ((206, value[10:30]) if same else (200, value))


def test_a_range_where_only_parts_are_accepted(gallery):
    value = gallery.datasets["CT_small.dcm"].PixelData
    answer = gallery.get("CT_small.dcm", "/bulkdata/7FE00010", accept=PARTS, headers={"Range": "bytes=-7"})
    assert (answer.status_code, answer.headers["Cache-Control"]) == (206, "no-store")
    assert "ETag" not in answer.headers
    assert [body for _kind, body, _place in parts_of(answer)] == [value[-7:]]
    assert f"Content-Range: bytes {len(value) - 7}-{len(value) - 1}/{len(value)}".encode() in answer.content
    place = gallery.get("CT_small.dcm", "/metadata").json()[0]["7FE00010"]["BulkDataURI"]
    client = DICOMwebClient(gallery.server.url)
    assert client.retrieve_bulkdata(place, byte_range=(100, 199)) == [value[100:200]]
    outside = {"Range": f"bytes={len(value)}-"}
    assert gallery.get("CT_small.dcm", "/bulkdata/7FE00010", accept=PARTS, headers=outside).status_code == 416


def test_all_bulk_data_are_kept_by_no_cache(gallery):
    answer = gallery.get("CT_small.dcm", "/bulkdata", accept=PARTS)
    assert answer.headers["Cache-Control"] == "no-store"


def test_a_range_of_a_frame(gallery):
    pixels = gallery.datasets["CT_small.dcm"].PixelData
    for _ in range(2):  # from the database, from memory
        answer = gallery.get("CT_small.dcm", "/frames/1", headers={"Range": "bytes=5-9"})
        assert (answer.status_code, answer.content) == (206, pixels[5:10])
        whole = gallery.get("CT_small.dcm", "/frames/1")
        assert parts_of(whole)[0][1] == pixels


FIREFOX = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"
JAVA = "text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2"


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/studies/1.2.3/metadata", 404),
        ("/studies/a b/metadata", 400),
        ("/nothing/<script>", 404),
        ("/studies?limit=x&PatientID=<b>", 400),
        ("/studies/1.2.3/series/4.5/instances/6.7/frames/1", 404),
        ("/ui/conflicts/1.2.3", 404),
        ("/wado?studyUID=1.2", 400),
    ],
)
def test_an_error_is_a_page_in_a_browser_and_json_elsewhere(gallery, path, status):
    page = gallery.server.get(path, headers={"Accept": FIREFOX})
    assert (page.status_code, page.headers["Content-Type"]) == (status, "text/html; charset=utf-8")
    assert "default-src 'none'" in page.headers["Content-Security-Policy"]
    assert "Content-Disposition" not in page.headers
    assert "<script" not in page.text
    assert "<b>" not in page.text
    ways = re.findall('href="([^"]+)"', page.text)
    assert ways
    for way in ways:
        there = requests.get(urljoin(page.url, way), headers={"Accept": FIREFOX}, timeout=60)
        assert there.status_code == 200, way
    for accept in ("*/*", None, JAVA, "application/json", "application/dicom+json, text/html;q=0.5", "image/jpeg"):
        told = gallery.server.get(path, headers={"Accept": accept})
        assert told.status_code >= 400
        assert told.headers["Content-Type"] == "application/json"
        assert set(told.json()) == {"error", "reason"}
        assert "Accept" in told.headers["Vary"]


def test_whether_it_can_serve(server):
    root = server.url.removesuffix("/dicom-web")
    assert requests.get(f"{root}/readyz", timeout=30).json() == {"status": "ready"}
    design = requests.get(f"{server.database}/_design/dicom", timeout=30).json()
    place = f"{server.database}/_design/dicom"
    changed = requests.put(place, json={**design, "version": "other"}, timeout=30).json()
    told = eventually(lambda: requests.get(f"{root}/readyz", timeout=30), lambda told: told.status_code == 503)
    assert "another version" in told.json()["reason"]
    assert told.headers["Retry-After"]
    assert requests.get(f"{root}/healthz", timeout=30).status_code == 200
    requests.put(place, json={**design, "_rev": changed["rev"]}, timeout=30).raise_for_status()
    eventually(lambda: requests.get(f"{root}/readyz", timeout=30), lambda told: told.status_code == 200)


def test_a_page_says_what_was_wrong(gallery):
    page = gallery.server.get("/studies/1.2.3/metadata", headers={"Accept": FIREFOX})
    assert "there is no study 1.2.3" in page.text
    assert "404 Not Found" in page.text
