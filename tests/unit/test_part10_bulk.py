"""Bulk values: which they are, where they lie, that they are not read, and deflated files (PS3.5 A.5)."""

import io
import resource
import struct
import subprocess
import sys
import time
import tracemalloc
import zlib
from pathlib import Path

import pytest

from dicouch.dicom.part10 import Part10, Unreadable, model, read_part10
from tests.unit.made_part10 import DEFLATED, IMPLICIT, deflate, element, image, item, made, meta, read, sequence


def ranges(content: bytes, result: Part10) -> dict[str, bytes]:
    return {path: content[at["offset"] : at["offset"] + at["length"]] for path, at in result.bulk.items()}


@pytest.mark.parametrize("vr", ["OB", "OD", "OF", "OL", "OV", "OW", "UN"])
def test_long_binary_values_are_bulk(vr: str) -> None:
    at_limit, above = bytes(model.INLINE_BINARY_LIMIT), bytes(range(256)) * 4 + bytes(8)
    content = made(element(0x00091001, vr, at_limit), element(0x00091002, vr, above))
    result = read(content)
    assert "InlineBinary" in result.dataset["00091001"]
    assert result.dataset["00091002"] == {"vr": vr, "BulkDataURI": "bulkdata/00091002"}
    assert ranges(content, result) == {"00091002": above}
    assert result.bulk["00091002"]["vr"] == vr


@pytest.mark.parametrize("tag", [0x7FE00010, 0x00420011])
def test_pixel_data_and_documents_are_always_bulk(tag: int) -> None:
    content = made(element(tag, "OB", b"%PDF"))
    assert ranges(content, read(content)) == {f"{tag:08X}": b"%PDF"}
    assert read(made(element(tag, "OB"))).dataset[f"{tag:08X}"] == {"vr": "OB"}


@pytest.mark.parametrize("vr", ["UT", "UC"])
def test_long_text_is_bulk(vr: str) -> None:
    """PS3.18 F.2.2 lists the VRs a BulkDataURI may stand for."""
    content = made(element(0x00091001, vr, b"x" * 65536), element(0x00091002, vr, b"y" * 65538))
    result = read(content)
    assert result.dataset["00091001"]["Value"] == ["x" * 65536]
    assert ranges(content, result) == {"00091002": b"y" * 65538}


def test_long_values_of_vrs_without_bulk_data_become_un() -> None:
    content = made(element(0x00091001, "UR", b"u" * 70000))
    result = read(content)
    assert result.dataset["00091001"] == {"vr": "UN", "BulkDataURI": "bulkdata/00091001"}
    assert result.warnings == ["(0009,1001) has 70000 bytes, too many for UR; kept as UN."]


def test_long_lookup_tables_are_bulk() -> None:
    table = struct.pack("<1024H", *range(1024))
    content = made(sequence(0x00283010, item(element(0x00283006, "US", table)), item(element(0x00283006, "US", b"ab"))))
    result = read(content)
    assert ranges(content, result) == {"00283010/0/00283006": table}
    assert result.dataset["00283010"]["Value"][1]["00283006"]["Value"] == [0x6261]


@pytest.mark.parametrize("undefined", [False, True])
@pytest.mark.parametrize("syntax", [IMPLICIT, "1.2.840.10008.1.2.1"])
def test_bulk_values_at_any_depth(undefined: bool, syntax: str) -> None:
    value = bytes(range(256)) * 8
    vr, sq = ("OW", "SQ") if syntax != IMPLICIT else (None, None)
    deepest = element(0x54001010, vr, value)
    middle = sequence(
        0x54000100, item(undefined=undefined), item(deepest, undefined=undefined), undefined=undefined, vr=sq
    )
    content = made(sequence(0x00081140, item(middle, undefined=undefined), undefined=undefined, vr=sq), syntax=syntax)
    result = read(content)
    path = "00081140/0/54000100/1/54001010"
    assert ranges(content, result) == {path: value}
    assert result.dataset["00081140"]["Value"][0]["54000100"]["Value"][1]["54001010"] == {
        "vr": "OW",
        "BulkDataURI": f"bulkdata/{path}",
    }


def test_a_replaced_element_leaves_no_range() -> None:
    icon = sequence(0x00880200, item(element(0x7FE00010, "OW", b"abcd")))
    content = made() + icon + sequence(0x00880200, item())
    result = read(content)
    assert result.bulk == {}
    assert result.dataset["00880200"] == {"vr": "SQ", "Value": [{}]}
    assert any("more than once" in sentence for sentence in result.warnings)


def test_a_large_file_is_not_read(tmp_path: Path) -> None:
    """One gigabyte, sparse: neither memory nor reads follow the size."""
    size = 1 << 30
    path = tmp_path / "large.dcm"
    head = made(*image(1024, 1024, frames="512"))
    with path.open("wb") as file:
        file.write(head + element(0x7FE00010, "OW", b"", length=size))
        file.truncate(file.tell() + size)
    tracemalloc.start()
    try:
        with path.open("rb") as file:
            before = resource.getrusage(resource.RUSAGE_SELF).ru_inblock
            result = read_part10(file, path.stat().st_size)
            read_blocks = resource.getrusage(resource.RUSAGE_SELF).ru_inblock - before
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert result.frames == {"count": 512, "offset": len(head) + 12, "length": 1 << 21}
    assert result.warnings == []
    assert peak < 2_000_000
    assert read_blocks * 512 < 10_000_000


def test_many_large_values_are_not_read(tmp_path: Path) -> None:
    path = tmp_path / "large.dcm"
    with path.open("wb") as file:
        file.write(made())
        for number in range(256):
            file.write(element(0x30050010 + number, "OB", b"", length=1 << 20))
            file.seek(1 << 20, io.SEEK_CUR)
        file.truncate()
    tracemalloc.start()
    try:
        with path.open("rb") as file:
            result = read_part10(file, path.stat().st_size)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(result.bulk) == 256
    assert peak < 2_000_000


def test_many_medium_values_move_out_of_the_data_set() -> None:
    """Contours of a large structure set: beyond the soft total they become bulk data (DS may, PS3.18 F.2.2)."""
    contour = b"1.25\\" * 12000 + b"1.25"
    encoded = element(0x30060050, "DS", contour, pad=True)
    count = 2 + model.INLINE_SOFT_TOTAL // len(contour)
    content = made(sequence(0x30060039, *[item(encoded) for _ in range(count)]))
    result = read(content)
    items = result.dataset["30060039"]["Value"]
    assert items[0]["30060050"]["Value"] == [1.25] * 12001
    assert items[-1]["30060050"] == {"vr": "DS", "BulkDataURI": f"bulkdata/30060039/{count - 1}/30060050"}
    assert set(ranges(content, result).values()) == {encoded[8:]}
    names = [element(0x30060026, "LO", b"name" * 100), element(0x30060050, "DS", b"1\\" * 100 + b"2")]
    content = made(sequence(0x30060039, *[item(encoded) for _ in range(count)], item(*names)))
    last = read(content).dataset["30060039"]["Value"][-1]
    assert last["30060026"]["Value"] == ["name" * 100]
    assert last["30060050"]["Value"] == [1] * 100 + [2]


def test_repeated_elements_cost_no_more_than_others() -> None:
    values = b"".join(element(0x00410000 + n, "OB", bytes(1100)) for n in range(1, 10_000))
    content = made() + values + element(0x00400001, "SH") * 100_000
    began = time.process_time()
    assert len(read(content).bulk) == 9_999
    assert time.process_time() - began < 5


def test_deflated() -> None:
    value = bytes(range(256)) * 10
    inflated = made(element(0x00091001, "OB", value), element(0x00100010, "PN", "Doe"), syntax=DEFLATED)
    for wbits in (-zlib.MAX_WBITS, zlib.MAX_WBITS):
        for pad in (b"", b"\0"):
            result = read(deflate(inflated, wbits) + pad)
            assert result.deflated
            assert result.transfer_syntax == DEFLATED
            assert result.warnings == []
            assert ranges(inflated, result) == {"00091001": value}
            assert result.dataset["00100010"]["Value"] == [{"Alphabetic": "Doe"}]


def test_damaged_deflated_data() -> None:
    inflated = made(element(0x7FE00010, "OB", bytes(range(256)) * 100), syntax=DEFLATED)
    content = deflate(inflated)
    assert any("cut off" in sentence for sentence in read(content[:-20]).warnings)
    start = len(meta(DEFLATED))
    with pytest.raises(Unreadable, match="not deflated"):
        read(content[:start] + b"\xff" * 100)


def test_decompression_bomb_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dicouch.dicom.part10.inflate.INFLATED_LIMIT", 1 << 20)
    bomb = deflate(made(element(0x7FE00010, "OB", bytes(1 << 24)), syntax=DEFLATED))
    assert len(bomb) < 1 << 17
    tracemalloc.start()
    try:
        with pytest.raises(Unreadable, match="inflates to more than") as caught:
            read(bomb)
        assert tracemalloc.get_traced_memory()[1] < 20_000_000
    finally:
        tracemalloc.stop()
    assert caught.value.failure_reason == 0xA700


def test_peak_memory_of_a_process(tmp_path: Path) -> None:
    """The resident size of a process that reads a large encapsulated file stays that of its imports."""
    path = tmp_path / "large.dcm"
    with path.open("wb") as file:
        file.write(made(syntax="1.2.840.10008.1.2.4.50"))
        file.write(element(0x7FE00010, "OB", item(), length=0xFFFFFFFF))
        for _ in range(64):
            file.write(item(length=1 << 22))
            file.seek(1 << 22, io.SEEK_CUR)
        file.write(bytes.fromhex("FEFFDDE000000000"))
    program = (
        "import resource, sys; from dicouch.dicom.part10 import read_part10\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "import os; result = read_part10(open(sys.argv[1], 'rb'), os.path.getsize(sys.argv[1]))\n"
        "assert result.frames['count'] == 1, result.frames\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)\n"
    )
    root = Path(__file__).parents[2]
    grown = subprocess.run(
        [sys.executable, "-c", program, str(path)], cwd=root, capture_output=True, text=True, check=True, timeout=60
    )
    assert int(grown.stdout) < 8_000  # KB
