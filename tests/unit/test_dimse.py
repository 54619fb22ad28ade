"""DIMSE without a network: bytes of a PDU, who may what, what is committed to and how that is reported."""

from __future__ import annotations

import threading
import tracemalloc
from types import SimpleNamespace

import pytest
from pydicom import Dataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian
from pynetdicom.dimse_messages import N_EVENT_REPORT_RSP
from pynetdicom.sop_class import StorageCommitmentPushModel

from dicouch.dimse import commitment, find, retrieve, send, server, storage
from dicouch.dimse.commitment import Committer
from dicouch.dimse.peers import Peer, Settings
from dicouch.dimse.queue import WAITING, moment
from dicouch.errors import DicomWebError, NoBytes
from dicouch.write.outcome import OUT_OF_RESOURCES, Outcome
from tests.unit.made_part10 import made


class Connection:
    """What a peer has sent, in pieces of at most so many bytes."""

    def __init__(self, content: bytes, most: int = 100_000) -> None:
        self.content, self.most = content, most

    def recv_into(self, view: memoryview) -> int:
        count = min(len(view), len(self.content), self.most)
        view[:count] = self.content[:count]
        self.content = self.content[count:]
        return count


@pytest.mark.parametrize(
    ("size", "there"), [(6, 6), (6, 3), (131_072, 131_072), (900_000, 900_000), (900_000, 131_072)]
)
def test_bytes_of_a_pdu(size, there):
    content = bytes(range(256)) * (there // 256 + 1)
    received = server._receive(SimpleNamespace(socket=Connection(content[:there])), size)
    assert received == content[:there]


@pytest.mark.parametrize("size", [900_000, (1 << 20) + 1, 0xFFFFFFFF])
def test_a_header_alone_takes_no_memory(size):
    """PDU-length is 32 bits (PS3.8 9.3.1) that anybody may send."""
    tracemalloc.start()
    try:
        if size > 1 << 20:
            with pytest.raises(OSError, match="PDU"):  # the connection ends
                server._receive(SimpleNamespace(socket=Connection(b"")), size)
        else:
            assert server._receive(SimpleNamespace(socket=Connection(b"")), size) == b""
        assert tracemalloc.get_traced_memory()[1] < 300_000
    finally:
        tracemalloc.stop()


STORED, CHANGED, GONE = "1.2.1", "1.2.2", "1.2.3"


class Places:
    """Byte store: one file is there, one linked file is another now."""

    def __init__(self, folder) -> None:
        self.folder = folder

    def locate(self, file):
        if file["store"] == CHANGED:
            raise NoBytes(503, "the linked file is not what it was")
        return self.folder / file["store"]


@pytest.fixture
def archive(monkeypatch, tmp_path):
    """Services with three instances; what was searched for is kept in ``asked``."""
    (tmp_path / STORED).write_bytes(b"12345")
    asked: list[str] = []

    def rows(_services, _level, pairs):
        ((_tag, text),) = pairs
        asked.append(text)
        return text.split("\\")

    def instances(_reader, uids):
        for uid in uids:
            yield send.Sub(SimpleNamespace(id=f"1:1:{uid}", file={"store": uid, "size": 5}), CTImageStorage)

    monkeypatch.setattr(find, "rows", rows)
    monkeypatch.setattr(commitment, "instances", instances)
    return SimpleNamespace(couch=None, store=Places(tmp_path), asked=asked)


@pytest.mark.filterwarnings("ignore:Invalid value for VR UI", "ignore:The value length")
@pytest.mark.parametrize("odd", ["", "*", "1.2*", "1.2/x", "1.2,1.3", "1.2\\1.3", "1" * 65, "['1.2', '1.3']"])
def test_a_malformed_uid_is_no_such_instance(archive, odd):
    """PS3.4 J.3.3.2: the transaction is reported, with a Failure Reason for this one (PS3.3 C.14.1.1)."""
    wanted = [(CTImageStorage, odd), (CTImageStorage, STORED)]
    assert [reason for _pair, reason in commitment.judged(archive, wanted)] == [0x0112, 0]
    assert archive.asked == [STORED]
    kind, told = commitment.report(archive, "1.2.3", wanted, "HERE")
    assert kind == commitment.SOME_FAILED
    assert [one.FailureReason for one in told.FailedSOPSequence] == [0x0112]
    assert commitment.encode(told, False, True)
    assert [reason for _pair, reason in commitment.judged(archive, wanted[:1])] == [0x0112]
    assert len(archive.asked) == 2


def test_bytes_that_are_others_now_are_of_one_instance(archive):
    wanted = [(CTImageStorage, uid) for uid in (CHANGED, GONE, STORED)]
    assert [reason for _pair, reason in commitment.judged(archive, wanted)] == [0x0110, 0x0110, 0]


@pytest.mark.filterwarnings("ignore:Invalid value for VR UI")
@pytest.mark.parametrize("text", ["\\", "\\\\", " \\ "])
def test_delimiters_alone_are_no_unique_key(text):
    identifier = Dataset()
    identifier.QueryRetrieveLevel = "STUDY"
    identifier.StudyInstanceUID = text
    with pytest.raises(DicomWebError) as refused:
        list(retrieve.found(SimpleNamespace(), None, identifier, False))
    assert refused.value.status == 400


class Association:
    """One whose peer answers each report in a thread of its own, after an answer to another."""

    is_established = True

    def __init__(self) -> None:
        self.accepted_contexts = [
            SimpleNamespace(
                abstract_syntax=StorageCommitmentPushModel, transfer_syntax=[ExplicitVRLittleEndian], context_id=1
            )
        ]
        self.dimse = self
        self.heard: list = []
        self.waiting = self.most = 0
        self.dul = SimpleNamespace(_idle_timer=SimpleNamespace(restart=lambda: None))

    def _serve_request(self, message, context):
        pass

    def bind(self, event, handler):
        self.heard.append(handler)

    def unbind(self, event, handler):
        self.heard.remove(handler)

    def send_msg(self, request, _context):
        self.waiting += 1
        self.most = max(self.most, self.waiting)
        kind, number = request.EventTypeID, request.MessageID
        threading.Timer(0.05, self.answer, [number, kind]).start()

    def answer(self, number, kind):
        handlers = self.heard[::4]  # the first of four that each report binds
        self.waiting -= 1
        for other, status in ((number + 1, 0x0110), (number, kind)):
            message = N_EVENT_REPORT_RSP()
            message.command_set.Status, message.command_set.MessageIDBeingRespondedTo = status, other
            for handler in handlers:
                handler(SimpleNamespace(message=message))


def test_each_report_takes_its_own_answer():
    """Message ID Being Responded To (PS3.7 10.1.1.1.1); one at a time is outstanding (PS3.7 D.3.3.3)."""
    association, told = Association(), Dataset()
    told.TransactionUID = "1.2"
    commitment.guard(association)
    results = {}

    def report(kind):
        results[kind] = commitment.tell(association, kind, told)

    threads = [threading.Thread(target=report, args=[kind]) for kind in (1, 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert results == {1: 1, 2: 2}
    assert association.most == 1
    association.is_established = False
    assert commitment.tell(association, 1, told) is None


class Couch:
    """A database that takes what is written, and has documents of a queue."""

    def __init__(self, *documents) -> None:
        self.documents = {document["_id"]: dict(document) for document in documents}

    def json(self, method, path, *, body=None, params=None):
        if method == "GET":
            return {"rows": [{"id": name, "doc": dict(doc)} for name, doc in sorted(self.documents.items())]}
        written = body["docs"] if method == "POST" else [body]
        for document in written:
            self.documents[document["_id"]] = {**document, "_rev": "2-a"}
            if document.get("_deleted"):
                del self.documents[document["_id"]]
        return [{"rev": "2-a"} for _document in written]


def request_of(number, **more):
    place = {"_id": f"commitment-{number:02}", "_rev": "1-a", "type": "commitment", "state": WAITING, "attempts": 0}
    return {**place, "due": moment(3600), "calling": "MODALITY", "transaction": "1.2", "instances": [], **more}


@pytest.fixture
def committer(monkeypatch):
    """Give a maker of one whose every report fails at once; the ids of those it tried are in ``tried``."""

    def make(*documents):
        made = Committer(SimpleNamespace(couch=Couch(*documents)), Settings(), SimpleNamespace(ae_title="HERE"))
        made.tried = []

        def fails(document, peer):
            made.tried.append(document["_id"])
            return "no association"

        monkeypatch.setattr(made, "_send", fails)
        monkeypatch.setattr(threading.Thread, "start", threading.Thread.run)  # one after the other
        monkeypatch.setattr(commitment, "_takes_reports", lambda _association: True)
        monkeypatch.setattr(commitment, "caller", lambda _association: "MODALITY")
        return made

    return make


def test_associations_use_up_no_attempts(committer):
    """A modality that opens an association for each of its series gets its report a day long all the same."""
    made = committer(request_of(1))
    (before,) = made.queue.documents()
    for number in range(1, 41):
        made.established(SimpleNamespace(assoc=None))
        made.look()
        assert len(made.tried) == number
        made.look()  # once for each association
        assert len(made.tried) == number
    (after,) = made.queue.documents()
    assert (after["state"], after["attempts"], after["due"]) == (WAITING, 0, before["due"])
    made = committer(request_of(1, due=moment(-1)))
    made.look()
    (after,) = made.queue.documents()
    assert (after["attempts"], after["reason"]) == (1, "no association")
    assert after["due"] > moment(0)


def test_reports_behind_the_first_eight_have_their_chance(committer, monkeypatch):
    made = committer(*map(request_of, range(1, 13)))
    made.established(SimpleNamespace(assoc=None))
    monkeypatch.setattr(type(made.queue), "held", property(lambda _queue: 8 if len(made.tried) in (8, 9) else 0))
    made.look()
    assert len(made.tried) == 8
    made.tried.append("somebody else's")
    made.tried.append("and another")
    made.look()
    assert [name for name in made.tried if name.startswith("commitment")] == [
        f"commitment-{number:02}" for number in range(1, 13)
    ]


def test_rights_are_decided_once(monkeypatch):
    """A name server that fails during an association takes nothing from it."""
    made = object.__new__(server.Listener)
    made._rights = server.WeakKeyDictionary()
    made.settings = Settings(peers={"CT1": Peer("CT1", "ct1", 105, may=("store",))})
    requestor = SimpleNamespace(address="10.0.0.1", primitive=None, ae_title="CT1")
    association = Association()
    association.requestor = requestor
    event = SimpleNamespace(assoc=association)
    found = [{"10.0.0.1"}]
    monkeypatch.setattr("dicouch.dimse.peers._addresses", lambda _host: found[0])
    made._on_requested(event)
    found[0] = set()
    assert made._may(event, "store")
    assert not made._may(event, "query")
    refused = []
    other = Association()
    other.requestor = requestor
    other.acse, other.kill = SimpleNamespace(send_reject=lambda *told: refused.append(told)), lambda: None
    made._on_requested(SimpleNamespace(assoc=other))
    assert refused == [(1, 1, 3)]
    assert not made._may(SimpleNamespace(assoc=other), "store")


@pytest.mark.parametrize("failure", [0, OUT_OF_RESOURCES])
def test_success_is_told_when_the_index_has_it(tmp_path, monkeypatch, failure):
    """Who searches asks another server, which may read the index as it is."""
    (tmp_path / "received").write_bytes(made())
    done = []
    uid, kind = "1.2.3.4.5", "1.2.840.10008.5.1.4.1.1.7"

    class Ingest:
        def __init__(self, *_parts):
            pass

        def read(self, _file, _size, _digest, _number):
            return SimpleNamespace(outcome=Outcome("1.2", "1.3", uid, sop_class=kind))

        def is_small(self, _size):
            return True

        def store_batch(self, batch, alone=False):
            done.append("stored")
            batch[0].outcome.failure = failure

        def settle(self, _outcomes, _pool):
            done.append("headers")

    monkeypatch.setattr(storage, "Ingest", Ingest)
    services = SimpleNamespace(
        config=SimpleNamespace(duplicates="keep"),
        indexed=SimpleNamespace(wait_for_others=lambda: done.append("indexed")),
        pace=SimpleNamespace(stored=lambda *_told: None),
        **dict.fromkeys(("couch", "store", "memory", "bulk")),
    )
    first = storage.header(kind, uid, "1.2.840.10008.1.2.1", "A")
    wanted = Outcome(instance=uid, sop_class=kind)
    told = storage._ingest(services, tmp_path / "received", first, wanted, lambda _received: done.append("queued"))
    assert told.failure == failure
    assert done == (["stored"] if failure else ["stored", "headers", "indexed", "queued"])
