"""Stored files with attributes changed: every other byte stays, and the originals are kept (PS3.3 C.12.1.1.9)."""

import io
from contextlib import suppress
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.data import get_testdata_file

from dicouch.dicom.correct import Change, correct, correct_stored
from dicouch.dicom.part10 import Part10Error, read_part10
from tests.files import identifiers, real_files
from tests.unit import made_part10 as made

AT = "2026-01-02T03:04:05.678Z"
LATER = "2026-02-02T03:04:05.678Z"
NAME = Change(0x00100010, {"vr": "PN", "Value": [{"Alphabetic": "Corrected^Name"}]}, AT)
NUMBER = Change(0x00080050, {"vr": "SH", "Value": ["A 1"]}, AT)
COMMENTS = Change(0x00104000, {"vr": "LT", "Value": ["odd length"]}, LATER)


def opener_of(content):
    def opener(start, end):
        # In small pieces, as a connection gives them.
        for position in range(start, end, 1000):
            yield content[position : min(position + 1000, end)]

    return opener


def corrected(content, *changes, ordered=True):
    size, pieces = correct_stored(opener_of(content), len(content), changes, ordered=ordered)
    result = b"".join(pieces())
    assert len(result) == size
    return result


def reread(content):
    return read_part10(io.BytesIO(content), len(content))


def value_of(content, entry):
    """Return a bulk value of a file."""
    return content[entry["offset"] : entry["offset"] + entry["length"]]


@pytest.mark.parametrize("path", [path for path in real_files() if identifiers(path)], ids=lambda path: path.name)
def test_real_files(path):
    content = real_files()[path]
    try:
        before = reread(content)
    except Part10Error:
        pytest.skip("not stored either")
    result = corrected(content, NAME, NUMBER, COMMENTS, ordered=before.ordered)
    after = reread(result)
    dataset = dict(after.dataset)
    items = dataset.pop("04000561")["Value"]
    told = before.dataset.get("04000561", {}).get("Value", [])
    assert items[: len(told)] == told
    first, second = items[len(told) :]
    assert first["04000562"] == {"vr": "DT", "Value": ["20260102030405.678+0000"]}
    assert first["04000563"] == {"vr": "LO", "Value": ["dicouch"]}
    assert first["04000564"] == {"vr": "LO"}
    assert first["04000565"] == {"vr": "CS", "Value": ["CORRECT"]}
    for change, item in ((NAME, first), (NUMBER, first), (COMMENTS, second)):
        tag = f"{change.tag:08X}"
        assert dataset.pop(tag) == change.attribute
        original = item["04000550"]["Value"][0][tag]
        assert original.get("Value") == before.dataset.get(tag, {}).get("Value")
    assert set(first["04000550"]["Value"][0]) == {"00100010", "00080050"}
    expected = {tag: value for tag, value in before.dataset.items() if tag in dataset}
    assert dataset == expected
    assert set(before.dataset) - set(dataset) <= {"00100010", "00080050", "00104000", "04000561"}
    if not before.deflated:
        for place, entry in before.bulk.items():
            assert value_of(result, after.bulk[place]) == value_of(content, entry)
    assert (before.frames or {}).get("count") == (after.frames or {}).get("count")


def test_pydicom_reads_the_result():
    content = Path(get_testdata_file("CT_small.dcm")).read_bytes()
    before = dcmread(io.BytesIO(content))
    after = dcmread(io.BytesIO(corrected(content, NAME)))
    assert after.PatientName == "Corrected^Name"
    assert after.PixelData == before.PixelData
    (item,) = after.OriginalAttributesSequence
    assert item.ReasonForTheAttributeModification == "CORRECT"
    assert item.ModifiedAttributesSequence[0].PatientName == before.PatientName
    assert [element.tag for element in after] == sorted(element.tag for element in after)


@pytest.mark.parametrize("syntax", [made.EXPLICIT, made.IMPLICIT, made.BIG])
@pytest.mark.parametrize("undefined", [True, False])
def test_existing_items_are_preserved(syntax, undefined):
    order, vr = (">" if syntax == made.BIG else "<"), syntax != made.IMPLICIT
    if syntax == made.BIG and undefined:
        pytest.skip("the delimiters of the fixture are little endian")
    content = made.item(made.element(0x04000565, "CS" if vr else None, "COERCE", order=order))
    if syntax == made.BIG:
        content = content[:0] + bytes.fromhex("FFFEE000") + (len(content) - 8).to_bytes(4, "big") + content[8:]
    sequence = made.element(0x04000561, "SQ" if vr else None, content, order=order)
    if undefined:
        sequence = made.sequence(0x04000561, content, undefined=True, vr="SQ" if vr else None)
    name = made.element(0x00100010, "PN" if vr else None, "Doe", order=order)
    after = reread(corrected(made.made(name, sequence, syntax=syntax, order=order), NAME))
    assert [item["04000565"]["Value"] for item in after.dataset["04000561"]["Value"]] == [["COERCE"], ["CORRECT"]]
    assert after.warnings == []


def test_group_lengths_of_changed_groups_go():
    content = made.made(
        made.element(0x00080000, "UL", b"\x10\0\0\0"),
        made.element(0x00100000, "UL", b"\x10\0\0\0"),
        made.element(0x00280000, "UL", b"\x10\0\0\0"),
        made.element(0x00100010, "PN", "Doe"),
        made.element(0x00280010, "US", b"\1\0"),
    )
    result = corrected(content, NAME)
    tags = [tag for tag in (b"\x08\0\0\0UL", b"\x10\0\0\0UL", b"\x28\0\0\0UL") if tag in result]
    assert tags == [b"\x08\0\0\0UL", b"\x28\0\0\0UL"]


def test_only_the_head_is_read():
    pixels = made.element(0x7FE00010, "OW", bytes(50_000_000))
    content = made.made(made.element(0x00100010, "PN", "Doe"), *made.image(), pixels)
    asked = []

    def opener(start, end):
        asked.append((start, end))
        yield content[start:end]

    size, pieces = correct_stored(opener, len(content), [NAME])
    assert sum(end - start for start, end in asked) < 200_000
    read = sum(len(piece) for piece in pieces())
    assert read == size


def test_elements_behind_the_pixel_data():
    content = made.meta() + b"".join(made.identifiers().values()) + made.element(0x7FE00010, "OW", bytes(8))
    content += made.element(0x00100010, "PN", "Doe")
    assert "is not in ascending order" in " ".join(reread(content).warnings)
    after = reread(corrected(content, NAME, ordered=False))
    assert after.dataset["00100010"] == NAME.attribute
    assert "appears more than once" not in " ".join(after.warnings)


def test_the_last_of_repeated_elements_is_the_original():
    content = made.made(made.element(0x00100010, "PN", "Doe") + made.element(0x00100010, "PN", "Roe"))
    after = reread(corrected(content, NAME))
    assert after.dataset["00100010"] == NAME.attribute
    (item,) = after.dataset["04000561"]["Value"]
    assert item["04000550"]["Value"][0]["00100010"]["Value"] == [{"Alphabetic": "Roe"}]


JAPANESE = Change(0x00100010, {"vr": "PN", "Value": [{"Alphabetic": "Yamada^Tarou", "Ideographic": "山田^太郎"}]}, AT)


CHARACTER_SETS = [path for path in real_files() if "chr" in path.name and identifiers(path)]


@pytest.mark.parametrize("path", CHARACTER_SETS, ids=lambda path: path.name)
def test_a_name_that_the_character_set_does_not_have(path):
    content = real_files()[path]
    before = reread(content)
    after = reread(corrected(content, JAPANESE))
    assert after.dataset["00100010"] == JAPANESE.attribute
    (item,) = after.dataset["04000561"]["Value"]
    assert item["04000550"]["Value"][0]["00100010"] == before.dataset["00100010"]
    changed = {"00100010", "04000561", "00080005"}
    for tag in set(before.dataset) - changed:
        assert after.dataset[tag] == before.dataset[tag], tag


def test_default_repertoire_becomes_utf8():
    content = Path(get_testdata_file("MR_small.dcm")).read_bytes()
    without = dcmread(io.BytesIO(content))
    with suppress(AttributeError):
        del without.SpecificCharacterSet
    buffer = io.BytesIO()
    without.save_as(buffer)
    after = dcmread(io.BytesIO(corrected(buffer.getvalue(), JAPANESE)))
    assert after.SpecificCharacterSet == "ISO_IR 192"
    assert after.PatientName.ideographic == "山田^太郎"
    assert after.PixelData == without.PixelData


def test_values_that_break_their_vr_go_out_as_they_came():
    odd = Change(0x00080020, {"vr": "DA", "Value": ["yesterday"]}, AT)
    age = Change(0x00101010, {"vr": "AS", "Value": ["old"]}, AT)
    size = Change(0x00101020, {"vr": "DS", "Value": [1.75]}, AT)
    number = Change(0x00200011, {"vr": "IS", "Value": ["seven"]}, AT)
    after = reread(corrected(made.made(), odd, age, size, number))
    for change in (odd, age, size, number):
        assert after.dataset[f"{change.tag:08X}"] == change.attribute


def test_no_value_is_a_value():
    after = reread(corrected(made.made(made.element(0x00100010, "PN", "Doe")), Change(0x00100010, {"vr": "PN"}, AT)))
    assert after.dataset["00100010"] == {"vr": "PN"}


def test_deflated():
    plain = made.made(
        made.element(0x00100010, "PN", "Doe"), made.element(0x00104000, "LT", "x" * 5000), syntax=made.DEFLATED
    )
    after = reread(corrected(made.deflate(plain), NAME))
    assert after.dataset["00100010"] == NAME.attribute
    assert after.deflated
    assert after.warnings == reread(made.deflate(plain)).warnings


def test_correct_names_a_file_that_is_none():
    with pytest.raises(Part10Error):
        correct(io.BytesIO(b"x" * 300), 300, [NAME])


def test_any_range_of_the_result():
    content = Path(get_testdata_file("CT_small.dcm")).read_bytes()
    whole = corrected(content, NAME, COMMENTS)
    size, pieces = correct_stored(opener_of(content), len(content), [NAME, COMMENTS])
    for start in (0, 1, 131, 800, 5000, size - 1):
        for length in (0, 1, 700, 3000, size):
            end = min(start + length, size)
            assert b"".join(pieces(start, end)) == whole[start:end]
