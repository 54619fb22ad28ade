"""Frames and bulk data in every form (PS3.18 8.7.3.3, 10.4.1.1.5, 10.4.1.1.6)."""

import numpy as np
import pytest
import requests
from dicomweb_client import DICOMwebClient
from pydicom.encaps import generate_frames
from pydicom.pixels import pack_bits

from tests.integration.gallery import IMAGES, parts_of
from tests.made_objects import PDF, pixels_of

# What depends on the database is tested on both by test_qido_matching.py and test_store_and_retrieve.py.
pytestmark = pytest.mark.one_database("couchdb")

EXPLICIT = "1.2.840.10008.1.2.1"
OHIF = "multipart/related; type=application/octet-stream; transfer-syntax=*"
OCTETS = 'multipart/related; type="application/octet-stream"'
KINDS = {
    "1.2.840.10008.1.2.5": "image/dicom-rle",
    "1.2.840.10008.1.2.4.50": "image/jpeg",
    "1.2.840.10008.1.2.4.51": "image/jpeg",
    "1.2.840.10008.1.2.4.57": "image/jpeg",
    "1.2.840.10008.1.2.4.70": "image/jpeg",
    "1.2.840.10008.1.2.4.80": "image/jls",
    "1.2.840.10008.1.2.4.81": "image/jls",
    "1.2.840.10008.1.2.4.90": "image/jp2",
    "1.2.840.10008.1.2.4.91": "image/jp2",
}


def native(dataset) -> list[bytes]:
    """Return the frames of an image in Explicit VR Little Endian, by pydicom."""
    array = pixels_of(dataset)
    frames = array if int(dataset.get("NumberOfFrames", 1)) > 1 else array[None]
    if dataset.PhotometricInterpretation == "YBR_FULL_422" and not dataset.file_meta.TransferSyntaxUID.is_compressed:
        size = dataset.Rows * dataset.Columns * 2
        return [dataset.PixelData[i * size : (i + 1) * size] for i in range(len(frames))]
    found = []
    for frame in frames:
        if dataset.BitsAllocated == 1:
            found.append(pack_bits(frame, pad=False))
            continue
        if dataset.SamplesPerPixel > 1 and dataset.PlanarConfiguration == 1:
            frame = frame.transpose(2, 0, 1)
        found.append(np.ascontiguousarray(frame).astype(frame.dtype.newbyteorder("<")).tobytes())
    return found


@pytest.mark.parametrize("name", [*IMAGES, "seg-binary", "seg-fractional", "seg-labelmap", "seg-rle"])
def test_decoded_frames_equal_pydicoms(gallery, name):
    dataset = gallery.datasets[name]
    expected = native(dataset)
    listed = list(range(1, len(expected) + 1))[:4]
    response = gallery.get(name, "/frames/" + ",".join(map(str, listed)), accept=OCTETS)
    assert response.status_code == 200, response.text
    parts = parts_of(response)
    assert [kind for kind, _body, _location in parts] == [
        f"application/octet-stream; transfer-syntax={EXPLICIT}"
    ] * len(listed)
    for number, (_kind, body, location) in zip(listed, parts, strict=True):
        assert body == expected[number - 1], number
        assert location == f"{gallery.server.url}{gallery.path(name)}/frames/{number}"
    alone = gallery.get(name, f"/frames/{listed[-1]}", accept="application/octet-stream")
    assert alone.status_code == 200
    assert alone.content == expected[listed[-1] - 1]


@pytest.mark.parametrize(
    "accept", [OHIF, 'multipart/related; type="application/octet-stream"; transfer-syntax="*"', "*/*"]
)
@pytest.mark.parametrize("name", [name for name in IMAGES if name != "image_dfl.dcm"])
def test_frames_as_they_are_stored_are_labelled_as_what_they_are(gallery, name, accept):
    dataset = gallery.datasets[name]
    syntax = dataset.file_meta.TransferSyntaxUID
    (part,) = parts_of(gallery.get(name, "/frames/1", accept=accept))
    if not syntax.is_compressed:
        assert part[0] == f"application/octet-stream; transfer-syntax={EXPLICIT}"
        assert part[1] == native(dataset)[0]
        return
    assert part[0] == f"{KINDS[syntax]}; transfer-syntax={syntax}"
    count = int(dataset.get("NumberOfFrames", 1))
    assert part[1].rstrip(b"\0") == next(generate_frames(dataset.PixelData, number_of_frames=count)).rstrip(b"\0")


@pytest.mark.parametrize(
    "name", ["MR_small_RLE.dcm", "JPEG2000.dcm", "SC_rgb_jpeg_dcmtk.dcm", "MR_small_jpeg_ls_lossless.dcm"]
)
def test_frames_by_their_own_media_type(gallery, name):
    kind = KINDS[gallery.datasets[name].file_meta.TransferSyntaxUID]
    multipart = gallery.get(name, "/frames/1", accept=f'multipart/related; type="{kind}"')
    assert multipart.status_code == 200
    alone = gallery.get(name, "/frames/1", accept=kind)
    assert alone.headers["Content-Type"].startswith(kind)
    assert parts_of(multipart)[0][1] == alone.content
    assert gallery.get(name, "/frames/1", accept='multipart/related; type="image/jphc"').status_code == 406


def test_a_native_frame_is_encoded_when_asked(gallery):
    from pydicom.encaps import encapsulate
    from pydicom.pixels import get_decoder

    dataset = gallery.datasets["image_dfl.dcm"]
    response = gallery.get("image_dfl.dcm", "/frames/1", accept="image/jls")
    assert response.headers["Content-Type"] == "image/jls; transfer-syntax=1.2.840.10008.1.2.4.80"
    decoded, _ = get_decoder("1.2.840.10008.1.2.4.80").as_array(
        encapsulate([response.content]),
        index=0,
        rows=dataset.Rows,
        columns=dataset.Columns,
        samples_per_pixel=1,
        photometric_interpretation=dataset.PhotometricInterpretation,
        bits_allocated=dataset.BitsAllocated,
        bits_stored=dataset.BitsStored,
        pixel_representation=0,
        pixel_keyword="PixelData",
        number_of_frames=1,
    )
    assert np.array_equal(decoded, pixels_of(dataset))


def test_ohifs_list_of_media_types(gallery):
    accept = "application/dicom+json, multipart/related; type=application/octet-stream; transfer-syntax=*"
    assert gallery.get("JPEG2000.dcm", "/frames/1", accept=accept).status_code == 200


@pytest.mark.parametrize(("frames", "status"), [("0", 400), ("2,1", 400), ("1,1", 400), ("x", 400), ("999999", 404)])
def test_frames_that_are_not_there(gallery, frames, status):
    response = gallery.get("color3d_jpeg_baseline.dcm", f"/frames/{frames}")
    assert response.status_code == status
    if status == 404:
        assert "120" in response.json()["reason"]


def test_an_instance_without_pixels_has_no_frames(gallery):
    assert gallery.get("report", "/frames/1").status_code == 404
    assert gallery.get("report", "/pixeldata").status_code == 404


def test_pixel_data_are_all_frames(gallery):
    parts = parts_of(gallery.get("rtdose_rle.dcm", "/pixeldata", accept=OCTETS))
    assert [body for _kind, body, _location in parts] == native(gallery.datasets["rtdose_rle.dcm"])
    both = parts_of(gallery.get("CT_small.dcm", "/pixeldata", accept=OCTETS, level="study"))
    assert len(both) == 2


def test_dicomweb_client_reads_frames(gallery):
    client = DICOMwebClient(gallery.server.url)
    dataset = gallery.datasets["emri_small_jpeg_ls_lossless.dcm"]
    uids = dataset.StudyInstanceUID, dataset.SeriesInstanceUID, dataset.SOPInstanceUID
    octets = (("application/octet-stream", EXPLICIT),)
    frames = client.retrieve_instance_frames(*uids, frame_numbers=[2, 5], media_types=octets)
    assert frames == [native(dataset)[1], native(dataset)[4]]
    (jls,) = client.retrieve_instance_frames(
        *uids, frame_numbers=[1], media_types=(("image/jls", "1.2.840.10008.1.2.4.80"),)
    )
    assert jls.startswith(b"\xff\xd8")


def bulk_uris(dataset: dict):
    for element in dataset.values():
        if "BulkDataURI" in element:
            yield element["BulkDataURI"]
        for item in element.get("Value", []) if element["vr"] == "SQ" else []:
            yield from bulk_uris(item)


def test_every_bulk_data_uri_answers(gallery):
    checked = 0
    for name in gallery.files:
        (metadata,) = gallery.get(name, "/metadata", accept="application/dicom+json").json()
        for uri in bulk_uris(metadata):
            response = requests.get(uri, headers={"Accept": "*/*"}, timeout=60)
            assert response.status_code == 200, (name, uri, response.text)
            assert response.content
            checked += 1
    assert checked > len(IMAGES)


def test_big_endian_bulk_data_come_in_little_endian_order(gallery):
    dataset = gallery.datasets["MR_small_bigendian.dcm"]
    whole = gallery.get("MR_small_bigendian.dcm", "/bulkdata/7FE00010", accept="application/octet-stream")
    assert whole.content == native(dataset)[0]
    part = gallery.get(
        "MR_small_bigendian.dcm",
        "/bulkdata/7FE00010",
        accept="application/octet-stream",
        headers={"Range": "bytes=3-8"},
    )
    assert part.status_code == 206
    assert part.content == whole.content[3:9]
    beyond = gallery.get(
        "MR_small_bigendian.dcm",
        "/bulkdata/7FE00010",
        accept="*/*;q=0.1, application/octet-stream",
        headers={"Range": "bytes=99999999-"},
    )
    assert beyond.status_code == 416
    assert beyond.headers["Content-Range"] == f"bytes */{len(whole.content)}"


def test_compressed_pixel_data_as_bulk_data_are_frames(gallery):
    response = gallery.get("SC_rgb_rle_2frame.dcm", "/bulkdata/7FE00010")
    parts = parts_of(response)
    assert [kind.split(";")[0] for kind, _body, _location in parts] == ["image/dicom-rle"] * 2
    decoded = parts_of(gallery.get("SC_rgb_rle_2frame.dcm", "/bulkdata/7FE00010", accept=OCTETS))
    assert [body for _kind, body, _location in decoded] == native(gallery.datasets["SC_rgb_rle_2frame.dcm"])


@pytest.mark.parametrize("level", ["instance", "series", "study"])
def test_all_bulk_data_of_a_resource(gallery, level):
    parts = parts_of(gallery.get("pdf", "/bulkdata", level="instance"))
    assert [(kind, body.rstrip(b"\0")) for kind, body, _location in parts] == [("application/pdf", PDF)]
    parts = parts_of(gallery.get("CT_small.dcm", "/bulkdata", level=level))
    bodies = {body for _kind, body, _location in parts}
    assert gallery.datasets["CT_small.dcm"].PixelData in bodies
    assert all(location.startswith(gallery.server.url) for _kind, _body, location in parts)
    assert gallery.get("CT_small.dcm", "/bulkdata", accept="video/mp4", level=level).status_code == 406


def test_an_encapsulated_document_in_its_own_type(gallery):
    for accept in ("*/*", "application/pdf"):
        response = gallery.get("pdf", "/rendered", accept=accept)
        assert response.headers["Content-Type"] == "application/pdf"
        assert response.content == PDF
    assert gallery.get("pdf", "/rendered", accept="image/png").status_code == 406
    assert gallery.get("pdf", "/bulkdata/00420011", accept="application/pdf").content.rstrip(b"\0") == PDF
    assert gallery.get("pdf", "/bulkdata/00420012").status_code == 404
