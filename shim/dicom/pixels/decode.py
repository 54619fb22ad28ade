"""Frames to arrays, through pydicom's decoders and their plugins (PS3.5 8.2, A.4)."""

from __future__ import annotations

import logging
import zlib
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import numpy as np
from PIL import Image as Pillow
from pydicom.encaps import encapsulate
from pydicom.pixels.decoders.base import get_decoder
from pydicom.pixels.processing import convert_color_space
from pydicom.uid import (
    ExplicitVRLittleEndian,
    JPEG2000TransferSyntaxes,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLSTransferSyntaxes,
    RLELossless,
)

from dicouch.dicom.errors import PixelError, TooLarge, Unsupported, one_line
from dicouch.dicom.pixels.codestream import Header, read_header, sequential_scans
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
# pydicom takes the bits and the sign of a sample from these streams; of others from the data set.
_KNOW_SIGNS = frozenset((*JPEG2000TransferSyntaxes, *JPEGLSTransferSyntaxes))

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

    Colour stays as it is stored, but for what JPEG 2000's decoder makes RGB of, lossy JPEG, which comes as RGB, and
    YBR_FULL that is labelled otherwise (docs/decisions/0040).

    Parameters
    ----------
    pad : bool
        Take what is there of a native frame that is cut off; the rest is 0.
    rgb : bool
        Convert YBR_FULL of these to RGB.

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
    cell = _cell(image, data, header)
    if cell > max(8, image.bits_allocated):
        bits = header.precision if header else cell
        raise PixelError(f"frame {number} has {bits} bits, more than are allocated")
    try:
        array, made = _run(image, data, header, cell)
    except PixelError as problem:
        raise PixelError(f"frame {number} cannot be decoded: {problem}") from problem
    photometric = made or _photometric(image, header)
    # An uncompressed copy of lossy JPEG is RGB everywhere. Others stay YBR_FULL where the label says so, too.
    labelled = image.transfer_syntax not in _LOSSY_JPEG and image.photometric.startswith("YBR_FULL")
    if rgb and photometric == "YBR_FULL" and not labelled:
        array, photometric = _to_rgb(array, header), "RGB"
    return Pixels(_fit(image, array), photometric)


def _cell(image: Image, data: bytes, header: Header | None) -> int:
    """Return the bits that a decoder gives to each sample, whatever Bits Allocated says."""
    if header:
        return 8 if header.precision <= 8 else 16 if header.precision <= 16 else 32
    segments, rest = divmod(int.from_bytes(data[:4], "little"), image.samples)
    if image.transfer_syntax == RLELossless and not rest and segments in (1, 2, 4, 8):
        return 8 * segments  # one for each byte of a sample (PS3.5 G.2)
    return max(8, image.bits_allocated)


def _photometric(image: Image, header: Header | None) -> str:
    """Return the Photometric Interpretation of a frame that a decoder left as it is coded.

    What the stream says counts more than the label (PS3.5 8.2.1, PS3.3 C.7.6.3.1.2).
    """
    if image.samples == 1:
        return image.photometric
    if header and header.colours:
        return header.colours
    if image.transfer_syntax in _LOSSY_JPEG:
        return "RGB" if image.photometric == "RGB" else "YBR_FULL"
    # No decoder subsamples. The transforms of JPEG 2000 are reversed, and other streams have none of them.
    return {"YBR_FULL_422": "YBR_FULL", "YBR_ICT": "RGB", "YBR_RCT": "RGB"}.get(image.photometric, image.photometric)


def _to_rgb(array: np.ndarray, header: Header | None) -> np.ndarray:
    """Convert YBR_FULL to RGB (PS3.3 C.7.6.3.1.2); pydicom's function knows 8 bits only."""
    if array.dtype == np.uint8:
        return convert_color_space(array, "YBR_FULL", "RGB")
    middle = 1 << (header.precision if header else array.dtype.itemsize * 8) - 1
    y, blue, red = np.moveaxis(array.astype(np.float64), -1, 0) - np.array([0, middle, middle])[:, None, None]
    colours = np.stack([y + 1.402 * red, y - 0.344136 * blue - 0.714136 * red, y + 1.772 * blue], axis=-1)
    converted: np.ndarray = np.clip(np.rint(colours), 0, 2 * middle - 1)
    return converted.astype(array.dtype)


def _fit(image: Image, array: np.ndarray) -> np.ndarray:
    """Return decoded values in cells of Bits Allocated, which may be more than the stream needs (PS3.5 8.2.1)."""
    if image.bits_allocated == 1:
        return array.astype(bool).view(np.uint8)
    size, kind = image.bits_allocated // 8, "i" if image.signed else "u"
    if image.transfer_syntax in _KNOW_SIGNS:
        return array.astype(f"{kind}{size}", copy=False)
    array, unused = array.astype(f"u{size}", copy=False).view(f"{kind}{size}"), image.bits_allocated - image.bits_stored
    return array << unused >> unused if unused else array


def _run(image: Image, data: bytes, header: Header | None, cell: int) -> tuple[np.ndarray, str]:
    """Decode a frame: in this process where no input is known that makes the decoder run away, else in a guarded one.

    Of hundreds of thousands of damaged frames, RLE and 8-bit JPEG (Pillow's libjpeg-turbo) had an answer within
    milliseconds each; of JPEG-LS and JPEG 2000 some took seconds to minutes, of pylibjpeg-libjpeg some all memory.

    Returns the array, in cells of `cell` bits, and its Photometric Interpretation if the decoder changed it.
    """
    syntax = image.transfer_syntax
    # Decoders give pixels, not planes, whatever Planar Configuration says (PS3.5 8.2).
    options = _options(image) | {"planar_configuration": 0, "bits_allocated": cell, "correct_unused_bits": False}
    if syntax not in _KNOW_SIGNS:
        options["pixel_representation"] = 0
    try:
        if syntax == RLELossless:
            return get_decoder(syntax).as_array(encapsulate([data], has_bot=False), **options)[0], ""
        if syntax in _LOSSY_JPEG and header is not None and header.precision == 8:
            return _libjpeg(image, data, header)
    except (KeyboardInterrupt, SystemExit, GeneratorExit):
        raise
    # Decoders are extension modules of several makers fed with files of unknown origin: they raise anything, and those
    # written in Rust panic with a BaseException.
    except BaseException as problem:
        if syntax == RLELossless:
            raise PixelError(one_line(problem)) from problem
        # What claims to be baseline is sometimes another process of JPEG, which Pillow does not read.
    # Where pydicom knows several: CharLS is the reference of JPEG-LS.
    plugin = "pyjpegls" if syntax in JPEGLSTransferSyntaxes else "pylibjpeg" if syntax in _LOSSY_JPEG else ""
    return GUARD.decode(syntax, plugin, sequential_scans(data) if syntax in _LOSSY_JPEG else data, options)[0], ""


def _libjpeg(image: Image, data: bytes, header: Header) -> tuple[np.ndarray, str]:
    """Decode JPEG of 8 bits with Pillow's libjpeg-turbo; return the array, and RGB if it is so by its doing.

    pydicom's plugin does not tell whether colours were converted. As there, they are where Adobe's marker says which
    they are; else they are left as they are coded, and pydicom converts them.
    """
    with Pillow.open(BytesIO(data), formats=("JPEG",)) as picture:
        if header.colours != "RGB" and "adobe_transform" not in picture.info:
            picture.draft("YCbCr", picture.size)
        array, made = np.asarray(picture), picture.mode
    if array.shape != (image.rows, image.columns, 3)[: 2 if image.samples == 1 else 3]:
        raise PixelError(f"{made} pixels in the shape {array.shape}")
    return array, "RGB" if made == "RGB" else ""


def native_bytes(image: Image, pixels: Pixels) -> bytes:
    """Return a decoded frame as Explicit VR Little Endian has it, in the image's own Planar Configuration."""
    array = pixels.array
    if image.bits_allocated == 1:
        return np.packbits(array.reshape(-1), bitorder="little").tobytes()
    if array.ndim == 3 and image.planar == 1:
        array = array.transpose(2, 0, 1)
    return array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes()
