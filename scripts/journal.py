"""What an upload has stored so far, one line a file: after it was stopped, the next run sends only the rest."""

import hashlib
import json
import os
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Self, TextIO


class Journal:
    """A file that lives as long as an upload is unfinished.

    Parameters
    ----------
    folder : pathlib.Path
        Where journals are kept.
    source : pathlib.Path
        What is uploaded.
    target : str
        Where to. Each pair of source and target has a journal of its own.
    """

    def __init__(self, folder: Path, source: Path, target: str) -> None:
        name = hashlib.sha256(f"{Path(source).resolve()}\n{target}".encode()).hexdigest()[:16]
        self.path = Path(folder) / f"load-{name}.journal"

    def __enter__(self) -> Self:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._known = self._read()
        # What is appended to a half-written line could not be read.
        broken = self.path.exists() and not self.path.read_bytes().endswith(b"\n")
        self._file: TextIO = self.path.open("a", encoding="utf-8")
        if broken:
            self._file.write("\n")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def _read(self) -> set[tuple[str, int, int]]:
        known = set()
        if self.path.exists():
            for line in self.path.read_text("utf-8", "replace").splitlines():
                try:
                    path, size, changed = json.loads(line)
                except ValueError:
                    continue  # the end of a run that was killed while it wrote
                known.add((path, size, changed))
        return known

    def has(self, path: Path, size: int) -> bool:
        """Return whether a file was stored as it is now."""
        return _entry(path, size) in self._known

    def add(self, paths: Iterable[Path]) -> None:
        """Note that files are stored."""
        for path in paths:
            self._file.write(json.dumps(_entry(path, os.stat(path).st_size)) + "\n")
        self._file.flush()

    def done(self) -> None:
        """Forget everything: the upload is finished."""
        self.path.unlink(missing_ok=True)


def _entry(path: Path, size: int) -> tuple[str, int, int]:
    return str(Path(path).resolve()), size, os.stat(path).st_mtime_ns
