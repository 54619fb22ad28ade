"""Thumbnails (PS3.18 10.4.1.1.4): a small JPEG of a representative frame, or of a sign for what is no image."""

from __future__ import annotations

from PIL import Image as Pillow
from PIL import ImageDraw, ImageFont

from dicouch.dicom.pixels.geometry import place
from dicouch.dicom.pixels.image import Image
from dicouch.dicom.pixels.parameters import Rendering, Viewport
from dicouch.dicom.pixels.render import picture, representative

SIZE = 128
"""Rows and columns (pixels) when the client names none."""


def thumbnail(image: Image, viewport: Viewport | None = None, number: int | None = None) -> Pillow.Image:
    """Render a thumbnail.

    Parameters
    ----------
    image : Image
    viewport : Viewport, optional
    number : int, optional
        Frame number, from 1; the representative frame when not given.

    Raises
    ------
    PixelError
    """
    viewport = viewport or Viewport(SIZE, SIZE)
    return picture(image, number or representative(image), Rendering(viewport=viewport))


def sign(word: str, viewport: Viewport | None = None) -> Pillow.Image:
    """Draw the thumbnail of what has no picture.

    Parameters
    ----------
    word : str
        A short word, such as the Modality.
    viewport : Viewport, optional
        Its size is kept to.
    """
    plain = Viewport(viewport.width, viewport.height) if viewport else Viewport(SIZE, SIZE)
    _box, size = place(plain, SIZE, SIZE)
    made = Pillow.new("L", size, 48)
    draw = ImageDraw.Draw(made)
    font = ImageFont.load_default(max(8, size[0] // 4))
    draw.text((size[0] / 2, size[1] / 2), word[:8], fill=224, font=font, anchor="mm")
    return made
