"""What `FolderStore` has on the disk before an instance is acknowledged: the file, its name, and the folders above."""

from __future__ import annotations

import os
import shutil
from io import BytesIO
from pathlib import Path

import pytest

from dicouch.store.folder import FolderStore

DIGESTS = [f"{number:02x}" * 32 for number in (0xAB, 0xAB, 0xCD)]


@pytest.fixture
def synced(monkeypatch):
    """Paths in the order in which they were made to survive a power cut."""
    paths = []

    def record(descriptor):
        paths.append(Path(os.readlink(f"/proc/self/fd/{descriptor}")))

    monkeypatch.setattr(os, "fsync", record)
    return paths


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="needs the names of open files")
class TestPut:
    def test_the_file_first_then_its_name(self, tmp_path, synced):
        store = FolderStore(str(tmp_path))
        store.put(BytesIO(b"first"), DIGESTS[0])
        synced.clear()
        name = store.put(BytesIO(b"second"), DIGESTS[1])
        assert [path.suffix for path in synced] == [".part", ""]
        assert synced[1] == (tmp_path / name.removeprefix("folder:")).parent == tmp_path / "ab"
        assert (tmp_path / name.removeprefix("folder:")).read_bytes() == b"second"

    def test_a_new_folder_is_there_before_its_file(self, tmp_path, synced):
        root = tmp_path / "far" / "away"
        FolderStore(str(root)).put(BytesIO(b"x"), DIGESTS[2])
        assert synced[:3] == [tmp_path, tmp_path / "far", root]
        assert synced[-1] == root / "cd"

    def test_a_folder_that_another_process_just_made_is_not_trusted(self, tmp_path, synced):
        (tmp_path / "cd").mkdir()
        FolderStore(str(tmp_path)).put(BytesIO(b"x"), DIGESTS[2])
        assert synced[0] == tmp_path

    def test_a_folder_that_was_removed_is_made_again(self, tmp_path, synced):
        store = FolderStore(str(tmp_path))
        store.put(BytesIO(b"x"), DIGESTS[2])
        shutil.rmtree(tmp_path / "cd")
        synced.clear()
        name = store.put(BytesIO(b"y"), DIGESTS[2])
        assert synced[0] == tmp_path
        assert (tmp_path / name.removeprefix("folder:")).read_bytes() == b"y"
