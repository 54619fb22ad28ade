"""``lib/fixes/typed.js``: what a person types, by VR (PS3.5 6.2)."""

import pytest


def read(ddoc, vr, text, vm="1"):
    return ddoc.call("lib/fixes/typed", "read", vr, vm, text)


@pytest.mark.parametrize(
    ("vr", "text", "value"),
    [
        ("DA", "2024-02-29", "20240229"),
        ("DA", "20240229", "20240229"),
        ("DA", "2024.02.29", "20240229"),
        ("TM", "10:20:30", "102030"),
        ("TM", "1020", "1020"),
        ("TM", "102030.123456", "102030.123456"),
        ("DT", "20240229102030.5+0100", "20240229102030.5+0100"),
        ("AS", "042Y", "042Y"),
        ("CS", "A_B 1", "A_B 1"),
        ("IS", "-12", -12),
        ("DS", "1.50", 1.5),
        ("US", "65535", 65535),
        ("UI", "1.2.840", "1.2.840"),
        ("LO", " a ", "a"),
        ("LO", "x" * 64, "x" * 64),
        ("LO", "𝒳" * 64, "𝒳" * 64),
        ("LT", "a\\b\nc", "a\\b\nc"),
        ("PN", "Doe^John", {"Alphabetic": "Doe^John"}),
        ("PN", "Yamada=山田=やまだ", {"Alphabetic": "Yamada", "Ideographic": "山田", "Phonetic": "やまだ"}),
        ("PN", "=山田", {"Ideographic": "山田"}),
        ("LO", "<script>alert(1)</script>", "<script>alert(1)</script>"),
    ],
)
def test_taken(ddoc, vr, text, value):
    assert read(ddoc, vr, text) == {"attribute": {"vr": vr, "Value": [value]}}


@pytest.mark.parametrize(
    ("vr", "text"),
    [
        ("DA", "20230229"),
        ("DA", "2024-0229"),
        ("DA", "24-02-29"),
        ("DA", "20241301"),
        ("DA", "today"),
        ("TM", "25:00"),
        ("TM", "10:60"),
        ("TM", "1"),
        ("DT", "x"),
        ("DT", "20241399"),
        ("AS", "42"),
        ("AS", "042y"),
        ("CS", "abc"),
        ("CS", "A" * 17),
        ("IS", "1.5"),
        ("IS", "2147483648"),
        ("IS", "1" * 13),
        ("DS", "x"),
        ("DS", "1" * 17),
        ("DS", "NaN"),
        ("US", "-1"),
        ("US", "65536"),
        ("US", "1.5"),
        ("UI", "1.02"),
        ("UI", "1..2"),
        ("UI", "1" * 65),
        ("LO", "x" * 65),
        ("LO", "a\nb"),
        ("LO", "a\x1bb"),
        ("LO", "\ud800"),
        ("SH", "x" * 17),
        ("PN", "x" * 65),
        ("PN", "a=b=c=d"),
        ("PN", "a\nb"),
        ("PN", "a\tb"),
        ("PN", "a^b^c^d^e^f"),
        ("LT", "x" * 10241),
        ("AE", "ä"),
        ("SQ", "x"),
        ("OB", "x"),
        ("UN", "x"),
    ],
)
def test_refused(ddoc, vr, text):
    assert set(read(ddoc, vr, text)) == {"problem"}


def test_how_many_values(ddoc):
    assert "problem" in read(ddoc, "LO", "a\\b")
    assert read(ddoc, "LO", "a\\b", "1-n")["attribute"]["Value"] == ["a", "b"]
    assert read(ddoc, "LO", "a\\\\b", "1-n")["attribute"]["Value"] == ["a", None, "b"]
    assert read(ddoc, "LO", "") == {"attribute": {"vr": "LO"}}
    assert read(ddoc, "LO", "  ") == {"attribute": {"vr": "LO"}}
