"""From stored values to what is shown: Modality LUT, VOI LUT and Presentation LUT (PS3.3 C.11.1, C.11.2, C.11.6).

Each stage works on an array of values. For up to 16 bits the stages run once over all possible values, and the image is
one look-up in the result.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dicouch.dicom.pixels.errors import PixelError
from dicouch.dicom.pixels.image import Image, integer, items, numbers, text

LINEAR, LINEAR_EXACT, SIGMOID = "LINEAR", "LINEAR_EXACT", "SIGMOID"


@dataclass(frozen=True)
class Window:
    """A window (PS3.3 C.11.2.1.2, C.11.2.1.3).

    Attributes
    ----------
    center, width : float
        In units of the Modality LUT's output.
    function : str
        LINEAR, LINEAR_EXACT or SIGMOID.
    """

    center: float
    width: float
    function: str = LINEAR

    @property
    def valid(self) -> bool:
        """Whether the function is defined for this width."""
        return self.width >= 1 if self.function == LINEAR else self.width > 0


@dataclass(frozen=True)
class Table:
    """A lookup table (PS3.3 C.11.1.1.1, C.11.2.1.1).

    Attributes
    ----------
    first : int
        The input value of the first entry; smaller values map to it too.
    entries : numpy.ndarray
        Output values; input values beyond the last entry map to the last.
    bits : int
        Bits of an entry.
    """

    first: int
    entries: np.ndarray
    bits: int

    def apply(self, values: np.ndarray) -> np.ndarray:
        """Return the entries for `values`."""
        places = np.clip(np.rint(values).astype(np.int64) - self.first, 0, len(self.entries) - 1)
        return self.entries[places]


def read_table(image: Image, item: dict, descriptor: str = "00283002", data: str = "00283006") -> Table | None:
    """Read a lookup table from an item; None when it has none that is whole.

    Parameters
    ----------
    image : Image
    item : dict
        Data set with the LUT Descriptor and the LUT Data.
    descriptor, data : str
        Their tags.
    """
    described = numbers(item, descriptor)
    if len(described) < 3:
        return None
    count, start, bits = (int(number) for number in described[:3])
    count = count or 65536
    if start > 32767 and image.signed:
        start -= 65536
    listed = numbers(item, data)
    if listed:
        entries = np.array(listed)
    else:
        raw = image.raw(item, data)
        if not raw:
            return None
        entries = np.frombuffer(raw[: len(raw) // 2 * 2], "<u2")
        if bits <= 8 and len(raw) < 2 * count:
            entries = np.frombuffer(raw, np.uint8)
    entries = entries[:count].astype(np.float64)
    return Table(start, entries, bits if 1 <= bits <= 16 else 16) if len(entries) else None


def modality(image: Image, number: int, values: np.ndarray) -> np.ndarray:
    """Apply the Modality LUT, or Rescale Slope and Intercept, of a frame to stored values.

    Parameters
    ----------
    image : Image
    number : int
        Frame number, from 1.
    values : numpy.ndarray
        Stored values, any shape.

    Returns
    -------
    numpy.ndarray
        float64.
    """
    for item in items(image.dataset, "00283000"):
        table = read_table(image, item)
        if table is not None:
            return table.apply(values)
    place = image.group(number, "00289145")
    slope, intercept = numbers(place, "00281053")[:1], numbers(place, "00281052")[:1]
    values = values.astype(np.float64)
    if slope and slope[0]:
        values = values * slope[0]
    return values + intercept[0] if intercept else values


def stored_window(image: Image, number: int) -> Window | None:
    """Return the first window of a frame that is usable; None without one."""
    place = image.group(number, "00289132")
    centers, widths = numbers(place, "00281050"), numbers(place, "00281051")
    function = text(place, "00281056").upper() or LINEAR
    if function not in (LINEAR, LINEAR_EXACT, SIGMOID):
        function = LINEAR
    for center, width in zip(centers, widths, strict=False):
        window = Window(center, width, function)
        if window.valid:
            return window
    return None


def stored_voi_table(image: Image, number: int) -> Table | None:
    """Return the first table of the VOI LUT Sequence of a frame."""
    for place in (image.group(number, "00289132"), image.dataset):
        for item in items(place, "00283010"):
            table = read_table(image, item)
            if table is not None:
                return table
    return None


def apply_window(values: np.ndarray, window: Window) -> np.ndarray:
    """Return `values` through a window, from 0 to 1 (PS3.3 C.11.2.1.2.1, C.11.2.1.3)."""
    center, width = window.center, window.width
    if window.function == SIGMOID:
        with np.errstate(over="ignore"):
            return 1 / (1 + np.exp(-4 * (values - center) / width))
    if window.function == LINEAR:
        center, width = center - 0.5, width - 1
    if width <= 0:
        return (values > center).astype(np.float64)
    return np.clip((values - center) / width + 0.5, 0, 1)


def scale(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """Return `values` stretched so that `low` is 0 and `high` is 1."""
    if high <= low:
        return (values > low).astype(np.float64)
    return np.clip((values - low) / (high - low), 0, 1)


def presentation(image: Image, shown: np.ndarray) -> np.ndarray:
    """Apply the Presentation LUT to values from 0 to 1: a table, a shape, or what MONOCHROME1 says."""
    for item in items(image.dataset, "20500010"):
        table = read_table(image, item)
        if table is not None:
            return table.entries[np.rint(shown * (len(table.entries) - 1)).astype(np.int64)] / (2**table.bits - 1)
    inverse = image.photometric == "MONOCHROME1" or text(image.dataset, "20500020").upper() == "INVERSE"
    return 1 - shown if inverse else shown


def padding_range(image: Image) -> tuple[int, int] | None:
    """Return the lowest and highest stored value that is no image but padding (PS3.3 C.7.5.1.1.2); None without."""
    value = integer(image.dataset, "00280120")
    if value is None:
        return None
    limit = integer(image.dataset, "00280121", value)
    bits = 2**image.bits_allocated
    low, high = sorted(_as_stored(one, image.signed, bits) for one in (value, limit))
    return low, high


def _as_stored(value: int, signed: bool, span: int) -> int:
    """Return a padding value in the range of stored values, whichever sign it was written with."""
    if signed and value >= span // 2:
        return value - span
    return value + span if not signed and value < 0 else value


def full_range(image: Image) -> tuple[int, int]:
    """Return the lowest and highest value that Bits Stored allow."""
    bits = image.bits_stored
    return (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if image.signed else (0, 2**bits - 1)


def shown_range(image: Image, number: int, array: np.ndarray) -> tuple[float, float]:
    """Return the stored values that are black and white in a frame without a window.

    Few bits are shown whole; of more, what the pixels use, padding left out.
    """
    fraction = integer(image.dataset, "0062000E")
    if fraction and fraction > 0:
        return 0, fraction  # PS3.3 C.8.20.2: Maximum Fractional Value of a segmentation
    labels = text(image.dataset, "00620001").upper() == "LABELMAP"
    if not image.is_float and not labels and image.bits_stored <= 8 and not image.signed:
        return full_range(image)
    used = array[np.isfinite(array)] if image.is_float else array
    padding = None if image.is_float else padding_range(image)
    if padding:
        used = used[(used < padding[0]) | (used > padding[1])]
    if not used.size:
        return 0, 1
    return float(used.min()), float(used.max())


def show(image: Image, number: int, array: np.ndarray, window: Window | None = None) -> np.ndarray:
    """Return a grayscale frame as it is shown.

    Parameters
    ----------
    image : Image
    number : int
        Frame number, from 1.
    array : numpy.ndarray
        Stored values, shape (rows, columns).
    window : Window, optional
        In place of the frame's own.

    Returns
    -------
    numpy.ndarray
        uint8, 0 is black.
    """
    if array.ndim != 2:
        raise PixelError("only images of one sample per pixel have grayscale values")
    chosen = _stage(image, number, array, window)
    if image.is_float:
        return _to_bytes(presentation(image, chosen(np.nan_to_num(array.astype(np.float64)))))
    low, high = int(array.min()), int(array.max())
    if high - low < 65536:
        values = np.arange(low, high + 1)
        table = _to_bytes(presentation(image, chosen(values)))
        _blacken(image, values, table)
        return table.take(np.subtract(array, low, dtype=np.int64) if low else array)
    shown = _to_bytes(presentation(image, chosen(array)))
    _blacken(image, array, shown)
    return shown


def _stage(image: Image, number: int, array: np.ndarray, window: Window | None):
    """Return the function from stored values to 0 … 1 by modality and VOI LUT."""
    table = None if window else stored_voi_table(image, number)
    if table is not None:
        span = 2**table.bits - 1
        return lambda values: np.clip(table.apply(modality(image, number, values)) / span, 0, 1)
    window = window or stored_window(image, number)
    if window is not None:
        return lambda values: apply_window(modality(image, number, values), window)
    ends = modality(image, number, np.array(shown_range(image, number, array)))
    low, high = float(ends.min()), float(ends.max())
    return lambda values: scale(modality(image, number, values), low, high)


def _blacken(image: Image, values: np.ndarray, shown: np.ndarray) -> None:
    padding = padding_range(image)
    if padding:
        shown[(values >= padding[0]) & (values <= padding[1])] = 0


def _to_bytes(shown: np.ndarray) -> np.ndarray:
    return np.rint(shown * 255).astype(np.uint8)
