"""The package as it is installed: what it has, and that its one command serves away from the repository."""

from __future__ import annotations

import configparser
import os
import re
import shutil
import signal
import subprocess
import sys
import sysconfig
import tarfile
import time
import venv
import zipfile
from pathlib import Path

import psutil
import pydicom.data
import pytest
import requests

from dicouch.scripts.databases import EMBEDDED_HOST, find_couchdb
from dicouch.scripts.folders import place_of_packages
from tests.server import free_port

ROOT = Path(__file__).resolve().parents[2]
SOURCES = ("setup.cfg", "pyproject.toml", "README.md", "LICENSE", "shim", "scripts", "designdocs", "docs/schemas")
FOLDERS = {
    "shim": "dicouch",
    "scripts": "dicouch.scripts",
    "designdocs": "dicouch.designdocs",
    "docs/schemas": "dicouch.schemas",
}
EXAMPLE = Path(pydicom.data.__file__).parent / "test_files" / "CT_small.dcm"
BUILD = "import sys; from setuptools import build_meta; print(build_meta.build_sdist(sys.argv[1]))"
STORED = {"Accept": "application/dicom; transfer-syntax=*"}
PIP = [sys.executable, "-m", "pip", "--disable-pip-version-check"]


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the source distribution from a copy: what an earlier build left in the repository would get into it."""
    folder = tmp_path_factory.mktemp("package")
    source = folder / "source"
    for name in SOURCES:
        if (ROOT / name).is_dir():
            shutil.copytree(
                ROOT / name, source / name, ignore=shutil.ignore_patterns("node_modules", "*.egg-info", "dist")
            )
        else:
            source.mkdir(exist_ok=True)
            shutil.copy(ROOT / name, source / name)
    # As `make` leaves them.
    packages = source / "scripts/embedded/node_modules/some"
    packages.mkdir(parents=True)
    (packages / "index.js").write_text("")
    build = [sys.executable, "-c", BUILD, str(folder)]
    done = subprocess.run(build, cwd=source, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return folder / done.stdout.split()[-1]


@pytest.fixture(scope="module")
def wheel(sdist: Path) -> Path:
    """Build the wheel from the source distribution, which therefore has to have everything; without a network."""
    wheel = [*PIP, "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    done = subprocess.run([*wheel, "--wheel-dir", str(sdist.parent), str(sdist)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return next(sdist.parent.glob("*.whl"))


@pytest.fixture(scope="module")
def installed(wheel: Path) -> Path:
    """Install the wheel in an environment of its own, which sees the libraries of this one but not the repository."""
    folder = wheel.parent / "venv"
    venv.create(folder, symlinks=True)
    python = folder / "bin" / "python"
    site = Path(sysconfig.get_path("purelib", vars={"base": str(folder)}))
    # A .pth file only adds a folder: the .pth file in it that makes the repository importable is not read.
    (site / "libraries.pth").write_text(sysconfig.get_path("purelib") + "\n")
    pip = [*PIP, "--python", str(python), "install", "--quiet", "--no-deps", "--no-index"]
    done = subprocess.run([*pip, str(wheel)], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return folder / "bin" / "dicouch"


def test_packages_are_all_named():
    settings = configparser.ConfigParser()
    settings.read(ROOT / "setup.cfg")
    there = {
        ".".join([name, *init.parent.relative_to(ROOT / folder).parts])
        for folder, name in FOLDERS.items()
        for init in (ROOT / folder).rglob("__init__.py")
        if "node_modules" not in init.parts
    }
    assert settings["options"]["packages"].split() == sorted({*there, "dicouch.schemas"})


def wanted() -> dict[str, str]:
    """Return the paths of all files of the package, and those that they have in the wheel."""
    paths = {}
    for folder, name in FOLDERS.items():
        for path in (ROOT / folder).rglob("*"):
            below = path.relative_to(ROOT / folder)
            if path.is_file() and not {"node_modules", "__pycache__", "docker", "dist"}.intersection(below.parts):
                paths[f"{folder}/{below.as_posix()}"] = f"{name.replace('.', '/')}/{below.as_posix()}"
    return paths


def test_the_wheel_has_every_file_under_one_name_and_no_other(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    files = set(wanted().values())
    assert {"dicouch/app.py", "dicouch/designdocs/dicom/_id", "dicouch/scripts/embedded/.npmrc"} < files
    assert {name for name in names if not re.match(r"dicouch-[\d.]+\.dist-info/", name)} == files


def test_the_source_distribution_has_every_file_and_no_other(sdist):
    names = {one.name.partition("/")[2] for one in tarfile.open(sdist) if one.isfile()}
    files = set(wanted()) | {"setup.cfg", "pyproject.toml", "README.md", "LICENSE"}
    assert {name for name in names if "egg-info" not in name} == {*files, "PKG-INFO"}


def environment(home: Path, **values: str) -> dict[str, str]:
    """Return the environment of somebody who has nothing but a home."""
    kept = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
    return {**kept, "HOME": str(home), **values}


@pytest.mark.one_database("embedded")  # whose packages it has to find
@pytest.mark.parametrize("kind", ["embedded", "couchdb"])
def test_the_installed_command_serves_stores_and_finds(installed, tmp_path, kind):
    if kind == "couchdb" and not find_couchdb():
        pytest.skip("no couchdb here")
    port = free_port()
    settings = environment(tmp_path, SHIM_BIND=f"127.0.0.1:{port}", WEB_CONCURRENCY="1")
    if kind == "embedded":
        settings["COUCHDB_URL"] = "embedded"
        # Where the command would install them; a test fetches nothing.
        place = tmp_path / ".cache/dicouch" / place_of_packages(EMBEDDED_HOST).name
        place.mkdir(parents=True)
        (place / "node_modules").symlink_to(EMBEDDED_HOST / "node_modules")
    code = "import dicouch.app; print(dicouch.app.__file__)"
    told = [installed.parent / "python", "-c", code]
    place = subprocess.run(told, cwd=tmp_path, env=settings, capture_output=True, text=True, check=True).stdout
    assert place.startswith(str(installed.parents[1]))
    url = f"http://127.0.0.1:{port}/dicom-web"
    with open(tmp_path / "log", "wb") as log:
        process = subprocess.Popen([installed, "run"], cwd=tmp_path, env=settings, stdout=log, stderr=log)
    family = []
    try:
        deadline = time.monotonic() + 90
        while b"DICOMweb " not in (tmp_path / "log").read_bytes():
            assert process.poll() is None, (tmp_path / "log").read_text()
            assert time.monotonic() < deadline, (tmp_path / "log").read_text()
            time.sleep(0.1)
        family = psutil.Process(process.pid).children(recursive=True)
        load = [installed, "load", EXAMPLE, "--url", url]
        done = subprocess.run(load, cwd=tmp_path, env=settings, capture_output=True, text=True, timeout=120)
        assert (done.returncode, done.stderr) == (0, "")
        (study,) = requests.get(f"{url}/studies", params={"PatientID": "1CT1"}, timeout=60).json()
        example = pydicom.dcmread(EXAMPLE)
        assert study["0020000D"]["Value"] == [example.StudyInstanceUID]
        (row,) = requests.get(f"{url}/instances", timeout=60).json()
        path = f"/studies/{example.StudyInstanceUID}/series/{example.SeriesInstanceUID}/instances"
        answer = requests.get(f"{url}{path}/{row['00080018']['Value'][0]}", headers=STORED, timeout=60)
        assert answer.content == EXAMPLE.read_bytes()
    finally:
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0
    assert psutil.wait_procs(family, 20)[1] == []
    # Where the data is when nothing says otherwise, and that nothing else is written.
    assert (tmp_path / ".local/share/dicouch/private.json").is_file()
    assert {path.name for path in tmp_path.iterdir()} <= {".cache", ".local", "log"}
