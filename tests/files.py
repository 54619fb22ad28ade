"""The real files that tests store: pydicom's own test files, its character set files and those of pydicom-data."""

from __future__ import annotations

from functools import cache
from io import BytesIO
from pathlib import Path

from pydicom import dcmread
from pydicom.data import get_charset_files, get_testdata_files

IDENTIFIERS = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")


def pydicom_data() -> list[Path]:
    """Return the files of the package pydicom-data."""
    import data_store

    return sorted(path for path in Path(data_store.__file__).parent.rglob("*.dcm") if path.is_file())


@cache
def real_files() -> dict[Path, bytes]:
    """Return every bundled test file with its bytes."""
    paths = [Path(name) for name in (*get_testdata_files("**/*"), *get_charset_files("*.dcm"))]
    chosen = {path for path in paths if path.suffix in ("", ".dcm") and path.is_file()}
    return {path: path.read_bytes() for path in sorted({*chosen, *pydicom_data()})}


@cache
def identifiers(path: Path) -> tuple[str, str, str] | None:
    """Return the three UIDs of a file as pydicom reads them; None when one is missing or the file is unreadable."""
    try:
        dataset = dcmread(path, force=True, stop_before_pixels=True, specific_tags=list(IDENTIFIERS))
        found = tuple(str(dataset.get(name, "") or "") for name in IDENTIFIERS)
    except Exception:  # noqa: BLE001 - whatever pydicom says of a broken file, it has no identifiers
        return None
    return found if all(found) else None


def is_sent_as(sent: bytes, stored: bytes) -> bool:
    """Return whether a stored file came back: bit for bit, or behind a header where it has none (PS3.10 7.1)."""
    if stored[128:132] == b"DICM":
        return sent == stored
    return sent.endswith(stored) and bool(dcmread(BytesIO(sent), stop_before_pixels=True).file_meta.TransferSyntaxUID)
