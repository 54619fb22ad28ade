"""Where the frames of the pixel data lie in the file (PS3.5 8 and A.4, PS3.3 C.7.6.3).

Native pixel data give ``{"count", "offset", "length"}``, or ``"bits"`` instead of ``"length"`` when frames do not fill
whole bytes (PS3.5 8.1.1: they follow each other without padding). Encapsulated pixel data give ``{"count",
"fragments"}``: one list ``[offset, length, offset, length, …]`` a frame. Video is one stream, so one list, and
``"video": True``.
"""

from __future__ import annotations

from base64 import b64decode
from dataclasses import dataclass
from struct import unpack
from typing import Any

from pydicom.uid import RLELossless

from dicouch.dicom.errors import NoSuchFrame
from dicouch.dicom.json_model import JsonDataset, first_value
from dicouch.dicom.part10.byte_source import ByteSource
from dicouch.dicom.part10.dataset import PixelElement, frame_bits
from dicouch.dicom.part10.meta import Meta
from dicouch.dicom.part10.model import Bulk, Warnings
from dicouch.dicom.syntaxes import syntax_of

# What a frame begins with: JPEG and JPEG-LS, JPEG 2000 code streams, JP2 files (PS3.5 A.4.1 to A.4.4).
_STARTS = (b"\xff\xd8\xff", b"\xff\x4f\xff\x51", b"\x00\x00\x00\x0cjP")
_END_OF_IMAGE = b"\xff\xd9"

Fragments = list[tuple[int, int]]
Ranges = list[tuple[int, int]]
"""Start and end (exclusive) of pieces that belong together, in bytes of the file."""


def is_rle(head: bytes) -> bool:
    """Tell whether 64 bytes are the header of an RLE frame (PS3.5 G.5): the segments begin behind it, in order."""
    if len(head) < 64:
        return False
    count, *offsets = unpack("<16I", head)
    starts, rest = offsets[:count], offsets[count:]
    return 0 < count < 16 and starts[0] == 64 and starts == sorted(set(starts)) and not any(rest)


def find_frames(
    pixels: PixelElement | None, dataset: JsonDataset, bulk: Bulk, meta: Meta, source: ByteSource, warnings: Warnings
) -> dict[str, Any] | None:
    """Find every frame, as described above; without an offset table a few bytes of each fragment are read."""
    if pixels is None:
        return None
    declared = first_value(dataset, "00280008")
    if declared is not None and (not isinstance(declared, int) or declared < 1):
        warnings.add(f"(0028,0008) NumberOfFrames is {declared!r}; the frames are counted.")
        declared = None
    if pixels.fragments is None:
        return _native(pixels, dataset, declared, warnings)
    if syntax_of(meta.transfer_syntax).video:
        stream = [number for fragment in pixels.fragments[1:] for number in fragment]
        return {"count": 1, "fragments": [stream], "video": True}
    table, *fragments = pixels.fragments or [(0, 0)]
    if not fragments:
        warnings.add("The pixel data hold no fragment.")
    frames = _Encapsulated(table, fragments, declared, dataset, bulk, meta, source, warnings).frames()
    return {"count": len(frames), "fragments": [[n for fragment in frame for n in fragment] for frame in frames]}


def _native(pixels: PixelElement, dataset: JsonDataset, declared: int | None, warnings: Warnings) -> dict[str, Any]:
    """Frames of one size, one after the other (PS3.5 8.1.1, 8.2)."""
    bits = frame_bits(pixels.tag, dataset)
    value_bits = pixels.length * 8
    if not bits:
        count = declared or 1
        length, rest = divmod(pixels.length, count)
        if rest > 1 or not length:
            warnings.add("The frames cannot be told apart: rows, columns or bits of the image are missing.")
            count, length = 1, pixels.length
        return {"count": count, "offset": pixels.offset, "length": length}
    if first_value(dataset, "00280004") == "YBR_FULL_422" and (declared or 1) * bits // 2 * 3 <= value_bits:
        warnings.add("(0028,0004) PhotometricInterpretation is YBR_FULL_422, yet the pixel data are not subsampled.")
        bits = bits // 2 * 3
    # PS3.5 8.1.1: what fills the value up to an even length is no frame, however small frames are.
    whole = value_bits // bits if pixels.length > (bits + 15) // 16 * 2 else min(value_bits // bits, declared or 1)
    count = declared or max(whole, 1)
    if declared is None and whole > 1:
        warnings.add(f"(0028,0008) NumberOfFrames is missing; the pixel data hold {whole} frames.")
    if whole < count:
        warnings.add(f"The pixel data hold {whole} of {count} frames whole.")
        if not whole:
            return {"count": 1, "offset": pixels.offset, "length": pixels.length}
        count = whole
    size = {"bits": bits} if bits % 8 and count > 1 else {"length": (bits + 7) // 8}
    return {"count": count, "offset": pixels.offset, **size}


@dataclass
class _Encapsulated:
    """Groups fragments into frames: by an offset table that is right, else by the content of the fragments.

    pydicom's `parse_basic_offsets` and `generate_frames` do so from the whole value in memory, and trust the table.
    """

    table: tuple[int, int]
    fragments: Fragments
    declared: int | None
    dataset: JsonDataset
    bulk: Bulk
    meta: Meta
    source: ByteSource
    warnings: Warnings

    def frames(self) -> list[Fragments]:
        """Return the fragments of each frame."""
        if not self.fragments:
            return []
        frames = self._by_extended_table() or self._by_basic_table() or self._by_content()
        if self.declared is not None and len(frames) != self.declared:
            self.warnings.add(f"(0028,0008) NumberOfFrames is {self.declared}, the pixel data hold {len(frames)}.")
        return frames

    def _numbers(self, offsets: list[int]) -> list[int] | None:
        """Return which fragments begin at offsets of a table; None where one of them points elsewhere."""
        first = self.fragments[0][0]
        index = {offset - first: number for number, (offset, _) in enumerate(self.fragments)}
        return [index[offset] for offset in offsets] if index.keys() >= set(offsets) else None

    def _unpack(self, raw: bytes, code: str, size: int) -> list[int]:
        count = len(raw) // size
        return list(unpack(f"{'<' if self.meta.little else '>'}{count}{code}", raw[: count * size]))

    def _by_extended_table(self) -> list[Fragments] | None:
        """Frames of the Extended Offset Table (PS3.3 C.7.6.3.1.8), each in one fragment; None without a right one."""
        offsets, lengths = self._extended("7FE00001"), self._extended("7FE00002")
        if not offsets and not lengths:
            return None
        count = len(self.fragments)
        if self._numbers(offsets) != list(range(count)) or len(lengths) != count:
            self.warnings.add("(7FE0,0001) ExtendedOffsetTable does not fit the fragments and is not used.")
            return None
        # The table knows the frame without its pad byte.
        return [
            [(offset, length if held - 1 <= length <= held else held)]
            for (offset, held), length in zip(self.fragments, lengths, strict=True)
        ]

    def _extended(self, tag: str) -> list[int]:
        """Return the numbers of an OV element, none when it is missing, too long or no OV."""
        limit = 8 * len(self.fragments)
        if tag in self.bulk:
            place = self.bulk[tag]
            raw = self.source.read(place["offset"], place["length"]) if place["length"] <= limit else b""
        else:
            raw = b64decode(self.dataset.get(tag, {}).get("InlineBinary", ""))
        return self._unpack(raw, "Q", 8) if len(raw) // 8 * 8 <= limit else []

    def _by_basic_table(self) -> list[Fragments] | None:
        """Frames of the Basic Offset Table (PS3.5 A.4), each up to the start of the next; None without a right one."""
        offset, length = self.table
        if not length:
            return None
        count, numbers = length // 4, None
        if not length % 4 and count <= len(self.fragments):
            numbers = self._numbers(self._unpack(self.source.read(offset, length), "I", 4))
        if not numbers or numbers[0] or numbers != sorted(set(numbers)):
            self.warnings.add("The Basic Offset Table does not fit the fragments and is not used.")
            return None
        if self.declared is not None and count < self.declared <= len(self.fragments):
            self.warnings.add(
                f"The Basic Offset Table has {count} frames, NumberOfFrames is {self.declared}; the table is not used."
            )
            return None
        return self._split(numbers)

    def _by_content(self) -> list[Fragments]:
        """Frames without a table: one fragment each, or by the marks at which images begin and end."""
        fragments, read = self.fragments, self.source.read
        count, certain = self.declared or 1, self.declared is not None
        if len(fragments) <= count:
            return [[fragment] for fragment in fragments]
        if count == 1 and certain:
            return [fragments]
        rle = self.meta.transfer_syntax == RLELossless
        heads = [read(offset, min(64, length)) for offset, length in fragments]
        begins = [n for n, head in enumerate(heads) if (is_rle(head) if rle else head.startswith(_STARTS))]
        by_start = self._split(begins) if begins[:1] == [0] else []
        if len(by_start) == count or (by_start and not certain):
            return by_start
        if rle:  # PS3.5 A.4.2: a frame is not split, and has no mark at its end
            return [[fragment] for fragment in fragments]
        tails = [read(offset + max(length - 10, 0), min(10, length)) for offset, length in fragments[:-1]]
        by_end = self._split([0, *(number for number, tail in enumerate(tails, 1) if _END_OF_IMAGE in tail)])
        return by_end if len(by_end) == count or not by_start else by_start

    def _split(self, begins: list[int]) -> list[Fragments]:
        """Return the fragments from each of the given numbers up to the next."""
        ends = [*begins[1:], len(self.fragments)]
        return [self.fragments[first:last] for first, last in zip(begins, ends, strict=True)]


def clip(ranges: Ranges, start: int, end: int) -> Ranges:
    """Return which parts of ascending byte ranges hold the bytes from `start` up to `end` of all of them together."""
    found, position = [], 0
    for low, high in ranges:
        first, last = max(start - position, 0), min(end - position, high - low)
        if first < last:
            found.append((low + first, low + last))
        position += high - low
    return found


def frame_ranges(frames: dict[str, Any] | None, number: int) -> Ranges:
    """Return the byte ranges of frame `number` (from 1) in the file.

    Raises
    ------
    NoSuchFrame
        The instance has no such frame; the reason says how many it has.
    """
    if not frames:
        raise NoSuchFrame("the instance has no pixel data")
    if number > frames["count"]:
        raise NoSuchFrame(f"there is no frame {number}: the instance has {frames['count']}")
    if "fragments" in frames:
        listed = frames["fragments"][number - 1]
        return [(listed[i], listed[i] + listed[i + 1]) for i in range(0, len(listed), 2)]
    start = frames["offset"] + (number - 1) * frames["length"]
    return [(start, start + frames["length"])]
