"""Values of each VR in DICOM JSON (PS3.18 F.2.2 to F.2.5), and text of each character set (PS3.5 6.1)."""

import base64
import math
import struct

import orjson
import pytest

from dicouch.dicom.part10 import Part10
from tests.unit.made_part10 import BIG, IMPLICIT, UNDEFINED, element, item, made, read, sequence


def one(vr: str, value: bytes | str, tag: int = 0x00091001, *others: bytes) -> tuple[dict, Part10]:
    """Return the element that a value becomes, in Explicit VR."""
    result = read(made(*others, element(tag, vr, value, pad=False)))
    return result.dataset[f"{tag:08X}"], result


@pytest.mark.parametrize(
    ("vr", "raw", "values"),
    [
        ("AE", b" STORE  ", ["STORE"]),
        ("AS", b"042Y", ["042Y"]),
        ("AT", struct.pack("<4H", 0x0018, 0x0050, 0x7FE0, 0x0010), ["00180050", "7FE00010"]),
        ("CS", b"ORIGINAL\\PRIMARY \\\\ AXIAL", ["ORIGINAL", "PRIMARY", None, "AXIAL"]),
        ("DA", b"20200102\\ \\20200103", ["20200102", None, "20200103"]),
        ("DS", b"1.5\\-2 \\ 3e2 \\\\+.5\\4.", [1.5, -2.0, 300.0, None, 0.5, 4.0]),
        ("DS", b"0.48828125 ", [0.48828125]),
        ("DT", b"20200102030405.678+0100 ", ["20200102030405.678+0100"]),
        ("FD", struct.pack("<2d", 0.1, -1e300), [0.1, -1e300]),
        ("FL", struct.pack("<2f", 0.5, 1e-3), [0.5, struct.unpack("<f", struct.pack("<f", 1e-3))[0]]),
        ("IS", b"12\\-3 \\ +4\\", [12, -3, 4, None]),
        ("LO", b" a \\b  ", [" a", "b"]),
        ("LT", b" two\r\nlines \\ more  ", [" two\r\nlines \\ more"]),
        ("PN", b"Doe^John^^Dr=", [{"Alphabetic": "Doe^John^^Dr"}]),
        ("PN", b"=I=P\\\\A", [{"Ideographic": "I", "Phonetic": "P"}, None, {"Alphabetic": "A"}]),
        ("SH", b"x\\", ["x", None]),
        ("SL", struct.pack("<2i", -(2**31), 5), [-(2**31), 5]),
        ("SS", struct.pack("<2h", -2, 32767), [-2, 32767]),
        ("ST", b"a\\b ", ["a\\b"]),
        ("SV", struct.pack("<3q", 2**53 - 1, 2**53, -(2**63)), [2**53 - 1, str(2**53), str(-(2**63))]),
        ("TM", b"101500.5 ", ["101500.5"]),
        ("UC", b"a\\ b ", ["a", " b"]),
        ("UI", b"1.2\\1.3\0", ["1.2", "1.3"]),
        ("UL", struct.pack("<I", 2**32 - 1), [2**32 - 1]),
        ("UR", b"http://x/a?b=\\c  ", ["http://x/a?b=\\c"]),
        ("US", struct.pack("<3H", 0, 1, 65535), [0, 1, 65535]),
        ("UT", b"long ", ["long"]),
        ("UV", struct.pack("<2Q", 7, 2**64 - 1), [7, str(2**64 - 1)]),
    ],
)
def test_values(vr: str, raw: bytes, values: list) -> None:
    found, result = one(vr, raw)
    assert found == {"vr": vr, "Value": values}
    assert result.warnings == []


@pytest.mark.parametrize("vr", ["OB", "OD", "OF", "OL", "OV", "OW", "UN"])
def test_small_binary_is_inline(vr: str) -> None:
    raw = bytes(range(16))
    found, _ = one(vr, raw)
    assert found == {"vr": vr, "InlineBinary": base64.b64encode(raw).decode()}


@pytest.mark.parametrize("vr", ["AE", "AT", "DS", "FD", "LO", "OB", "PN", "SQ", "UI", "UN", "US", "UT"])
def test_empty_values_have_no_value(vr: str) -> None:
    """PS3.18 F.2.5."""
    assert one(vr, b"")[0] == {"vr": vr}


@pytest.mark.parametrize(("vr", "raw"), [("LO", b"  "), ("PN", b"  "), ("PN", b"=="), ("DS", b"  "), ("UI", b"\0\0")])
def test_padding_alone_is_empty(vr: str, raw: bytes) -> None:
    assert one(vr, raw)[0] == {"vr": vr}


def test_not_finite_floats_are_strings() -> None:
    raw = struct.pack("<4d", math.nan, math.inf, -math.inf, 1.0)
    assert one("FD", raw)[0]["Value"] == ["NaN", "Infinity", "-Infinity", 1.0]
    assert one("FL", struct.pack("<f", math.nan))[0]["Value"] == ["NaN"]
    # Large finite numbers do not overflow the test for it.
    assert one("FD", struct.pack("<2d", 1.7e308, 1.7e308))[0]["Value"] == [1.7e308, 1.7e308]


@pytest.mark.parametrize(
    ("vr", "raw", "values"),
    [
        ("DS", b"abc", ["abc"]),
        ("DS", b"1\\nan\\1_0\\1e999", [1.0, "nan", "1_0", "1e999"]),
        ("DS", b"1 2", ["1 2"]),
        ("IS", b"1.5\\2\\1A", ["1.5", 2, "1A"]),
        ("CS", b"caf\xc3\xa9", ["café"]),
    ],
)
def test_values_that_break_their_vr_are_strings(vr: str, raw: bytes, values: list) -> None:
    found, result = one(vr, raw)
    assert found == {"vr": vr, "Value": values}
    assert len(result.warnings) == 1
    assert result.warnings[0].startswith("(0009,1001) ")


@pytest.mark.parametrize(("vr", "length"), [("US", 3), ("UL", 6), ("FD", 7), ("AT", 2), ("SV", 9), ("FL", 1)])
def test_values_of_a_wrong_length_are_kept_as_un(vr: str, length: int) -> None:
    raw = bytes(range(1, length + 1))
    found, result = one(vr, raw)
    assert found == {"vr": "UN", "InlineBinary": base64.b64encode(raw).decode()}
    assert f"no {vr}" in result.warnings[0]


def test_large_integer_string_is_a_string() -> None:
    assert one("IS", b"9007199254740993")[0]["Value"] == ["9007199254740993"]


def test_warning_names_tag_and_keyword() -> None:
    _, result = one("DS", b"wide", 0x00280030)
    assert result.warnings == ["(0028,0030) PixelSpacing is not a decimal string."]


def test_big_endian_values() -> None:
    content = made(
        element(0x00080005, "CS", "ISO_IR 100", order=">"),
        element(0x00100010, "PN", b"M\xfcller", order=">"),
        element(0x00189004, "CS", "X", order=">"),
        element(0x00280010, "US", struct.pack(">H", 513), order=">"),
        element(0x00280009, "AT", struct.pack(">HH", 0x0018, 0x1063), order=">"),
        element(0x00186024, "SL", struct.pack(">i", -3), order=">"),
        element(0x00189087, "FD", struct.pack(">d", 0.25), order=">"),
        syntax=BIG,
        order=">",
    )
    dataset = read(content).dataset
    assert dataset["00280010"]["Value"] == [513]
    assert dataset["00280009"]["Value"] == ["00181063"]
    assert dataset["00186024"]["Value"] == [-3]
    assert dataset["00189087"]["Value"] == [0.25]
    assert dataset["00100010"]["Value"] == [{"Alphabetic": "Müller"}]


@pytest.mark.parametrize(
    ("terms", "raw", "text"),
    [
        ("ISO_IR 100", b"M\xfcller", "Müller"),
        ("ISO_IR 101", b"W\xb3adys\xb3aw", "Władysław"),
        ("ISO_IR 109", b"\xa6i", "Ĥi"),
        ("ISO_IR 110", b"\xb3a", "ŗa"),
        ("ISO_IR 144", b"\xbb\xee\xdaceMB\xe0y\xe4", "ЛюкceMBрyф"),
        ("ISO_IR 126", b"\xc4\xe9\xef\xed", "Διον"),
        ("ISO_IR 127", b"\xe2\xc8\xc7\xe6\xea", "قباني"),
        ("ISO_IR 138", b"\xf9\xf8\xe5\xef", "שרון"),
        ("ISO_IR 148", b"\xc7avu\xfeo\xf0lu", "Çavuşoğlu"),
        ("ISO_IR 166", b"\xa1\xd2\xc3", "การ"),
        # ISO/IEC 8859-15, PS3.3 Tables C.12-2 and C.12-3.
        ("ISO_IR 203", b"C\xbdur\xa4^\xa6", "Cœur€^Š"),
        ("ISO 2022 IR 203", b"C\xbdur\xa4^\xa6", "Cœur€^Š"),
        ("ISO 2022 IR 6\\ISO 2022 IR 203", b"\x1b-bC\xbdur\xa4^\x1b-b\xa6", "Cœur€^Š"),
        ("ISO 2022 IR 144\\ISO 2022 IR 203", b"\xbb^\x1b-b\xb8", "Л^ž"),
        ("ISO_IR 13", b"\xd4\xcf\xc0\xde", "ﾔﾏﾀﾞ"),
        ("ISO_IR 192", "王^小東".encode(), "王^小東"),
        ("GB18030", "王^小东".encode("gb18030"), "王^小东"),
        ("GBK", "王^小东".encode("gbk"), "王^小东"),
        ("ISO 2022 IR 6\\ISO 2022 IR 87", b"\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B", "山田^太郎"),
        ("\\ISO 2022 IR 149", b"\x1b$)C\xb1\xe8^\x1b$)C\xc8\xf1\xc1\xdf", "김^희중"),
        ("\\ISO 2022 IR 149", b"\x1b$)C\xb1\xe8^\xc8\xf1\xc1\xdf", "김^희중"),
        ("\\ISO 2022 IR 58", b"\x1b$)A\xcd\xf5^\x1b$)A\xd0\xa1\xb6\xab", "王^小东"),
        ("ISO 2022 IR 100\\ISO 2022 IR 144", b"Fran\xe7ois \x1b-L\xbb\xee", "François Лю"),
        ("\\ISO 2022 IR 87\\ISO 2022 IR 159", b"\x1b$(D\x30\x21\x1b(B", "丂"),
        ("ISO 2022 IR 100\\ISO 2022 IR 144", b"\x1b-L\xbb\xee^\xe9", "Лю^é"),
        ("ISO IR 100", b"\xe9", "é"),
        ("ISO-IR 100", b"\xe9", "é"),
        ("iso_ir 192", "é".encode(), "é"),
    ],
)
def test_character_sets(terms: str, raw: bytes, text: str) -> None:
    name, result = one("LO", raw, 0x00104000, element(0x00080005, "CS", terms))
    assert name["Value"] == [text]
    assert result.warnings == []
    assert result.dataset["00080005"] == {"vr": "CS", "Value": ["ISO_IR 192"]}
    assert result.character_set == terms.split("\\")


def test_delimiter_within_a_character_is_no_delimiter() -> None:
    """The second byte of 俓 is 5C in GBK and GB18030."""
    raw = "俓\\a".encode("gb18030")
    assert b"\\" in raw[:2]
    found, _ = one("LO", raw, 0x00081030, element(0x00080005, "CS", "GB18030"))
    assert found["Value"] == ["俓", "a"]


@pytest.mark.parametrize(
    ("terms", "raw", "text", "warning"),
    [
        (None, "Müller".encode(), "Müller", "read as UTF-8"),
        (None, b"M\xfcller", "Müller", "read as Latin-1"),
        ("ISO_IR 192", b"M\xfcller", "Müller", "read as Latin-1"),
        ("ISO_IR 999", b"M\xfcller", "Müller", "unknown term 'ISO_IR 999'"),
        ("GB18030", b"\xff\xfe", "ÿþ", "read as Latin-1"),
        ("ISO 2022 IR 87", b"\x1b%Gabc\xfc", "\x1b%Gabcü", "read as Latin-1"),
    ],
)
def test_wrong_character_sets_lose_nothing(terms: str | None, raw: bytes, text: str, warning: str) -> None:
    declared = [element(0x00080005, "CS", terms)] if terms else []
    found, result = one("LO", raw, 0x00104000, *declared)
    assert found["Value"] == [text]
    assert any(warning in sentence for sentence in result.warnings)


def test_every_byte_survives_every_declared_character_set() -> None:
    raw = bytes(set(range(1, 256)) - {0x5C, 0x20})
    for terms in ("", "ISO_IR 100", "ISO_IR 192", "GB18030", "ISO_IR 166", "\\ISO 2022 IR 87", "nonsense"):
        found, _ = one("LT", raw, 0x00104000, element(0x00080005, "CS", terms))
        orjson.dumps(found)
        assert len(found["Value"][0]) > 100


def test_items_have_their_own_character_set_and_inherit_it() -> None:
    cyrillic = [element(0x00080005, "CS", "ISO_IR 144"), element(0x00080104, "LO", b"\xbb\xee")]
    latin = element(0x00080104, "LO", b"\xe9")
    content = made(
        element(0x00080005, "CS", "ISO_IR 100"),
        sequence(0x00081032, item(*cyrillic, sequence(0x00081140, item(cyrillic[1]))), item(latin)),
        element(0x00081030, "LO", b"\xe9"),
    )
    result = read(content)
    first, second = result.dataset["00081032"]["Value"]
    assert first["00080104"]["Value"] == ["Лю"]
    assert first["00080005"]["Value"] == ["ISO_IR 192"]
    assert first["00081140"]["Value"][0]["00080104"]["Value"] == ["Лю"]
    assert second["00080104"]["Value"] == ["é"]
    assert result.dataset["00081030"]["Value"] == ["é"]
    assert result.character_set == ["ISO_IR 100"]


@pytest.mark.parametrize("undefined", [False, True])
def test_sequences(undefined: bool) -> None:
    code = element(0x00080100, "SH", "T-A0100")
    content = made(
        sequence(0x00082218, item(code, undefined=undefined), item(undefined=undefined), undefined=undefined),
        sequence(0x00081140, undefined=undefined),
    )
    dataset = read(content).dataset
    assert dataset["00082218"] == {"vr": "SQ", "Value": [{"00080100": {"vr": "SH", "Value": ["T-A0100"]}}, {}]}
    assert dataset["00081140"] == {"vr": "SQ"}


def test_implicit_vr_uses_the_dictionary() -> None:
    content = made(
        element(0x00280103, None, struct.pack("<H", 1)),
        element(0x00280106, None, struct.pack("<h", -5)),
        element(0x00281101, None, struct.pack("<3h", -32768, -1, 16)),
        element(0x00280010, None, struct.pack("<H", 512)),
        element(0x00090010, None, "CREATOR UNKNOWN"),
        element(0x00091001, None, b"\x01\x02"),
        element(0x00190010, None, "SIEMENS MR HEADER"),
        element(0x00191008, None, "IMAGE NUM 4"),
        element(0x00181244, None, struct.pack("<H", 3)),
        sequence(0x00081140, item(element(0x00081155, None, "1.2\0"), undefined=True), undefined=True, vr=None),
        element(0x7FE00010, None, bytes(4)),
        syntax=IMPLICIT,
    )
    result = read(content)
    dataset = result.dataset
    assert dataset["00280106"] == {"vr": "SS", "Value": [-5]}
    # PS3.3 C.11.1.1.1: the number of entries is unsigned.
    assert dataset["00281101"] == {"vr": "SS", "Value": [32768, -1, 16]}
    assert dataset["00280010"] == {"vr": "US", "Value": [512]}
    assert dataset["00090010"] == {"vr": "LO", "Value": ["CREATOR UNKNOWN"]}
    assert dataset["00091001"] == {"vr": "UN", "InlineBinary": "AQI="}
    assert dataset["00191008"] == {"vr": "CS", "Value": ["IMAGE NUM 4"]}
    assert dataset["00081140"]["Value"] == [{"00081155": {"vr": "UI", "Value": ["1.2"]}}]
    assert dataset["7FE00010"]["vr"] == "OW"
    assert result.warnings == []


def test_ambiguous_vr_waits_for_pixel_representation() -> None:
    """Groups before 0028 come before Pixel Representation, also within sequences."""
    region = element(0x00189810, None, struct.pack("<h", -7))
    content = made(
        sequence(0x00186011, item(region), vr=None),
        element(0x00189810, None, struct.pack("<h", -8)),
        element(0x00280103, None, struct.pack("<H", 1)),
        syntax=IMPLICIT,
    )
    dataset = read(content).dataset
    assert dataset["00186011"]["Value"][0]["00189810"] == {"vr": "SS", "Value": [-7]}
    assert dataset["00189810"] == {"vr": "SS", "Value": [-8]}
    unsigned = read(made(element(0x00189810, None, b"\xff\xff"), syntax=IMPLICIT))
    assert unsigned.dataset["00189810"] == {"vr": "US", "Value": [65535]}


def test_un_of_a_known_attribute_is_read_as_what_it_is() -> None:
    """PS3.5 6.2.2: little endian, and items in Implicit VR."""
    inner = element(0x00081155, None, "1.2.9\0")
    content = made(
        element(0x00100010, "UN", "Doe^John"),
        element(0x00081140, "UN", item(inner)),
        element(0x00081199, "UN", item(inner, undefined=True) + bytes.fromhex("FEFFDDE000000000"), length=UNDEFINED),
        element(0x00091001, "UN", b"xy"),
        element(0x00091002, "UN", item(inner) + bytes.fromhex("FEFFDDE000000000"), length=UNDEFINED),
        element(0x00280010, "UN", struct.pack("<H", 5)),
        element(0x00280011, "UN", b"abc", pad=False),
    )
    dataset = read(content).dataset
    reference = [{"00081155": {"vr": "UI", "Value": ["1.2.9"]}}]
    assert dataset["00100010"] == {"vr": "PN", "Value": [{"Alphabetic": "Doe^John"}]}
    for key in ("00081140", "00081199", "00091002"):
        assert dataset[key] == {"vr": "SQ", "Value": reference}
    assert dataset["00091001"] == {"vr": "UN", "InlineBinary": "eHk="}
    assert dataset["00280010"] == {"vr": "US", "Value": [5]}
    assert dataset["00280011"] == {"vr": "UN", "InlineBinary": "YWJj"}


def test_un_in_big_endian_is_little_endian() -> None:
    content = made(element(0x00280010, "UN", struct.pack("<H", 5), order=">"), syntax=BIG, order=">")
    assert read(content).dataset["00280010"] == {"vr": "US", "Value": [5]}


def test_top_level_elements_are_not_shared() -> None:
    """A reader may change elements of the first level; equal ones must not change with them."""
    content = made(element(0x00081030, "LO", "same"), element(0x0008103E, "LO", "same"))
    dataset = read(content).dataset
    assert dataset["00081030"] == dataset["0008103E"]
    assert dataset["00081030"] is not dataset["0008103E"]


def test_equal_values_in_items_are_converted_for_their_own_attribute() -> None:
    """Equal elements of items are shared, but not what depends on the attribute."""
    table, number = element(0x00283002, "SS", b"\0\x80\1\0\x10\0"), element(0x00186016, "SS", b"\0\x80\1\0\x10\0")
    items = [item(number, table), item(number, table), item(table)]
    result = read(made(sequence(0x00283010, *items)))
    assert [inner["00283002"]["Value"][0] for inner in result.dataset["00283010"]["Value"]] == [32768] * 3
    assert result.dataset["00283010"]["Value"][1]["00186016"]["Value"][0] == -32768
    wrong = item(element(0x00180050, "DS", "x"), element(0x00180088, "DS", "x"))
    assert len(read(made(sequence(0x00283010, wrong))).warnings) == 2


@pytest.mark.parametrize(("entries", "vr"), [(1, "US"), (2, "OW"), (None, "OW")])
def test_lut_data_of_one_entry_is_a_number(entries: int | None, vr: str) -> None:
    """PS3.3 C.11.1.1.1."""
    lut = [element(0x00283002, None, struct.pack("<3H", entries, 0, 16))] if entries else []
    lut.append(element(0x00283006, None, struct.pack("<H", 7)))
    found = read(made(sequence(0x00283010, item(*lut), vr=None), syntax=IMPLICIT)).dataset["00283010"]["Value"][0]
    assert found["00283006"]["vr"] == vr


@pytest.mark.parametrize(("bits", "vr"), [(8, "OB"), (16, "OW"), (None, "OW")])
def test_un_of_pixel_data_and_waveforms(bits: int | None, vr: str) -> None:
    """PS3.5 A.2: above eight bits they are words."""
    image = [element(0x00280100, "US", struct.pack("<H", bits))] if bits else []
    wave = [element(0x54001004, "US", struct.pack("<H", bits))] if bits else []
    wave.append(element(0x54001010, "UN", b"abcd"))
    dataset = read(made(*image, sequence(0x54000100, item(*wave)), element(0x7FE00010, "UN", b"abcd"))).dataset
    assert dataset["7FE00010"]["vr"] == vr
    assert dataset["54000100"]["Value"][0]["54001010"]["vr"] == vr


def test_items_of_un_are_in_implicit_vr_by_right() -> None:
    """PS3.5 6.2.2, note 2: nothing to warn about."""
    inner = item(element(0x00100010, None, "Doe"), element(0x00100020, None, "id"))
    result = read(made(element(0x00081140, "UN", inner)))
    assert result.dataset["00081140"]["Value"][0]["00100020"]["Value"] == ["id"]
    assert result.warnings == []
