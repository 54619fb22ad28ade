"""What a person finds in Fauxton: `_find` with its indexes, and documents that begin with what tells what they are."""

import json

import pytest
import requests

from dicouch.scripts.push_views import push
from tests.made import instance


@pytest.fixture(scope="module")
def filled(server):
    """Store two studies; of one a CT and an MR series."""
    given = {"PatientName": "Doe^Jane", "PatientID": "P7", "StudyDate": "20240305", "StudyDescription": "Head"}
    files = [
        instance("1.2.7", "1.2.7.1", "1.2.7.1.1", Modality="CT", SeriesDescription="Thin", **given),
        instance("1.2.7", "1.2.7.2", "1.2.7.2.1", Modality="MR", **given),
        instance("1.2.8", "1.2.8.1", "1.2.8.1.1", Modality="CT", PatientID="P8", StudyDate="20230101"),
    ]
    assert server.store(*files).status_code == 200
    return server


def ask(server, what, selector):
    answer = requests.post(f"{server.database}/{what}", json={"selector": selector}, timeout=60)
    answer.raise_for_status()
    return answer.json()


@pytest.mark.parametrize(
    ("selector", "index", "found"),
    [
        ({"PatientID": "P7"}, "patient_id", ["1.2.7:study"]),
        ({"StudyDate": {"$gte": "20240101", "$lt": "20250101"}}, "study_date", ["1.2.7:study"]),
        ({"Modality": "CT"}, "modality", ["1.2.7:1.2.7.1", "1.2.8:1.2.8.1"]),
        ({"PatientID": "P8", "type": "study"}, "patient_id", ["1.2.8:study"]),
    ],
)
def test_find_takes_an_index_unasked(filled, selector, index, found):
    told = ask(filled, "_explain", selector)
    assert (told["index"]["ddoc"], told["index"]["name"]) == ("_design/find", index)
    assert sorted(doc["_id"] for doc in ask(filled, "_find", selector)["docs"]) == found


def test_documents_begin_with_what_a_person_looks_for(filled):
    study = filled.document("1.2.7:study")
    assert list(study)[:10] == [
        "_id", "_rev", "type", "summary", "PatientName", "PatientID", "StudyDate", "ModalitiesInStudy",
        "StudyDescription", "AccessionNumber",
    ]  # fmt: skip
    assert (study["PatientName"], study["ModalitiesInStudy"]) == ("Doe^Jane", ["CT", "MR"])
    assert list(study).index("dataset") == 10
    series = filled.document("1.2.7:1.2.7.1")
    assert list(series)[:7] == ["_id", "_rev", "type", "summary", "Modality", "SeriesDescription", "SeriesNumber"]
    one = filled.document("1.2.7:1.2.7.1:1.2.7.1.1")
    assert list(one)[:5] == ["_id", "_rev", "type", "summary", "dataset"]
    assert one["summary"] == "CT · Doe^Jane · P7 · 2024-03-05 · Thin · series 1 · instance 1"


def test_a_fix_is_found_and_seen_first(filled):
    url = f"{filled.url}/studies/1.2.8/conflicts"
    fix = {"tag": "PatientID", "value": "P9", "by": "Ann"}
    assert requests.post(url, json=fix, timeout=60).status_code == 200
    assert [doc["_id"] for doc in ask(filled, "_find", {"PatientID": "P9"})["docs"]] == ["1.2.8:study"]
    assert list(filled.document("1.2.8:study"))[5] == "PatientID"


def test_a_dry_run_shows_what_differs(filled):
    root, _, name = filled.database.rpartition("/")
    assert push(root, name, dry_run=True) == []
    stored = filled.document("_design/find")
    del stored["views"]["modality"]
    requests.put(f"{filled.database}/_design/find", data=json.dumps(stored), timeout=60).raise_for_status()
    changed = [str(change) for change in push(root, name, dry_run=True)]
    assert changed[0] == "_design/find: added views.modality.map.fields.Modality"
    assert push(root, name)
    assert push(root, name, dry_run=True) == []
    assert ask(filled, "_explain", {"Modality": "CT"})["index"]["name"] == "modality"
