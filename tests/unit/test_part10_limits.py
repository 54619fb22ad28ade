"""Bounds of what is read of one file: nesting, memory and time, values and warnings (PS3.18 Table I.1-1)."""

import struct
import time
import tracemalloc

import orjson
import pytest

from dicouch.dicom.part10 import TooMuch, Unreadable, model
from tests.unit.made_part10 import (
    ITEM_END,
    JPEG,
    SEQUENCE_END,
    UNDEFINED,
    element,
    encapsulated,
    item,
    made,
    read,
    sequence,
)


def nested(levels: int, undefined: bool) -> bytes:
    """A file of sequences within sequences, made from the inside."""
    if undefined:
        opened = struct.pack("<HH2sHI", 0x0008, 0x1140, b"SQ", 0, UNDEFINED) + struct.pack(
            "<HHI", 0xFFFE, 0xE000, UNDEFINED
        )
        return made() + opened * levels + (ITEM_END + SEQUENCE_END) * levels
    heads, length = [], 0
    for _ in range(levels):
        heads.append(struct.pack("<HHI", 0xFFFE, 0xE000, length))
        heads.append(struct.pack("<HH2sHI", 0x0008, 0x1140, b"SQ", 0, length + 8))
        length += 20
    return made() + b"".join(reversed(heads))


@pytest.mark.parametrize("undefined", [False, True])
class TestNesting:
    def test_fifty_levels(self, undefined: bool) -> None:
        result = read(nested(50, undefined))
        depth, dataset = 0, result.dataset
        while "00081140" in dataset and "Value" in dataset["00081140"]:
            depth, dataset = depth + 1, dataset["00081140"]["Value"][0]
        assert depth == 50
        assert orjson.loads(orjson.dumps({"dataset": result.dataset})) == {"dataset": result.dataset}

    def test_the_deepest_can_be_written_as_json(self, undefined: bool) -> None:
        result = read(nested(model.MAX_DEPTH, undefined))
        orjson.dumps({"document": [{"dataset": result.dataset}]})

    @pytest.mark.parametrize("levels", [model.MAX_DEPTH + 1, 250, 10_000, 200_000])
    def test_deeper(self, undefined: bool, levels: int) -> None:
        content = nested(levels, undefined)
        began = time.process_time()
        with pytest.raises(Unreadable, match="nested deeper"):
            read(content)
        assert time.process_time() - began < 1


def bounded_refusal(content: bytes) -> Unreadable:
    began = time.process_time()
    with pytest.raises(Unreadable) as caught:
        read(content)
    assert time.process_time() - began < 20
    return caught.value


HEAPS = {
    "items": made(sequence(0x00081140, item() * 100_000)),
    "items of undefined length": made(element(0x00403001, "SQ", item() * 100_000 + SEQUENCE_END, length=UNDEFINED)),
    "elements": made() + element(0x00400010, "SH") * 100_000,
    "fragments": made(encapsulated()[:-8] + item() * 100_000, syntax=JPEG),
    "stray delimiters": made() + ITEM_END * 100_000,
}


@pytest.mark.parametrize("kind", HEAPS)
def test_memory_and_time_are_bounded(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A limit is one of bytes or of time, and the instance is named (PS3.18 Table I.1-1)."""
    assert read(HEAPS[kind]).study_uid == "1.2.3"
    for name, limit, said in (("MAX_MEMORY", 8 << 20, "8 MB of memory"), ("MAX_SECONDS", 0, "0 seconds")):
        with monkeypatch.context() as patched:
            patched.setattr(model, name, limit)
            refused = bounded_refusal(HEAPS[kind])
        assert isinstance(refused, TooMuch)
        assert refused.failure_reason == 0xA700
        assert said in refused.reason
        assert refused.identifiers["sop_instance_uid"] == "1.2.3.4.5"
        assert refused.identifiers["sop_class_uid"] == "1.2.840.10008.5.1.4.1.1.7"


def test_an_instance_that_is_nested_too_deep_is_named() -> None:
    refused = bounded_refusal(nested(model.MAX_DEPTH + 1, False))
    assert refused.identifiers["sop_instance_uid"] == "1.2.3.4.5"


def test_too_many_small_values(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model, "INLINE_HARD_TOTAL", 1 << 20)
    value = bytes(1000)
    content = made() + b"".join(element(0x00410000 + n, "OB", value) for n in range(1, 1200))
    refused = bounded_refusal(content)
    assert refused.failure_reason == 0xA700


def test_large_enhanced_image_is_read_whole() -> None:
    """5,000 frames of functional groups: equal elements of items are held once."""
    plane = [
        sequence(0x00209113, item(element(0x00200032, "DS", "-1.5\\2.25\\3.125"))),
        sequence(0x00209111, item(element(0x00209157, "UL", struct.pack("<2I", 1, 7)))),
        sequence(0x00289110, item(element(0x00280030, "DS", "0.5\\0.5"), element(0x00180050, "DS", "2"))),
    ]
    groups = item(*plane) * 5_000
    tracemalloc.start()
    try:
        result = read(made(element(0x52009230, "SQ", groups)))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    items = result.dataset["52009230"]["Value"]
    assert len(items) == 5_000
    assert items[-1]["00209113"]["Value"][0]["00200032"]["Value"] == [-1.5, 2.25, 3.125]
    assert peak < 40_000_000


def test_warnings_are_bounded() -> None:
    content = made() + b"".join(element(0x00410000 + n, "DS", "x") for n in range(1, 300))
    result = read(content)
    assert len(result.warnings) == model.MAX_WARNINGS + 1
    assert result.warnings[-1] == f"{299 - model.MAX_WARNINGS} more warnings"


def test_warnings_are_short_though_they_quote_the_file() -> None:
    result = read(made(element(0x00080005, "CS", "X" * 60_000), element(0x00280008, "IS", "9" * 60_000)))
    assert result.warnings
    assert max(map(len, result.warnings)) <= model.MAX_WARNING_LENGTH
