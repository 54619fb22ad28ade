"""Views: what each document emits, and that no document can break an index."""

import json
from pathlib import Path

import pytest

FIXTURES = Path(__file__).parents[1] / "fixtures" / "ddoc"
EXPECTED = json.loads((FIXTURES / "rows.json").read_text(encoding="utf-8"))
DOCUMENTS = json.loads((FIXTURES / "documents.json").read_text(encoding="utf-8"))
HOSTILE = [
    {},
    {"type": "study"},
    {"type": "study", "dataset": None, "series": None},
    {"type": "study", "dataset": [], "series": []},
    {
        "type": "study",
        "dataset": {"00100010": 3, "00080020": None, "00100020": {"Value": [None, {}]}},
        "series": {"x": 3},
    },
    {"type": "study", "dataset": {"00100010": {"Value": [None, "x", {"Alphabetic": 3}, []]}}, "series": {}},
    {"type": "series", "dataset": {"00200011": {"Value": ["NaN"]}}},
    {"type": "instance", "dataset": {"00200013": {"Value": [{}]}}, "file": []},
    {"type": "instance", "dataset": {"00200013": {"Value": [{}]}}, "file": {}},
    {"type": "changes", "log": 3, "entries": 3},
    {"type": "changes", "log": "a", "entries": [None, 3, {}, {"at": 3}], "corrections": [None, {"header": []}]},
    {"type": "instance", "dataset": {"__proto__": {"vr": "LO"}}, "file": {"store": None}},
]


@pytest.mark.parametrize("view", sorted(EXPECTED))
def test_rows(ddoc, view):
    rows = [row for doc in DOCUMENTS for row in ddoc.map(view, doc)]
    assert rows == EXPECTED[view]


def test_every_view_has_expected_rows(ddoc):
    assert sorted(EXPECTED) == sorted(name for name in ddoc.source["views"] if name != "lib")


@pytest.mark.parametrize("doc", HOSTILE)
def test_no_document_breaks_an_index(ddoc, doc):
    for view in EXPECTED:
        for key, _value in ddoc.map(view, {"_id": "a:b:c", **doc}):
            assert "undefined" not in json.dumps(key)
            assert json.dumps(key, allow_nan=False)
