"""Corrected files: the stored file with some elements replaced (PS3.3 C.12.1.1.9, Original Attributes Sequence).

All other bytes, pixel data above all, are those that were stored.
"""

from __future__ import annotations

import io
import os
import struct
import warnings
import zlib
from base64 import b64decode
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from tempfile import SpooledTemporaryFile
from typing import IO, Any, NamedTuple

from pydicom import config, dcmread
from pydicom.errors import InvalidDicomError
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset

from dicouch.dicom.json_model import Attribute, JsonDataset
from dicouch.dicom.part10.byte_source import ByteSource, Seekable, read_range
from dicouch.dicom.part10.dataset import DatasetReader
from dicouch.dicom.part10.encode import UTF8, Encoding, NotInCharacterSet, encode_element, encode_item, wrap, wrap_item
from dicouch.dicom.part10.inflate import SPOOLED, open_inflated
from dicouch.dicom.part10.meta import Meta, read_meta
from dicouch.dicom.part10.model import Warnings
from dicouch.dicom.part10.walk import UNDEFINED

CHARACTER_SET, MODIFIED, ORIGINAL = 0x00080005, 0x04000550, 0x04000561
PIXELS = 0x7FE00008
# The head of a file is held in memory to change its character set; a larger one keeps it.
LARGEST_HEAD = 64 * 1024 * 1024
# What pydicom raises for files that it cannot read or write.
_PROBLEMS = (AttributeError, InvalidDicomError, LookupError, NotImplementedError, OSError, TypeError, ValueError)

Opener = Callable[[int, int], Iterator[bytes]]
"""Yields the stored bytes from a start up to an end."""


@dataclass(frozen=True)
class Change:
    """One attribute of an instance that a person fixed, and when (ISO 8601, UTC)."""

    tag: int
    attribute: Attribute
    at: str


@dataclass
class Corrected:
    """A file made of pieces of the stored one, as (start, end), and of new bytes."""

    pieces: list[bytes | tuple[int, int]] = field(default_factory=list)

    @property
    def size(self) -> int:
        """Length in bytes."""
        return sum(len(piece) if isinstance(piece, bytes) else piece[1] - piece[0] for piece in self.pieces)

    def keep(self, start: int, end: int) -> None:
        """Add a part of the stored file."""
        if start < end:
            self.pieces.append((start, end))

    def position(self, offset: int) -> int:
        """Return the new position of a byte of the stored file; the byte must have been kept."""
        position = 0
        for piece in self.pieces:
            if isinstance(piece, bytes):
                position += len(piece)
            elif piece[0] <= offset < piece[1]:
                return position + offset - piece[0]
            else:
                position += piece[1] - piece[0]
        return position

    def chunks(self, opener: Opener, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        """Yield the bytes from `start` up to `end`; `opener` yields those of the stored file."""
        end = self.size if end is None else end
        for piece in self.pieces:
            length = len(piece) if isinstance(piece, bytes) else piece[1] - piece[0]
            low, high = max(start, 0), min(end, length)
            start, end = start - length, end - length
            if low >= high:
                continue
            if isinstance(piece, bytes):
                yield piece[low:high]
            else:
                yield from opener(piece[0] + low, piece[0] + high)


def mend(mended: Iterable[tuple[int, int, str]], size: int) -> Corrected:
    """Return a file of `size` bytes with parts of it replaced, as `dicouch.dicom.part10.Part10` has it."""
    made, position = Corrected(), 0
    for start, end, new in mended:
        made.keep(position, start)
        made.pieces.append(b64decode(new))
        position = end
    made.keep(position, size)
    return made


class RangeFile:
    """A seekable file whose reads are ranges of stored bytes."""

    def __init__(self, opener: Opener, size: int) -> None:
        self._opener = opener
        self._size = size
        self._position = 0

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move to a position."""
        self._position = offset + (self._size if whence == os.SEEK_END else 0)
        return self._position

    def read(self, length: int) -> bytes:
        """Return up to `length` bytes."""
        end = min(self._position + length, self._size)
        data = b"".join(self._opener(self._position, end)) if self._position < end else b""
        self._position += len(data)
        return data


class Span(NamedTuple):
    """One element: header and value, from `start` up to `end` (bytes of the file)."""

    tag: int
    start: int
    end: int


@dataclass
class Spans:
    """The elements of the top level, in the order of the file.

    Attributes
    ----------
    character_set : list of str
        Specific Character Set (0008,0005), as in the file.
    end : int
        Where reading ended: at the first element after the wanted ones, or at the end of the file.
    """

    source: ByteSource
    meta: Meta
    character_set: list[str]
    elements: list[Span]
    dataset: JsonDataset
    end: int

    def raw(self, span: Span) -> bytes:
        """Return the bytes of an element."""
        return self.source.read(span.start, span.end - span.start)


def read_spans(source: ByteSource, last: int | None) -> Spans:
    """Find the elements up to the tag `last`; all, if it is None: when they are not in ascending order.

    Raises
    ------
    dicouch.dicom.part10.Part10Error
        It is no DICOM file, or passes a limit of `dicouch.dicom.part10.model`.
    """
    meta = read_meta(source, Warnings())
    reader = DatasetReader(source, Warnings())
    starts: list[tuple[int, int]] = []
    stopped = source.size

    def visit(tag: int, position: int) -> bool:
        nonlocal stopped
        if last is not None and tag > last:
            stopped = position
            return True
        starts.append((tag, position))
        return False

    reader.visit = visit
    dataset = reader.read(meta.start, meta.explicit, meta.little)
    ends = [position for _tag, position in starts[1:]] + [stopped]
    elements = [Span(tag, start, end) for (tag, start), end in zip(starts, ends, strict=True)]
    return Spans(source, meta, reader.character_set, elements, dataset, stopped)


def correct(file: Seekable, size: int, changes: list[Change], *, ordered: bool = True) -> Corrected:
    """Return a file of `size` bytes with some attributes changed, the oldest change first.

    Only its head is read, unless its elements are not in ascending order. Of a deflated file it takes the inflated
    stream.

    Raises
    ------
    dicouch.dicom.part10.Part10Error
        The file cannot be read.
    """
    source = ByteSource(file, size)
    spans = read_spans(source, ORIGINAL if ordered else None)
    encoding = Encoding(spans.meta.explicit, spans.meta.little, spans.character_set, forgiving=True)
    try:
        return _splice(spans, changes, encoding)
    except NotInCharacterSet:
        pass
    in_utf8 = replace(encoding, terms=[UTF8])
    if not spans.character_set:
        # The default repertoire is a part of UTF-8: nothing else in the file changes.
        return _splice(spans, changes, in_utf8)
    rest = read_spans(source, PIXELS - 1).end
    text = _in_utf8(source.read(0, rest), spans.meta) if rest <= LARGEST_HEAD else None
    if text is None:
        return _splice(spans, changes, replace(encoding, replace=True))
    made = read_spans(ByteSource(io.BytesIO(text), len(text)), ORIGINAL)
    corrected = _splice(made, changes, in_utf8, before=spans)
    whole = Corrected([piece if isinstance(piece, bytes) else text[slice(*piece)] for piece in corrected.pieces])
    whole.keep(rest, source.size)
    return whole


def _in_utf8(head: bytes, meta: Meta) -> bytes | None:
    """Return a file, as far as its pixel data, with all texts in UTF-8; None where pydicom cannot read or write it."""
    target = DicomBytesIO()
    target.is_implicit_VR, target.is_little_endian = not meta.explicit, meta.little
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            with config.disable_value_validation():
                dataset = dcmread(io.BytesIO(head), force=True)
                dataset.decode()
                dataset.SpecificCharacterSet = UTF8
                write_dataset(target, dataset)
        except _PROBLEMS:
            return None
    return head[: meta.start] + target.getvalue()


def _splice(spans: Spans, changes: list[Change], encoding: Encoding, before: Spans | None = None) -> Corrected:
    """Return the file with the changed elements in their places; `before` has the file in its stored character set."""
    before = before or spans
    new = {change.tag: encode_element(change.tag, change.attribute, encoding) for change in changes}
    recoded = encoding.terms != before.character_set
    if recoded:
        new[CHARACTER_SET] = encode_element(CHARACTER_SET, {"vr": "CS", "Value": encoding.terms}, encoding)
    new[ORIGINAL] = _with_items(spans, _original_items(before, changes, encoding, recoded), encoding)
    # Group lengths (PS3.5 7.2, retired) would be wrong now; they may be left out.
    groups = {tag >> 16 for tag in new}
    corrected = Corrected()
    position = 0
    waiting = sorted(new)
    for span in spans.elements:
        while waiting and waiting[0] <= span.tag:
            corrected.keep(position, span.start)
            corrected.pieces.append(new[waiting.pop(0)])
            position = span.start
        if span.tag in new or (span.tag & 0xFFFF == 0 and span.tag >> 16 in groups):
            corrected.keep(position, span.start)
            position = span.end
    corrected.keep(position, spans.end)
    corrected.pieces += [new[tag] for tag in waiting]
    corrected.keep(spans.end, spans.source.size)
    return corrected


def _original_items(before: Spans, changes: list[Change], encoding: Encoding, recoded: bool) -> bytes:
    """Return one item for each time of a change, with the stored elements; those that were not there are empty."""
    by_tag = {span.tag: span for span in before.elements}
    times: dict[str, list[Change]] = {}
    for change in changes:
        times.setdefault(change.at, []).append(change)
    items = []
    for at, made in times.items():
        elements = {}
        for change in made:
            span = by_tag.get(change.tag)
            elements[change.tag] = before.raw(span) if span else wrap(change.tag, change.attribute["vr"], b"", encoding)
        if recoded:
            # An item's own character set says how its texts are to be read (PS3.3 C.12.1.1.2).
            value = {"vr": "CS", "Value": before.character_set} if before.character_set else {"vr": "CS"}
            elements[CHARACTER_SET] = encode_element(CHARACTER_SET, value, encoding)
        modified = wrap_item(b"".join(elements[tag] for tag in sorted(elements)), encoding)
        history: dict[int, Attribute] = {
            0x04000562: {"vr": "DT", "Value": [at.translate(str.maketrans("", "", "-:T")).replace("Z", "+0000")]},
            0x04000563: {"vr": "LO", "Value": ["dicouch"]},
            0x04000564: {"vr": "LO"},
            0x04000565: {"vr": "CS", "Value": ["CORRECT"]},
        }
        content = wrap(MODIFIED, "SQ", modified, encoding)
        content += b"".join(encode_element(tag, attribute, encoding) for tag, attribute in history.items())
        items.append(wrap_item(content, encoding))
    return b"".join(items)


def _with_items(spans: Spans, items: bytes, encoding: Encoding) -> bytes:
    """Return Original Attributes Sequence with `items` appended to those that the file has already."""
    span = next((span for span in spans.elements if span.tag == ORIGINAL), None)
    if span is None:
        return wrap(ORIGINAL, "SQ", items, encoding)
    raw = spans.raw(span)
    if encoding.explicit and raw[4:6] != b"SQ":
        # The items of a sequence of VR UN are in Implicit VR (PS3.5 6.2.2), so they are encoded again.
        existing = spans.dataset.get(f"{ORIGINAL:08X}", {}).get("Value", [])
        return wrap(ORIGINAL, "SQ", b"".join(encode_item(item, encoding) for item in existing) + items, encoding)
    start = 12 if encoding.explicit else 8
    (length,) = struct.unpack(f"{encoding.order}I", raw[start - 4 : start])
    value = raw[start:]
    if length == UNDEFINED:
        value = value.removesuffix(struct.pack(f"{encoding.order}HHI", 0xFFFE, 0xE0DD, 0))
    else:
        value = value[:length]
    return wrap(ORIGINAL, "SQ", value + items, encoding)


def changes_of(document_id: str, tags: Iterable[str], corrected: list[dict[str, Any]]) -> tuple[Change, ...]:
    """Return the changes of one instance, the oldest first, from the values of ``corrections_by_study``.

    `tags` are the attributes that the design document found to differ, the oldest fix first.
    """
    series = document_id.split(":")[1]
    fixes = {}
    for correction in corrected:
        if correction["series"] in (None, series):
            fixes.update(correction.get("fixes", {}))
    return tuple(Change(int(tag, 16), fixes[tag]["value"], fixes[tag]["at"]) for tag in tags)


def correct_stored(
    opener: Opener, size: int, changes: Iterable[Change], *, ordered: bool = True
) -> tuple[int, Callable[..., Iterator[bytes]]]:
    """Return the size of a stored file with some attributes changed, and what yields its bytes or those of a range."""
    file = RangeFile(opener, size)
    meta = read_meta(ByteSource(file, size), Warnings())
    if not meta.deflated:
        corrected = correct(file, size, list(changes), ordered=ordered)
        return corrected.size, lambda start=0, end=None: corrected.chunks(opener, start, end)
    with open_inflated(opener(0, size)) as inflated:
        length = inflated.seek(0, os.SEEK_END)
        corrected = correct(inflated, length, list(changes), ordered=ordered)
        target = deflated(corrected, inflated, meta.start)
    total = target.seek(0, os.SEEK_END)

    def pieces(start: int = 0, end: int = total) -> Iterator[bytes]:
        with target:
            yield from read_range(target, start, end)

    return total, pieces


def deflated(corrected: Corrected, inflated: IO[bytes], start: int) -> IO[bytes]:
    """Return a temporary file, which the caller closes, with a corrected data set deflated again (PS3.5 A.5).

    What precedes `start` is not deflated.
    """
    target = SpooledTemporaryFile(max_size=SPOOLED)  # the caller closes it
    deflater = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    plain = start
    for piece in corrected.chunks(lambda low, high: read_range(inflated, low, high)):
        head, tail = piece[:plain], piece[plain:]
        plain -= len(head)
        target.write(head)
        target.write(deflater.compress(tail))
    target.write(deflater.flush())
    if target.tell() % 2:
        target.write(b"\0")  # PS3.5 A.5
    target.seek(0)
    return target
