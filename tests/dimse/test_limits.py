"""What a server that replaces nothing says: to one association too many, to a silent one, without a database."""

from __future__ import annotations

import select
import socket
import time
from contextlib import suppress

import pytest
from pydicom import Dataset
from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage
from pynetdicom.sop_class import (
    StorageCommitmentPushModel,
    StorageCommitmentPushModelInstance,
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelGet,
    Verification,
)

from dicouch.scripts.push_views import push
from tests.dimse.conftest import Scp, until
from tests.dimse.test_query import identifier
from tests.dimse.test_storage import dataset_of, write
from tests.integration.feed_proxy import Proxy

# What depends on the database is in test_storage.py and test_query.py.
pytestmark = pytest.mark.one_database("embedded")

FIND, GET = StudyRootQueryRetrieveInformationModelFind, StudyRootQueryRetrieveInformationModelGet
COMMIT = StorageCommitmentPushModel
IDLE = 2
CONTEXTS = [(uid, ExplicitVRLittleEndian) for uid in (SecondaryCaptureImageStorage, FIND, GET, COMMIT)]


class Switch(Proxy):
    """A way to the database that can be closed, slow, or answer something of its own."""

    down, delay, answer = False, 0.0, b""

    def _serve(self, client: socket.socket) -> None:
        with suppress(OSError), client, socket.create_connection(self._target) as server:
            while not self.down:
                for each in select.select([client, server], [], [], 0.02)[0]:
                    piece = each.recv(1 << 16)
                    if not piece:
                        return
                    if self.answer:
                        client.sendall(self.answer)
                        return
                    time.sleep(self.delay if each is client else 0)
                    (server if each is client else client).sendall(piece)


@pytest.fixture(scope="module")
def switch(database):
    with Switch(database.url) as made:
        yield made


@pytest.fixture(scope="module")
def scp(fresh_database, switch, tmp_path_factory):
    folder = tmp_path_factory.mktemp("scp")
    settings = f'associations = 2\nidle_timeout = {IDLE}\nunknown_callers = ["store", "query", "retrieve"]\n'
    (folder / "peers.toml").write_text(settings)
    push(*fresh_database.rsplit("/", 1))
    through = f"{switch.url}/{fresh_database.rpartition('/')[2]}"
    running = Scp(through, folder, ("--peers", str(folder / "peers.toml")), {"DUPLICATES": "reject"})
    running.start()
    yield running
    running.stop()


def test_a_duplicate_is_refused_where_the_site_says_so(scp, tmp_path):
    """0111, Duplicate SOP Instance (PS3.7 C); the same data set is none, whoever sends it."""
    path = write(tmp_path, 1, "1.2.40")
    for title, comments, status in (("A", "", 0x0000), ("B", "", 0x0000), ("A", "other", 0x0111)):
        if comments:
            other = write(tmp_path, 1, "1.2.40", PatientComments=comments)
        association = scp.associate(CONTEXTS, title)
        told = association.send_c_store(other if comments else path)
        association.release()
        assert told.Status == status, title
        if not comments:
            kept = dataset_of(path.read_bytes())
    assert dataset_of(scp.stored("1.2.40", "1.2.40.1", "1.2.40.1.1")) == kept


def test_without_the_database_everything_may_be_sent_again(scp, switch, tmp_path):
    """A700, Refused: Out of Resources (PS3.4 Table B.2-1, C.4-1); nothing gets success, and the association stays."""
    path = write(tmp_path, 1, "1.2.41")
    asked = Dataset()
    asked.TransactionUID = "1.2.3.4"
    asked.ReferencedSOPSequence = []
    association = scp.associate(CONTEXTS)
    switch.down = True
    try:
        assert association.send_c_store(path).Status == 0xA700
        ((found, _row),) = association.send_c_find(identifier(StudyInstanceUID=""), FIND)
        assert found.Status in (0xA700, 0xC001)
        ((got, _row),) = association.send_c_get(identifier(StudyInstanceUID="1.2.41"), GET)
        assert got.Status in (0xA700, 0xC001)
        status, _reply = association.send_n_action(asked, 1, COMMIT, StorageCommitmentPushModelInstance)
        assert status.Status == 0x0213  # Resource limitation (PS3.7 C)
    finally:
        switch.down = False
    assert association.send_c_store(path).Status == 0x0000
    association.release()
    assert dataset_of(scp.stored("1.2.41", "1.2.41.1", "1.2.41.1.1")) == dataset_of(path.read_bytes())


def test_an_error_of_the_database_is_a_processing_failure(scp, switch, tmp_path):
    """0110 (PS3.7 C), and no success for what the database has not."""
    association = scp.associate(CONTEXTS)
    switch.answer = b"HTTP/1.1 500 Error\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}"
    try:
        switch.down = True  # and the connections that there are
        time.sleep(0.1)
        switch.down = False
        assert association.send_c_store(write(tmp_path, 1, "1.2.43")).Status == 0x0110
    finally:
        switch.answer = b""
    association.release()


def reaches(scp):
    association = scp.associate(CONTEXTS)
    reached = association.is_established
    association.abort()
    return reached


def test_one_association_too_many_is_refused_for_now(scp):
    """Rejected-transient, local limit exceeded (PS3.8 9.3.4)."""
    first, second = (scp.associate([(Verification, ExplicitVRLittleEndian)]) for _one in range(2))
    third = scp.associate([(Verification, ExplicitVRLittleEndian)])
    assert third.is_rejected
    told = third.acceptor.primitive
    assert (told.result, told.result_source, told.diagnostic) == (2, 3, 2)
    assert first.send_c_echo().Status == 0x0000
    first.release()
    until(lambda: reaches(scp))
    second.release()


def test_a_silent_association_ends_and_one_that_waits_for_the_server_does_not(scp, switch, tmp_path):
    until(lambda: reaches(scp))
    association = scp.associate(CONTEXTS)
    switch.delay = IDLE / 3  # a request takes several of them
    try:
        began = time.monotonic()
        assert association.send_c_store(write(tmp_path, 1, "1.2.42")).Status == 0x0000
        assert time.monotonic() - began > IDLE
    finally:
        switch.delay = 0.0
    time.sleep(0.5)
    assert association.is_established
    began = time.monotonic()
    until(lambda: not association.is_established)
    assert time.monotonic() - began > IDLE / 2
