"""``shim/rewrite/columns.py`` and ``lib/search/fields.js`` make the same row (PS3.18 Tables 10.6.3-3 to -5)."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dicouch.rewrite import columns
from tests.conftest import share

TAGS = ["00080020", "00080061", "00080201", "00081030", "0008103E", "00100010", "00280010", "00400275", "60003000"]
INNER = ["00400009", "00401001", "00081150", "00080020"]
VALUES = st.fixed_dictionaries({"vr": st.just("LO")}, optional={"Value": st.lists(st.text(max_size=3), max_size=2)})
ITEMS = st.lists(st.dictionaries(st.sampled_from(INNER), VALUES, max_size=3), max_size=2)
SEQUENCES = st.fixed_dictionaries({"vr": st.just("SQ")}, optional={"Value": ITEMS})
DATASETS = st.dictionaries(st.sampled_from(TAGS), VALUES | SEQUENCES, max_size=6)
TREES = st.dictionaries(
    st.sampled_from(TAGS),
    st.just(True) | st.dictionaries(st.sampled_from(INNER), st.just(True), min_size=1),
    max_size=3,
)
OPTIONS = st.fixed_dictionaries({"include": st.just("all") | TREES}, optional={"only": st.booleans()})


@pytest.mark.parametrize("level", ["study", "series", "instance"])
@settings(max_examples=share(150), deadline=None)
@given(dataset=DATASETS, options=OPTIONS)
def test_both_make_one_row(ddoc, level, dataset, options):
    rows = [{"id": "1:2:3", "value": {"dataset": dataset}}]
    query = {"match": {}, "fields": options, "offset": 0, "limit": 1}
    name = {"study": "studies"}.get(level, level if level == "series" else "instances")
    (row,) = ddoc.list(name, rows, query)["body"]["rows"]
    told = columns.selector(level, options)(json.loads(json.dumps(dataset)))
    assert dict(sorted(told.items())) == row["dataset"]


@settings(max_examples=100, deadline=None)
@given(
    dataset=DATASETS,
    series=st.dictionaries(st.sampled_from(["1.2.3", "1.2.4", "1.2.5"]), st.sampled_from(["CT", "MR", "", None, 1])),
)
def test_the_row_of_a_study_is_made_of_its_document(ddoc, dataset, series):
    """Rows of the index of texts have no value, ModalitiesInStudy is of all series (PS3.3 C.7.2.1)."""
    document = {"_id": "1:study", "type": "study", "dataset": dataset, "series": series}
    for name, doc in (("of a document", document), ("without series", {**document, "series": None})):
        ((_key, value),) = ddoc.map("studies_by_uid", doc)
        told = columns.dataset_of({"value": None, "doc": json.loads(json.dumps(doc))})
        assert told == value["dataset"] == columns.dataset_of({"value": value}), name


def test_items_show_what_is_asked_for():
    dataset = {"00400275": {"vr": "SQ", "Value": [{tag: {"vr": "LO", "Value": [tag]} for tag in INNER}]}}
    row = columns.selector("series", {"include": {"00400275": {"00081150": True}}})(dataset)
    assert set(row["00400275"]["Value"][0]) == {"00400009", "00401001", "00081150"}
    assert row["00080060"] == {"vr": "CS"}
    assert row["00080005"]["Value"] == ["ISO_IR 192"]
