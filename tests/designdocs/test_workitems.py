"""The state machine of the worklist (PS3.4 CC.1.1), its requirements (CC.2.5) and check of documents, on quickjs."""

from __future__ import annotations

import copy
import json
from hashlib import sha256
from unittest.mock import ANY

import pytest

from tests import workitems
from tests.designdocs.engine import DesignDocument
from tests.workitems import CELLS, DISCONTINUED, OTHER, PERFORMED, STATES, TRANSACTION, code, creation, in_state, text

UID = "2.25.1"


@pytest.fixture(scope="module")
def worklist():
    return DesignDocument("worklist")


def ask(worklist, name, doc, body, uid=UID):
    """Run an update; return the new document or None, and status code and body of the answer."""
    request = {"id": f"workitem-{uid}", "uuid": "u1", "body": json.dumps(body), "query": {}}
    written, response = worklist.post(name, doc, request)
    return written, response["code"], json.loads(response["body"])


def create(worklist, dataset, subscribers=()):
    return ask(worklist, "create", None, {"dataset": dataset, "subscribers": list(subscribers)})


def run(worklist, event, doc):
    """Send what an event of the table is."""
    known = "" if "without a" in event else OTHER if "without" in event else TRANSACTION
    if event == "N-CREATE":
        return ask(worklist, "create", doc, {"dataset": creation(), "subscribers": []})
    if event == "Request Cancel":
        return ask(worklist, "cancel", doc, {"dataset": {}, "requester": "BOSS"})
    if "without correct" in event and not (doc and "lock" in doc):
        known = "no UID!"  # without a lock any UID is the right one
    if event.startswith("N-SET"):
        return ask(worklist, "set", doc, {"dataset": {"00741204": text("LO", "Other")}, "transaction": known})
    state = event.partition(" to ")[2].partition(",")[0]
    return ask(worklist, "state", doc, {"state": state, "transaction": known})


def ready(doc):
    """Return a document that has what both final states require, as its performer wrote it before."""
    return doc and {**doc, "_rev": "1-a", "dataset": {**doc["dataset"], **PERFORMED, **DISCONTINUED}}


@pytest.mark.parametrize(("event", "state", "expected"), CELLS)
def test_state_table(worklist, ddoc, event, state, expected):
    old = ready(in_state(UID, state))
    new, _code, told = run(worklist, event, copy.deepcopy(old))
    if expected in STATES:
        assert told["ok"]
        assert new["dataset"]["00741000"]["Value"] == [new["history"][-1]["state"]] == [expected]
    elif expected == "0000":
        assert told == {"ok": True, "warnings": []}
        assert new["history"] == old["history"]
    elif expected[0] == "B":
        assert new is None
        assert told["warnings"]
    else:
        assert new is None
        assert told["error"] == expected
    if new:
        # What the functions write the check lets in, as an edit and as a revision that replicates.
        assert ddoc.refusal({**new, "_rev": "1-a"}, old and {**old, "_rev": "1-a"}) is None
        assert ddoc.refusal({**new, "_rev": "9-b"}) is None
        assert "00081195" not in new["dataset"]
        assert TRANSACTION not in json.dumps(new)


def rev(doc, value):
    return doc and {**doc, "_rev": value}


@pytest.mark.parametrize(("event", "state", "expected"), CELLS)
def test_direct_writes(ddoc, event, state, expected):
    if event == "N-CREATE" and state != "null":
        return  # the database itself refuses a document without its revision
    if event.startswith("N-SET") and state == "null":
        return  # that creates one
    if event.startswith("N-SET, without a"):
        event = "N-SET, without correct Transaction UID"
    old = in_state(UID, state)
    written = workitems.direct(event, old, UID)
    allowed = expected in STATES or expected == "0000"
    if event.startswith("N-SET") and state == "SCHEDULED":
        # With a lock where nobody is at work it is refused, without one anybody may write.
        allowed = "without" in event
    refusal = ddoc.refusal(rev(written, "1-a") if old else written, rev(old, "1-a"))
    assert (refusal is None) == allowed, refusal


def test_a_lock_shows_who_knows_the_transaction(ddoc):
    old = rev(in_state(UID, "IN PROGRESS"), "2-a")
    assert ddoc.refusal(rev(workitems.changed(old, TRANSACTION), "2-a"), old) is None
    for wrong in (
        workitems.changed(old, OTHER),
        workitems.changed(old, None),
        {**workitems.changed(old, TRANSACTION), "lock": old["lock"]},
        {**old, "lock": workitems.lock(UID, OTHER, 1)},
        {**workitems.changed(old, TRANSACTION), "lock": workitems.lock(UID, TRANSACTION, 3)},
        {**workitems.changed(old, TRANSACTION), "history": old["history"][:1]},
    ):
        assert ddoc.refusal(rev(wrong, "2-a"), old)


def test_what_replicates(ddoc):
    completed = in_state(UID, "COMPLETED")
    scheduled = rev(in_state(UID, "SCHEDULED"), "1-a")
    # A revision whose parent is unknown here, or several steps back.
    assert ddoc.refusal(rev(completed, "5-e")) is None
    several = {**rev(completed, "3-c"), "_revisions": {"start": 3, "ids": ["c", "b", "a"]}}
    assert ddoc.refusal(several, scheduled) is None
    # An edit does not make the same steps at once.
    assert "once at a time" in ddoc.refusal(rev(completed, "1-a"), scheduled)
    # Of what is known here, history goes on; another branch is another matter, and CouchDB keeps both.
    back = {**rev(in_state(UID, "IN PROGRESS"), "4-d"), "_revisions": {"start": 4, "ids": ["d", "c", "b", "a"]}}
    assert "history" in ddoc.refusal(back, rev(completed, "3-c"))
    branch = {**back, "_revisions": {"start": 4, "ids": ["d", "x", "y", "a"]}}
    assert ddoc.refusal(branch, rev(completed, "3-c")) is None
    # What says nonsense of itself is refused wherever it comes from.
    for wrong in (
        {**completed, "history": completed["history"][1:]},
        {**completed, "history": completed["history"][:2]},
        {**completed, "dataset": scheduled["dataset"]},
        {key: value for key, value in completed.items() if key != "lock"},
        {**completed, "dataset": {**completed["dataset"], "00741216": text("SQ")}},
        {**completed, "dataset": {**completed["dataset"], "00081195": text("UI", "1.2")}},
        {**completed, "dataset": {**completed["dataset"], "00741204": text("LO")}},
        {**completed, "dataset": {**completed["dataset"], "00741200": text("CS", "URGENT")}},
        {**completed, "subscribers": {"X": True}},
        {**completed, "events": [{}]},
        {**completed, "events": [{"id": "e1", "to": ["WATCHER"], "type": 1, "info": {}}]},
        {**completed, "_id": "workitem-1.9"},
    ):
        assert ddoc.refusal(rev(wrong, "5-e"))


def test_deletion(ddoc):
    def refusal(doc, rev_="3-c"):
        return ddoc.refusal({"_id": doc["_id"], "_rev": rev_, "_deleted": True}, rev(doc, "3-c"))

    completed = in_state(UID, "COMPLETED")
    assert refusal(completed) is None
    locked = {**completed, "subscribers": {"WATCHER": {"lock": True}}}
    assert "WATCHER has a deletion lock" in refusal(locked)
    assert refusal(in_state(UID, "SCHEDULED"))
    assert refusal(in_state(UID, "IN PROGRESS"))
    # A deletion that replicates was allowed where it was made.
    assert refusal(locked, "4-d") is None


@pytest.mark.parametrize("size", [0, 1, 54, 55, 56, 63, 64, 65, 119, 120, 1000])
def test_sha256(worklist, size):
    message = "".join(chr(33 + number % 90) for number in range(size))
    assert worklist.call("lib/workitem/sha256", "hex", message) == sha256(message.encode()).hexdigest()


REQUIREMENTS = json.loads((workitems.ROOT / "designdocs/worklist/tables/requirements.json").read_text())
TYPE_1 = ["00404005", "00404041", "00741000", "00741200", "00741204"]


def test_creation_needs_type_1_and_fills_type_2(worklist):
    required = [tag for tag, row in REQUIREMENTS.items() if row["create"] == "1/1"]
    assert required == ["00080016", "00080018", *TYPE_1]
    for tag in TYPE_1:
        for given in ({}, {tag: text("CS")}, {tag: text("CS", "")}):
            dataset = {**{key: value for key, value in creation().items() if key != tag}, **given}
            written, status, told = create(worklist, dataset)
            assert (written, status, told["error"]) == (None, 400, "0106")
            assert f"({tag[:4]},{tag[4:]})" in told["reason"]
    written, status, told = create(worklist, creation())
    assert status == 201
    assert told["warnings"][0].startswith("The Workitem was created with modifications.")
    for tag, row in REQUIREMENTS.items():
        if row["create"].startswith("2/") and tag != "00081195":
            assert written["dataset"][tag]["vr"] == row["vr"]
    assert written["dataset"]["00741202"]["Value"] == ["Worklist"]  # 2/1: the SCP fills it
    assert written["dataset"]["00404010"]["Value"][0].endswith("+0000")
    whole = {tag: written["dataset"][tag] for tag in written["dataset"] if not tag.startswith("000800")}
    _written, _status, told = create(worklist, whole)
    assert told["warnings"] == []


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"00741000": text("CS", "IN PROGRESS")}, "not SCHEDULED"),
        ({"00081195": text("UI", "1.2")}, "must be empty"),
        ({"00741002": DISCONTINUED["00741002"]}, "must be empty"),
        ({"00741216": PERFORMED["00741216"]}, "must be empty"),
        ({"00741200": text("CS", "URGENT")}, "HIGH, MEDIUM, LOW"),
        ({"00404041": text("CS", "MAYBE")}, "READY"),
        ({"00080016": text("UI", "1.2")}, "1.2.840.10008.5.1.4.34.6.1"),
        ({"00080018": text("UI", "1.2")}, UID),
        ({"00404011": text("DT")}, "ExpectedCompletionDateTime"),
        ({"00404034": text("SQ", {"00404037": text("PN", {"Alphabetic": "A"})})}, "HumanPerformerCodeSequence"),
        ({"0040A370": text("SQ", {"00080050": text("SH", "1")})}, "StudyInstanceUID"),
        ({"00101002": text("SQ", {"00100020": text("LO")})}, "OtherPatientIDsSequence.PatientID"),
    ],
)
def test_creation_is_refused(worklist, given, reason):
    written, status, told = create(worklist, creation(**given))
    assert (written, status) == (None, 400)
    assert reason in told["reason"]


@pytest.mark.parametrize("form", [{"BulkDataURI": "x"}, {"InlineBinary": "AAAA"}, {"Value": [{"Alphabetic": "A"}]}])
def test_what_is_no_text_is_refused(worklist, form):
    """PS3.18 F.2.2 has these forms for bulk data; an Attribute of few values has none of them here."""
    with_values = {tag: row["vr"] for tag, row in REQUIREMENTS.items() if "values" in row}
    for tag, vr in {"00741000": "CS", "00080016": "UI", "00080018": "UI", **with_values}.items():
        written, status, told = create(worklist, creation(**{tag: {"vr": vr, **form}}))
        assert (written, status, told["error"]) == (None, 400, "C309" if tag == "00741000" else "0106"), tag
        old = rev(in_state(UID, "SCHEDULED"), "1-a")
        asked = {"dataset": {tag: {"vr": vr, **form}}, "transaction": ""}
        assert ask(worklist, "set", old, asked)[1:] == (400, {"error": "0106", "reason": ANY}), tag
    # What no table has values for is kept as it came.
    for tag, row in REQUIREMENTS.items():
        assert create(worklist, creation(**{tag: {"vr": row["vr"], **form}}))[1] in (201, 400), tag


@pytest.mark.parametrize("state", ["set", "create", "request cancel", "toString", "", "IN PROGRESS, correct"])
def test_what_is_no_state_is_refused(worklist, state):
    """PS3.4 Table CC.2.1-1: the names of other events of the state machine are no states."""
    for now in ("SCHEDULED", "IN PROGRESS"):
        old = rev(in_state(UID, now), "1-a")
        asked = {"state": state, "transaction": TRANSACTION}
        written, status, told = ask(worklist, "state", old, asked)
        assert (written, status, told["error"]) == (None, 400, "0106")


def test_changes_by_type(worklist):
    old = rev(in_state(UID, "SCHEDULED"), "1-a")
    for tag, row in REQUIREMENTS.items():
        given = {
            tag: {"vr": row["vr"], "Value": [row.get("values", ["1"])[0]]} if row["vr"] != "SQ" else text("SQ", {})
        }
        if row["vr"] == "PN":
            given[tag]["Value"] = [{"Alphabetic": "A"}]
        written, status, told = ask(worklist, "set", copy.deepcopy(old), {"dataset": given, "transaction": ""})
        if row["set"] in ("not allowed", "-/-"):
            assert (written, status, told["error"]) == (None, 400, "0106"), row
        elif row["vr"] != "SQ" and tag not in ("00081195", "00080005", "00404010"):
            assert written["dataset"][tag] == given[tag], row
        if row["set"] in ("3/1", "3/2"):
            empty = {"dataset": {tag: {"vr": row["vr"]}}, "transaction": ""}
            status = ask(worklist, "set", copy.deepcopy(old), empty)[1]
            assert (status == 400) == (row["set"] == "3/1"), row


def test_final_state_requirements(worklist):
    old = rev(in_state(UID, "IN PROGRESS"), "1-a")

    def finish(state, more):
        doc = {**copy.deepcopy(old), "dataset": {**old["dataset"], **copy.deepcopy(more)}}
        return ask(worklist, "state", doc, {"state": state, "transaction": TRANSACTION})

    assert finish("COMPLETED", {})[2]["error"] == "C304"
    assert finish("COMPLETED", PERFORMED)[1] == 200
    # P: each attribute of the performed procedure; one of them may have no items, but is there.
    for tag in PERFORMED["00741216"]["Value"][0]:
        item = {key: value for key, value in PERFORMED["00741216"]["Value"][0].items() if key != tag}
        _doc, status, told = finish("COMPLETED", {"00741216": text("SQ", item)})
        assert status == 409
        assert f"({tag[:4]},{tag[4:]})" in told["reason"]
    # X: why it was discontinued; when is filled in by the server.
    assert finish("CANCELED", {})[2]["error"] == "C304"
    doc, status, _told = finish("CANCELED", {"00741002": text("SQ", {"0074100E": code("110514", "DCM")})})
    assert status == 200
    assert doc["dataset"]["00741002"]["Value"][0]["00404052"]["Value"][0]


def events_of(doc):
    return [(event["type"], event["to"], event["info"]) for event in doc.get("events", [])]


def state_report(state, **more):
    return {"00404041": text("CS", "READY"), "00741000": text("CS", state), **more}


def test_events(worklist):
    watcher = [
        {"ae": "WATCHER", "lock": True},
        {"ae": "PICKY", "lock": False, "filter": {"00741200": {"vr": "CS", "values": ["HIGH"]}}},
    ]
    doc = create(worklist, creation(**{"00404025": code("WS1")}), watcher)[0]
    assert doc["subscribers"] == {"WATCHER": {"lock": True}}
    assert events_of(doc) == [
        (1, ["WATCHER"], state_report("SCHEDULED")),
        (5, ["WATCHER"], {"00404025": code("WS1")}),
    ]
    high = create(worklist, creation(**{"00741200": text("CS", "HIGH")}), watcher)[0]
    assert set(high["subscribers"]) == {"WATCHER", "PICKY"}
    assert create(worklist, creation())[0].get("events") is None

    def step(name, body):
        before = len(doc["events"])
        written = ask(worklist, name, copy.deepcopy(doc), body)[0]
        return written, events_of(written)[before:]

    performer = {
        "00404009": code("RAD1"),
        "00404036": text("LO", "Here"),
        "00404037": text("PN", {"Alphabetic": "A^B"}),
    }
    changed = {"00404034": text("SQ", performer), "00404041": text("CS", "UNAVAILABLE")}
    _doc, told = step("set", {"dataset": changed, "transaction": ""})
    unavailable = {**state_report("SCHEDULED"), "00404041": text("CS", "UNAVAILABLE")}
    assigned = {"00404009": code("RAD1"), "00404025": code("WS1"), "00404036": text("LO", "Here")}
    assert [(kind, info) for kind, _to, info in told] == [(1, unavailable), (5, assigned)]
    _doc, told = step("set", {"dataset": {"00741204": text("LO", "Again")}, "transaction": ""})
    assert told == []

    canceled, told = step(
        "cancel", {"dataset": {"00741238": text("LT", "no"), "0074100A": text("UR", "tel:1")}, "requester": "X"}
    )
    unspecified = canceled["dataset"]["00741002"]["Value"][0]["0074100E"]
    assert unspecified["Value"][0]["00080100"]["Value"] == ["110513"]
    assert [info for _kind, _to, info in told] == [
        state_report("IN PROGRESS"),
        state_report("CANCELED", **{"00741238": text("LT", "no"), "0074100E": unspecified}),
    ]

    doc, told = step("state", {"state": "IN PROGRESS", "transaction": TRANSACTION})
    assert told == [(1, ["WATCHER"], state_report("IN PROGRESS"))]
    progress = {"00741002": text("SQ", {"00741004": text("DS", 50)})}
    doc, told = step("set", {"dataset": progress, "transaction": TRANSACTION})
    assert told == [(3, ["WATCHER"], progress)]
    doc, told = step("cancel", {"dataset": {"00741238": text("LT", "stop")}, "requester": "BOSS"})
    assert told == [(2, ["WATCHER"], {"00741236": text("AE", "BOSS"), "00741238": text("LT", "stop")})]
    assert doc["dataset"]["00741000"]["Value"] == ["IN PROGRESS"]
    lonely = {**copy.deepcopy(doc), "subscribers": {}}
    assert ask(worklist, "cancel", lonely, {"dataset": {}, "requester": "BOSS"})[2]["error"] == "C312"
    doc, told = step("subscribe", {"ae": "LATE", "lock": False, "report": True})
    assert told == [(1, ["LATE"], state_report("IN PROGRESS"))]
    for number in range(40):
        progress = {"00741002": text("SQ", {"00741004": text("DS", number)})}
        doc = ask(worklist, "set", doc, {"dataset": progress, "transaction": TRANSACTION})[0]
    assert len(doc["events"]) == 32


def test_subscribers(worklist, ddoc):
    def subscriber(doc, **asked):
        request = {
            "id": "subscriber-A 1",
            "uuid": "u",
            "body": json.dumps({"ae": "A 1", "server": "here", "started": "1", **asked}),
        }
        written, response = worklist.post("subscriber", doc, request)
        if written:
            assert ddoc.refusal(written) is None
        return written, response["code"], json.loads(response["body"])

    assert subscriber(None, open=True) == (None, 200, {"restarted": False})
    assert subscriber(None, kind="global", off=True)[1] == 404
    doc = subscriber(None, kind="global", lock=True)[0]
    assert doc["global"] == {"lock": True}
    assert subscriber(doc, open=True)[2] == {"restarted": False}
    assert subscriber(doc, open=True, server="there")[2] == {"restarted": False}
    again, _code, told = subscriber(doc, open=True, started="2")
    assert (again["servers"], told) == ({"here": "2"}, {"restarted": True})
    assert "global" not in subscriber(doc, kind="global", off=True)[0]
    assert ddoc.refusal({**doc, "_id": "subscriber-B"})
    assert ddoc.refusal({**doc, "filtered": {}})


def test_subscribing_to_all(worklist):
    rows = [{"doc": in_state(f"1.{number}", state)} for number, state in enumerate(STATES[1:])] + [
        {"error": "not_found"}
    ]
    changed = worklist.list("subscribe", rows, {"ae": "NEW", "lock": True, "report": True}, **{})["body"]
    assert [doc["subscribers"]["NEW"] for doc in changed] == [{"lock": True}] * 4
    assert all(doc["events"][-1]["to"] == ["NEW"] for doc in changed)
    assert worklist.list("subscribe", rows, {"ae": "WATCHER", "lock": False, "report": True})["body"] == []
    gone = worklist.list("subscribe", rows, {"ae": "WATCHER", "off": True})["body"]
    assert [doc["subscribers"] for doc in gone] == [{}] * 4


def test_index():
    dicom = DesignDocument("dicom")
    doc = workitems.scheduled(UID)
    doc["dataset"].update({"00404018": code("SEG"), "00404025": code("WS1"), "00100020": text("LO", " P1 ")})
    keys = [key for key, _value in dicom.map("workitems", doc)]
    tail = ["20261127103000", UID]
    for name, value in (("all", ""), ("patient", "P1"), ("code", "SEG"), ("station", "WS1")):
        assert [name, value, "", *tail] in keys
        assert [name, value, "SCHEDULED", *tail] in keys
    assert len(keys) == 8
    for odd in (
        {"type": "workitem"},
        {"type": "workitem", "_id": "workitem-1", "dataset": {"00404018": {"Value": [None, 1]}}},
        {"type": "study"},
    ):
        dicom.map("workitems", odd)
        dicom.map("workitem_events", odd)
