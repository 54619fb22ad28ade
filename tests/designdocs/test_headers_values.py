"""``lib/headers/merge.js``: which values count as different."""

import pytest
from pydicom.datadict import dictionary_description, dictionary_VM, dictionary_VR

from dicouch.tables import BESIDE_TAGS, SERIES_TAGS, STUDY_TAGS

STUDY = "1.2:study"


def merged(ddoc, *attributes, kind="study", series=None):
    doc = None
    for number, one in enumerate(attributes):
        body = {"series": (series or [f"1.{n}" for n in range(99)])[number], "modality": "CT", "attributes": one}
        doc = ddoc.update(kind, doc, body, STUDY if kind == "study" else "1.2:1.0")[0] or doc
    return doc


@pytest.mark.parametrize(
    ("one", "two", "differ"),
    [
        ({"vr": "LO", "Value": ["a"]}, {"Value": ["a"], "vr": "LO"}, False),
        (
            {"vr": "PN", "Value": [{"Alphabetic": "a", "Phonetic": "b"}]},
            {"vr": "PN", "Value": [{"Phonetic": "b", "Alphabetic": "a"}]},
            False,
        ),
        ({"vr": "IS", "Value": [3]}, {"vr": "IS", "Value": ["3"]}, False),
        ({"vr": "DS", "Value": [1.5]}, {"vr": "DS", "Value": ["1.50"]}, False),
        ({"vr": "LO", "Value": ["3"]}, {"vr": "LO", "Value": ["3.0"]}, True),
        ({"vr": "LO", "Value": ["a"]}, {"vr": "LO"}, False),
        ({"vr": "LO"}, {"vr": "LO", "Value": ["a"]}, False),
        ({"vr": "LO", "Value": ["a", "b"]}, {"vr": "LO", "Value": ["b", "a"]}, True),
        ({"vr": "LT", "Value": ["a"]}, {"vr": "LT", "BulkDataURI": "bulkdata/00104000"}, False),
        ({"vr": "LO", "Value": ['"BulkDataURI":']}, {"vr": "LO", "Value": ["b"]}, True),
    ],
)
def test_which_values_differ(ddoc, one, two, differ):
    doc = merged(ddoc, {"00081030": one}, {"00081030": two})
    assert bool(doc["variants"]) is differ
    if differ:
        assert doc["variants"] == {"00081030": [{"value": two, "series": ["1.1"]}]}


def test_the_order_of_members_writes_nothing(ddoc):
    doc = merged(ddoc, {"00081030": {"vr": "LO", "Value": ["a"]}})
    body = {"series": "1.0", "modality": "CT", "attributes": {"00081030": {"Value": ["a"], "vr": "LO"}}}
    assert ddoc.update("study", doc, body, STUDY)[0] is None


def test_a_series_may_disagree_with_itself(ddoc):
    values = [{"00080070": {"vr": "LO", "Value": [name]}} for name in ("a", "b", "a")]
    doc = merged(ddoc, *values, kind="series", series=["1.0"] * 3)
    assert doc["dataset"]["00080070"]["Value"] == ["a"]
    assert doc["variants"] == {"00080070": [{"value": {"vr": "LO", "Value": ["b"]}, "series": ["1.0"]}]}


@pytest.mark.parametrize("kind", ["study", "series"])
@pytest.mark.parametrize("tag", sorted(BESIDE_TAGS))
def test_what_may_differ_by_visit_or_acquisition_does_not_disagree(ddoc, kind, tag):
    doc = merged(ddoc, *({tag: {"vr": "LO", "Value": [name]}} for name in ("a", "b")), kind=kind, series=["1.0"] * 2)
    assert doc["dataset"][tag]["Value"] == ["a"]
    assert doc["variants"] == {}


def test_older_headers_tell_nothing_of_what_is_not_of_their_level(ddoc):
    """Until headers are made anew they have variants of a weight, and of the institution at the study."""
    other = [{"value": {"vr": "LO", "Value": ["b"]}, "series": ["1.1"]}]
    doc = merged(ddoc, {"00081030": {"vr": "LO", "Value": ["a"]}})
    doc["variants"] = {"00101030": other, "00080080": other, "constructor": other}
    assert ddoc.map("conflicts_by_date", doc) == []
    body = {"series": "1.1", "modality": "CT", "attributes": {"00081030": {"vr": "LO", "Value": ["b"]}}}
    doc, told = ddoc.update("study", doc, body, STUDY)
    assert told["variants"] == ["00081030"]
    ((_key, value),) = ddoc.map("conflicts_by_date", doc)
    assert value["attributes"] == ["00081030"]


def test_a_value_that_stays_in_a_file_is_not_in_the_header(ddoc):
    doc = merged(ddoc, {"00104000": {"vr": "LT", "BulkDataURI": "bulkdata/00104000"}})
    assert doc["dataset"] == {}


def test_a_thousand_values_keep_the_header_small(ddoc):
    doc = merged(ddoc, *({"00081030": {"vr": "LO", "Value": [f"{n}"]}} for n in range(80)))
    assert len(doc["variants"]["00081030"]) == 50
    doc = merged(ddoc, *({"00081030": {"vr": "LO", "Value": [f"{n}" * 20_000]}} for n in range(40)))
    assert len(str(doc)) < 700_000


def test_the_dictionary_is_that_of_the_standard(ddoc):
    ddoc.context.eval("function entry(tag) { return JSON.stringify(require('tables/dictionary')[tag] || null); }")
    for tag in STUDY_TAGS | SERIES_TAGS | BESIDE_TAGS - {"00080201"}:
        number = int(tag, 16)
        expected = [dictionary_description(number), dictionary_VR(number), dictionary_VM(number)]
        assert ddoc._call("entry", tag) == expected
