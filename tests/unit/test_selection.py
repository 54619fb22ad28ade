"""``shim/rewrite/selection.py``: which documents a replication takes."""

from __future__ import annotations

import re

import pytest

from dicouch.rewrite.selection import Selection
from dicouch.scripts.replicate import _moment


def matches(condition: dict, document: dict) -> bool:
    """Return whether a document is chosen, as far as these selectors go (Mango: docs.couchdb.org, /db/_find)."""
    if "$or" in condition:
        return any(matches(one, document) for one in condition["$or"])
    return all(_holds(wanted, _field(document, path)) for path, wanted in condition.items())


def _field(document: object, path: str) -> object:
    for name in path.split("."):
        document = document.get(name) if isinstance(document, dict) else None
    return document


def _holds(wanted: object, value: object) -> bool:
    if not isinstance(wanted, dict):
        return wanted == value
    ((operator, operand),) = wanted.items()
    tests = {
        "$regex": lambda: isinstance(value, str) and re.search(operand, value) is not None,
        "$in": lambda: value in operand,
        "$gte": lambda: isinstance(value, str) and value >= operand,
        "$elemMatch": lambda: isinstance(value, list) and any(_holds(operand, one) for one in value),
        "$eq": lambda: value == operand,
    }
    return tests[operator]()


def document(identifier: str, kind: str, **tags: str) -> dict:
    dataset = {tag[1:]: {"vr": "LO", "Value": [value]} for tag, value in tags.items()}
    return {"_id": identifier, "type": kind, "dataset": dataset}


STUDY = {**document("1.2:study", "study", t00100020="P1"), "ModalitiesInStudy": ["CT", "MR"]}
SERIES = document("1.2:1.2.1", "series", t00080060="CT")
CT = {**document("1.2:1.2.1:1", "instance", t00080060="CT", t00100020="P1"), "stored": "2026-05-01T00:00:00Z"}
MR = {**document("1.2:1.2.2:2", "instance", t00080060="MR", t00100020="P1"), "stored": "2026-06-01T00:00:00Z"}
EXACT = {**document("1.2:1.2.2:4", "instance", t00080060="US"), "stored": "2026-06-01T00:00:00.500000Z"}
OTHER = document("1.23:1.2.1:1", "instance", t00100020="P2")
GONE = {"_id": "1.2:1.2.1:9", "_deleted": True}
DESIGN, GONE_DESIGN = {"_id": "_design/dicom", "views": {}}, {"_id": "_design/a:b", "_deleted": True}
WAITING, SENT = {"_id": "forward-1", "type": "forward"}, {"_id": "forward-2", "_deleted": True}
REPORT, REPORTED = {"_id": "commitment-1", "type": "commitment"}, {"_id": "commitment-2", "_deleted": True}
LOG, GONE_LOG = {"_id": "changes-0a-0000000001", "type": "changes"}, {"_id": "changes-0b-0000000001", "_deleted": True}
MARK = {"_id": "replication", "type": "replication"}
WORKITEM = {"_id": "workitem-1.2", "type": "workitem"}
QUEUE, LOGS = ("WAITING", "SENT", "REPORT", "REPORTED"), ("LOG", "GONE_LOG")
COPIED = ("STUDY", "SERIES", "CT", "MR", "EXACT", "OTHER", "GONE", "DESIGN", "GONE_DESIGN", *QUEUE, "MARK", "WORKITEM")
NAMES = (*COPIED, *LOGS)


def chosen(selection: Selection, **known: list[str]) -> str:
    selector = selection.selector(**known)
    return " ".join(name for name in NAMES if matches(selector, globals()[name]))


@pytest.mark.parametrize(
    ("selection", "known", "expected"),
    [
        (Selection(), {}, "STUDY SERIES CT MR EXACT OTHER GONE MARK WORKITEM"),
        (Selection(designs=True, queue=True), {}, " ".join(COPIED)),
        (Selection(study="1.9", queue=True), {}, f"{' '.join(QUEUE)} MARK"),
        (Selection(study="1.2"), {}, "STUDY SERIES CT MR EXACT GONE MARK"),  # not that of 1.23
        (Selection(study="1.9"), {}, "MARK"),
        (Selection(patient="P1"), {}, "STUDY CT MR GONE MARK"),
        (Selection(patient="P1"), {"studies": ["1.2"]}, "STUDY SERIES CT MR EXACT GONE MARK"),
        # The header says so, or a person; the instance itself may not.
        (Selection(patient="P9"), {"studies": ["1.23"]}, "OTHER GONE MARK"),
        (Selection(modality="CT"), {}, "STUDY SERIES CT GONE MARK"),
        (Selection(modality="US"), {"series": ["1.2:1.2.2"]}, "MR EXACT GONE MARK"),
        (
            Selection(since=_moment("2026-06-01")),
            {},
            "MR EXACT GONE MARK",
        ),  # the first second, with and without a fraction
        (Selection(since=_moment("2026-06-01T02:00:01+02:00")), {}, "GONE MARK"),
        (Selection(since="2026-05-15T00:00:00Z"), {"headers": ["1.2:study"]}, "STUDY MR EXACT GONE MARK"),
    ],
)
def test_what_is_chosen(selection, known, expected):
    """Deletions go by their ids, as nothing else is left of them; queue, log and designs of a server stay with it."""
    assert chosen(selection, **known) == expected


def test_what_takes_a_part_of_a_study():
    assert not Selection(study="1.2").is_partial
    assert not Selection(patient="P1").is_partial
    assert Selection(modality="CT").is_partial
    assert Selection(since="2026-05-15T00:00:00Z").is_partial
