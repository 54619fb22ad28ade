"""Frames to arrays, through pydicom's decoders and their plugins (PS3.5 8.2, A.4)."""

from __future__ import annotations

import logging
import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from pydicom.encaps import encapsulate
from pydicom.pixels.decoders.base import get_decoder
from pydicom.pixels.processing import convert_color_space
from pydicom.uid import (
    ExplicitVRLittleEndian,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)

from dicouch.dicom.errors import PixelError, TooLarge, Unsupported, one_line
from dicouch.dicom.pixels.codestream import Header, read_header
from dicouch.dicom.pixels.guard import GUARD
from dicouch.dicom.pixels.image import Image

FRAME_LIMIT = 512 * 1024 * 1024
"""Largest decoded frame (bytes). A slide or a tomosynthesis slice has a tenth of it; a forged header asks for more."""

DEFLATED_FRAMES = "1.2.840.10008.1.2.8.1"
"""Deflated Image Frame Compression (PS3.5 A.4.13), which pydicom 3.0 has no decoder for."""

UNCOMPRESSED_FRAMES = "1.2.840.10008.1.2.1.98"
"""Encapsulated Uncompressed Explicit VR Little Endian (PS3.5 A.4.11): native pixels in fragments."""

# Lossy JPEG is stored as YBR and shown as RGB; an uncompressed copy of it is RGB everywhere.
_LOSSY_JPEG = frozenset((JPEGBaseline8Bit, JPEGExtended12Bit))
_JPEG_LS = frozenset((JPEGLSLossless, JPEGLSNearLossless))

# What a plugin says of a damaged frame is told to the client; pydicom would log its traceback each time.
logging.getLogger("pydicom").setLevel(logging.CRITICAL)


@dataclass(frozen=True)
class Pixels:
    """One decoded frame and the Photometric Interpretation of its array.

    The shape is (rows, columns), or (rows, columns, samples) for more than one sample per pixel. The type is that of
    Bits Allocated and Pixel Representation; float for float pixel data; uint8 of 0 and 1 for 1-bit pixels.
    """

    array: np.ndarray
    photometric: str


def can_decode(transfer_syntax: str) -> bool:
    """Return whether frames in a transfer syntax can be decoded here."""
    if transfer_syntax in (DEFLATED_FRAMES, UNCOMPRESSED_FRAMES):
        return True
    try:
        return get_decoder(transfer_syntax).is_available
    except NotImplementedError:
        return False


def decode(image: Image, number: int, *, pad: bool = False, rgb: bool = True) -> Pixels:
    """Decode a frame as faithfully as its transfer syntax allows.

    Colour stays as it is stored, but for JPEG 2000's own transforms, which a decoder reverses, and lossy JPEG, which
    comes as RGB.

    Parameters
    ----------
    pad : bool
        Take what is there of a native frame that is cut off; the rest is 0.
    rgb : bool
        Convert lossy JPEG to RGB.

    Raises
    ------
    Unsupported
        There is no decoder for it, or the image description is no valid one.
    PixelError
        The frame is damaged.
    TooLarge
        It would decode to more than `FRAME_LIMIT` bytes.
    """
    _check_description(image)
    data = image.frame(number)
    if image.transfer_syntax == DEFLATED_FRAMES:
        try:
            data = zlib.decompressobj(-zlib.MAX_WBITS).decompress(data, frame_bytes(image) + 1)
        except zlib.error as problem:
            raise PixelError(f"a frame cannot be inflated: {problem}") from problem
    elif not image.native and image.transfer_syntax != UNCOMPRESSED_FRAMES:
        return _compressed(image, number, data, rgb)
    return _native(image, number, data, pad)


def frame_bytes(image: Image) -> int:
    """Return the size (bytes) of one frame with all samples of every pixel, native."""
    return (image.rows * image.columns * image.samples * image.bits_allocated + 7) // 8


def _check_description(image: Image) -> None:
    """Refuse an image whose description fits no pixel data."""
    bits, stored, samples = image.bits_allocated, image.bits_stored, image.samples
    if bits not in (1, 8, 16, 32, 64) or not 1 <= stored <= bits:
        raise Unsupported(f"pixels of {stored} bits in {bits} are not supported")
    if samples not in (1, 3):
        raise Unsupported(f"images with {samples} samples per pixel are not supported")
    if frame_bytes(image) > FRAME_LIMIT:
        raise TooLarge(f"a frame of {image.rows} x {image.columns} pixels is more than this server decodes")


def _options(image: Image) -> dict[str, Any]:
    keyword = {"7FE00008": "FloatPixelData", "7FE00009": "DoubleFloatPixelData"}.get(image.pixel_tag, "PixelData")
    # What pydicom would check, `_check_description` has.
    return {**image.description, "pixel_keyword": keyword, "validate": False, "raw": True, "index": 0}


def _native(image: Image, number: int, data: bytes, pad: bool) -> Pixels:
    options = _options(image)
    full = expected = frame_bytes(image)
    if image.photometric == "YBR_FULL_422":
        if len(data) >= full:
            options["photometric_interpretation"] = "YBR_FULL"  # called subsampled, and is not
        else:
            expected = full // 3 * 2
    if pad and 0 < len(data) < expected:
        data += bytes(expected - len(data))
    if len(data) < expected:
        raise PixelError(f"frame {number} has {len(data)} of {expected} bytes")
    try:
        array, described = get_decoder(ExplicitVRLittleEndian).as_array(data, **options)
    except (ValueError, AttributeError, NotImplementedError) as problem:
        raise PixelError(f"frame {number} cannot be read: {one_line(problem)}") from problem
    return Pixels(array, str(described["photometric_interpretation"]))


def _compressed(image: Image, number: int, data: bytes, rgb: bool) -> Pixels:
    if not can_decode(image.transfer_syntax):
        raise Unsupported(f"there is no decoder for the transfer syntax {image.transfer_syntax}")
    header = read_header(data)
    # A decoder believes the code stream, and would make room for whatever it says.
    if header and (header.columns != image.columns or header.rows not in (0, image.rows)):
        raise PixelError(
            f"frame {number} is an image of {header.rows} x {header.columns} pixels, not {image.rows} x {image.columns}"
        )
    if image.transfer_syntax in _LOSSY_JPEG and header and header.precision > 8 >= image.bits_allocated:
        raise PixelError(f"frame {number} has {header.precision} bits, more than are allocated")
    try:
        array, described = _run(image.transfer_syntax, data, _options(image), header)
    except PixelError as problem:
        raise PixelError(f"frame {number} cannot be decoded: {problem}") from problem
    photometric = described["photometric_interpretation"]
    if photometric == "YBR_FULL_422":
        photometric = "YBR_FULL"  # no decoder subsamples
    if rgb and photometric == "YBR_FULL" and image.transfer_syntax in _LOSSY_JPEG:
        array, photometric = convert_color_space(array, "YBR_FULL", "RGB"), "RGB"
    return Pixels(array, photometric)


def _run(
    transfer_syntax: str, data: bytes, options: dict[str, Any], header: Header | None
) -> tuple[np.ndarray, dict[str, Any]]:
    """Decode a frame: in this process where no input is known that makes the decoder run away, else in a guarded one.

    Of hundreds of thousands of damaged frames, RLE and 8-bit JPEG (Pillow's libjpeg-turbo) had an answer within
    milliseconds each; of JPEG-LS and JPEG 2000 some took seconds to minutes, of pylibjpeg-libjpeg some all memory.
    """
    if transfer_syntax in _LOSSY_JPEG and header is not None and header.precision == 8:
        plugin = "pillow"
    elif transfer_syntax == RLELossless:
        plugin = ""
    else:
        # Where pydicom knows several: CharLS is the reference of JPEG-LS.
        return GUARD.decode(transfer_syntax, "pyjpegls" if transfer_syntax in _JPEG_LS else "", data, options)
    try:
        source = encapsulate([data], has_bot=False)
        return get_decoder(transfer_syntax).as_array(source, decoding_plugin=plugin, **options)
    except (KeyboardInterrupt, SystemExit, GeneratorExit):
        raise
    # Decoders are extension modules of several makers fed with files of unknown origin: they raise anything, and those
    # written in Rust panic with a BaseException.
    except BaseException as problem:
        if plugin:
            # What claims to be baseline is sometimes another process of JPEG.
            return GUARD.decode(transfer_syntax, "pylibjpeg", data, options)
        raise PixelError(one_line(problem)) from problem


def native_bytes(image: Image, pixels: Pixels) -> bytes:
    """Return a decoded frame as Explicit VR Little Endian has it, in the image's own Planar Configuration."""
    array = pixels.array
    if image.bits_allocated == 1:
        return np.packbits(array.reshape(-1), bitorder="little").tobytes()
    if array.ndim == 3 and image.planar == 1:
        array = array.transpose(2, 0, 1)
    return array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes()
