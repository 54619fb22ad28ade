"""What an upload has stored so far: one line a file, so that a run after one that was stopped sends only the rest."""

import hashlib
import json
import os
from pathlib import Path


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

    def __init__(self, folder, source, target):
        name = hashlib.sha256(f"{Path(source).resolve()}\n{target}".encode()).hexdigest()[:16]
        self.path = Path(folder) / f"load-{name}.journal"
        self._file = None

    def __enter__(self):
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._known = self._read()
        # Text behind a line that was cut off would be lost with it.
        broken = self.path.exists() and not self.path.read_bytes().endswith(b"\n")
        self._file = self.path.open("a", encoding="utf-8")
        if broken:
            self._file.write("\n")
        return self

    def __exit__(self, *_exc):
        self._file.close()

    def _read(self):
        known = set()
        if self.path.exists():
            for line in self.path.read_text("utf-8", "replace").splitlines():
                try:
                    path, size, changed = json.loads(line)
                except ValueError:
                    continue  # the end of a run that was killed while it wrote
                known.add((path, size, changed))
        return known

    def has(self, path, size):
        """Return whether a file was stored as it is now."""
        return _entry(path, size) in self._known

    def add(self, paths):
        """Note that files are stored."""
        for path in paths:
            self._file.write(json.dumps(_entry(path, os.stat(path).st_size)) + "\n")
        self._file.flush()

    def done(self):
        """Forget everything: the upload is finished."""
        self.path.unlink(missing_ok=True)


def _entry(path, size):
    return str(Path(path).resolve()), size, os.stat(path).st_mtime_ns
