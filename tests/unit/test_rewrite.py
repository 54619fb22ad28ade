"""``shim/rewrite.py`` as a table: which index and which keys a search reads."""

from urllib.parse import parse_qsl

import pytest

from shim.query import parse
from shim.rewrite import HIGH, after, counts, list_request, metadata, study_range

TABLE = [
    ("", "studies_by_date", {"startkey": [HIGH, HIGH], "endkey": [""], "descending": True}, False),
    ("StudyDate=20200101-20200131", "studies_by_date", {"startkey": ["20200131", HIGH], "endkey": ["20200101"]}, False),
    ("StudyDate=20200101-", "studies_by_date", {"startkey": ["9", HIGH], "endkey": ["20200101"]}, False),
    ("StudyDate=-20200101", "studies_by_date", {"startkey": ["20200101", HIGH], "endkey": ["0"]}, False),
    ("PatientID=12", "studies_by_patient_id", {"startkey": ["12", HIGH], "endkey": ["12"]}, False),
    ("PatientID=12*", "studies_by_patient_id", {"startkey": ["12"], "endkey": ["13"], "inclusive_end": False}, True),
    ("PatientID=*12", "studies_by_date", {"endkey": [""]}, False),
    ("PatientName=D%C3%96E^J*", "studies_by_patient_name", {"startkey": ["doe j"], "endkey": ["doe k"]}, True),
    ("PatientName=*J*", "studies_by_date", {}, False),
    ("PatientName=Doe&fuzzymatching=true", "studies_by_date", {}, False),
    ("AccessionNumber=A1&PatientID=12", "studies_by_accession_number", {"startkey": ["A1", HIGH]}, False),
    ("ModalitiesInStudy=CT", "studies_by_modality", {"startkey": ["CT", HIGH, HIGH], "endkey": ["CT", ""]}, False),
    (
        "ModalitiesInStudy=CT&StudyDate=20200101",
        "studies_by_modality",
        {"startkey": ["CT", "20200101", HIGH], "endkey": ["CT", "20200101"]},
        False,
    ),
    ("StudyInstanceUID=1.2,1.3", "studies_by_uid", {}, True),
    ("PatientID=", "studies_by_date", {"endkey": [""]}, False),
]


def pairs(text):
    return parse_qsl(text, keep_blank_values=True)


@pytest.mark.parametrize(("text", "view", "params", "sort"), TABLE)
def test_the_index_of_a_search_for_studies(text, view, params, sort):
    chosen = study_range(parse(pairs(text), 1000))
    assert chosen.view == view
    assert {name: chosen.params.get(name) for name in params} == params
    assert chosen.sort is sort


@pytest.mark.parametrize("prefix", ["doe", "a", "z\ud7fe", "\ud7ff", "x\uffff", "x\U0010ffff", "\U0001f600"])
def test_what_comes_after_a_prefix_in_both_orders(prefix):
    longer = [prefix, prefix + "a", prefix + "\ufffd", prefix + "\U0001f600"]
    end = after(prefix)
    for text in longer:
        assert text.encode() < end.encode() or end == HIGH
        assert text.encode("utf-16-be") < end.encode("utf-16-be") or end == HIGH


def test_a_long_query_goes_as_a_body():
    chosen = study_range(parse(pairs("PatientID=*"), 10))
    short = list_request("studies", chosen, {"match": {}})
    long = list_request("studies", chosen, {"match": {"00100020": {"vr": "LO", "values": ["x" * 5000]}}})
    assert short.method == "GET"
    assert "q" in short.params
    assert long.method == "POST"
    assert "q" not in long.params


def test_counts_are_asked_for_in_one_request():
    assert counts(["1:study", "2:study"]).body == {"keys": ["1:study", "2:study"]}


def test_metadata_reads_one_range_of_ids():
    assert metadata("1", None, None, "b", []).params["startkey"] == '"1:"'
    assert metadata("1", "2", None, "b", []).params["startkey"] == '"1:2:"'
    assert metadata("1", "2", "3", "b", []).params["key"] == '"1:2:3"'
