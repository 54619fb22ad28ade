"""``lib/metadata/metadata.js``: data sets as text, attributes in ascending order (PS3.18 F.2.2)."""

import json

import pytest

ITEM = {"00181068": {"vr": "DS", "Value": [1.5]}, "54001004": {"vr": "US", "Value": [16]}}
# Names that an engine takes for an index of an array come first in its objects.
DATASETS = [
    {},
    {"00100010": {"vr": "PN", "Value": [{"Alphabetic": 'a"12345678":"b'}]}},
    {"00080005": {"vr": "CS"}, "60000010": {"vr": "US", "Value": [1, 2]}, "7FE00010": {"vr": "OW", "BulkDataURI": "x"}},
    {"00100020": {"vr": "LO", "Value": [None, "12345678"]}, "54000100": {"vr": "SQ", "Value": [ITEM, {}, ITEM]}},
]


@pytest.mark.parametrize("dataset", DATASETS)
def test_in_order(ddoc, dataset):
    text = ddoc.call("lib/metadata/metadata", "text", dataset)
    assert json.loads(text) == dataset
    assert list(pairs(text)) == list(pairs(json.dumps(dataset)))


def pairs(text):
    """Every name of the text in order."""
    found = []
    json.loads(text, object_pairs_hook=lambda items: found.append([name for name, _value in items]))
    return found
