"""Rendered resources and thumbnails (PS3.18 8.3.5, 8.7.4, 10.4.1.1.3, 10.4.1.1.4)."""

from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from tests.integration.archive import IMAGES, parts_of


def opened(data: bytes) -> Image.Image:
    return Image.open(BytesIO(data))


@pytest.mark.parametrize("name", [*IMAGES, "seg-binary", "seg-fractional", "seg-labelmap"])
@pytest.mark.parametrize("kind", ["image/jpeg", "image/png", "image/gif", "image/jp2"])
def test_every_image_is_rendered(archive, name, kind):
    dataset = archive.datasets[name]
    below = "/frames/1/rendered" if int(dataset.get("NumberOfFrames", 1)) > 8 else "/rendered"
    response = archive.get(name, below, accept=kind)
    assert response.status_code == 200, response.text
    assert response.headers["Content-Type"] == kind
    picture = opened(response.content)
    assert Image.MIME[picture.format] == kind
    assert picture.size == (dataset.Columns, dataset.Rows)
    assert np.asarray(picture.convert("L")).std() > 0


def test_a_browser_gets_a_picture(archive):
    accept = "image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8"
    assert archive.get("CT_small.dcm", "/rendered", accept=accept).headers["Content-Type"] == "image/jpeg"
    # OHIF's thumbnails: the query names the type, the header anything.
    response = archive.get("CT_small.dcm", "/rendered?accept=image/png&viewport=64,64")
    assert response.headers["Content-Type"] == "image/png"
    assert opened(response.content).size == (64, 64)


def test_an_animation_has_every_frame(archive):
    for name, count in (("SC_rgb_rle_2frame.dcm", 2), ("emri_small_jpeg_ls_lossless.dcm", 10)):
        picture = opened(archive.get(name, "/rendered", accept="image/gif").content)
        assert picture.n_frames == count
    picture = opened(
        archive.get("emri_small_jpeg_ls_lossless.dcm", "/frames/1,4,9/rendered", accept="image/gif").content
    )
    assert picture.n_frames == 3
    picture = opened(archive.get("CT_small.dcm", "/rendered", accept="image/gif", level="series").content)
    assert picture.n_frames == 2


def test_named_frames_come_as_parts(archive):
    response = archive.get(
        "emri_small_jpeg_ls_lossless.dcm", "/frames/1,4/rendered", accept='multipart/related; type="image/png"'
    )
    parts = parts_of(response)
    assert [kind for kind, _body, _location in parts] == ["image/png"] * 2
    assert [location.rsplit("/", 2)[1] for _kind, _body, location in parts] == ["1", "4"]


@pytest.mark.parametrize("level", ["study", "series"])
def test_a_study_or_series_is_rendered_whole_or_by_one_picture(archive, level):
    parts = parts_of(archive.get("CT_small.dcm", "/rendered", level=level))
    assert [kind for kind, _body, _location in parts] == ["image/jpeg"] * 2
    response = archive.get("CT_small.dcm", "/rendered", accept="image/png", level=level)
    assert response.headers["Content-Type"] == "image/png"


def test_window_and_viewport(archive):
    dataset = archive.datasets["CT_small.dcm"]
    values = dataset.pixel_array.astype(float) * float(dataset.RescaleSlope) + float(dataset.RescaleIntercept)
    response = archive.get("CT_small.dcm", "/rendered?window=40,400,linear", accept="image/png")
    expected = np.rint(np.clip((values - 39.5) / 399 + 0.5, 0, 1) * 255)
    assert np.array_equal(np.asarray(opened(response.content)), expected)
    cut = archive.get("CT_small.dcm", "/rendered?window=40,400,linear&viewport=32,16,8,4,32,16", accept="image/png")
    assert np.array_equal(np.asarray(opened(cut.content)), expected[4:20, 8:40])
    flipped = archive.get(
        "CT_small.dcm", "/rendered?window=40,400,linear&viewport=128,128,0,0,-128,128", accept="image/png"
    )
    assert np.array_equal(np.asarray(opened(flipped.content)), expected[:, ::-1])


def test_quality_annotation_and_profile(archive):
    sizes = [len(archive.get("CT_small.dcm", f"/rendered?quality={q}", accept="image/jpeg").content) for q in (5, 95)]
    assert sizes[0] < sizes[1]
    plain, marked = (
        np.asarray(opened(archive.get("CT_small.dcm", f"/rendered{query}", accept="image/png").content))
        for query in ("", "?annotation=patient,technique")
    )
    assert (plain != marked).any()
    colour = archive.get("SC_rgb_rle_2frame.dcm", "/frames/1/rendered?iccprofile=srgb", accept="image/png")
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
def test_parameters_that_make_no_sense(archive, query):
    response = archive.get("CT_small.dcm", f"/rendered?{query}", accept="image/png")
    assert response.status_code == 400, response.text
    assert query.split("=")[0] in response.json()["reason"] or "region" in response.json()["reason"]


def test_unknown_parameters_are_ignored(archive):
    assert archive.get("CT_small.dcm", "/rendered?sharpness=3", accept="image/png").status_code == 200


def test_a_report_is_text(archive):
    html = archive.get("report", "/rendered", accept="text/html")
    assert html.headers["Content-Type"] == "text/html; charset=utf-8"
    assert "Müller Anna" in html.content.decode()
    assert "Lesion &lt;1&gt;" in html.content.decode()
    plain = archive.get("report", "/rendered", accept="text/plain")
    assert "Length: 12.5 mm" in plain.content.decode()
    assert archive.get("report", "/rendered", accept="image/jpeg").status_code == 406


@pytest.mark.parametrize("level", ["study", "series", "instance"])
@pytest.mark.parametrize("name", ["CT_small.dcm", "color3d_jpeg_baseline.dcm", "seg-binary", "report", "pdf"])
def test_thumbnails(archive, name, level):
    response = archive.get(name, "/thumbnail", level=level)
    assert response.status_code == 200, response.text
    assert response.headers["Content-Type"] == "image/jpeg"
    assert max(opened(response.content).size) <= 128
    small = archive.get(name, "/thumbnail?viewport=20,30", level=level)
    width, height = opened(small.content).size
    assert width <= 20
    assert height <= 30
    tag = response.headers["ETag"]
    again = archive.get(name, "/thumbnail", level=level, headers={"If-None-Match": tag})
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["ETag"] == tag
    assert small.headers["ETag"] != tag


def test_thumbnail_of_a_frame(archive):
    first, last = (archive.get("color3d_jpeg_baseline.dcm", f"/frames/{n}/thumbnail") for n in (1, 120))
    assert first.status_code == last.status_code == 200
    assert first.content != last.content
    assert archive.get("color3d_jpeg_baseline.dcm", "/frames/121/thumbnail").status_code == 404
    assert archive.get("CT_small.dcm", "/thumbnail?viewport=a,b").status_code == 400


def test_what_is_not_there(archive):
    assert archive.server.get("/studies/1.2.3/thumbnail").status_code == 404
    assert archive.server.get("/studies/1.2.3/rendered").status_code == 404
    assert archive.get("CT_small.dcm", "/frames/2/rendered").status_code == 404
