"""A synthetic archive: documents as a store would leave them, without pixels, written in bulk."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator

import requests

FAMILIES = ["Smith", "Schmidt", "Müller", "Meier", "Doe", "O'Neill", "García", "Łukasz", "Иванов", "Kowalski", "Nguyen"]
GIVEN = ["John", "Anna", "Jörg", "María", "Sean", "Пётр", "Li", "Tarou", "Eva", "Katharina"]
MODALITIES = ["CT", "MR", "US", "CR"]


def attribute(vr: str, *values) -> dict:
    """Return an attribute of the DICOM JSON Model (PS3.18 F.2)."""
    if vr == "PN":
        values = tuple({"Alphabetic": value} if isinstance(value, str) else value for value in values)
    return {"vr": vr, "Value": list(values)} if values else {"vr": vr}


def study_documents(number: int, series: int = 3, instances: int = 10) -> Iterator[dict]:
    """Yield the documents of one study; the same ones for the same number."""
    rng = random.Random(number)
    study = f"1.2.826.0.1.{number}"
    day = f"{2000 + number % 24}{1 + number % 12:02d}{1 + number % 28:02d}"
    kinds = [rng.choice(MODALITIES) for _ in range(series)]
    name = f"{rng.choice(FAMILIES)}^{rng.choice(GIVEN)}"
    yield {
        "_id": f"{study}:study",
        "type": "study",
        "summary": name,
        "dataset": {
            "00080020": attribute("DA", day),
            "00080030": attribute("TM", f"{number % 24:02d}{number % 60:02d}00"),
            "00080050": attribute("SH", f"A{number:07d}"),
            "00080090": attribute("PN", "Referrer^Rita"),
            "00081030": attribute("LO", f"{kinds[0]} of {rng.choice(['thorax', 'abdomen', 'head'])}"),
            "00100010": attribute("PN", name),
            "00100020": attribute("LO", f"P{number // 2:06d}"),
            "00100030": attribute("DA", f"{1940 + number % 60}0101"),
            "00100040": attribute("CS", "MF"[number % 2]),
            "0020000D": attribute("UI", study),
            "00200010": attribute("SH", str(number)),
        },
        "series": {f"{study}.{place}": kind for place, kind in enumerate(kinds, 1)},
        "variants": {},
    }
    for place, kind in enumerate(kinds, 1):
        uid = f"{study}.{place}"
        request = {"00400009": attribute("SH", f"S{number}"), "00401001": attribute("SH", f"R{place}")}
        yield {
            "_id": f"{study}:{uid}",
            "type": "series",
            "summary": kind,
            "dataset": {
                "00080060": attribute("CS", kind),
                "0008103E": attribute("LO", f"{kind} series {place}"),
                "0020000E": attribute("UI", uid),
                "00200011": attribute("IS", place),
                "00400244": attribute("DA", day),
                "00400275": attribute("SQ", {**request, "00321060": attribute("LO", "Procedure")}),
            },
            "variants": {},
        }
        for one in range(1, instances + 1):
            sop = f"{uid}.{one}"
            yield {
                "_id": f"{study}:{uid}:{sop}",
                "type": "instance",
                "summary": f"{kind} {one}",
                "dataset": {
                    "00080016": attribute("UI", "1.2.840.10008.5.1.4.1.1.2"),
                    "00080018": attribute("UI", sop),
                    "0020000D": attribute("UI", study),
                    "0020000E": attribute("UI", uid),
                    "00090010": attribute("LO", "DICOUCH TEST"),
                    "00091001": attribute("LO", f"Private {number % 7}"),
                    "00091002": attribute("DS", number % 5 + 0.5),
                    "00180050": attribute("DS", 1.5),
                    "00200013": attribute("IS", one),
                    "00280010": attribute("US", 512),
                    "00280011": attribute("US", 512),
                    "00280100": attribute("US", 16),
                    "7FE00010": {"vr": "OW", "BulkDataURI": "bulkdata/7FE00010"},
                },
                "file": {"store": "folder:none", "size": 1, "transferSyntax": "1.2.840.10008.1.2.1", "sha256": "0"},
            }


def fill(database: str, first: int, last: int, series: int = 3, instances: int = 10) -> None:
    """Write studies number `first` up to `last` (exclusive) into a database."""
    batch: list[dict] = []
    for number in range(first, last):
        batch += study_documents(number, series, instances)
        if len(batch) >= 2000 or number == last - 1:
            write(database, batch)
            batch = []


def write(database: str, documents: list[dict]) -> None:
    """Write documents in bulk; every one must be taken."""
    body = json.dumps({"docs": documents})
    answer = requests.post(f"{database}/_bulk_docs", body, headers={"Content-Type": "application/json"}, timeout=120)
    answer.raise_for_status()
    refused = [row for row in answer.json() if "error" in row]
    assert not refused, refused[:3]
