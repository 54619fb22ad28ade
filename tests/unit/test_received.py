"""What becomes of files near the limits: large ones are stored, and what is refused for good is named and no 503."""

import gc
import io
import json
import struct
import tracemalloc

import orjson
import pytest

from dicouch.dicom.json_model import as_lines, read_lines
from dicouch.dicom.part10 import model
from dicouch.dicom.pixels.image import Image
from dicouch.write.answer import response_dataset, status_of
from dicouch.write.document import make_document, without_dataset
from dicouch.write.outcome import OUT_OF_RESOURCES, Outcome
from dicouch.write.received import read_instance
from tests.awkward_files import nested, proper
from tests.unit.made_part10 import element, image, item, sequence

FRAMES = 45_000
STORED, FULL = Outcome("1.2", "1.3", "1.4"), Outcome("1.2", "1.3", "1.5", failure=OUT_OF_RESOURCES)


def code(value: str) -> bytes:
    return item(element(0x00080100, "SH", value), element(0x00080102, "SH", "DCM"), element(0x00080104, "LO", "Name"))


def segmentation() -> bytes:
    """Return a SEG whose frames each have the functional groups of PS3.3 A.51.5."""
    source = item(
        element(0x00081150, "UI", "1.2.840.10008.5.1.4.1.1.2"),
        element(0x00081155, "UI", "1.2.3.4.6"),
        sequence(0x0040A170, code("121322")),
    )
    groups = item(
        sequence(0x00089124, item(sequence(0x00082112, source), sequence(0x00089215, code("113076")))),
        sequence(0x00209111, item(element(0x00209157, "UL", struct.pack("<II", 1, 1)))),
        sequence(0x00209113, item(element(0x00200032, "DS", "1\\2\\3"))),
        sequence(0x0062000A, item(element(0x0062000B, "US", b"\1\0"))),
    )
    pixels = element(0x7FE00010, "OB", bytes(range(8)) * FRAMES)
    return proper(*image(8, 8, 1, frames=str(FRAMES)), sequence(0x52009230, groups * FRAMES), pixels)


def received(data: bytes):
    return read_instance(io.BytesIO(data), len(data), "digest", 1, None)


def test_a_segmentation_of_45000_frames_is_stored():
    data = segmentation()
    assert 14_000_000 < len(data) < 20_000_000
    found = received(data)
    assert (found.outcome.failure, found.outcome.warning, found.outcome.comment) == (0, 0, "")
    assert status_of([found.outcome]) == 200
    document = make_document(found.part10, len(data), "digest")
    frames = document["file"]["frames"]
    assert (frames["count"], frames["length"]) == (FRAMES, 8)
    assert data[frames["offset"] : frames["offset"] + 8] == bytes(range(8))
    groups = document["dataset"]["52009230"]["Value"]
    assert len(groups) == FRAMES
    assert groups[-1]["0062000A"]["Value"][0]["0062000B"]["Value"] == [1]
    kept, whole = without_dataset(document)
    assert "52009230" not in kept["dataset"]
    assert whole.count(b'"52009230"') == 1
    gc.disable()  # else it would look at millions of objects again and again, of which none goes
    try:
        read_what_a_frame_needs(document["dataset"], whole)
    finally:
        gc.enable()


def read_what_a_frame_needs(dataset: dict, whole: bytes) -> None:
    """Read the groups of frames without making the others of 45,000, as Python has them half a gigabyte."""
    tracemalloc.start()
    lazy = read_lines(whole)
    picture = Image(lazy, "1.2.840.10008.1.2.1", FRAMES, lambda _number: b"")
    for number in (1, 2, FRAMES // 2, FRAMES):
        assert picture.group(number, "0062000A") == dataset["52009230"]["Value"][number - 1]["0062000A"]["Value"][0]
    assert (len(lazy["52009230"]["Value"]), picture.group(FRAMES + 1, "0062000A")) == (FRAMES, lazy)
    assert tracemalloc.get_traced_memory()[1] < 3 << 20
    tracemalloc.stop()
    assert list(lazy["52009230"]["Value"][7:9]) == dataset["52009230"]["Value"][7:9]
    assert lazy["52009230"]["Value"][-1] == dataset["52009230"]["Value"][-1]
    assert orjson.loads(whole)["52009230"]["Value"][::999] == dataset["52009230"]["Value"][::999]


@pytest.mark.parametrize(
    "dataset",
    [
        {},
        {"52009230": {"vr": "SQ"}, "00100010": {"vr": "PN", "Value": [{"Alphabetic": 'A"\n[\n'}]}},
        {"52009230": {"vr": "SQ", "Value": [{}]}, "00080005": {"vr": "CS", "Value": ["ISO_IR 192"]}},
        {"52009230": {"vr": "SQ", "Value": [{}, {"00080008": {"vr": "CS"}}]}, "7FE00010": {"vr": "OW"}},
        {"52009230": {"vr": "UN", "InlineBinary": "AAAA"}},
        {"00081140": {"vr": "SQ", "Value": [{"52009230": {"vr": "SQ", "Value": [{"00080008": {"vr": "CS"}}, {}]}}]}},
    ],
)
def test_lines_are_read_as_they_were_written(dataset):
    text = as_lines(dataset)
    for read in (read_lines(text), read_lines(json.dumps(dataset).encode())):
        assert read.keys() == dataset.keys()
        for tag, expected in dataset.items():
            value = read[tag].get("Value")
            assert {**read[tag], **({"Value": list(value)} if value is not None else {})} == expected
    assert json.loads(text.replace(b"\n", b"")) == dataset
    assert list(json.loads(text)) == sorted(dataset)


@pytest.mark.parametrize(("limit", "value"), [("MAX_MEMORY", 8 << 20), ("MAX_SECONDS", 0), ("INLINE_HARD_TOTAL", 1000)])
def test_what_passes_a_limit_is_named_and_passes_it_each_time(limit, value, monkeypatch):
    """PS3.18 Table I.1-1: Failed SOP Sequence has its UID; RFC 9110 15.6.4: 503 is for what passes."""
    monkeypatch.setattr(model, limit, value)
    data = proper(sequence(0x00081140, item() * 100_000), element(0x00204000, "LT", "x" * 2000), instance="1.2.3.77")
    outcome = received(data).outcome
    assert (outcome.failure, outcome.instance) == (0xA700, "1.2.3.77")
    assert outcome.comment.startswith(("the data set takes more than", "more than"))
    assert status_of([outcome]) == 413
    assert status_of([STORED, outcome]) == 202
    assert status_of([FULL, outcome]) == 409
    (told,) = response_dataset([STORED, outcome], None, "http://h")["00081198"]["Value"]
    assert told["00081155"]["Value"] == ["1.2.3.77"]


def test_what_is_nested_too_deep_is_named_and_a_conflict():
    outcome = received(proper(nested(model.MAX_DEPTH + 1), instance="1.2.3.78")).outcome
    assert (outcome.failure, outcome.instance, outcome.too_large) == (0xC000, "1.2.3.78", False)
    assert status_of([outcome]) == 409


def test_only_what_is_out_of_resources_for_now_is_told_to_come_again():
    large = Outcome("1.2", "1.3", "1.6", failure=OUT_OF_RESOURCES, too_large=True)
    assert status_of([FULL]) == status_of([FULL, FULL]) == 503
    assert status_of([large]) == status_of([large, large]) == 413
    assert status_of([FULL, large]) == 409
