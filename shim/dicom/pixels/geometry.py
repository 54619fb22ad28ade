"""Region and viewport: which part of a source image is shown, and at which size (PS3.18 8.3.5.1.3)."""

from __future__ import annotations

from PIL import Image as Pillow

from dicouch.dicom.errors import BadParameter
from dicouch.dicom.pixels.parameters import LARGEST_AREA, Viewport


def place(viewport: Viewport, columns: int, rows: int) -> tuple[tuple[float, float, float, float], tuple[int, int]]:
    """Return the region of the source (left, top, right, bottom) and the size of the rendered image (width, height).

    The region becomes as large as it can within the viewport, its aspect ratio kept.

    Raises
    ------
    BadParameter
        The region is outside the source, or the rendered image far larger than it.
    """
    scale_x, scale_y = (columns, rows) if viewport.relative else (1, 1)
    left, top = viewport.left * scale_x, viewport.top * scale_y
    if left >= columns or top >= rows:
        raise BadParameter(f"the region begins outside the image of {columns} x {rows} pixels")
    width = columns - left if viewport.region_width is None else abs(viewport.region_width) * scale_x
    height = rows - top if viewport.region_height is None else abs(viewport.region_height) * scale_y
    right, bottom = min(left + width, columns), min(top + height, rows)
    width, height = right - left, bottom - top
    ratios = [most / side for most, side in ((viewport.width, width), (viewport.height, height)) if most]
    ratio = min(ratios, default=1.0)
    # Rounding must not pass the viewport.
    size = (
        max(1, min(round(width * ratio), viewport.width or columns * rows)),
        max(1, min(round(height * ratio), viewport.height or columns * rows)),
    )
    if size[0] * size[1] > max(LARGEST_AREA, columns * rows):
        raise BadParameter(f"the viewport makes an image of {size[0]} x {size[1]} pixels, more than are rendered")
    return (left, top, right, bottom), size


def fit(picture: Pillow.Image, viewport: Viewport | None) -> Pillow.Image:
    """Return a picture cut, scaled and flipped; without a viewport, the picture as it is."""
    if viewport is None:
        return picture
    box, size = place(viewport, picture.width, picture.height)
    if box != (0, 0, picture.width, picture.height) or size != picture.size:
        # Cut only: pixels stay as they are.
        exact = all(edge == int(edge) for edge in box) and size == (box[2] - box[0], box[3] - box[1])
        kernel = Pillow.Resampling.NEAREST if exact else Pillow.Resampling.BILINEAR
        picture = picture.resize(size, kernel, box=box, reducing_gap=2.0)
    if (viewport.region_width or 0) < 0:
        picture = picture.transpose(Pillow.Transpose.FLIP_LEFT_RIGHT)
    if (viewport.region_height or 0) < 0:
        picture = picture.transpose(Pillow.Transpose.FLIP_TOP_BOTTOM)
    return picture
