"""``shim/rewrite/extended.py``: the list of a site's own attributes and the ranges of their indexes."""

import json

import pytest

from dicouch.read.search.own_attributes import read_listed, split
from dicouch.rewrite.extended import LAST, Extended
from dicouch.rewrite.plan import HIGH
from dicouch.rewrite.query import parse
from dicouch.scripts import designdocs, jscheck
from dicouch.scripts.connection import CommandError
from tests.designdocs.engine import DesignDocument


def listed(tmp_path, *entries):
    path = tmp_path / "attributes.json"
    path.write_text(json.dumps(list(entries)))
    return read_listed(path)


def test_the_list(tmp_path):
    assert read_listed(None) == []
    found = listed(
        tmp_path,
        {"attribute": "00091001", "vr": "LO", "level": "study", "comment": "the scanner's site"},
        {"attribute": "RequestAttributesSequence.00400009", "level": "series"},
    )
    assert found == [
        Extended(("00091001",), "LO", "study"),
        Extended(("00400275", "00400009"), "SH", "series"),
    ]
    assert [one.view for one in found] == ["studies_by_00091001", "series_by_00400275_00400009"]
    assert [one.carrier for one in found] == ["instance", "series"]
    assert [one.name for one in found] == ["00091001", "RequestAttributesSequence.ScheduledProcedureStepID"]


@pytest.mark.parametrize(
    ("entry", "problem"),
    [
        ("SliceThickness", "must be an object"),
        ({"attribute": "Nothing", "level": "study"}, "no keyword"),
        ({"attribute": "00091001", "level": "study"}, 'needs a "vr"'),
        ({"attribute": "PixelData", "level": "instance"}, 'needs a "vr"'),
        ({"attribute": "ReferencedStudySequence", "level": "study"}, 'needs a "vr"'),
        ({"attribute": "SliceThickness"}, '"level" must be'),
        ({"attribute": "SliceThickness", "level": "image"}, "'image'"),
        ({"attribute": "PatientBirthDate", "level": "series"}, "of the study, not of the series"),
        ({"attribute": "SliceThickness", "level": "instance", "colour": 1}, "'colour'"),
    ],
)
def test_entries_that_make_no_sense(tmp_path, entry, problem):
    with pytest.raises(ValueError, match="attribute 1: .*") as caught:
        listed(tmp_path, entry)
    assert problem in str(caught.value)


@pytest.mark.parametrize(("text", "problem"), [("{", "not JSON"), ("{}", "must be a list"), (None, "No such file")])
def test_files_that_make_no_sense(tmp_path, text, problem):
    path = tmp_path / "attributes.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ValueError, match=problem):
        read_listed(path)
    with pytest.raises(CommandError, match=problem):
        designdocs.extended(path)


@pytest.mark.parametrize(
    ("vr", "values", "bounds"),
    [
        ("LO", ["a"], ("a", "a")),
        ("LO", [" a "], ("a", "a")),
        ("LO", ["a*"], ("a", "a" + LAST)),
        ("LO", ["*a"], None),
        ("LO", ["a", "b"], None),
        ("LO", ["x" * 65], None),
        ("PN", ["DOE^J*"], ("doe j", "doe j" + LAST)),
        ("PN", ["a=b"], None),
        ("DS", ["1.50"], (1.5, 1.5)),
        ("DA", ["20200101-"], ("20200101", "9")),
        ("DA", ["20210101-20200101"], ("20210101", "20210101")),
        ("TM", ["10"], None),
    ],
)
def test_ranges(vr, values, bounds):
    chosen = Extended(("00091001",), vr, "study").range({"vr": vr, "values": values})
    assert chosen.params == ({"startkey": [bounds[0]], "endkey": [bounds[1], HIGH]} if bounds else {})


@pytest.mark.parametrize("key", [{"values": [], "empty": True}, {"values": ["a", "b"], "every": True}, {"items": {}}])
def test_keys_that_single_values_cannot_decide(key):
    assert Extended(("00091001",), "LO", "study").range(key) is None


def test_the_design_document(tmp_path):
    listed(tmp_path, {"attribute": "00400275.00400009", "level": "series"}, {"attribute": "Rows", "level": "instance"})
    document = designdocs.extended(tmp_path / "attributes.json")
    assert document["_id"] == "_design/dicom-extended"
    engine = DesignDocument("dicom")
    engine.load(document)
    items = [{"00400009": {"vr": "SH", "Value": ["A", "B"]}}, {}, {"00400009": {"vr": "SH", "Value": ["A"]}}]
    series = {"_id": "1:2", "type": "series", "dataset": {"00400275": {"vr": "SQ", "Value": items}}}
    assert engine.map("series_by_00400275_00400009", series) == [[["A", "1", "2"], None], [["B", "1", "2"], None]]
    instance = {"_id": "1:2:3", "type": "instance", "dataset": {"00280010": {"vr": "US", "Value": [512]}}, "file": {}}
    assert engine.map("instances_by_00280010", instance) == [[[512, "1", "2", "3"], None]]
    for odd in (None, [], {"Value": None}, {"Value": [None, "x", {}, []]}, {"Value": {"0": 1}}):
        hostile = {**instance, "dataset": {"00280010": odd, "00400275": odd}}
        assert engine.map("instances_by_00280010", hostile) == []
    assert jscheck.check(designdocs.FOLDER / "dicom") == []


@pytest.mark.parametrize(("vr", "values"), [("CS", ["A", "B"]), ("UI", ["A", "B"]), ("LO", ["A,B"])])
def test_lists_with_commas_by_the_listed_vr(tmp_path, vr, values):
    """A list says the VR of a private attribute, and the VR whether a comma parts values (PS3.5 6.2)."""
    one = listed(tmp_path, {"attribute": "00091001", "vr": vr, "level": "instance"})
    ((_one, tree),) = split(parse([("00091001", "A,B")], 100), "instance", one)
    assert tree == {"00091001": {"vr": vr, "values": values}}
