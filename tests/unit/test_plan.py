"""``shim/rewrite/plan.py`` as a table: which index and which keys a search for studies reads."""

from urllib.parse import parse_qsl

import pytest

from dicouch.rewrite.plan import HIGH, narrowed_by_series, patient_range, study_range
from dicouch.rewrite.query import parse

BY_DATE, BY_NAME, BY_ID = "studies_by_date", "studies_by_patient_name", "studies_by_patient_id"
BEGINNING = "studies_by_beginning"
EXACT_ID = {"startkey": ["12", HIGH], "endkey": ["12"], "descending": True}
TABLE = [
    ("", BY_DATE, {"startkey": [HIGH, HIGH], "endkey": [""], "descending": True}, False),
    ("StudyDate=20200101-20200131", BY_DATE, {"startkey": ["20200131", HIGH], "endkey": ["20200101"]}, False),
    ("StudyDate=20200101-", BY_DATE, {"startkey": ["9", HIGH], "endkey": ["20200101"]}, False),
    ("StudyDate=-20200101", BY_DATE, {"startkey": ["20200101", HIGH], "endkey": ["0"]}, False),
    ("StudyDate=2020.01.01", BY_DATE, {"startkey": ["20200101", HIGH], "endkey": ["20200101"]}, False),
    ("StudyDate=20200131-20200101", BY_DATE, {"startkey": ["20200131", HIGH], "endkey": ["20200131"]}, False),
    ("PatientID=12", BY_ID, EXACT_ID, False),
    ("00100020=%2012%20", BY_ID, EXACT_ID, False),
    ("PatientID=12*", BEGINNING, {"startkey": ["PatientID", "12", HIGH], "endkey": ["PatientID", "12"]}, False),
    ("AccessionNumber=A?", BEGINNING, {"endkey": ["AccessionNumber", "A"]}, False),
    ("PatientID=12345678901*", BEGINNING, {"endkey": ["PatientID", "1234567890"]}, False),
    ("PatientID=*12", BY_DATE, {"endkey": [""]}, False),
    ("PatientID=a%5Cb", BY_DATE, {}, False),
    ("PatientID=" + "x" * 65, BY_DATE, {}, False),
    ("PatientID=%22%22&emptyvaluematching=true", BY_DATE, {}, False),
    ("PatientName=D%C3%96E^J*", BEGINNING, {"endkey": ["PatientName", "doe j"]}, False),
    ("PatientName=D%C3%96E^*", BEGINNING, {"endkey": ["PatientName", "doe"]}, False),
    ("PatientName=Doe,John", BY_NAME, {"startkey": ["doe john", HIGH], "endkey": ["doe john"]}, False),
    ("PatientName=Doe%3DX", BY_DATE, {}, False),
    ("PatientName=*J*", BY_DATE, {}, False),
    ("PatientName=%F0%9F%98%80*", BEGINNING, {"endkey": ["PatientName", "\U0001f600"]}, False),
    ("PatientName=jo+smith&fuzzymatching=true", BEGINNING, {"endkey": ["sound", "253"]}, False),
    ("PatientName=*Doe*&fuzzymatching=true", BY_DATE, {}, False),
    ("PatientName=h&fuzzymatching=true", BY_DATE, {}, False),
    ("AccessionNumber=A1&PatientID=12", "studies_by_accession_number", {"startkey": ["A1", HIGH]}, False),
    ("ModalitiesInStudy=CT", "studies_by_modality", {"startkey": ["CT", HIGH, HIGH], "endkey": ["CT", ""]}, False),
    ("ModalitiesInStudy=CT%5CMR", BY_DATE, {}, False),
    (
        "ModalitiesInStudy=CT&StudyDate=20200101",
        "studies_by_modality",
        {"startkey": ["CT", "20200101", HIGH], "endkey": ["CT", "20200101"]},
        False,
    ),
    ("StudyInstanceUID=1.2,1.3,1.2", "studies_by_uid", {}, True),
    ("StudyInstanceUID=1.2", "studies_by_uid", {}, False),
    ("PatientID=", BY_DATE, {"endkey": [""]}, False),
    ("PatientID=**", BY_DATE, {"endkey": [""]}, False),
]


def asked(text):
    return parse(parse_qsl(text, keep_blank_values=True), 1000)


@pytest.mark.parametrize(("text", "view", "params", "sort"), TABLE)
def test_the_index_of_a_search_for_studies(text, view, params, sort):
    chosen = study_range(asked(text))
    assert chosen.view == view
    assert {name: chosen.params.get(name) for name in params} == params
    assert chosen.sort is sort


@pytest.mark.parametrize(
    ("text", "covered"),
    [
        ("PatientID=12", {"00100020"}),
        ("PatientID=12*", {"00100020"}),
        ("PatientID=1?2*", set()),
        ("PatientID=1234567890*", {"00100020"}),
        ("PatientID=12345678901*", set()),
        ("PatientName=Doe^John", {"00100010"}),
        ("PatientName=Doe*", {"00100010"}),
        ("PatientName=Doe^*", set()),
        ("PatientName=Doe*&fuzzymatching=true", {"00100010"}),
        ("PatientName=Doe&fuzzymatching=true", set()),
        ("StudyDate=20200101-20200131", {"00080020"}),
        ("StudyDate=20200131-20200101", set()),
        ("StudyDate=20200101-20200131&StudyTime=10-11", set()),
        ("StudyDate=20200101-20200131&StudyTime=10", {"00080020"}),
        ("StudyInstanceUID=1.2,1.3", {"0020000D"}),
        ("ModalitiesInStudy=CT&StudyDate=-20200101", {"00080061", "00080020"}),
    ],
)
def test_what_a_range_decides_is_not_matched_again(text, covered):
    assert study_range(asked(text)).covered == covered


@pytest.mark.parametrize(
    ("text", "view", "sort"),
    [
        ("", BY_ID, False),
        ("PatientID=12", BY_ID, False),
        ("PatientID=12*", BEGINNING, True),
        ("PatientID=*2", BY_ID, False),
        ("PatientName=Doe", BY_NAME, True),
        ("PatientName=Doe*", BEGINNING, True),
        ("PatientName=*Doe", BY_ID, False),
        ("PatientName=Doe&fuzzymatching=true", BEGINNING, True),
    ],
)
def test_the_index_of_a_list_of_patients(text, view, sort):
    chosen = patient_range(asked(text))
    assert (chosen.view, chosen.sort) == (view, sort)


def test_a_modality_of_series_is_one_of_the_study():
    assert narrowed_by_series(asked("Modality=CT&PatientID=1")).keys == {
        "00100020": {"vr": "LO", "values": ["1"]},
        "00080061": {"vr": "CS", "values": ["CT"]},
    }
    assert "00080061" not in narrowed_by_series(asked("Modality=*")).keys
    own = narrowed_by_series(asked("Modality=CT&ModalitiesInStudy=MR")).keys
    assert own["00080061"]["values"] == ["MR"]
