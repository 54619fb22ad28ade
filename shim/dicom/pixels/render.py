"""A frame as a picture: colours, grayscale values, region and annotations (PS3.18 8.3.5.1, PS3.4 N.2); thumbnails."""

from __future__ import annotations

import numpy as np
from PIL import Image as Pillow
from PIL import ImageDraw, ImageFont

from dicouch.dicom.errors import Unsupported
from dicouch.dicom.pixels import labelmap, luts, palette
from dicouch.dicom.pixels.annotate import annotate
from dicouch.dicom.pixels.decode import Pixels, decode
from dicouch.dicom.pixels.geometry import fit, place
from dicouch.dicom.pixels.image import Image, integer
from dicouch.dicom.pixels.parameters import Rendering, Viewport

SIZE = 128
"""Rows and columns (pixels) of a thumbnail when the client names none."""

_PLAIN = Rendering()
_THUMBNAIL = Viewport(SIZE, SIZE)


def picture(image: Image, number: int, rendering: Rendering = _PLAIN) -> Pillow.Image:
    """Render a frame in mode L or RGB. The profile and the quality in `rendering` are for the encoder.

    Raises
    ------
    PixelError
        The frame cannot be decoded or shown.
    BadParameter
        The region is outside the image.
    """
    shown = render(image, number, decode(image, number, pad=True, rgb=False), rendering.window)
    made = fit(Pillow.fromarray(shown), rendering.viewport)
    return annotate(made, image, number, rendering.annotation, rendering.window)


def render(image: Image, number: int, pixels: Pixels, window: luts.VoiWindow | None = None) -> np.ndarray:
    """Return a decoded frame as it is shown: uint8, shape (rows, columns) or (rows, columns, 3).

    `window` stands in place of the image's own; it has no meaning for colour. Raises `PixelError`.
    """
    if window is None and labelmap.is_labelmap(image):
        return labelmap.colour(image, pixels.array)
    if pixels.photometric in ("MONOCHROME1", "MONOCHROME2"):
        if palette.has_supplement(image, number):
            return palette.supplement(image, number, pixels.array, window)
        return luts.show(image, number, pixels.array, window)
    if pixels.photometric == "PALETTE COLOR":
        return palette.apply(image, pixels.array)
    if pixels.array.ndim != 3:
        raise Unsupported(f"{pixels.photometric} images with one sample per pixel are not supported")
    array = _eight_bits(image, pixels.array)
    if pixels.photometric in ("RGB", "YBR_ICT", "YBR_RCT"):
        return np.ascontiguousarray(array)
    if pixels.photometric in ("YBR_FULL", "YBR_FULL_422"):
        return _from_full(array)
    if pixels.photometric.startswith("YBR_PARTIAL"):
        return _from_partial(array)
    raise Unsupported(f"images of the colours {pixels.photometric} are not supported")


def representative(image: Image) -> int:
    """Return the frame that stands for the image: the one it names (0028,6010), else the middle one."""
    named = integer(image.dataset, "00286010") or 0
    return named if 1 <= named <= image.count else (image.count + 1) // 2


def thumbnail(image: Image, viewport: Viewport | None = None, number: int | None = None) -> Pillow.Image:
    """Render a frame, the representative one without a number, as a thumbnail (PS3.18 10.4.1.1.4)."""
    return picture(image, number or representative(image), Rendering(viewport=viewport or _THUMBNAIL))


def sign(word: str, viewport: Viewport | None = None) -> Pillow.Image:
    """Draw the thumbnail of what has no picture: a short word, such as the Modality, in the size of a viewport."""
    plain = Viewport(viewport.width, viewport.height) if viewport else _THUMBNAIL
    _box, size = place(plain, SIZE, SIZE)
    made = Pillow.new("L", size, 48)
    font = ImageFont.load_default(max(8, size[0] // 4))
    ImageDraw.Draw(made).text((size[0] / 2, size[1] / 2), word[:8], fill=224, font=font, anchor="mm")
    return made


def _eight_bits(image: Image, array: np.ndarray) -> np.ndarray:
    if array.dtype == np.uint8 and image.bits_stored in (8, 1):
        return array
    low, high = luts.full_range(image)
    return _to_bytes((array.astype(np.float32) - low) * (255.0 / (high - low)))


def _from_full(array: np.ndarray) -> np.ndarray:
    """Convert YBR_FULL (PS3.3 C.7.6.3.1.2) to RGB with Pillow's integer tables, ten times as fast as in floats."""
    rows, columns, _samples = array.shape
    coded = Pillow.frombytes("YCbCr", (columns, rows), np.ascontiguousarray(array).tobytes())
    return np.asarray(coded.convert("RGB"))


def _from_partial(array: np.ndarray) -> np.ndarray:
    """Convert YBR_PARTIAL (PS3.3 C.7.6.3.1.2, retired) to RGB: 219 steps of luminance, 224 of chrominance."""
    y, blue, red = (array[..., i].astype(np.float32) for i in range(3))
    y, blue, red = (y - 16) * (255 / 219), (blue - 128) * (255 / 224), (red - 128) * (255 / 224)
    rgb = np.stack([y + 1.402 * red, y - 0.344136 * blue - 0.714136 * red, y + 1.772 * blue], axis=-1)
    return _to_bytes(rgb)


def _to_bytes(values: np.ndarray) -> np.ndarray:
    whole: np.ndarray = np.clip(np.rint(values), 0, 255)
    return whole.astype(np.uint8)
