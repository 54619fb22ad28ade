"""The VR of elements that carry no usable one (PS3.5 A.1, A.2, 6.2.2): Implicit VR, UN, ambiguous VRs of PS3.6."""

from __future__ import annotations

from pydicom.datadict import private_dictionary_VR
from pydicom.tag import Tag

from dicouch.dicom.json_model import JsonDataset, first_value
from dicouch.dicom.part10.dictionary import VRS, dictionary_vr
from dicouch.dicom.part10.values import Coding

PIXEL_DATA = 0x7FE00010
_LUT_DATA = 0x00283006
_WAVEFORM = frozenset((0x54000110, 0x54000112, 0x5400100A, 0x54001010))


class Level:
    """A data set as far as it is read: item `number` (from 0) of the sequence `key` in `parent`, or the top."""

    __slots__ = ("coding", "dataset", "depth", "key", "number", "parent")

    def __init__(self, coding: Coding, parent: Level | None = None, key: str = "", number: int = 0) -> None:
        self.dataset: JsonDataset = {}
        self.coding = coding
        self.parent = parent
        self.key = key
        self.number = number
        self.depth: int = parent.depth + 1 if parent else 0

    def path(self, key: str) -> str:
        """Return the path of one of its elements (docs/documents.md): ``"00880200/0/7FE00010"``."""
        return f"{self.parent.path(self.key)}/{self.number}/{key}" if self.parent else key


def vr_of(tag: int, dataset: JsonDataset) -> str:
    """Return the VR the dictionaries give an element, perhaps ambiguous; ``UN`` when none knows it."""
    if not tag & 0x10000:
        return dictionary_vr(tag) or "UN"
    if 0x10 <= tag & 0xFFFF <= 0xFF:  # a private creator, which comes before its elements (PS3.5 7.8.1)
        return "LO"
    creator = first_value(dataset, f"{tag >> 16:04X}00{tag >> 8 & 0xFF:02X}")
    try:
        vr = private_dictionary_VR(Tag(tag), creator) if creator and isinstance(creator, str) else "UN"
    except KeyError:
        return "UN"
    return vr if vr in VRS or " or " in vr else "UN"


def unambiguous(tag: int, vr: str, level: Level, implicit: bool, encapsulated: bool) -> str | None:
    """Decide an ambiguous VR, ``"OB or OW"`` say; None when a Pixel Representation is yet to come.

    In Implicit VR, pixel data are OW (PS3.5 A.1).
    """
    if vr == "US or SS":
        signed = pixel_representation(level)
        return None if signed is None else "SS" if signed else "US"
    if vr == "US or OW" and tag == _LUT_DATA:
        # One entry: the value is a number (PS3.3 C.11.1.1.1).
        return "US" if _number(level.dataset, "00283002") == 1 else "OW"
    if vr == "OB or OW":
        if encapsulated:
            return "OB"
        if not implicit:
            bits = "00280100" if tag == PIXEL_DATA else "54001004" if tag in _WAVEFORM else None
            if bits and (_number(level.dataset, bits) or 16) <= 8:
                return "OB"
    return "OW"


def pixel_representation(level: Level | None) -> int | None:
    """Return Pixel Representation (0028,0103) of the nearest data set that has one."""
    while level:
        number = _number(level.dataset, "00280103")
        if number is not None:
            return number
        level = level.parent
    return None


def _number(dataset: JsonDataset, key: str) -> int | None:
    value = first_value(dataset, key)
    return value if isinstance(value, int) else None
