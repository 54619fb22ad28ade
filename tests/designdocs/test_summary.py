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
