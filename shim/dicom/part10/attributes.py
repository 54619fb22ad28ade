"""Attributes of DICOM JSON: which value stays in the data set, and where the others lie in the file (PS3.18 F.2.2)."""

from __future__ import annotations

from base64 import b64encode

from dicouch.dicom.json_model import Attribute
from dicouch.dicom.native import swap, word_size
from dicouch.dicom.part10 import model
from dicouch.dicom.part10.byte_source import ByteSource
from dicouch.dicom.part10.dictionary import key_of
from dicouch.dicom.part10.model import Bulk, TooMuch, Warnings
from dicouch.dicom.part10.resolve import Level
from dicouch.dicom.part10.values import CONVERTERS, Coding

BINARY_VRS = frozenset(("OB", "OD", "OF", "OL", "OV", "OW", "UN"))
# PS3.18 F.2.2: what a BulkDataURI may stand for.
_BULK_VRS = BINARY_VRS | {"DS", "FD", "FL", "IS", "LT", "SL", "SS", "ST", "SV", "UC", "UL", "US", "UT", "UV"}
PIXEL_TAGS = frozenset((0x7FE00008, 0x7FE00009, 0x7FE00010))
_ALWAYS_BULK = PIXEL_TAGS | {0x00420011}
# Lookup tables may be US; the long ones are worth a request of their own all the same.
_TABLES = frozenset((0x00283006, 0x00281200, *range(0x00281201, 0x00281205), *range(0x00281211, 0x00281215)))
_LUT_DESCRIPTORS = frozenset((0x00281101, 0x00281102, 0x00281103, 0x00283002))
_BULK = "bulkdata/"
_CACHED_LENGTH = 64
_CACHED_ELEMENTS = 50_000


class Attributes:
    """Makes attributes from values, and keeps the account of bulk data, as `model.Part10` has it."""

    def __init__(self, source: ByteSource, warnings: Warnings) -> None:
        self.source = source
        self.warnings = warnings
        self.bulk: Bulk = {}
        self._inline = 0

    def make(self, level: Level, coding: Coding, tag: int, vr: str, start: int, length: int) -> Attribute:
        """Return the attribute for a value of defined length, whose VR is decided and not SQ.

        Raises
        ------
        TooMuch
            The values of the file that are no bulk data do not fit in memory.
        """
        if not length:
            return {"vr": vr}
        binary = vr in BINARY_VRS
        limit = model.INLINE_BINARY_LIMIT if binary or tag in _TABLES else model.INLINE_LIMIT
        if self._inline > model.INLINE_SOFT_TOTAL and vr in _BULK_VRS:
            limit = model.INLINE_SOFT_LIMIT
        if length > limit or tag in _ALWAYS_BULK:
            return self.make_bulk(level, tag, vr, start, length)
        source = self.source
        if start < source.base or start + length > source.limit:
            source.fill(start, length)
        offset = start - source.base
        raw = source.buffer[offset : offset + length]
        # Only in items: an element of the top level belongs to its reader alone.
        cached = level.depth and length <= _CACHED_LENGTH and not binary and tag not in _LUT_DESCRIPTORS
        if cached:
            element = coding.cache.get((vr, raw))
            if element is not None:
                return element
        self._inline += length
        if self._inline > model.INLINE_HARD_TOTAL:
            total = model.INLINE_HARD_TOTAL >> 20
            raise TooMuch(f"more than {total} MB of values outside bulk data")
        if binary:
            if not coding.little:
                raw = b"".join(swap((raw,), word_size(vr)))  # PS3.18 F.2.7: little endian
            return {"vr": vr, "InlineBinary": b64encode(raw).decode("ascii")}
        element = self.convert(tag, vr, raw, coding)
        if cached and not coding.problem and len(coding.cache) < _CACHED_ELEMENTS:
            coding.cache[vr, raw] = element
        return element

    def make_bulk(
        self, level: Level, tag: int, vr: str, start: int, length: int, encapsulated: bool = False
    ) -> Attribute:
        """Return the element for a value that stays in the file, and note its range."""
        if vr not in _BULK_VRS:
            self.warnings.about(tag, f"has {length} bytes, too many for {vr}; kept as UN")
            vr = "UN"
        path = level.path(key_of(tag))
        self.bulk[path] = {"offset": start, "length": length, "vr": vr}
        if encapsulated:
            self.bulk[path]["encapsulated"] = True
        return {"vr": vr, "BulkDataURI": _BULK + path}

    def convert(self, tag: int, vr: str, raw: bytes, coding: Coding) -> Attribute:
        """Return the element for a value in memory; as UN when it does not fit its VR."""
        coding.problem = None
        values = CONVERTERS[vr](raw, coding)
        if coding.problem:
            self.warnings.about(tag, coding.problem)
        if values is None:
            coding.problem = f"has {len(raw)} bytes, which is no {vr}; kept as UN"
            self.warnings.about(tag, coding.problem)
            return {"vr": "UN", "InlineBinary": b64encode(raw).decode("ascii")}
        if tag in _LUT_DESCRIPTORS and vr == "SS" and values and values[0] < 0:
            # PS3.3 C.11.1.1.1: the number of entries is unsigned whatever the VR.
            values[0] += 0x10000
        return {"vr": vr, "Value": values} if values else {"vr": vr}

    def forget(self, element: Attribute) -> None:
        """Drop the ranges in an element that is replaced; the cost is that of making it."""
        if "BulkDataURI" in element:
            self.bulk.pop(element["BulkDataURI"].removeprefix(_BULK), None)
        elif element["vr"] == "SQ":
            for item in element.get("Value", ()):
                for inner in item.values():
                    self.forget(inner)
