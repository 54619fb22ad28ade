"""The OHIF viewer of npm: installed, and made servable below a path, since its build expects the root of a server.

`make demo` and `dicouch demo` install it; docs/ohif.md has the whole way. A folder as the argument of this module is a
build of one's own that is prepared.
"""

import fcntl
import gzip
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dicouch.scripts import folders
from dicouch.scripts.connection import CommandError

SOURCE = Path(__file__).resolve().parent / "ohif"
DONE = ".prepared"
# Where the build says that it lies at the root, and what it says instead: where the page or the worker came from.
# Webpack's own name for it is the public path. Each expression finds its own work too, and leaves it as it is: a run
# that was interrupted has changed some files.
HERE = '(self.PUBLIC_URL || new URL(".", self.location.href).pathname)'
MOVED = (
    ("*.js", re.compile(rf'(?<=__webpack_require__\.p = )(?:"/"|{re.escape(HERE)})(?=;)'), HERE),
    (
        "*.js",
        re.compile(rf"(?<=browserImportFunction\()(?:'/|{re.escape(HERE)} \+ ')(?=dicom-microscopy-viewer/)"),
        f"{HERE} + '",
    ),
    ("*.css", re.compile(r"""(?<=url\()/?(?=[^/:#)"']+[/)])"""), ""),
    ("manifest.json", re.compile(r'(?<="src": ")/?(?=[^/:"]+[/"])'), ""),
)
PACKED = (".js", ".css", ".wasm")
# Smaller files gain less than the look for the packed one costs.
WORTH_PACKING = 8 << 10


def _built(packages: Path) -> Path:
    return packages / "@ohif" / "app" / "dist"


def installed() -> Path | None:
    """Return the folder of the viewer that was installed, None where there is none."""
    places = SOURCE, folders.place_of_packages(SOURCE)
    return next((built for place in places if ((built := _built(place / "node_modules")) / DONE).is_file()), None)


def install() -> Path:
    """Install the viewer, where it is missing, and return its folder.

    Raises
    ------
    CommandError
        When node or npm is missing, or it cannot be installed.
    ValueError
        When it is another build than the one known here.
    """
    folder = _built(folders.node_modules(SOURCE, "OHIF"))
    prepare(folder)
    return folder


def unless_set() -> dict[str, str]:
    """Return the setting ``OHIF`` for a server that is started: what is installed, unless the site has set it."""
    folder = None if os.environ.get("OHIF", "").strip() else installed()
    return {"OHIF": str(folder)} if folder else {}


def prepare(folder: Path) -> int:
    """Change the built viewer in place so that it finds its parts below any path, and pack what is large.

    Parameters
    ----------
    folder : pathlib.Path
        The ``dist`` of ``@ohif/app``.

    Returns
    -------
    int
        How many files were changed; 0 for a folder that is prepared already.

    Raises
    ------
    ValueError
        When this is no build of OHIF, or one that looks for its parts in another way.
    """
    if not (folder / "index.html").is_file():
        raise ValueError(f"{folder} has no built viewer")
    with _locked(folder):
        return 0 if (folder / DONE).is_file() else _prepare(folder)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _prepare(folder: Path) -> int:
    changed: set[Path] = set()
    for names, wanted, instead in MOVED:
        found = {path: _replace(path, wanted, instead) for path in folder.glob(names)}
        if not any(count for count, _new in found.values()):
            raise ValueError(f"{folder}: no {names} has {wanted.pattern}; this OHIF is another than the one known here")
        changed |= {path for path, (_count, new) in found.items() if new}
    for path in _large(folder):
        _write(path.with_name(path.name + ".gz"), gzip.compress(path.read_bytes(), 6, mtime=0))
    (folder / DONE).touch()
    return len(changed)


def _replace(path: Path, wanted: re.Pattern[str], instead: str) -> tuple[int, bool]:
    """Return how often a file has what is wanted or what stands for it, and whether it was changed."""
    before = path.read_text("utf-8")
    text, count = wanted.subn(lambda _found: instead, before)
    if text != before:
        _write(path, text.encode())
    return count, text != before


def _write(path: Path, content: bytes) -> None:
    """Write a file whole or not at all."""
    new = path.with_name(path.name + ".new")
    new.write_bytes(content)
    new.replace(path)


def _large(folder: Path) -> Iterator[Path]:
    """Yield what every visit fetches; ort/ is 130 MB that only one tool uses, with models that are not here."""
    for path in sorted(folder.rglob("*")):
        used = path.suffix in PACKED and "ort" not in path.relative_to(folder).parts
        if used and path.stat().st_size > WORTH_PACKING:
            yield path


if __name__ == "__main__":
    try:
        prepare(Path(sys.argv[1])) if sys.argv[1:] else install()
    except (CommandError, ValueError) as error:
        sys.exit(f"viewer: {error}")
