"""Frames to lossless code streams, through pydicom's encoders and their plugins (PS3.5 A.4)."""

from __future__ import annotations

from typing import Any

from pydicom.pixels.encoders.base import get_encoder
from pydicom.uid import JPEG2000Lossless, JPEGLSLossless, RLELossless

from dicouch.dicom.pixels.decode import Pixels, decode, one_line
from dicouch.dicom.pixels.errors import PixelError, Unsupported
from dicouch.dicom.pixels.image import Image

RLE, JPEG_LS, JPEG_2000 = RLELossless, JPEGLSLossless, JPEG2000Lossless

ENCODED = (JPEG_2000, JPEG_LS, RLE)
"""Transfer syntaxes that images can be encoded to: the lossless ones that pydicom has encoders for."""


def can_encode(image: Image, transfer_syntax: str) -> bool:
    """Return whether an image can be encoded in a transfer syntax: which bits and colours each allows (PS3.5 8.2).

    Parameters
    ----------
    image : Image
    transfer_syntax : str
        UID, one of `ENCODED` or any other.
    """
    if transfer_syntax not in ENCODED or image.is_float or image.bits_allocated not in (8, 16, 32):
        return False
    if image.samples not in (1, 3):
        return False
    if transfer_syntax == RLE:
        return image.bits_allocated <= 16
    if transfer_syntax == JPEG_LS:
        # Signed pixels have no form in JPEG-LS that all decoders read alike; the encoder's buffer fails tiny images.
        return image.bits_allocated <= 16 and image.bits_stored >= 2 and not image.signed and _pixels(image) >= 16
    # The encoder makes six levels of halves.
    return image.bits_stored <= 24 and min(image.rows, image.columns) >= 32


def _pixels(image: Image) -> int:
    return image.rows * image.columns


def encode(image: Image, number: int, transfer_syntax: str) -> tuple[bytes, str]:
    """Encode a frame without loss.

    Parameters
    ----------
    image : Image
    number : int
        Frame number, from 1.
    transfer_syntax : str
        UID, one of `ENCODED`.

    Returns
    -------
    code_stream : bytes
    photometric : str
        Its Photometric Interpretation.

    Raises
    ------
    Unsupported
        The transfer syntax has no such pixels.
    PixelError
        The frame cannot be decoded.
    """
    if not can_encode(image, transfer_syntax):
        raise Unsupported(
            f"{image.photometric} images of {image.bits_stored} bits cannot be encoded as {transfer_syntax}"
        )
    return encode_pixels(image, decode(image, number), transfer_syntax)


def encode_pixels(image: Image, pixels: Pixels, transfer_syntax: str) -> tuple[bytes, str]:
    """Encode a decoded frame; see `encode`."""
    options: dict[str, Any] = {
        "rows": image.rows,
        "columns": image.columns,
        "samples_per_pixel": image.samples,
        "number_of_frames": 1,
        "bits_allocated": image.bits_allocated,
        "bits_stored": image.bits_stored,
        "pixel_representation": int(image.signed),
        "photometric_interpretation": pixels.photometric,
        "planar_configuration": 0,
    }
    try:
        encoded = get_encoder(transfer_syntax).encode(pixels.array, **options)
    except (ValueError, RuntimeError, NotImplementedError, AttributeError) as problem:
        raise PixelError(f"a frame cannot be encoded as {transfer_syntax}: {one_line(problem)}") from problem
    return bytes(encoded), pixels.photometric
