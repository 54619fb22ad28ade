"""What a study says as text (``names.text``) and what ``shim/read/search/scan.py`` looks for in it."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dicouch.read.search import scan
from tests.designdocs.test_match import found
from tests.designdocs.test_match_model import NAMES

LETTERS = st.sampled_from(["ab", "é", "A", " ", "^", ".", "=", "山", "\U0001f600"])
WORDS = st.lists(LETTERS, max_size=6).map("".join)
PATTERNS = st.lists(LETTERS | st.sampled_from(["*", "?"]), min_size=1, max_size=8).map("".join)


def text(ddoc, dataset):
    return ddoc.call("views/lib/names", "text", dataset, [])


def looked_at(ddoc, monkeypatch, vr, values, stored, **key):
    monkeypatch.setattr(scan, "SHORTEST", 1)
    wanted = scan.needles({"00081030": {"vr": vr, "values": values, **key}})
    return scan.holds(text(ddoc, {"00081030": {"vr": vr, "Value": stored}}), wanted)


@settings(max_examples=300, deadline=None)
@given(
    vr=st.sampled_from(["LO", "SH", "CS", "AS", "LT", "UI", "UN"]),
    values=st.lists(PATTERNS, min_size=1, max_size=2),
    stored=st.lists(WORDS, max_size=2),
)
def test_what_matches_is_looked_at(ddoc, vr, values, stored):
    tree = {"00081030": {"vr": vr, "values": values}}
    if found(ddoc, tree, {"00081030": {"vr": "LO" if vr == "UN" else vr, "Value": stored}}):
        with pytest.MonkeyPatch.context() as patch:
            assert looked_at(ddoc, patch, vr, values, stored)


@settings(max_examples=300, deadline=None)
@given(
    values=st.lists(PATTERNS, min_size=1, max_size=2),
    stored=st.lists(st.fixed_dictionaries({}, optional=dict.fromkeys(["Alphabetic", "Ideographic"], WORDS)) | NAMES),
    fuzzy=st.booleans(),
)
def test_names_that_match_are_looked_at(ddoc, values, stored, fuzzy):
    tree = {"00081030": {"vr": "PN", "values": values, "fuzzy": fuzzy}}
    if found(ddoc, tree, {"00081030": {"vr": "PN", "Value": stored}}):
        with pytest.MonkeyPatch.context() as patch:
            assert looked_at(ddoc, patch, "PN", values, stored, fuzzy=fuzzy)


@pytest.mark.parametrize(
    ("vr", "value", "expected"),
    [
        ("PN", "*SMITH*", [["smith"]]),
        ("PN", "DOE^*", [["doe"]]),
        ("PN", "*Jörg=*山田太*", [["jorg", "山田太"]]),
        ("PN", "*=*abc*", []),
        ("LO", "*chest*", [["chest"]]),
        ("LO", "thorax ?with contrast", [["with contrast"]]),
        ("LO", "*ab*", []),
        ("CS", "M", []),
        ("DA", "20200101-", []),
        ("DS", "12345", []),
        ("UN", "abcdef", []),
        ("LO", "***", []),
    ],
)
def test_what_is_looked_for(vr, value, expected):
    assert scan.needles({"00081030": {"vr": vr, "values": [value]}}) == expected


def test_several_values_and_keys():
    keys = {
        "00081030": {"vr": "LO", "values": ["chest*", "*thorax"]},
        "00080090": {"vr": "PN", "values": ["*miller"]},
        "00100040": {"vr": "CS", "values": ["F"]},
        "00081032": {"vr": "SQ", "items": {}},
        "00101010": {"vr": "AS", "values": ["063Y"], "empty": True},
        "00080050": {"vr": "SH", "values": ["longer", "x"]},
    }
    assert scan.needles(keys) == [["chest", "thorax"], ["miller"]]


def test_a_name_by_sound_is_not_looked_for():
    assert scan.needles({"00100010": {"vr": "PN", "values": ["meier"], "fuzzy": True}}) == []


def test_a_study_that_says_too_much_is_looked_at(ddoc):
    dataset = {"00104000": {"vr": "LT", "Value": ["x" * 3000]}}
    assert text(ddoc, dataset) == scan.TOO_LONG
    assert scan.holds(scan.TOO_LONG, [["anything"]])
    assert not scan.holds("something", [["some"], ["other"]])


def test_all_texts_are_read_in_steps(monkeypatch):
    monkeypatch.setattr(scan, "FIRST_STEP", 3)
    monkeypatch.setattr(scan, "LAST_STEP", 7)
    monkeypatch.setattr(scan, "FIRST_MOST", 2)
    monkeypatch.setattr(scan, "LAST_MOST", 5)
    index = [
        {"id": f"1.{n}:study", "key": ["text", "", "", f"1.{n}"], "value": "odd one" if n % 2 else "even one"}
        for n in range(101)
    ]
    sizes = []

    def ask(request):
        start = request.params["startkey"]
        first = next((place for place, row in enumerate(index) if row["key"] == start), 0) + request.params["skip"]
        rows = index[first : first + request.params["limit"]]
        sizes.append(len(rows))
        return {"rows": rows}

    chosen = scan.Range("studies_by_beginning", {"startkey": ["text", "￰"], "endkey": ["text", ""]})
    groups = list(scan.candidates(ask, chosen, [["odd"]]))
    assert [uid for group in groups for uid in group] == [f"1.{n}" for n in range(101) if n % 2]
    assert sizes[:3] == [3, 6, 7]
    assert sum(sizes) == 101
    assert max(map(len, groups)) <= 5
