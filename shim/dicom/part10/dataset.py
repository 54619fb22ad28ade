"""A data set read into DICOM JSON (PS3.18 F.2), with where its bulk values lie.

Values that become bulk data are skipped, never read. Structural damage ends the container it is found in, with a
warning; what precedes it is kept. Only what would cost unbounded time or memory raises `Unreadable`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal, NamedTuple

from dicouch.dicom.json_model import Attribute, JsonDataset, first_value
from dicouch.dicom.part10 import model
from dicouch.dicom.part10.attributes import BINARY_VRS, PIXEL_TAGS, Attributes
from dicouch.dicom.part10.byte_source import ByteSource
from dicouch.dicom.part10.charset import DEFAULT, encodings_of
from dicouch.dicom.part10.dictionary import ENCODED_VRS, key_of, label
from dicouch.dicom.part10.model import Unreadable, Warnings
from dicouch.dicom.part10.resolve import Level, pixel_representation, unambiguous, vr_of
from dicouch.dicom.part10.values import CONVERTERS, Coding
from dicouch.dicom.part10.walk import UNDEFINED, Walk, is_vr

_CHARACTER_SET = 0x00080005
_TRAILING_PADDING = 0xFFFCFFFC
_END_BYTES = {True: b"\xfe\xff\xdd\xe0", False: b"\xff\xfe\xe0\xdd"}


class PixelElement(NamedTuple):
    """Where the pixel data of the top level lie.

    Attributes
    ----------
    start, end : int
        Of the whole element, with its header and what ends it.
    delimited : bool
        The length is undefined, as that of fragments has to be (PS3.5 A.4).
    fragments : list of tuple, optional
        When encapsulated: offset and length of the data of every item, the Basic Offset Table first.
    """

    tag: int
    offset: int
    length: int
    start: int
    end: int
    delimited: bool = False
    fragments: list[tuple[int, int]] | None = None


def frame_bits(tag: int, dataset: JsonDataset) -> int:
    """Return the bits of one native frame (PS3.5 8.1.1), 0 when the image description does not tell."""
    bits = {0x7FE00008: 32, 0x7FE00009: 64}.get(tag) or first_value(dataset, "00280100")
    sides = first_value(dataset, "00280010"), first_value(dataset, "00280011")
    numbers = (*sides, bits, first_value(dataset, "00280002") or 1)
    if not all(isinstance(number, int) and number > 0 for number in numbers):
        return 0
    size: int = math.prod(numbers)
    # PS3.3 C.7.6.3.1.2: chrominance is sampled at half the rate horizontally.
    return size // 3 * 2 if first_value(dataset, "00280004") == "YBR_FULL_422" else size


def value_bytes(tag: int, dataset: JsonDataset) -> int:
    """Return how many bytes the image description makes of native pixel data, 0 when it does not tell."""
    frames = first_value(dataset, "00280008")
    frames = frames if isinstance(frames, int) and frames > 0 else 1
    return (frames * frame_bits(tag, dataset) + 7) // 8


class DatasetReader:
    """The state of reading one file.

    Attributes
    ----------
    character_set : list of str
        Specific Character Set of the top level, as in the file.
    ordered : bool
        Whether the elements of the top level are in ascending order, each there once.
    visit : callable or None
        Told tag and position of every element of the top level; reading ends where it returns True.
    begun : dict
        The data set as far as it is read.
    places : dict
        Where the value of each begins and the element ends, by position; only of those that `visit` was told of.
    """

    def __init__(self, source: ByteSource, warnings: Warnings) -> None:
        self.source = source
        self.warnings = warnings
        self.walk = Walk(source, warnings)
        self.attributes = Attributes(source, warnings)
        self.pixels: PixelElement | None = None
        self.character_set: list[str] = []
        self.ordered = True
        self.visit: Callable[[int, int], bool] | None = None
        self.places: dict[int, tuple[int, int]] = {}
        self.begun: JsonDataset = {}
        self._undecided: list[tuple[Level, int, bytes, Coding]] = []

    def read(self, start: int, explicit: bool, little: bool) -> JsonDataset:
        """Read the data set that begins at `start`."""
        top = Level(Coding(explicit, little, [DEFAULT]))
        self.begun = top.dataset
        dataset = self._dataset(top, start, self.source.size)
        # PS3.6: US or SS, by Pixel Representation, which may come later and even further out.
        for level, tag, raw, coding in self._undecided:
            if pixel_representation(level):
                level.dataset[key_of(tag)] = self.attributes.convert(tag, "SS", raw, coding)
        return dataset

    def _dataset(self, level: Level, start: int, end: int, delimited: bool = False) -> JsonDataset:
        """Read a data set or item up to `end`; an item of undefined length is `delimited`."""
        dataset, coding = level.dataset, level.coding
        visit = None if level.depth else self.visit
        make = self.attributes.make
        last, ordered = -1, True
        for tag, vr, position, value, length in self.walk.elements(
            start, end, coding.explicit, coding.little, level.depth, delimited
        ):
            if visit and visit(tag, position):
                break
            if not tag & 0xFFFF or tag >> 16 in (0, 2) or tag == _TRAILING_PADDING:
                if length == UNDEFINED:
                    raise Unreadable(f"{label(tag)} has undefined length")
                continue
            coding = level.coding
            if vr is None or vr == "UN":
                vr, coding = self._resolve(level, tag, vr, value, length)
            key = key_of(tag)
            if tag > last:
                last = tag
            else:
                ordered = False
                self._out_of_order(tag, dataset.get(key))
            if length == UNDEFINED:
                dataset[key] = self._undefined(level, coding, tag, vr, value, end)
            elif vr in CONVERTERS and value + length <= end and tag not in PIXEL_TAGS:
                dataset[key] = make(level, coding, tag, vr, value, length)
            elif vr == "SQ" and value + length <= end:
                dataset[key] = self._sequence(level, coding, tag, value, length)
            else:
                dataset[key] = self._defined(level, coding, tag, vr, value, length, end)
            if visit:
                self.places[position] = value, self.walk.resume if length == UNDEFINED else value + length
            if tag == _CHARACTER_SET:
                level.coding = self._change_character_set(level)
        if not ordered:
            self.ordered &= level.depth > 0
            # PS3.18 F.2.2; in place: nested data sets refer to their parents.
            pairs = sorted(dataset.items())
            dataset.clear()
            dataset.update(pairs)
        return dataset

    def _sequence(self, level: Level, coding: Coding, tag: int, start: int, length: int) -> Attribute:
        """Read a sequence of defined length."""
        items = self._items(level, coding, tag, start, start + length)
        if length and not items and not self.walk.is_item(start, coding.little):
            self.warnings.about(tag, "is no sequence of items; kept as UN")
            return self.attributes.make(level, coding, tag, "UN", start, length)
        if self.walk.problem:
            self.warnings.about(tag, self.walk.problem)
        return {"vr": "SQ", "Value": items} if items else {"vr": "SQ"}

    def _items(
        self, level: Level, coding: Coding, tag: int, position: int, end: int, delimited: bool = False
    ) -> list[JsonDataset]:
        """Read the items of a sequence up to `end` or a sequence delimiter (PS3.5 7.5)."""
        if level.depth >= model.MAX_DEPTH:
            raise Unreadable(f"sequences are nested deeper than {model.MAX_DEPTH} levels")
        source, key = self.source, key_of(tag)
        items: list[JsonDataset] = []
        for start, length in self.walk.items(position, end, coding.little, delimited):
            inner = coding
            if coding.explicit:
                offset = start - source.base + 4
                code = source.buffer[offset : offset + 2]
                if code not in ENCODED_VRS and not is_vr(code):
                    # Some writers switch to Implicit VR within items, and UN is in Implicit VR (PS3.5 6.2.2).
                    inner = Coding(False, coding.little, coding.encodings)
            stop = end if length == UNDEFINED else start + length
            if stop > end:
                self.warnings.about(tag, "has an item that is cut off")
                stop = end
            items.append(self._dataset(Level(inner, level, key, len(items)), start, stop, length == UNDEFINED))
        return items

    def _defined(
        self, level: Level, coding: Coding, tag: int, vr: str | None, start: int, length: int, end: int
    ) -> Attribute:
        """Read a value of defined length that is neither plain nor a whole sequence."""
        if start + length > end:
            held = max(end - start, 0)
            self.warnings.broken(tag, f"is cut off: {held} of {length} bytes are there")
            length = held
        if vr == "SQ":
            return self._sequence(level, coding, tag, start, length)
        if tag in PIXEL_TAGS and not level.depth and length:
            fragments = self._fragments_of_length(coding, start, length)
            held = self.walk.stop - start if fragments else length
            begin = self._begin(tag, start, coding.little)
            self.pixels = PixelElement(tag, start, held, begin, start + length, False, fragments)
            if fragments:
                self.warnings.about(tag, "has fragments, yet not the undefined length that they need")
                return self.attributes.make_bulk(level, tag, "OB", start, held, encapsulated=True)
        if vr:
            return self.attributes.make(level, coding, tag, vr, start, length)
        # US or SS: it waits until the whole file is read.
        if not length or length > model.INLINE_BINARY_LIMIT:
            return self.attributes.make(level, coding, tag, "US", start, length)
        raw = self.source.read(start, length)
        self._undecided.append((level, tag, raw, coding))
        return self.attributes.convert(tag, "US", raw, coding)

    def _undefined(self, level: Level, coding: Coding, tag: int, vr: str | None, start: int, end: int) -> Attribute:
        """Read a value of undefined length: a sequence, or fragments."""
        walk = self.walk
        if vr == "SQ":
            items = self._items(level, coding, tag, start, end, delimited=True)
            if walk.problem:
                self.warnings.about(tag, walk.problem)
            return {"vr": "SQ", "Value": items} if items else {"vr": "SQ"}
        if vr not in BINARY_VRS:
            raise Unreadable(f"{label(tag)} has undefined length, which {vr or 'US'} cannot have")
        pixels = tag in PIXEL_TAGS and not level.depth
        if not walk.is_item(start, coding.little):
            stop = self._end_of_bytes(tag, start, end, coding.little, value_bytes(tag, level.dataset) if pixels else 0)
            if pixels:
                self.warnings.about(tag, "has undefined length, yet no fragments")
                begin = self._begin(tag, start, coding.little)
                self.pixels = PixelElement(tag, start, stop - start, begin, walk.resume, True)
            return self.attributes.make(level, coding, tag, vr, start, stop - start)
        fragments: list[tuple[int, int]] = []
        for offset, length in walk.items(start, end, coding.little, fragments=True):
            if offset + length <= end:
                fragments.append((offset, length))
            else:
                fragments.append((offset, end - offset))
                walk.stop = walk.resume = end
                walk.problem = "is cut off within a fragment"
                break
        if walk.problem:
            self.warnings.about(tag, walk.problem)
        if pixels:
            begin = self._begin(tag, start, coding.little)
            self.pixels = PixelElement(tag, start, walk.stop - start, begin, walk.resume, True, fragments)
        return self.attributes.make_bulk(level, tag, vr, start, walk.stop - start, encapsulated=True)

    def _begin(self, tag: int, start: int, little: bool) -> int:
        """Return where the element begins whose value begins at `start`: a header has 12 bytes or 8 (PS3.5 7.1)."""
        order: Literal["little", "big"] = "little" if little else "big"
        encoded = (tag >> 16).to_bytes(2, order) + (tag & 0xFFFF).to_bytes(2, order)
        return start - 12 if self.source.read(start - 12, 4) == encoded else start - 8

    def _end_of_bytes(self, tag: int, start: int, end: int, little: bool, expected: int) -> int:
        """Return where bytes of undefined length end that are no items, not before `expected` if that is possible.

        A pixel may look like the delimiter.
        """
        mark, find = _END_BYTES[little], self.source.find
        stop = find(mark, start + expected, end)
        if stop < 0 and expected:
            stop = find(mark + bytes(4), start, end)
        if stop >= 0:
            self.walk.resume = stop + 8
            return stop
        self.warnings.about(tag, "has no end")
        self.walk.resume = stop = min(start + expected + expected % 2, end) if expected else end
        return stop

    def _fragments_of_length(self, coding: Coding, start: int, length: int) -> list[tuple[int, int]] | None:
        """Return the fragments that fill a value of defined length, which some writers gave it; None if none do."""
        end = start + length
        if not self.walk.is_item(start, coding.little):
            return None
        fragments = []
        for fragment in self.walk.items(start, end, coding.little, delimited=False, fragments=True):
            fragments.append(fragment)
            if sum(fragment) > end:
                return None
        return fragments if not self.walk.problem and fragments[0][1] % 4 == 0 else None

    def _resolve(self, level: Level, tag: int, vr: str | None, start: int, length: int) -> tuple[str | None, Coding]:
        """Return the VR of an element that came without one, None when it must wait, and how its value is encoded."""
        coding, implicit = level.coding, vr is None
        if not implicit and not coding.little:
            # PS3.5 6.2.2, note 2: UN came from Implicit VR Little Endian.
            coding = Coding(coding.explicit, True, coding.encodings)
        found = vr_of(tag, level.dataset)
        if len(found) > 2:
            encapsulated = length == UNDEFINED and self.walk.is_item(start, coding.little)
            return unambiguous(tag, found, level, implicit, encapsulated), coding
        if length == UNDEFINED and found not in BINARY_VRS - {"UN"} and self.walk.is_item(start, coding.little):
            # PS3.5 6.2.2: undefined length and items make a sequence, whatever a dictionary says.
            return "SQ", coding
        return found, coding

    def _change_character_set(self, level: Level) -> Coding:
        """Decode what follows by Specific Character Set; the data set itself is UTF-8 from here (PS3.18 F.2.1)."""
        values = level.dataset["00080005"].get("Value", [])
        terms = [term if isinstance(term, str) else None for term in values]
        if not level.depth:
            self.character_set = [term or "" for term in terms]
        encodings, unknown = encodings_of(terms)
        for term in unknown:
            self.warnings.about(_CHARACTER_SET, f"has the unknown term {term!r}")
        level.dataset["00080005"] = {"vr": "CS", "Value": ["ISO_IR 192"]} if terms else {"vr": "CS"}
        return Coding(level.coding.explicit, level.coding.little, encodings)

    def _out_of_order(self, tag: int, replaced: Attribute | None) -> None:
        if replaced is None:
            self.warnings.about(tag, "is not in ascending order")
        else:
            self.warnings.about(tag, "appears more than once; the last one counts")
            self.attributes.forget(replaced)
