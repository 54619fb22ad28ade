"""Bytes in files below a folder of this server."""

from __future__ import annotations

import os
from functools import cached_property, lru_cache
from pathlib import Path
from typing import BinaryIO

from dicouch.couch.answer import CHUNK
from dicouch.store import FOLDER
from dicouch.store.files import resolved


class FolderStore:
    """Bytes in files below a folder, named by their digest and a random part: one file for each document.

    If documents shared a file, deleting one while the same bytes are stored again could remove those of the new one.

    Parameters
    ----------
    root : str or Path
        The folder.
    """

    def __init__(self, root: str | Path) -> None:
        self.root = Path(root)
        # To find where a path leads takes several system calls, and no other file ever gets the same name.
        self._paths = lru_cache(4096)(self._path)
        # Folders that this process knows to survive a power cut.
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
        path = resolved(self.root / name)
        return path if path is not None and path.is_relative_to(self._resolved_root) else None

    @cached_property
    def _resolved_root(self) -> Path:
        return self.root.resolve()

    def discard(self, file: dict) -> None:
        """Remove the file of an instance, of a link only the link: others may have what it leads to.

        Files outside the root are left alone.
        """
        path = self.root / file["store"].removeprefix(FOLDER)
        folder = resolved(path.parent)
        if folder is not None and folder.is_relative_to(self.root.resolve()) and self.locate(file) is not None:
            (folder / path.name).unlink(missing_ok=True)


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
