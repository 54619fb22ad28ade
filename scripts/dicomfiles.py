"""Finding the DICOM files in a folder, cheaply: a few bytes of each file decide."""

import os
import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pydicom import dcmread
from pydicom.errors import InvalidDicomError
from pydicom.values import converters

# Media Storage Directory Storage: an index of files on a medium, not an instance (PS3.3 F).
DICOMDIR_CLASS = b"1.2.840.10008.1.3.10"
HEAD = 1024
# What pydicom raises of files that are none, end early or say what cannot be; it has no class for all of it.
UNREADABLE = (InvalidDicomError, OSError, EOFError, KeyError, ValueError, AttributeError, NotImplementedError)


@dataclass
class Found:
    """What a folder holds.

    Attributes
    ----------
    files : list of tuple of (pathlib.Path, int)
        DICOM files and their sizes in bytes, in the order of their paths: files of one series stay together.
    skipped : int
        Files that are no DICOM instances.
    unreadable : list of tuple of (pathlib.Path, str)
        Files that could not be opened, and why.
    """

    files: list[tuple[Path, int]] = field(default_factory=list)
    skipped: int = 0
    unreadable: list[tuple[Path, str]] = field(default_factory=list)

    @property
    def size(self) -> int:
        """Bytes of all DICOM files."""
        return sum(size for _, size in self.files)


def find(folder: str | os.PathLike, seen: Callable[[], object] | None = None) -> Found:
    """Look through a folder of any depth.

    Parameters
    ----------
    folder : pathlib.Path
        A folder, or one file.
    seen : callable, optional
        Called once for each file looked at.

    Returns
    -------
    Found
    """
    found = Found()
    for path in _walk(Path(folder), found):
        if seen:
            seen()
        try:
            size = path.stat().st_size
            if path.is_file() and is_instance(path):
                found.files.append((path, size))
            else:
                found.skipped += 1
        except OSError as error:
            found.unreadable.append((path, error.strerror or str(error)))
    return found


def _walk(folder: Path, found: Found) -> Iterator[Path]:
    if not folder.is_dir():
        yield folder
        return

    def refused(error: OSError) -> None:
        found.unreadable.append((Path(error.filename), error.strerror or str(error)))

    for parent, folders, names in os.walk(folder, onerror=refused):
        folders.sort()
        for name in sorted(names):
            yield Path(parent, name)


def is_instance(path: Path) -> bool:
    """Tell whether a file looks like a DICOM instance.

    Part 10 files say so themselves (``DICM`` after 128 bytes, PS3.10 7.1). Older files start with the first data
    element instead, and are recognised by its group and its value representation or length.

    Parameters
    ----------
    path : pathlib.Path

    Returns
    -------
    bool
        False for a DICOMDIR, which is DICOM but no instance.
    """
    with open(path, "rb") as file:
        head = file.read(HEAD)
    if head[128:132] == b"DICM":
        return DICOMDIR_CLASS not in head
    return _starts_with_element(head, path)


def _starts_with_element(head: bytes, path: Path) -> bool:
    if len(head) < 8:
        return False
    for order in "<>":
        group, element = struct.unpack_from(f"{order}HH", head)
        if group not in (0x0002, 0x0008) or element > 0x1000:
            continue
        if head[4:6].decode("latin-1") in converters:
            return True
        # Implicit VR exists in little endian only (PS3.5 A.1).
        length = struct.unpack_from("<I", head, 4)[0]
        if order == "<" and length < min(1024, path.stat().st_size):
            return True
    return False


def uids_of(path: Path, keywords: Sequence[str]) -> list[str]:
    """Return UIDs that a file names; ValueError where it cannot be read or has not all of them."""
    try:
        dataset = dcmread(path, force=True, stop_before_pixels=True, specific_tags=list(keywords))
        return [str(dataset[name].value).rstrip(" \0") for name in keywords]
    except UNREADABLE as problem:
        raise ValueError(f"its UIDs cannot be read: {problem}") from problem
