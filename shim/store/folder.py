"""Bytes in files: those below a folder of this server, and those that stay where a site has them."""

from __future__ import annotations

import hashlib
import io
import os
import shutil
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property, lru_cache
from pathlib import Path
from typing import BinaryIO, ParamSpec

from dicouch.couch.response import CHUNK
from dicouch.errors import DicomWebError, NoBytes, too_many_open
from dicouch.store import FOLDER, LINK

FILE_CHUNK = 1 << 20
P = ParamSpec("P")
# Each waits for the disk; those that wait at the same time are mostly served by one turn of the file system's journal.
TOGETHER = 16
FLUSHING = ThreadPoolExecutor(TOGETHER, thread_name_prefix="flush")
# From so many bytes on it is cheaper that the system sends them by itself.
LARGE = 64 << 10


def _resolved(path: Path) -> Path | None:
    """Return where a path leads; None for one that cannot be a path."""
    try:
        return path.resolve()
    except (ValueError, OSError, RuntimeError):  # a NUL character, one too long, links in a circle
        return None


class FileChunks:
    """The bytes of a range of a file, piece by piece; the file is opened at once, so removing it later does no harm."""

    def __init__(self, path: Path, start: int, end: int) -> None:
        try:
            self._source = io.FileIO(path)
        except OSError as problem:
            if busy := too_many_open(problem):
                raise busy from problem
            raise
        self._source.seek(start)
        self._start, self._left = start, end - start

    def __iter__(self) -> FileChunks:
        return self

    def __next__(self) -> bytes:
        piece = self._source.read(min(FILE_CHUNK, self._left)) if self._left > 0 else b""
        if not piece:
            self.close()
            raise StopIteration
        self._left -= len(piece)
        return piece

    def place(self) -> tuple[int, int, int] | None:
        """Return number of the file, start and count of its bytes; None where they are few, or not all there."""
        file = self._source.fileno()
        if self._left < LARGE or os.fstat(file).st_size < self._start + self._left:
            return None
        return file, self._start, self._left

    def close(self) -> None:
        """Close the file."""
        self._left = 0
        self._source.close()


class FolderStore:
    """Bytes in files below a folder, named by their digest and a random part: one file for each document.

    If documents shared a file, deleting one while the same bytes are stored again could remove those of the new one.
    """

    def __init__(self, root: str | Path) -> None:
        self.root = Path(root)
        # To find where a path leads takes several system calls, and no other file ever gets the same name.
        self._paths = lru_cache(4096)(self._path)
        self._folders = lru_cache(1024)(self._inside)
        # Folders that this process knows to survive a power cut.
        self._ready: set[Path] = set()

    def put(self, source: BinaryIO, digest: str) -> str:
        """Keep the bytes of `source` and return their ``file.store``; by then they are on the disk."""
        (kept,) = self.put_all([(source, digest)])
        if isinstance(kept, OSError):
            raise kept
        return kept

    def put_all(self, sources: Sequence[tuple[BinaryIO, str]]) -> list[str | OSError]:
        """Keep several files as `put` does, in one folder, that of the first; return what became of each.

        They have their names from the beginning: no document has these yet, so files and folder reach the disk in
        any order, and all of them wait for it at the same time.
        """
        folder = self.root / sources[0][1][:2]
        names = [f"{folder.name}/{digest}-{os.urandom(6).hex()}.dcm" for _source, digest in sources]
        try:
            self._make(folder)
        except OSError as problem:
            return [problem] * len(sources)
        try:
            kept, of_folder = self._write_all(folder, names, [source for source, _digest in sources])
        except BaseException:
            for name in names:
                _problem_of((self.root / name).unlink, missing_ok=True)
            raise
        told: list[str | OSError] = []
        for name, of_file in zip(names, kept, strict=True):
            if of_file or of_folder:
                _problem_of((self.root / name).unlink, missing_ok=True)
            told.append(of_file or of_folder or f"{FOLDER}{name}")
        return told

    def _write_all(
        self, folder: Path, names: list[str], sources: list[BinaryIO]
    ) -> tuple[list[OSError | None], OSError | None]:
        """Write files and flush them and their folder; return what went wrong with each, and with the folder."""
        kept: list[OSError | None] = []
        while True:
            # So many at a time: each takes a descriptor, in each of the uploads that go on at once.
            some = slice(len(kept), len(kept) + TOGETHER)
            written = [_write(self.root / name, one) for name, one in zip(names[some], sources[some], strict=True)]
            if len(kept) + len(written) == len(names):
                on_disk = FLUSHING.submit(_problem_of, _sync_folder, folder)
                kept += map(_flush, written) if len(written) == 1 else FLUSHING.map(_flush, written)
                return kept, on_disk.result()
            kept += FLUSHING.map(_flush, written)

    def receive(self, name: str, pieces: Iterable[bytes]) -> None:
        """Keep bytes under a name that is inside; by then they are on the disk, and of a part nothing is."""
        path = self.root / name
        folder = path.parent
        self._make(folder)
        part = path.with_name(f"{path.name}.{os.urandom(4).hex()}.part")
        try:
            with part.open("wb") as target:
                for piece in pieces:
                    target.write(piece)
                target.flush()
                os.fsync(target.fileno())
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
        _sync_folder(folder)

    def _make(self, folder: Path) -> None:
        # One level: each new folder costs two more calls that wait for the disk, and 256 of them are soon all there.
        if folder not in self._ready or not folder.is_dir():
            _make_folder(folder)
            self._ready.add(folder)

    def has_room(self, size: int) -> bool:
        """Return whether so many bytes are free on the disk of the folder, which may not be there yet."""
        place = next(path for path in (self.root, *self.root.parents) if path.is_dir())
        return shutil.disk_usage(place).free >= size

    def locate(self, file: dict) -> Path | None:
        """Return the file of an instance; None when it is not there or not below the root."""
        return self.find(file["store"].removeprefix(FOLDER))

    def find(self, name: str) -> Path | None:
        """Return the file with a name; None when it is not there or not below the root."""
        path = self._paths(name)
        return path if path is not None and os.path.isfile(path) else None  # `Path.is_file` raises for long names

    def is_inside(self, name: str) -> bool:
        """Return whether a name leads to a place below the root."""
        return self._path(name) is not None

    def _path(self, name: str) -> Path | None:
        above, _, own = name.rpartition("/")
        folder = self._folders(above) if above and own not in ("", ".", "..") else None
        path = folder / own if folder else None
        return self._inside(name) if path is None or os.path.islink(path) else path

    def _inside(self, name: str) -> Path | None:
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


def _make_folder(path: Path) -> None:
    """Make a folder and those above it, each surviving a power cut; another process may just be making it."""
    if not path.parent.is_dir():
        _make_folder(path.parent)
    path.mkdir(exist_ok=True)
    _sync_folder(path.parent)


def _write(path: Path, source: BinaryIO) -> BinaryIO | OSError:
    """Copy a file, and return it open: it is on its way to the disk."""
    try:
        source.seek(0)
        target = path.open("xb")
        try:
            shutil.copyfileobj(source, target, CHUNK)
            target.flush()
        except BaseException:
            target.close()
            raise
    except OSError as problem:
        return problem
    return target


def _flush(written: BinaryIO | OSError) -> OSError | None:
    """Wait until a file of `_write` is on the disk; return what went wrong with it, if anything did."""
    if isinstance(written, OSError):
        return written
    with written:
        return _problem_of(os.fsync, written.fileno())


def _problem_of(job: Callable[P, object], *arguments: P.args, **options: P.kwargs) -> OSError | None:
    try:
        job(*arguments, **options)
    except OSError as problem:
        return problem
    return None


def _sync_folder(path: Path) -> None:
    """Make a rename in `path` survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class LinkStore:
    """Files that stay where they are, below `roots`, which the site names: they are read and never touched.

    With `check`, the digest of a file is compared before it is read.
    """

    def __init__(self, roots: Sequence[str], check: bool = False) -> None:
        self.roots = [Path(root).resolve() for root in roots]
        self.check = check

    def put(self, source: BinaryIO, _digest: str) -> str:
        """Link an open file and return its ``file.store``.

        Raises
        ------
        DicomWebError
            403 when it lies below none of the folders.
        """
        path = Path(source.name).resolve()
        if not self._allowed(path):
            raise DicomWebError(403, f"{path} is below none of the folders that LINK_ROOTS names")
        return f"{LINK}{path}"

    def locate(self, file: dict, *, compare: bool = True) -> Path | None:
        """Return the file of an instance; None when it is not there any more, or not allowed.

        Without `compare` its digest is left for when it is read.

        Raises
        ------
        NoBytes
            503 when it is not the file any more that was linked.
        """
        path = _resolved(Path(file["store"].removeprefix(LINK)))
        if path is None or not self._allowed(path) or not os.path.isfile(path):
            return None
        changed = path.stat().st_size != file["size"]
        if self.check and compare and not changed:
            with path.open("rb") as source:
                changed = hashlib.file_digest(source, "sha256").hexdigest() != file["sha256"]
        if changed:
            raise NoBytes(503, f"the linked file {path.name} is not what it was when it was linked")
        return path

    def _allowed(self, path: Path) -> bool:
        return any(path.is_relative_to(root) for root in self.roots)
