"""``shim/rewrite/plan.py`` as a table: which index and which keys a search for studies reads."""

from urllib.parse import parse_qsl

import pytest

from dicouch.rewrite.plan import (
    HIGH,
    Range,
    narrowed_by_series,
    needs_counts,
    patient_candidates,
    rarest,
    study_candidates,
    walked,
)
from dicouch.rewrite.query import parse

BY_DATE, BY_NAME, BY_ID = "studies_by_date", "studies_by_patient_name", "studies_by_patient_id"
BY_TEXT = "studies_by_text"
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
    ("PatientID=12*", BY_TEXT, {"startkey": ["PatientID", "12", HIGH, HIGH], "endkey": ["PatientID", "12", ""]}, False),
    ("AccessionNumber=A?", BY_TEXT, {"endkey": ["AccessionNumber", "A", ""]}, False),
    ("PatientID=*12", BY_DATE, {"endkey": [""]}, False),
    ("PatientID=a%5Cb", BY_DATE, {}, False),
    (
        "PatientID=12*&StudyDate=2020.01.01-20200131",
        BY_TEXT,
        {"startkey": ["PatientID", "12", "20200131", HIGH], "endkey": ["PatientID", "12", "20200101"]},
        False,
    ),
    ("PatientID=%22%22&emptyvaluematching=true", BY_DATE, {}, False),
    ("PatientName=D%C3%96E^J*", BY_TEXT, {"endkey": ["PatientName", "doe j", ""]}, False),
    ("PatientName=D%C3%96E^*", BY_TEXT, {"endkey": ["PatientName", "doe", ""]}, False),
    ("PatientName=Doe,John", BY_NAME, {"startkey": ["doe john", HIGH], "endkey": ["doe john"]}, False),
    ("PatientName=Doe%3DX", BY_DATE, {}, False),
    ("PatientName=*J*", BY_DATE, {}, False),
    ("PatientName=*Jo?n*", BY_DATE, {}, False),
    ("PatientName=*abc*%5C*d*", BY_DATE, {}, False),
    ("PatientSex=F&PatientBirthDate=19500101", BY_DATE, {}, False),
    ("PatientComments=abcdef", BY_DATE, {}, False),
    ("PatientName=%F0%9F%98%80*", BY_TEXT, {"endkey": ["PatientName", "\U0001f600", ""]}, False),
    ("PatientName=jo+smith&fuzzymatching=true", BY_TEXT, {"endkey": ["sound", "253", ""]}, False),
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


def single(candidates):
    assert not needs_counts(candidates)
    ((chosen,),) = candidates[0]
    return chosen


def looked_up(text, candidates=study_candidates):
    """Each candidate as what its ranges begin with; '' stands for studies with too many pieces."""
    return [
        [["/".join(one.params["startkey"][:2]) for one in part] for part in parts] for parts in candidates(asked(text))
    ]


@pytest.mark.parametrize(("text", "view", "params", "sort"), TABLE)
def test_the_index_of_a_search_for_studies(text, view, params, sort):
    chosen = single(study_candidates(asked(text)))
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
        ("PatientName=Doe^John", {"00100010"}),
        ("PatientName=Doe*", {"00100010"}),
        ("PatientName=Doe^*", set()),
        ("PatientName=Doe*&fuzzymatching=true", {"00100010"}),
        ("PatientName=Doe*&StudyDate=20200101", {"00100010", "00080020"}),
        ("PatientName=Doe*&StudyDate=20200101-&StudyTime=10-", {"00100010"}),
        ("PatientName=Doerr&fuzzymatching=true", set()),
        ("StudyDate=20200101-20200131", {"00080020"}),
        ("StudyDate=20200131-20200101", set()),
        ("StudyDate=20200101-20200131&StudyTime=10-11", set()),
        ("StudyDate=20200101-20200131&StudyTime=10", {"00080020"}),
        ("StudyInstanceUID=1.2,1.3", {"0020000D"}),
        ("ModalitiesInStudy=CT&StudyDate=-20200101", {"00080061", "00080020"}),
    ],
)
def test_what_a_range_decides_is_not_matched_again(text, covered):
    assert single(study_candidates(asked(text))).covered == covered


NAME, ID = "*PatientName*/", "*PatientID*/"
SMITH = [[f"{NAME}smi", f"{NAME}ith"], [NAME]]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("PatientName=*SMITH*", [SMITH]),
        ("PatientName=*SM%C3%8DTH^*", [SMITH]),
        (
            "PatientName=SM?TH^JOHN",
            [[["PatientName/sm"]], [[f"{NAME}{p}" for p in ("th ", "joh", "ohn")], [NAME]]],
        ),
        ("PatientName=*Doe*&fuzzymatching=true", [[[f"{NAME}doe"], [NAME]]]),
        ("PatientName=li+wang+jon&fuzzymatching=true", [[[f"{NAME}jon"], [NAME]], [["sound/152"]]]),
        ("PatientName=*abc*%5C*defg*", [[[f"{NAME}abc"], [f"{NAME}def", f"{NAME}efg"], [NAME]]]),
        ("PatientName=*abc*%3Ddef*", [[[f"{NAME}abc"], [f"{NAME}def"], [NAME]]]),
        ("PatientName=*abc*%5C*def*&multiplevaluematching=true", [[[f"{NAME}abc"], [NAME]], [[f"{NAME}def"], [NAME]]]),
        ("PatientID=*Ab1*", [[[f"{ID}Ab1"], [ID]]]),
        ("PatientID=%20abc?%5Cdef%20", [[[f"{ID}abc"], [f"{ID}def"], [ID]]]),
        (
            "PatientID=12345678901*",
            [
                [["PatientID/1234567890"]],
                [[f"{ID}{n}" for n in ("123", "456", "789", "901")], [ID]],
            ],
        ),
        ("PatientID=PAT*&AccessionNumber=A*", [[["AccessionNumber/A"]], [["PatientID/PAT"]]]),
        ("StudyDescription=CT+x", [[[f"*StudyDescription*/{p}" for p in ("CT ", "T x")], ["*StudyDescription*/"]]]),
        ("PatientID=*Ab1*&ModalitiesInStudy=CT", [[[f"{ID}Ab1"], [ID]], [[f"CT/{HIGH}"]]]),
    ],
)
def test_the_index_ranges_whose_rows_are_counted(text, expected):
    assert looked_up(text) == expected


def test_few_pieces_of_a_long_text_are_compared():
    """Each count costs CouchDB as much as a row: no character is asked for twice, and of a long text not all are."""
    text = "".join(map(chr, range(0x3042, 0x3042 + 64)))
    ((pieces, _too_many),) = looked_up(f"StudyDescription={text}")
    assert 4 <= len(pieces) <= 8
    assert pieces[0].endswith(text[:3])
    assert looked_up("PatientID=" + "%5C".join(f"ab{n}" for n in range(17)))[0][0][0].startswith(HIGH)


def test_the_dates_narrow_what_is_looked_up():
    ((part, _too_many),) = study_candidates(asked("PatientName=*doe*&StudyDate=20200101-20200131"))
    assert part[0].params["startkey"] == ["*PatientName*", "doe", "20200131", HIGH]
    assert part[0].params["endkey"] == ["*PatientName*", "doe", "20200101"]
    assert part[0].covered == {"00080020"}
    assert part[0].documents


class TestRarest:
    """Counts come in the order in which the candidates name their ranges."""

    A, B, C, D = (Range(name) for name in "abcd")

    @pytest.mark.parametrize(
        ("candidates", "counts", "expected"),
        [
            ([((A, B), (C,))], [3, 2, 0], "b"),
            ([((A, B), (C,))], [3, 2, 1], "bc"),
            ([((A, B), (C,))], [0, 2, 0], ""),
            ([((A, B), (C,)), ((D,),)], [3, 2, 9, 10], "d"),
            ([((A, B), (C,)), ((D,),)], [3, 2, 7, 10], "bc"),
            ([((A,), (B,), (C,)), ((D,),)], [1, 0, 2, 3], "ac"),
            ([((A,),), ((D,),)], [0, 0], ""),
        ],
    )
    def test_of_the_candidates(self, candidates, counts, expected):
        assert "".join(one.view for one in rarest(candidates, counts)) == expected


@pytest.mark.parametrize(
    ("text", "tags"),
    [
        ("PatientSex=F", ["00100040"]),
        ("PatientName=*ab*&StudyDate=20200101", ["00100010"]),
        ("ModalitiesInStudy=CT&PatientSex=F", ["00100040"]),
        ("ModalitiesInStudy=CT&StudyDate=20200101", []),
        ("PatientName=*abc*&PatientSex=F", []),
        ("PatientSex=*", []),
        ("PatientSex=%22%22&emptyvaluematching=true", ["00100040"]),
    ],
)
def test_keys_that_no_index_narrows(text, tags):
    ((chosen, *_others), *_parts) = study_candidates(asked(text))[0]
    assert walked(asked(text), chosen) == tags


@pytest.mark.parametrize(
    ("text", "view", "sort"),
    [
        ("", BY_ID, False),
        ("PatientID=12", BY_ID, False),
        ("PatientID=12*", BY_TEXT, True),
        ("PatientID=*2", BY_ID, False),
        ("PatientName=Doe", BY_NAME, True),
        ("PatientName=Doe*", BY_TEXT, True),
        ("PatientName=*oe", BY_ID, False),
        ("PatientName=Doerr&fuzzymatching=true", BY_TEXT, True),
    ],
)
def test_the_index_of_a_list_of_patients(text, view, sort):
    chosen = single(patient_candidates(asked(text)))
    assert (chosen.view, chosen.sort) == (view, sort)


def test_a_modality_of_series_is_one_of_the_study():
    assert narrowed_by_series(asked("Modality=CT&PatientID=1")).keys == {
        "00100020": {"vr": "LO", "values": ["1"]},
        "00080061": {"vr": "CS", "values": ["CT"]},
    }
    assert "00080061" not in narrowed_by_series(asked("Modality=*")).keys
    own = narrowed_by_series(asked("Modality=CT&ModalitiesInStudy=MR")).keys
    assert own["00080061"]["values"] == ["MR"]
