"""Colours are what the code stream says they are; the label counts where it says nothing (PS3.5 8.2.1).

Right are libjpeg-turbo's own RGB, through Pillow, and what pydicom decodes.
"""

import json
from base64 import b64decode
from io import BytesIO
from itertools import product
from pathlib import Path
from random import Random

import numpy as np
import pytest
from openjpeg.utils import encode_array
from PIL import Image as Pillow
from pydicom import dcmread

from dicouch.dicom.errors import PixelError
from dicouch.dicom.pixels.codestream import identify, read_header
from dicouch.dicom.pixels.decode import decode, native_bytes
from dicouch.dicom.pixels.render import picture
from tests.unit.made_codestreams import (
    BASELINE,
    COLOUR,
    EXTENDED,
    JPEG_2000,
    JPEG_2000_LOSSLESS,
    JPEG_LS,
    LABELS,
    LOSSLESS_SV1,
    RLE,
    bare,
    coloured,
    described,
    encoded,
    jpeg,
    marked,
)
from tests.unit.made_images import open_image, sample

MARKERS = [*product((None, 0, 1, 2), (False, True))]


def close(array, expected, levels: int) -> bool:
    return np.abs(np.asarray(array).astype(int) - np.asarray(expected)).max() <= levels


def shown_as(image, expected, levels: int = 1) -> None:
    """Frames, rendered images and planes are of these colours; a native copy is called RGB."""
    pixels = decode(image, 1)
    assert pixels.photometric == "RGB"
    assert close(pixels.array, expected, levels)
    assert close(picture(image, 1), expected, levels)
    assert len(native_bytes(image, pixels)) == np.asarray(expected).size


@pytest.mark.parametrize("label", LABELS)
@pytest.mark.parametrize(("adobe", "jfif"), MARKERS)
@pytest.mark.parametrize("subsampling", [0, 1, 2])
@pytest.mark.parametrize("syntax", [BASELINE, EXTENDED])
def test_lossy_jpeg_is_what_libjpeg_makes_of_it(syntax, subsampling, adobe, jfif, label):
    data = marked(jpeg(syntax, subsampling), adobe, jfif)
    own = Pillow.open(BytesIO(data))
    if (adobe, jfif, label) == (None, False, "RGB"):
        own.draft("YCbCr", own.size)  # nothing but the label says what the components are: they are RGB already
    shown_as(described(data, syntax, label), np.asarray(own))


@pytest.mark.parametrize(("adobe", "jfif"), MARKERS)
@pytest.mark.parametrize("label", LABELS)
def test_components_that_are_named_rgb(adobe, jfif, label):
    data = marked(jpeg(), adobe, jfif, names=b"RGB")
    shown_as(described(data, BASELINE, label), np.asarray(Pillow.open(BytesIO(data))))


def test_a_colour_by_hand():
    data = marked(jpeg(), adobe=1)
    for label in LABELS:
        assert close(decode(described(data, BASELINE, label), 1).array[0, 0], COLOUR, 3)
        assert close(picture(described(data, BASELINE, label), 1).getpixel((0, 0)), COLOUR, 3)


# 40 x 48 pixels of YCbCr, JFIF, 4:4:4, 12 bits, by libjpeg-turbo's own encoder: 16 times the colours of `coloured`.
TWELVE_BITS = b64decode(
    "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAAEBAQEBAQEBAQEBAQEBAQIBAQEBAQIBAQECAgICAgICAgIDAwQDAwMDAwICAwQDAwQEBAQEAgMFBQ"
    "QEBQQEBAT/2wBDAQEBAQEBAQIBAQIEAwIDBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAT/wQARDAAo"
    "ADADAREAAhEBAxEB/8QAFgABAQEAAAAAAAAAAAAAAAAAAA0M/8QAGBABAAMBAAAAAAAAAAAAAAAAABxqquj/xAAZAQEAAwEBAAAAAAAAAAAAAA"
    "AACg4PCQz/xAAcEQEAAAcBAAAAAAAAAAAAAAAAGB5ma6Sq5Or/2gAMAwEAAhEDEQA/AJfu8Tut4wAAAAAAAAAAAAAA1VkZTuy5uupHQiBCqsHs"
    "VLvmjWsamzL59yMp3Zc3XUhAhVWD2E0a1jU2ZfPuRlO7Lm66kIEKqwewmjWsamzL592VTc91tEAAFVYSEGS74ACVTo97WiAABVWEhBku+AA//9"
    "k="
)


@pytest.mark.parametrize("label", LABELS)
def test_colours_of_twelve_bits(label):
    image = described(TWELVE_BITS, EXTENDED, label, bits=16, stored=12)
    pixels = decode(image, 1)
    assert pixels.photometric == "RGB"
    assert close(pixels.array[0, 0], (3520, 480, 640), 0)  # libjpeg-turbo's own
    assert close(pixels.array[30, 30], (160, 3200, 1440), 1)
    assert close(picture(image, 1), coloured(), 2)


def test_adobes_marker_that_is_cut_off_says_nothing():
    # SC_rgb_jpeg.dcm of pydicom has one of seven bytes.
    assert read_header(open_image(sample("SC_rgb_jpeg.dcm")).frame(1)).colours == ""


@pytest.mark.parametrize("label", LABELS)
@pytest.mark.parametrize(("adobe", "jfif"), MARKERS)
@pytest.mark.parametrize("names", [b"\1\2\3", b"RGB"])
@pytest.mark.filterwarnings("ignore")
def test_lossless_jpeg_is_what_pydicom_makes_of_it(names, adobe, jfif, label):
    data = marked(jpeg(LOSSLESS_SV1), adobe, jfif, names)
    dataset = dcmread(BytesIO(sample("SC_rgb_jpeg_gdcm.dcm")))
    stored = dataset.pixel_array  # which no decoder transforms
    image = described(data, LOSSLESS_SV1, label, rows=100, columns=100)
    pixels = decode(image, 1)
    is_ybr = names != b"RGB" and (jfif or label.startswith("YBR_FULL"))
    converted = np.asarray(Pillow.frombytes("YCbCr", (100, 100), stored.tobytes()).convert("RGB"))
    assert close(picture(image, 1), converted if is_ybr else stored, 1)
    if is_ybr and label.startswith("YBR_FULL"):
        assert pixels.photometric == "YBR_FULL"
        assert np.array_equal(pixels.array, stored)
    else:
        assert pixels.photometric == "RGB"
        assert close(pixels.array, converted if is_ybr else stored, 1)


@pytest.mark.parametrize("label", LABELS)
@pytest.mark.parametrize(("jfif", "names"), [(False, b""), (True, b""), (False, b"RGB"), (True, b"RGB")])
def test_jpeg_ls(jfif, names, label):
    data = encoded(JPEG_LS, coloured())
    image = described(marked(data, jfif=jfif, names=names), JPEG_LS, label)
    is_ybr = not names and (jfif or label.startswith("YBR_FULL"))
    converted = np.asarray(Pillow.fromarray(coloured(), "YCbCr").convert("RGB"))
    assert close(picture(image, 1), converted if is_ybr else coloured(), 1)
    labelled = is_ybr and label.startswith("YBR_FULL")
    assert decode(image, 1).photometric == ("YBR_FULL" if labelled else "RGB")


@pytest.mark.parametrize("label", LABELS)
@pytest.mark.parametrize("syntax", [JPEG_2000_LOSSLESS, JPEG_2000])
def test_jpeg_2000_with_its_transform_is_rgb(syntax, label):
    # ITU-T T.800 G: a decoder reverses it.
    data = encode_array(coloured(), photometric_interpretation=1, use_mct=True)
    assert read_header(data).colours == "RGB"
    shown_as(described(data, syntax, label), coloured(), 0)


@pytest.mark.parametrize("label", ["RGB", "YBR_ICT", "YBR_RCT"])
def test_jpeg_2000_without_its_transform_is_rgb_all_the_same(label):
    data = encode_array(coloured(), photometric_interpretation=1, use_mct=False)
    assert read_header(data).colours == ""
    shown_as(described(data, JPEG_2000_LOSSLESS, label), coloured(), 0)


@pytest.mark.parametrize("label", ["YBR_FULL", "YBR_FULL_422"])
@pytest.mark.parametrize("syntax", [JPEG_2000_LOSSLESS, RLE, JPEG_LS])
def test_what_only_the_label_calls_ybr_stays_so_and_is_shown_as_rgb(syntax, label):
    coded = np.asarray(Pillow.fromarray(coloured()).convert("YCbCr"))
    if syntax == JPEG_2000_LOSSLESS:
        data = encode_array(coded, photometric_interpretation=0, use_mct=False)
    else:
        data = encoded(syntax, coded, "YBR_FULL")
    image = described(data, syntax, label)
    pixels = decode(image, 1)
    assert pixels.photometric == "YBR_FULL"
    assert np.array_equal(pixels.array, coded)
    assert close(picture(image, 1), coloured(), 3)


@pytest.mark.parametrize("label", LABELS)
def test_ycbcr_of_a_jp2_file_is_rgb_once_it_is_decoded(label):
    # OpenJPEG converts what the file calls sYCC.
    coded = np.asarray(Pillow.fromarray(coloured()).convert("YCbCr"))
    data = encode_array(coded, photometric_interpretation=3, codec_format=1)
    shown_as(described(data, JPEG_2000_LOSSLESS, label), coloured(), 2)


@pytest.mark.parametrize("planar", [0, 1])
@pytest.mark.parametrize("syntax", [BASELINE, EXTENDED, LOSSLESS_SV1, JPEG_LS, JPEG_2000_LOSSLESS, "no-mct", RLE])
def test_planar_configuration_counts_for_native_pixels_only(syntax, planar):
    # PS3.5 8.2, PS3.3 C.7.6.3.1.3: of what is compressed it says how it is to be written uncompressed.
    size = {}
    if syntax in (BASELINE, EXTENDED):
        data = marked(jpeg(syntax), adobe=1)
        expected = np.asarray(Pillow.open(BytesIO(data)))
    elif syntax == LOSSLESS_SV1:
        data, size = jpeg(syntax), {"rows": 100, "columns": 100}
        expected = dcmread(BytesIO(sample("SC_rgb_jpeg_gdcm.dcm"))).pixel_array
    elif syntax in (JPEG_2000_LOSSLESS, "no-mct"):
        data = encode_array(coloured(), photometric_interpretation=1, use_mct=syntax != "no-mct")
        syntax, expected = JPEG_2000_LOSSLESS, coloured()
    else:
        data, expected = encoded(syntax, coloured()), coloured()
    image = described(data, syntax, "RGB", planar=planar, **size)
    pixels = decode(image, 1)
    assert np.array_equal(pixels.array, expected)
    assert np.array_equal(np.asarray(picture(image, 1)), expected)
    native = np.frombuffer(native_bytes(image, pixels), np.uint8)
    assert np.array_equal(native, (expected.transpose(2, 0, 1) if planar else expected).reshape(-1))


def test_what_is_stored_without_a_label_is_given_the_right_one():
    # PS3.18 10.5.2: an upload of metadata and image/jpeg.
    assert identify(marked(jpeg(), adobe=1)).photometric == "YBR_FULL"
    assert identify(marked(jpeg(BASELINE, 1), adobe=1)).photometric == "YBR_FULL_422"
    assert identify(marked(jpeg(), adobe=0)).photometric == "RGB"
    assert identify(marked(jpeg(), adobe=0, jfif=True)).photometric == "YBR_FULL"
    assert identify(marked(jpeg(), names=b"RGB")).photometric == "RGB"
    assert identify(bare(jpeg(LOSSLESS_SV1))).photometric == "RGB"


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("syntax", [BASELINE, RLE])
@pytest.mark.filterwarnings("ignore")
def test_whatever_is_changed_in_a_stream_is_told_or_read(syntax, bits):
    random = Random(bits)
    whole = marked(jpeg(), adobe=1, jfif=True) if syntax == BASELINE else encoded(RLE, coloured())
    told = 0
    for label in LABELS * 40:
        data = bytearray(whole)
        for _ in range(3):
            data[random.randrange(min(len(data), 700))] = random.randrange(256)
        image = described(bytes(data), syntax, label, bits=bits)
        identify(image.frame(1))
        try:
            assert decode(image, 1).array.shape == (40, 48, 3)
        except PixelError:
            told += 1
    assert 0 < told < 200


HTJ2K = [f"1.2.840.10008.1.2.4.{last}" for last in (201, 202, 203)]
# What OpenJPH (imagecodecs 2026.3) makes of `coloured`, reversible or not, with and without its transform, and of its
# YCbCr without.
STREAMS = {
    name: b64decode(text)
    for name, text in json.loads((Path(__file__).parents[1] / "fixtures" / "htj2k.json").read_text()).items()
}


@pytest.mark.parametrize("label", LABELS)
@pytest.mark.parametrize("syntax", HTJ2K)
@pytest.mark.parametrize(("name", "off"), [("rct", 0), ("ict", 3)])
def test_htj2k_with_its_transform_is_rgb(name, off, syntax, label):
    # ITU-T T.814 6.2: the transforms of T.800 G, which a decoder reverses.
    assert read_header(STREAMS[name]).colours == "RGB"
    shown_as(described(STREAMS[name], syntax, label), coloured(), off)


@pytest.mark.parametrize("label", LABELS)
@pytest.mark.parametrize("syntax", HTJ2K)
def test_htj2k_without_its_transform_is_what_its_label_says(syntax, label):
    assert read_header(STREAMS["none"]).colours == ""
    if label.startswith("YBR_FULL"):
        image = described(STREAMS["ycbcr"], syntax, label)
        pixels = decode(image, 1)
        assert pixels.photometric == "YBR_FULL"
        assert np.array_equal(pixels.array, np.asarray(Pillow.fromarray(coloured()).convert("YCbCr")))
        assert close(picture(image, 1), coloured(), 3)
    else:
        shown_as(described(STREAMS["none"], syntax, label), coloured(), 0)
