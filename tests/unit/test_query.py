"""``shim/rewrite/query.py``: the parameters of a search (PS3.18 8.3.4, 10.6.1.2)."""

import pytest

from dicouch.errors import DicomWebError
from dicouch.rewrite.query import attribute_path, named, parse


def read(*pairs, maximum=1000):
    return parse(pairs, maximum)


def test_a_key_by_keyword_by_tag_and_by_path():
    asked = read(("PatientID", "1"), ("00080060", "CT"), ("00400275.ScheduledProcedureStepID", "A"))
    assert asked.keys == {
        "00100020": {"vr": "LO", "values": ["1"]},
        "00080060": {"vr": "CS", "values": ["CT"]},
        "00400275": {"vr": "SQ", "items": {"00400009": {"vr": "SH", "values": ["A"]}}},
    }


@pytest.mark.parametrize("separator", [",", "\\"])
def test_lists_of_uids(separator):
    assert read(("StudyInstanceUID", f"1.2{separator}1.3")).keys["0020000D"]["values"] == ["1.2", "1.3"]


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("StudyInstanceUID", "1.2,", ["1.2"]),
        ("StudyInstanceUID", ",1.2, ,1.3\\", ["1.2", "1.3"]),
        ("StudyInstanceUID", ",", [""]),
        ("PatientID", "A\\", ["A"]),
        ("PatientID", " ", [""]),
        ("StudyDate", " ", [""]),
        ("PatientName", "^", [""]),
        ("PatientName", "^=^\\Doe", ["Doe"]),
        ("PatientComments", " ", [""]),
        ("ModalitiesInStudy", "CT,", ["CT"]),
        ("Modality", ",", [""]),
        ("00091001", "A\\ ", ["A"]),
    ],
)
def test_a_value_without_length_is_universal_alone_and_nothing_in_a_list(name, value, expected):
    asked = read((name, value))
    (key,) = asked.keys.values()
    assert key["values"] == expected
    assert bool(asked.values(next(iter(asked.keys)))) == (expected != [""])


@pytest.mark.parametrize(
    "name", ["ModalitiesInStudy", "Modality", "PatientSex", "BodyPartExamined", "00400100.00080060"]
)
def test_lists_of_codes(name):
    """CS has no comma (PS3.5 6.2), so ``CT,MR`` can be nothing but a list; OHIF sends it."""
    (key,) = read((name, "CT,MR\\P?T")).keys.values()
    assert key.get("items", {"x": key}).popitem()[1] == {"vr": "CS", "values": ["CT", "MR", "P?T"]}


@pytest.mark.parametrize(
    "name", ["PatientName", "PatientID", "StudyDescription", "AccessionNumber", "RetrieveAETitle", "00091001"]
)
def test_a_comma_is_part_of_other_values(name):
    (key,) = read((name, "Doe, John")).keys.values()
    assert key["values"] == ["Doe, John"]


@pytest.mark.parametrize("value", ["true", "True", "TRUE"])
def test_words_of_the_grammar_by_any_case(value):
    """They are literals of ABNF (PS3.18 8.3.4, RFC 5234 2.3); Python writes True."""
    assert read(("PatientName", "x"), ("fuzzymatching", value)).keys["00100010"]["fuzzy"] is True
    assert read(("PatientID", '""'), ("EmptyValueMatching", value)).keys["00100020"]["empty"] is True
    assert "fuzzy" not in read(("PatientName", "x"), ("FUZZYMATCHING", "False")).keys["00100010"]
    asked = read(("Limit", "3"), ("OFFSET", "1"), ("includeField", "ALL"))
    assert (asked.limit, asked.offset, asked.include, asked.unknown) == (3, 1, "all", [])


def test_include_fields_repeated_and_in_lists():
    asked = read(("includefield", "00081030,PatientAge"), ("includefield", "StudyDescription"))
    assert asked.include == {"00081030": True, "00101010": True}
    assert read(("includefield", "StudyDescription,all")).include == "all"


def test_the_transfer_syntax_by_its_tag_of_the_file():
    """(0002,0010) is no attribute of a data set (PS3.10 7.1), and asks for (0008,3002) of Table 10.6.3-5."""
    for name in ("00020010", "TransferSyntaxUID"):
        assert read(("includefield", name)).include == {"00020010": True, "00083002": True}
        assert read((name, "1.2.3,1.2.4")).keys == {"00083002": {"vr": "UI", "values": ["1.2.3", "1.2.4"]}}


def test_limit_and_offset():
    assert (read().limit, read().limit_given) == (1000, False)
    asked = read(("limit", "25"), ("offset", "50"))
    assert (asked.limit, asked.offset, asked.limit_given) == (25, 50, True)
    asked = read(("limit", "5000"))
    assert (asked.limit, asked.limit_given) == (1000, False)


def test_what_is_not_known_is_kept_to_be_named():
    asked = read(("NoSuchThing", "1"), ("includefield", "Nor.This"), ("", ""), ("orderby", "x"))
    assert asked.unknown == ["NoSuchThing", "orderby", "includefield=Nor.This"]
    assert not asked.keys


@pytest.mark.parametrize(
    "name",
    ["NoSuchThing", "FFFFFFFF", "00089999", "PatientName.Modality", "00400275.00089999", "all.Modality", "Nor.This"],
)
def test_an_includefield_that_names_no_attribute_is_told(name):
    """PS3.18 8.3.4.3; the others of the list are shown."""
    asked = read(("includefield", f"PatientAge,{name}"))
    assert (asked.unknown, asked.include) == ([f"includefield={name}"], {"00101010": True})


@pytest.mark.parametrize("name", ["00091001", "00400275.00091001", "00091001.00091002", "00081030", "00081190"])
def test_an_includefield_that_names_an_attribute(name):
    assert read(("includefield", name)).unknown == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("limit", "-1"),
        ("limit", "x"),
        ("limit", "²"),
        ("limit", ""),
        ("offset", "1.5"),
        ("limit", "9" * 30),
        ("fuzzymatching", "yes"),
        ("StudyDate", "2020-01-01"),
        ("StudyDate", "20200101-20200102-"),
        ("StudyTime", "25h"),
        ("StudyInstanceUID", "1.2*"),
        ("StudyInstanceUID", "abc!"),
        ("SeriesInstanceUID", "1.2,1.3$"),
        ("SOPInstanceUID", "1.2~3"),
        ("ReferencedStudySequence.ReferencedSOPInstanceUID", "1.2@3"),
        ("StudyInstanceUID", "1 2"),
        ("SeriesNumber", "one"),
        ("PatientID", "a\x00b"),
        ("PatientName", "a\nb"),
        ("00091001", "a\x7fb"),
        ("StudyDate", "20201301"),
        ("StudyDate", "20210229"),
        ("StudyDate", "-"),
        ("StudyDate", "0000"),
        ("StudyTime", "24"),
        ("StudyTime", "1060"),
        ("AcquisitionDateTime", "2020-01-02"),
        ("AcquisitionDateTime", "2020022810+9999"),
        ("FrameIncrementPointer", "1063"),
        ("multiplevaluematching", ""),
        ("emptyvaluematching", "1"),
        ("PatientID", "\\".join("abc" * 50)),
        ("ReferencedStudySequence.StudyDate", "x"),
    ],
)
def test_malformed_values_are_named(name, value):
    with pytest.raises(DicomWebError) as caught:
        read((name, value))
    assert caught.value.status == 400
    assert name in caught.value.reason


def test_paths():
    assert attribute_path("RequestAttributesSequence.00400009") == ["00400275", "00400009"]
    assert attribute_path("00091001") == ["00091001"]
    for name in ("", "0010001", "0010 0020", "PatientNames", "__proto__", "00100020.", "Pätient"):
        assert attribute_path(name) is None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("StudyDate", "20200229"),
        ("StudyDate", "2020.02.29-"),
        ("StudyDate", "*"),
        ("StudyTime", "10:30-"),
        ("StudyTime", "235960"),
        ("AcquisitionDateTime", "2020-2021"),
        ("AcquisitionDateTime", "20200101-0500-20200102-0500"),
        ("AcquisitionDateTime", "-2020"),
        ("SeriesNumber", "+7"),
        ("SeriesNumber", "-1.5e3"),
        ("StudyInstanceUID", "1.2.A_b-c"),
        ("FrameIncrementPointer", "0018106a"),
    ],
)
def test_values_that_are_well_formed(name, value):
    assert read((name, value)).keys


def test_private_attributes_are_matched_as_they_are_stored():
    assert read(("00091001", "1,2\\3")).keys == {"00091001": {"vr": "UN", "values": ["1,2", "3"]}}
    assert read(("SmallestImagePixelValue", "7")).keys["00280106"]["vr"] == "UN"


def test_binary_values_cannot_be_matched():
    assert read(("PixelData", "x"), ("EncapsulatedDocument", "y")).unknown == ["PixelData", "EncapsulatedDocument"]


def test_private_attributes_come_with_their_creator():
    assert read(("includefield", "00091001")).include == {"00090010": True, "00091001": True}


def test_paths_of_included_attributes():
    one = ("includefield", "RequestAttributesSequence.00400009")
    asked = read(one, ("includefield", "00400275.00401001,00081140.00081150"))
    assert asked.include == {
        "00400275": {"00400009": True, "00401001": True},
        "00081140": {"00081150": True},
    }
    assert read(("includefield", "00400275,00400275.00400009")).include == {"00400275": True}


def test_a_path_is_no_deeper_than_it_need_be():
    assert attribute_path(".".join(["00400275"] * 10))
    assert attribute_path(".".join(["00400275"] * 11)) is None
    assert attribute_path(".".join(["00400275"] * 100_000)) is None


def test_ranges_of_date_and_time_are_one_when_they_are_of_one_form():
    keys = read(("StudyDate", "20200101-20200102"), ("StudyTime", "10-11")).keys
    assert keys["00080020"]["time"] == "00080030"
    for date, time in (("20200101", "10-11"), ("20200101-", "10-11"), ("20200101-", "-10"), ("20200101-20200102", "")):
        assert "time" not in read(("StudyDate", date), ("StudyTime", time)).keys["00080020"]
    nested = read(("00400100.00400002", "20200101-"), ("00400100.00400003", "10-")).keys["00400100"]["items"]
    assert nested["00400002"]["time"] == "00400003"


def test_empty_and_multiple_values():
    keys = read(("PatientID", '""'), ("emptyvaluematching", "true")).keys
    assert keys == {"00100020": {"vr": "LO", "values": [], "empty": True}}
    assert read(("PatientID", '""')).keys["00100020"]["values"] == ['""']
    keys = read(("ModalitiesInStudy", "CT\\PT"), ("multiplevaluematching", "true")).keys
    assert keys == {"00080061": {"vr": "CS", "values": ["CT", "PT"], "every": True}}
    keys = read(("ModalitiesInStudy", "CT,PT"), ("multiplevaluematching", "true")).keys
    assert keys == {"00080061": {"vr": "CS", "values": ["CT", "PT"], "every": True}}
    uids = read(("StudyInstanceUID", "1.2,1.3"), ("multiplevaluematching", "true")).keys
    assert "every" not in uids["0020000D"]


def test_keys_below_the_level_are_ignored_and_named():
    asked = read(("Modality", "CT"), ("00200013", "1"), ("PatientID", "1"))
    asked.drop_below("study")
    assert (list(asked.keys), asked.unknown) == (["00100020"], ["Modality", "00200013"])
    asked = read(("StudyDate", "20200101"), ("PatientSex", "F"))
    asked.drop_below("patient")
    assert (list(asked.keys), asked.unknown) == (["00100040"], ["StudyDate"])


@pytest.mark.parametrize("level", ["study", "series", "instance"])
def test_what_an_instance_has_of_its_own_is_of_every_level(level):
    """Rows of instances show and match their own weight, those of series and studies the first of theirs."""
    asked = read(("PatientWeight", "70"), ("includefield", "PatientAge,StudyDate"))
    asked.level = level
    asked.drop_below(level)
    assert (list(asked.of_level(level)), asked.unknown) == (["00101030"], [])
    assert {"00101030", "00101010"} <= set(asked.include_of(level))
    above = {"study", "series", "instance"} - {level}
    assert not any({"00101030", "00101010"} & set(asked.include_of(other)) for other in above)


def test_a_key_is_a_sequence_or_a_value():
    for pairs in ([("00081110.00081150", "1"), ("00081150.00081110", "1")],):
        assert read(*pairs).keys
    with pytest.raises(DicomWebError, match="sequence"):
        read(("PatientID", "1"), ("00100020.PatientName", "x"))


def test_many_parameters():
    with pytest.raises(DicomWebError, match="501 query parameters"):
        read(*[("PatientID", str(n)) for n in range(501)])


def test_many_included_attributes():
    names = [f"{tag:08X}" for tag in range(0x00091000, 0x00091000 + 501)]
    assert len(read(("includefield", ",".join(names[:500] * 3))).include) == 500 + 2  # and creators
    with pytest.raises(DicomWebError, match="includefield: 501 names"):
        read(("includefield", ",".join(names[:300])), ("includefield", ",".join(names[300:])))


def test_names_in_a_warning():
    assert named(["a", "b" * 70]) == "a, " + "b" * 64
    assert named("abcdefghijkl") == "a, b, c, d, e, f, g, h, i, j, ..."


def test_hostile_names():
    names = ["__proto__", "constructor", "a" * 100_000, "0010\u0000", "<script>", "'; DROP TABLE", "\U0001f600", "*"]
    asked = read(*[(name, "1") for name in names])
    assert asked.unknown == names
