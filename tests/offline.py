"""A patient whose metadata are taken away from the server, and what is searched in them (docs/offline)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import requests

from tests.archive import attribute, study_documents, write
from tests.made import instance
from tests.server import Server

FIXTURES = Path(__file__).parent / "fixtures"
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
        for document in study_documents(number, 3, 2):
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
                # Of these the server has metadata alone: of a whole study, and of one instance of another.
                if number == 9:
                    document["file"] = {"store": "none", "size": 0, "transferSyntax": "", "sha256": "", "bulk": {}}
                elif document["_id"].endswith(".3.1.1"):
                    document["file"]["store"] = "none"
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


# Those for all studies name the patient: the server has others. Instances everywhere by what instances alone have do
# not, as that would be another search.
QUERIES = (FIXTURES / "offline.txt").read_text(encoding="utf-8").splitlines()
REFUSED = [
    "/studies?StudyDate=20230230",
    "/studies?limit=-1",
    "/studies?fuzzymatching=maybe",
    "/studies?StudyInstanceUID=a b",
    "/instances?InstanceNumber=one",
    "/studies?StudyTime=25",
    "/studies?00080020=2020-2021-2022",
    "/series?AccessionNumber=%07",
]


def answers(server: Server) -> list[dict[str, Any]]:
    """Return what the server answers to each query: rows, and the texts of its warnings."""
    found = []
    for query in QUERIES:
        answer = server.get(query)
        assert answer.status_code == 200, (query, answer.text)
        found.append({"rows": answer.json(), "told": answer.headers.get("Warning", "")})
    return found


def differences(
    expected: list[dict[str, Any]], found: list[dict[str, Any]], queries: list[str] = QUERIES
) -> list[tuple[str, str, str]]:
    """Return the queries whose rows, their order, or what is told besides differ."""
    different = []
    for query, there, here in zip(queries, expected, found, strict=True):
        told = ["additional results" in there["told"], "were ignored" in there["told"]]
        if there["rows"] != here["rows"] or told != [bool(here["remaining"]), bool(here["ignored"])]:
            shown = [json.dumps(one, ensure_ascii=False, sort_keys=True)[:1500] for one in (there, here)]
            different.append((query, *shown))
    return different
