"""Waveforms as a drawing on millimetre paper (PS3.3 C.10.9; PS3.18 8.7.4): 25 mm a second, ECGs 10 mm a millivolt."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from PIL import Image as Pillow
from PIL import ImageDraw, ImageFont
from pydicom.waveforms.numpy_handler import WAVEFORM_DTYPES

from dicouch.dicom.errors import Unsupported
from dicouch.dicom.json_model import JsonDataset
from dicouch.dicom.pixels.image import first, integer, items, numbers, text

WAVEFORM = "54000100"  # Waveform Sequence
SECONDS = 10.0
"""Length of what is drawn: a strip of 250 mm."""

LONGEST = 4 * 1024 * 1024
"""Most bytes of a multiplex group that are read for it."""

_CHANNELS = 96  # most rows of a drawing
_MOST = 4096  # channels of a group
_MM = 4  # pixels
_SPEED = 25 * _MM  # pixels a second
_ROW = 25 * _MM
_EDGE = 15 * _MM  # above and below, so that nothing that is as high as a row is cut off
_PAPER, _THIN, _THICK, _INK = (255, 250, 248), (250, 222, 218), (238, 176, 168), (16, 16, 48)
_MILLIVOLTS = {"nV": 1e-6, "uV": 1e-3, "µV": 1e-3, "mV": 1.0, "V": 1e3}


@dataclass(frozen=True)
class Channel:
    """One channel of a multiplex group, as far as it is drawn.

    Attributes
    ----------
    values : numpy.ndarray
        In `unit`; NaN where there is no sample.
    rate : float
        Samples a second.
    seconds : float
        How long all of it is.
    """

    name: str
    unit: str
    values: np.ndarray
    rate: float
    seconds: float


Read = Callable[[JsonDataset, str, int], bytes | None]
"""From an item, a tag and a length to the first bytes of a binary value, in little-endian order; None without one."""


def channels(dataset: JsonDataset, read: Read) -> list[Channel]:
    """Return the channels of all multiplex groups that can be read.

    Raises
    ------
    Unsupported
        There is none.
    """
    found: list[Channel] = []
    problem = "the instance has no waveform"
    for group in items(dataset, WAVEFORM):
        try:
            found += _channels(group, read)
        except Unsupported as why:
            problem = str(why)
    if not found:
        raise Unsupported(problem)
    return found


def _channels(group: JsonDataset, read: Read) -> Iterator[Channel]:
    count, rate = integer(group, "003A0005") or 0, (numbers(group, "003A001A") or [0])[0]
    coding = integer(group, "54001004") or 16, text(group, "54001006") or "SS"
    kind = np.dtype("u1") if coding in _COMPANDED else WAVEFORM_DTYPES.get(coding)
    if not 1 <= count <= _MOST or rate <= 0 or kind is None:
        raise Unsupported(f"a waveform of {count} channels, {rate:g} Hz and {coding[0]}-bit {coding[1]} is not drawn")
    step = count * np.dtype(kind).itemsize
    wanted = int(min(SECONDS * rate, LONGEST // step, integer(group, "003A0010") or SECONDS * rate))
    raw = read(group, "54001010", wanted * step) or b""
    samples = min(wanted, len(raw) // step)
    if samples < 1:
        raise Unsupported("a waveform has no whole sample")
    stored = np.frombuffer(raw, kind, samples * count).reshape(samples, count)
    values = _COMPANDED[coding](stored) if coding in _COMPANDED else stored.astype(np.float64)
    padding = read(group, "5400100A", np.dtype(kind).itemsize) or b""
    if len(padding) >= np.dtype(kind).itemsize:
        values[stored == np.frombuffer(padding, kind, 1)[0]] = np.nan
    described = [*items(group, "003A0200"), *[{}] * count]
    for number, channel in enumerate(described[:count]):
        # PS3.3 C.10.9.1.4.2: sensitivity, and its correction from a calibration.
        factor = (numbers(channel, "003A0210") or [1.0])[0] * (numbers(channel, "003A0212") or [1.0])[0]
        baseline = (numbers(channel, "003A0213") or [0.0])[0]
        source, units = (next(iter(items(channel, tag)), {}) for tag in ("003A0208", "003A0211"))
        name = text(channel, "003A0203") or text(source, "00080104") or f"channel {number + 1}"
        seconds = (integer(group, "003A0010") or samples) / rate
        yield Channel(name, text(units, "00080100"), values[:, number] * factor + baseline, rate, seconds)


def _mu_law(stored: np.ndarray) -> np.ndarray:
    """Expand mu-law (ITU-T G.711)."""
    code = ~stored & 255
    size = (((code & 15).astype(np.int64) << 3) + 132 << (code >> 4 & 7)) - 132
    return np.where(code & 128, -size, size).astype(np.float64)


def _a_law(stored: np.ndarray) -> np.ndarray:
    """Expand A-law (ITU-T G.711)."""
    code = stored ^ 85
    step, size = (code >> 4 & 7).astype(np.int64), (code & 15).astype(np.int64) << 4
    size = np.where(step > 0, size + 264 << np.maximum(step - 1, 0), size + 8)
    return np.where(code & 128, size, -size).astype(np.float64)


_COMPANDED = {(8, "MB"): _mu_law, (8, "AB"): _a_law}


def draw(dataset: JsonDataset, read: Read) -> Pillow.Image:
    """Draw the waveforms of an instance, one channel below the other, in mode RGB.

    Raises
    ------
    Unsupported
        There is none that can be read.
    """
    found = channels(dataset, read)
    shown = found[:_CHANNELS]
    width = round(max(len(one.values) / one.rate for one in shown) * _SPEED) + 10 * _MM
    height = _ROW * len(shown) + 2 * _EDGE
    made = Pillow.new("RGB", (width, height), _PAPER)
    pen, font = ImageDraw.Draw(made), ImageFont.load_default(3 * _MM)
    for step, colour in ((_MM, _THIN), (5 * _MM, _THICK)):
        for place in range(0, width, step):
            pen.line(((place, 0), (place, height)), colour)
        for place in range(0, height, step):
            pen.line(((0, place), (width, place)), colour)
    gain = _gain(shown)
    for number, one in enumerate(shown):
        middle = _EDGE + _ROW * number + _ROW // 2
        scaled, scale = _scaled(one, gain)
        for line in _lines(scaled, one.rate):
            pen.line([(5 * _MM + across, middle - up) for across, up in line], _INK, 2)
        pen.text((6 * _MM, middle - _ROW // 2), f"{one.name[:40]}{scale}", _INK, font)
    longest = max(one.seconds for one in found)
    told = ["25 mm/s"] + ([f"{gain:g} mm/mV"] if any(one.unit in _MILLIVOLTS for one in shown) else [])
    if longest > SECONDS:
        told.append(f"the first {SECONDS:g} s of {longest:g} s")
    if len(found) > len(shown):
        told.append(f"{len(shown)} of {len(found)} channels")
    pen.text((5 * _MM, height - 4 * _MM), "   ".join(told), _INK, font)
    return made


def _gain(shown: list[Channel]) -> float:
    """Return how many millimetres a millivolt is: 10, and half of that as often as it takes to fit."""
    sizes = [np.abs(one.values * _MILLIVOLTS[one.unit]) for one in shown if one.unit in _MILLIVOLTS]
    largest = max((float(np.nanmax(each)) for each in sizes if np.isfinite(each).any()), default=0.0)
    gain = 10.0
    while np.isfinite(largest) and largest * gain * _MM > _ROW:
        gain /= 2
    return gain


def _scaled(one: Channel, gain: float) -> tuple[np.ndarray, str]:
    """Return the values of a channel in pixels, and what its name says of its scale."""
    if one.unit in _MILLIVOLTS:
        return one.values * (_MILLIVOLTS[one.unit] * gain * _MM), ""
    finite = one.values[np.isfinite(one.values)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)
    span = high - low or 1.0
    return (one.values - (low + high) / 2) / span * (_ROW * 0.8), f"  {low:g} to {high:g} {one.unit}".rstrip()


def _lines(values: np.ndarray, rate: float) -> Iterator[list[tuple[float, float]]]:
    """Yield the pieces of a curve between gaps; where a pixel across has many samples, their highest and lowest."""
    gaps = np.flatnonzero(~np.isfinite(values))
    for start, end in zip([0, *(gaps + 1)], [*gaps, len(values)], strict=True):
        piece = values[start:end]
        if len(piece) < 1:
            continue
        across = (start + np.arange(len(piece))) / rate * _SPEED
        if rate > 4 * _SPEED:
            firsts = np.flatnonzero(np.diff(across.astype(np.int64), prepend=-1))
            ends = np.maximum.reduceat(piece, firsts), np.minimum.reduceat(piece, firsts)
            across, piece = np.repeat(across[firsts], 2), np.stack(ends, axis=1).reshape(-1)
        yield list(zip(across.tolist(), piece.tolist(), strict=True))


def is_waveform(dataset: JsonDataset) -> bool:
    """Return whether a data set has waveforms."""
    return any(first(group, "003A0005") for group in items(dataset, WAVEFORM))
