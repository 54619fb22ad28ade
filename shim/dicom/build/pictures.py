"""PNG and GIF, which DICOM has no transfer syntax for: turned into native pixel data (PS3.18 Table 10.5.2-1)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO

from PIL import Image

from dicouch.dicom.build.model import BuildError

TYPES = frozenset(("image/png", "image/gif"))
LARGEST = 256 << 20
"""Bytes of a picture file; its decoder holds it in memory."""


@dataclass(frozen=True)
class Picture:
    """One frame.

    Attributes
    ----------
    rows, columns, samples, bits : int
    pixels : bytes
        Little endian, color-by-pixel.
    """

    rows: int
    columns: int
    samples: int
    bits: int
    pixels: bytes


def frames(data: bytes) -> Iterator[Picture]:
    """Yield the frames of a picture; an animated GIF has several (PS3.18 10.5.2, note 3).

    Raises
    ------
    BuildError
        When it is no picture, or holds more than 8-bit colours can say.
    """
    try:
        with Image.open(BytesIO(data), formats=["PNG", "GIF"]) as image:
            # IHDR: bit depth and colour type. Pillow reads 16-bit colour as 8-bit, which loses what is there.
            if image.format == "PNG" and data[24] == 16 and data[25] in (2, 4, 6):
                raise BuildError("a PNG of 16 bits a colour cannot be kept without loss")
            for number in range(getattr(image, "n_frames", 1)):
                image.seek(number)
                yield _picture(image)
    except (OSError, SyntaxError, ValueError, EOFError, IndexError, Image.DecompressionBombError) as problem:
        if isinstance(problem, BuildError):
            raise
        raise BuildError(f"the picture cannot be read: {problem}") from problem


def _picture(image: Image.Image) -> Picture:
    if image.mode.startswith("I"):
        sixteen = image if image.mode == "I;16" else image.convert("I;16")
        return Picture(image.height, image.width, 1, 16, sixteen.tobytes())
    # Transparency is discarded (note 4, 5); indexed colours become true ones (note 1).
    grey = image.mode in ("1", "L", "LA")
    return Picture(image.height, image.width, 1 if grey else 3, 8, image.convert("L" if grey else "RGB").tobytes())
