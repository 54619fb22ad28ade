"""Telling DICOM files from others by a few bytes."""

from pathlib import Path

import pydicom.data
import pytest

from dicouch.scripts import dicomfiles

TEST_FILES = Path(pydicom.data.__file__).parent / "test_files"


@pytest.mark.parametrize(
    ("content", "instance"),
    [
        (bytes(128) + b"DICM" + bytes(100), True),
        (bytes(128) + b"DICM\2\0\2\0UI\x16\x001.2.840.10008.1.3.10\2\0\3\0", False),
        (b"\x08\0\x05\0CS\x0a\0ISO_IR 100", True),
        (b"\0\x08\0\x05CS\0\x0aISO_IR 100", True),
        (b"\x08\0\x08\0\x0a\0\0\0ORIGINAL\\A" + bytes(20), True),
        (b"\x08\0\x08\0\xff\xff\xff\x7fORIGINAL", False),
        (b"\x08\0\x08\0", False),
        (b"", False),
        (b"\x89PNG\r\n\x1a\n" + bytes(300), False),
        (b"plain text, long enough to be read" * 30, False),
    ],
)
def test_is_instance(tmp_path, content, instance):
    path = tmp_path / "file"
    path.write_bytes(content)
    assert dicomfiles.is_instance(path) is instance


def test_find_goes_deep_and_counts_the_rest(tmp_path):
    part10 = bytes(128) + b"DICM" + bytes(8)
    for name in ("b/c/d/e/1", "a/2.dcm", "3"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(part10)
    (tmp_path / "a/notes.txt").write_text("no DICOM")
    (tmp_path / "b/dangling").symlink_to(tmp_path / "nowhere")
    seen = []
    found = dicomfiles.find(tmp_path, lambda: seen.append(1))
    assert [path.relative_to(tmp_path).as_posix() for path, _ in found.files] == ["3", "a/2.dcm", "b/c/d/e/1"]
    assert found.size == 3 * len(part10)
    assert found.skipped == 1
    assert [path.name for path, _ in found.unreadable] == ["dangling"]
    assert len(seen) == 5


def test_one_file_is_a_folder_of_one():
    assert len(dicomfiles.find(TEST_FILES / "CT_small.dcm").files) == 1


def test_pydicoms_own_files():
    found = dicomfiles.find(TEST_FILES)
    names = {path.name for path, _ in found.files}
    # Without a preamble, in both byte orders and both kinds of VR.
    assert {"CT_small.dcm", "rtplan.dcm", "ExplVR_BigEndNoMeta.dcm", "no_meta_group_length.dcm"} <= names
    assert not {"README.txt", "DICOMDIR", "zipMR.gz"} & names
