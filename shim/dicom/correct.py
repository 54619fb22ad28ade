"""Corrected files: the stored file with some elements replaced (PS3.3 C.12.1.1.9, Original Attributes Sequence).

All other bytes, pixel data above all, are those that were stored.
"""

from __future__ import annotations

import io
import os
import struct
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from tempfile import SpooledTemporaryFile
from typing import IO, Any

from dicouch.dicom.json_model import Attribute
from dicouch.dicom.part10.byte_source import ByteSource, Seekable
from dicouch.dicom.part10.encode import UTF8, Encoding, NotInCharacterSet, encode_element, encode_item, wrap, wrap_item
from dicouch.dicom.part10.inflate import open_inflated
from dicouch.dicom.part10.meta import read_meta
from dicouch.dicom.part10.model import Warnings
from dicouch.dicom.part10.spans import Span, Spans, read_spans
from dicouch.dicom.part10.to_utf8 import to_utf8
from dicouch.dicom.part10.walk import UNDEFINED

CHARACTER_SET, MODIFIED, ORIGINAL = 0x00080005, 0x04000550, 0x04000561
PIXELS = 0x7FE00008
# The head of a file is held in memory to change its character set; a larger one keeps it.
LARGEST_HEAD = 64 * 1024 * 1024
CHUNK = 256 * 1024

Opener = Callable[[int, int], Iterator[bytes]]


@dataclass(frozen=True)
class Change:
    """One attribute of an instance that a person fixed.

    Attributes
    ----------
    tag : int
    attribute : dict
        The value, in the DICOM JSON Model.
    at : str
        When, as ISO 8601 in UTC.
    """

    tag: int
    attribute: Attribute
    at: str


@dataclass
class Corrected:
    """A file made of pieces of the stored one and of new bytes.

    Attributes
    ----------
    pieces : list
        Bytes, or (start, end) in the stored file.
    """

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


class RangeFile:
    """A seekable file whose reads are ranges of stored bytes.

    Parameters
    ----------
    opener : callable
        Yields the bytes from a start up to an end.
    size : int
    """

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


def correct(file: Seekable, size: int, changes: list[Change], *, ordered: bool = True) -> Corrected:
    """Return a file with some attributes changed; only its head is read.

    Parameters
    ----------
    file : file object
        Seekable: the stored file, of a deflated one the inflated stream.
    size : int
        Its length in bytes.
    changes : list of Change
        The oldest first.
    ordered : bool
        Whether its elements are in ascending order; otherwise more than the head is read.

    Raises
    ------
    dicouch.dicom.part10.Part10Error
        The file cannot be read.
    """
    source = ByteSource(file, size)
    spans = read_spans(source, ORIGINAL if ordered else None)
    encoding = Encoding(spans.meta.explicit, spans.meta.little, spans.character_set, forgiving=True)
    try:
        return _splice(source, spans, changes, encoding)
    except NotInCharacterSet:
        pass
    in_utf8 = replace(encoding, terms=[UTF8])
    if not spans.character_set:
        # The default repertoire is a part of UTF-8: nothing else in the file changes.
        return _splice(source, spans, changes, in_utf8)
    head = _head_in_utf8(source)
    if head is None:
        return _splice(source, spans, changes, replace(encoding, replace=True))
    text, rest = head
    made = ByteSource(io.BytesIO(text), len(text))
    corrected = _splice(made, read_spans(made, ORIGINAL), changes, in_utf8, originals=(source, spans))
    whole = Corrected()
    for piece in corrected.pieces:
        whole.pieces.append(piece if isinstance(piece, bytes) else text[piece[0] : piece[1]])
    whole.keep(rest, source.size)
    return whole


def _head_in_utf8(source: ByteSource) -> tuple[bytes, int] | None:
    """Return what precedes the pixel data with its texts in UTF-8, and where the rest begins; None if it cannot be."""
    spans = read_spans(source, PIXELS - 1)
    if spans.end > LARGEST_HEAD:
        return None
    head = source.read(0, spans.end)
    text = to_utf8(head, spans.meta)
    return None if text is None else (text, spans.end)


def _splice(
    source: ByteSource,
    spans: Spans,
    changes: list[Change],
    encoding: Encoding,
    originals: tuple[ByteSource, Spans] | None = None,
) -> Corrected:
    """Return the file with the changed elements in their places.

    Parameters
    ----------
    originals : (ByteSource, Spans), optional
        Where the elements were before their character set changed.
    """
    stored, before = originals or (source, spans)
    new = {change.tag: encode_element(change.tag, change.attribute, encoding) for change in changes}
    terms = before.character_set
    if encoding.terms != terms:
        new[CHARACTER_SET] = encode_element(CHARACTER_SET, {"vr": "CS", "Value": encoding.terms}, encoding)
    items = _original_items(stored, before, changes, encoding, encoding.terms != terms)
    new[ORIGINAL] = _with_items(source, spans, items, encoding)
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
    corrected.keep(spans.end, source.size)
    return corrected


def _original_items(
    source: ByteSource, before: Spans, changes: list[Change], encoding: Encoding, recoded: bool
) -> bytes:
    """Return one item for each time of a change, holding the stored bytes of the elements."""
    by_tag = {span.tag: span for span in before.elements}
    times: dict[str, list[Change]] = {}
    for change in changes:
        times.setdefault(change.at, []).append(change)
    items = []
    for at, made in times.items():
        elements = {change.tag: _original(source, by_tag.get(change.tag), change, encoding) for change in made}
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


def _original(source: ByteSource, span: Span | None, change: Change, encoding: Encoding) -> bytes:
    """Return the stored element; one of zero length if the file had none."""
    if span is None:
        return wrap(change.tag, change.attribute["vr"], b"", encoding)
    return source.read(span.start, span.end - span.start)


def _with_items(source: ByteSource, spans: Spans, items: bytes, encoding: Encoding) -> bytes:
    """Return Original Attributes Sequence with `items` appended to those that the file has already."""
    span = next((span for span in spans.elements if span.tag == ORIGINAL), None)
    if span is None:
        return wrap(ORIGINAL, "SQ", items, encoding)
    raw = source.read(span.start, span.end - span.start)
    if encoding.explicit and raw[4:6] != b"SQ":
        # The items of a sequence of VR UN are in Implicit VR (PS3.5 6.2.2), so they are encoded again.
        existing = spans.dataset.get(f"{ORIGINAL:08X}", {}).get("Value", [])
        return wrap(ORIGINAL, "SQ", b"".join(encode_item(item, encoding) for item in existing) + items, encoding)
    start = 12 if encoding.explicit else 8
    (length,) = struct.unpack(f"{encoding.order}I", raw[start - 4 : start])
    value = raw[start:]
    if length == UNDEFINED:
        end = struct.pack(f"{encoding.order}HHI", 0xFFFE, 0xE0DD, 0)
        value = value.removesuffix(end)
    else:
        value = value[:length]
    return wrap(ORIGINAL, "SQ", value + items, encoding)


def changes_of(document_id: str, tags: Iterable[str], corrected: list[dict[str, Any]]) -> tuple[Change, ...]:
    """Return the changes of one instance, the oldest first.

    Parameters
    ----------
    document_id : str
    tags : iterable of str
        Which attributes the design document found to differ, the oldest fix first.
    corrected : list of dict
        Values of ``corrections_by_study``.
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
    """Return the size of a stored file with some attributes changed, and what yields its bytes or those of a range.

    Parameters
    ----------
    opener : callable
        Yields the stored bytes from a start up to an end.
    size : int
        Length of the stored file in bytes.
    changes : iterable of Change
        The oldest first.
    ordered : bool
        Whether its elements are in ascending order.
    """
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
            target.seek(start)
            while start < end and (piece := target.read(min(CHUNK, end - start))):
                start += len(piece)
                yield piece

    return total, pieces


def deflated(corrected: Corrected, inflated: IO[bytes], start: int) -> IO[bytes]:
    """Return a temporary file with a corrected data set deflated again (PS3.5 A.5); the caller closes it.

    Parameters
    ----------
    corrected : Corrected
    inflated : file object
        The stream that it was made from.
    start : int
        Where the data set begins in it: what precedes is not deflated.
    """

    def opener(low: int, high: int) -> Iterator[bytes]:
        inflated.seek(low)
        while low < high and (piece := inflated.read(min(CHUNK, high - low))):
            low += len(piece)
            yield piece

    target = SpooledTemporaryFile(max_size=8 * 1024 * 1024)  # the caller closes it
    deflater = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    plain = start
    for piece in corrected.chunks(opener):
        head, tail = piece[:plain], piece[plain:]
        plain -= len(head)
        target.write(head)
        target.write(deflater.compress(tail))
    target.write(deflater.flush())
    if target.tell() % 2:
        target.write(b"\0")  # PS3.5 A.5
    target.seek(0)
    return target
