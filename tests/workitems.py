"""Workitems for tests: data sets, the documents that a direct write of each event has, and PS3.4 Table CC.1.1-2.

The lock is made here by hashlib, apart from the design document's own SHA-256.
"""

from __future__ import annotations

import copy
import json
from hashlib import sha256

from tests.prefork import ROOT

# Event, then what becomes of a workitem in each of STATES: another state, or a status of PS3.4 CC.2. The last three are
# of CC.2.6.3.
TABLE = json.loads((ROOT / "tests/fixtures/workitems/states.json").read_text())
STATES = ("null", "SCHEDULED", "IN PROGRESS", "COMPLETED", "CANCELED")
CELLS = [(event, state, row[number]) for event, row in TABLE.items() for number, state in enumerate(STATES)]
TRANSACTION, OTHER = "2.25.1001", "2.25.1002"


def text(vr: str, *values: object) -> dict:
    return {"vr": vr, "Value": list(values)} if values else {"vr": vr}


def code(value: str, scheme: str = "99TEST") -> dict:
    return {"vr": "SQ", "Value": [{"00080100": text("SH", value), "00080102": text("SH", scheme)}]}


def creation(**more: dict) -> dict:
    """Return a data set that has what N-CREATE requires of an SCU (type 1), and `more` by tag."""
    required = {
        "00404005": text("DT", "20261127103000"),
        "00404041": text("CS", "READY"),
        "00741000": text("CS", "SCHEDULED"),
        "00741200": text("CS", "MEDIUM"),
        "00741204": text("LO", "Segment"),
    }
    return {**required, **more}


PERFORMED = {
    "00741216": text(
        "SQ",
        {
            "00404019": code("SEG"),
            "00404028": code("WS1"),
            "00404033": text("SQ"),
            "00404050": text("DT", "20261127110000"),
            "00404051": text("DT", "20261127111500"),
        },
    )
}
DISCONTINUED = {"00741002": text("SQ", {"0074100E": code("110514", "DCM"), "00404052": text("DT", "20261127110000")})}


def proof(workitem: str, transaction: str, count: int) -> str:
    return sha256(f"{workitem}\n{transaction}\n{count}".encode()).hexdigest()


def lock(workitem: str, transaction: str, count: int) -> dict:
    found = {"count": count, "digest": sha256(proof(workitem, transaction, count).encode()).hexdigest()}
    return {**found, "proof": proof(workitem, transaction, count - 1)} if count > 1 else found


def scheduled(uid: str) -> dict:
    """Return a document as it is created."""
    dataset = {**creation(), "00080016": text("UI", "1.2.840.10008.5.1.4.34.6.1"), "00080018": text("UI", uid)}
    dataset["00404010"] = text("DT", "20261127100000")
    return {
        "_id": f"workitem-{uid}",
        "type": "workitem",
        "dataset": dataset,
        "history": [{"state": "SCHEDULED", "at": "2026-11-27T10:00:00Z"}],
        "subscribers": {"WATCHER": {"lock": False}},
    }


def moved(doc: dict, *states: str, transaction: str | None = TRANSACTION) -> dict:
    """Return a document that a direct write brings into states, by who knows a Transaction UID, or none."""
    doc = copy.deepcopy(doc)
    uid = doc["_id"].removeprefix("workitem-")
    for state in states:
        doc["history"].append({"state": state, "at": "2026-11-27T11:00:00Z"})
        doc["dataset"]["00741000"] = text("CS", state)
        doc["dataset"].update({"COMPLETED": PERFORMED, "CANCELED": DISCONTINUED}.get(state, {}))
    if transaction:
        doc["lock"] = lock(uid, transaction, doc["lock"]["count"] + 1 if "lock" in doc else 1)
    return doc


def changed(doc: dict, transaction: str | None) -> dict:
    """Return a document with another label, written directly."""
    return moved({**doc, "dataset": {**doc["dataset"], "00741204": text("LO", "Other")}}, transaction=transaction)


def in_state(uid: str, state: str) -> dict | None:
    """Return a document in a state."""
    ways = {"SCHEDULED": (), "IN PROGRESS": ("IN PROGRESS",)}
    doc = scheduled(uid)
    for step in ways.get(state, ("IN PROGRESS", state)):
        doc = moved(doc, step)
    return None if state == "null" else doc


def direct(event: str, old: dict | None, uid: str) -> dict:
    """Return the document that whoever writes past the update functions would write for an event of the table."""
    knows = None if "without" in event else TRANSACTION
    doc = copy.deepcopy(old) if old else scheduled(uid)
    if event == "N-CREATE":
        return scheduled(uid)
    if event == "Request Cancel":
        if old and old["history"][-1]["state"] == "IN PROGRESS":
            event_2 = {"id": "e1", "at": "now", "to": ["WATCHER"], "type": 2, "info": {"00741236": text("AE", "X")}}
            return {**doc, "events": [event_2]}
        return moved(doc, "IN PROGRESS", "CANCELED", transaction=OTHER)
    if event.startswith("N-SET"):
        return changed(doc, knows)
    return moved(doc, event.partition(" to ")[2].partition(",")[0], transaction=knows)
