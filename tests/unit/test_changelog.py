"""``shim/couch/changelog.py`` and ``shim/rewrite/changefeed.py``: what is logged, and what is asked of the log."""

from __future__ import annotations

from copy import deepcopy
from datetime import UTC, datetime, timedelta

import orjson
import pytest

from dicouch.couch.changelog import PAGE, Change, ChangeLog, State, changes_of, moment
from dicouch.couch.response import CouchError
from dicouch.errors import DicomWebError
from dicouch.read.changefeed import entries_of
from dicouch.rewrite.changefeed import Asked, parse

ID = "1:2:3"
T = [f"2026-11-27T08:00:0{second}.000000Z" for second in range(10)]


def live(second):
    return State(True, T[second])


def gone(second):
    return State(False, T[second])


@pytest.mark.parametrize(
    ("last", "states", "expected"),
    [
        (None, [live(1)], ["create 1"]),
        (None, [live(1), live(2), gone(3), live(4)], ["create 1", "update 2", "delete 3", "create 4"]),
        # Bytes that were moved: another revision of the same instance.
        (None, [live(1), live(1), live(2)], ["create 1", "update 2"]),
        (("create", 1), [live(1), live(1)], []),
        (("create", 1), [live(1), live(2)], ["update 2"]),
        (("update", 2), [live(1), live(2), gone(3)], ["delete 3"]),
        (("delete", 3), [live(1), gone(3), live(4)], ["create 4"]),
        # CouchDB was compacted: the last revision is all that is left.
        (("create", 1), [live(4)], ["update 4"]),
        (("delete", 1), [live(4)], ["create 4"]),
        (None, [gone(4)], ["delete 4"]),
        (("delete", 1), [gone(4)], []),
        # Another branch of revisions won, after replication.
        (("update", 5), [live(1), live(3)], ["update 3"]),
    ],
)
def test_what_happened_since_the_last_entry(last, states, expected):
    known = Change(ID, last[0], T[last[1]]) if last else None
    found = list(changes_of(ID, known, states))
    assert [f"{change.action} {T.index(change.at)}" for change in found] == expected
    assert {change.id for change in found} <= {ID}


def stored(second, digest):
    return State(True, T[second], digest)


@pytest.mark.parametrize(
    ("digest", "states", "expected"),
    [
        # Two sites stored the same bytes, and replicate each other: the other's revision counts now.
        ("a", [stored(4, "a")], []),
        ("a", [stored(4, "a"), stored(5, "b")], ["update 5"]),
        ("a", [stored(4, "b")], ["update 4"]),
        ("", [stored(4, "a")], ["update 4"]),  # an entry of an older log
        ("a", [live(4)], ["update 4"]),
        ("a", [stored(1, "a"), gone(2), stored(4, "a")], ["delete 2", "create 4"]),
    ],
)
def test_the_same_bytes_stored_twice_are_no_change(digest, states, expected):
    known = Change(ID, "create", T[1], digest)
    assert [f"{one.action} {T.index(one.at)}" for one in changes_of(ID, known, states)] == expected


def test_a_digest_stays_in_the_log_and_what_was_done_meanwhile_is_read():
    database = Database()
    database.write(1, file={"sha256": "a" * 64})
    log = ChangeLog(database)
    log.catch_up(None)
    assert [one["sha256"] for page in database.pages for one in page["entries"]] == ["a" * 16]
    again = {"rev": "3-c"}, {"stored": T[4], "file": {"sha256": "a" * 64}}
    database.revisions = ["3-c", "2-b", "1-a"]
    database.told = {"1-a": database.changes[0]["doc"], "2-b": {"_deleted": True, "deleted": T[2]}, "3-c": again[1]}
    database.write(1, **again[1])
    database.changes[-1]["changes"] = [again[0]]
    log.catch_up(None)
    assert [one["action"] for page in database.pages for one in page["entries"]] == ["create", "delete", "create"]


def test_documents_of_revisions_are_read_some_at_a_time():
    database = Database()
    for number in range(120):
        database.write(number)
        database.changes[-1]["changes"] = [{"rev": "2-b"}]
    database.revisions = ["2-b", "1-a"]
    database.told = {"1-a": {"stored": T[1]}, "2-b": {"stored": T[2]}}
    ChangeLog(database).catch_up(None)
    assert sum(len(page["entries"]) for page in database.pages) == 240
    assert sum(database.bulk) == 120 * 3
    assert max(database.bulk) <= 50


def test_who_waits_for_the_log_is_told_to_come_again(monkeypatch):
    monkeypatch.setattr("dicouch.couch.changelog.LONGEST", 0.05)
    log = ChangeLog(Database())
    with log._lock, pytest.raises(DicomWebError, match="ask again") as told:
        log.catch_up(None)
    assert (told.value.status, told.value.headers) == (503, {"Retry-After": "5"})
    log.catch_up(None)


def test_times_of_documents_can_be_compared():
    assert moment("2026-11-23T08:00:00Z") == "2026-11-23T08:00:00.000000Z"
    assert moment("2026-11-23T08:00:00.5Z") == "2026-11-23T08:00:00.500000Z"
    assert moment("2026-11-23T08:00:00+02:00") == "2026-11-23T06:00:00.000000Z"
    assert moment(None) == moment("x") == ""


def test_what_was_written_past_the_server_has_the_time_at_which_that_was_seen():
    (created,) = changes_of(ID, None, [State(True, ""), State(True, "")])
    assert created.action == "create"
    assert abs(datetime.fromisoformat(created.at) - datetime.now(UTC)) < timedelta(minutes=1)
    # Looked at again, it is no other.
    assert list(changes_of(ID, created, [State(True, ""), State(True, "")])) == []
    (deleted,) = changes_of(ID, created, [State(True, ""), State(False, "")])
    assert deleted.action == "delete"
    assert list(changes_of(ID, deleted, [State(True, ""), State(False, "")])) == []
    assert [change.action for change in changes_of(ID, deleted, [State(False, ""), live(4)])] == ["create"]


class Database:
    """A CouchDB as far as the log asks it: a list of changes, pages, and another writer that is faster at times."""

    credentials = ("admin", "secret")

    def __init__(self):
        self.changes, self.documents, self.conflicts, self.asked = [], {"_local/changes": {"log": "0a"}}, 0, []
        # Revisions of each document, the last first, and what they say; documents of each `_bulk_get`.
        self.revisions, self.told, self.bulk = [], {}, []

    def write(self, number, **more):
        uid = f"1:2:{number}"
        document = {"_id": uid, "type": "instance", "stored": T[0], **more}
        self.changes.append({"id": uid, "changes": [{"rev": "1-a"}], "doc": document})

    def json(self, method, path, *, params=None, body=None, **_options):
        self.asked.append(path)
        if path == "_all_docs":
            pages = sorted(name for name in self.documents if name.startswith("changes-"))
            return {"rows": [{"doc": deepcopy(self.documents[pages[-1]])}] if pages else []}
        if path == "_bulk_get":
            self.bulk.append(len(body["docs"]))
            hashes = [one.partition("-")[2] for one in self.revisions]
            told = {"start": len(hashes), "ids": hashes}
            docs = [
                {"_id": one["id"], "_rev": one["rev"], "_revisions": told, **self.told[one["rev"]]}
                for one in body["docs"]
            ]
            return {"results": [{"docs": [{"ok": doc}]} for doc in docs]}
        if path.startswith("_design/"):
            wanted = {tuple(key) for key in body["keys"]}
            rows = [
                {
                    "key": [page["log"], one["instance"]],
                    "value": [page["first"] + place, one["action"], one["at"], *filter(None, [one.get("sha256")])],
                }
                for page in self.pages
                for place, one in enumerate(page["entries"])
                if (page["log"], one["instance"]) in wanted
            ]
            return {"rows": rows}
        if method == "GET":
            return self.documents[path]
        if self.conflicts:
            self.conflicts -= 1
            raise CouchError(409, "conflict", "Document update conflict.")
        revision = f"{int(body.get('_rev', '0-')[:-1].rstrip('-') or 0) + 1}-"
        self.documents[path] = {**deepcopy(body), "_rev": revision}
        return {"rev": revision}

    @property
    def pages(self):
        return [page for name, page in sorted(self.documents.items()) if name.startswith("changes-")]

    def request(self, _method, _path, *, params, **_options):
        return Answer(self.changes[int(params["since"]) :][: params["limit"]], int(params["since"]))


class Answer:
    def __init__(self, rows, since):
        self.rows, self.since = rows, since

    def __enter__(self):
        return self

    def __exit__(self, *_exc):
        pass

    def lines(self):
        yield b'{"results":[\n'
        for row in self.rows:
            yield orjson.dumps(row) + b",\n"
        yield b"],\n"
        yield b'"last_seq":%d,"pending":0}\n' % (self.since + len(self.rows))


def test_pages_are_filled_in_order_and_none_is_left_out():
    database = Database()
    for number in range(2 * PAGE + 5):
        database.write(number)
    log = ChangeLog(database)
    log.catch_up(None)
    assert [(page["first"], len(page["entries"])) for page in database.pages] == [(1, 100), (101, 100), (201, 5)]
    assert [one["instance"] for page in database.pages for one in page["entries"]] == [f"1:2:{n}" for n in range(205)]
    assert database.pages[-1]["since"] == 205
    # What was looked at is not looked at again, and nothing is written without need.
    before = len(database.documents), database.pages[-1]["_rev"]
    log.catch_up(None)
    assert (len(database.documents), database.pages[-1]["_rev"]) == before
    database.write(300)
    log.catch_up(None)
    assert [(page["first"], len(page["entries"])) for page in database.pages][-1] == (201, 6)


def test_a_log_that_was_cut_off_goes_on_without_a_gap_or_a_repetition():
    """Killed after the first of three pages: that one says no more than what was there before."""
    database = Database()
    for number in range(205):
        database.write(number)
    ChangeLog(database).catch_up(None)
    for page in database.pages[1:]:
        del database.documents[page["_id"]]
    ChangeLog(database).catch_up(None)
    logged = [one["instance"] for page in database.pages for one in page["entries"]]
    assert logged == [f"1:2:{number}" for number in range(205)]


def test_a_database_that_is_made_anew_has_another_log():
    database = Database()
    database.write(1)
    log = ChangeLog(database)
    log.catch_up(None)
    database.documents = {"_local/changes": {"log": "0b"}}
    log.catch_up(None)
    assert [page["_id"] for page in database.pages] == ["changes-0b-0000000000"]
    assert log.name(None) == "0b"


def test_other_writers_are_waited_for():
    database = Database()
    database.write(1)
    database.conflicts = 3
    ChangeLog(database).catch_up(None)
    assert [len(page["entries"]) for page in database.pages] == [1]
    database.write(2)
    database.conflicts = 1000
    with pytest.raises(DicomWebError, match="written by others") as told:
        ChangeLog(database).catch_up(None)
    assert told.value.status == 503


def test_a_log_that_is_far_behind_is_written_by_several_requests(monkeypatch):
    database = Database()
    for number in range(2500):
        database.write(number)
    monkeypatch.setattr("dicouch.couch.changelog.LONGEST", -1.0)
    log = ChangeLog(database)
    for known in (1000, 2000):
        with pytest.raises(DicomWebError, match=f" {known} are in it") as told:
            log.catch_up(None)
        assert (told.value.status, told.value.headers) == (503, {"Retry-After": "1"})
    log.catch_up(None)
    assert sum(len(page["entries"]) for page in database.pages) == 2500


def test_pages_are_cut_where_the_client_is():
    page = {"first": 101, "entries": [{"instance": ID, "action": "create", "at": T[0]}] * 10}
    assert [entry.sequence for entry in entries_of(page, 104, 3)] == [105, 106, 107]
    assert [entry.sequence for entry in entries_of(page, 99, 3)] == [101, 102]
    assert entries_of(page, 110, 3) == []


@pytest.mark.parametrize(
    ("given", "asked"),
    [
        ({}, Asked(0, 100, "", "", True)),
        ({"LIMIT": "200", "Offset": "7", "includemetadata": "False"}, Asked(7, 200, metadata=False)),
        ({"startTime": "2023-04-26T14:50:55.0596678-07:00"}, Asked(start="2023-04-26T21:50:55.059667Z")),
        ({"endTime": "2023-05-10T16:00:00 02:00"}, Asked(end="2023-05-10T14:00:00.000000Z")),
        ({"startTime": "0001-01-01T00:00:00Z"}, Asked(start="0001-01-01T00:00:00.000000Z")),
        ({"endTime": "9999-12-31T23:59:59.9999999Z"}, Asked(end="9999-12-31T23:59:59.999999Z")),
        ({"offset": str(2**62)}, Asked(2**62)),
    ],
)
def test_parameters_are_those_of_microsofts_server(given, asked):
    """Defaults, bounds and forms of version 2: MicrosoftDocs/azure-docs, healthcare-apis/dicom/change-feed-overview."""
    assert parse(given.items()) == asked


@pytest.mark.parametrize(
    "given",
    [
        *({"limit": text} for text in ("0", "201", "-1", "1.5", "x", "")),
        *({"offset": text} for text in ("-1", "x", str(2**63), "9" * 30)),
        *({"startTime": text} for text in ("x", "2026-01-01", "2026-01-01T00:00:00", "2026-02-30T00:00:00Z", "")),
        {"includeMetadata": "1"},
        {"startTime": "2026-01-01T00:00:00Z", "endTime": "2026-01-01T00:00:00Z"},
        {"startTime": "2026-01-01T00:00:00Z", "endTime": "2026-01-01T00:30:00+01:00"},
    ],
)
def test_what_makes_no_sense_is_named(given):
    with pytest.raises(DicomWebError) as told:
        parse(given.items())
    assert told.value.status == 400
    assert list(given)[-1].lower() in told.value.reason.lower()
