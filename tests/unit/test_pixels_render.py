"""Parameters, viewports, annotations, profiles and encodings of rendered images (PS3.18 8.3.5.1, 9.4.1.2)."""

from contextlib import suppress
from io import BytesIO

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image as Pillow
from PIL import ImageCms

from dicouch.dicom.errors import BadParameter, PixelError, TooLarge, Unsupported
from dicouch.dicom.pixels.annotate import annotate, patient_lines, technique_lines
from dicouch.dicom.pixels.formats import FORMATS, animate, encode_picture, frame_time
from dicouch.dicom.pixels.geometry import fit, place
from dicouch.dicom.pixels.icc import profile_of, well_known
from dicouch.dicom.pixels.image import Image
from dicouch.dicom.pixels.luts import LINEAR, LINEAR_EXACT, SIGMOID, VoiWindow
from dicouch.dicom.pixels.parameters import Rendering, Viewport, parse_rendering, parse_uri_rendering, parse_viewport
from dicouch.dicom.pixels.render import picture, render, sign, thumbnail
from tests.unit.made_images import open_image, sample


def opened(data: bytes) -> Pillow.Image:
    return Pillow.open(BytesIO(data))


def test_everything_can_be_left_out():
    assert parse_rendering({}) == parse_uri_rendering({}) == Rendering()


def test_parameters_of_restful_services():
    asked = parse_rendering(
        {
            "annotation": "patient,technique",
            "quality": "7",
            "viewport": "100,200,1.5,,-30,40",
            "window": "-40.5,1e3,sigmoid",
            "iccprofile": "srgb",
            "unknown": "x",
        }
    )
    assert asked.annotation == {"patient", "technique"}
    assert asked.quality == 7
    assert asked.viewport == Viewport(100, 200, 1.5, 0.0, -30.0, 40.0)
    assert asked.window == VoiWindow(-40.5, 1000.0, SIGMOID)
    assert asked.profile == "srgb"
    assert parse_rendering({"window": "1,2"}).window == VoiWindow(1, 2, LINEAR)
    assert parse_rendering({"window": "1,0.5,linear-exact"}).window == VoiWindow(1, 0.5, LINEAR_EXACT)


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("annotation", ["", "patient,", "Patient,doctor", "1"]),
        ("quality", ["", "0", "101", "-1", "1.5", "٣", "9" * 99]),
        ("viewport", ["", "1", "1,2,3", "0,1", "1,-1", "1,x", "2,2,-1,0,1,1", "2,2,0,0,0,1", "2,2,nan,0,1,1", "1e3,1"]),
        ("window", ["", "1", "1,2,3,4", "a,b", "1,0.9,linear", "1,0,sigmoid", "inf,1", "1,2,LINEAR EXACT", "1_0,20"]),
        ("iccprofile", ["", "sRGB", "1"]),
    ],
)
def test_values_that_make_no_sense_are_named(name, values):
    for value in values:
        with pytest.raises(BadParameter, match=name):
            parse_rendering({name: value})


@pytest.mark.parametrize(
    "query",
    [
        {"windowCenter": "1"},
        {"windowWidth": "1"},
        {"windowCenter": "1", "windowWidth": "0"},
        {"rows": "0"},
        {"columns": "x"},
        {"region": "0,0,0,1"},
        {"region": "0.5,0,0.4,1"},
        {"region": "-1,0,1,1"},
        {"region": "a,b,c,d"},
        {"imageQuality": "0"},
    ],
)
def test_values_of_the_uri_service_that_make_no_sense(query):
    with pytest.raises(BadParameter, match=min(query, key=len)[:4]):
        parse_uri_rendering(query)


@given(st.text(alphabet="0123456789,.-+einfax _", max_size=40))
def test_no_viewport_and_no_window_raise_anything_else(text):
    for parse in (parse_viewport, lambda value: parse_rendering({"window": value})):
        # Hypothesis reports any other exception.
        with suppress(BadParameter):
            parse(text)


def viewports():
    sides = st.integers(1, 300)
    starts, extents = st.floats(0, 120), st.floats(-200, 200).filter(lambda value: abs(value) > 0.01)
    return st.builds(Viewport, sides, sides, starts, starts, extents, extents)


@given(viewports())
def test_a_rendered_image_never_leaves_its_viewport(viewport):
    try:
        (left, top, right, bottom), (width, height) = place(viewport, 100, 80)
    except BadParameter:
        assert viewport.left >= 100 or viewport.top >= 80
        return
    assert 0 <= left < right <= 100
    assert 0 <= top < bottom <= 80
    assert 1 <= width <= viewport.width
    assert 1 <= height <= viewport.height
    # As large as it can be: one side fills the viewport.
    assert width == viewport.width or height == viewport.height
    source = Pillow.fromarray(np.zeros((80, 100), np.uint8))
    assert fit(source, viewport).size == (width, height)


def test_viewports_by_hand():
    assert place(Viewport(50, 50), 100, 80) == ((0, 0, 100, 80), (50, 40))
    assert place(Viewport(200, 800), 100, 80)[1] == (200, 160)
    assert place(Viewport(None, 40), 100, 80)[1] == (50, 40)
    assert place(Viewport(50, 50, 90, 0, 50, 80), 100, 80) == ((90, 0, 100, 80), (6, 50))
    assert place(Viewport(None, None, 0.5, 0.25, 0.5, 0.5, True), 100, 80) == ((50, 20, 100, 60), (50, 40))
    with pytest.raises(BadParameter, match="region"):
        place(Viewport(5, 5, 100, 0, 1, 1), 100, 80)
    with pytest.raises(BadParameter, match="pixels"):
        place(Viewport(16000, 16000), 100, 100)
    assert place(Viewport(8000, 8000), 8000, 8000)[1] == (8000, 8000)


def test_regions_are_cut_and_flipped_exactly():
    values = np.arange(20, dtype=np.uint8).reshape(4, 5)
    source = Pillow.fromarray(values)
    assert fit(source, None) is source
    assert np.asarray(fit(source, Viewport(3, 2, 1, 1, 3, 2))).tolist() == [[6, 7, 8], [11, 12, 13]]
    assert np.asarray(fit(source, Viewport(3, 2, 1, 1, -3, 2))).tolist() == [[8, 7, 6], [13, 12, 11]]
    assert np.asarray(fit(source, Viewport(3, 2, 1, 1, 3, -2))).tolist() == [[11, 12, 13], [6, 7, 8]]


def described(**values) -> Image:
    dataset = {
        tag: {"vr": "LO", "Value": value if isinstance(value, list) else [value]} for tag, value in values.items()
    }
    return Image(dataset, "1.2.840.10008.1.2.1", 3, lambda _n: b"", native=True)


def test_annotations_say_who_and_how():
    image = described(
        **{
            "00100010": [{"Ideographic": "山田^太郎"}],
            "00100020": "123",
            "00100030": "19700102",
            "00080060": "MR",
            "00080020": "20200203",
            "00080030": "101500.5",
            "00200013": [7],
            "00200011": [2],
            "00200032": [1.0, -2.5, 3],
        }
    )
    assert patient_lines(image) == ["山田 太郎", "123", "1970-01-02"]
    assert technique_lines(image, 2) == ["MR", "series 2 image 7 frame 2 of 3", "2020-02-03 10:15", "position 1 -2.5 3"]
    assert technique_lines(image, 2, VoiWindow(40, 400))[-1] == "window 40 / 400"
    assert patient_lines(described()) == []
    plain = Pillow.new("L", (200, 100), 60)
    for mode in ("L", "RGB"):
        source = plain.convert(mode)
        marked = np.asarray(annotate(source, image, 1, frozenset(["patient"])).convert("L"))
        assert (marked[:50, :100] > 150).any()
        assert (marked[60:] == 60).all()
        below = np.asarray(annotate(source, image, 1, frozenset(["technique"])).convert("L"))
        assert (below[60:] > 150).any()
    assert annotate(plain, image, 1, frozenset()) is plain


def test_every_media_type():
    for mode in ("L", "RGB"):
        source = Pillow.fromarray((np.indices((40, 50)).sum(0) * 2).astype(np.uint8)).convert(mode)
        for kind, name in FORMATS.items():
            made = opened(encode_picture(source, kind, Rendering(quality=100)))
            assert made.format == name
            lossless = kind == "image/png" or kind == "image/jp2" or (kind == "image/gif" and mode == "L")
            if lossless:
                assert np.array_equal(np.asarray(made.convert(mode)), np.asarray(source))
    for side in (1, 2, 3, 5, 33):
        tiny = Pillow.new("L", (side, side), 9)
        assert all(opened(encode_picture(tiny, kind, Rendering())).size == (side, side) for kind in FORMATS)
    with pytest.raises(Unsupported, match="image/webp"):
        encode_picture(tiny, "image/webp", Rendering())


def test_animations():
    frames = [Pillow.new("RGB", (20, 10), (n * 40, 0, 255 - n)) for n in range(4)]
    made = opened(animate(iter(frames), [33.3, 33.3, 500, 1]))
    assert made.n_frames == 4
    durations = []
    for number, frame in enumerate(frames):
        made.seek(number)
        durations.append(made.info["duration"])
        assert np.array_equal(np.asarray(made.convert("RGB")), np.asarray(frame))
    assert durations == [30, 30, 500, 20]
    assert made.info["loop"] == 0
    with pytest.raises(TooLarge):
        animate(iter([Pillow.new("L", (4000, 4000))]), [40.0] * 100)
    with pytest.raises(PixelError):
        animate(iter([]), [])


def test_frame_times():
    assert frame_time(described(**{"00181063": ["40"]}), 2) == 40.0
    later = described(**{"00181065": [0, 50, 70]})
    assert [frame_time(later, number) for number in (1, 2, 3)] == [50.0, 70.0, 70.0]
    assert frame_time(described(**{"00082144": [25]}), 1) == 40.0
    assert frame_time(described(**{"00181063": [0], "00180040": [20]}), 3) == 100.0
    assert frame_time(described(), 1) == 100.0


def test_profiles():
    colours = Pillow.new("RGB", (4, 4), (200, 30, 90))
    plain = described()
    assert profile_of(plain, colours, "no") == (colours, None)
    assert profile_of(plain, colours.convert("L"), "srgb")[1] is None
    for name in ("srgb", "adobergb", "rommrgb"):
        profile = ImageCms.ImageCmsProfile(BytesIO(well_known(name)))
        assert profile.profile.xcolor_space.strip() == "RGB"
        made, embedded = profile_of(plain, colours, name)
        assert embedded == well_known(name)
        # Back in sRGB, the colour is what it was.
        back = ImageCms.profileToProfile(made, profile, ImageCms.ImageCmsProfile(BytesIO(well_known("srgb")))).getpixel(
            (0, 0)
        )
        assert np.abs(np.array(back) - (200, 30, 90)).max() <= 2
    adobe = profile_of(plain, Pillow.new("RGB", (1, 1), (0, 255, 0)), "adobergb")[0].getpixel((0, 0))
    assert np.abs(np.array(adobe) - (144, 255, 60)).max() <= 4  # sRGB's green in Adobe RGB


def test_the_images_own_profile():
    from base64 import b64encode

    own = well_known("adobergb")
    image = described()
    image.dataset["00282000"] = {"vr": "OB", "InlineBinary": b64encode(own).decode()}
    colours = Pillow.new("RGB", (1, 1), (144, 255, 60))
    assert profile_of(image, colours, "yes") == (colours, own)
    assert np.abs(np.array(profile_of(image, colours, "srgb")[0].getpixel((0, 0))) - (0, 255, 0)).max() <= 12
    image.dataset["00282000"] = {"vr": "OB", "InlineBinary": b64encode(b"no profile").decode()}
    with pytest.raises(PixelError, match="ICC"):
        profile_of(image, colours, "srgb")


def test_colours_of_sixteen_bits_and_of_a_limited_range():
    from dicouch.dicom.pixels.decode import Pixels

    wide = described(**{"00280002": [3], "00280100": [16], "00280101": [12], "00280103": [0]})
    array = np.array([[[0, 2048, 4095]]], np.uint16)
    assert render(wide, 1, Pixels(array, "RGB")).tolist() == [[[0, 128, 255]]]
    narrow = described(**{"00280002": [3], "00280100": [8], "00280103": [0]})
    array = np.array([[[16, 128, 128], [235, 128, 128]]], np.uint8)
    assert render(narrow, 1, Pixels(array, "YBR_PARTIAL_420")).tolist() == [[[0, 0, 0], [255, 255, 255]]]
    with pytest.raises(Unsupported, match="HSV"):
        render(narrow, 1, Pixels(array, "HSV"))


def test_a_frame_that_is_cut_off_is_shown_as_far_as_it_goes():
    assert np.asarray(picture(open_image(sample("MR_truncated.dcm")), 1)).shape == (64, 64)


@pytest.mark.parametrize("name", ["CT_small.dcm", "color3d_jpeg_baseline.dcm", "examples_palette.dcm", "liver.dcm"])
def test_thumbnails_are_small(name):
    image = open_image(sample(name))
    made = thumbnail(image)
    assert max(made.size) == 128
    assert abs(made.width / made.height - image.columns / image.rows) < 0.02
    assert max(thumbnail(image, Viewport(40, 30)).size) <= 40
    assert np.asarray(thumbnail(image, number=1)).any()


def test_signs():
    assert sign("SR").size == (128, 128)
    assert sign("A very long modality", Viewport(10, 90)).size == (10, 10)
    assert np.asarray(sign("SR")).max() > 200
