"""Forwarding to a DICOMweb and to a DIMSE peer: by rules, with retries that outlive kill -9."""

from __future__ import annotations

import signal
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from io import BytesIO

import pytest
import requests
from pydicom import dcmread
from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage
from pynetdicom import AE, evt

from dicouch.dimse import forward
from dicouch.dimse.queue import Queue, put, queued
from tests.dimse.conftest import Scp, until
from tests.dimse.test_storage import dataset_of, write
from tests.server import free_port

# What depends on the database is in test_storage.py and test_query.py.
pytestmark = pytest.mark.one_database("embedded")

DIMSE_PORT, WEB_PORT = free_port(), free_port()
PAIRS = [(SecondaryCaptureImageStorage, ExplicitVRLittleEndian)]


@pytest.fixture(scope="module")
def peers_file():
    return f"""
    unknown_callers = ["store", "query"]

    [[peer]]
    ae_title = "ARCHIVE"
    host = "127.0.0.1"
    port = {DIMSE_PORT}

    [[forward]]
    to = "ARCHIVE"
    modality = ["CT"]
    attempts = 3

    [[forward]]
    to = "http://user:secret@127.0.0.1:{WEB_PORT}/dicom-web"
    calling = ["MR1"]
    """


def queue(scp: Scp) -> list[dict]:
    return list(queued(scp.services().couch, forward.KIND))


def store(scp, path, title="TESTER"):
    association = scp.associate(PAIRS, title)
    assert association.send_c_store(path).Status == 0
    association.release()


def test_dimse(scp, tmp_path):
    """What no peer takes yet waits in the database, through a kill, and is sent once there is one."""
    path = write(tmp_path, 1, "1.2.30", Modality="CT")
    store(scp, path)
    store(scp, write(tmp_path, 2, "1.2.30", Modality="US"))  # of no rule
    until(lambda: queue(scp)[0]["attempts"] >= 1)
    (waiting,) = queue(scp)
    assert (waiting["instance"], waiting["to"], waiting["state"]) == (
        "1.2.30:1.2.30.1:1.2.30.1.1",
        "ARCHIVE",
        "waiting",
    )
    assert "accepts no association" in waiting["reason"]
    scp.stop(signal.SIGKILL)
    came = []

    def keep(event):
        came.append(event.encoded_dataset(False))
        return 0xA700 if len(came) == 1 else 0x0000  # refused once

    archive = AE("ARCHIVE")
    archive.add_supported_context(SecondaryCaptureImageStorage)
    server = archive.start_server(("127.0.0.1", DIMSE_PORT), block=False, evt_handlers=[(evt.EVT_C_STORE, keep)])
    try:
        couch = scp.services().couch
        assert put(couch, {**queue(scp)[0], "due": "2020-01-01T00:00:00Z"})
        scp.start()
        until(lambda: queue(scp)[0]["reason"] == "ARCHIVE answered A700H")
        assert put(couch, {**queue(scp)[0], "due": "2020-01-01T00:00:00Z", "attempts": 0})
        until(lambda: not queue(scp))
    finally:
        server.shutdown()
    assert came == [dataset_of(path.read_bytes())] * 2


def test_it_is_given_up_after_the_attempts_of_the_rule(scp, tmp_path):
    store(scp, write(tmp_path, 1, "1.2.31", Modality="CT"))
    couch = scp.services().couch
    until(lambda: queue(scp)[0]["attempts"] >= 1)
    scp.stop()
    assert put(couch, {**queue(scp)[0], "due": "2020-01-01T00:00:00Z", "attempts": 2})
    scp.start()
    until(lambda: queue(scp)[0]["attempts"] == 3)
    (given_up,) = queue(scp)
    assert given_up["state"] == "failed"
    assert "accepts no association" in given_up["reason"]
    couch.json("DELETE", given_up["_id"], params={"rev": given_up["_rev"]})


def test_dicomweb(scp, tmp_path):
    """By STOW-RS, with the login of the URL, which is not in the database."""
    came = []

    class Archive(BaseHTTPRequestHandler):
        def do_POST(self):
            body = b""
            while size := int(self.rfile.readline(), 16):  # chunked
                body += self.rfile.read(size)
                self.rfile.readline()
            came.append((self.path, self.headers["Authorization"], body))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_words):
            pass

    archive = HTTPServer(("127.0.0.1", WEB_PORT), Archive)
    threading.Thread(target=archive.serve_forever, daemon=True).start()
    path = write(tmp_path, 1, "1.2.32", Modality="MR")
    try:
        store(scp, path, "MR1")
        until(lambda: came and not queue(scp))
    finally:
        archive.shutdown()
        archive.server_close()
    ((where, login, body),) = came
    assert where == "/dicom-web/studies"
    assert login == requests.auth._basic_auth_str("user", "secret")
    data = body.partition(b"\r\n\r\n")[2].rpartition(b"\r\n--")[0]
    assert dataset_of(data) == dataset_of(path.read_bytes())
    assert dcmread(BytesIO(data)).file_meta.SourceApplicationEntityTitle == "MR1"


def test_a_claim_is_one_process_alone(scp):
    """Of two claims one is written; it is renewed, ends with a crash, and who lost it deletes nothing."""
    couch = scp.services().couch
    first, second = Queue(couch, forward.KIND, "first:1"), Queue(couch, forward.KIND, "second:1")
    first.add("one", {"instance": "1.2.33:1:1", "to": "NOBODY"})
    (waiting,) = first.documents()
    assert first.is_due(waiting)
    assert second.is_due(waiting)
    (claimed,) = first.claim([waiting])
    assert second.claim([waiting]) == []
    first.renew()
    (sending,) = second.documents()
    assert (sending["state"], sending["_rev"] != claimed["_rev"]) == ("sending", True)
    assert not first.is_due(sending)
    assert not second.is_due(sending)
    assert Queue(couch, forward.KIND, "first:1").is_due(sending)  # left by the process that listened there before
    put(couch, {**sending, "until": "2020-01-01T00:00:00Z"})  # the first one cannot renew it any more
    (late,) = second.documents()
    (taken,) = second.claim([late])
    first.renew()
    first.done(claimed)
    (kept,) = second.documents()
    assert kept["by"] == taken["by"] != claimed["by"]
    second.failed(taken, "no", 2)
    (again,) = second.documents()
    assert (again["state"], again["attempts"], again["reason"], "by" in again) == ("waiting", 1, "no", False)
    assert not first.is_due(again)
    assert first.is_due(again, early=True)
    first.release(first.claim([again]))
    (back,) = second.documents()
    (claimed,) = second.claim([back])
    second.add("one", {"instance": "1.2.33:1:1", "to": "NOBODY"})  # it came again while it was sent
    second.done(claimed)
    (anew,) = second.documents()
    assert anew["state"] == "waiting"
    second.claim([anew])
    second.done(anew)
    assert queue(scp) == []


def test_two_servers_send_once(scp, tmp_path):
    """Both have the same rules and the same database."""
    came, lock = [], threading.Lock()

    def keep(event):
        with lock:
            came.append(event.request.AffectedSOPInstanceUID)
        return 0x0000

    archive = AE("ARCHIVE")
    archive.add_supported_context(SecondaryCaptureImageStorage)
    other = Scp(scp.database, scp.folder, scp.options)
    association = scp.associate(PAIRS)
    for number in range(20):  # nothing listens yet
        assert association.send_c_store(write(tmp_path, number, "1.2.34", Modality="CT")).Status == 0
    association.release()
    server = archive.start_server(("127.0.0.1", DIMSE_PORT), block=False, evt_handlers=[(evt.EVT_C_STORE, keep)])
    try:
        other.start()
        couch = scp.services().couch
        for document in queue(scp):
            if document["state"] == "waiting":
                put(couch, {**document, "due": "2020-01-01T00:00:00Z", "attempts": 0})
        until(lambda: not queue(scp))
        other.stop()
    finally:
        server.shutdown()
    assert sorted(came) == sorted(f"1.2.34.1.{number}" for number in range(20))
