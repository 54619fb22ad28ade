"""``lib/headers/merge.js``: headers merged from what instances bring, and rebuilt from what is left."""

import json

STUDY = "1.2:study"


def attributes(**values):
    return {tag: {"vr": "LO", **({"Value": [value]} if value else {})} for tag, value in values.items()}


def body(series="1.2.3", modality="CT", **values):
    return {"series": series, "modality": modality, "attributes": attributes(**values)}


def merged(ddoc, *bodies):
    doc = None
    for one in bodies:
        doc = ddoc.update("study", doc, one, STUDY)[0] or doc
    return doc


def test_the_first_instance_makes_the_header(ddoc):
    doc, told = ddoc.update("study", None, body(**{"00100010": "Doe", "00080020": "20200102"}), STUDY)
    assert doc["_id"] == STUDY
    assert doc["type"] == "study"
    assert doc["series"] == {"1.2.3": "CT"}
    assert doc["summary"] == "Doe · 2020-01-02 · CT"
    assert told == {"changed": True, "revision": None, "variants": []}


def test_the_same_again_writes_nothing(ddoc):
    once = merged(ddoc, body(**{"00100010": "Doe"}))
    assert ddoc.update("study", once, body(**{"00100010": "Doe"}), STUDY)[0] is None


def test_a_further_series_is_added(ddoc):
    doc = merged(ddoc, body(), body(series="1.2.4", modality="MR"))
    assert doc["series"] == {"1.2.3": "CT", "1.2.4": "MR"}


def test_an_empty_value_is_filled_and_never_disagrees(ddoc):
    doc = merged(ddoc, body(**{"00100010": ""}), body(**{"00100010": "Doe"}), body(**{"00100010": ""}))
    assert doc["dataset"]["00100010"]["Value"] == ["Doe"]
    assert doc["variants"] == {}


def test_a_differing_value_is_kept_with_its_series(ddoc):
    doc = merged(ddoc, body(**{"00100010": "Doe"}), body(series="1.2.4", **{"00100010": "Roe"}))
    assert doc["dataset"]["00100010"]["Value"] == ["Doe"]
    assert doc["variants"]["00100010"] == [{"value": {"vr": "LO", "Value": ["Roe"]}, "series": ["1.2.4"]}]


def test_offsets_from_utc_are_shown_and_do_not_disagree(ddoc):
    doc = merged(ddoc, body(**{"00080201": "+0100"}), body(series="1.2.4", **{"00080201": "+0200"}))
    assert doc["dataset"]["00080201"]["Value"] == ["+0100"]
    assert doc["variants"] == {}


def instance(series, number, **values):
    return {
        "_id": f"1.2:{series}:{series}.{number}",
        "_rev": "1-a",
        "type": "instance",
        "dataset": {**attributes(**values), "00080060": {"vr": "CS", "Value": ["CT"]}},
        "file": {},
    }


def rebuilt(ddoc, *docs):
    rows = [{"id": doc["_id"], "doc": doc} for doc in docs]
    return {doc["_id"]: doc for doc in ddoc.list("headers", rows)["body"]["docs"]}


def test_headers_can_be_made_from_the_instances_alone(ddoc):
    docs = rebuilt(ddoc, instance("1.2.3", 1, **{"00100010": "Doe"}), instance("1.2.3", 2, **{"00100010": "Roe"}))
    assert docs[STUDY]["variants"]["00100010"][0]["value"]["Value"] == ["Roe"]
    assert docs["1.2:1.2.3"]["dataset"]["00080060"]["Value"] == ["CT"]


def test_a_header_that_agrees_is_not_written(ddoc):
    first = rebuilt(ddoc, instance("1.2.3", 1, **{"00100010": "Doe"}))
    stored = [{**doc, "_rev": "1-x"} for doc in first.values()]
    shuffled = [json.loads(json.dumps(doc, sort_keys=True)) for doc in stored]
    assert rebuilt(ddoc, instance("1.2.3", 1, **{"00100010": "Doe"}), *shuffled) == {}


def test_the_current_value_stays_while_an_instance_brings_it(ddoc):
    one, two = instance("1.2.3", 1, **{"00100010": "Doe"}), instance("1.2.3", 2, **{"00100010": "Roe"})
    stored = {**rebuilt(ddoc, two, one)[STUDY], "_rev": "1-x"}
    stored["dataset"] = {**stored["dataset"], "00100010": attributes(**{"00100010": "Roe"})["00100010"]}
    assert STUDY not in rebuilt(ddoc, one, two, stored)
    assert rebuilt(ddoc, one, stored)[STUDY]["dataset"]["00100010"]["Value"] == ["Doe"]


def test_what_has_no_instance_left_goes(ddoc):
    header = {"_id": "1.2:1.2.9", "_rev": "3-c", "type": "series", "dataset": {}}
    docs = rebuilt(ddoc, instance("1.2.3", 1), header)
    assert docs["1.2:1.2.9"] == {"_id": "1.2:1.2.9", "_rev": "3-c", "_deleted": True}
