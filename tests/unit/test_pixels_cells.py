"""Values of a code stream in cells of Bits Allocated, which need not be those of the stream (PS3.5 8.2.1)."""

from io import BytesIO

import numpy as np
import pytest
from openjpeg.utils import encode_array
from PIL import Image as Pillow
from pydicom import dcmread
from pydicom.encaps import encapsulate, get_frame

from dicouch.dicom.errors import PixelError
from dicouch.dicom.pixels.decode import decode, native_bytes
from dicouch.dicom.pixels.render import picture
from dicouch.dicom.pixels.transcode import EXPLICIT, targets, transcode
from tests.made_objects import as_bytes
from tests.unit.made_codestreams import (
    BASELINE,
    EXTENDED,
    JPEG_2000_LOSSLESS,
    JPEG_LS,
    LOSSLESS_SV1,
    RLE,
    coloured,
    described,
    encoded,
    jpeg,
)
from tests.unit.made_images import open_image, open_stored, sample

GREY = (np.indices((40, 48)).sum(0) * 2 + 60).astype(np.uint8)  # 60 to 232


def grey_stream(syntax: str) -> tuple[bytes, np.ndarray]:
    """Return a stream of 8 bits a sample and its values."""
    if syntax in (BASELINE, EXTENDED):
        target = BytesIO()
        Pillow.fromarray(GREY).save(target, "JPEG", quality=95)
        data = target.getvalue()
        values = np.asarray(Pillow.open(BytesIO(data)))
        return (data if syntax == BASELINE else data.replace(b"\xff\xc0", b"\xff\xc1", 1)), values
    if syntax == LOSSLESS_SV1:
        dataset = dcmread(BytesIO(sample("JPGLosslessP14SV1_1s_1f_8b.dcm")))
        return get_frame(dataset.PixelData, 0), dataset.pixel_array
    return encoded(syntax, GREY, "MONOCHROME2"), GREY


@pytest.mark.parametrize("stored", [8, 12, 16])
@pytest.mark.parametrize("syntax", [BASELINE, EXTENDED, LOSSLESS_SV1, JPEG_LS, JPEG_2000_LOSSLESS, RLE])
@pytest.mark.filterwarnings("ignore")
def test_eight_bits_in_cells_of_sixteen(syntax, stored):
    data, values = grey_stream(syntax)
    rows, columns = values.shape
    wide = described(data, syntax, "MONOCHROME2", samples=1, rows=rows, columns=columns, bits=16, stored=stored)
    pixels = decode(wide, 1)
    assert pixels.array.dtype == np.uint16
    assert np.array_equal(pixels.array, values)
    assert native_bytes(wide, pixels) == values.astype("<u2").tobytes()
    if stored == 8:
        narrow = described(data, syntax, "MONOCHROME2", samples=1, rows=rows, columns=columns)
        assert np.array_equal(np.asarray(picture(wide, 1)), np.asarray(picture(narrow, 1)))


@pytest.mark.parametrize("syntax", [BASELINE, LOSSLESS_SV1, JPEG_LS, JPEG_2000_LOSSLESS, RLE])
@pytest.mark.filterwarnings("ignore")
def test_colours_in_cells_of_sixteen(syntax):
    size = {"rows": 100, "columns": 100} if syntax == LOSSLESS_SV1 else {}
    data = jpeg(syntax) if syntax in (BASELINE, LOSSLESS_SV1) else encoded(syntax, coloured())
    label = "YBR_FULL" if syntax == BASELINE else "RGB"
    narrow = decode(described(data, syntax, label, **size), 1)
    wide = decode(described(data, syntax, label, bits=16, **size), 1)
    assert wide.array.dtype == np.uint16
    assert wide.photometric == narrow.photometric == "RGB"
    assert np.array_equal(wide.array, narrow.array)


@pytest.mark.parametrize("syntax", [RLE, LOSSLESS_SV1])
@pytest.mark.filterwarnings("ignore")
def test_the_sign_is_the_highest_of_the_bits_stored(syntax):
    data, values = grey_stream(syntax)
    size = {"samples": 1, "rows": values.shape[0], "columns": values.shape[1]}
    signed = decode(described(data, syntax, "MONOCHROME2", bits=16, stored=8, signed=1, **size), 1).array
    assert signed.dtype == np.int16
    assert np.array_equal(signed, values.view(np.int8))
    more = decode(described(data, syntax, "MONOCHROME2", bits=16, stored=12, signed=1, **size), 1).array
    assert np.array_equal(more, values)


@pytest.mark.parametrize("bits", [16, 32])
def test_signed_jpeg_2000_keeps_its_sign(bits):
    values = GREY.view(np.int8)
    data = encode_array(values, bits_stored=8)
    image = described(data, JPEG_2000_LOSSLESS, "MONOCHROME2", samples=1, bits=bits, stored=8, signed=1)
    assert np.array_equal(decode(image, 1).array, values)
    assert decode(image, 1).array.dtype.itemsize == bits // 8


@pytest.mark.parametrize("syntax", [JPEG_2000_LOSSLESS, JPEG_LS, RLE])
def test_more_bits_than_are_allocated_are_refused_not_cut(syntax):
    data = encoded(syntax, GREY.astype(np.uint16) * 200, "MONOCHROME2")
    with pytest.raises(PixelError, match="more than are allocated"):
        decode(described(data, syntax, "MONOCHROME2", samples=1), 1)


def test_a_file_of_eight_bits_in_sixteen_is_had_in_every_form():
    dataset = dcmread(BytesIO(sample("SC_rgb_jpeg_dcmtk.dcm")))
    data, values = grey_stream(BASELINE)
    dataset.Rows, dataset.Columns, dataset.SamplesPerPixel = 40, 48, 1
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, 8, 7
    dataset.PhotometricInterpretation = "MONOCHROME2"
    del dataset.PlanarConfiguration
    dataset.PixelData = encapsulate([data])
    stored = open_stored(as_bytes(dataset))
    assert EXPLICIT in targets(stored)
    for target in targets(stored)[1:]:
        after = dcmread(BytesIO(b"".join(transcode(stored, target)[1])))
        assert after.BitsAllocated == 16
        assert np.array_equal(after.pixel_array, values)


def test_jpeg_of_twelve_bits_with_a_careless_scan_header():
    # The spectral selection of JPEG-lossy.dcm ends at 0, which says nothing in a sequential process (ITU-T T.81 Table
    # B.3). GDCM 3.2.6 reads these values (libjpeg 6b, 1.4 % of the pixels a level apart).
    image = open_image(sample("JPEG-lossy.dcm"))
    array = decode(image, 1).array
    assert array.dtype == np.uint16
    assert array.shape == (1024, 256)
    assert (array[420, 140], array[230, 120], array.min(), array.max()) == (244, 95, 0, 264)
    assert array[500:504, 100:104].tolist() == [[31, 28, 24, 21], [29, 27, 25, 23], [25, 26, 26, 27], [23, 25, 27, 29]]
    assert abs(int(array.sum()) - 3767007) < 3600
    assert np.asarray(picture(image, 1)).any()
