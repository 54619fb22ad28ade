"""Rendered resources and thumbnails (PS3.18 8.3.5, 8.7.4, 10.4.1.1.3, 10.4.1.1.4)."""

from io import BytesIO

import numpy as np
import pytest
from PIL import Image
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.encaps import encapsulate

from tests.integration.gallery import IMAGES, VIDEO, parts_of

# The database has no part in it.
pytestmark = pytest.mark.one_database("couchdb")


def opened(data: bytes) -> Image.Image:
    return Image.open(BytesIO(data))


@pytest.mark.parametrize("name", [*IMAGES, "seg-binary", "seg-fractional", "seg-labelmap"])
@pytest.mark.parametrize("kind", ["image/jpeg", "image/png", "image/gif", "image/jp2"])
def test_every_image_is_rendered(gallery, name, kind):
    dataset = gallery.datasets[name]
    below = "/frames/1/rendered" if int(dataset.get("NumberOfFrames", 1)) > 8 else "/rendered"
    response = gallery.get(name, below, accept=kind)
    assert response.status_code == 200, response.text
    assert response.headers["Content-Type"] == kind
    picture = opened(response.content)
    assert Image.MIME[picture.format] == kind
    assert picture.size == (dataset.Columns, dataset.Rows)
    assert np.asarray(picture.convert("L")).std() > 0


def test_a_browser_gets_a_picture(gallery):
    accept = "image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8"
    assert gallery.get("CT_small.dcm", "/rendered", accept=accept).headers["Content-Type"] == "image/jpeg"
    # OHIF's thumbnails: the query names the type, the header anything.
    response = gallery.get("CT_small.dcm", "/rendered?accept=image/png&viewport=64,64")
    assert response.headers["Content-Type"] == "image/png"
    assert opened(response.content).size == (64, 64)


def test_an_animation_has_every_frame(gallery):
    for name, count in (("SC_rgb_rle_2frame.dcm", 2), ("emri_small_jpeg_ls_lossless.dcm", 10)):
        picture = opened(gallery.get(name, "/rendered", accept="image/gif").content)
        assert picture.n_frames == count
    picture = opened(
        gallery.get("emri_small_jpeg_ls_lossless.dcm", "/frames/1,4,9/rendered", accept="image/gif").content
    )
    assert picture.n_frames == 3
    picture = opened(gallery.get("CT_small.dcm", "/rendered", accept="image/gif", level="series").content)
    assert picture.n_frames == 2


def test_named_frames_come_as_parts(gallery):
    response = gallery.get(
        "emri_small_jpeg_ls_lossless.dcm", "/frames/1,4/rendered", accept='multipart/related; type="image/png"'
    )
    parts = parts_of(response)
    assert [kind for kind, _body, _location in parts] == ["image/png"] * 2
    assert [location.rsplit("/", 2)[1] for _kind, _body, location in parts] == ["1", "4"]


@pytest.mark.parametrize("level", ["study", "series"])
def test_a_study_or_series_is_rendered_whole_or_by_one_picture(gallery, level):
    parts = parts_of(gallery.get("CT_small.dcm", "/rendered", level=level))
    assert [kind for kind, _body, _location in parts] == ["image/jpeg"] * 2
    response = gallery.get("CT_small.dcm", "/rendered", accept="image/png", level=level)
    assert response.headers["Content-Type"] == "image/png"


def test_window_and_viewport(gallery):
    dataset = gallery.datasets["CT_small.dcm"]
    values = dataset.pixel_array.astype(float) * float(dataset.RescaleSlope) + float(dataset.RescaleIntercept)
    response = gallery.get("CT_small.dcm", "/rendered?window=40,400,linear", accept="image/png")
    expected = np.rint(np.clip((values - 39.5) / 399 + 0.5, 0, 1) * 255)
    assert np.array_equal(np.asarray(opened(response.content)), expected)
    cut = gallery.get("CT_small.dcm", "/rendered?window=40,400,linear&viewport=32,16,8,4,32,16", accept="image/png")
    assert np.array_equal(np.asarray(opened(cut.content)), expected[4:20, 8:40])
    flipped = gallery.get(
        "CT_small.dcm", "/rendered?window=40,400,linear&viewport=128,128,0,0,-128,128", accept="image/png"
    )
    assert np.array_equal(np.asarray(opened(flipped.content)), expected[:, ::-1])


def test_quality_annotation_and_profile(gallery):
    sizes = [len(gallery.get("CT_small.dcm", f"/rendered?quality={q}", accept="image/jpeg").content) for q in (5, 95)]
    assert sizes[0] < sizes[1]
    plain, marked = (
        np.asarray(opened(gallery.get("CT_small.dcm", f"/rendered{query}", accept="image/png").content))
        for query in ("", "?annotation=patient,technique")
    )
    assert (plain != marked).any()
    colour = gallery.get("SC_rgb_rle_2frame.dcm", "/frames/1/rendered?iccprofile=srgb", accept="image/png")
    assert opened(colour.content).info["icc_profile"]


@pytest.mark.parametrize(
    "query",
    [
        "window=40",
        "window=40,0,linear",
        "window=40,400,cubic",
        "window=nan,400",
        "viewport=0,10",
        "viewport=10",
        "viewport=10,10,0,0",
        "viewport=10,10,500,0,5,5",
        "viewport=99999999,10",
        "quality=0",
        "quality=101",
        "quality=x",
        "annotation=doctor",
        "iccprofile=cmyk",
    ],
)
def test_parameters_that_make_no_sense(gallery, query):
    response = gallery.get("CT_small.dcm", f"/rendered?{query}", accept="image/png")
    assert response.status_code == 400, response.text
    assert query.split("=")[0] in response.json()["reason"] or "region" in response.json()["reason"]


def test_unknown_parameters_are_ignored(gallery):
    assert gallery.get("CT_small.dcm", "/rendered?sharpness=3", accept="image/png").status_code == 200


def test_a_report_is_text(gallery):
    html = gallery.get("report", "/rendered", accept="text/html")
    assert html.headers["Content-Type"] == "text/html; charset=utf-8"
    assert "Müller Anna" in html.content.decode()
    assert "Lesion &lt;1&gt;" in html.content.decode()
    plain = gallery.get("report", "/rendered", accept="text/plain")
    assert "Length: 12.5 mm" in plain.content.decode()
    assert gallery.get("report", "/rendered", accept="image/jpeg").status_code == 406


@pytest.mark.parametrize("level", ["study", "series", "instance"])
@pytest.mark.parametrize("name", ["CT_small.dcm", "color3d_jpeg_baseline.dcm", "seg-binary", "report", "pdf"])
def test_thumbnails(gallery, name, level):
    response = gallery.get(name, "/thumbnail", level=level)
    assert response.status_code == 200, response.text
    assert response.headers["Content-Type"] == "image/jpeg"
    assert max(opened(response.content).size) <= 128
    small = gallery.get(name, "/thumbnail?viewport=20,30", level=level)
    width, height = opened(small.content).size
    assert width <= 20
    assert height <= 30
    tag = response.headers["ETag"]
    again = gallery.get(name, "/thumbnail", level=level, headers={"If-None-Match": tag})
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["ETag"] == tag
    assert small.headers["ETag"] != tag


def test_thumbnail_of_a_frame(gallery):
    first, last = (gallery.get("color3d_jpeg_baseline.dcm", f"/frames/{n}/thumbnail") for n in (1, 120))
    assert first.status_code == last.status_code == 200
    assert first.content != last.content
    assert gallery.get("color3d_jpeg_baseline.dcm", "/frames/121/thumbnail").status_code == 404
    assert gallery.get("CT_small.dcm", "/thumbnail?viewport=a,b").status_code == 400


def test_a_video_is_sent_as_it_is(gallery):
    for below, accept in (("/rendered", "*/*"), ("/rendered", "video/mp4"), ("/frames/1", "video/mp4")):
        response = gallery.get("video", below, accept=accept)
        assert response.status_code == 200, response.text
        assert response.headers["Content-Type"].startswith("video/mp4")
        assert response.content == VIDEO
    (part,) = parts_of(gallery.get("video", "/bulkdata/7FE00010", accept='multipart/related; type="video/mp4"'))
    assert part[1] == VIDEO
    assert gallery.get("video", "/rendered", accept="image/jpeg").status_code == 406
    # Nobody decodes it: only its own transfer syntax can be had.
    for below, kind in (("", "application/dicom"), ("/frames/1", "application/octet-stream")):
        refused = gallery.get("video", below, accept=f"{kind}; transfer-syntax=1.2.840.10008.1.2.1")
        assert refused.status_code == 406
        assert "1.2.840.10008.1.2.4.102" in refused.json()["reason"]
    assert gallery.get("video", "/thumbnail").headers["Content-Type"] == "image/jpeg"


def test_what_is_not_there(gallery):
    assert gallery.server.get("/studies/1.2.3/thumbnail").status_code == 404
    assert gallery.server.get("/studies/1.2.3/rendered").status_code == 404
    assert gallery.get("CT_small.dcm", "/frames/2/rendered").status_code == 404


def test_a_sign_in_place_of_what_cannot_be_drawn_is_no_representation(gallery):
    """The next time it may be drawn: no validator, and nobody remembers the sign as the picture."""
    dataset = dcmread(get_testdata_file("JPEG2000.dcm"))
    dataset.StudyInstanceUID = dataset.SeriesInstanceUID = dataset.SOPInstanceUID = "2.25.9734"
    dataset.file_meta.MediaStorageSOPInstanceUID = "2.25.9734"
    dataset.PixelData = encapsulate([b"\xff\x4f\xff\x51" + bytes(60)])
    content = BytesIO()
    dataset.save_as(content)
    gallery.server.store(content.getvalue()).raise_for_status()
    for _ in range(2):
        answer = gallery.server.get("/studies/2.25.9734/thumbnail", headers={"Accept": "image/png"})
        assert answer.status_code == 200, answer.text
        assert opened(answer.content).size == (128, 128)
        assert "ETag" not in answer.headers
