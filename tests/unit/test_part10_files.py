"""Every readable file of pydicom and pydicom-data: DICOM JSON, bulk ranges and frames beside pydicom's own."""

import base64
import io
import math
import struct
import warnings
from pathlib import Path

import orjson
import pydicom
import pytest
from pydicom.encaps import generate_frames
from pydicom.pixels.utils import get_expected_length
from pydicom.uid import UID

from dicouch.dicom.part10 import MissingIdentifier, Unreadable, read_part10
from dicouch.dicom.part10.model import MISSING_ATTRIBUTE

data_store = pytest.importorskip("data_store", reason="pydicom-data is not installed")
FOLDERS = {
    "pydicom": Path(pydicom.__file__).parent / "data" / "test_files",
    "charset": Path(pydicom.__file__).parent / "data" / "charset_files",
    "pydicom-data": Path(data_store.__file__).parent / "data",
}
# What pydicom ships beside DICOM files; no_meta.dcm begins with a stray byte.
NO_DICOM = (".txt", "README", ".icc", ".dump", ".json", ".gz", "no_meta.dcm")
# pydicom gives up on a last fragment without a delimiter.
BEYOND_PYDICOM = {"pydicom-data/emri_small_jpeg_2k_lossless_too_short.dcm"}
ALL_FILES = {
    f"{name}/{path.relative_to(folder)}": path
    for name, folder in FOLDERS.items()
    for path in sorted(folder.rglob("*"))
    if path.is_file() and path.suffix not in (".py", ".pyc")
}
FILES = [name for name in ALL_FILES if not name.endswith(NO_DICOM) and name not in BEYOND_PYDICOM]
UID_TAGS = {"StudyInstanceUID": "1.2.3", "SeriesInstanceUID": "1.2.3.4", "SOPInstanceUID": "1.2.3.4.5"}


@pytest.fixture(autouse=True)
def _lenient_pydicom(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let pydicom convert values that break the rules of their VR, as the shim keeps them."""
    monkeypatch.setattr(pydicom.config.settings, "reading_validation_mode", pydicom.config.IGNORE)
    monkeypatch.setattr(pydicom.config.settings, "_writing_validation_mode", pydicom.config.IGNORE)


def pydicom_dataset(content: bytes) -> pydicom.Dataset:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pydicom.dcmread(io.BytesIO(content), force=True)


def with_identifiers(content: bytes) -> bytes:
    """Give a file the three UIDs it lacks, in its own encoding, so that the rest of it can be compared."""
    dataset = pydicom.dcmread(io.BytesIO(content), force=True)
    for keyword, uid in UID_TAGS.items():
        if not dataset.get(keyword):
            setattr(dataset, keyword, uid)
    if "TransferSyntaxUID" not in dataset.file_meta:
        implicit, little = dataset.original_encoding
        dataset.file_meta.TransferSyntaxUID = UID(
            "1.2.840.10008.1.2" if implicit else "1.2.840.10008.1.2.1" if little else "1.2.840.10008.1.2.2"
        )
    target = io.BytesIO()
    dataset.save_as(target, enforce_file_format=False)
    return target.getvalue()


def load(name: str) -> tuple[bytes, pydicom.Dataset]:
    """Return a file and what pydicom reads from it; a file without the three UIDs is refused first, then completed."""
    content = ALL_FILES[name].read_bytes()
    dataset = pydicom_dataset(content)
    if not all(dataset.get(keyword) for keyword in UID_TAGS):
        with pytest.raises(MissingIdentifier) as caught:
            read_part10(io.BytesIO(content), len(content))
        assert caught.value.failure_reason == MISSING_ATTRIBUTE
        content = with_identifiers(content)
        dataset = pydicom_dataset(content)
    return content, dataset


def their_json(name: str, dataset: pydicom.Dataset) -> dict:
    """Convert with pydicom, but for the one element that it cannot convert: NumberOfFrames "1A"."""
    if name == "pydicom/badVR.dcm":
        return {"00280008": {"vr": "IS", "Value": ["1A"]}} | {
            f"{int(element.tag):08X}": element.to_json_dict(None, 0) for element in dataset if element.tag != 0x00280008
        }
    return dataset.to_json_dict()


def same_number(ours, theirs) -> bool:
    if isinstance(ours, str):
        return ours in ("NaN", "Infinity", "-Infinity") or ours.strip() == str(theirs).strip()
    return ours == theirs or math.isclose(ours, float(theirs), rel_tol=1e-15)


def assert_same_value(vr: str, ours, theirs, where: str) -> None:
    if theirs in (None, "", {"Alphabetic": ""}):
        assert ours is None, where
    elif vr == "PN":
        # Empty groups are left out (PS3.18 F.2.2); pydicom writes an empty Alphabetic.
        assert ours == {key: group.strip(" \0") for key, group in theirs.items() if group.strip(" \0")}, where
    elif isinstance(theirs, str):
        assert (ours if isinstance(ours, str) else str(ours)).strip(" \0") == theirs.strip(" \0"), where
    else:
        assert same_number(ours, theirs), where


def assert_same_element(ours: dict, theirs: dict, element, content: bytes, bulk: dict, path: str, big: bool) -> None:
    where = f"{path} {element.keyword} {element.VR}"
    if "BulkDataURI" in ours:
        assert ours["BulkDataURI"] == f"bulkdata/{path}", where
        place = bulk[path]
        assert place["vr"] == ours["vr"], where
        stored = content[place["offset"] : place["offset"] + place["length"]]
        value = element.value
        assert stored == (value if isinstance(value, bytes) else struct.pack(f"<{len(value)}H", *value)), where
        return
    assert path not in bulk, where
    if theirs["vr"] in ("OB or OW", "US or SS", "US or SS or OW", "US or OW"):
        # pydicom leaves VRs of retired attributes ambiguous; PS3.18 F.2.3 knows no such VR.
        assert ours["vr"] in theirs["vr"].split(" or "), where
        return
    assert ours["vr"] == theirs["vr"], where
    if element.tag == 0x00080005:
        assert ours.get("Value", ["ISO_IR 192"]) == ["ISO_IR 192"], where
        return
    if "InlineBinary" in theirs:
        expected = base64.b64decode(theirs["InlineBinary"])
        if big and ours["vr"] == "OW":
            # PS3.18 F.2.7: little endian; pydicom leaves the bytes as they are.
            expected = struct.pack(f"<{len(expected) // 2}H", *struct.unpack(f">{len(expected) // 2}H", expected))
        assert base64.b64decode(ours["InlineBinary"]) == expected, where
        return
    if ours["vr"] == "SQ":
        items = ours.get("Value", [])
        assert len(items) == len(theirs["Value"]), where
        for number, (item, their_item) in enumerate(zip(items, theirs["Value"], strict=True)):
            assert_same_dataset(item, their_item, element.value[number], content, bulk, f"{path}/{number}/")
        return
    values = theirs.get("Value", [])
    if all(value in ("", None, {"Alphabetic": ""}) for value in values) and len(values) < 2:
        values = []
    assert len(ours.get("Value", [])) == len(values), where
    for value, their_value in zip(ours.get("Value", []), values, strict=True):
        assert_same_value(ours["vr"], value, their_value, where)


def assert_same_dataset(ours: dict, theirs: dict, dataset, content: bytes, bulk: dict, prefix: str = "") -> None:
    expected = {
        key: value
        for key, value in theirs.items()
        if key != "FFFCFFFC" and not key.endswith("0000") and not key.startswith("0000")
    }
    assert list(ours) == sorted(expected), prefix
    for key, element in ours.items():
        big = dataset.original_encoding[1] is False
        assert_same_element(element, expected[key], dataset[int(key, 16)], content, bulk, prefix + key, big)


def inflated(content: bytes, dataset: pydicom.Dataset) -> bytes:
    """The file with its data set inflated in place, in which the ranges of a deflated file count."""
    start = 132 + 12 + dataset.file_meta.FileMetaInformationGroupLength
    return content[:start] + dataset.buffer.getvalue()


@pytest.mark.parametrize("name", FILES)
def test_json_and_bulk_ranges_as_pydicom(name: str) -> None:
    content, dataset = load(name)
    result = read_part10(io.BytesIO(content), len(content))
    assert result.study_uid == dataset.StudyInstanceUID
    assert result.series_uid == dataset.SeriesInstanceUID
    assert result.sop_instance_uid == dataset.SOPInstanceUID
    assert result.sop_class_uid == dataset.get("SOPClassUID", result.sop_class_uid)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = their_json(name, dataset)
        if result.deflated:
            content = inflated(content, dataset)
        assert_same_dataset(result.dataset, theirs, dataset, content, result.bulk)
    orjson.dumps(result.dataset)
    used = orjson.dumps(result.dataset).decode()
    assert all(f'"bulkdata/{path}"' in used for path in result.bulk)


@pytest.mark.parametrize("name", [name for name in ALL_FILES if name.endswith(NO_DICOM)])
def test_no_dicom_is_unreadable(name: str) -> None:
    content = ALL_FILES[name].read_bytes()
    with pytest.raises(Unreadable, match="not a DICOM file"):
        read_part10(io.BytesIO(content), len(content))


def frame_bytes(content: bytes, frames: dict) -> list[bytes]:
    """Cut the frames out of a file as a reader of the instance document does."""
    if "fragments" in frames:
        return [
            b"".join(content[o : o + n] for o, n in zip(ranges[::2], ranges[1::2], strict=True))
            for ranges in frames["fragments"]
        ]
    length = frames["length"]
    starts = range(frames["offset"], frames["offset"] + frames["count"] * length, length)
    return [content[start : start + length] for start in starts]


def test_frames_as_pydicom() -> None:
    compared = 0
    for name in FILES:
        content, dataset = load(name)
        result = read_part10(io.BytesIO(content), len(content))
        if "PixelData" not in dataset:
            assert result.frames is None, name
            continue
        if result.deflated:
            content = inflated(content, dataset)
        frames = frame_bytes(content, result.frames)
        assert result.frames["count"] == len(frames), name
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            # The one that has NumberOfFrames "1A" holds fifteen frames of 10 x 10 x 32 bits.
            bad = name == "pydicom/badVR.dcm"
            count = 15 if bad else int(dataset.get("NumberOfFrames") or 1)
            if "fragments" in result.frames:
                expected = list(generate_frames(dataset.PixelData, number_of_frames=count))
            else:
                known = "Rows" in dataset and not bad
                length = get_expected_length(dataset) // count if known else len(dataset.PixelData) // count
                expected = [dataset.PixelData[n * length : (n + 1) * length] for n in range(count)]
        assert frames == expected, name
        compared += len(frames)
    assert compared > 250


def test_last_fragment_without_delimiter() -> None:
    (name,) = BEYOND_PYDICOM
    content = ALL_FILES[name].read_bytes()
    result = read_part10(io.BytesIO(content), len(content))
    assert result.frames["count"] == 10
    whole = ALL_FILES[name.replace("_too_short", "")].read_bytes()
    assert frame_bytes(content, result.frames) == frame_bytes(whole, read_part10(io.BytesIO(whole), len(whole)).frames)
    assert any("PixelData" in warning for warning in result.warnings)
