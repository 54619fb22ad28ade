"""``lib/headers/join.js`` and ``rebuild.js``: one header of what several servers made of it, the same on each."""

import json
from itertools import permutations

import pytest

from tests.designdocs.test_headers import attributes, body, instance, merged

NAME = "00100010"
STUDY = "1.2:study"


def leaf(header, revision, **more):
    return {**header, "_rev": revision, **more}


def decided(name, at, by="Ann", action="set"):
    value = attributes(**{NAME: name})[NAME]
    entry = {"at": at, "by": by, "user": None, "tag": NAME, "action": action, "from": None, "to": value, "id": by + at}
    fix = {"value": value, "original": None, "by": by, "user": None, "at": at, "id": by + at}
    return entry, fix


def fixed(header, *decisions):
    """Return a header with the history of some decisions, the last of which holds."""
    entry, fix = decisions[-1]
    fixes = {} if entry["action"] == "undo" else {NAME: {**fix, "original": header["dataset"][NAME]}}
    dataset = {**header["dataset"], **{tag: one["value"] for tag, one in fixes.items()}}
    return {**header, "dataset": dataset, "fixes": fixes, "history": [one for one, _fix in decisions]}


def joined(ddoc, *leaves):
    return ddoc.call("lib/headers/join", "join", list(leaves))


def named(ddoc, *leaves):
    header = joined(ddoc, *leaves)
    return header["dataset"][NAME]["Value"], header.get("fixes", {}).get(NAME, {}).get("by")


@pytest.fixture(scope="module")
def base(ddoc):
    return merged(ddoc, body(**{NAME: "Doe"}))


def test_values_and_series_of_all(ddoc, base):
    one = merged(ddoc, body(**{NAME: "Doe"}), body(series="1.2.4", modality="MR", **{NAME: "Roe"}))
    two = merged(ddoc, body(series="1.2.5", modality="US", **{NAME: "Poe", "00100020": "P1"}))
    header = joined(ddoc, leaf(one, "3-b"), leaf(two, "2-a"))
    assert header["series"] == {"1.2.3": "CT", "1.2.4": "MR", "1.2.5": "US"}
    assert header["dataset"]["00100020"]["Value"] == ["P1"]
    assert header["ModalitiesInStudy"] == ["CT", "MR", "US"]
    said = {one["value"]["Value"][0]: one["series"] for one in header["variants"][NAME]}
    assert said == {"Roe": ["1.2.4"], "Poe": ["1.2.5"]}


def test_the_last_decision_holds_whoever_is_asked(ddoc, base):
    early, late = decided("A", "2026-01-01T00:00:00.000Z", "Ann"), decided("B", "2026-01-02T00:00:00.000Z", "Bob")
    for one, two in permutations([fixed(base, early), fixed(base, late)]):
        header = joined(ddoc, leaf(one, "3-b"), leaf(two, "3-a"))
        assert header["fixes"][NAME]["by"] == "Bob"
        assert header["fixes"][NAME]["original"]["Value"] == ["Doe"]
        assert [entry["by"] for entry in header["history"]] == ["Ann", "Bob"]  # both are shown


def test_decisions_of_the_same_time_are_told_apart_by_what_they_say(ddoc, base):
    at = "2026-01-01T00:00:00.000Z"
    leaves = [fixed(base, decided("A", at, "Ann")), fixed(base, decided("B", at, "Bob"))]
    assert named(ddoc, *leaves) == named(ddoc, *leaves[::-1])


def test_what_was_undone_does_not_come_back(ddoc, base):
    set_, undone = decided("A", "2026-01-01T00:00:00.000Z"), decided("A", "2026-01-02T00:00:00.000Z", action="undo")
    for one, two in permutations([fixed(base, set_), fixed(base, set_, undone)]):
        assert named(ddoc, one, two) == (["Doe"], None)


def test_a_fix_of_before_histories_stays(ddoc, base):
    old = fixed(base, decided("A", "2026-01-01T00:00:00.000Z"))
    del old["history"]
    assert named(ddoc, base, old) == (["A"], "Ann")


def reconciled(ddoc, docs, leaves=None, partial=False):
    rows = [{"id": doc["_id"], "doc": doc} for doc in docs]
    given = {"query": {"leaves": leaves or {}, "partial": partial}}
    request = json.dumps({"method": "POST", "query": {}, "body": given})
    return json.loads(ddoc._call("runList", ddoc.source["lists"]["headers"], json.dumps(rows), request)["body"])


def test_what_agrees_in_another_order_is_not_written(ddoc):
    one, two = instance("1.2.3", 1, **{NAME: "Doe"}), instance("1.2.3", 2, **{NAME: "Roe"})
    three = instance("1.2.3", 3, **{NAME: "Poe"})
    told = reconciled(ddoc, [one, two, three])
    assert [made["leaves"] for made in told["docs"]] == [[], []]
    headers = [leaf(made["header"], "1-a") for made in told["docs"]]
    headers[-1]["variants"] = {tag: entries[::-1] for tag, entries in headers[-1]["variants"].items()}
    assert reconciled(ddoc, [one, two, three, *headers])["docs"] == []


def test_headers_in_conflict_are_asked_for(ddoc, base):
    mine, other = leaf(base, "2-b", _conflicts=["2-a"]), leaf(base, "2-a")
    one = instance("1.2.3", 1, **{NAME: "Doe"})
    assert reconciled(ddoc, [one, mine])["asked"] == [STUDY]
    assert reconciled(ddoc, [one, mine], {STUDY: [mine]})["asked"] == [STUDY]  # changed meanwhile
    told = reconciled(ddoc, [one, mine], {STUDY: [leaf(base, "2-b"), other]})
    made = next(made for made in told["docs"] if made["header"]["_id"] == STUDY)
    assert made["leaves"] == ["2-b", "2-a"]


@pytest.mark.parametrize("partial", [False, True])
def test_what_no_instance_says_goes_unless_others_may_have_it(ddoc, partial):
    stored = merged(ddoc, body(**{NAME: "Doe"}), body(series="1.2.4", modality="MR", **{NAME: "Roe"}))
    told = reconciled(ddoc, [instance("1.2.3", 1, **{NAME: "Doe"}), leaf(stored, "2-b")], partial=partial)
    written = {made["header"]["_id"]: made["header"] for made in told["docs"]}
    if partial:
        assert STUDY not in written
    else:
        assert written[STUDY]["series"] == {"1.2.3": "CT"}
        assert written[STUDY]["variants"] == {}


def test_a_header_without_instances_stays(ddoc, base):
    """They may still come; that a study is deleted, its own tombstone tells."""
    assert reconciled(ddoc, [leaf(base, "1-a")])["docs"] == []


def test_instances_in_conflict_are_told(ddoc):
    one = {**instance("1.2.3", 1, **{NAME: "Doe"}), "_conflicts": ["1-0"], "stored": "2026-01-01T00:00:00Z"}
    assert reconciled(ddoc, [one])["instances"] == [one["_id"]]
    header = leaf(merged(ddoc, body(**{NAME: "Doe"})), "1-a")
    rows = [{"id": doc["_id"], "doc": doc} for doc in (one, header)]
    (told,) = ddoc.data("conflict", rows)["instances"]
    assert (told["instance"], told["current"], told["others"]) == (one["_id"], one["_rev"], ["1-0"])
    assert "1-0" in ddoc.page("conflict", rows)["body"]
