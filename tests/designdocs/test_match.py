"""``lib/match/match.js``: attribute matching (PS3.4 C.2.2.2)."""

import json
import time
from pathlib import Path

import pytest

CASES = json.loads((Path(__file__).parents[1] / "fixtures" / "match" / "cases.json").read_text(encoding="utf-8"))


def found(ddoc, tree, *datasets):
    """Return which of the data sets match."""
    rows = [{"id": f"{n}:study", "value": {"dataset": dataset}} for n, dataset in enumerate(datasets)]
    query = {"match": tree, "offset": 0, "limit": 1000}
    return [int(row["id"].split(":")[0]) for row in ddoc.list("studies", rows, query)["body"]["rows"]]


@pytest.mark.parametrize(
    ("vr", "stored", "value", "expected"),
    [
        pytest.param(case["vr"], case["stored"], value, kind == "match", id=f"{case['name']}: {value}")
        for case in CASES
        for kind in ("match", "miss")
        for value in case[kind]
    ],
)
def test_cases(ddoc, vr, stored, value, expected):
    dataset = {"00081030": {"vr": vr, "Value": stored}}
    assert found(ddoc, {"00081030": {"vr": vr, "values": [value]}}, dataset) == ([0] if expected else [])


def test_any_of_several_wanted_values(ddoc):
    datasets = [{"0020000D": {"vr": "UI", "Value": [uid]}} for uid in ("1.1", "1.2", "1.3")]
    assert found(ddoc, {"0020000D": {"vr": "UI", "values": ["1.3", "1.1"]}}, *datasets) == [0, 2]


@pytest.mark.parametrize(("vr", "expected"), [("UI", [0, 2]), ("CS", [0, 2]), ("LO", [3]), ("SH", [3])])
def test_lists_with_commas_by_the_stored_vr(ddoc, vr, expected):
    """Which VR a private attribute has shows only where it is stored: UI and CS have no comma (PS3.5 6.2)."""
    datasets = [{"00091001": {"vr": vr, "Value": [value]}} for value in ("1.1", "1.2", "1.3", "1.3,1.1")]
    assert found(ddoc, {"00091001": {"vr": "UN", "values": ["1.3,1.1"]}}, *datasets) == expected


def test_all_keys_of_a_sequence_match_in_one_item(ddoc):
    def request(**keys):
        return {tag: {"vr": "SH", "Value": [value]} for tag, value in keys.items()}

    one = {"00400275": {"vr": "SQ", "Value": [request(**{"00400009": "A", "00401001": "B"})]}}
    two = {"00400275": {"vr": "SQ", "Value": [request(**{"00400009": "A"}), request(**{"00401001": "B"})]}}
    items = {"00400009": {"vr": "SH", "values": ["A"]}, "00401001": {"vr": "SH", "values": ["B"]}}
    assert found(ddoc, {"00400275": {"vr": "SQ", "items": items}}, one, two, {}) == [0]


def test_hostile_datasets_do_not_match_and_do_not_throw(ddoc):
    odd = [{"00100010": value} for value in (None, 3, "x", [], {"vr": "PN"}, {"vr": "PN", "Value": [None, 3, "x", []]})]
    assert found(ddoc, {"00100010": {"vr": "PN", "values": ["x"]}}, *odd) == []


def test_a_thousand_stars_take_no_time(ddoc):
    dataset = {"00081030": {"vr": "LO", "Value": ["a" * 5000]}}
    started = time.perf_counter()
    assert found(ddoc, {"00081030": {"vr": "LO", "values": ["*a" * 1000 + "b"]}}, dataset) == []
    assert time.perf_counter() - started < 5
