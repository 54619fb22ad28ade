"""Subscriptions and event channels (PS3.18 8.10, 11.10 to 11.13), with two workers and two servers of one database."""

from __future__ import annotations

import contextlib
import itertools
import json
import time

import pytest
import requests
from simple_websocket import Client, ConnectionClosed, ConnectionError

from tests.eventually import eventually
from tests.server import free_port, serve
from tests.workitems import PERFORMED, TRANSACTION, code, creation, text

UIDS = (f"2.25.{number}" for number in itertools.count(9000))
GLOBAL, FILTERED = "1.2.840.10008.5.1.4.34.5", "1.2.840.10008.5.1.4.34.5.1"


@pytest.fixture(scope="module")
def other(server, tmp_path_factory):
    """Give another server of the same database, for two channels."""
    log = tmp_path_factory.mktemp("other") / "gunicorn.log"
    with serve(server.database, log, WEB_CONCURRENCY="1", EVENT_CHANNELS="2") as running:
        yield running


def send(server, method, path, dataset=None, status=200):
    answer = requests.request(method, f"{server.url}{path}", json=dataset, timeout=30)
    assert answer.status_code == status, answer.text
    return answer


def create(server, **more):
    uid = next(UIDS)
    send(server, "POST", f"/workitems?workitem={uid}", creation(**more), 201)
    return uid


def change(server, uid, state):
    send(server, "PUT", f"/workitems/{uid}/state", {"00741000": text("CS", state), "00081195": text("UI", TRANSACTION)})


def address(server, title):
    return f"{server.url.replace('http', 'ws')}/subscribers/{title}"


class Whole(Client):
    """A client that has what comes in one packet with the answer to its handshake; its base has it with the next."""

    def handshake(self):
        super().handshake()
        self._handle_events()


class Listener:
    """An open channel, and what came on it: workitem, event type, Procedure Step State or what else there is."""

    def __init__(self, url):
        self.socket = Whole.connect(url)

    def next(self, within=10.0):
        message = self.socket.receive(timeout=within)
        assert message is not None, "no event came"
        event = json.loads(message)
        assert event["00000002"]["Value"] == ["1.2.840.10008.5.1.4.34.6.1"]
        info = {tag: event[tag] for tag in event if not tag.startswith("0000")}
        shown = info.get("00741000", info.get("00741242", {})).get("Value", [""])[0]
        return event["00001000"]["Value"][0], event["00001002"]["Value"][0], shown or info

    def reports(self, count):
        return [self.next() for _number in range(count)]

    def is_silent(self, seconds=0.8):
        return self.socket.receive(timeout=seconds) is None


@contextlib.contextmanager
def listening(server, title):
    listener = Listener(address(server, title))
    try:
        yield listener
    finally:
        with contextlib.suppress(ConnectionClosed):
            listener.socket.close()


def test_one_workitem_and_its_events(server, other):
    uid = create(server, **{"00404025": code("WS1")})
    path = f"/workitems/{uid}/subscribers/ONE"
    # Two channels, of two servers: both are told.
    with listening(server, "ONE") as here, listening(other, "ONE") as there:
        answer = send(server, "POST", path + "?deletionlock=true", status=201)
        assert answer.headers["Content-Location"] == address(server, "ONE")
        assert here.next() == there.next() == (uid, 1, "SCHEDULED")
        change(server, uid, "IN PROGRESS")
        progress = {"00741002": text("SQ", {"00741004": text("DS", 50)})}
        send(other, "POST", f"/workitems/{uid}?transaction-uid={TRANSACTION}", progress)
        reason = {"00741238": text("LT", "moved")}
        send(server, "POST", f"/workitems/{uid}/cancelrequest?requester=BOSS", reason, 202)
        assigned = {"00404025": code("WS2")}
        send(other, "POST", f"/workitems/{uid}?transaction-uid={TRANSACTION}", {**assigned, **PERFORMED})
        change(other, uid, "COMPLETED")
        expected = [
            (uid, 1, "IN PROGRESS"),
            (uid, 3, progress),
            (uid, 2, {"00741236": text("AE", "BOSS"), **reason}),
            (uid, 5, assigned),
            (uid, 1, "COMPLETED"),
        ]
        assert here.reports(5) == there.reports(5) == expected
    # The deletion lock holds until its owner unsubscribes (PS3.4 CC.2.3.3).
    place = f"{server.database}/workitem-{uid}"

    def delete():
        rev = requests.get(place, timeout=30).json()["_rev"]
        return requests.delete(place, params={"rev": rev}, timeout=30).status_code

    assert delete() == 403
    send(server, "DELETE", path)
    send(server, "DELETE", path, status=404)
    assert delete() == 200
    send(server, "POST", path, status=410)


def test_the_whole_worklist(server, other):
    before = create(server)
    path = f"/workitems/{GLOBAL}/subscribers/ALL"
    with listening(other, "ALL") as channel:
        send(server, "POST", path, status=201)
        told = eventually(lambda: channel.next(), lambda event: event[0] == before)
        assert told == (before, 1, "SCHEDULED")
        while not channel.is_silent(0.5):
            pass
        after = create(server)
        assert channel.next() == (after, 1, "SCHEDULED")
        # Suspended: what there is goes on being told, what comes does not.
        send(server, "POST", path + "/suspend")
        send(server, "POST", path + "/suspend", status=404)
        create(server)
        change(server, after, "IN PROGRESS")
        assert channel.next() == (after, 1, "IN PROGRESS")
        send(server, "POST", path + "?deletionlock=true", status=201)
        assert server.document(f"workitem-{after}")["subscribers"]["ALL"] == {"lock": True}
        # Suspended before it is ended, too; a further time there is nothing to end.
        send(server, "POST", path + "/suspend")
        send(server, "DELETE", f"/workitems/{FILTERED}/subscribers/NOBODY", status=404)
        send(server, "DELETE", path)
        send(server, "DELETE", path, status=404)
        rows = requests.get(f"{server.database}/_all_docs?include_docs=true", timeout=30).json()["rows"]
        assert not [row for row in rows if "ALL" in row["doc"].get("subscribers", {})]


def test_what_of_it_matches(server, other):
    wanted = [create(server, **{"00404018": code("SEG")})]
    for query in ("?ScheduledWorkitemCodeSequence.CodeValue=SEG", "?filter=00404018.00080100=SEG&deletionlock=false"):
        with listening(server, "SOME") as channel:
            send(other, "POST", f"/workitems/{FILTERED}/subscribers/SOME{query}", status=201)
            assert {uid for uid, _type, _state in channel.reports(len(wanted))} == set(wanted)
            create(other, **{"00404018": code("QA")})
            wanted.append(create(other, **{"00404018": code("SEG")}))
            assert channel.next() == (wanted[-1], 1, "SCHEDULED")
            send(other, "DELETE", f"/workitems/{FILTERED}/subscribers/SOME")
            change(other, wanted[-1], "IN PROGRESS")
            assert channel.is_silent()
        send(other, "POST", f"/workitems/{wanted[-1]}/cancelrequest", {}, 409)  # nobody could be told


def test_channels_are_bounded_and_given_back(other):
    with listening(other, "A"), listening(other, "B"):
        with pytest.raises(ConnectionError) as refused:
            Listener(address(other, "C"))
        assert refused.value.status_code == 503
        key = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13"}
        answer = other.get("/subscribers/C", headers={**key, "Sec-WebSocket-Key": "a" * 22 + "=="})
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "30")
        foreign = other.get("/subscribers/C", headers={**key, "Origin": "https://evil.example"})
        assert foreign.status_code == 403

    def again():
        with contextlib.suppress(ConnectionError), listening(other, "C"):
            return True
        return False

    assert eventually(again, bool)


@pytest.mark.one_database("embedded")
def test_a_server_that_is_started_again(server, tmp_path, monkeypatch):
    uid = create(server)
    port = free_port()
    monkeypatch.setattr("tests.server.free_port", lambda: port)
    for status in ((), ((GLOBAL, 4, "RESTARTED"),)):
        with serve(server.database, tmp_path / "log", patiently=True, WEB_CONCURRENCY="1") as restarted:
            channel = Listener(address(restarted, "DOWN"))
            for expected in status:
                assert channel.next() == expected
            send(restarted, "POST", f"/workitems/{uid}/subscribers/DOWN", status=201)
            assert channel.next() == (uid, 1, "SCHEDULED")
            began = time.monotonic()
        # It ends at once, and says so.
        assert time.monotonic() - began < 10
        assert channel.next() == (GLOBAL, 4, "GOING DOWN")
        with pytest.raises(ConnectionClosed):
            channel.socket.receive(timeout=5)
