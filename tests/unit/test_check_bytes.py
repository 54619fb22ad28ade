"""``dicouch check`` and ``move-bytes``: whose files are removed, and that none goes that a revision in conflict has."""

from __future__ import annotations

import os
import time
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

import pytest

from dicouch.config import Config
from dicouch.scripts import check_bytes, move_bytes
from dicouch.store.places import Bytes
from dicouch.write.reconcile import MARK

NAME = "1.2:3.4:5.6"
READ, OTHER = "ab/read.dcm", "cd/other.dcm"


def revision(number: str, name: str) -> dict:
    content = name.encode()
    file = {"store": f"folder:{name}", "size": len(content), "sha256": sha256(content).hexdigest()}
    return {"_id": NAME, "_rev": number, "type": "instance", "file": file}


class Couch:
    """A database with one instance, of which another server stored other content."""

    root, database = "http://127.0.0.1:1", "dicom"

    def __init__(self, *, replicated=True):
        self.replicated = replicated
        self.written = []

    def get(self, document_id, **_options):
        return {"_id": MARK} if document_id == MARK and self.replicated else None

    def json(self, method, path, *, params, **_options):
        if path == "_all_docs":
            assert params["include_docs"] == params["conflicts"] == "true"
            return {"rows": [{"id": NAME, "doc": {**revision("2-b", READ), "_conflicts": ["2-a"]}}]}
        assert params == {"open_revs": '["2-a"]'}
        return [{"ok": revision("2-a", OTHER)}]


def write(root: Path, *names: str) -> list[Path]:
    """Make files that are older than an hour, with their names as content."""
    paths = [root / name for name in names]
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(path.relative_to(root).as_posix())
        os.utime(path, (time.time() - 2 * check_bytes.YOUNG,) * 2)
    return paths


@pytest.fixture
def site(monkeypatch, tmp_path):
    """Return what runs the command with a database and some settings."""
    monkeypatch.setattr(check_bytes, "count_instances", lambda *_arguments: None)

    def run(couch, *options, **settings):
        monkeypatch.setattr(check_bytes, "couch_of_server", contextmanager(lambda: iter([couch])))
        for name in ("BYTES", "BYTES_ROOTS", "BYTES_SHARED", "LINK_ROOTS"):
            monkeypatch.setenv(name, settings.get(name, ""))
        monkeypatch.setenv("DATA_DIR", str(tmp_path / "data"))
        return check_bytes.main(options)

    return run


@pytest.mark.parametrize("replicated", [True, False])
def test_what_revisions_in_conflict_name_is_no_orphan(site, tmp_path, capsys, replicated):
    own, earlier, theirs = tmp_path / "own", tmp_path / "earlier", tmp_path / "theirs"
    named = write(own, READ, OTHER)
    (orphan,) = write(own, "ef/left.dcm")
    (old,) = write(earlier, "ef/old.dcm")
    (foreign,) = write(theirs, "ef/foreign.dcm")
    settings = {"BYTES": f"folder:{own}", "BYTES_ROOTS": str(earlier), "BYTES_SHARED": str(theirs)}
    # Of a database that is replicated, files below BYTES_ROOTS may be those of another server.
    assert site(Couch(replicated=replicated), "--remove-orphans", **settings) == int(replicated)
    assert [path.exists() for path in (*named, foreign, orphan, old)] == [True, True, True, False, replicated]
    told = capsys.readouterr().out
    assert f"{orphan}: no document names it, removed" in told
    assert f"{old}: no document names it" in told
    assert "foreign" not in told


def test_a_linked_file_that_was_changed_ends_no_run(site, tmp_path, capsys, monkeypatch):
    (linked,) = write(tmp_path, "linked.dcm")
    couch = Couch()
    file = {**revision("1-a", READ)["file"], "store": f"link:{linked}", "size": 1}
    monkeypatch.setattr(
        couch,
        "json",
        lambda *_a, **_o: {"rows": [{"id": NAME, "doc": {"_id": NAME, "type": "instance", "file": file}}]},
    )
    assert site(couch, LINK_ROOTS=str(tmp_path)) == 1
    assert "is not what it was" in capsys.readouterr().out


def test_what_is_not_moved_of_an_instance_in_conflict_is_told(tmp_path):
    write(tmp_path / "old", READ, OTHER)
    config = Config(bytes=f"folder:{tmp_path}/new", bytes_roots=(str(tmp_path / "old"),))
    couch = Couch()
    couch.request = lambda _method, _path, *, body, **_options: Written(couch, body)
    summary = move_bytes.move_all(couch, Bytes.from_config(config, couch), quiet=True)
    assert (summary.moved, [name for name, _why in summary.failed]) == (1, [NAME])
    assert "2-a" in summary.failed[0][1]
    assert [(tmp_path / "old" / name).exists() for name in (READ, OTHER)] == [False, True]
    assert b"_conflicts" not in couch.written[0]


class Written:
    """The answer to a write."""

    def __init__(self, couch, body):
        couch.written.append(body)

    def read(self):
        return b""
