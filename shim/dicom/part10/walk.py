"""One pass over a data set (PS3.5 7): DICOM JSON, and where the bulk values lie.

Values that become bulk data are skipped, never read. Structural damage ends the container it is found in, with a
warning; what precedes it is kept. Only what would cost unbounded time or memory raises `Unreadable`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from struct import Struct

from dicouch.dicom.part10 import model
from dicouch.dicom.part10.charset import DEFAULT, encodings_of
from dicouch.dicom.part10.dictionary import ENCODED_VRS, label
from dicouch.dicom.part10.elements import BINARY_VRS, PIXEL_TAGS, Coding, Elements
from dicouch.dicom.part10.fragments import UNDEFINED, walk_fragments
from dicouch.dicom.part10.model import Unreadable, Warnings
from dicouch.dicom.part10.resolve import pixel_representation, unambiguous, vr_of
from dicouch.dicom.part10.values import Context
from dicouch.dicom.part10.window import Window

_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
_CHARACTER_SET = 0x00080005
_TRAILING_PADDING = 0xFFFCFFFC
_EXPLICIT = {True: Struct("<HH2sH").unpack_from, False: Struct(">HH2sH").unpack_from}
_IMPLICIT = {True: Struct("<HHI").unpack_from, False: Struct(">HHI").unpack_from}
_LONG = {True: Struct("<I").unpack_from, False: Struct(">I").unpack_from}
_ITEM_BYTES = {True: b"\xfe\xff\x00\xe0", False: b"\xff\xfe\xe0\x00"}
_END_BYTES = {True: b"\xfe\xff\xdd\xe0", False: b"\xff\xfe\xe0\xdd"}


@dataclass
class Pixels:
    """Where the pixel data of the top level lie.

    Attributes
    ----------
    tag : int
        Pixel Data, Float Pixel Data or Double Float Pixel Data.
    offset, length : int
        The value.
    fragments : list of (int, int) or None
        When encapsulated: offset and length of the data of every item, the Basic Offset Table first.
    """

    tag: int
    offset: int
    length: int
    fragments: list[tuple[int, int]] | None = None


class Walk:
    """The state of one pass over a file.

    Parameters
    ----------
    window : Window
        The file.
    warnings : Warnings
        Receives what breaks the standard.

    Attributes
    ----------
    elements : Elements
        Holds the account of bulk data.
    pixels : Pixels or None
        The pixel data of the top level.
    character_set : list of str
        Specific Character Set of the top level, as in the file.
    visit : callable or None
        Told tag and position of every element of the top level; the walk ends where it returns True.
    """

    def __init__(self, window: Window, warnings: Warnings) -> None:
        self.window = window
        self.warnings = warnings
        self.elements = Elements(window, warnings)
        self.pixels: Pixels | None = None
        self.character_set: list[str] = []
        self.visit: Callable[[int, int], bool] | None = None
        self._nodes = model.MAX_NODES
        self._undecided: list[tuple[tuple, int, bytes, Context]] = []

    def read(self, start: int, explicit: bool, little: bool) -> dict:
        """Read the data set that begins at `start` and ends with the file.

        Parameters
        ----------
        start : int
            Position in the file.
        explicit, little : bool
            Its encoding.

        Returns
        -------
        dict
            DICOM JSON Model, ordered by tag.

        Raises
        ------
        Unreadable
            One of the limits of `dicouch.dicom.part10.model` is passed.
        """
        coding = Coding(explicit, little, Context(little, [DEFAULT]))
        dataset, _ = self._dataset(start, self.window.size, False, coding, "", 0, None)
        for chain, tag, raw, context in self._undecided:
            # Pixel Representation came later, or never: unsigned then.
            vr = "SS" if pixel_representation(chain) else "US"
            chain[0][f"{tag:08X}"] = self.elements.convert(tag, vr, raw, context)
        return dataset

    def _dataset(
        self, position: int, end: int, delimited: bool, coding: Coding, prefix: str, depth: int, parents: tuple | None
    ) -> tuple[dict, int]:
        """Read elements up to `end`, or behind an item delimiter; return them and the position reached."""
        window, make = self.window, self.elements.make
        explicit, little = coding.explicit, coding.little
        header, long_header = (_EXPLICIT if explicit else _IMPLICIT)[little], _LONG[little]
        out: dict[str, dict] = {}
        chain = (out, parents)
        last, ordered = -1, True
        while end - position >= 8:
            if position < window.base or position + 12 > window.limit:
                window.fill(position, 12)
            offset = position - window.base
            if explicit:
                group, element, code, length = header(window.buffer, offset)
                vr, start = None, position + 8
                known = ENCODED_VRS.get(code)
                if known:
                    vr, wide = known
                    if wide:
                        if end - position < 12:
                            break
                        (length,) = long_header(window.buffer, offset + 8)
                        start = position + 12
                elif group != 0xFFFE and (group or element):
                    vr, start, length = self._odd_header(group << 16 | element, code, position, end, little)
            else:
                group, element, length = header(window.buffer, offset)
                vr, start = None, position + 8
            tag = group << 16 | element
            if group == 0xFFFE:
                if tag == _ITEM_END and delimited:
                    return _finish(out, ordered), position + 8
                if tag == _SEQUENCE_END and depth:
                    self.warnings.add("An item of undefined length has no end.")
                    return _finish(out, ordered), position
                self.elements.warn(tag, "is out of place")
                position += 8
                self._count()
                continue
            if tag == 0:
                self.warnings.add("What follows a data set is no element and ignored.")
                return _finish(out, ordered), end
            if self.visit and not depth and self.visit(tag, position):
                return _finish(out, ordered), end
            self._count()
            value_coding = coding
            if vr is None or vr == "UN":
                if vr and not little:
                    # PS3.5 6.2.2, note 2: UN came from Implicit VR Little Endian.
                    value_coding = Coding(explicit, True, Context(True, coding.context.encodings))
                vr = self._resolve(tag, vr is None, start, length, value_coding, chain)
            if element == 0 or group in (0, 2) or tag == _TRAILING_PADDING:
                if length == UNDEFINED:
                    raise Unreadable(f"{label(tag)} has undefined length")
                position = start + length
                continue
            key = f"{tag:08X}"
            if tag > last:
                last = tag
            else:
                ordered = False
                self._out_of_order(tag, out.get(key))
            if length == UNDEFINED:
                out[key], position = self._undefined(tag, vr, start, end, value_coding, prefix + key, depth, chain)
                continue
            position = start + length
            if position > end:
                self.elements.warn(tag, f"is cut off: {max(end - start, 0)} of {length} bytes are there")
                length, position = max(end - start, 0), end
            if vr == "SQ":
                if not length or self._is_item(start, value_coding.little):
                    items, _ = self._items(tag, start, position, False, value_coding, prefix + key, depth, chain)
                    out[key] = {"vr": "SQ", "Value": items} if items else {"vr": "SQ"}
                    continue
                self.elements.warn(tag, "is no sequence of items; kept as UN")
                vr = "UN"
            elif tag in PIXEL_TAGS and not depth and length:
                self.pixels = Pixels(tag, start, length)
            if vr:
                out[key] = make(tag, vr, start, length, value_coding.context, prefix + key)
            else:
                out[key] = self._postpone(tag, start, length, value_coding.context, prefix + key, chain)
            if tag == _CHARACTER_SET:
                coding = self._change_character_set(out, coding, depth)
        rest = end - position
        if rest > 0 and any(window.read(position, rest)):
            self.warnings.add(f"The last {rest} bytes of a data set are no element.")
        if delimited:
            self.warnings.add("An item of undefined length has no end.")
        return _finish(out, ordered), end

    def _items(
        self,
        tag: int,
        position: int,
        end: int,
        delimited: bool,
        coding: Coding,
        path: str,
        depth: int,
        chain: tuple,
    ) -> tuple[list[dict], int]:
        """Read the items of a sequence up to `end`, or behind a sequence delimiter (PS3.5 7.5)."""
        if depth >= model.MAX_DEPTH:
            raise Unreadable(f"sequences are nested deeper than {model.MAX_DEPTH} levels")
        window = self.window
        unpack = _IMPLICIT[coding.little]
        items: list[dict] = []
        while end - position >= 8:
            if position < window.base or position + 14 > window.limit:
                window.fill(position, 14)
            offset = position - window.base
            group, element, length = unpack(window.buffer, offset)
            item_tag = group << 16 | element
            if item_tag == _SEQUENCE_END:
                return items, position + 8
            if item_tag != _ITEM:
                self.elements.warn(tag, "has something between its items that is no item")
                return items, end
            self._count()
            position += 8
            item_coding = coding
            if coding.explicit:
                # Some writers switch to Implicit VR within items, and UN is in Implicit VR (PS3.5 6.2.2).
                code = window.buffer[offset + 12 : offset + 14]
                if code not in ENCODED_VRS and not (code.isalpha() and code.isupper()):
                    item_coding = Coding(False, coding.little, coding.context)
            prefix = f"{path}/{len(items)}/"
            if length == UNDEFINED:
                item, position = self._dataset(position, end, True, item_coding, prefix, depth + 1, chain)
            else:
                stop = position + length
                if stop > end:
                    self.elements.warn(tag, "has an item that is cut off")
                    stop = end
                item, _ = self._dataset(position, stop, False, item_coding, prefix, depth + 1, chain)
                position = stop
            items.append(item)
        if delimited:
            self.elements.warn(tag, "has no end")
        return items, end

    def _undefined(
        self, tag: int, vr: str | None, start: int, end: int, coding: Coding, path: str, depth: int, chain: tuple
    ) -> tuple[dict, int]:
        """Read a value of undefined length: a sequence, or fragments; return the element and the position behind."""
        if vr == "SQ":
            items, position = self._items(tag, start, end, True, coding, path, depth, chain)
            return ({"vr": "SQ", "Value": items} if items else {"vr": "SQ"}), position
        if vr not in BINARY_VRS:
            raise Unreadable(f"{label(tag)} has undefined length, which {vr or 'US'} cannot have")
        if self._is_item(start, coding.little):
            fragments, stop, position, problem = walk_fragments(self.window, start, end, coding.little)
            if problem:
                self.elements.warn(tag, problem)
            if tag in PIXEL_TAGS and not depth:
                self.pixels = Pixels(tag, start, stop - start, fragments)
            return self.elements.make_bulk(tag, vr, start, stop - start, path, encapsulated=True), position
        stop = self.window.find(_END_BYTES[coding.little], start, end)
        if stop < 0:
            self.elements.warn(tag, "has no end")
            stop = position = end
        else:
            position = stop + 8
        return self.elements.make(tag, vr, start, stop - start, coding.context, path), position

    def _resolve(self, tag: int, implicit: bool, start: int, length: int, coding: Coding, chain: tuple) -> str | None:
        """Return the VR of an element that came without one, None when it must wait for Pixel Representation."""
        vr = vr_of(tag, chain)
        if len(vr) > 2:
            return unambiguous(tag, vr, chain, implicit, length == UNDEFINED)
        if length == UNDEFINED and vr not in BINARY_VRS - {"UN"} and self._is_item(start, coding.little):
            # PS3.5 6.2.2: undefined length and items make a sequence, whatever a dictionary says.
            return "SQ"
        return vr

    def _postpone(self, tag: int, start: int, length: int, context: Context, path: str, chain: tuple) -> dict:
        """Leave an element that is US or SS until the whole file is read."""
        if not length or length > model.INLINE_BINARY_LIMIT:
            return self.elements.make(tag, "US", start, length, context, path)
        raw = self.window.read(start, length)
        self._undecided.append((chain, tag, raw, context))
        return self.elements.convert(tag, "US", raw, context)

    def _odd_header(self, tag: int, code: bytes, position: int, end: int, little: bool) -> tuple[str | None, int, int]:
        """Read the header of an element in Explicit VR whose VR is none: return VR, start and length of the value."""
        head = self.window.read(position, 12)
        (length,) = _LONG[little](head, 4)
        if not (code.isalpha() and code.isupper()):
            self.elements.warn(tag, "is in Implicit VR within Explicit VR")
            return None, position + 8, length
        self.elements.warn(tag, f"has the unknown VR {code.decode()}")
        if head[6:8] == b"\0\0" and len(head) == 12:
            # PS3.5 6.2: all VRs to come have 32-bit lengths.
            (length,) = _LONG[little](head, 8)
            if length <= end - position - 12:
                return "UN", position + 12, length
        return "UN", position + 8, int.from_bytes(head[6:8], "little" if little else "big")

    def _change_character_set(self, out: dict, coding: Coding, depth: int) -> Coding:
        """Decode what follows by Specific Character Set; the data set itself is UTF-8 from here (PS3.18 F.2.1)."""
        terms = [term if isinstance(term, str) else None for term in out["00080005"].get("Value", [])]
        if not depth:
            self.character_set = [term or "" for term in terms]
        encodings, unknown = encodings_of(terms)
        for term in unknown:
            self.elements.warn(_CHARACTER_SET, f"has the unknown term {term!r}")
        out["00080005"] = {"vr": "CS", "Value": ["ISO_IR 192"]} if terms else {"vr": "CS"}
        return Coding(coding.explicit, coding.little, Context(coding.little, encodings))

    def _out_of_order(self, tag: int, replaced: dict | None) -> None:
        if replaced is None:
            self.elements.warn(tag, "is not in ascending order")
        else:
            self.elements.warn(tag, "appears more than once; the last one counts")
            self.elements.forget(replaced)

    def _is_item(self, start: int, little: bool) -> bool:
        return self.window.read(start, 4) == _ITEM_BYTES[little]

    def _count(self) -> None:
        self._nodes -= 1
        if self._nodes < 0:
            raise Unreadable(f"more than {model.MAX_NODES} elements and items", model.OUT_OF_RESOURCES)


def _finish(out: dict, ordered: bool) -> dict:
    """Put the elements in ascending order (PS3.18 F.2.2), in place: nested data sets refer to their parents."""
    if not ordered:
        pairs = sorted(out.items())
        out.clear()
        out.update(pairs)
    return out
