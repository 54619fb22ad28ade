"""The OHIF viewer of npm: installed, and made servable below a path, since its build expects the root of a server.

`make demo` and `dicouch demo` install it; docs/ohif.md has the whole way.
"""

import gzip
import os
import re
from collections.abc import Iterator
from pathlib import Path

from dicouch.scripts import folders

SOURCE = Path(__file__).resolve().parent / "ohif"
DONE = ".prepared"
# Where the build says that it lies at the root, and what it says instead: where the page or the worker came from.
# Webpack's own name for it is the public path.
HERE = '(self.PUBLIC_URL || new URL(".", self.location.href).pathname)'
MOVED = (
    ("*.js", re.compile(r'(?<=__webpack_require__\.p = )"/"(?=;)'), HERE),
    ("*.js", re.compile(r"(?<=browserImportFunction\()'/(?=dicom-microscopy-viewer/)"), f"{HERE} + '"),
    ("*.css", re.compile(r"(?<=url\()/(?=[^/])"), ""),
    ("manifest.json", re.compile(r'(?<="src": ")/'), ""),
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
    if (folder / DONE).is_file():
        return 0
    if not (folder / "index.html").is_file():
        raise ValueError(f"{folder} has no built viewer")
    changed = set()
    for names, wanted, instead in MOVED:
        found = {path for path in folder.glob(names) if _replace(path, wanted, instead)}
        if not found:
            raise ValueError(f"{folder}: no {names} has {wanted.pattern}; this OHIF is another than the one known here")
        changed |= found
    for path in _large(folder):
        packed = path.with_name(path.name + ".gz")
        packed.write_bytes(gzip.compress(path.read_bytes(), 6, mtime=0))
    (folder / DONE).touch()
    return len(changed)


def _replace(path: Path, wanted: re.Pattern[str], instead: str) -> int:
    text, count = wanted.subn(lambda _found: instead, path.read_text("utf-8"))
    if count:
        path.write_text(text, "utf-8")
    return count


def _large(folder: Path) -> Iterator[Path]:
    """Yield what every visit fetches; ort/ is 130 MB that only one tool uses, with models that are not here."""
    for path in sorted(folder.rglob("*")):
        used = path.suffix in PACKED and "ort" not in path.relative_to(folder).parts
        if used and path.stat().st_size > WORTH_PACKING:
            yield path


if __name__ == "__main__":
    install()
