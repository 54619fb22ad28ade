"""An image as this package sees it: its attributes in the DICOM JSON Model, and what gives the bytes of a frame."""

from __future__ import annotations

import math
from base64 import b64decode
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from dicouch.dicom.errors import PixelError, Unsupported
from dicouch.dicom.json_model import Items

PIXEL_TAGS = ("7FE00010", "7FE00008", "7FE00009")
SMALL = 16 * 1024 * 1024
"""Longest bulk value (bytes) that is read for a lookup table or a profile."""


def first(dataset: dict[str, Any], tag: str, default: object = None) -> Any:  # noqa: ANN401 - as JSON has it
    """Return the first value of an element, `default` without one."""
    values = (dataset.get(tag) or {}).get("Value")
    return default if not values or values[0] is None else values[0]


def integer(dataset: dict[str, Any], tag: str, default: int | None = None) -> int | None:
    """Return the first value of an element as a whole number, `default` when it is none."""
    try:
        return int(first(dataset, tag, default))
    except (TypeError, ValueError, OverflowError):
        return default


def aligned_numbers(dataset: dict[str, Any], tag: str) -> list[float]:
    """Return the values of an element as numbers, NaN in the place of each that is none."""
    found = []
    for value in (dataset.get(tag) or {}).get("Value") or ():
        try:
            found.append(float(value))
        except (TypeError, ValueError, OverflowError):
            found.append(math.nan)
    return found


def numbers(dataset: dict[str, Any], tag: str) -> list[float]:
    """Return the values of an element that are finite numbers."""
    return [number for number in aligned_numbers(dataset, tag) if math.isfinite(number)]


def text(dataset: dict[str, Any], tag: str) -> str:
    """Return the first value of an element as text; of a name, the first of its representations.

    A whole number has no decimal point, however a database writes it: CouchDB 12.0, the embedded one 12.
    """
    value = first(dataset, tag, "")
    if isinstance(value, dict):
        value = next((value[name] for name in ("Alphabetic", "Ideographic", "Phonetic") if value.get(name)), "")
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value).strip()


def items(dataset: dict[str, Any], tag: str) -> Sequence[dict[str, Any]]:
    """Return the items of a sequence."""
    if isinstance(found := (dataset.get(tag) or {}).get("Value"), Items):
        return found
    return [item for item in (dataset.get(tag) or {}).get("Value") or () if isinstance(item, dict)]


def _no_bulk(path: str) -> bytes:
    raise PixelError(f"the value {path} is not at hand")


@dataclass(frozen=True)
class Image:
    """An instance with pixel data.

    Attributes
    ----------
    dataset : dict
        DICOM JSON Model, complete.
    transfer_syntax : str
        Transfer syntax UID of the frames that `frame` gives; Explicit VR Little Endian for all native ones.
    count : int
        Number of frames.
    frame : callable
        From a frame number (from 1) to its bytes: a compressed frame's code stream, or native pixels in little-endian
        order beginning at a byte (PS3.5 8.1.1).
    bulk : callable
        From the path of a ``BulkDataURI`` (docs/documents.md) to the value in little-endian order.
    native : bool
        True when the frames are not compressed.
    """

    dataset: dict[str, Any]
    transfer_syntax: str
    count: int
    frame: Callable[[int], bytes]
    bulk: Callable[[str], bytes] = _no_bulk
    native: bool = False

    @property
    def description(self) -> dict[str, Any]:
        """The Image Pixel Description Macro as pydicom's decoders and encoders take it, for one frame."""
        return {
            "rows": self.rows,
            "columns": self.columns,
            "samples_per_pixel": self.samples,
            "planar_configuration": 1 if self.samples > 1 and self.planar == 1 else 0,
            "photometric_interpretation": self.photometric,
            "bits_allocated": self.bits_allocated,
            "bits_stored": self.bits_stored,
            "pixel_representation": int(self.signed),
            "number_of_frames": 1,
        }

    @property
    def photometric(self) -> str:
        """Photometric Interpretation (0028,0004)."""
        return text(self.dataset, "00280004") or ("MONOCHROME2" if self.samples == 1 else "RGB")

    @property
    def samples(self) -> int:
        """Samples per Pixel (0028,0002)."""
        samples = integer(self.dataset, "00280002")
        return 1 if samples is None else samples

    @property
    def rows(self) -> int:
        """Rows (0028,0010)."""
        return self._required("00280010", "Rows")

    @property
    def columns(self) -> int:
        """Columns (0028,0011)."""
        return self._required("00280011", "Columns")

    @property
    def bits_allocated(self) -> int:
        """Bits Allocated (0028,0100); of float pixel data, by the element that holds them."""
        of_floats = {"7FE00008": 32, "7FE00009": 64}.get(self.pixel_tag)
        return of_floats or self._required("00280100", "Bits Allocated")

    @property
    def bits_stored(self) -> int:
        """Bits Stored (0028,0101)."""
        return integer(self.dataset, "00280101") or self.bits_allocated

    @property
    def signed(self) -> bool:
        """Whether Pixel Representation (0028,0103) says two's complement."""
        return integer(self.dataset, "00280103") == 1

    @property
    def planar(self) -> int:
        """Planar Configuration (0028,0006)."""
        return integer(self.dataset, "00280006") or 0

    @property
    def pixel_tag(self) -> str:
        """Tag of the element that holds the pixels."""
        return next((tag for tag in PIXEL_TAGS if tag in self.dataset), PIXEL_TAGS[0])

    @property
    def is_float(self) -> bool:
        """Whether the pixels are Float or Double Float Pixel Data."""
        return self.pixel_tag != PIXEL_TAGS[0]

    def _required(self, tag: str, name: str) -> int:
        value = integer(self.dataset, tag)
        if not value or value < 0:
            raise Unsupported(f"{name} ({tag[:4]},{tag[4:]}) is missing or 0, so that the pixels cannot be told apart")
        return value

    def raw(self, dataset: dict[str, Any], tag: str) -> bytes | None:
        """Return the bytes of a binary value of the data set or of an item of it; None without one."""
        element = dataset.get(tag) or {}
        if "InlineBinary" in element:
            return b64decode(element["InlineBinary"])
        if "BulkDataURI" in element:
            return self.bulk(element["BulkDataURI"].removeprefix("bulkdata/"))
        return None

    def group(self, number: int, tag: str) -> dict[str, Any]:
        """Return a functional group macro of a frame (PS3.3 C.7.6.16), else the data set itself.

        `tag` is that of the macro's sequence, for example ``00289132`` (Frame VOI LUT).
        """
        of_frames, shared = items(self.dataset, "52009230"), items(self.dataset, "52009229")
        places = [*of_frames[number - 1 : number], *shared[:1]]
        return next((item for place in places for item in items(place, tag)), self.dataset)
