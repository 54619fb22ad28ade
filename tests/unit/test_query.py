"""``shim/query.py``: the parameters of a search (PS3.18 8.3.4, 10.6.1.2)."""

import pytest

from shim.errors import DicomWebError
from shim.query import attribute_path, parse


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


def test_a_comma_is_part_of_other_values():
    assert read(("PatientName", "Doe, John")).keys["00100010"]["values"] == ["Doe, John"]


def test_include_fields_repeated_and_in_lists():
    asked = read(("includefield", "00081030,PatientAge"), ("includefield", "StudyDescription"))
    assert asked.include == {"00081030": True, "00101010": True}
    assert read(("includefield", "StudyDescription,all")).include == "all"


def test_limit_and_offset():
    assert (read().limit, read().limit_given) == (1000, False)
    asked = read(("limit", "25"), ("offset", "50"))
    assert (asked.limit, asked.offset, asked.limit_given) == (25, 50, True)
    asked = read(("limit", "5000"))
    assert (asked.limit, asked.limit_given) == (1000, False)


def test_what_is_not_known_is_kept_to_be_named():
    asked = read(("NoSuchThing", "1"), ("includefield", "Nor.This"), ("", ""), ("orderby", "x"))
    assert asked.unknown == ["NoSuchThing", "includefield=Nor.This", "orderby"]
    assert not asked.keys


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
        ("StudyInstanceUID", "1 2"),
        ("SeriesNumber", "one"),
        ("PatientID", "a\x00b"),
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
