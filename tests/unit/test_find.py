"""C-FIND: identifiers as query parameters, rows as answers (PS3.4 C.2.2, C.4.1)."""

from types import SimpleNamespace

import pytest
from pydicom import Dataset

from dicouch.dimse import find
from dicouch.dimse.find import answer, level_of, parameters
from dicouch.errors import DicomWebError


def identifier(**keys):
    made = Dataset()
    made.QueryRetrieveLevel = "STUDY"
    for keyword, value in keys.items():
        setattr(made, keyword, value)
    return made


def item(**keys):
    made = Dataset()
    for keyword, value in keys.items():
        setattr(made, keyword, value)
    return made


@pytest.mark.parametrize(
    ("keys", "pairs"),
    [
        ({}, []),
        ({"PatientID": ""}, [("includefield", "00100020")]),
        ({"PatientName": "D*^J"}, [("00100010", "D*^J"), ("includefield", "00100010")]),
        ({"StudyInstanceUID": ["1.2", "1.3"]}, [("0020000D", "1.2\\1.3"), ("includefield", "0020000D")]),
        ({"StudyDate": "20200101-"}, [("00080020", "20200101-"), ("includefield", "00080020")]),
        ({"SpecificCharacterSet": "ISO_IR 100", "RetrieveAETitle": ""}, []),
        ({"ProcedureCodeSequence": []}, [("includefield", "00081032")]),
        (
            {"ProcedureCodeSequence": [item(CodeValue="X", CodeMeaning="")]},
            [("00081032.00080100", "X"), ("includefield", "00081032.00080100,00081032.00080104")],
        ),
    ],
)
def test_parameters(keys, pairs):
    assert parameters(identifier(**keys)) == pairs


def test_names_are_read_in_their_character_set():
    made = identifier(SpecificCharacterSet="ISO_IR 100", PatientName="Müller^J*")
    assert parameters(made)[0] == ("00100010", "Müller^J*")


@pytest.mark.parametrize(("level", "root"), [("", True), ("WARD", True), ("PATIENT", False)])
def test_levels_that_the_model_does_not_have(level, root):
    made = identifier()
    made.QueryRetrieveLevel = level
    with pytest.raises(DicomWebError):
        level_of(made, root)


def test_an_answer_has_the_requested_keys_and_where_it_can_be_had():
    row = {
        "00080020": {"vr": "DA", "Value": ["20200101"]},
        "00100010": {"vr": "PN", "Value": [{"Alphabetic": "Doe^John"}]},
        "00081190": {"vr": "UR", "Value": ["/studies/1.2"]},
        "00201208": {"vr": "IS", "Value": [7]},
    }
    asked = identifier(PatientName="", AccessionNumber="", NumberOfStudyRelatedInstances=None)
    made = answer(asked, row, "DICOUCH")
    assert sorted(element.keyword for element in made) == [
        "AccessionNumber",
        "InstanceAvailability",
        "NumberOfStudyRelatedInstances",
        "PatientName",
        "QueryRetrieveLevel",
        "RetrieveAETitle",
    ]
    assert (made.PatientName, made.NumberOfStudyRelatedInstances) == ("Doe^John", 7)
    assert not made.AccessionNumber


def test_texts_that_are_not_ascii_name_their_character_set():
    row = {"00100010": {"vr": "PN", "Value": [{"Alphabetic": "Иванов^И"}]}}
    assert answer(identifier(PatientName=""), row, "X").SpecificCharacterSet == "ISO_IR 192"


def test_a_cancelled_search_ends_with_its_status(monkeypatch):
    """FE00 (PS3.4 C.4.1.3.1.3) between two answers, and nothing behind it."""
    event = SimpleNamespace(identifier=identifier(PatientID=""), is_cancelled=False)
    monkeypatch.setattr(find, "rows", lambda *_asked: iter([{}, {}, {}]))
    answers = find.find(None, event, "DICOUCH", False, False)
    assert next(answers)[0].Status == 0xFF00
    event.is_cancelled = True
    assert [status.Status for status, _row in answers] == [0xFE00]
