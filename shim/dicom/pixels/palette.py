"""Palette Color Lookup Tables (PS3.3 C.7.6.3.1.5, C.7.6.3.1.6, C.7.6.19, C.7.9): plain, segmented, supplemental.

pydicom's `apply_color_lut` refuses tables of an odd number of 8-bit entries and tables that are not equally long. It
takes those of big-endian files in the wrong order, and a forged segmented table makes it use all memory.
"""

from __future__ import annotations

import numpy as np

from dicouch.dicom.errors import PixelError
from dicouch.dicom.pixels import luts
from dicouch.dicom.pixels.image import Image, items, text
from dicouch.dicom.pixels.luts import Table, VoiWindow, look_up, read_descriptor, read_table, read_words


def palette(image: Image) -> Table:
    """Return the palette of an image; entries are uint8, shape (entries, 3).

    Raises
    ------
    PixelError
        There is none, or it is damaged.
    """
    columns = [_column(image, colour) for colour in "123"]
    length = min(len(column.entries) for column in columns)
    entries = np.stack([column.entries[:length] for column in columns], axis=1)
    # Whatever the descriptor says, entries are of 16 bits when one of them needs them.
    return Table(columns[0].first, (entries >> 8 if entries.max() > 255 else entries).astype(np.uint8), 8)


def apply(image: Image, array: np.ndarray) -> np.ndarray:
    """Return a frame of PALETTE COLOR as RGB, uint8; values outside the table get its first or last entry."""
    return look_up(array, palette(image).apply)


def has_supplement(image: Image, number: int) -> bool:
    """Return whether a grayscale frame has values that a Supplemental Palette colours (PS3.3 C.7.6.19).

    Pixel Presentation (0008,9205) says so, that of the frame's own type before that of the image.
    """
    if "00281101" not in image.dataset:
        return False
    of_frames, shared = items(image.dataset, "52009230"), items(image.dataset, "52009229")
    types = (
        item for group in (*of_frames[number - 1 : number], *shared[:1]) for tag in group for item in items(group, tag)
    )
    of_frame = next((item for item in types if "00089205" in item), image.dataset)
    return text(of_frame, "00089205").upper() in ("COLOR", "MIXED")


def supplement(image: Image, number: int, array: np.ndarray, window: VoiWindow | None) -> np.ndarray:
    """Return a grayscale frame as RGB: values from the first mapped one on are coloured, those below it are gray."""
    table = palette(image)
    plain = array < table.first
    grey = array[plain]
    shown = luts.show(image, number, np.where(plain, array, grey.min()), window) if grey.size else np.zeros_like(plain)
    colours: np.ndarray = np.repeat(shown[..., None], 3, axis=2).astype(np.uint8)
    colours[~plain] = table.apply(array[~plain])
    return colours


def _column(image: Image, colour: str) -> Table:
    """Return the entries of one colour."""
    table = read_table(image, image.dataset, f"0028110{colour}", f"0028120{colour}")
    if table is not None:
        return table
    described = read_descriptor(image, image.dataset, f"0028110{colour}")
    raw = read_words(image, image.dataset, f"0028122{colour}")
    if described is None or not raw:
        raise PixelError("the image has no whole palette")
    count, first, bits = described
    words = np.frombuffer(raw[: len(raw) // 2 * 2], "<u2") if bits > 8 else np.frombuffer(raw, np.uint8)
    entries = expand(words, count)
    if not len(entries):
        raise PixelError("the image has an empty palette")
    return Table(first, entries, bits)


def expand(data: np.ndarray, limit: int = 65536) -> np.ndarray:
    """Expand a segmented lookup table of uint8 or uint16 (PS3.3 C.7.9.2) to at most `limit` entries.

    Raises
    ------
    PixelError
        A segment is damaged, or refers to one that is not before it.
    """
    segments = [int(value) for value in data]
    out: list[int] = []
    position = 0
    try:
        # A trailing byte is padding: every segment is longer.
        while position + 1 < len(segments) and len(out) < limit:
            if segments[position] == 2:
                position = _copy(segments, position, out, limit, wide=data.dtype.itemsize == 2)
            else:
                position = _segment(segments, position, out)
    except IndexError:
        raise PixelError("a segmented palette is cut off") from None
    return np.array(out[:limit], np.int64)


def _segment(data: list[int], position: int, out: list[int]) -> int:
    """Append a discrete or linear segment to `out`; return the position behind it."""
    code, length, position = data[position], data[position + 1], position + 2
    if code == 0:
        if position + length > len(data):
            raise IndexError
        out.extend(data[position : position + length])
        return position + length
    if code == 1:
        if not out:
            raise PixelError("a segmented palette begins with a line")
        out.extend(int(step) for step in np.rint(np.linspace(out[-1], data[position], length + 1)[1:]))
        return position + 1
    raise PixelError(f"a segmented palette has a segment of the type {code}")


def _copy(data: list[int], position: int, out: list[int], limit: int, wide: bool) -> int:
    """Append the segments that an indirect segment refers to; return the position behind it."""
    # Their offset: two words, low before high, or four bytes likewise. It counts bytes (PS3.3 C.7.9.2.3).
    size, shift = (2, 16) if wide else (4, 8)
    place = sum(data[position + 2 + i] << shift * i for i in range(size))
    if wide and place % 2:
        raise PixelError("a segmented palette refers to half a word")
    place = place // 2 if wide else place
    for _ in range(data[position + 1]):
        if len(out) >= limit or place > position:
            break
        place = _segment(data, place, out)
    return position + 2 + size
