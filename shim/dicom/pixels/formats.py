"""Pictures as image/jpeg, image/png, image/gif and image/jp2, written by Pillow (PS3.18 8.7.4)."""

from __future__ import annotations

from collections.abc import Iterable
from io import BytesIO
from typing import Any

from PIL import Image as Pillow

from dicouch.dicom.errors import TooLarge, Unsupported
from dicouch.dicom.pixels.image import Image, numbers
from dicouch.dicom.pixels.parameters import Rendering

FORMATS = {"image/jpeg": "JPEG", "image/png": "PNG", "image/gif": "GIF", "image/jp2": "JPEG2000"}
ANIMATION_PIXELS = 96 * 1024 * 1024
"""Most pixels of all frames of an animation together, which are in memory at once."""


def encode_picture(picture: Pillow.Image, media_type: str, rendering: Rendering, profile: bytes | None = None) -> bytes:
    """Encode a picture of mode L or RGB, with its ICC profile where the format has a place for one.

    Raises
    ------
    Unsupported
        The media type is not one of `FORMATS`.
    """
    if media_type not in FORMATS:
        raise Unsupported(f"pictures are not written as {media_type}")
    options: dict[str, Any] = {}
    if media_type == "image/jpeg":
        # PS3.18 8.3.5.1.2
        options = {"quality": rendering.quality, "subsampling": 0 if rendering.quality >= 90 else 2}
    elif media_type == "image/png":
        options = {"compress_level": 3}
    elif media_type == "image/jp2":
        # Small pictures have no room for six levels.
        levels = max(1, min(6, min(picture.size).bit_length()))
        options = {"irreversible": False, "num_resolutions": levels, "mct": int(picture.mode == "RGB")}
    if profile and media_type in ("image/jpeg", "image/png"):
        options["icc_profile"] = profile
    target = BytesIO()
    picture.save(target, FORMATS[media_type], **options)
    return target.getvalue()


def animate(pictures: Iterable[Pillow.Image], milliseconds: list[float]) -> bytes:
    """Encode pictures, and how long each is shown, as an animated image/gif that repeats without end.

    Raises
    ------
    TooLarge
        They pass `ANIMATION_PIXELS` together.
    """
    count, frames = len(milliseconds), []
    for picture in pictures:
        if picture.width * picture.height * count > ANIMATION_PIXELS:
            size = f"{picture.width} x {picture.height}"
            raise TooLarge(f"an animation of {count} pictures of {size} pixels is too large")
        frames.append(picture if picture.mode == "L" else picture.quantize(256, dither=Pillow.Dither.NONE))
    if not frames:
        raise Unsupported("there is no picture")
    # GIF counts hundredths of a second, and viewers take less than two for a mistake.
    durations = [max(20, round(time / 10) * 10) for time in milliseconds]
    target = BytesIO()
    options = {"save_all": True, "append_images": frames[1:], "loop": 0, "duration": durations} if frames[1:] else {}
    frames[0].save(target, "GIF", **options)
    return target.getvalue()


def frame_time(image: Image, number: int) -> float:
    """Return how long (ms) a frame is shown, by the Cine Module (PS3.3 C.7.6.5)."""
    vector = numbers(image.dataset, "00181065")
    if len(vector) == image.count and image.count > 1:
        # The first value is 0: times are from the frame before.
        return [*vector[1:], vector[-1]][number - 1]
    single = numbers(image.dataset, "00181063")
    for tag in ("00082144", "00180040"):
        rate = numbers(image.dataset, tag)
        if not single and rate and rate[0] > 0:
            single = [1000 / rate[0]]
    return single[0] if single and single[0] > 0 else 100.0
