"""Entity tags, ranges and honest media types of retrieved resources (RFC 9110 13, 14; PS3.18 8.7.8, 10.4)."""

from io import BytesIO

import pytest
import requests
from PIL import Image, ImageCms

from dicouch.routes import resources
from tests.integration.gallery import VIDEO, parts_of
from tests.made_objects import PDF

# What depends on the database is tested on both by test_qido_matching.py and test_store_and_retrieve.py.
pytestmark = pytest.mark.one_database("embedded")

OCTETS = 'multipart/related; type="application/octet-stream"'


@pytest.mark.parametrize(
    ("name", "below", "accept"),
    [
        ("CT_small.dcm", "", "application/dicom; transfer-syntax=*"),
        ("CT_small.dcm", "", "*/*"),
        ("JPEG2000.dcm", "", "application/dicom"),
        ("JPEG2000.dcm", "", 'multipart/related; type="application/dicom"'),
        ("JPEG2000.dcm", "/frames/1", OCTETS),
        ("JPEG2000.dcm", "/frames/1", "image/jp2"),
        ("SC_rgb_rle_2frame.dcm", "/frames/1,2", "*/*"),
        ("CT_small.dcm", "/rendered", "image/png"),
        ("CT_small.dcm", "/rendered", 'multipart/related; type="image/jpeg"'),
        ("SC_rgb_rle_2frame.dcm", "/rendered", "image/gif"),
        ("CT_small.dcm", "/frames/1/rendered", "image/jpeg"),
        ("CT_small.dcm", "/bulkdata/7FE00010", "application/octet-stream"),
        ("CT_small.dcm", "/bulkdata/7FE00010", "*/*"),
        ("pdf", "/rendered", "*/*"),
        ("video", "/rendered", "video/mp4"),
        ("video", "/rendered", 'multipart/related; type="video/mp4"'),
        ("report", "/rendered", "text/plain"),
    ],
)
def test_the_same_tag_is_the_same_bytes(gallery, name, below, accept):
    first, second = (gallery.get(name, below, accept=accept) for _ in range(2))
    tag = first.headers["ETag"]
    assert first.headers["Vary"] == "Accept, Accept-Encoding, Authorization, Origin"
    assert (second.headers["ETag"], second.content) == (tag, first.content)
    again = gallery.get(name, below, accept=accept, headers={"If-None-Match": tag})
    assert (again.status_code, again.content, again.headers["ETag"]) == (304, b"", tag)
    # Proxies that compress make a tag weak (RFC 9110 13.1.2).
    assert gallery.get(name, below, accept=accept, headers={"If-None-Match": f"W/{tag}"}).status_code == 304
    assert gallery.get(name, below, accept=accept, headers={"If-Match": '"other"'}).status_code == 412
    assert gallery.get(name, below, accept=accept, headers={"If-None-Match": '"other"'}).status_code == 200


def paths(gallery, name: str, frames: str, value: str, study: str = ""):
    """Yield the path of every resource that can be read, below the DICOMweb root, filled with what a file has."""
    dataset = gallery.datasets[name]
    filled = {"study": study or dataset.StudyInstanceUID, "series": dataset.SeriesInstanceUID}
    filled |= {"instance": dataset.SOPInstanceUID, "frames": frames, "bulkdata": value}
    for resource in resources.TABLE:
        # A worklist has tests of its own, and streams of events end when somebody ends them.
        other = "{workitem}" in resource.path or "{aetitle}" in resource.path or resource.path == "events"
        if not other and any(method.name == "GET" for method in resource.methods):
            yield "/" + resource.path.format(**filled)


def test_any_representation_is_known_where_there_is_one(gallery):
    """``If-None-Match: *`` counts where the answer would be one of success, nowhere else (RFC 9110 13.1.2, 13.2.1)."""
    there = list(paths(gallery, "CT_small.dcm", "1", "7FE00010"))
    beyond = [path for path in paths(gallery, "CT_small.dcm", "99", "00420011") if path not in there]
    missing = [path for path in paths(gallery, "CT_small.dcm", "1", "7FE00010", "1.2.3.4") if path not in there]
    assert (len(there) > 25, len(beyond), len(missing) > 20) == (True, 4, True)
    for path in there:
        assert gallery.server.get(path, headers={"If-None-Match": "*"}).status_code == 304, path
        assert gallery.server.get(path, headers={"If-Match": '"other"'}).status_code == 412, path
    for path in beyond + missing:
        # A search of what is not there finds nothing, with success.
        success = path.endswith(("/series", "/instances", "/count")) or path.startswith("/documents/")
        assert gallery.server.get(path, headers={"If-None-Match": "*"}).status_code == (304 if success else 404), path
    assert gallery.server.get(beyond[0], headers={"If-Match": '"other"'}).status_code == 404


def test_writing_on_a_condition(gallery):
    """What is written or deleted has no entity tag: a condition that names one is not met (RFC 9110 13.1)."""
    url = gallery.server.url
    for headers, status in (({"If-Match": '"x"'}, 412), ({"If-None-Match": "*"}, 412), ({"If-None-Match": '"x"'}, 412)):
        there = requests.delete(url + gallery.path("pdf"), headers=headers, timeout=60)
        assert (there.status_code, there.json()["error"]) == (status, "precondition_failed")
        assert requests.delete(f"{url}/studies/1.2.3.4", headers=headers, timeout=60).status_code == 404
        headers = {**headers, "Content-Type": "application/dicom"}
        stored = requests.post(f"{url}/studies", gallery.files["pdf"], headers=headers, timeout=60)
        assert stored.status_code == status
    assert gallery.get("pdf").status_code == 200


@pytest.mark.parametrize("accept", [None, "*/*", "multipart/*", "multipart/related", "toto"])
@pytest.mark.parametrize("level", ["study", "series", "instance"])
def test_a_wildcard_gives_stored_bytes(gallery, accept, level):
    # By decision (docs/conformance.md): nothing is decoded that nobody asked for.
    response = gallery.get("JPEG2000.dcm", headers={"Accept": accept}, level=level)
    ((kind, body, _place),) = parts_of(response)
    assert kind == "application/dicom; transfer-syntax=1.2.840.10008.1.2.4.91"
    assert body == gallery.files["JPEG2000.dcm"]
    if level == "instance":
        for below in ("/frames/1", "/pixeldata", "/bulkdata/7FE00010"):
            response = gallery.get("JPEG2000.dcm", below, headers={"Accept": accept})
            ((kind, body, _place),) = parts_of(response)
            assert kind == "image/jp2; transfer-syntax=1.2.840.10008.1.2.4.91"
            assert body.startswith(bytes.fromhex("ff4f"))


def test_another_representation_has_another_tag(gallery):
    asked = [
        ("", "image/png"),
        ("?window=40,400,linear", "image/png"),
        ("?quality=50", "image/jpeg"),
        ("", "image/gif"),
    ]
    tags = {gallery.get("CT_small.dcm", f"/rendered{q}", accept=kind).headers["ETag"] for q, kind in asked}
    asked = [("1", "*/*"), ("2", "*/*"), ("1,2", "*/*"), ("1", OCTETS), ("1", "application/octet-stream")]
    tags |= {gallery.get("SC_rgb_rle_2frame.dcm", f"/frames/{n}", accept=kind).headers["ETag"] for n, kind in asked}
    assert len(tags) == 9


def test_a_frame_that_is_not_there_is_no_304(gallery):
    assert gallery.get("CT_small.dcm", "/frames/2", headers={"If-None-Match": "*"}).status_code == 404


@pytest.mark.parametrize(
    ("name", "below", "accept", "whole"),
    [
        ("video", "/rendered", "*/*", VIDEO),
        ("video", "/frames/1", "video/mp4", VIDEO),
        ("video", "/bulkdata/7FE00010", "video/mp4", VIDEO),
        ("pdf", "/rendered", "application/pdf", PDF),
        ("CT_small.dcm", "/frames/1", "application/octet-stream", None),
        ("MR_small_RLE.dcm", "/frames/1", "application/octet-stream", None),
        ("MR_small_bigendian.dcm", "/frames/1", "application/octet-stream", None),
        ("seg-binary", "/frames/2", "application/octet-stream", None),
        # Decoded and encoded instances.
        ("JPEG2000.dcm", "", "application/dicom", None),
        ("MR_small_RLE.dcm", "", "application/dicom; transfer-syntax=1.2.840.10008.1.2.4.90", None),
        ("CT_small.dcm", "", "application/dicom", None),
    ],
)
def test_ranges(gallery, name, below, accept, whole):
    response = gallery.get(name, below, accept=accept)
    assert response.headers["Accept-Ranges"] == "bytes"
    whole = whole or response.content
    assert response.content == whole
    size, tag = len(whole), response.headers["ETag"]
    middle = size // 3 - 1  # within the first of the video's fragments, and over its end
    for first, last in ((0, 9), (middle, middle + 12), (7, size // 2), (size - 3, size - 1)):
        part = gallery.get(name, below, accept=accept, headers={"Range": f"bytes={first}-{last}", "If-Range": tag})
        assert part.status_code == 206
        assert part.headers["Content-Range"] == f"bytes {first}-{last}/{size}"
        assert part.content == whole[first : last + 1]
    other = gallery.get(name, below, accept=accept, headers={"Range": "bytes=0-9", "If-Range": '"other"'})
    assert (other.status_code, other.content) == (200, whole)
    assert gallery.get(name, below, accept=accept, headers={"Range": f"bytes={size}-"}).status_code == 416


def test_bulk_data_are_called_what_was_asked_for(gallery):
    alone = gallery.get("pdf", "/bulkdata/00420011", accept="application/octet-stream")
    assert alone.headers["Content-Type"] == "application/octet-stream"
    for below in ("/bulkdata", "/bulkdata/00420011"):
        response = gallery.get("pdf", below, accept=OCTETS)
        assert response.headers["Content-Type"].startswith(OCTETS)
        assert [(kind, body.rstrip(b"\0")) for kind, body, _ in parts_of(response)] == [
            ("application/octet-stream", PDF.rstrip(b"\0"))
        ]


def test_a_document_as_ohif_asks_for_it(gallery):
    # OHIF 3.13 reads a PDF by its BulkDataURI, with octets and the type of documents in one list.
    accept = 'multipart/related; type="application/pdf", multipart/related; type="application/octet-stream"'
    for below in ("/bulkdata/00420011", "/bulkdata"):
        response = gallery.get("pdf", below, accept=accept)
        assert response.status_code == 200, response.text
        ((kind, body, _location),) = parts_of(response)
        assert (kind, body.rstrip(b"\0")) == ("application/pdf", PDF.rstrip(b"\0"))


def test_no_bulk_data_is_not_found_whatever_is_accepted(gallery):
    response = gallery.get("report", "/bulkdata")
    assert response.status_code == 404
    assert gallery.get("pdf", "/bulkdata", accept="video/mp4").status_code == 406


def test_a_series_of_one_document_is_rendered_as_it(gallery):
    pdf = gallery.get("pdf", "/rendered", level="series")
    assert (pdf.status_code, pdf.content) == (200, PDF)
    assert "Müller" in gallery.get("report", "/rendered", accept="text/html", level="series").content.decode()
    assert gallery.get("video", "/rendered", accept="video/mp4", level="study").content == VIDEO


def test_sizes_are_told_where_they_are_known(gallery):
    for accept in ("application/dicom", 'multipart/related; type="application/dicom"', "*/*"):
        response = gallery.get("JPEG2000.dcm", accept=accept)
        assert response.headers["Content-Length"] == str(len(response.content))
        head = gallery.server.url + gallery.path("JPEG2000.dcm")
        assert _head(head, accept) == response.headers["Content-Length"]


def _head(url: str, accept: str) -> str:
    response = requests.head(url, headers={"Accept": accept}, timeout=60)
    assert (response.status_code, response.content) == (200, b"")
    return response.headers["Content-Length"]


@pytest.mark.parametrize("profile", ["yes", "srgb", "adobergb", "rommrgb", "displayp3"])
def test_every_colour_space_of_the_standard(gallery, profile):

    for kind in ("image/png", "image/jpeg"):
        response = gallery.get("SC_rgb_rle_2frame.dcm", f"/frames/1/rendered?iccprofile={profile}", accept=kind)
        assert response.status_code == 200, response.text
        embedded = Image.open(BytesIO(response.content)).info["icc_profile"]
        assert ImageCms.getProfileName(ImageCms.ImageCmsProfile(BytesIO(embedded))).strip()
    plain = gallery.get("SC_rgb_rle_2frame.dcm", "/frames/1/rendered?iccprofile=no", accept="image/png")
    assert "icc_profile" not in Image.open(BytesIO(plain.content)).info
