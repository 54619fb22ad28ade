"""``shim/write/upload.py``: which instances of a request go together, and where a request waits for the index."""

from __future__ import annotations

import threading
from types import SimpleNamespace

import pytest
from flask import Flask, has_app_context

from dicouch.couch import patience
from dicouch.dicom.media.multipart import ReceivedPart
from dicouch.write import upload
from dicouch.write.outcome import Outcome
from dicouch.write.pace import LONGEST
from dicouch.write.upload import BATCH, BATCH_BYTES, Upload


class Ingest:
    """Stands in for `Ingest` of a site with a folder (small: any size) or with attachments (small: up to a bound)."""

    authorization = None

    def __init__(self, largest=1 << 40, failure=0):
        self.batches = []
        self.largest = largest
        self.failure = failure

    def is_small(self, size):
        return size <= self.largest

    def read(self, file, size, sha256, number):
        return SimpleNamespace(outcome=Outcome("1", "2", str(number), failure=self.failure), number=number, size=size)

    def search(self, batch, pool):
        pass

    def store_batch(self, batch, alone=False):
        self.batches.append([received.number for received in batch])
        return [received.outcome for received in batch]


class Pace:
    def __init__(self, waits=0.0):
        self.told = []
        self.waits = waits

    def stored(self, count, authorization, patience):
        self.told.append((count, patience, threading.current_thread()))
        return self.waits


def store(ingest, pace, sizes):
    upload = Upload(ingest, pace, None)
    for number, size in enumerate(sizes, 1):
        upload.add(ReceivedPart(number, {}, None, size, "00"))
    return upload.finish()


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ([512 << 10] * 10, [4, 4, 2]),  # ten slices: not ten writes
        ([10_000] * 100, [32, 32, 32, 4]),
        ([BATCH_BYTES], [1]),
        ([BATCH_BYTES, 10, 10], [1, 2]),
    ],
)
def test_files_in_folders_go_together_by_number_and_bytes(sizes, expected):
    ingest = Ingest()
    outcomes = store(ingest, Pace(), sizes)
    assert sorted(map(len, ingest.batches), reverse=True) == sorted(expected, reverse=True)
    assert [outcome.number for outcome in outcomes] == list(range(1, len(sizes) + 1))
    assert BATCH == 32


def test_large_attachments_go_by_themselves():
    ingest = Ingest(largest=16 << 10)
    store(ingest, Pace(), [512 << 10] * 3)
    assert sorted(ingest.batches) == [[1], [2], [3]]


def test_it_waits_for_the_index_in_its_own_thread_and_not_again_for_each_batch():
    """Of the threads that store each request needs some: one whose index is built anew must not hold them."""
    pace = Pace(waits=LONGEST)
    store(Ingest(), pace, [10_000] * 100)
    assert [count for count, _patience, _thread in pace.told] == [32, 32, 32, 4]
    assert [patience > 0 for _count, patience, _thread in pace.told] == [True, False, False, False]
    assert {thread for _count, _patience, thread in pace.told} == {threading.current_thread()}


def test_what_is_not_stored_is_not_waited_for():
    pace = Pace()
    store(Ingest(failure=0x0110), pace, [10_000] * 3)
    assert pace.told == []


def test_threads_have_the_patience_of_the_request_and_nothing_else_of_it():
    """What times a request (`dicouch.server.timing`) is changed by one thread alone."""
    seen = []

    class Told(Ingest):
        def store_batch(self, batch, alone=False):
            seen.append((patience._PATIENCE.get(), has_app_context()))
            return super().store_batch(batch, alone)

    with Flask("test").app_context():
        patience.begin(5)
        own = patience._PATIENCE.get()
        store(Told(), Pace(), [10_000] * 100)
        patience.begin(None)
    assert seen == [(own, False)] * 4
    assert upload.POOL.submit(patience._PATIENCE.get).result() is None  # nor do they keep it
