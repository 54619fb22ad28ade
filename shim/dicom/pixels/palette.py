"""Palette Color Lookup Tables (PS3.3 C.7.6.3.1.5, C.7.6.3.1.6, C.7.9): plain and segmented."""

from __future__ import annotations

import numpy as np

from dicouch.dicom.pixels.errors import PixelError
from dicouch.dicom.pixels.image import Image, numbers

_COLOURS = ("1", "2", "3")
LONGEST = 65536


def palette(image: Image) -> tuple[int, np.ndarray]:
    """Return the palette of an image.

    Parameters
    ----------
    image : Image

    Returns
    -------
    first : int
        The stored value of the first entry.
    table : numpy.ndarray
        uint8, shape (entries, 3).

    Raises
    ------
    PixelError
        There is none, or it is damaged.
    """
    columns = []
    start = 0
    for colour in _COLOURS:
        described = numbers(image.dataset, f"0028110{colour}")
        if len(described) < 3:
            raise PixelError("the image has no whole palette")
        count, start, bits = (int(number) for number in described[:3])
        count = count or LONGEST
        if start > 32767 and image.signed:
            start -= 65536
        columns.append(_column(image, colour, count, bits))
    length = min(len(column) for column in columns)
    if not length:
        raise PixelError("the image has an empty palette")
    table = np.stack([column[:length] for column in columns], axis=1)
    # Whatever the descriptor says, entries are of 16 bits when one of them needs them.
    return start, (table >> 8 if table.max() > 255 else table).astype(np.uint8)


def apply(image: Image, array: np.ndarray) -> np.ndarray:
    """Return a frame of PALETTE COLOR as RGB, uint8; values outside the table get its first or last entry."""
    start, table = palette(image)
    return table[np.clip(array.astype(np.int64) - start, 0, len(table) - 1)]


def _column(image: Image, colour: str, count: int, bits: int) -> np.ndarray:
    """Return the entries of one colour."""
    tag, segmented = f"0028120{colour}", f"0028122{colour}"
    entries, raw = numbers(image.dataset, tag), image.raw(image.dataset, tag)
    if entries or raw:
        raw = raw or np.array(entries, "<u2").tobytes()
        # Entries of 8 bits come in pairs to a word (PS3.3 C.7.6.3.1.6), or each in a word.
        values = _words(raw) if len(raw) >= 2 * count else np.frombuffer(raw, np.uint8)
        return values[:count].astype(np.int64)
    entries, raw = numbers(image.dataset, segmented), image.raw(image.dataset, segmented)
    if not entries and not raw:
        raise PixelError("the image has no whole palette")
    raw = raw or np.array(entries, "<u2").tobytes()
    return expand(_words(raw) if bits > 8 else np.frombuffer(raw, np.uint8), count)


def _words(raw: bytes) -> np.ndarray:
    return np.frombuffer(raw[: len(raw) // 2 * 2], "<u2")


def expand(data: np.ndarray, limit: int = LONGEST) -> np.ndarray:
    """Expand a segmented lookup table (PS3.3 C.7.9.2).

    Parameters
    ----------
    data : numpy.ndarray
        uint8 or uint16, as the element holds it.
    limit : int
        Entries that are wanted; there are no more.

    Raises
    ------
    PixelError
        A segment is damaged, or refers to one that is not before it.
    """
    numbers_ = [int(value) for value in data]
    wide = data.dtype.itemsize == 2
    out: list[int] = []
    position = 0
    # A trailing byte is padding: every segment is longer.
    while position + 1 < len(numbers_) and len(out) < limit:
        position = _segment(numbers_, position, out, limit, wide)
    return np.array(out[:limit], np.int64)


def _segment(data: list[int], position: int, out: list[int], limit: int, wide: bool, nested: bool = False) -> int:
    """Append one segment to `out`; return the position behind it."""
    try:
        code, length = data[position], data[position + 1]
        position += 2
        if code == 0:
            values = data[position : position + length]
            if len(values) < length:
                raise IndexError
            out.extend(values)
            return position + length
        if code == 1:
            if not out:
                raise PixelError("a segmented palette begins with a line")
            steps = np.rint(np.linspace(out[-1], data[position], length + 1)[1:])
            out.extend(int(step) for step in steps)
            return position + 1
        if code == 2 and not nested:
            # Copies `length` segments from an offset: two words, low before high, or four bytes likewise.
            size = 2 if wide else 4
            shift = 16 if wide else 8
            place = sum(data[position + i] << shift * i for i in range(size))
            if wide:
                if place % 2:
                    raise PixelError("a segmented palette refers to half a word")
                # The offset counts bytes (PS3.3 C.7.9.2.3).
                place //= 2
            for _ in range(length):
                if len(out) >= limit or place >= position:
                    break
                place = _segment(data, place, out, limit, wide, nested=True)
            return position + size
    except IndexError:
        raise PixelError("a segmented palette is cut off") from None
    raise PixelError(f"a segmented palette has a segment of the type {code}")
