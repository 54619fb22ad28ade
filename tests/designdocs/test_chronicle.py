"""The views of a chronicle over our documents, against the reference's over its own of the same files."""

import json

import pytest
from pydicom import dcmread
from pydicom.data import get_testdata_file

from dicouch.scripts.chronicle.keep import document_of
from tests.designdocs.engine import DesignDocument
from tests.made_chronicle import VIEWS, chronicle_document

FILES = ("CT_small.dcm", "MR_small.dcm", "rtplan.dcm", "examples_palette.dcm", "reportsi.dcm", "liver.dcm")
UIDS = {"0020000D": "1.2", "0020000E": "1.2.3", "00080018": "1.2.3.4"}
TEXTS = {"00080080": "A", "00100020": "B", "00081030": "C", "00080060": "CT", "0008103E": "D", "00080016": "1.2.840"}


@pytest.fixture(scope="module")
def ours():
    return DesignDocument("chronicle")


@pytest.fixture(scope="module")
def reference():
    made = DesignDocument("chronicle")
    made.load({"views": {name: {"map": source} for name, source in VIEWS.items()}})
    return made


def source(**values):
    found = {**UIDS, **TEXTS, **values}
    return {"_id": "x", "dataset": {tag: {"vr": "LO", "Value": value} for tag, value in found.items() if value != "-"}}


MADE = [
    source(),
    *(source(**{tag: value}) for tag in TEXTS for value in ("", "-", "a\\b", ["a", "b"], "ä ß", "0")),
]


@pytest.mark.parametrize("view", ["context", "seriesInstances"])
def test_keys_and_values_are_those_of_a_chronicle(ours, reference, view):
    """Bare values, several as an array, and the same words for what is missing or empty."""
    files = [chronicle_document(get_testdata_file(name)) for name in FILES]
    for one in [*files, *MADE]:
        if any(isinstance(each["Value"], str) and "\\" in each["Value"] for each in one["dataset"].values()):
            continue  # a chronicle has several values as an array
        document, problem = document_of(one)
        assert not problem
        assert ours.map(view, document) == reference.map(view, one), one["_id"]
        assert len(ours.map(view, document)) == 1


def test_control_points_refer_to_their_images(ours, reference):
    points = source()
    points["instancePoints"] = {"1.2.9": [[1, 2]], "1.2.10": []}
    document = document_of(points)[0]
    found = sorted(ours.map("instanceReferences", document))
    assert found == sorted([uid, document["_id"]] for uid in points["instancePoints"])
    # The reference's value is the id of its own document.
    assert [key for key, _id in found] == sorted(key for key, _id in reference.map("instanceReferences", points))


def test_instances_refer_to_those_that_their_data_set_names(ours):
    """What a chronicle left for later: Referenced SOP Instance UID (0008,1155) at any depth, each once."""
    path = get_testdata_file("liver.dcm")
    document = document_of(chronicle_document(path))[0]
    named = {element.value for element in dcmread(path).iterall() if element.tag == 0x00081155}
    assert len(named) > 1
    found = ours.map("instanceReferences", document)
    assert sorted(found) == sorted([uid, document["_id"]] for uid in named)


@pytest.mark.parametrize(
    "document",
    [
        {"type": "study", "dataset": {}},
        {"type": "instance"},
        {"type": "instance", "dataset": []},
        {
            "type": "instance",
            "dataset": {"0020000E": None, "00080018": {"Value": "x"}, "00081155": {"Value": [None, {}]}},
        },
        {"type": "instance", "dataset": {"0008114A": {"vr": "SQ", "Value": [None, 3, []]}}, "source": []},
        {"type": "instance", "dataset": {}, "source": {"instancePoints": [1]}},
    ],
)
def test_no_document_breaks_an_index(ours, document):
    for view in VIEWS:
        for key, _value in ours.map(view, {"_id": "a:b:c", **document}):
            assert "null" not in json.dumps(key)


def test_reduces_and_ordering_are_those_of_a_chronicle():
    made = DesignDocument("chronicle").source
    assert {name: view["reduce"] for name, view in made["views"].items() if name != "lib"} == dict.fromkeys(
        VIEWS, "_count"
    )
    # Its queries end ranges with {}, which is behind all texts only in CouchDB's own order.
    assert not any("options" in view for view in made["views"].values())
