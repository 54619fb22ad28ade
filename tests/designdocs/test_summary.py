"""Summaries of headers (``lib/headers/summary.js``) and of instances (`write.document`) show a value in one way."""

import pytest

from dicouch.write.document import summary

VALUES = [
    {"vr": "LO", "Value": ["Head"]},
    {"vr": "LO"},
    {"vr": "LO", "Value": []},
    {"vr": "LO", "Value": [None, "second"]},
    {"vr": "LO", "Value": [""]},
    {"vr": "IS", "Value": [7]},
    {"vr": "IS", "Value": [0]},
    {"vr": "DS", "Value": [7.0]},
    {"vr": "DS", "Value": [7.5]},
    {"vr": "DS", "Value": ["7.50"]},
    {"vr": "PN", "Value": [{"Alphabetic": "Doe^John", "Ideographic": "山田"}]},
    {"vr": "PN", "Value": [{"Ideographic": "山田^太郎", "Phonetic": "やまだ"}]},
    {"vr": "PN", "Value": [{"Alphabetic": "", "Phonetic": "やまだ"}]},
    {"vr": "PN", "Value": [{}]},
    {"vr": "UN", "InlineBinary": "AA=="},
]


@pytest.mark.parametrize("attribute", VALUES)
def test_a_value(ddoc, attribute):
    text = ddoc.call("lib/headers/summary", "text", {"00100010": attribute}, "00100010")
    assert summary({"00100010": attribute}).removesuffix("series - · instance -").removesuffix(" · ") == text


@pytest.mark.parametrize(
    ("attribute", "shown"), [(VALUES[1], "-"), (VALUES[5], "7"), (VALUES[6], "0"), (VALUES[7], "7")]
)
def test_a_number(ddoc, attribute, shown):
    header = {"type": "series", "dataset": {"00200011": attribute}}
    assert ddoc.call("lib/headers/summary", "make", header) == f"series {shown}"
    assert summary(header["dataset"]) == f"series {shown} · instance -"


def test_a_header_begins_with_what_tells_what_it_is(ddoc):
    before = {
        "_id": "1.2:study",
        "type": "study",
        "dataset": {"00100010": VALUES[10], "00080020": {"vr": "DA", "Value": ["20240305"]}, "00100020": VALUES[1]},
        "series": {"1": "MR", "2": "CT", "3": "MR", "4": ""},
        "PatientID": "of before",
        "history": [],
        "_rev": "1-a",
    }
    led = ddoc.call("lib/headers/summary", "lead", before)
    assert list(led.items()) == [
        ("_id", "1.2:study"),
        ("_rev", "1-a"),
        ("type", "study"),
        ("summary", "Doe^John · 2024-03-05 · CT MR"),
        ("PatientName", "Doe^John"),
        ("StudyDate", "20240305"),
        ("ModalitiesInStudy", ["CT", "MR"]),
        ("dataset", before["dataset"]),
        ("series", before["series"]),
        ("history", []),
    ]
    assert ddoc.call("lib/headers/summary", "lead", led) == led
