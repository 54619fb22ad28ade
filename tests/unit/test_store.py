"""What `FolderStore` has on the disk before an instance is acknowledged: the file, its name, and the folders above."""

from __future__ import annotations

import errno
import os
import shutil
from io import BytesIO
from pathlib import Path

import pytest

from dicouch.store import folder
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
    def test_the_file_and_its_name(self, tmp_path, synced):
        store = FolderStore(str(tmp_path))
        store.put(BytesIO(b"first"), DIGESTS[0])
        synced.clear()
        name = store.put(BytesIO(b"second"), DIGESTS[1])
        assert sorted(synced) == [tmp_path / "ab", tmp_path / name.removeprefix("folder:")]
        assert (tmp_path / name.removeprefix("folder:")).read_bytes() == b"second"

    def test_of_a_name_that_a_document_has_the_bytes_come_first(self, tmp_path, synced):
        store = FolderStore(str(tmp_path))
        store.put(BytesIO(b"first"), DIGESTS[0])
        synced.clear()
        store.receive("ab/fetched.dcm", [b"by ", b"pieces"])
        assert [path.suffix for path in synced] == [".part", ""]
        assert (tmp_path / "ab/fetched.dcm").read_bytes() == b"by pieces"

    def test_a_new_folder_is_there_before_its_file(self, tmp_path, synced):
        root = tmp_path / "far" / "away"
        FolderStore(str(root)).put(BytesIO(b"x"), DIGESTS[2])
        assert synced[:3] == [tmp_path, tmp_path / "far", root]
        assert root / "cd" in synced[3:]

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


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="needs the names of open files")
class TestPutAll:
    def test_they_are_in_one_folder_which_is_flushed_once(self, tmp_path, synced):
        store = FolderStore(str(tmp_path))
        store.put(BytesIO(b"x"), DIGESTS[0])
        synced.clear()
        sources = [(BytesIO(bytes([number])), digest) for number, digest in enumerate(DIGESTS)]
        names = store.put_all(sources)
        assert sorted(synced) == sorted([tmp_path / "ab", *(tmp_path / name.removeprefix("folder:") for name in names)])
        assert [(tmp_path / name.removeprefix("folder:")).read_bytes() for name in names] == [b"\0", b"\1", b"\2"]
        assert DIGESTS[2] in names[2]

    @pytest.mark.parametrize("count", [16, 17, 40])
    def test_many_are_written_some_at_a_time(self, tmp_path, count):
        """A process has a bounded number of open files, for all that it does."""
        sources = [(BytesIO(b"%d" % number), DIGESTS[0]) for number in range(count)]
        kept = FolderStore(str(tmp_path)).put_all(sources)
        assert [(tmp_path / name.removeprefix("folder:")).read_bytes() for name in kept] == [
            b"%d" % number for number in range(count)
        ]

    def test_what_fails_otherwise_leaves_nothing(self, tmp_path, monkeypatch):
        def fail(*_told):
            raise RuntimeError("can't start new thread")

        store = FolderStore(str(tmp_path))
        monkeypatch.setattr(folder.FLUSHING, "submit", fail)
        with pytest.raises(RuntimeError):
            store.put_all([(BytesIO(b"a"), DIGESTS[0]), (BytesIO(b"b"), DIGESTS[1])])
        assert not [path for path in tmp_path.rglob("*") if path.is_file()]

    def test_a_file_that_fails_takes_no_other_with_it(self, tmp_path):
        full = BytesIO()
        full.read = lambda _size: (_ for _ in ()).throw(OSError(errno.ENOSPC, "No space left on device"))
        kept = FolderStore(str(tmp_path)).put_all([(BytesIO(b"a"), DIGESTS[0]), (full, DIGESTS[1])])
        assert (tmp_path / kept[0].removeprefix("folder:")).read_bytes() == b"a"
        assert kept[1].errno == errno.ENOSPC
        assert len([path for path in tmp_path.rglob("*") if path.is_file()]) == 1

    def test_without_its_folder_on_the_disk_nothing_is_kept(self, tmp_path, monkeypatch):
        store = FolderStore(str(tmp_path))
        store.put(BytesIO(b"x"), DIGESTS[0])

        def fail(path):
            raise OSError(errno.EIO, "Input/output error")

        monkeypatch.setattr(folder, "_sync_folder", fail)
        kept = store.put_all([(BytesIO(b"a"), DIGESTS[0]), (BytesIO(b"b"), DIGESTS[1])])
        assert [one.errno for one in kept] == [errno.EIO] * 2
        assert len([path for path in tmp_path.rglob("*") if path.is_file()]) == 1

    def test_what_the_disk_does_not_take_is_not_kept(self, tmp_path, monkeypatch):
        store = FolderStore(str(tmp_path))
        store.put(BytesIO(b"x"), DIGESTS[0])
        flush = os.fsync

        def fail(descriptor):
            if os.fstat(descriptor).st_size == 5:
                raise OSError(errno.EIO, "Input/output error")
            flush(descriptor)

        monkeypatch.setattr(os, "fsync", fail)
        kept = store.put_all([(BytesIO(b"whole"), DIGESTS[0]), (BytesIO(b"b"), DIGESTS[1])])
        assert kept[0].errno == errno.EIO
        assert (tmp_path / kept[1].removeprefix("folder:")).read_bytes() == b"b"
        assert len([path for path in tmp_path.rglob("*") if path.is_file()]) == 2
