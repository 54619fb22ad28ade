"""``shim/dicom/outline.py``: names of PS3.6, and bounds of what one page shows."""

import json

from dicouch.dicom import outline
from dicouch.dicom.outline import Outline


def test_names_of_attributes_and_uids():
    made = Outline()
    dataset = {
        "00080016": {"vr": "UI", "Value": ["1.2.840.10008.5.1.4.1.1.2"]},
        "00091001": {"vr": "LO", "Value": ["private"]},
        "00400275": {"vr": "SQ", "Value": [{"00400009": {"vr": "SH", "Value": ["S1"]}}]},
        "7FE00010": {"vr": "OW", "BulkDataURI": "http://h/bulkdata/7FE00010"},
    }
    assert made.of(dataset) == dataset
    assert made.names == {
        "00080016": ["SOPClassUID", "SOP Class UID"],
        "00400275": ["RequestAttributesSequence", "Request Attributes Sequence"],
        "00400009": ["ScheduledProcedureStepID", "Scheduled Procedure Step ID"],
        "7FE00010": ["PixelData", "Pixel Data"],
    }
    assert made.uids == {"1.2.840.10008.5.1.4.1.1.2": "CT Image Storage"}


def test_what_is_too_much_is_counted():
    made = Outline().of(
        {
            "00080018": {"vr": "UC", "Value": ["x" * 20_000]},
            "00186060": {"vr": "FL", "Value": list(range(250))},
            "52009230": {"vr": "SQ", "Value": [{"00200013": {"vr": "IS", "Value": [n]}} for n in range(130)]},
        }
    )
    assert len(made["00080018"]["Value"][0]) == outline.CHARACTERS + 1
    assert (made["00186060"]["Value"], made["00186060"]["more"]) == (list(range(100)), 150)
    assert (len(made["52009230"]["Value"]), made["52009230"]["more"]) == (100, 30)
    many = Outline().of({f"0019{n:04X}": {"vr": "LO", "Value": [n]} for n in range(outline.ELEMENTS + 7)})
    assert many.pop("more") == 7
    assert len(many) == outline.ELEMENTS


def test_wide_and_deep_items_stay_within_bounds():
    item: dict = {"00080100": {"vr": "SH", "Value": ["x"]}}
    for _ in range(300):
        item = {"0040A730": {"vr": "SQ", "Value": [item]}}
    told = json.dumps(Outline().of(item))
    assert told.count("0040A730") == outline.LEVELS
    assert '"more": 1' in told
    wide = {"0040A730": {"vr": "SQ", "Value": [{"0040A730": {"vr": "SQ", "Value": [{}] * 500}}] * 500}}
    made = Outline()
    assert len(json.dumps(made.of(wide))) < 1_000_000
    # Elements are counted through all levels.
    row = {f"0019{n:04X}": {"vr": "LO", "Value": [n]} for n in range(200)}
    made = Outline()
    assert len(json.dumps(made.of({"0040A730": {"vr": "SQ", "Value": [row] * 90}}))) < 600_000


def test_what_is_no_data_set_breaks_nothing():
    for hostile in (
        [1],
        "x",
        None,
        {"Value": "x"},
        {"vr": "SQ", "Value": ["x", None, [{}]]},
        {"Value": [[1], {"a": {}}]},
    ):
        json.dumps(Outline().of({"00400275": {"vr": "SQ", "Value": [{"x<y": hostile}]}}))
