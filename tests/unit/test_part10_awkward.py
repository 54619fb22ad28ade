"""Files that break PS3.5 and PS3.10: read as far as possible or refused with a reason, always with bounded work."""

import io
import struct
from functools import partial
from tempfile import SpooledTemporaryFile, TemporaryFile

import pytest

from dicouch.dicom.part10 import MissingIdentifier, Part10Error, Unreadable, read_part10
from dicouch.write.ingest import make_document
from tests.unit.made_part10 import (
    BIG,
    EXPLICIT,
    IMPLICIT,
    ITEM_END,
    SEQUENCE_END,
    UNDEFINED,
    element,
    identifiers,
    item,
    made,
    meta,
    read,
    sequence,
)

NAME = {"vr": "PN", "Value": [{"Alphabetic": "Doe"}]}
UIDS = {"study_uid": "1.2.3", "series_uid": "1.2.3.4", "sop_instance_uid": "1.2.3.4.5"}


def body(syntax: str = EXPLICIT) -> bytes:
    """A data set without anything before it."""
    order = ">" if syntax == BIG else "<"
    name = element(0x00100010, None if syntax == IMPLICIT else "PN", "Doe", order=order)
    return made(name, syntax=syntax, order=order)[len(meta(syntax)) :]


def assert_read(result) -> None:
    assert {name: getattr(result, name) for name in UIDS} == UIDS
    assert result.sop_class_uid == "1.2.840.10008.5.1.4.1.1.7"
    assert result.dataset["00100010"] == NAME


@pytest.mark.parametrize("syntax", [IMPLICIT, EXPLICIT, BIG])
class TestBeginnings:
    """PS3.10 7.1: preamble, prefix, File Meta Information."""

    def test_as_it_should_be(self, syntax: str) -> None:
        result = read(meta(syntax) + body(syntax))
        assert_read(result)
        assert result.transfer_syntax == syntax
        assert result.warnings == []
        assert not [key for key in result.dataset if key.startswith("0002")]

    def test_no_preamble(self, syntax: str) -> None:
        result = read(meta(syntax, preamble=False) + body(syntax))
        assert_read(result)
        assert result.transfer_syntax == syntax
        assert any("preamble" in sentence for sentence in result.warnings)
        result = read(b"DICM" + meta(syntax, preamble=False) + body(syntax))
        assert_read(result)

    def test_no_meta_group(self, syntax: str) -> None:
        for start in (b"", bytes(128) + b"DICM"):
            result = read(start + body(syntax))
            assert_read(result)
            assert result.transfer_syntax == syntax
            assert any("TransferSyntaxUID is missing" in sentence for sentence in result.warnings)

    def test_no_transfer_syntax(self, syntax: str) -> None:
        result = read(meta(None) + body(syntax))
        assert_read(result)
        assert result.transfer_syntax == syntax

    @pytest.mark.parametrize("declared", [IMPLICIT, EXPLICIT, BIG])
    def test_wrong_transfer_syntax(self, syntax: str, declared: str) -> None:
        """It is read as what it is, and served as that: nothing goes out under a wrong label (PS3.18 8.7.3.5.2)."""
        result = read(meta(declared) + body(syntax))
        assert_read(result)
        assert result.transfer_syntax == syntax
        assert bool(result.warnings) is bool(result.mended) is (syntax != declared)


def test_transfer_syntax_that_could_break_a_header_is_not_kept() -> None:
    result = read(meta("1.2\r\nX-Evil: 1") + body())
    assert result.transfer_syntax == EXPLICIT
    assert "(0002,0010) TransferSyntaxUID contains white space." in result.warnings


def test_wrong_group_length_of_the_meta_group_does_not_matter() -> None:
    content = meta() + body()
    for length in (0, 3, 2**31):
        assert_read(read(content[:140] + struct.pack("<I", length) + content[144:]))


@pytest.mark.parametrize(
    "content",
    [b"", b"DICM", b"\0", b"GIF89a" + bytes(500), b"%PDF-1.7" + b"x" * 500, bytes(1000), b"<?xml version='1.0'?>" * 9],
)
def test_what_is_no_dicom(content: bytes) -> None:
    with pytest.raises(Part10Error) as caught:
        read(content)
    assert caught.value.failure_reason in (0xC000, 0x0120)


def test_preamble_alone_has_no_identifiers() -> None:
    with pytest.raises(MissingIdentifier):
        read(bytes(128) + b"DICM")


def test_cut_off_meta_group() -> None:
    with pytest.raises(Unreadable, match="File Meta Information is cut off"):
        read(meta()[:-10])


@pytest.mark.parametrize(("tag", "name"), [(0x0020000D, "study"), (0x0020000E, "series"), (0x00080018, "instance")])
class TestIdentifiers:
    """Refused per instance with the failure reasons of PS3.18 I.2.2 and PS3.7 Annex C."""

    def test_missing(self, tag: int, name: str) -> None:
        elements = identifiers()
        del elements[tag]
        with pytest.raises(MissingIdentifier, match="is missing") as caught:
            read(meta() + b"".join(elements.values()))
        assert (caught.value.tag, caught.value.failure_reason) == (f"{tag:08X}", 0x0120)

    @pytest.mark.parametrize("value", ["", "  ", "\0\0"])
    def test_empty(self, tag: int, name: str, value: str) -> None:
        with pytest.raises(MissingIdentifier, match="is empty") as caught:
            read(made(**{name: value}))
        assert (caught.value.tag, caught.value.failure_reason) == (f"{tag:08X}", 0x0121)

    @pytest.mark.parametrize(
        "value",
        ["1.2\\1.3", "../x", "..", "_design/x", "1:2", "1%2F2", "1" * 65, "1 2", "1.\xe9", "1\n2", "1" * 10_000],
    )
    def test_unusable(self, tag: int, name: str, value: str) -> None:
        with pytest.raises(MissingIdentifier) as caught:
            read(made(**{name: value}))
        assert (caught.value.tag, caught.value.failure_reason) == (f"{tag:08X}", 0x0106)
        assert len(caught.value.reason) < 200
        assert caught.value.reason.isprintable()

    def test_longer_than_any_value_in_memory(self, tag: int, name: str) -> None:
        elements = identifiers()
        elements[tag] = element(tag, "UT", b"1" * 100_000)
        with pytest.raises(MissingIdentifier):
            read(meta() + b"".join(elements.values()))

    def test_kept_with_letters_and_without_padding(self, tag: int, name: str) -> None:
        result = read(made(**{name: "1.2.Abc-3 \0"}))
        assert "1.2.Abc-3" in (result.study_uid, result.series_uid, result.sop_instance_uid)

    def test_another_vr(self, tag: int, name: str) -> None:
        elements = identifiers()
        elements[tag] = element(tag, "LO", "1.2.9")
        assert "1.2.9" in vars(read(meta() + b"".join(elements.values()))).values()
        elements[tag] = element(tag, "US", b"\1\0")
        with pytest.raises(MissingIdentifier, match="is not one UID"):
            read(meta() + b"".join(elements.values()))


def test_series_uid_that_is_the_mark_of_study_documents() -> None:
    with pytest.raises(MissingIdentifier, match="reserved"):
        read(made(series="study"))
    assert read(made(study="study")).study_uid == "study"


def test_sop_class_of_the_meta_group() -> None:
    elements = identifiers()
    del elements[0x00080016]
    result = read(meta() + b"".join(elements.values()))
    assert result.sop_class_uid == "1.2.840.10008.5.1.4.1.1.7"
    assert "(0008,0016) SOPClassUID is missing." in result.warnings


def test_group_lengths_padding_and_command_elements_are_left_out() -> None:
    content = made(
        element(0x00080000, "UL", bytes(4)),
        element(0x00280000, "UL", bytes(4)),
        element(0xFFFCFFFC, "OB", bytes(100)),
        sequence(0x00081140, item(element(0x00080000, "UL", bytes(4)), element(0xFFFCFFFC, "OB", bytes(2)))),
    )
    result = read(content)
    assert sorted(result.dataset) == ["00080016", "00080018", "00081140", "0020000D", "0020000E"]
    assert result.dataset["00081140"]["Value"] == [{}]


def test_zero_bytes_after_the_data_set() -> None:
    result = read(made() + bytes(5000))
    assert result.warnings == ["What follows a data set is no element and ignored."]
    assert len(result.dataset) == 4


def test_garbage_after_the_data_set() -> None:
    result = read(made() + b"abc")
    assert result.warnings == ["The last 3 bytes of a data set are no element."]


def test_elements_out_of_order_and_repeated() -> None:
    content = made() + element(0x00100010, "PN", "Doe") + element(0x00080020, "DA", "20200101")
    content += element(0x00100010, "PN", "Roe")
    result = read(content)
    assert list(result.dataset) == sorted(result.dataset)
    assert result.dataset["00100010"]["Value"] == [{"Alphabetic": "Roe"}]
    assert "(0010,0010) PatientName appears more than once; the last one counts." in result.warnings
    assert "(0008,0020) StudyDate is not in ascending order." in result.warnings
    assert not result.ordered
    assert make_document(result, len(content), "")["file"]["unordered"] is True


def test_order_is_that_of_the_top_level() -> None:
    inner = item(element(0x00100010, "PN", "Doe"), element(0x00080020, "DA", "20200101"))
    result = read(made(sequence(0x00400275, inner)))
    assert result.warnings == ["(0008,0020) StudyDate is not in ascending order."]
    assert result.ordered
    assert "unordered" not in make_document(result, 0, "")["file"]


def test_file_meta_information_with_an_unknown_vr() -> None:
    content = made(element(0x00100010, "PN", "Doe"))
    result = read(content.replace(b"\x02\x00\x02\x00UI", b"\x02\x00\x02\x00XY"))
    assert result.dataset["00100010"]["Value"] == [{"Alphabetic": "Doe"}]


def test_unknown_vrs() -> None:
    """PS3.5 6.2: VRs to come have 32-bit lengths; older writers had short ones of their own."""
    later = struct.pack("<HH2sHI", 0x0010, 0x0010, b"XY", 0, 4) + b"Doe "
    older = struct.pack("<HH2sH", 0x0010, 0x0010, b"XY", 4) + b"Doe "
    for encoded in (later, older):
        result = read(made(encoded, element(0x00100020, "LO", "id")))
        assert result.dataset["00100010"] == NAME
        assert result.dataset["00100020"]["Value"] == ["id"]
        assert "(0010,0010) PatientName has the unknown VR XY." in result.warnings


def test_implicit_vr_within_explicit_vr() -> None:
    result = read(made(element(0x00100010, None, "Doe"), element(0x00100020, "LO", "id")))
    assert result.dataset["00100010"] == NAME
    assert result.dataset["00100020"]["Value"] == ["id"]
    inner = item(element(0x00100010, None, "Doe"), element(0x00100020, None, "id"))
    result = read(made(sequence(0x00081140, inner)))
    assert result.dataset["00081140"]["Value"][0]["00100010"] == NAME


def test_sequence_that_is_none() -> None:
    result = read(made(element(0x00081140, "SQ", b"what is this"), element(0x00100010, "PN", "Doe")))
    assert result.dataset["00081140"]["vr"] == "UN"
    assert result.dataset["00100010"] == NAME
    assert "(0008,1140) ReferencedImageSequence is no sequence of items; kept as UN." in result.warnings


def test_missing_delimiters() -> None:
    name = element(0x00100010, "PN", "Doe")
    no_item_end = struct.pack("<HHI", 0xFFFE, 0xE000, UNDEFINED) + name
    after = element(0x00100020, "LO", "id")
    result = read(made(element(0x00081140, "SQ", no_item_end + SEQUENCE_END, length=UNDEFINED), after))
    assert result.dataset["00081140"]["Value"] == [{"00100010": NAME}]
    assert result.dataset["00100020"]["Value"] == ["id"]
    assert "An item of undefined length has no end." in result.warnings
    result = read(made(element(0x00403001, "SQ", no_item_end + ITEM_END, length=UNDEFINED)))
    assert result.dataset["00403001"]["Value"] == [{"00100010": NAME}]
    assert any("has no end" in sentence for sentence in result.warnings)
    stray = read(made() + ITEM_END + SEQUENCE_END + element(0x00400001, "AE", "x"))
    assert stray.dataset["00400001"]["Value"] == ["x"]


def test_item_longer_than_its_sequence() -> None:
    name = element(0x00100010, "PN", "Doe")
    content = made(element(0x00081140, "SQ", item(name, length=1000)), element(0x00100020, "LO", "id"))
    result = read(content)
    assert result.dataset["00081140"]["Value"] == [{"00100010": NAME}]
    assert result.dataset["00100020"]["Value"] == ["id"]
    assert "(0008,1140) ReferencedImageSequence has an item that is cut off." in result.warnings


def test_element_longer_than_its_item() -> None:
    inner = item(element(0x00100020, "LO", "id", length=500))
    result = read(made(sequence(0x00081140, inner), element(0x00100010, "PN", "Doe")))
    assert result.dataset["00081140"]["Value"] == [{"00100020": {"vr": "LO", "Value": ["id"]}}]
    assert result.dataset["00100010"] == NAME
    assert "(0010,0020) PatientID is cut off: 2 of 500 bytes are there." in result.warnings


@pytest.mark.parametrize("syntax", [IMPLICIT, EXPLICIT])
def test_lengths_beyond_the_file(syntax: str) -> None:
    vr = None if syntax == IMPLICIT else "UT"
    for length in (2**32 - 2, 2**31, 100_000):
        result = read(made(syntax=syntax) + element(0x00400010, vr, "text", length=length))
        assert any("is cut off" in sentence for sentence in result.warnings)
        with pytest.raises(MissingIdentifier):
            read(meta(syntax) + element(0x00080001, vr, "text", length=length) + body(syntax))


def test_undefined_length_where_none_may_be() -> None:
    for syntax, vr in ((IMPLICIT, None), (EXPLICIT, "UT")):
        with pytest.raises(Unreadable, match="undefined length"):
            read(made(element(0x00081030 if vr is None else 0x00403001, vr, "text", length=UNDEFINED), syntax=syntax))


def test_undefined_length_of_bytes_that_are_no_items() -> None:
    raw = element(0x00091001, "OB", b"no items" + SEQUENCE_END, length=UNDEFINED)
    result = read(made(raw, element(0x00100010, "PN", "Doe")))
    assert result.dataset["00091001"] == {"vr": "OB", "InlineBinary": "bm8gaXRlbXM="}
    assert result.dataset["00100010"] == NAME
    open_end = read(made() + element(0x00291001, "OB", b"no items", length=UNDEFINED))
    assert "(0029,1001) has no end." in open_end.warnings


@pytest.mark.parametrize("long", [True, False])
def test_a_vr_of_question_marks(long: bool) -> None:
    """Some writers put them where they know no VR, with a length of either size: what follows is read."""
    head = struct.pack("<HH2sHI", 0x0009, 0x1001, b"??", 0, 4) if long else struct.pack("<HH2sH", 9, 0x1001, b"??", 4)
    result = read(made(head + b"odd!", element(0x00100010, "PN", "Doe")))
    assert_read(result)
    assert result.dataset["00091001"] == {"vr": "UN", "InlineBinary": "b2RkIQ=="}
    assert "(0009,1001) has the VR '??', which is none." in result.warnings


def test_a_vr_that_hides_the_identifiers_is_named() -> None:
    head = struct.pack("<HH2sH", 0x0009, 0x1001, b"??", 5)
    with pytest.raises(MissingIdentifier) as caught:
        read(made(head + b"odd!"))
    assert caught.value.reason.startswith("(0009,1001) has the VR '??', which is none, so that (0020,000D)")


def test_a_missing_sop_class_is_the_first_thing_said() -> None:
    """PS3.3 C.12.1: it is of Type 1."""
    elements = identifiers()
    del elements[0x00080016]
    result = read(meta(None, preamble=False) + b"".join(elements.values()))
    assert result.warnings[0] == "(0008,0016) SOPClassUID is missing."


@pytest.mark.parametrize("size", [100_000, 30_000_000])
def test_every_kind_of_source(size: int, tmp_path) -> None:
    content = made(element(0x00091001, "OB", bytes(size)), element(0x00100010, "PN", "Doe"))
    expected = read(content)
    path = tmp_path / "file"
    path.write_bytes(content)
    with path.open("rb") as buffered, path.open("rb", buffering=0) as raw:
        assert read_part10(buffered, len(content)) == expected
        assert read_part10(raw, len(content)) == expected
    for temporary in (TemporaryFile, SpooledTemporaryFile, partial(SpooledTemporaryFile, max_size=1 << 20)):
        with temporary() as file:
            file.write(content)
            assert read_part10(file, len(content)) == expected


def test_size_less_or_more_than_the_source() -> None:
    content = made(element(0x00100010, "PN", "Doe"))
    assert read_part10(io.BytesIO(content), len(content) + 1000) == read(content)
    assert read_part10(io.BytesIO(content + b"next part"), len(content)) == read(content)
