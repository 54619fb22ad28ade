"""Folders that commands write to: the data, and the node packages, which are installed at their first use."""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from dicouch.scripts.connection import CommandError

CHECKOUT = Path(__file__).resolve().parents[1]
"""The repository; of an installed package, its folder, which is nobody's to write to."""
NPM = ("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error")
NODE = 20  # the oldest version


def data_dir() -> Path:
    """Folder of private and embedded databases: ``DATA_DIR``, else ``data`` in the checkout, else one of the user's."""
    if named := os.environ.get("DATA_DIR"):
        return Path(named).absolute()
    if (CHECKOUT / "setup.cfg").is_file():
        return CHECKOUT / "data"
    return _of_user("XDG_DATA_HOME", ".local/share")


def _of_user(variable: str, usual: str) -> Path:
    """Return our folder where the XDG Base Directory Specification puts it; only absolute paths count in it."""
    base = os.environ.get(variable, "")
    return Path(base if base.startswith("/") else Path("~", usual).expanduser()) / "dicouch"


def place_of_packages(folder: Path) -> Path:
    """Return where the packages of a folder's `package-lock.json` are installed: other ones, another place."""
    digest = hashlib.sha256((folder / "package-lock.json").read_bytes()).hexdigest()[:12]
    return _of_user("XDG_CACHE_HOME", ".cache") / f"{folder.name}-{digest}"


def node_modules(folder: Path, name: str) -> Path:
    """Return the node packages that a folder's `package-lock.json` lists; install them where they are missing.

    They are beside it in a checkout where `make` has put them, else in the user's cache.

    Parameters
    ----------
    folder : pathlib.Path
    name : str
        What needs them, for people.

    Raises
    ------
    CommandError
        When node or npm is missing, or they cannot be installed.
    """
    if not shutil.which("node"):
        raise CommandError(f"node is missing: install Node.js {NODE} or newer")
    if (beside := folder / "node_modules").is_dir():
        return beside
    place = place_of_packages(folder)
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        with open(place.with_suffix(".lock"), "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # two commands may want it at once
            if not place.is_dir():
                _install(folder, place, name)
    except OSError as error:
        raise CommandError(f"cannot install {name} in {place}: {error.strerror} (XDG_CACHE_HOME chooses)") from error
    return place / "node_modules"


def _install(folder: Path, place: Path, name: str) -> None:
    if not shutil.which("npm"):
        raise CommandError("npm is missing: install npm, which comes with Node.js")
    version = subprocess.run(["node", "--version"], capture_output=True, text=True).stdout.strip()
    if int(version.removeprefix("v").partition(".")[0] or 0) < NODE:
        raise CommandError(f"node {version} is too old: install Node.js {NODE} or newer")
    print(f"installing the node packages of {name} in {place} ...", file=sys.stderr, flush=True)
    with tempfile.TemporaryDirectory(dir=place.parent) as temporary:
        # Whole or not at all: what is stopped leaves nothing.
        new = Path(temporary, "new")
        new.mkdir()
        for file in ("package.json", "package-lock.json", ".npmrc"):
            shutil.copy(folder / file, new)
        done = subprocess.run(NPM, cwd=new, stdin=subprocess.DEVNULL, capture_output=True, text=True)
        if done.returncode:
            said = (done.stderr.strip() or done.stdout.strip() or f"npm ended with {done.returncode}").splitlines()
            raise CommandError(f"cannot install the node packages of {name}: {said[0]}")
        new.rename(place)
