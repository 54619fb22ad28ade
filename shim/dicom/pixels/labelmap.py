"""Segmentations whose pixels are labels, in the colours of their segments (PS3.3 C.8.20.2)."""

from __future__ import annotations

from colorsys import hsv_to_rgb
from functools import lru_cache
from typing import Any

import numpy as np
from PIL import Image as Pillow
from PIL import ImageCms

from dicouch.dicom.errors import PixelError
from dicouch.dicom.pixels.image import Image, integer, items, numbers, text
from dicouch.dicom.pixels.luts import look_up


def is_labelmap(image: Image) -> bool:
    """Return whether an image is a segmentation of labels that brings no palette of its own."""
    return text(image.dataset, "00620001").upper() == "LABELMAP" and image.photometric.startswith("MONOCHROME")


def colour(image: Image, array: np.ndarray) -> np.ndarray:
    """Return a frame of labels as RGB, uint8, shape (rows, columns, 3).

    A segment has its Recommended Display CIELab Value, else a colour by its number. What belongs to no segment, label 0
    or that of Pixel Padding Value, is black.
    """
    segments = {integer(item, "00620004"): item for item in items(image.dataset, "00620002")}
    background = integer(image.dataset, "00280120", 0)

    def colours(labels: np.ndarray) -> np.ndarray:
        return np.array([_colour(int(label), segments.get(int(label), {}), background) for label in labels], np.uint8)

    used, places = np.unique(array, return_inverse=True)
    return colours(used)[places.reshape(array.shape)] if len(used) > 4096 else look_up(array, colours)


def _colour(label: int, segment: dict[str, Any], background: int | None) -> tuple[int, int, int]:
    if label == background or (label == 0 and not segment):
        return 0, 0, 0
    recommended = numbers(segment, "0062000D")
    if len(recommended) == 3:
        return _from_cielab(recommended)
    # Neighbours differ most when each hue is a golden section from the one before.
    red, green, blue = (round(255 * part) for part in hsv_to_rgb(label * 0.618034 % 1, 0.8, 1))
    return red, green, blue


def _from_cielab(values: list[float]) -> tuple[int, int, int]:
    """Return a colour of the profile connection space, encoded in 16 bits (PS3.3 C.10.7.1.1), as sRGB."""
    lightness, *chroma = (min(max(value, 0), 65535) for value in values)
    # Pillow has L* in 0 to 255, and a*, b* as signed bytes.
    coded = bytes([round(lightness / 257), *(round(value / 257 - 128) % 256 for value in chroma)])
    made = ImageCms.applyTransform(Pillow.frombytes("LAB", (1, 1), coded), _transform())
    pixel = made.getpixel((0, 0)) if made else None
    if not isinstance(pixel, tuple):
        raise PixelError("a colour of a segment cannot be converted")
    return int(pixel[0]), int(pixel[1]), int(pixel[2])


@lru_cache(1)
def _transform() -> ImageCms.ImageCmsTransform:
    lab, srgb = ImageCms.createProfile("LAB", 5000), ImageCms.createProfile("sRGB")
    return ImageCms.buildTransform(lab, srgb, "LAB", "RGB")
