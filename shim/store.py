"""Where Part 10 bytes live: an attachment in CouchDB or a file in a folder; reads never care which."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO

from shim.couch import CHUNK, Answer, Couch, CouchError, segment
from shim.errors import DicomWebError

ATTACHMENT = "object.dcm"
FILE_CHUNK = 1 << 20
# The attachment with the data set of an instance whose document would be too large.
DATASET = "dataset.json"


class AttachmentStore:
    """Bytes in the attachment ``object.dcm`` of the instance's document.

    Parameters
    ----------
    couch : Couch
    """

    def __init__(self, couch: Couch):
        self.couch = couch

    def open(self, document_id, file, start=0, end=None, name=ATTACHMENT, authorization=None, check=None):
        """Yield bytes of an attachment; `check` is told its entity tag, before the first byte, and may raise.

        Raises
        ------
        DicomWebError
            404 if the instance went away meanwhile, before the first byte is yielded.
        """
        size = file["size"]
        end = size if end is None else min(end, size)
        headers = {"Accept": "*/*"}
        if (start, end) != (0, size):
            if start >= end:
                return iter(())
            headers["Range"] = f"bytes={start}-{end - 1}"
        try:
            answer = self.couch.request(
                "GET", f"{segment(document_id)}/{name}", headers=headers, authorization=authorization
            )
        except CouchError as problem:
            if problem.status == 404:
                raise DicomWebError(404, f"{document_id} has no bytes in the database") from problem
            raise
        if check is not None:
            try:
                check((answer.headers.get("ETag") or "").strip('"'))
            except BaseException:
                answer.close()
                raise
        if "Range" in headers and answer.status != 206:
            return cut_out(answer.chunks(), start, end)  # a proxy in between may drop ranges
        return _Streamed(answer)


class _Streamed:
    """The pieces of an answer; `close` drops its connection even when none was asked for yet."""

    def __init__(self, answer: Answer):
        self._answer = answer
        self._pieces = answer.chunks()

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        return next(self._pieces)

    def close(self) -> None:
        """Give the connection back, or drop it."""
        self._pieces.close()
        self._answer.close()


class FolderStore:
    """Bytes in files below a folder, named by their digest and a random part: one file for each document.

    Were a file shared, deleting a document while the same bytes are stored again could take the bytes of the new one.

    Parameters
    ----------
    root : str or Path
        The folder.
    """

    def __init__(self, root: str | Path):
        self.root = Path(root)
        # Looking where a path leads takes several calls of the system, and no other file ever has the same name.
        self._paths = lru_cache(4096)(lambda store: str(self.locate({"store": store})))

    def put(self, source: BinaryIO, digest: str) -> str:
        """Keep the bytes of `source`; when this returns they are on the disk.

        Returns
        -------
        str
            What ``file.store`` says: ``folder:`` and the path below the root.
        """
        folder = self.root / digest[:2] / digest[2:4]
        _make_folder(folder)
        path = folder / f"{digest}-{os.urandom(6).hex()}.dcm"
        part = path.with_suffix(".part")
        try:
            with part.open("wb") as target:
                source.seek(0)
                while piece := source.read(CHUNK):
                    target.write(piece)
                target.flush()
                os.fsync(target.fileno())
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
        _sync_folder(folder)
        return f"folder:{path.relative_to(self.root)}"

    def locate(self, file: dict) -> Path:
        """Return the file of an instance; DicomWebError 404 when it is not there or not below the root."""
        path = (self.root / file["store"].removeprefix("folder:")).resolve()
        if not path.is_relative_to(self.root.resolve()) or not path.is_file():
            raise DicomWebError(404, f"the file {file['store']} is not in the folder of this site")
        return path

    def discard(self, file: dict) -> None:
        """Remove the file of an instance; files outside the root are left alone."""
        path = (self.root / file["store"].removeprefix("folder:")).resolve()
        if path.is_relative_to(self.root.resolve()):
            path.unlink(missing_ok=True)

    def file(self, file: dict) -> BinaryIO:
        """Open the file of an instance; DicomWebError 404 when it is not there."""
        try:
            return io.FileIO(self._paths(file["store"]))
        except FileNotFoundError:
            self._paths.cache_clear()
            return io.FileIO(self.locate(file))

    def has(self, file: dict) -> bool:
        """Return whether the file of an instance is there."""
        try:
            return os.path.exists(self._paths(file["store"]))
        except DicomWebError:
            return False

    def open(self, document_id, file, start=0, end=None):
        """Yield bytes of a file, which is open when this returns."""
        return _Pieces(self.file(file), start, file["size"] if end is None else end)


class _Pieces:
    """The bytes of an open file from `start` up to `end`; closed at their end, or by `close` before the first too."""

    def __init__(self, source: io.FileIO, start: int, end: int):
        self._source = source
        self._left = end - start
        source.seek(start)

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        piece = self._source.read(min(FILE_CHUNK, self._left)) if self._left > 0 else b""
        if not piece:
            self.close()
            self._left = 0
            raise StopIteration
        self._left -= len(piece)
        return piece

    def close(self) -> None:
        """Close the file."""
        self._source.close()


def cut_out(chunks: Iterator[bytes], start: int, end: int) -> Iterator[bytes]:
    """Yield the bytes of `chunks` from `start` up to `end`."""
    position = 0
    for piece in chunks:
        low, high = max(start - position, 0), min(end - position, len(piece))
        if low < high:
            yield piece[low:high]
        position += len(piece)
        if position >= end:
            break


def cut_ranges(chunks: Iterator[bytes], position: int, ranges: list[tuple[int, int]]) -> Iterator[bytes]:
    """Yield the bytes of `chunks`, which begin at `position`, that lie in ascending `ranges` (start, end)."""
    waiting = iter(ranges)
    start, end = next(waiting)
    for piece in chunks:
        last = position + len(piece)
        while start < last:
            if end > position:
                yield piece[max(start - position, 0) : end - position]
            if end > last:
                break
            following = next(waiting, None)
            if following is None:
                return
            start, end = following
        position = last


def _make_folder(path: Path) -> None:
    """Make a folder and those above it, each surviving a power cut."""
    if not path.is_dir():
        _make_folder(path.parent)
        path.mkdir(exist_ok=True)
        _sync_folder(path.parent)


def _sync_folder(path: Path) -> None:
    """Make a rename in `path` survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class Bytes:
    """The site's choice of place for new instances, and every place for reading.

    Parameters
    ----------
    couch : Couch
    place : str
        ``attachment`` or ``folder:/path``.
    """

    def __init__(self, couch: Couch, place: str):
        self.attachments = AttachmentStore(couch)
        self.folder = FolderStore(place.removeprefix("folder:")) if place.startswith("folder:") else None

    def discard(self, file: dict) -> None:
        """Drop the bytes of an instance whose document is gone; an attachment went with it."""
        if file["store"].startswith("folder:") and self.folder is not None:
            self.folder.discard(file)

    def open(
        self,
        document_id: str,
        file: dict,
        start: int = 0,
        end: int | None = None,
        authorization: str | None = None,
        check: Callable[[str], None] | None = None,
    ) -> Iterator[bytes]:
        """Yield the bytes of an instance from `start` up to `end`, wherever they are.

        Parameters
        ----------
        check : callable, optional
            Told the entity tag of an attachment, as soon as the database answers.
        """
        if file["store"] == "attachment":
            return self.attachments.open(document_id, file, start, end, authorization=authorization, check=check)
        if self.folder is None:
            raise DicomWebError(503, "this instance is in a folder, and BYTES names none")
        return self.folder.open(document_id, file, start, end)
