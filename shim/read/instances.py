"""Instances as Part 10 files in the transfer syntax that was asked for (PS3.18 8.7.3.5.2, 10.4.1.1.1)."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from dicouch.couch.response import CouchError
from dicouch.dicom.correct import RangeFile, correct
from dicouch.dicom.errors import Busy, PixelError
from dicouch.dicom.media.negotiate import MediaRange, MediaType, choose, parse_media_type
from dicouch.dicom.pixels.decode import can_decode
from dicouch.dicom.pixels.encode import ENCODED
from dicouch.dicom.pixels.transcode import SourceFile, targets, transcode
from dicouch.dicom.syntaxes import EXPLICIT_LITTLE, is_native
from dicouch.errors import DicomWebError, NoBytes, too_many_open
from dicouch.read.imaging import stored_of
from dicouch.read.retrieve import Retriever, Stored
from dicouch.store import ATTACHED
from dicouch.store.ranges import AHEAD, begun

LOG = logging.getLogger(__name__)

DICOM = "application/dicom"
# Instances that one answer has opened at a time, ahead of sending them.
OPEN = 8


@dataclass(frozen=True)
class Delivery:
    """One instance as it is sent.

    Attributes
    ----------
    stored : Stored
    transfer_syntax : str
        Of the bytes.
    size : int
        Bytes.
    open : callable
        Gives the pieces of bytes.
    """

    stored: Stored
    transfer_syntax: str
    size: int
    open: Callable[[], Iterator[bytes]]

    @property
    def weight(self) -> int:
        """Its part of `AHEAD`: one that is not converted holds a file or a connection until it is sent."""
        return max(self.size, AHEAD // OPEN) if is_kept(self.stored, self.transfer_syntax) else self.size

    @property
    def content_type(self) -> str:
        """Media type of the part or payload."""
        return f"{DICOM}; transfer-syntax={self.transfer_syntax}"


def transfer_syntaxes(stored: str) -> list[str]:
    """Return the transfer syntaxes in which a file can be had as far as its own tells, that one first."""
    found = [stored]
    if is_native(stored) or can_decode(stored):
        found += [EXPLICIT_LITTLE, *ENCODED]
    return list(dict.fromkeys(found))


def offers(stored: str, *, multipart: bool) -> list[MediaType]:
    """Return the media types in which a file can be had, as parts or alone."""
    return list(_offers(stored, multipart))


@lru_cache(256)
def _offers(stored: str, multipart: bool) -> tuple[MediaType, ...]:
    syntaxes = transfer_syntaxes(stored)
    if syntaxes == [stored]:
        return (_as_stored(stored, multipart),)
    return tuple(_offer(syntax, multipart) for syntax in syntaxes)


def _as_stored(stored: str, multipart: bool) -> MediaType:
    """Return what there is of a file that cannot be converted, also for who names no transfer syntax (8.7.3)."""
    return replace(_offer(stored, multipart), stands_in=True)


def _offer(syntax: str, multipart: bool) -> MediaType:
    if multipart:
        return parse_media_type(f'multipart/related; type="{DICOM}"; transfer-syntax={syntax}')
    return parse_media_type(f"{DICOM}; transfer-syntax={syntax}")


def is_kept(stored: Stored, syntax: str) -> bool:
    """Return whether an instance goes out in a transfer syntax without being converted."""
    return syntax == stored.file["transferSyntax"] and "recoded" not in stored.file


class Chooser:
    """Chooses the transfer syntax of every instance of an answer.

    Parameters
    ----------
    ranges : sequence of MediaRange
        What the client accepts.
    multipart : bool
        Whether instances go as parts.
    """

    def __init__(self, ranges: Sequence[MediaRange], *, multipart: bool = True):
        self.ranges = ranges
        self.multipart = multipart
        self._known: dict[str, str | None] = {}

    def __call__(self, stored: str) -> str | None:
        """Return the transfer syntax for a file stored in `stored`; None when no acceptable one can be had."""
        if stored not in self._known:
            found = choose(self.ranges, offers(stored, multipart=self.multipart))
            self._known[stored] = found.transfer_syntax if found else None
        return self._known[stored]


def deliver(reader: Retriever, stored: Stored, syntax: str) -> Delivery:
    """Return an instance in a transfer syntax.

    Raises
    ------
    DicomWebError
        406 if it cannot be converted, naming what there is; of a converted one, the beginning is made at once.
    """
    if is_kept(stored, syntax):
        size, pieces = reader.content(stored)
        return Delivery(stored, syntax, size, pieces)
    document = reader.whole(reader.document(*stored.id.split(":")))
    source = stored_of(reader, document)
    if stored.changes:
        source = _corrected(source, stored)
    try:
        made, converted = transcode(source, syntax)
        converted = begun(converted, AHEAD)
    except PixelError as problem:
        left = ", ".join(one for one in targets(source) if one != syntax)
        raise DicomWebError(406, f"{problem}; there are the transfer syntaxes {left}") from problem
    return Delivery(stored, syntax, made, lambda: converted)


def deliver_acceptable(
    reader: Retriever, stored: Stored, syntax: str, ranges: Sequence[MediaRange], *, multipart: bool
) -> Delivery:
    """Return an instance in a transfer syntax, or in the next one that is acceptable when it cannot be converted.

    `ranges` are what the client accepts: who names no transfer syntax gets what cannot be decoded as it is stored.
    Raises `DicomWebError` as `deliver` does.
    """
    own = stored.file["transferSyntax"]
    left = [_as_stored(own, multipart)] + [offer for offer in _offers(own, multipart) if offer.transfer_syntax != own]
    while True:
        try:
            return deliver(reader, stored, syntax)
        except DicomWebError as problem:
            left = [offer for offer in left if offer.transfer_syntax != syntax]
            found = choose(ranges, left) if problem.status == 406 else None
            if found is None or found.transfer_syntax is None:
                raise
            syntax = found.transfer_syntax


def _corrected(source: SourceFile, stored: Stored) -> SourceFile:
    """Return a file to be transcoded with what people fixed laid over it; frames are read from the stored one."""
    file = RangeFile(source.read, source.size)
    corrected = correct(file, source.size, list(stored.changes), ordered=stored.ordered)
    pixels = source.pixels and {**source.pixels, "offset": corrected.position(source.pixels["offset"])}
    return replace(
        source,
        size=corrected.size,
        read=lambda start, end: corrected.chunks(source.read, start, end),
        pixels=pixels,
    )


def check_bytes(reader: Retriever, stored: Stored) -> None:
    """Refuse an instance whose bytes are not there, as far as that can be told without reading any.

    Raises
    ------
    DicomWebError
        As `dicouch.store.places.Bytes.open` does.
    """
    if stored.file["store"] != ATTACHED and reader.store.locate(stored.file, compare=False) is None:
        if reader.store.can_fetch(stored.file):
            return  # another server has them: all of a study are not awaited before the first is sent
        begun(reader.open(stored)).close()  # moved meanwhile, or gone; an attachment is part of its document


def has_bytes(reader: Retriever, stored: Stored) -> bool:
    """Return whether the bytes of an instance are there; see `check_bytes`."""
    try:
        check_bytes(reader, stored)
    except DicomWebError as problem:
        if problem.status >= 500 and not isinstance(problem, NoBytes):
            raise
        return False
    return True


def deliver_all(
    reader: Retriever,
    chosen: Iterable[tuple[Stored, str]],
    ranges: Sequence[MediaRange],
    leave_out: Callable[[DicomWebError], None],
) -> Iterator[Delivery]:
    """Yield instances one after the other, opened, each in its transfer syntax, or as it is stored when it has to be.

    Only an image whose pixels are damaged is not converted; its own transfer syntax is then told, and nothing is lost.
    What cannot be had at all is for `leave_out`: an instance must not take the others of its study with it.
    """
    for stored, syntax in chosen:
        own = stored.file["transferSyntax"]
        try:
            sent = _opened(reader, stored, syntax, ranges)
        except DicomWebError as problem:
            try:
                if problem.status != 406 or not is_kept(stored, own):
                    raise
                sent = _opened(reader, stored, own, ranges)
            except DicomWebError as reason:
                leave_out(reason)
                continue
        yield sent


def _opened(reader: Retriever, stored: Stored, syntax: str, ranges: Sequence[MediaRange]) -> Delivery:
    """Return an instance whose bytes have begun.

    Raises
    ------
    DicomWebError
        It cannot be had so, as far as its first bytes tell; 406 when its stored bytes perhaps can.
    """
    try:
        sent = deliver_acceptable(reader, stored, syntax, ranges, multipart=True)
        pieces = begun(sent.open())
    except (CouchError, DicomWebError, Busy):
        raise
    except Exception as problem:  # an error of ours, or of a library fed with a broken file, costs this instance alone
        if busy := too_many_open(problem):
            raise busy from problem
        LOG.exception("sending %s", stored.id)
        raise DicomWebError(406, f"{stored.id} cannot be sent in {syntax}") from problem
    return replace(sent, open=lambda: pieces)
