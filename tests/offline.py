"""A patient whose metadata are taken away from the server, and what is searched in them here and there (docs/offline)."""

from __future__ import annotations

import json
from typing import Any

import requests

from tests.archive import attribute, study_documents, write
from tests.made import instance
from tests.server import Server

PATIENT = "OFF 1"
STUDY = "1.2.826.0.1.7"
STORED = "1.2.826.0.2.1"
STUDIES = [f"1.2.826.0.1.{number}" for number in range(10)] + [STORED]
JAPANESE = {"Alphabetic": "Yamada^Tarou", "Ideographic": "山田^太郎", "Phonetic": "やまだ^たろう"}
NAMES = [
    *("Müller^Jörg", "Mueller^Georg", JAPANESE, "Иванов^Пётр", "O'Neill^Sean", "Smith^John^Q", "Schmidt^Jo"),
    *("DOE^JANE", "Cœur^Anne", "Łukasz"),
]


def fill(server: Server) -> None:
    """Store ten studies of one patient as documents, one as files that people then correct, and two of others."""
    documents: list[dict[str, Any]] = []
    for number in range(12):
        for document in study_documents(number, 3, 4):
            if document["type"] == "study" and number < 10:
                document["dataset"] |= {
                    "00100010": attribute("PN", NAMES[number]),
                    "00100020": attribute("LO", PATIENT),
                    "00081030": attribute("LO") if number == 4 else document["dataset"]["00081030"],
                }
            if document["type"] == "instance":
                zone = {"00080201": attribute("SH", "+0100")} if number % 2 else {}
                code = {"00080100": attribute("SH", f"C{number}"), "00080104": attribute("LO", "Chest wall")}
                document["dataset"] |= zone | {
                    "0008002A": attribute("DT", f"2020010{1 + number % 9}103000"),
                    "00082218": attribute("SQ", code),
                }
            documents.append(document)
    # What has no instance yet is not listed, here and there.
    documents += [d for d in study_documents(7, 4, 1) if d["_id"].endswith(f"{STUDY}.4")]
    write(server.database, documents)
    made = [
        instance(
            *(STORED, f"{STORED}.{series}", f"{STORED}.{series}.{number}"),
            **{"PatientID": PATIENT, "PatientName": "Adams^Amy", "InstanceNumber": str(3 - number), "Modality": kind},
            **{"SeriesNumber": str(9 - series), "StudyDescription": "as sent", "PatientAge": f"04{series}Y"},
            **{"StudyDate": "20240229", "ImageComments": f"comment {number}", "ImageType": ["DERIVED", "SECONDARY"]},
        )
        for series, kind in ((1, "OT"), (2, "SR"))
        for number in (1, 2)
    ]
    assert server.store(*made).status_code == 200
    for fix in (
        {"tag": "StudyDescription", "value": "as corrected"},
        {"tag": "PatientName", "value": "Adams^Amelia"},
        {"tag": "Modality", "value": "US", "series": f"{STORED}.1"},
    ):
        answer = requests.post(f"{server.url}/studies/{STORED}/conflicts", json={"by": "Ann", **fix}, timeout=30)
        assert answer.status_code == 200, answer.text


# Each with this patient's ID: the server has others. `&` and what follows is part of what a person types.
STUDY_KEYS = [
    *("", "&includefield=all", "&limit=3", "&limit=4&offset=3", "&offset=8", "&limit=0", "&limit=5&offset=50"),
    *("&PatientName=MULLER*", "&PatientName=Müller, Jörg", "&PatientName=*ill*", "&PatientName=D?E^*", "&PatientName=C?ur*"),
    *("&PatientName=山田*", "&PatientName==山田^太郎", "&PatientName=yamada taro?", "&PatientName=иванов*", "&PatientName=*^J*"),
    *("&PatientName=smyth&fuzzymatching=true", "&PatientName=jo smi&fuzzymatching=true", "&PatientName=ohn&fuzzymatching=true"),
    *("&PatientName=ivanov&fuzzymatching=true", "&PatientName=Smith*&fuzzymatching=true", "&PatientName=Adams*"),
    *("&StudyDate=20030401", "&StudyDate=2003.01.01-20060101", "&StudyDate=-20030101", "&StudyDate=20050101-"),
    *("&StudyDate=20080101-20040101", "&StudyDate=20030404-20080909&StudyTime=020000-060000", "&StudyTime=01-04"),
    *("&ModalitiesInStudy=CT", "&ModalitiesInStudy=CT,MR", "&ModalitiesInStudy=C?", "&ModalitiesInStudy=CT&ModalitiesInStudy=US"),
    *("&StudyDescription=*thorax", '&StudyDescription=""&emptyvaluematching=true', "&StudyDescription=as corrected"),
    *("&StudyDescription=as sent", "&AccessionNumber=A0000003", "&AccessionNumber=A000000?", "&StudyID=3\\4\\5", "&PatientSex=F"),
    f"&StudyInstanceUID={STUDIES[2]},{STUDIES[8]},1.2.3",
    f"&StudyInstanceUID={STUDIES[8]}\\{STUDIES[2]}&StudyDate=20000101-",
    *("&00100030=19450101", "&includefield=PatientAge&includefield=00081048", "&includefield=Nonsense,StudyDescription"),
    *("&Modality=CT", "&Nonsense=1&limit=2", "&ReferringPhysicianName=referrer rita"),
    '&PatientName=""&emptyvaluematching=true',
    "&ModalitiesInStudy=CT\\MR&multiplevaluematching=true",
]
SERIES_KEYS = [
    *("", "&Modality=CT", "&Modality=CT,MR&limit=4&offset=2", "&Modality=US", "&Modality=OT", "&SeriesNumber=2", "&SeriesNumber=2.0"),
    *("&SeriesDescription=*series 3", "&includefield=all&limit=5", "&StudyDescription=*head", "&RequestAttributesSequence=&limit=3"),
    *("&RequestAttributesSequence.ScheduledProcedureStepID=S3", "&00400275.00401001=R1&limit=6", "&PatientName=doe*"),
    *("&PerformedProcedureStepStartDate=20030101-20051231", "&includefield=00400275.00321060&limit=2", "&StudyDate=20030101-"),
    f"&SeriesInstanceUID={STUDY}.2,{STUDY}.1,{STORED}.2,{STUDY}.4",
]
INSTANCE_KEYS = [
    *("&limit=20", "&limit=9&offset=30", "&Modality=CT&limit=20", "&InstanceNumber=3", "&Rows=512&limit=7", "&ImageComments=comment*"),
    *("&SOPClassUID=1.2.840.10008.5.1.4.1.1.7", "&00091001=Private 3", "&00091002=2.5&limit=5", "&SliceThickness=1.50&limit=5"),
    *("&AcquisitionDateTime=20200103-20200104&limit=9", "&AcquisitionDateTime=20200104103000%2B0200", "&limit=3&includefield=all"),
    *("&AnatomicRegionSequence.CodeValue=C3&includefield=AnatomicRegionSequence", "&includefield=00020010&limit=2"),
    *("&00020010=1.2.840.10008.1.2.1&limit=3&offset=1", "&includefield=00091001&limit=2", "&PatientName=Adams*&includefield=all"),
    *("&StudyDescription=as corrected&includefield=PatientAge,ImageComments", "&ImageType=DERIVED\\SECONDARY&multiplevaluematching=true"),
    f"&SOPInstanceUID={STUDY}.2.3,{STORED}.1.2,{STUDY}.1.1,{STUDY}.1.2&includefield=00180050",
]
BELOW = [
    *(f"/studies/{STUDY}/series", f"/studies/{STUDY}/series?Modality=*&includefield=PatientName", f"/studies/{STUDY}/series?offset=1"),
    *(f"/studies/{STORED}/series?includefield=all", f"/studies/{STUDY}/instances", f"/studies/{STUDY}/instances?limit=3&offset=6"),
    *(f"/studies/{STORED}/instances?includefield=all", f"/studies/{STUDY}/series/{STUDY}.2/instances?includefield=all"),
    *(f"/studies/{STUDY}/series/{STUDY}.1/instances?InstanceNumber=2&includefield=Modality,StudyDate", f"/studies/{STUDY}/series/{STUDY}.4/instances"),
    *(f"/studies/{STUDY}/series?StudyInstanceUID=1.2.3", f"/studies/{STORED}/series/{STORED}.1/instances?includefield=all"),
    *(f"/studies/{STUDY}/instances?Modality=MR", "/studies/1.2.3/instances", f"/studies/{STORED}/instances?PatientAge=041Y"),
    f"/studies/{STORED}/instances?SOPInstanceUID={STORED}.2.1&includefield=all",
    f"/studies/{STUDY}/series/{STUDY}.3/instances?PatientName=nobody",
]  # fmt: skip
# Instances everywhere by what instances alone have: the patient's ID would make it another search.
EVERYWHERE = ["/instances?ImageComments=comment 1", "/instances?ImageComments=comment*&includefield=all&limit=3&offset=1"]
QUERIES = [
    *(f"/studies?PatientID={PATIENT}{keys}" for keys in STUDY_KEYS),
    *(f"/series?PatientID={PATIENT}{keys}" for keys in SERIES_KEYS),
    *(f"/instances?PatientID={PATIENT}{keys}" for keys in INSTANCE_KEYS),
    *BELOW,
    *EVERYWHERE,
]
REFUSED = [
    *("/studies?StudyDate=20230230", "/studies?limit=-1", "/studies?fuzzymatching=maybe", "/studies?StudyInstanceUID=a b"),
    *("/instances?InstanceNumber=one", "/studies?StudyTime=25", "/studies?00080020=2020-2021-2022", "/series?AccessionNumber=%07"),
]


def answers(server: Server) -> list[dict[str, Any]]:
    """Return what the server answers to each query: rows, and the texts of its warnings."""
    found = []
    for query in QUERIES:
        answer = server.get(query)
        assert answer.status_code == 200, (query, answer.text)
        found.append({"rows": answer.json(), "told": answer.headers.get("Warning", "")})
    return found


def differences(expected: list[dict[str, Any]], found: list[dict[str, Any]]) -> list[tuple[str, str, str]]:
    """Return the queries whose rows, their order, or what is told besides differ."""
    different = []
    for query, there, here in zip(QUERIES, expected, found, strict=True):
        remaining = "additional results" in there["told"]
        ignored = "were ignored" in there["told"]
        if there["rows"] != here.get("rows") or (remaining, ignored) != (bool(here["remaining"]), bool(here["ignored"])):
            shown = [json.dumps(one, ensure_ascii=False, sort_keys=True)[:1500] for one in (there, here)]
            different.append((query, *shown))
    return different
