"""The package as it is installed: what the wheel has, and that it works away from the repository."""

from __future__ import annotations

import configparser
import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from dicouch.scripts.designdocs import load_all

ROOT = Path(__file__).resolve().parents[2]
SOURCES = ("setup.cfg", "pyproject.toml", "README.md", "LICENSE", "shim", "scripts", "designdocs")
FOLDERS = {"shim": "dicouch", "scripts": "dicouch.scripts", "designdocs": "dicouch.designdocs"}
LEFT_OUT = ("node_modules", "__pycache__", "*.egg-info")
LOOK = """
import json, pathlib
import dicouch.app
from dicouch.scripts.designdocs import load_all
print(json.dumps([str(pathlib.Path(dicouch.app.__file__).parent), [one["version"] for one in load_all()]]))
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel from a copy: what an earlier build left in the repository would get into it."""
    folder = tmp_path_factory.mktemp("package")
    for name in SOURCES:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, folder / "source" / name, ignore=shutil.ignore_patterns(*LEFT_OUT))
        else:
            (folder / "source").mkdir(exist_ok=True)
            shutil.copy(ROOT / name, folder / "source" / name)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "wheel", "--quiet", "--no-deps"]
    done = subprocess.run([*pip, "--wheel-dir", str(folder), str(folder / "source")], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return next(folder.glob("*.whl"))


def test_packages_are_all_named():
    settings = configparser.ConfigParser()
    settings.read(ROOT / "setup.cfg")
    there = {
        ".".join([name, *init.parent.relative_to(ROOT / folder).parts])
        for folder, name in FOLDERS.items()
        for init in (ROOT / folder).rglob("__init__.py")
        if "node_modules" not in init.parts
    }
    assert settings["options"]["packages"].split() == sorted(there)


def test_the_wheel_has_one_name_at_the_top(wheel):
    tops = {name.partition("/")[0] for name in zipfile.ZipFile(wheel).namelist()}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"dicouch"}


def test_the_wheel_has_every_file_of_the_design_documents(wheel):
    files = [path for path in (ROOT / "designdocs").rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    wanted = {f"dicouch/{path.relative_to(ROOT).as_posix()}" for path in files}
    assert "dicouch/designdocs/dicom/_id" in wanted
    assert wanted - set(zipfile.ZipFile(wheel).namelist()) == set()


def test_it_works_away_from_the_repository(wheel, tmp_path):
    site = tmp_path / "site"
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--quiet", "--no-deps", "--no-index"]
    subprocess.run([*pip, "--target", str(site), str(wheel)], check=True)
    environment = os.environ | {"PYTHONPATH": str(site)}
    done = subprocess.run(
        [sys.executable, "-c", LOOK], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    place, versions = json.loads(done.stdout)
    assert Path(place) == site / "dicouch"
    assert versions == [document["version"] for document in load_all()]
