"""Reading ``multipart/related`` requests as streams (RFC 2046 5.1, RFC 2387).

python-multipart finds the delimiters; this module adds what it leaves out: preambles, folded header lines, the check
that the closing delimiter is one, and parts spooled and digested one at a time.
"""

from __future__ import annotations

import hashlib
import logging
import re
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import chain
from tempfile import SpooledTemporaryFile
from typing import TYPE_CHECKING, Protocol, cast

from python_multipart.exceptions import MultipartParseError
from python_multipart.multipart import MultipartParser

from dicouch.dicom.errors import DicomError
from dicouch.dicom.media.negotiate import MalformedMediaType, parse_media_type

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

CHUNK = 256 * 1024  # bytes read from a request at a time
MAX_BOUNDARY = 200  # longest boundary taken, in characters. RFC 2046 allows 70; some senders use more
MAX_PREAMBLE = 1 << 20  # bytes in which the first delimiter must appear
MAX_HEADERS = 64  # header lines of a part
MAX_HEADER_BYTES = 16 * 1024  # bytes of all headers of a part

# The parser warns of every error that it raises.
_QUIET = logging.getLogger(f"{__name__}.parser")
_QUIET.disabled = True


class MalformedMultipart(DicomError):
    """A request body is not the ``multipart`` body its Content-Type announces."""


class TooManyParts(MalformedMultipart):
    """A request has more parts than the site allows; those before the limit were yielded."""


@dataclass
class ReceivedPart:
    """One received body part.

    Attributes
    ----------
    number
        Position in the request, from 1.
    headers
        Names in lower case; of a repeated header the first counts.
    file
        The body, positioned at its start. None when `too_large`. Whoever takes the part closes it.
    size
        Bytes of the body.
    sha256
        Digest of the body in hex, None when `too_large`.
    too_large
        The body passed the limit for a part and was not kept.
    """

    number: int
    headers: dict[str, str]
    file: SpooledTemporaryFile[bytes] | None
    size: int = 0
    sha256: str | None = None
    too_large: bool = False

    @property
    def content_type(self) -> str:
        """The part's Content-Type as received; empty when it has none."""
        return self.headers.get("content-type", "")

    def close(self) -> None:
        """Close the spooled body."""
        if self.file is not None:
            self.file.close()

    def __enter__(self) -> ReceivedPart:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()


class Readable(Protocol):
    """What is needed of a WSGI input stream."""

    def read(self, size: int, /) -> bytes: ...


def iter_parts(
    stream: Readable,
    content_type: str,
    *,
    spool_limit: int = 1 << 20,
    max_part_size: int | None = None,
    max_parts: int | None = None,
    directory: str | None = None,
) -> Iterator[ReceivedPart]:
    """Read the parts of a request body one after another, each as soon as it is complete.

    Parameters
    ----------
    stream
        The request body; needs no length.
    content_type
        The request's Content-Type, with the boundary.
    spool_limit
        Bytes of a part kept in memory; a longer one goes to disk.
    max_part_size
        Bytes a part may have. A longer one is read to its end and yielded with ``too_large=True`` and no file.
    max_parts
        Parts the request may have.
    directory
        Where parts are spooled; the system's temporary folder by default.

    Raises
    ------
    MalformedMultipart
        At once when the Content-Type is not a multipart one with a boundary; while iterating, after the last complete
        part, when the body is not well-formed or ends early.
    TooManyParts
        While iterating, after `max_parts` parts.
    """
    spool = partial(SpooledTemporaryFile, spool_limit, dir=directory)
    return _read(stream, _Reader(_boundary(content_type), spool, max_part_size, max_parts))


def _boundary(content_type: str) -> bytes:
    try:
        media_type = parse_media_type(content_type)
    except MalformedMediaType as e:
        raise MalformedMultipart(str(e)) from e
    if media_type.type != "multipart":
        raise MalformedMultipart(f"{media_type.essence} is not a multipart media type")
    # A boundary cannot end in a blank (RFC 2046 5.1.1): on the wire it would be transport padding.
    boundary = media_type.params.get("boundary", "").rstrip(" ")
    if not boundary:
        raise MalformedMultipart("the Content-Type has no boundary")
    if len(boundary) > MAX_BOUNDARY:
        raise MalformedMultipart(f"the boundary is longer than {MAX_BOUNDARY} characters")
    if not re.fullmatch(r"[\x20-\x7e\xa0-\xff]+", boundary):
        raise MalformedMultipart("the boundary has characters that cannot stand in one")
    return boundary.encode("latin-1")


def _read(stream: Readable, reader: _Reader) -> Iterator[ReceivedPart]:
    try:
        rest = _skip_preamble(stream, reader.boundary)
        if rest is None:
            return
        for chunk in chain((rest,), iter(partial(stream.read, CHUNK), b""), (None,)):
            error = None
            try:
                reader.feed(chunk)
            except MalformedMultipart as e:
                error = e
            while reader.complete:
                yield reader.complete.popleft()
            if error:
                raise error
            if reader.closed:
                return
    finally:
        reader.discard()


def _skip_preamble(stream: Readable, boundary: bytes) -> bytes | None:
    """What follows the first delimiter line; None when that is already the closing delimiter."""
    delimiter = b"\r\n--" + boundary
    line = re.compile(re.escape(delimiter) + rb"(?:(--)|[ \t]*\r\n)")
    window, seen = b"\r\n", 0  # the body itself begins a line
    while True:
        chunk = stream.read(CHUNK)
        window += chunk
        if found := line.search(window):
            return None if found[1] else window[found.end() :]
        seen += len(chunk)
        if not chunk:
            raise MalformedMultipart("the body is empty" if not seen else "the boundary is not in the body")
        if seen > MAX_PREAMBLE:
            raise MalformedMultipart(f"the boundary is not in the first {MAX_PREAMBLE} bytes of the body")
        candidate = window.rfind(delimiter)
        window = window[candidate if candidate >= 0 else -len(delimiter) :]


@dataclass
class _Reader:
    """What python-multipart's callbacks fill: the complete parts so far, and the one being read."""

    boundary: bytes
    spool: Callable[[], SpooledTemporaryFile[bytes]]
    max_part_size: int | None
    max_parts: int | None

    def __post_init__(self) -> None:
        self.complete: deque[ReceivedPart] = deque()
        self.closed = False
        self._last: ReceivedPart | None = None  # complete, once its closing delimiter proves to be one
        self._tail = b""  # the latest bytes: a delimiter may have begun in them
        self._number = self._size = self._header_bytes = self._folds = 0
        self._file: SpooledTemporaryFile[bytes] | None = None
        self._headers: list[tuple[bytes, bytes]] = []
        self._field = self._value = b""
        self._folding = False
        callbacks = {name: getattr(self, name) for name in dir(self) if name.startswith("on_")}
        self._callbacks = cast("MultipartCallbacks", callbacks)
        self._parser = self._open_parser()

    def _open_parser(self) -> MultipartParser:
        parser = MultipartParser(
            self.boundary, self._callbacks, max_header_count=MAX_HEADERS, max_header_size=MAX_HEADER_BYTES
        )
        parser.logger = _QUIET
        parser.write(b"--" + self.boundary + b"\r\n")
        return parser

    def _refusal(self, reason: object) -> MalformedMultipart:
        return MalformedMultipart(f"part {self._number}: {reason}")

    def feed(self, data: bytes | None) -> None:
        """Parse the next piece of the body, of any size; None: it has ended."""
        if data is None and not self._last:
            raise MalformedMultipart(f"the body ends before part {self._number} does")
        if data is None or self._last:
            self._close(data)
            return
        while True:
            try:
                self._parser.write(data)
                break
            except MultipartParseError as e:
                data = self._unfold(data, e)
        closing = b"\r\n--" + self.boundary + b"--"
        if self._last:
            # The parser has ended in this piece, so this is the first such line in the data of a part.
            window = self._tail + data
            self._close(window[window.find(closing) + len(closing) :])
        else:
            self._tail = (data if len(data) >= len(closing) else self._tail + data)[1 - len(closing) :]

    def _unfold(self, data: bytes, error: MultipartParseError) -> bytes:
        """Go on at a folded header line (RFC 822 3.1.1), which the parser refuses.

        A fresh parser is led into the value of a header; what it reads there continues the header before.
        """
        at = error.offset
        starts_line = not self._field and (at == 0 or data[at - 1 : at] == b"\n")
        if not (starts_line and self._headers and data[at : at + 1] in (b" ", b"\t")):
            raise self._refusal(error) from error
        self._folds += 1
        if self._folds > MAX_HEADERS:
            raise self._refusal(f"more than {MAX_HEADERS} folded header lines") from error
        self._folding = True
        self._parser = self._open_parser()
        self._parser.write(b"folded:")
        self._tail = b""
        return data[at:]

    def _close(self, rest: bytes | None) -> None:
        """Complete the last part. Only blanks may follow the closing delimiter on its line (RFC 2046 5.1.1).

        Anything else means that a part's data has the boundary in it, and that there may be more parts.
        """
        rest = rest and rest.lstrip(b" \t")
        if rest and rest[0] not in b"\r\n":
            raise self._refusal("the closing delimiter is followed by data on its line")
        if self._last and rest != b"":
            self.complete.append(self._last)
            self._last = None
            self.closed = True

    def discard(self) -> None:
        """Close whatever was not handed out."""
        for one in (*self.complete, self._last, self._file):
            if one:
                one.close()

    def on_part_begin(self) -> None:
        if self._folding:
            return
        self._number += 1
        if self.max_parts is not None and self._number > self.max_parts:
            raise TooManyParts(f"more than {self.max_parts} parts")
        self._headers = []
        self._header_bytes = self._folds = 0

    def on_header_begin(self) -> None:
        self._field = self._value = b""

    def on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._field += data[start:end]

    def on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._header_bytes += end - start
        if self._header_bytes > MAX_HEADER_BYTES:
            raise self._refusal(f"more than {MAX_HEADER_BYTES} bytes of headers")
        self._value += data[start:end]

    def on_header_end(self) -> None:
        name, value = self._field.lower(), self._value.strip(b" \t")
        if b"\n" in value or b"\0" in value:
            raise self._refusal("a header line that does not end in CRLF")
        if self._folding:
            self._folding = False
            name, before = self._headers.pop()
            value = (before + b" " + value).strip()
        self._headers.append((name, value))

    def on_headers_finished(self) -> None:
        self._file = self.spool()
        self._size = 0
        self._digest = hashlib.sha256()

    def on_part_data(self, data: bytes, start: int, end: int) -> None:
        self._size += end - start
        if self._file is None:
            return
        if self.max_part_size is not None and self._size > self.max_part_size:
            self._file.close()
            self._file = None
            return
        piece = memoryview(data)[start:end]
        self._digest.update(piece)
        self._file.write(piece)

    def on_part_end(self) -> None:
        file = self._file
        if file is not None:
            # A delimiter right after the headers ends an empty part; the parser takes it and what follows for data.
            file.seek(0)
            start = file.read(len(self.boundary) + 66)
            if re.match(rb"--%b(?:--|[ \t]*\r\n)" % re.escape(self.boundary), start):
                raise self._refusal("no line end between its headers and the next boundary")
            file.seek(0)
        headers = {name.decode("ascii"): _decode(value) for name, value in reversed(self._headers)}
        digest = self._digest.hexdigest() if file else None
        self.complete.append(ReceivedPart(self._number, headers, file, self._size, digest, too_large=file is None))
        self._file = None

    def on_end(self) -> None:
        self._last = self.complete.pop()


def _decode(value: bytes) -> str:
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return value.decode("latin-1")
