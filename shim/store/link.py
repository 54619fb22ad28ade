"""Files that stay where a site has them, and are only read."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

from dicouch.errors import DicomWebError
from dicouch.store import LINK
from dicouch.store.files import resolved


class LinkStore:
    """Files that stay where they are, below folders that the site names: they are read and never touched.

    Parameters
    ----------
    roots : sequence of str
        The folders.
    check : bool
        Whether the digest of a file is compared before it is read.
    """

    def __init__(self, roots: Sequence[str], check: bool = False) -> None:
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
        path = resolved(Path(file["store"].removeprefix(LINK)))
        if path is None or not self._allowed(path) or not os.path.isfile(path):
            return None
        if path.stat().st_size != file["size"] or (self.check and _digest(path) != file["sha256"]):
            raise DicomWebError(503, f"the linked file {path.name} is not what it was when it was linked")
        return path

    def _allowed(self, path: Path) -> bool:
        return any(path.is_relative_to(root) for root in self.roots)


def _digest(path: Path) -> str:
    with path.open("rb") as source:
        return hashlib.file_digest(source, "sha256").hexdigest()
