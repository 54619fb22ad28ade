"""Annotations burned into a rendered image (PS3.18 8.3.5.1.1)."""

from __future__ import annotations

from PIL import Image as Pillow
from PIL import ImageDraw, ImageFont

from dicouch.dicom.pixels.image import Image, integer, numbers, text
from dicouch.dicom.pixels.luts import VoiWindow, stored_window
from dicouch.dicom.pixels.parameters import PATIENT, TECHNIQUE


def patient_lines(image: Image) -> list[str]:
    """Return what tells whose image it is: name, identifier, birth date and sex."""
    born, sex = text(image.dataset, "00100030"), text(image.dataset, "00100040")
    lines = [text(image.dataset, "00100010").replace("^", " "), text(image.dataset, "00100020"), _date(born), sex]
    return list(filter(None, lines))


def technique_lines(image: Image, number: int, window: VoiWindow | None = None) -> list[str]:
    """Return what tells how it was made: modality, study, date, series, image and frame, position, window.

    `window` stands in place of the frame's own.
    """
    dataset = image.dataset
    series, instance = integer(dataset, "00200011"), integer(dataset, "00200013")
    numbered = [f"series {series}" if series is not None else "", f"image {instance}" if instance is not None else ""]
    if image.count > 1:
        numbered.append(f"frame {number} of {image.count}")
    date = text(dataset, "00080022") or text(dataset, "00080020")
    time = text(dataset, "00080032") or text(dataset, "00080030")
    position = numbers(image.group(number, "00209113"), "00200032")
    window = window or stored_window(image, number)
    lines = [
        " ".join(filter(None, (text(dataset, "00080060"), text(dataset, "00081030")))),
        text(dataset, "0008103E"),
        " ".join(filter(None, numbered)),
        " ".join(filter(None, (_date(date), _time(time)))),
        "position " + " ".join(f"{value:g}" for value in position) if position else "",
        f"window {window.center:g} / {window.width:g}" if window else "",
    ]
    return list(filter(None, lines))


def annotate(
    picture: Pillow.Image, image: Image, number: int, asked: frozenset[str], window: VoiWindow | None = None
) -> Pillow.Image:
    """Return a picture with annotations: the patient at the top left, the technique at the bottom left.

    `window` is the one that the picture is shown with, in place of the frame's own.
    """
    if not asked:
        return picture
    picture = picture.copy()
    size = max(9, min(picture.width, picture.height) // 32)
    gap, step = size // 2, size + max(2, size // 4)
    blocks = []
    if PATIENT in asked:
        blocks.append((gap, patient_lines(image)))
    if TECHNIQUE in asked:
        lines = technique_lines(image, number, window)
        blocks.append((picture.height - gap - step * len(lines), lines))
    draw, font = ImageDraw.Draw(picture), ImageFont.load_default(size)
    for top, block in blocks:
        for line, content in enumerate(block):
            place = (gap, top + line * step)
            # An outline keeps the letters readable on any ground.
            draw.text(place, content[:128], fill="white", font=font, stroke_width=1, stroke_fill="black")
    return picture


def _date(value: str) -> str:
    digits = value.replace(".", "")
    return f"{digits[:4]}-{digits[4:6]}-{digits[6:8]}" if len(digits) >= 8 and digits[:8].isdigit() else value


def _time(value: str) -> str:
    digits = value.replace(":", "")
    return f"{digits[:2]}:{digits[2:4]}" if len(digits) >= 4 and digits[:4].isdigit() else value
