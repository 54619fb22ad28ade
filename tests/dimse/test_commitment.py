"""Storage commitment (PS3.4 J), and TLS: one server has both."""

from __future__ import annotations

import signal
import socket
import ssl
import subprocess
import threading

import pytest
from pydicom import Dataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, SecondaryCaptureImageStorage
from pynetdicom import AE, evt
from pynetdicom.sop_class import StorageCommitmentPushModel, StorageCommitmentPushModelInstance

from dicouch.dimse.queue import put, queued
from dicouch.scripts import storescp
from tests.dimse.conftest import until
from tests.dimse.test_storage import write
from tests.server import free_port

# What depends on the database is in test_storage.py and test_query.py.
pytestmark = pytest.mark.one_database("couchdb")

PORT = free_port()
MODEL = StorageCommitmentPushModel


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """Give a self-signed certificate of 127.0.0.1 and its key."""
    folder = tmp_path_factory.mktemp("tls")
    command = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-days",
        "2",
    ]
    names = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    files = ["-keyout", str(folder / "key.pem"), "-out", str(folder / "cert.pem")]
    subprocess.run([*command, *names, *files], check=True, capture_output=True)
    return folder


@pytest.fixture(scope="module")
def peers_file(certificate):
    return f"""
    [tls]
    certificate = "{certificate}/cert.pem"
    key = "{certificate}/key.pem"
    clients = "{certificate}/cert.pem"

    [[peer]]
    ae_title = "TESTER"

    [[peer]]
    ae_title = "MODALITY"
    host = "127.0.0.1"
    port = {PORT}
    tls = true
    ca = "{certificate}/cert.pem"
    certificate = "{certificate}/cert.pem"
    key = "{certificate}/key.pem"
    """


@pytest.fixture(scope="module")
def tls(certificate):
    context = ssl.create_default_context(cafile=str(certificate / "cert.pem"))
    context.load_cert_chain(certificate / "cert.pem", certificate / "key.pem")
    return context, "127.0.0.1"


def listen(certificate, title, handlers):
    """Start a peer that wants to know who calls."""
    listening = AE(title)
    listening.add_supported_context(MODEL, scu_role=False, scp_role=True)
    own = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(certificate / "cert.pem"))
    own.verify_mode = ssl.CERT_REQUIRED
    own.load_cert_chain(certificate / "cert.pem", certificate / "key.pem")
    return listening.start_server(("127.0.0.1", PORT), block=False, evt_handlers=handlers, ssl_context=own)


def wanted(*pairs):
    asked = Dataset()
    asked.TransactionUID = "1.2.3.4"
    asked.ReferencedSOPSequence = []
    for sop_class, uid in pairs:
        item = Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = sop_class, uid
        asked.ReferencedSOPSequence.append(item)
    return asked


@pytest.mark.parametrize("title", ["TESTER", "MODALITY"])
def test_commitment(scp, tls, certificate, tmp_path, title):
    """Reported on the same association, or on a new one, with TLS, to a peer that listens."""
    came, told = [], threading.Event()

    def keep(event):
        came.append((event.event_type, event.event_information))
        told.set()
        return 0x0000, None

    pairs = [(SecondaryCaptureImageStorage, ExplicitVRLittleEndian), (MODEL, ExplicitVRLittleEndian)]
    handlers = [(evt.EVT_N_EVENT_REPORT, keep)]
    server = listen(certificate, title, handlers)
    # Who listens is not told on the association that asks.
    same = handlers if title == "TESTER" else []
    association = scp.associate(pairs, title, tls_args=tls, evt_handlers=same)
    try:
        assert association.send_c_store(write(tmp_path, 1, "1.2.20")).Status == 0x0000
        kept = (SecondaryCaptureImageStorage, "1.2.20.1.1")
        for asked, kind in (([kept], 1), ([kept, (CTImageStorage, kept[1]), (CTImageStorage, "1.2.99")], 2)):
            told.clear()
            status, _reply = association.send_n_action(wanted(*asked), 1, MODEL, StorageCommitmentPushModelInstance)
            assert status.Status == 0x0000
            assert told.wait(20)
            event_type, information = came.pop()
            assert (event_type, information.TransactionUID) == (kind, "1.2.3.4")
            assert [one.ReferencedSOPInstanceUID for one in information.ReferencedSOPSequence] == [kept[1]]
        # PS3.3 C.14: class-instance conflict, no such object instance.
        assert [one.FailureReason for one in information.FailedSOPSequence] == [0x0119, 0x0112]
        assert association.send_n_action(wanted(), 2, MODEL, StorageCommitmentPushModelInstance)[0].Status == 0x0123
        assert association.send_n_action(wanted(), 1, MODEL, "1.2.3")[0].Status == 0x0112
    finally:
        association.release()
        server.shutdown()


def test_a_request_is_served_while_a_report_is_unanswered(scp, tls):
    """Each side may have one operation under way (PS3.7 D.3.3.3): the next request waits for no answer."""
    came, asked_again = [], threading.Event()

    def slow(event):
        came.append((str(event.event_information.TransactionUID), asked_again.wait(20)))
        return 0x0000, None

    handlers = [(evt.EVT_N_EVENT_REPORT, slow)]
    association = scp.associate([(MODEL, ExplicitVRLittleEndian)], "TESTER", tls_args=tls, evt_handlers=handlers)
    first, second = wanted((CTImageStorage, "1.2.99")), wanted((CTImageStorage, "1.2.99"))
    second.TransactionUID = "1.2.3.5"
    assert association.send_n_action(first, 1, MODEL, StorageCommitmentPushModelInstance)[0].Status == 0x0000
    until(lambda: requests_of(scp, "sending"))  # the report is on its way
    assert association.send_n_action(second, 1, MODEL, StorageCommitmentPushModelInstance)[0].Status == 0x0000
    asked_again.set()
    until(lambda: len(came) == 2)
    assert came == [("1.2.3.4", True), ("1.2.3.5", True)]
    until(lambda: not requests_of(scp))
    assert association.is_established
    association.release()


def requests_of(scp, state=None):
    documents = queued(scp.services().couch, "commitment")
    return [document["calling"] for document in documents if state in (None, document["state"])]


def test_requests_outlive_a_kill(scp, tls, certificate, capsys):
    """Who listens gets the report from the next process, who does not on the next association that takes reports."""
    came = []

    def keep(event):
        came.append((event.assoc.ae.ae_title, event.event_type, event.event_information.TransactionUID))
        return 0x0000, None

    for title in ("TESTER", "MODALITY"):
        association = scp.associate([(MODEL, ExplicitVRLittleEndian)], title, tls_args=tls)
        asked = wanted((CTImageStorage, "1.2.99"))
        assert association.send_n_action(asked, 1, MODEL, StorageCommitmentPushModelInstance)[0].Status == 0x0000
        association.abort()
    scp.stop(signal.SIGKILL)
    assert sorted(requests_of(scp)) == ["MODALITY", "TESTER"]
    storescp.show_queue(scp.services().couch)
    shown = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert shown == [["waiting", "1", "MODALITY"], ["waiting", "1", "TESTER"], ["failed", "0"]]
    handlers = [(evt.EVT_N_EVENT_REPORT, keep)]
    server = listen(certificate, "MODALITY", handlers)
    try:
        for document in queued(scp.services().couch, "commitment"):
            put(scp.services().couch, {**document, "due": "2020-01-01T00:00:00Z"})
        scp.start()
        until(lambda: requests_of(scp) == ["TESTER"])
        association = scp.associate([(MODEL, ExplicitVRLittleEndian)], "TESTER", tls_args=tls, evt_handlers=handlers)
        until(lambda: not requests_of(scp))
        association.release()
    finally:
        server.shutdown()
    assert came == [("MODALITY", 2, "1.2.3.4"), ("TESTER", 2, "1.2.3.4")]


def test_tls_with_dcmtk(scp, dcmtk, certificate):
    own = [certificate / "key.pem", certificate / "cert.pem"]
    command = ["echoscu", "-v", "+tls", *own, "+cf", certificate / "cert.pem", "-aet", "TESTER", "-aec", "DICOUCH"]
    silent = socket.create_connection(("127.0.0.1", scp.port))  # who does not shake hands holds up nobody
    with silent:
        line = [*command, "127.0.0.1", str(scp.port)]
        done = subprocess.run(line, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=20)
    assert done.returncode == 0, done.stdout
    assert "Received Echo Response (Success)" in done.stdout


def test_who_speaks_no_tls_or_shows_no_certificate_gets_nothing(scp, certificate):
    assert not scp.associate([(MODEL, ExplicitVRLittleEndian)]).is_established
    nobody = ssl.create_default_context(cafile=str(certificate / "cert.pem")), "127.0.0.1"
    assert not scp.associate([(MODEL, ExplicitVRLittleEndian)], tls_args=nobody).is_established
