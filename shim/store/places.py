"""Where Part 10 bytes live: an attachment in CouchDB or a file in a folder; reads never care which."""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property, lru_cache
from pathlib import Path
from typing import BinaryIO

from dicouch.config import Config
from dicouch.couch.client import CHUNK, Answer, Couch, CouchError, segment
from dicouch.errors import DicomWebError

ATTACHMENT = "object.dcm"
# What `file.store` of an instance says or begins with.
ATTACHED, FOLDER, LINK = "attachment", "folder:", "link:"
# How often bytes may move while they are looked for.
MOVES = 5
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
        self._paths = lru_cache(4096)(self._path)
        # Folders of which this process knows that they survive a power cut.
        self._ready: set[Path] = set()

    def put(self, source: BinaryIO, digest: str) -> str:
        """Keep the bytes of `source`; when this returns they are on the disk.

        Returns
        -------
        str
            What ``file.store`` says: ``folder:`` and the path below the root.
        """
        # One level: each new folder costs two more calls that wait for the disk, and 256 of them are soon all there.
        folder = self.root / digest[:2]
        if folder not in self._ready or not folder.is_dir():
            _make_folder(folder)
            self._ready.add(folder)
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
        return f"{FOLDER}{path.relative_to(self.root)}"

    def locate(self, file: dict) -> Path | None:
        """Return the file of an instance; None when it is not there or not below the root."""
        path = self._paths(file["store"].removeprefix(FOLDER))
        return path if path is not None and os.path.isfile(path) else None  # `Path.is_file` raises for long names

    def _path(self, name: str) -> Path | None:
        path = _resolved(self.root / name)
        return path if path is not None and path.is_relative_to(self._resolved_root) else None

    @cached_property
    def _resolved_root(self) -> Path:
        return self.root.resolve()

    def discard(self, file: dict) -> None:
        """Remove the file of an instance, of a link only the link: others may have what it leads to.

        Files outside the root are left alone.
        """
        path = self.root / file["store"].removeprefix(FOLDER)
        folder = _resolved(path.parent)
        if folder is not None and folder.is_relative_to(self.root.resolve()) and self.locate(file) is not None:
            (folder / path.name).unlink(missing_ok=True)


class LinkStore:
    """Files that stay where they are, below folders that the site names: they are read and never touched.

    Parameters
    ----------
    roots : sequence of str
        The folders.
    check : bool
        Whether the digest of a file is compared before it is read.
    """

    def __init__(self, roots: Sequence[str], check: bool = False):
        self.roots = [Path(root).resolve() for root in roots]
        self.check = check

    def put(self, source: BinaryIO, digest: str) -> str:
        """Link an open file.

        Returns
        -------
        str
            What ``file.store`` says: ``link:`` and the path.

        Raises
        ------
        DicomWebError
            403 when it lies below none of the folders.
        """
        path = Path(source.name).resolve()
        if not self._allowed(path):
            raise DicomWebError(403, f"{path} is below none of the folders that LINK_ROOTS names")
        return f"{LINK}{path}"

    def locate(self, file: dict) -> Path | None:
        """Return the file of an instance; None when it is not there any more, or not allowed.

        Raises
        ------
        DicomWebError
            503 when it is not the file any more that was linked.
        """
        path = _resolved(Path(file["store"].removeprefix(LINK)))
        if path is None or not self._allowed(path) or not os.path.isfile(path):
            return None
        if path.stat().st_size != file["size"] or (self.check and _digest(path) != file["sha256"]):
            raise DicomWebError(503, f"the linked file {path.name} is not what it was when it was linked")
        return path

    def _allowed(self, path: Path) -> bool:
        return any(path.is_relative_to(root) for root in self.roots)


def _resolved(path: Path) -> Path | None:
    """Return where a path leads; None for one that cannot be a path."""
    try:
        return path.resolve()
    except (ValueError, OSError, RuntimeError):  # a NUL character, one too long, links in a circle
        return None


def _digest(path: Path) -> str:
    with path.open("rb") as source:
        return hashlib.file_digest(source, "sha256").hexdigest()


class FileChunks:
    """The bytes of a range of a file, piece by piece. The file is open from the beginning: whoever removes it is late.

    Parameters
    ----------
    path : Path
    start, end : int
    """

    def __init__(self, path: Path, start: int, end: int):
        self._source = io.FileIO(path)
        self._source.seek(start)
        self._left = end - start

    def __iter__(self) -> FileChunks:
        return self

    def __next__(self) -> bytes:
        piece = self._source.read(min(FILE_CHUNK, self._left)) if self._left > 0 else b""
        if not piece:
            self.close()
            raise StopIteration
        self._left -= len(piece)
        return piece

    def close(self) -> None:
        """Close the file."""
        self._left = 0
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
    """Make a folder and those above it, each surviving a power cut; another process may just be making it."""
    if not path.parent.is_dir():
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
    roots : sequence of str
        Further folders that have bytes, such as that of an earlier `place`.
    links : LinkStore, optional
        Where linked files may lie.
    """

    def __init__(self, couch: Couch, place: str, roots: Sequence[str] = (), links: LinkStore | None = None):
        self.couch = couch
        self.attachments = AttachmentStore(couch)
        own = FolderStore(place.removeprefix(FOLDER)) if place.startswith(FOLDER) else None
        self.folder: FolderStore | LinkStore | None = own
        others = [FolderStore(root) for root in roots if own is None or Path(root) != own.root]
        self._folders = ([own] if own else []) + others
        self._links = links or LinkStore(())

    @classmethod
    def from_config(cls, config: Config, couch: Couch) -> Bytes:
        """Return the places where a site has bytes."""
        links = LinkStore(config.link_roots, config.check_links == "yes")
        return cls(couch, config.bytes, config.bytes_roots, links)

    def keep(self, source: BinaryIO, digest: str) -> str:
        """Keep the bytes of a new instance, unless they go to the database with its document.

        Returns
        -------
        str
            What ``file.store`` says.
        """
        return ATTACHED if self.folder is None else self.folder.put(source, digest)

    def discard(self, file: dict) -> None:
        """Drop the bytes of an instance whose document is gone; an attachment went with it, a linked file stays."""
        if file["store"].startswith(FOLDER):
            for folder in self._folders:
                folder.discard(file)

    def locate(self, file: dict) -> Path | None:
        """Return the file that has the bytes of an instance; None when they are in no folder of this site."""
        if file["store"].startswith(LINK):
            return self._links.locate(file)
        return next((path for folder in self._folders if (path := folder.locate(file))), None)

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

        Bytes that moved since the document was read are found where they are now.

        Parameters
        ----------
        check : callable, optional
            Told the entity tag of an attachment, as soon as the database answers.

        Raises
        ------
        DicomWebError
            404 when they went away meanwhile; 503 when they are in no folder of this site.
        """
        for _attempt in range(MOVES):
            try:
                if file["store"] == ATTACHED:
                    return self.attachments.open(
                        document_id, file, start, end, authorization=authorization, check=check
                    )
                path = self.locate(file)
                if path is not None:
                    return FileChunks(path, start, file["size"] if end is None else min(end, file["size"]))
                missing = DicomWebError(503, f"{document_id}: its file is in none of the folders of this site")
            except FileNotFoundError:
                missing = DicomWebError(404, f"{document_id} has no bytes any more")
            except DicomWebError as problem:
                if problem.status != 404:
                    raise
                missing = problem
            found = self.couch.get(document_id, authorization=authorization)
            if not found or found["file"]["store"] == file["store"] or found["file"]["sha256"] != file["sha256"]:
                raise missing
            file = {**file, "store": found["file"]["store"]}
        raise missing
