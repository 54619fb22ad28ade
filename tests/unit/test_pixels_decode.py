"""Frames decoded here equal pydicom's own decoding, for every readable file of pydicom and pydicom-data."""

import zlib
from io import BytesIO

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.pixels.processing import convert_color_space

from dicouch.dicom.errors import PixelError, TooLarge, Unsupported
from dicouch.dicom.pixels.decode import FRAME_LIMIT, can_decode, decode, native_bytes
from dicouch.dicom.pixels.image import Image
from tests.made_objects import pixels_of, segmentations
from tests.unit.made_images import document_of, image_files, open_image, sample

# Files whose pixels nobody can read, and what is wrong with them.
BROKEN = {
    "JPEG2000-embedded-sequence-delimiter.dcm": "pixels",
    "MR_truncated.dcm": "8130 of 8192 bytes",
}
# Read here, though pydicom stumbles over the file's header.
ONLY_HERE = {"JPEG-lossy.dcm", "badVR.dcm", "OT-PAL-8-face.dcm", "emri_small_jpeg_2k_lossless_too_short.dcm"}


@pytest.mark.parametrize("name", image_files())
@pytest.mark.filterwarnings("ignore")
def test_every_frame_equals_pydicoms(name):
    data = image_files()[name]
    image = open_image(data)
    if name in BROKEN:
        with pytest.raises(PixelError, match=BROKEN[name]):
            decode(image, 1)
        return
    frames = [decode(image, number) for number in range(1, min(image.count, 6) + 1)]
    if name in ONLY_HERE:
        assert all(frame.array.any() for frame in frames)
        return
    expected = pixels_of(dcmread(BytesIO(data), force=True))
    expected = expected if image.count > 1 else expected[None]
    assert len(expected) == image.count
    for frame, wanted in zip(frames, expected, strict=False):
        array = frame.array
        if frame.photometric == "YBR_FULL":
            # pydicom converts what is stored as YBR; here it stays as it is, unless it was lossy JPEG.
            array = convert_color_space(array, "YBR_FULL", "RGB")
        assert array.shape == wanted.shape
        assert array.dtype == wanted.dtype.newbyteorder("=")
        assert np.array_equal(array, wanted)


def test_there_are_files_of_every_kind():
    assert len(image_files()) > 150
    assert len({document_of(data)["file"]["transferSyntax"] for data in image_files().values()}) >= 12
    assert all(can_decode(open_image(data).transfer_syntax) for data in image_files().values())


@pytest.mark.parametrize(("kind", "data"), segmentations().items())
def test_segmentations_of_highdicom(kind, data):
    image = open_image(data)
    expected = pixels_of(dcmread(BytesIO(data)))
    expected = expected if image.count > 1 else expected[None]
    for number, wanted in enumerate(expected, 1):
        assert np.array_equal(decode(image, number).array, wanted)


def made(data: bytes, native: bool = True, syntax: str = "1.2.840.10008.1.2.1", **attributes) -> Image:
    """Make an image of 2 x 2 pixels; attributes replace its elements by keyword."""
    tags = {
        "samples": "00280002", "photometric": "00280004", "rows": "00280010", "columns": "00280011",
        "bits": "00280100", "stored": "00280101", "signed": "00280103", "planar": "00280006",
    }  # fmt: skip
    values = {"samples": 1, "photometric": "MONOCHROME2", "rows": 2, "columns": 2, "bits": 8, "signed": 0} | attributes
    dataset = {tags[name]: {"vr": "US", "Value": [value]} for name, value in values.items() if value is not None}
    return Image({**dataset, "7FE00010": {"vr": "OW"}}, syntax, 1, lambda _number: data, native=native)


def test_unused_bits_are_cut_off_and_signs_kept():
    data = np.array([0xF001, 0x0FFF, 0x0800, 0xA7FF], "<u2").tobytes()
    unsigned = decode(made(data, bits=16, stored=12), 1).array
    assert unsigned.tolist() == [[1, 4095], [2048, 2047]]
    signed = decode(made(data, bits=16, stored=12, signed=1), 1).array
    assert signed.tolist() == [[1, -1], [-2048, 2047]]


def test_single_bits():
    assert decode(made(b"\x06", bits=1), 1).array.tolist() == [[0, 1], [1, 0]]


def test_planes_become_pixels_and_planes_again():
    image = made(bytes(range(12)), samples=3, photometric="RGB", planar=1)
    pixels = decode(image, 1)
    assert pixels.array[0, 0].tolist() == [0, 4, 8]
    assert native_bytes(image, pixels) == bytes(range(12))


def test_subsampled_colours_are_expanded():
    image = made(bytes([10, 20, 128, 130, 30, 40, 126, 129]), samples=3, photometric="YBR_FULL_422", planar=0)
    pixels = decode(image, 1)
    assert pixels.photometric == "YBR_FULL"
    assert pixels.array.reshape(-1, 3).tolist() == [[10, 128, 130], [20, 128, 130], [30, 126, 129], [40, 126, 129]]


def test_a_pad_byte_is_no_pixel():
    assert decode(made(b"\1\2\3\4\5\6\0", samples=1, rows=2, columns=3), 1).array.tolist() == [[1, 2, 3], [4, 5, 6]]


def test_what_is_missing_is_zero_when_asked_for():
    image = made(b"\1\2\3")
    with pytest.raises(PixelError, match="3 of 4 bytes"):
        decode(image, 1)
    assert decode(image, 1, pad=True).array.tolist() == [[1, 2], [3, 0]]


@pytest.mark.parametrize(
    ("attributes", "reason"),
    [
        ({"rows": None}, "Rows"),
        ({"columns": 0}, "Columns"),
        ({"bits": None}, "Bits Allocated"),
        ({"bits": 12}, "12"),
        ({"stored": 9}, "9"),
        ({"samples": 4}, "4 samples"),
        ({"rows": "many"}, "Rows"),
    ],
)
def test_descriptions_that_fit_no_pixels(attributes, reason):
    with pytest.raises(Unsupported, match=reason):
        decode(made(bytes(16), **attributes), 1)


def test_a_frame_larger_than_any_is_not_tried():
    with pytest.raises(TooLarge):
        decode(made(b"", rows=65535, columns=65535, bits=16), 1)
    assert FRAME_LIMIT < 65535 * 65535 * 2


@pytest.mark.parametrize("name", ["SC_rgb_jpeg_dcmtk.dcm", "JPEG2000.dcm", "MR_small_jpeg_ls_lossless.dcm"])
def test_a_code_stream_of_another_size_is_not_decoded(name):
    image = open_image(sample(name))
    image.dataset["00280010"]["Value"] = [image.rows - 1]
    with pytest.raises(PixelError, match="is an image of"):
        decode(image, 1)


@pytest.mark.parametrize(
    "name", ["SC_rgb_jpeg_dcmtk.dcm", "JPEG2000.dcm", "MR_small_jpeg_ls_lossless.dcm", "MR_small_RLE.dcm"]
)
@pytest.mark.filterwarnings("ignore")
def test_damaged_code_streams_are_told_or_read(name):
    image = open_image(sample(name))
    whole, told = image.frame(1), []
    for cut in (0, 1, 2, 3, 10, len(whole) // 3, len(whole) - 5):
        damaged = Image(image.dataset, image.transfer_syntax, 1, lambda _n, cut=cut: whole[:cut])
        try:
            shape = decode(damaged, 1).array.shape[:2]
        except PixelError as problem:
            told.append(str(problem))
            continue
        assert shape == (image.rows, image.columns)
    assert told
    assert not any("\n" in text for text in told)


def test_deflated_and_uncompressed_frames():
    deflater = zlib.compressobj(9, zlib.DEFLATED, -15)
    deflated = deflater.compress(b"\1\2\3\4") + deflater.flush()
    image = made(deflated, native=False, syntax="1.2.840.10008.1.2.8.1")
    assert decode(image, 1).array.tolist() == [[1, 2], [3, 4]]
    with pytest.raises(PixelError, match="inflated"):
        decode(made(b"\xff\xff", native=False, syntax="1.2.840.10008.1.2.8.1"), 1)
    bomb = zlib.compressobj(9, zlib.DEFLATED, -15)
    data = bomb.compress(bytes(50_000_000)) + bomb.flush()
    assert decode(made(data, native=False, syntax="1.2.840.10008.1.2.8.1"), 1).array.tolist() == [[0, 0], [0, 0]]
    plain = made(b"\1\2\3\4", native=False, syntax="1.2.840.10008.1.2.1.98")
    assert decode(plain, 1).array.tolist() == [[1, 2], [3, 4]]


def test_video_has_no_decoder():
    assert not can_decode("1.2.840.10008.1.2.4.102")
    with pytest.raises(Unsupported, match=r"1\.2\.840\.10008\.1\.2\.4\.102"):
        decode(made(b"", native=False, syntax="1.2.840.10008.1.2.4.102"), 1)
