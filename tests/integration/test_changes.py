"""The change feed, events and webhooks, through a server on each database; docs/changes.md."""

from __future__ import annotations

import hashlib
import json
import queue
import socket
import threading
import time
from contextlib import contextmanager, suppress
from http.client import HTTPConnection, HTTPException
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

import pytest
import requests

from dicouch.config import Config, basic_auth
from dicouch.hooks.deliver import Senders
from dicouch.hooks.rules import Hook
from dicouch.services import Services
from tests.archive import fill
from tests.integration.test_credentials import PASSWORD, make_user
from tests.made import instance
from tests.server import serve

SETTINGS = {"WEB_CONCURRENCY": "1", "EVENT_STREAMS": "2", "REMEMBER": "1"}


@pytest.fixture(scope="module")
def site(fresh_database, tmp_path_factory):
    with serve(fresh_database, tmp_path_factory.mktemp("changes") / "log", **SETTINGS) as running:
        yield running


def feed(site, **query):
    answer = site.get("/changefeed", params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


def brief(entries):
    return [(entry["sopInstanceUid"], entry["action"], entry["state"]) for entry in entries]


def last(site):
    answer = site.get("/changefeed/latest", params={"includemetadata": "false"})
    return answer.json()["sequence"] if answer.status_code == 200 else 0


def test_a_history_as_microsofts_server_tells_it(site):
    assert (site.get("/changefeed").json(), site.get("/changefeed/latest").status_code) == ([], 204)
    kept = instance("7.1", "7.1.1", "7.1.1.2", PatientName="A")
    assert site.store(instance("7.1", "7.1.1", "7.1.1.1", PatientName="A"), kept).status_code == 200
    # All that follows happens before anybody asks: the revisions have it.
    assert site.store(instance("7.1", "7.1.1", "7.1.1.1", PatientName="B")).status_code == 202
    site.store(kept)  # the same bytes again: nothing is written
    assert requests.delete(f"{site.url}/studies/7.1", timeout=60).status_code == 204
    assert site.store(instance("7.1", "7.1.1", "7.1.1.1", PatientName="C")).status_code == 200
    told = feed(site)
    assert [entry["sequence"] for entry in told] == [1, 2, 3, 4, 5, 6]
    first = [entry for entry in brief(told) if entry[0] == "7.1.1.1"]
    assert first == [("7.1.1.1", action, "replaced") for action in ("create", "update", "delete")] + [
        ("7.1.1.1", "create", "current")
    ]
    assert [entry for entry in brief(told) if entry[0] == "7.1.1.2"] == [
        ("7.1.1.2", action, "deleted") for action in ("create", "delete")
    ]
    assert {(entry["studyInstanceUid"], entry["seriesInstanceUid"]) for entry in told} == {("7.1", "7.1.1")}
    # What is deleted has no metadata, anything else those that WADO-RS gives now.
    (now,) = site.get("/studies/7.1/metadata").json()
    assert [entry.get("metadata") for entry in told] == [None if entry["state"] == "deleted" else now for entry in told]
    assert all("metadata" not in entry for entry in feed(site, includeMetadata="false"))
    assert site.get("/changefeed/latest").json() == told[-1]
    # Times are those of storing and deleting.
    times = [entry["timestamp"] for entry in told if entry["sopInstanceUid"] == "7.1.1.1"]
    assert times == sorted(times)
    assert len(set(times)) == 4


def test_what_is_corrected_moved_and_deleted_in_the_database(site):
    start = last(site)
    site.store(instance("7.2", "7.2.1", "7.2.1.1", PatientName="Doe", PatientID="P2"))
    fix = {"tag": "00100020", "value": {"vr": "LO", "Value": ["P3"]}, "by": "Ann"}
    requests.post(f"{site.url}/studies/7.2/conflicts", json=fix, timeout=60).raise_for_status()
    (entry,) = feed(site, offset=start)
    assert entry["metadata"] == site.get("/studies/7.2/metadata").json()[0]
    assert entry["metadata"]["00100020"]["Value"] == ["P3"]
    # A write that leaves the instance what it was, such as that of `dicouch move-bytes`, is none.
    document = site.document("7.2:7.2.1:7.2.1.1")
    url = f"{site.database}/{document['_id']}"
    revision = requests.put(url, json={**document, "note": "moved"}, timeout=30).json()["rev"]
    assert len(feed(site, offset=start)) == 1
    # Whoever deletes in Fauxton leaves no time.
    requests.delete(url, params={"rev": revision}, timeout=30).raise_for_status()
    assert brief(feed(site, offset=start)) == [("7.2.1.1", action, "deleted") for action in ("create", "delete")]


def test_a_deletion_says_what_and_when(site):
    site.store(instance("7.3", "7.3.1", "7.3.1.1"))
    requests.delete(f"{site.url}/studies/7.3", timeout=60)
    told = requests.get(f"{site.database}/_changes", params={"include_docs": "true"}, timeout=30).json()
    (row,) = [row for row in told["results"] if row["id"] == "7.3:7.3.1:7.3.1.1"]
    assert row["deleted"] is row["doc"]["_deleted"] is True
    assert row["doc"]["type"] == "instance"
    assert site.get("/changefeed/latest").json()["timestamp"] == row["doc"]["deleted"]


def test_300_changes_by_pages(site, tmp_path):
    start = last(site)
    fill(site.database, 0, 3, series=2, instances=50)
    stored = {row["id"] for row in requests.get(f"{site.database}/_all_docs", timeout=30).json()["rows"]}
    expected = {one.rpartition(":")[2] for one in stored if one.count(":") == 2 and one.startswith("1.2.826")}
    found, offset = [], start
    # Version 1: the offset is the last sequence. Version 2: the number of entries that were read. They are the same.
    while page := feed(site, offset=offset, limit=37, includeMetadata="false"):
        assert [entry["sequence"] for entry in page] == list(range(offset + 1, offset + len(page) + 1))
        found += page
        offset = page[-1]["sequence"]
    assert len(found) == 300
    assert {entry["sopInstanceUid"] for entry in found} == expected
    assert {entry["action"] for entry in found} == {"create"}
    assert (len(feed(site)), last(site)) == (100, offset)
    # By time: from the first one on, without the last.
    everything = feed(site, startTime="2000-01-01T00:00:00Z", limit=200, includeMetadata="false")
    everything += feed(site, startTime="2000-01-01T00:00:00Z", limit=200, offset=200, includeMetadata="false")
    keys = [(entry["timestamp"], entry["sequence"]) for entry in everything]
    assert keys == sorted(keys)
    assert len(keys) == offset
    first, end = keys[1][0], keys[5][0]
    window = feed(site, startTime=first, endTime=end, includeMetadata="false")
    assert [(one["timestamp"], one["sequence"]) for one in window] == [key for key in keys if first <= key[0] < end]
    assert feed(site, endTime="2000-01-01T00:00:00Z") == []
    assert feed(site, offset=10**15) == []
    # Another server, as after a restart: the same numbers, and no change twice.
    before = feed(site, offset=start, limit=200, includeMetadata="false")
    with serve(site.database, tmp_path / "log", WEB_CONCURRENCY="1") as other:
        assert feed(other, offset=start, limit=200, includeMetadata="false") == before
        assert last(other) == offset


@pytest.mark.one_database("couchdb")
def test_it_is_a_resource_as_others_are(site):
    assert site.get("/changefeed?limit=0").json()["error"] == "bad_request"
    assert site.get("/changefeed", headers={"Accept": "image/png"}).status_code == 406
    head = requests.head(f"{site.url}/changefeed", timeout=30)
    assert (head.status_code, head.headers["Content-Type"], head.content) == (200, "application/json", b"")
    for path in ("/changefeed", "/changefeed/latest", "/events"):
        assert requests.options(site.url + path, timeout=30).headers["Allow"] == "GET, HEAD, OPTIONS"
        foreign = site.get(path, headers={"Origin": "https://elsewhere.example"})
        assert foreign.status_code == 403, path
        assert requests.post(site.url + path, timeout=30).status_code == 405


class Stream:
    """A client of the events: what it got lies in a queue."""

    def __init__(self, site, query="", **headers):
        parts = urlsplit(site.url)
        self.connection = HTTPConnection(parts.hostname, parts.port, timeout=60)
        self.connection.request("GET", f"{parts.path}/events{query}", headers=headers)
        self.answer = self.connection.getresponse()
        assert self.answer.status == 200, self.answer.read()
        assert self.answer.headers["Content-Type"] == "text/event-stream"
        self.got: queue.Queue = queue.Queue()
        self.last = ""
        self.ended = threading.Event()
        threading.Thread(target=self._read, daemon=True).start()
        self.began = self.got.get(timeout=20)["id"]

    def _read(self):
        block = {}
        with suppress(OSError, HTTPException):  # closed by the test
            while line := self.answer.readline():
                name, _, value = line.decode().strip().partition(": ")
                if name:
                    block[name] = value
                elif block:
                    self.last = block.get("id", self.last)
                    self.got.put(block)
                    block = {}
        self.ended.set()

    def event(self):
        """Return the next event with its data."""
        while "data" not in (block := self.got.get(timeout=20)):
            pass
        return block["event"], json.loads(block["data"])

    def __enter__(self):
        return self

    def __exit__(self, *_exc):
        with suppress(OSError):
            self.connection.sock.shutdown(socket.SHUT_RDWR)


def test_events_come_resume_and_are_bounded(site):
    with Stream(site) as all_of_them, Stream(site, "?kind=deleted&StudyInstanceUID=7.5") as deletions:
        busy = site.get("/events")
        assert (busy.status_code, busy.json()["error"]) == (503, "service_unavailable")
        assert int(busy.headers["Retry-After"]) > 0
        site.store(*(instance("7.5", "7.5.1", f"7.5.1.{number}", Modality="CT") for number in range(30)))
        kind, told = all_of_them.event()
        assert (kind, told["level"], told["whole"], told["instances"]) == ("stored", "study", True, 30)
        assert set(told) == {"kind", "level", "StudyInstanceUID", "whole", "instances", "timestamp"}
        place = all_of_them.last
        requests.delete(f"{site.url}/studies/7.5", timeout=60)
        assert deletions.event()[1] == all_of_them.event()[1]
        fix = {"tag": "00100020", "value": {"vr": "LO", "Value": ["P9"]}, "by": "Ann"}
        requests.post(f"{site.url}/studies/1.2.826.0.1.1/conflicts", json=fix, timeout=60).raise_for_status()
        kind, told = all_of_them.event()
        assert (kind, told["level"], told["StudyInstanceUID"]) == ("corrected", "study", "1.2.826.0.1.1")
    # Who was away gets what came meanwhile; of another log, that it has to load anew.
    with resume(site, {"Last-Event-ID": place}) as resumed:
        assert [resumed.event()[0] for _each in range(2)] == ["deleted", "corrected"]
    with resume(site, {"Last-Event-ID": "0a-1-0"}) as lost:
        assert lost.event() == ("reset", {})


def resume(site, headers):
    """Begin a stream when the server has seen that earlier ones have ended."""
    for _attempt in range(200):
        try:
            return Stream(site, **headers)
        except AssertionError:
            time.sleep(0.1)
    raise AssertionError("no place came free")


def test_rights_are_the_clients_own_and_can_be_taken_back(site):
    make_user(site, "reader")
    security = f"{site.database}/_security"
    open_for = {"admins": {"roles": ["_admin"]}, "members": {"names": ["reader"], "roles": ["_admin"]}}
    try:
        requests.put(security, json=open_for, timeout=30).raise_for_status()
        who = {"Authorization": basic_auth("reader", PASSWORD)}
        assert site.get("/changefeed?limit=1", headers=who).status_code == 200
        with resume(site, who) as stream:
            requests.put(security, json={**open_for, "members": {"roles": ["_admin"]}}, timeout=30).raise_for_status()
            assert stream.ended.wait(20)
        for path in ("/changefeed", "/changefeed/latest", "/events"):
            assert site.get(path, headers=who).status_code == 403, path
    finally:
        requests.put(security, json={}, timeout=30)


@contextmanager
def receiver(port, got, status=204):
    """Listen to webhooks."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            got.put((self.headers, self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(status)
            self.end_headers()

        def log_message(self, *_arguments):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def sending(site, hook):
    """Send to a webhook in a process, as far as it knows."""
    root, _, name = site.database.rpartition("/")
    senders = Senders(Services.from_config(Config(couchdb_url=root, couchdb_database=name)), [hook])
    assert senders.look()
    try:
        yield senders
    finally:
        senders.stop()


@pytest.mark.one_database("embedded")
def test_webhooks_get_everything_although_they_and_the_sender_end(site, monkeypatch):
    monkeypatch.setattr("dicouch.hooks.deliver.FIRST_PAUSE", 0.1)
    monkeypatch.setattr("dicouch.hooks.deliver.LONGEST_PAUSE", 0.5)
    got: queue.Queue = queue.Queue()
    with receiver(0, got) as port:
        hook = Hook("test", f"http://127.0.0.1:{port}/hook", "s", kinds=("stored",), attributes=("PatientID",))
        with sending(site, hook) as senders:
            _wait_for_position(site)
            site.store(instance("7.6", "7.6.1", "7.6.1.1", PatientID="P6"))
            headers, body = got.get(timeout=20)
            assert headers["webhook-signature"].startswith("v1,")
            told = json.loads(body)
            assert (told["type"], told["data"]["StudyInstanceUID"]) == ("stored", "7.6")
            assert told["data"]["dataset"] == {"00100020": {"vr": "LO", "Value": ["P6"]}}
            # A second process of the same machine leaves it to the first.
            second = Senders(senders._services, [hook])
            second._owner = f"{senders._owner.partition(' ')[0]} 1"
            assert not second.look()
            second.stop()
    # The receiver is gone, then the sender as well; what was stored meanwhile comes when both are there again.
    with sending(site, hook):
        site.store(instance("7.7", "7.7.1", "7.7.1.1"))
        time.sleep(1.5)
    site.store(instance("7.8", "7.8.1", "7.8.1.1"))
    with receiver(port, got, 500), sending(site, hook):
        refused = json.loads(got.get(timeout=20)[1])
    while not got.empty():
        assert json.loads(got.get()[1]) == refused  # again and again, in its order
    with receiver(port, got), sending(site, hook):
        studies = {json.loads(got.get(timeout=20)[1])["data"]["StudyInstanceUID"] for _each in range(2)}
    assert studies == {"7.7", "7.8"}


def _wait_for_position(site):
    """Wait until the webhook knows where it begins."""
    place = f"{site.database}/_local/webhook-{hashlib.sha256(b'test').hexdigest()[:16]}"
    for _attempt in range(200):
        if requests.get(place, timeout=30).status_code == 200:
            return
        time.sleep(0.05)
    raise AssertionError("the webhook did not begin")
