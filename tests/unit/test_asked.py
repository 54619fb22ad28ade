"""``shim/rewrite/asked.py``: what people fill in, as QIDO-RS parameters (PS3.18 8.3.4, PS3.4 C.2.2.2)."""

import pytest

from dicouch.rewrite.asked import form_of, guesses, parameters
from dicouch.rewrite.query import parse


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        ({}, []),
        ({"PatientName": "Doe John"}, [("PatientName", "Doe John"), ("fuzzymatching", "true")]),
        ({"PatientName": "Doe^J*"}, [("PatientName", "Doe^J*")]),
        ({"PatientID": "P1"}, [("PatientID", "P1*")]),
        ({"PatientID": "P?1"}, [("PatientID", "P?1")]),
        ({"AccessionNumber": "A"}, [("AccessionNumber", "A*")]),
        ({"StudyDescription": "thorax"}, [("StudyDescription", "*thorax*")]),
        ({"ModalitiesInStudy": "ct"}, [("ModalitiesInStudy", "CT")]),
        ({"from": "2020-01-02"}, [("StudyDate", "20200102-")]),
        ({"to": "2020.01.02"}, [("StudyDate", "-20200102")]),
        ({"from": "20200102", "to": "2020-01-03"}, [("StudyDate", "20200102-20200103")]),
        ({"StudyInstanceUID": "1.2.3"}, [("StudyInstanceUID", "1.2.3")]),
    ],
)
def test_the_search_that_a_form_stands_for(form, expected):
    assert parameters(form) == expected
    assert len(parse(parameters(form), 100).keys) == len({name for name, _ in expected} - {"fuzzymatching"})


def test_fields_that_are_empty_or_unknown_are_none():
    assert form_of({"PatientName": "  ", "PatientID": " 7 ", "includefield": "all", "limit": "1"}) == {"PatientID": "7"}
    assert form_of({"PatientName": "x" * 1000}) == {"PatientName": "x" * 200}


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("2020-01-02", {"from": "2020-01-02", "to": "2020-01-02"}),
        ("20200102", {"from": "2020-01-02", "to": "2020-01-02"}),
        ("20201302", {"PatientID": "20201302"}),
        ("2020-0102", {"PatientID": "2020-0102"}),
        ("1.2.840.10008.1", {"StudyInstanceUID": "1.2.840.10008.1"}),
        ("CT", {"ModalitiesInStudy": "CT"}),
        (" Doe ", {"PatientName": "Doe"}),
        ("P0042", {"PatientID": "P0042"}),
    ],
)
def test_what_one_field_may_stand_for(text, first):
    found = guesses(text)
    assert found[0] == first
    assert len(found) > 1
    assert guesses("  ") == []
