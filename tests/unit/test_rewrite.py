"""``shim/rewrite/requests.py``: what CouchDB is asked."""

from urllib.parse import parse_qsl

import pytest

from dicouch.rewrite.plan import Range, study_candidates
from dicouch.rewrite.query import parse
from dicouch.rewrite.requests import (
    Paging,
    count,
    counts,
    decides,
    instance_range,
    list_request,
    metadata,
    needs_document,
    patients,
    search,
    series_range,
)


def asked(text):
    return parse(parse_qsl(text, keep_blank_values=True), 1000)


def studies(text, paging):
    query = asked(text)
    ((chosen,),) = study_candidates(query)[0]
    return search("study", query, chosen, paging, fields=query.fields("study"))


def test_a_page_that_the_range_decides_is_counted_off_by_the_view():
    request = studies("PatientID=1&PatientName=", Paging(50, 25, rest=True))
    assert request.path == "_design/dicom/_list/studies/studies_by_patient_id"
    assert (request.params["skip"], request.params["limit"]) == (50, 25)
    assert '"offset":0,"limit":25' in request.params["q"]
    assert '"rest"' not in request.params["q"]


@pytest.mark.parametrize("text", ["PatientSex=F", "PatientID=1?", "StudyInstanceUID=1,2", "PatientID=1&StudyTime=10"])
def test_other_pages_are_counted_off_by_the_list(text):
    request = studies(text, Paging(50, 25))
    assert "skip" not in request.params
    assert "limit" not in request.params


def test_a_long_query_goes_as_a_body():
    chosen = Range("studies_by_date")
    short = list_request("studies", chosen, {"match": {}})
    for value in ("x" * 6000, "é" * 1200):
        long = list_request("studies", chosen, {"match": {"00100020": {"vr": "LO", "values": [value]}}})
        assert long.method == "POST"
        assert "q" not in long.params
        assert long.body["query"]["match"]
    assert short.method == "GET"
    assert "q" in short.params


def test_keys_go_as_a_body():
    paging = Paging(0, 10, among=["1", "2"])
    request = search("series", asked("Modality=CT"), series_range(["1", "2"]), paging, fields=None)
    assert request.method == "POST"
    assert request.body["keys"] == ["1", "2"]
    assert request.body["query"]["match"] == {"00080060": {"vr": "CS", "values": ["CT"]}}
    assert request.body["query"]["among"] == ["1", "2"]


def test_what_decides():
    query = asked("SOPInstanceUID=")
    assert decides(query, instance_range("1", "2", query), "instance")
    assert not decides(asked("InstanceNumber=1"), instance_range("1", "2", query), "instance")
    assert not decides(query, instance_range("1", None, query), "instance")


@pytest.mark.parametrize(
    ("text", "document"),
    [
        ("", False),
        ("InstanceNumber=1&includefield=Rows", False),
        ("includefield=SliceThickness", True),
        ("SliceThickness=1", True),
        ("includefield=all", True),
        ("includefield=StudyDescription", False),
        ("AvailableTransferSyntaxUID=1.2", False),
    ],
)
def test_documents_are_read_only_for_what_no_index_row_has(text, document):
    assert needs_document(asked(text)) is document


def test_counts():
    assert counts(["1:study", "2:study"]).body == {"keys": ["1:study", "2:study"]}
    assert count(Range("studies_by_uid", {"startkey": "1"})).params == {"reduce": "true", "startkey": "1"}


def test_patients_match_by_their_own_attributes():
    query = asked("PatientName=Doe*&includefield=PatientAge")
    request = patients(query, Range("studies_by_patient_name", sort=True), Paging(0, 10))
    assert request.path == "_design/dicom/_list/patients/studies_by_patient_name"
    assert '"include":{"00100010":true,"00101010":true}' in request.params["q"]


def test_metadata_reads_one_range_of_ids():
    assert metadata("1", None, None, "b", []).params["startkey"] == '"1:"'
    assert metadata("1", "2", None, "b", []).params["startkey"] == '"1:2:"'
    assert metadata("1", "2", "3", "b", []).params["key"] == '"1:2:3"'
