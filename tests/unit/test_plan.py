"""``shim/plan.py`` as a table: which index and which keys a search for studies reads."""

from urllib.parse import parse_qsl

import pytest

from shim.plan import HIGH, after, cheaper, narrowed_by_series, patient_range, study_ranges
from shim.query import parse

BY_DATE, BY_NAME, BY_ID = "studies_by_date", "studies_by_patient_name", "studies_by_patient_id"
BY_SOUND = "studies_by_name_sound"
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
    ("PatientID=12*", BY_ID, {"startkey": ["12"], "endkey": ["13"], "inclusive_end": False}, True),
    ("PatientID=*12", BY_DATE, {"endkey": [""]}, False),
    ("PatientID=a%5Cb", BY_DATE, {}, False),
    ("PatientID=" + "x" * 65, BY_DATE, {}, False),
    ("PatientID=%22%22&emptyvaluematching=true", BY_DATE, {}, False),
    ("PatientName=D%C3%96E^J*", BY_NAME, {"startkey": ["doe j"], "endkey": ["doe k"]}, True),
    ("PatientName=D%C3%96E^*", BY_NAME, {"startkey": ["doe"], "endkey": ["dof"]}, True),
    ("PatientName=Doe,John", BY_NAME, {"startkey": ["doe john", HIGH], "endkey": ["doe john"]}, False),
    ("PatientName=Doe%3DX", BY_DATE, {}, False),
    ("PatientName=*J*", BY_DATE, {}, False),
    ("PatientName=%F0%9F%98%80*", BY_DATE, {}, False),
    ("PatientName=jo+smith&fuzzymatching=true", BY_SOUND, {"startkey": ["253"], "endkey": ["254"]}, True),
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
    chosen, _wide = study_ranges(asked(text))
    assert chosen.view == view
    assert {name: chosen.params.get(name) for name in params} == params
    assert chosen.sort is sort


@pytest.mark.parametrize(
    ("text", "covered"),
    [
        ("PatientID=12", {"00100020"}),
        ("PatientID=12*", {"00100020"}),
        ("PatientID=1?2*", set()),
        ("PatientName=Doe^John", {"00100010"}),
        ("PatientName=Doe*", set()),
        ("StudyDate=20200101-20200131", {"00080020"}),
        ("StudyDate=20200131-20200101", set()),
        ("StudyDate=20200101-20200131&StudyTime=10-11", set()),
        ("StudyDate=20200101-20200131&StudyTime=10", {"00080020"}),
        ("StudyInstanceUID=1.2,1.3", {"0020000D"}),
        ("ModalitiesInStudy=CT&StudyDate=-20200101", {"00080061", "00080020"}),
    ],
)
def test_what_a_range_decides_is_not_matched_again(text, covered):
    assert study_ranges(asked(text))[0].covered == covered


def test_a_wide_range_is_left_for_the_studies_in_order():
    narrow, wide = study_ranges(asked("PatientName=S*&StudyDate=2020.01.01-"))
    assert (narrow.view, wide.view) == (BY_NAME, BY_DATE)
    assert wide.params["endkey"] == ["20200101"]
    # 10,000 studies: of 100 that match 25 are sorted out; where every second one matches, 50 rows hold 25.
    assert cheaper(narrow, wide, (100, 10_000), 25) is narrow
    assert cheaper(narrow, wide, (5_000, 10_000), 25) is wide
    assert cheaper(narrow, wide, (0, 10_000), 25) is narrow
    assert cheaper(narrow, wide, (5_000, 10_000), 9_000) is narrow


def test_no_second_range_where_the_first_is_in_order():
    for text in ("PatientID=1", "StudyInstanceUID=1.2,1.3", "PatientID=*1", "ModalitiesInStudy=CT"):
        assert study_ranges(asked(text))[1] is None


@pytest.mark.parametrize("prefix", ["doe", "a", "z\ud7fe", "\ud7ff", "x\uffff", "x\U0010ffff", "\U0001f600"])
def test_what_comes_after_a_prefix_in_both_orders(prefix):
    longer = [prefix, prefix + "a", prefix + "\ufffd", prefix + "\U0001f600"]
    end = after(prefix)
    for text in longer:
        assert text.encode() < end.encode() or end == HIGH
        assert text.encode("utf-16-be") < end.encode("utf-16-be") or end == HIGH


@pytest.mark.parametrize(
    ("text", "view", "sort"),
    [
        ("", BY_ID, False),
        ("PatientID=12", BY_ID, False),
        ("PatientID=12*", BY_ID, False),
        ("PatientID=*2", BY_ID, False),
        ("PatientName=Doe", BY_NAME, True),
        ("PatientName=Doe*", BY_NAME, True),
        ("PatientName=*Doe", BY_ID, False),
        ("PatientName=Doe&fuzzymatching=true", BY_SOUND, True),
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

