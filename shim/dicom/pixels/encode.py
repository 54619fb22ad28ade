"""Frames to lossless code streams, through pydicom's encoders and their plugins (PS3.5 A.4)."""

from __future__ import annotations

from typing import Any

from pydicom.pixels.encoders.base import get_encoder
from pydicom.uid import JPEG2000Lossless, JPEGLSLossless, RLELossless

from dicouch.dicom.errors import PixelError, Unsupported, one_line
from dicouch.dicom.pixels.decode import decode
from dicouch.dicom.pixels.image import Image

RLE, JPEG_LS, JPEG_2000 = RLELossless, JPEGLSLossless, JPEG2000Lossless

ENCODED = (JPEG_2000, JPEG_LS, RLE)
"""Transfer syntaxes that images can be encoded to: the lossless ones that pydicom has encoders for."""


def can_encode(image: Image, transfer_syntax: str) -> bool:
    """Return whether an image can be encoded in a transfer syntax: which bits and colours each allows (PS3.5 8.2)."""
    if transfer_syntax not in ENCODED or image.is_float or image.samples not in (1, 3):
        return False
    if image.bits_allocated not in ((1, 8, 16, 32) if image.samples == 1 else (8, 16, 32)):
        return False
    if transfer_syntax == RLE:
        return image.bits_allocated <= 16
    if transfer_syntax == JPEG_LS:
        # Signed pixels have no form in JPEG-LS that all decoders read alike; the encoder's buffer fails tiny images.
        fits = image.bits_allocated <= 16 and image.bits_stored >= 2 and not image.signed
        return fits and image.rows * image.columns >= 16
    # The encoder makes six levels of halves.
    return image.bits_stored <= 24 and min(image.rows, image.columns) >= 32


def encode(image: Image, number: int, transfer_syntax: str) -> tuple[bytes, str]:
    """Encode a frame without loss; return the code stream and its Photometric Interpretation.

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
    pixels = decode(image, number)
    described: dict[str, Any] = {"photometric_interpretation": pixels.photometric, "planar_configuration": 0}
    if image.bits_allocated == 1:
        # RLE pads single bits to bytes (PS3.5 G.2), and JPEG 2000 samples have one bit; the data set keeps its 1.
        described["bits_allocated"] = 8
    if transfer_syntax == RLE:
        # Segments are of the bytes allocated (PS3.5 G.2); pydicom leaves out those that Bits Stored does not use.
        described["bits_stored"] = described.get("bits_allocated", image.bits_allocated)
    try:
        encoded = get_encoder(transfer_syntax).encode(pixels.array, **image.description | described)
    except (ValueError, RuntimeError, NotImplementedError, AttributeError) as problem:
        raise PixelError(f"a frame cannot be encoded as {transfer_syntax}: {one_line(problem)}") from problem
    return bytes(encoded), pixels.photometric
