"""``validate_doc_update``: what is let into the database."""

import copy

import pytest

UID = {"vr": "UI"}
INSTANCE = {
    "_id": "1.2:1.3:1.4",
    "type": "instance",
    "dataset": {
        "0020000D": {**UID, "Value": ["1.2"]},
        "0020000E": {**UID, "Value": ["1.3"]},
        "00080018": {**UID, "Value": ["1.4"]},
    },
    "file": {"store": "attachment", "size": 3, "transferSyntax": "1.2.840.10008.1.2.1"},
    "_attachments": {"object.dcm": {"stub": True}},
}
STUDY = {"_id": "1.2:study", "type": "study", "series": {}, "dataset": {"0020000D": {**UID, "Value": ["1.2"]}}}
SERIES = {"_id": "1.2:1.3", "type": "series", "dataset": {"0020000E": {**UID, "Value": ["1.3"]}}}


def changed(doc, path, value):
    doc = copy.deepcopy(doc)
    place = doc
    for key in path[:-1]:
        place = place[key]
    if value is None:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    return doc


WAITS = {"state": "waiting", "due": "2026-11-27T08:00:00Z"}
FORWARD = {"_id": "forward-0a1b", "type": "forward", "instance": "1.2:1.3:1.4", "to": "PACS", **WAITS}
COMMITMENT = {"type": "commitment", "calling": "CT1", "transaction": "1.5", "instances": [["1.2", "1.4"]], **WAITS}
COMMITMENT["_id"] = "commitment-0a1b"


@pytest.mark.parametrize("doc", [FORWARD, COMMITMENT])
def test_what_is_queued_has_what_sending_takes(ddoc, doc):
    assert ddoc.refusal(doc) is None
    for key in doc.keys() - {"_id", "type"}:
        assert ddoc.refusal({**doc, key: 5}), key
    assert ddoc.refusal({**doc, "_id": "1.2:forward"})
    assert ddoc.refusal({**doc, "state": "sending"})
    assert ddoc.refusal({**doc, "state": "sending", "by": "host 127.0.0.1:11112", "until": WAITS["due"]}) is None


ENTRY = {"instance": "1.2:1.3:1.4", "action": "create", "at": "2026-11-27T08:00:00.000000Z"}
CHANGES = {"_id": "changes-0a1b-0000000000", "type": "changes", "log": "0a1b", "first": 1, "since": 0}
CHANGES |= {"entries": [ENTRY], "corrections": []}


@pytest.mark.parametrize(
    "wrong",
    [
        {"log": "0a"},
        {"first": "1"},
        {"entries": {}},
        {"corrections": None},
        {"entries": [{**ENTRY, "action": "read"}]},
        {"entries": [{**ENTRY, "instance": "1"}]},
    ],
)
def test_a_page_of_changes_has_what_reading_takes(ddoc, wrong):
    assert ddoc.refusal(CHANGES) is None
    assert ddoc.refusal({**CHANGES, **wrong})


@pytest.mark.parametrize("doc", [INSTANCE, STUDY, SERIES, {"_id": "x", "_deleted": True}, {"_id": "_design/other"}])
def test_what_is_let_in(ddoc, doc):
    assert ddoc.refusal(doc) is None


@pytest.mark.parametrize(
    ("doc", "path", "value", "reason"),
    [
        (INSTANCE, ["type"], "patient", "type must be"),
        (INSTANCE, ["_id"], "1.2:1.3", "does not name"),
        (INSTANCE, ["_id"], "1.2::1.4", "does not name"),
        (INSTANCE, ["_id"], "1.9:1.3:1.4", "0020000D must be"),
        (INSTANCE, ["dataset"], None, "dataset must be"),
        (INSTANCE, ["dataset", "PatientID"], {"vr": "LO"}, "not a tag"),
        (INSTANCE, ["dataset", "00100020"], "x", "has no vr"),
        (INSTANCE, ["dataset", "00100020"], {"vr": "LO", "Value": "x"}, "must be an array"),
        (INSTANCE, ["file"], None, "file must say"),
        (INSTANCE, ["file", "size"], "3", "file needs"),
        (INSTANCE, ["_attachments"], None, "object.dcm is missing"),
        (STUDY, ["_id"], "1.2:other", "ends in"),
        (STUDY, ["series"], None, "series must say"),
        (SERIES, ["dataset", "0020000E"], {"vr": "UI"}, "0020000E must be"),
    ],
)
def test_what_is_kept_out(ddoc, doc, path, value, reason):
    assert reason in ddoc.refusal(changed(doc, path, value))
