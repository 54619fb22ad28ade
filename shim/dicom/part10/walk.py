"""The one walk over the structure of a file (PS3.5 7): headers of elements, items and fragments, never their values.

Both walks are generators that do not descend. Their consumer reads, skips or descends; after a value of undefined
length it sets `Walk.resume` to where that has ended.
"""

from __future__ import annotations

from collections.abc import Iterator
from struct import Struct
from time import thread_time

from dicouch.dicom.part10 import model
from dicouch.dicom.part10.byte_source import ByteSource
from dicouch.dicom.part10.dictionary import ENCODED_VRS
from dicouch.dicom.part10.model import TooMuch, Warnings

UNDEFINED = 0xFFFFFFFF
ITEM, ITEM_END, SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD

_EXPLICIT = {True: Struct("<HH2sH").unpack_from, False: Struct(">HH2sH").unpack_from}
_IMPLICIT = {True: Struct("<HHI").unpack_from, False: Struct(">HHI").unpack_from}
_LONG = {True: Struct("<I").unpack_from, False: Struct(">I").unpack_from}
_ITEM_BYTES = {True: b"\xfe\xff\x00\xe0", False: b"\xff\xfe\xe0\x00"}
_NO_VR = (None, False)
# About what an element, an item and a fragment take in memory (bytes); how often time is looked at.
_ELEMENT, _ITEM, _FRAGMENT = 160, 300, 130
_CHECKED = 4 << 20
# Headers of fragments closer together than this are read together.
_NEAR = 4096

Header = tuple[int, str | None, int, int, int]
"""Tag, VR (None in Implicit VR), and where header and value start; the length of the value."""


def is_vr(code: bytes) -> bool:
    """Tell whether two bytes can be a VR: one of PS3.5 6.2, or one that is still to come."""
    return code in ENCODED_VRS or (code.isalpha() and code.isupper())


class Walk:
    """The state of one pass over a file; it counts elements, items and fragments.

    `resume` is where a value of undefined length has ended, after a walk where the container has. After a walk over
    items, `stop` is where the last of them ends, and `problem` what was wrong with them, if anything.
    """

    def __init__(self, source: ByteSource, warnings: Warnings) -> None:
        self.source = source
        self.warnings = warnings
        self.resume = self.stop = 0
        self.problem: str | None = None
        self._left = model.MAX_MEMORY
        self._next = self._left - _CHECKED
        self._began = thread_time()

    def elements(
        self, position: int, end: int, explicit: bool, little: bool, depth: int = 0, delimited: bool = False
    ) -> Iterator[Header]:
        """Yield the header of each element of a data set up to `end`, or up to an item delimiter."""
        source = self.source
        unpack, unpack_long = (_EXPLICIT if explicit else _IMPLICIT)[little], _LONG[little]
        while end - position >= 8:
            if position < source.base or position + 12 > source.limit:
                source.fill(position, 12)
            vr: str | None = None
            start = position + 8
            if explicit:
                group, element, code, length = unpack(source.buffer, position - source.base)
                vr, wide = ENCODED_VRS.get(code, _NO_VR)
                if wide:
                    if end - position < 12:
                        break
                    (length,) = unpack_long(source.buffer, start - source.base)
                    start += 4
                elif vr is None and group != 0xFFFE and (group or element):
                    vr, start, length = self._odd_header(group << 16 | element, code, position, end, little)
            else:
                group, element, length = unpack(source.buffer, position - source.base)
            tag = group << 16 | element
            if group != 0xFFFE and tag:
                self._left -= _ELEMENT
                if self._left < self._next:
                    self._check()
                yield tag, vr, position, start, length
                position = self.resume if length == UNDEFINED else start + length
            elif self._ends(tag, position, end, depth, delimited):
                return
            else:
                position += 8
        if end > position and any(source.read(position, end - position)):
            self.warnings.add(f"The last {end - position} bytes of a data set are no element.")
        if delimited:
            self.warnings.add("An item of undefined length has no end.")
        self.resume = end

    def items(
        self, position: int, end: int, little: bool, delimited: bool = True, fragments: bool = False
    ) -> Iterator[tuple[int, int]]:
        """Yield start and length of the content of each item, up to `end` or a sequence delimiter (PS3.5 7.5).

        Fragments (PS3.5 A.4) are long, and some writers pad them without counting the pad byte. Where they are
        `delimited`, it is a problem if no delimiter ends them.
        """
        source, unpack = self.source, _IMPLICIT[little]
        length, odd = 0, False
        self.problem = None
        while end - position >= 8:
            if fragments and length > _NEAR:
                head, offset = source.read(position, 8), 0
            else:
                if position < source.base or position + 14 > source.limit:
                    source.fill(position, 14)
                head, offset = source.buffer, position - source.base
            group, element, length = unpack(head, offset)
            tag = group << 16 | element
            if tag == ITEM:
                self._left -= _FRAGMENT if fragments else _ITEM
                if self._left < self._next:
                    self._check()
                yield position + 8, length
                odd = fragments and bool(length & 1)
                position = self.resume if length == UNDEFINED else position + 8 + length
            elif tag == SEQUENCE_END:
                self.stop, self.resume, self.problem = position, position + 8, None
                return
            elif odd:
                position, odd = position + 1, False
            else:
                self.problem = f"has something between its {'fragments' if fragments else 'items'} that is no item"
                self.stop, self.resume = position, end
                return
        self.problem = "has no end" if delimited else None
        self.stop = self.resume = end

    def is_item(self, position: int, little: bool) -> bool:
        """Tell whether an item begins at a position."""
        return self.source.read(position, 4) == _ITEM_BYTES[little]

    def _ends(self, tag: int, position: int, end: int, depth: int, delimited: bool) -> bool:
        """Tell whether what is no element ends a data set; a delimiter that is out of place does not."""
        if tag == ITEM_END and delimited:
            self.resume = position + 8
        elif tag == SEQUENCE_END and depth:
            self.warnings.add("An item of undefined length has no end.")
            self.resume = position
        elif not tag:
            self.warnings.add("What follows a data set is no element and ignored.")
            self.resume = end
        else:
            self.warnings.about(tag, "is out of place")
            self._left -= _ELEMENT
            if self._left < self._next:
                self._check()
            return False
        return True

    def _odd_header(self, tag: int, code: bytes, position: int, end: int, little: bool) -> tuple[str | None, int, int]:
        """Read a header without a known VR in Explicit VR: return VR, start and length of the value."""
        head = self.source.read(position, 12)
        length: int
        (length,) = _LONG[little](head, 4)
        if not is_vr(code):
            if code[:1] == b"?" or not self._goes_on(position + 8 + length, tag, end, little):
                short = int.from_bytes(head[6:8], "little" if little else "big")
                long = _LONG[little](head, 8)[0] if head[6:8] == b"\0\0" and len(head) == 12 else -1
                for start, size in ((position + 12, long), (position + 8, short)):
                    if size >= 0 and self._goes_on(start + size, tag, end, little):
                        self.warnings.about(tag, f"has the VR {code.decode('latin-1')!r}, which is none")
                        return "UN", start, size
                self.warnings.broken(tag, f"has the VR {code.decode('latin-1')!r}, which is none")
            self.warnings.about(tag, "is in Implicit VR within Explicit VR")
            return None, position + 8, length
        self.warnings.about(tag, f"has the unknown VR {code.decode()}")
        if head[6:8] == b"\0\0" and len(head) == 12:
            # PS3.5 6.2: all VRs to come have 32-bit lengths.
            (length,) = _LONG[little](head, 8)
            if length <= end - position - 12:
                return "UN", position + 12, length
        return "UN", position + 8, int.from_bytes(head[6:8], "little" if little else "big")

    def _goes_on(self, position: int, tag: int, end: int, little: bool) -> bool:
        """Tell whether a data set can end at a position, or go on there with an element behind `tag` (PS3.5 7.1)."""
        if position >= end:
            return position == end
        head = self.source.read(position, 8)
        if len(head) < 8:
            return False
        group, element, code, _length = _EXPLICIT[little](head)
        following: int = group << 16 | element
        return group == 0xFFFE or (following > tag and (is_vr(code) or group == tag >> 16))

    def _check(self) -> None:
        """Refuse a file that takes more memory or time than one may."""
        if self._left < 0:
            raise TooMuch(f"the data set takes more than {model.MAX_MEMORY >> 20} MB of memory")
        if thread_time() - self._began > model.MAX_SECONDS:
            raise TooMuch(f"the data set takes more than {model.MAX_SECONDS} seconds to read")
        self._next = max(self._left - _CHECKED, 0)
