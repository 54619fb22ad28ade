"""Colour code streams with any of the markers that say what their components are."""

from __future__ import annotations

import functools
from io import BytesIO
from struct import unpack_from

import numpy as np
from PIL import Image as Pillow
from pydicom import dcmread
from pydicom.encaps import get_frame
from pydicom.pixels.encoders.base import get_encoder

from dicouch.dicom.pixels.image import Image
from tests.unit.made_images import sample

BASELINE, EXTENDED, LOSSLESS_SV1 = (f"1.2.840.10008.1.2.4.{last}" for last in (50, 51, 70))
JPEG_LS, JPEG_2000_LOSSLESS, JPEG_2000 = (f"1.2.840.10008.1.2.4.{last}" for last in (80, 90, 91))
RLE = "1.2.840.10008.1.2.5"

JFIF = bytes.fromhex("ffe000104a46494600010100000100010000")
COLOUR = (220, 30, 40)
LABELS = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT")


def coloured() -> np.ndarray:
    """Return 40 x 48 pixels of one colour, but for a corner."""
    array = np.full((40, 48, 3), COLOUR, np.uint8)
    array[20:, 24:] = (10, 200, 90)
    return array


def described(data: bytes, syntax: str, label: str, **attributes) -> Image:
    """Return an image of one frame; attributes (rows, columns, samples, planar, bits, stored, signed) by name."""
    values = {
        "samples": 3, "rows": 40, "columns": 48, "bits": 8, "stored": 8, "signed": 0, "planar": 0, **attributes,
    }  # fmt: skip
    tags = {
        "00280002": "samples", "00280006": "planar", "00280010": "rows", "00280011": "columns", "00280100": "bits",
        "00280101": "stored", "00280103": "signed",
    }  # fmt: skip
    dataset = {tag: {"vr": "US", "Value": [values[name]]} for tag, name in tags.items()}
    dataset |= {"00280004": {"vr": "CS", "Value": [label]}, "7FE00010": {"vr": "OB"}}
    return Image(dataset, syntax, 1, lambda _number: data)


def bare(data: bytes) -> bytes:
    """Return a JPEG stream without application segments."""
    kept, position = data[:2], 2
    while True:
        marker, length = unpack_from(">xBH", data, position)
        if not 0xE0 <= marker <= 0xEF:
            kept += data[position : position + 2 + length]
        position += 2 + length
        if marker == 0xDA:
            return kept + data[position:]


def marked(data: bytes, adobe: int | None = None, jfif: bool = False, names: bytes = b"") -> bytes:
    """Return a bare JPEG stream with the marker of JFIF, or Adobe's with a transform, or other names of components."""
    data = bytearray(data)
    if names:
        frame = min(data.find(bytes((0xFF, marker))) % len(data) for marker in (0xC0, 0xC1, 0xC3, 0xF7))
        data[frame + 10 : frame + 19 : 3] = names
        scan = data.find(b"\xff\xda")
        data[scan + 5 : scan + 11 : 2] = names
    app14 = b"" if adobe is None else b"\xff\xee\x00\x0eAdobe\x00\x64\0\0\0\0" + bytes((adobe,))
    return bytes(data[:2]) + (JFIF if jfif else b"") + app14 + bytes(data[2:])


@functools.cache
def jpeg(syntax: str = BASELINE, subsampling: int = 0) -> bytes:
    """Return YCbCr of baseline or extended JPEG, or RGB of lossless JPEG (100 x 100 pixels), without markers."""
    if syntax == LOSSLESS_SV1:
        stream = get_frame(dcmread(BytesIO(sample("SC_rgb_jpeg_gdcm.dcm"))).PixelData, 0)
        return marked(bare(stream), names=bytes((1, 2, 3)))
    target = BytesIO()
    Pillow.fromarray(coloured()).save(target, "JPEG", quality=95, subsampling=subsampling)
    data = bare(target.getvalue())
    return data if syntax == BASELINE else data.replace(b"\xff\xc0", b"\xff\xc1", 1)


def encoded(syntax: str, array: np.ndarray, label: str = "RGB", **options) -> bytes:
    """Return an array as pydicom encodes it."""
    bits = array.dtype.itemsize * 8
    described = {
        "rows": array.shape[0], "columns": array.shape[1], "samples_per_pixel": 3 if array.ndim == 3 else 1,
        "photometric_interpretation": label, "bits_allocated": bits, "bits_stored": bits, "planar_configuration": 0,
        "pixel_representation": int(array.dtype.kind == "i"), "number_of_frames": 1,
    }  # fmt: skip
    return bytes(get_encoder(syntax).encode(array, **described | options))
