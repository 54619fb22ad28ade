"""Which part of the worklist's index a search reads, and what event channels are given."""

from __future__ import annotations

import random
import socket
import time

import orjson
import pytest
from flask import Flask

from dicouch.couch.response import CouchError
from dicouch.errors import DicomWebError
from dicouch.read import channels
from dicouch.read.channels import Channels
from dicouch.read.events import Room
from dicouch.rewrite import query, workitems
from dicouch.routes.channels import _accept
from dicouch.write import worklist
from tests.eventually import eventually

HIGH = "\ufff0"


def chosen(text):
    pairs = [(pair.partition("=")[0], pair.partition("=")[2]) for pair in text.split("&") if pair]
    return workitems.choose(query.parse(pairs, 100))


@pytest.mark.parametrize(
    ("text", "start", "end", "covered"),
    [
        ("", ["all", "", ""], ["all", "", "", HIGH], set()),
        ("ProcedureStepState=SCHEDULED", ["all", "", "SCHEDULED"], ["all", "", "SCHEDULED", HIGH], {"00741000"}),
        ("PatientID= P1 ", ["patient", "P1", ""], ["patient", "P1", "", HIGH], {"00100020"}),
        ("PatientID=P*", ["all", "", ""], ["all", "", "", HIGH], set()),
        ("PatientID=P1\\P2", ["all", "", ""], ["all", "", "", HIGH], set()),
        ("ProcedureStepState=SCHEDULED\\COMPLETED", ["all", "", ""], ["all", "", "", HIGH], set()),
        ("00404018.00080100=SEG", ["code", "SEG", ""], ["code", "SEG", "", HIGH], set()),
        ("00404018.00080102=DCM", ["all", "", ""], ["all", "", "", HIGH], set()),
        (
            "00404025.00080100=WS1&00741000=SCHEDULED&00404005=20261127",
            ["station", "WS1", "SCHEDULED", "20261126"],
            ["station", "WS1", "SCHEDULED", "20261128" + HIGH, HIGH],
            {"00741000"},
        ),
        ("00404005=20261127-", ["all", "", "", "20261126"], ["all", "", "", HIGH, HIGH], set()),
        ("00404005=-20261127", ["all", "", "", ""], ["all", "", "", "20261128" + HIGH, HIGH], set()),
        (
            "00404005=202611271030-20261201",
            ["all", "", "", "20261126"],
            ["all", "", "", "20261202" + HIGH, HIGH],
            set(),
        ),
        # A year and an offset from UTC, not a range of days.
        ("00404005=2020-0500", ["all", "", ""], ["all", "", "", HIGH], set()),
    ],
)
def test_the_part_of_the_index(text, start, end, covered):
    found = chosen(text)
    assert found.params == {"startkey": start, "endkey": end}
    assert found.covered == covered


@pytest.mark.parametrize("text", ["", "  ", "A" * 17, "A\\B", "Ä", "A\n"])
def test_what_is_no_ae_title(text):
    with pytest.raises(DicomWebError) as refused:
        workitems.title_of(text)
    assert refused.value.status == 400


def test_ae_titles():
    assert workitems.title_of(" WATCHER 1 ") == "WATCHER 1"


@pytest.mark.parametrize(
    "body", [b"1", b"[]", b"[{},{}]", b'{"x":{}}', b'{"00100020":{}}', b'{"00100020":{"vr":"lo"}}', b"{"]
)
def test_what_is_no_data_set(body):
    with pytest.raises(DicomWebError) as refused:
        worklist.read_dataset(body)
    assert refused.value.status == 400


def test_data_sets():
    assert worklist.read_dataset(b'[{"0074100a":{"vr":"UR"}}]') == {"0074100A": {"vr": "UR"}}
    with pytest.raises(DicomWebError):
        worklist.read_dataset(b'{"00404018":{"vr":"SQ","Value":[' * 2000 + b"]}}" * 2000)


class Database:
    """Workitems by UID, each with the names of its events and when they were."""

    def __init__(self):
        self.items = {}
        self.now = 0
        self.fails = 0
        # Rows of the view that were read.
        self.read = 0

    def add(self, name, event):
        self.now += 1
        self.items.setdefault(name, []).append((event, f"2026-11-27T{self.now:09}"))

    def json(self, method, path, *, params=None, body=None):
        if self.fails:
            self.fails -= 1
            raise CouchError(503, "busy", "busy")
        items = list(self.items.items())
        if path.endswith("_view/workitem_events"):
            rows = [{"id": n, "key": events[-1][1], "value": [e for e, _at in events]} for n, events in items if events]
            rows.sort(key=lambda row: row["key"], reverse="descending" in params)
            first = orjson.loads(params.get("startkey", '""'))
            rows = [row for row in rows if row["key"] >= first][: int(params.get("limit", len(rows)))]
            self.read += len(rows)
            return {"rows": rows}
        docs = [self.document(name) for name in body["keys"] if name in self.items]
        return {"rows": [{"doc": doc} for doc in docs] + [{"error": "not_found"}]}

    def document(self, name):
        events = [
            {"id": event, "at": at, "to": ["A", "B"], "type": 1, "info": {"00741204": event}}
            for event, at in self.items[name]
        ]
        return {"_id": name, "type": "workitem", "events": events}


class Changes:
    """Who is told of changes."""

    alive = True

    def listen(self, told):
        self.told = told
        return self.alive


@pytest.fixture
def hub(monkeypatch):
    monkeypatch.setattr(channels, "PAUSE", 0.01)
    database, changes = Database(), Changes()
    return database, changes, Channels(database, changes, 2, Room())


def came(channel):
    events = []
    while not channel.events.empty():
        event = channel.events.get_nowait()
        events.append(event and event["00001000"]["Value"][0])
    return events


def test_each_event_is_told_once(hub):
    database, changes, there = hub
    database.add("workitem-1", "old")
    first, other = there.open("A"), there.open("C")
    database.add("workitem-1", "new")
    changes.told(["workitem-1", "1.2:study"])
    changes.told(["workitem-1"])
    assert eventually(lambda: first.events.qsize(), bool) == 1
    # What was written while nothing was heard is found when the feed begins anew, also when the database is not there.
    for event in "xy":
        database.add("workitem-2", event)
    database.fails = 2
    changes.told(None)
    assert eventually(lambda: first.events.qsize(), lambda size: size == 3) == 3
    assert came(first) == ["1", "2", "2"]
    assert came(other) == []


def test_an_archive_of_workitems_is_not_read(hub):
    database, changes, there = hub
    for number in range(5000):
        database.add(f"workitem-{number}", f"completed {number}")
    channel = there.open("A")
    # An old one has a further event; the feed begins anew, and one is new.
    database.add("workitem-7", "again")
    changes.told(["workitem-7"])
    database.add("workitem-new", "created")
    changes.told(None)
    told = [channel.events.get(timeout=5)["00741204"] for _event in range(2)]
    assert told == ["again", "created"]
    # When the channel opens, once it is open, and when the feed begins anew.
    assert database.read <= 3 * channels.FIRST + 2


def test_what_happens_while_the_first_channel_opens_again(hub, monkeypatch):
    database, changes, there = hub
    there.close(there.open("A"))
    read = database.json

    def busy(*asked, **options):
        answer = read(*asked, **options)
        if not database.items:
            database.add("workitem-1", "meanwhile")
            changes.told(["workitem-1"])
            # The thread has seen that, and that there is nobody to tell.
            changes.told(["workitem-2"])
            eventually(there._changed.empty, bool)
            time.sleep(0.05)
        return answer

    monkeypatch.setattr(database, "json", busy)
    assert there.open("A").events.get(timeout=5)["00741204"] == "meanwhile"


@pytest.mark.parametrize("seed", range(20))
def test_random_interleavings(hub, monkeypatch, seed):
    """Whatever is written, heard and closed in which order: an open channel is told each event once, and no old one."""
    monkeypatch.setattr(channels, "FIRST", 5)
    monkeypatch.setattr(channels, "KEPT", 40)
    database, changes, there = hub
    rng, pending, expected, channel = random.Random(seed), [], [], None

    def write():
        name = f"workitem-{rng.randrange(rng.choice([10, 200]))}"
        database.add(name, f"e{database.now}")
        pending.append(name)
        if channel:
            expected.append(f"e{database.now - 1}")

    def hear():
        # The feed names each document once, where it was written last.
        ids = list(dict.fromkeys(reversed(pending)))[::-1]
        if rng.random() < 0.1:
            database.fails = rng.randrange(3)
        changes.told(None if rng.random() < 0.1 else ids)
        pending.clear()

    def check():
        hear()
        came = [channel.events.get(timeout=5)["00741204"] for _event in expected]
        assert sorted(came) == sorted(expected)
        write()
        hear()
        assert channel.events.get(timeout=5)["00741204"] == expected[-1]

    for _step in range(400):
        chosen = rng.random()
        if chosen < 0.6:
            write()
        elif len(pending) > 5 or chosen < 0.9:
            if hasattr(changes, "told"):
                hear()
        elif channel is None:
            database.fails = 0
            channel = there.open("A")
            expected.clear()
        elif chosen > 0.98:
            check()
            there.close(channel)
            channel = None
    if channel:
        check()


def test_channels_are_counted(hub):
    _database, changes, there = hub
    first, second = there.open("A"), there.open("A")
    with pytest.raises(DicomWebError) as refused:
        there.open("B")
    assert refused.value.status == 503
    there.close(first)
    there.close(there.open("B"))
    there.close(second)
    changes.alive = False
    before = time.monotonic()
    channels.PATIENCE, patience = 0.05, channels.PATIENCE
    try:
        with pytest.raises(DicomWebError) as refused:
            there.open("A")
    finally:
        channels.PATIENCE = patience
    assert refused.value.status == 503
    assert time.monotonic() - before < 2
    changes.alive = True
    there.open("A")
    there.stop()
    with pytest.raises(DicomWebError):
        there.open("B")


def test_the_end_is_told(hub):
    _database, _changes, there = hub
    channel = there.open("A")
    there.stop()
    there.stop()
    event = channel.events.get_nowait()
    assert event["00741242"]["Value"] == ["GOING DOWN"]
    assert event["00001002"]["Value"] == [4]
    assert channel.events.get_nowait() is None
    assert channel.events.empty()


def test_a_slow_channel_is_late(hub, monkeypatch):
    monkeypatch.setattr(channels, "LONGEST", 2)
    database, changes, there = hub
    channel = there.open("A")
    for event in "123":
        database.add("workitem-1", event)
    changes.told(["workitem-1"])
    assert eventually(lambda: channel.late, bool)
    assert channel.events.qsize() == 2


def test_what_a_client_says_on_a_channel_is_not_gathered():
    ours, theirs = socket.socketpair()
    headers = {
        **{"Host": "x", "Upgrade": "websocket", "Connection": "Upgrade"},
        **{"Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version": "13"},
    }
    with ours, theirs, Flask("x").test_request_context(headers=headers, environ_overrides={"werkzeug.socket": ours}):
        accepted = _accept()
        # Text messages of one letter, masked with zeros (RFC 6455 5.2).
        theirs.sendall(b"\x81\x81\0\0\0\0a" * 500 + b"\x81\x81\0\0\0\0z")
        assert eventually(lambda: list(accepted.input_buffer), lambda kept: kept[-1:] == ["z"]) == ["z"]
        accepted.close()


def test_rows_of_an_older_view_are_no_times():
    """After a new version is pushed the old index serves until its successor is built; its keys are ids."""
    rows = [{"id": f"workitem-{n}", "key": f"workitem-{n}", "value": ["a"]} for n in range(channels.FIRST)]
    told = channels.Told(rows)
    assert [event["id"] for event in told.news("workitem-new", [{"id": "b", "at": "2026-11-27T22:00:00.000Z"}])] == [
        "b"
    ]
    assert not told.news("workitem-0", [{"id": "a", "at": "2026-11-27T22:00:00.000Z"}])
