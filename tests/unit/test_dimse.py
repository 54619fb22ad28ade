"""DIMSE without a network: what arrives of a PDU, what is committed to, and what one bad instance costs others."""

from __future__ import annotations

import threading
import tracemalloc
from types import SimpleNamespace

import pytest
from pydicom import Dataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian
from pynetdicom.dimse_messages import N_EVENT_REPORT_RSP
from pynetdicom.sop_class import StorageCommitmentPushModel

from dicouch.dimse import commitment, find, forward, retrieve, send, server
from dicouch.dimse.commitment import Committer
from dicouch.dimse.forward import Forwarder
from dicouch.dimse.peers import Peer, Rule, Settings
from dicouch.dimse.queue import SENDING, WAITING, moment
from dicouch.errors import DicomWebError, NoBytes


class Connection:
    """What a peer has sent, in pieces of at most so many bytes."""

    def __init__(self, content: bytes, most: int = 100_000) -> None:
        self.content, self.most = content, most

    def recv_into(self, view: memoryview) -> int:
        count = min(len(view), len(self.content), self.most)
        view[:count] = self.content[:count]
        self.content = self.content[count:]
        return count


@pytest.mark.parametrize(("size", "there"), [(6, 6), (6, 3), (131_072, 131_072), (900_000, 900_000), (900_000, 131_072)])
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
