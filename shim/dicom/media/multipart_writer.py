"""Writing ``multipart/related`` as a stream: DICOMweb answers, and CouchDB's document with attachments (RFC 2046)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from secrets import token_hex
from typing import BinaryIO

from werkzeug.http import quote_header_value

from dicouch.dicom.media.negotiate import MediaType

CHUNK = 256 * 1024  # bytes read from a file at a time
SMALL = 16 * 1024
"""Pieces below this are joined with their neighbours, as every yielded piece costs the server a system call."""


Sender = Callable[[int, int, int], int]
"""Sends bytes of a file by the system itself: file number, start, count. Returns how many; 0 where it cannot."""
SENDER = "dicouch.sender"
"""Under which the environment of WSGI has one, where the connection is plain."""


class WrongLength(ValueError):
    """A body is not as long as it was said to be. What was announced cannot be taken back, so the answer breaks off."""


@dataclass
class BodyPart:
    """One body part to be sent.

    Attributes
    ----------
    body
        An iterable with a `close` method is closed when it was sent, or when the client goes away.
    size
        Bytes of the body, when known: needed for the length of the whole, and then held to.
    """

    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | Iterable[bytes] = b""
    size: int | None = None

    def __post_init__(self) -> None:
        if isinstance(self.body, bytes):
            self.size = len(self.body)


def new_boundary() -> str:
    """A boundary that no data holds: 128 random bits, and nothing that needs quotes."""
    return f"dicouch-{token_hex(16)}"


def multipart_content_type(root_type: str, boundary: str, transfer_syntax: str | None = None) -> str:
    """The Content-Type of a ``multipart/related`` message (RFC 2387 3, PS3.18 8.7.3).

    `root_type` is the media type of the parts, without parameters; a transfer syntax is named when all have the same.
    """
    return f"{_of_parts(root_type, transfer_syntax)}; boundary={quote_header_value(boundary)}"


@lru_cache(256)
def _of_parts(root_type: str, transfer_syntax: str | None) -> str:
    params = {"type": root_type, "transfer-syntax": transfer_syntax}
    return str(MediaType("multipart", "related", {name: value for name, value in params.items() if value}))


def write_multipart(parts: Iterable[BodyPart], boundary: str, send: Sender | None = None) -> Iterator[bytes]:
    """The bytes of a multipart message, piece by piece: small pieces joined, large ones as they are.

    The next part is asked for when the one before is sent.

    Parameters
    ----------
    send : Sender, optional
        Sends bodies that are in files, past this iterator, when what was yielded has been sent. Such a body has a
        method `place`, which returns what `send` takes, or None.

    Raises
    ------
    WrongLength
        When a body is shorter or longer than its `size`.
    ValueError
        When a header has a line end in it.
    """
    waiting = bytearray()
    for head, part in _with_heads(parts, boundary):
        waiting += head
        if part is None:
            break
        pieces = iter((part.body,) if isinstance(part.body, bytes) else part.body)
        sent = 0
        try:
            if send and (place := getattr(part.body, "place", lambda: None)()):
                yield bytes(waiting)
                waiting.clear()
                if sent := send(*place):
                    pieces = iter(())
            for piece in pieces:
                sent += len(piece)
                if part.size is not None and sent > part.size:
                    raise WrongLength(f"a body of {part.size} bytes has more than that")
                if len(piece) < SMALL:
                    waiting += piece
                if len(waiting) >= CHUNK or (waiting and len(piece) >= SMALL):
                    yield bytes(waiting)
                    waiting.clear()
                if len(piece) >= SMALL:
                    yield piece
        finally:
            for source in (pieces, part.body):
                if hasattr(source, "close"):
                    source.close()
        if part.size is not None and sent < part.size:
            raise WrongLength(f"a body of {part.size} bytes ended after {sent}")
    yield bytes(waiting)


def multipart_length(parts: Iterable[BodyPart], boundary: str) -> int | None:
    """Bytes that `write_multipart` makes of the same parts; None when the size of one is not known."""
    total = 0
    for head, part in _with_heads(parts, boundary):
        total += len(head)
        if part is not None:
            if part.size is None:
                return None
            total += part.size
    return total


def _with_heads(parts: Iterable[BodyPart], boundary: str) -> Iterator[tuple[bytes, BodyPart | None]]:
    """Each part with what stands before its body; at last the closing delimiter, with None."""
    line_end = ""
    for part in parts:
        lines = [f"{line_end}--{boundary}", *(f"{name}: {value}" for name, value in part.headers.items()), "", ""]
        if any("\r" in line or "\n" in line for line in lines[1:]):
            raise ValueError(f"a header with a line end in it: {dict(part.headers)!r}")
        yield "\r\n".join(lines).encode(), part
        line_end = "\r\n"
    yield f"{line_end}--{boundary}--\r\n".encode(), None


def read_pieces(file: BinaryIO, size: int) -> Iterator[bytes]:
    """The first `size` bytes of an open file, which stays open; raises `WrongLength` when it is shorter."""
    file.seek(0)
    left = size
    while left:
        piece = file.read(min(CHUNK, left))
        if not piece:
            raise WrongLength(f"a file of {size} bytes ended after {size - left}")
        left -= len(piece)
        yield piece


def couch_multipart(
    document: bytes, attachments: Sequence[tuple[BinaryIO, int]]
) -> tuple[dict[str, str], Callable[[], Iterator[bytes]]]:
    """The body with which CouchDB takes a document and its attachments in one PUT.

    Parameters
    ----------
    document
        The document as JSON. Its ``_attachments`` name each attachment with ``"follows": true``, ``content_type`` and
        ``length``, in the order of `attachments`.
    attachments
        Files, sent from their start, and their sizes in bytes. They stay open. At least one, and as many as the
        document names: for any more that it names CouchDB waits until the connection breaks.

    Returns
    -------
    headers : dict of str to str
    body : callable
        Gives the pieces of the body, each time from its beginning: the request may be sent again.
    """
    if not attachments:
        raise ValueError("a document without attachments is sent as JSON: CouchDB never answers a multipart one")
    boundary = new_boundary()

    def again() -> list[BodyPart]:
        files = (BodyPart({}, read_pieces(file, size), size) for file, size in attachments)
        return [BodyPart({"Content-Type": "application/json"}, document), *files]

    headers = {
        "Content-Type": multipart_content_type("application/json", boundary),
        "Content-Length": str(multipart_length(again(), boundary)),
    }
    return headers, lambda: write_multipart(again(), boundary)
