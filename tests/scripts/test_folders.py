"""Where commands keep data and node packages, and how these are installed at their first use."""

import threading
from pathlib import Path

import pytest

from dicouch.scripts import folders
from dicouch.scripts.connection import CommandError

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("environment", "checkout", "place"),
    [
        ({}, ROOT, ROOT / "data"),
        ({"DATA_DIR": "/srv/dicom"}, ROOT, Path("/srv/dicom")),
        ({}, Path("/site-packages/dicouch"), Path("/home/me/.local/share/dicouch")),
        ({"XDG_DATA_HOME": "/data"}, Path("/site-packages/dicouch"), Path("/data/dicouch")),
        # XDG Base Directory Specification: a relative path is to be ignored.
        ({"XDG_DATA_HOME": "data"}, Path("/site-packages/dicouch"), Path("/home/me/.local/share/dicouch")),
    ],
)
def test_the_data_folder(monkeypatch, environment, checkout, place):
    for name in ("DATA_DIR", "XDG_DATA_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {"HOME": "/home/me", **environment}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(folders, "CHECKOUT", checkout)
    assert folders.data_dir() == place


@pytest.fixture
def host(tmp_path, monkeypatch):
    """A folder that lists packages, and programs that say what they are called with and do what the test says."""
    folder = tmp_path / "host"
    folder.mkdir()
    for name in ("package.json", "package-lock.json", ".npmrc"):
        (folder / name).write_text(name)
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    program(tmp_path, "node", "echo v20.1.0")
    program(tmp_path, "npm", f'echo "$PWD $@" >> {tmp_path}/calls; sleep 0.3; ls -A > list; mkdir node_modules')
    return folder


def program(folder, name, script):
    (folder / "bin" / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / "bin" / name).chmod(0o755)


def test_packages_are_installed_once_whoever_asks(host, tmp_path, capsys):
    found = []
    asking = [
        threading.Thread(target=lambda: found.append(folders.node_modules(host, "the database"))) for _ in range(3)
    ]
    for one in asking:
        one.start()
    for one in asking:
        one.join()
    (place,) = set(found)
    assert place.is_dir()
    assert place.is_relative_to(tmp_path / "cache/dicouch")
    assert (place.parent / "list").read_text().split() == [".npmrc", "list", "package-lock.json", "package.json"]
    (call,) = (tmp_path / "calls").read_text().splitlines()
    assert call.split()[1:3] == ["ci", "--ignore-scripts"]
    line = f"installing the node packages of the database in {place.parent} ...\n"
    assert capsys.readouterr().err == line
    assert not (host / "node_modules").exists()
    # Other packages go to another place.
    (host / "package-lock.json").write_text("changed")
    assert folders.node_modules(host, "the database") != place


def test_packages_that_make_has_installed_are_taken(host, tmp_path):
    (host / "node_modules").mkdir()
    assert folders.node_modules(host, "the database") == host / "node_modules"
    assert not (tmp_path / "cache").exists()


def test_what_is_missing_is_said(host, tmp_path, monkeypatch):
    def refused():
        with pytest.raises(CommandError) as told:
            folders.node_modules(host, "the database")
        assert not any(path.is_dir() for path in (tmp_path / "cache/dicouch").glob("*"))
        return str(told.value)

    program(tmp_path, "npm", "echo 'npm error network request failed' >&2; echo more >&2; mkdir node_modules; exit 1")
    assert refused() == "cannot install the node packages of the database: npm error network request failed"
    program(tmp_path, "node", "echo v18.19.1")
    assert refused() == "node v18.19.1 is too old: install Node.js 20 or newer"
    for name in ("npm", "node"):
        (tmp_path / "bin" / name).unlink()
        monkeypatch.setenv("PATH", str(tmp_path / "bin"))
        assert refused().startswith(f"{name} is missing: install ")


def test_a_cache_that_cannot_be_written_is_said(host, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", "/proc/nobody")
    with pytest.raises(CommandError, match=r"cannot install the database in /proc/nobody/\S+: .*XDG_CACHE_HOME"):
        folders.node_modules(host, "the database")
