"""Headers merged by several threads of a request: each header once, never two writers of one header at a time."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import orjson
import pytest

from dicouch.couch import patience
from dicouch.couch.response import CouchError
from dicouch.errors import DicomWebError
from dicouch.write.headers import DIGESTS, Headers, Holds, Merging
from tests.unit.test_memory import make as memory


class Database:
    """Stands in for CouchDB's ``_update``: slow, counts, and knows who writes a header at the same time."""

    timeout = 5.0

    def __init__(self, failures=()):
        self.merged: list[str] = []
        self.busy: set[str] = set()
        self.together = 0
        self.most = 0
        self.failures = list(failures)
        self.lock = threading.Lock()

    def start(self, method, path, *, body, headers, authorization):
        document_id = path.rpartition("/")[2]
        with self.lock:
            assert document_id not in self.busy, f"two writers of {document_id}"
            self.busy.add(document_id)
            self.most = max(self.most, len(self.busy))
        return Pending(self, document_id)


class Pending:
    def __init__(self, database, document_id):
        self.database, self.document_id = database, document_id
        self.headers = {}

    def answer(self):
        time.sleep(0.02)
        with self.database.lock:
            self.database.busy.discard(self.document_id)
            if self.document_id in self.database.failures:
                self.database.failures.remove(self.document_id)
                raise CouchError(500, "error", "no")
            self.database.merged.append(self.document_id)
        return self

    def read(self):
        return orjson.dumps({"revision": "1-a", "variants": []})


def place(series, **values):
    dataset = {"0020000D": {"vr": "UI", "Value": ["1"]}, "0020000E": {"vr": "UI", "Value": [series]}}
    if "description" in values:
        dataset["00081030"] = {"vr": "LO", "Value": [values["description"]]}
    return "1", series, dataset


def merge_in_threads(headers, batches):
    with ThreadPoolExecutor(len(batches)) as pool:
        return list(pool.map(headers.merge, batches))


def test_threads_that_store_the_same_series_merge_it_once():
    database = Database()
    headers = Headers(database, memory())
    merged = merge_in_threads(headers, [[place("2")] * 5] * 4)
    assert sorted(database.merged) == ["1:2", "1:study"]
    assert database.most == 2  # both on their way at the same time
    assert len({digest for batch in merged for one in batch for digest in one}) == 2
    assert headers.variants(merged[3][4]) == []


def test_requests_that_store_the_same_series_merge_it_once():
    """Those of one process share what they are merging; one by one they find it in the memory."""
    database, kept, merging = Database(), memory(), Merging()
    requests = [Headers(database, kept, merging=merging) for _request in range(8)]
    with ThreadPoolExecutor(8) as pool:
        merged = list(pool.map(lambda headers: headers.merge([place("2")]), requests))
    assert sorted(database.merged) == ["1:2", "1:study"]
    assert all(headers.written(*one) == ("1:study", "1:2") for headers, one in zip(requests, merged, strict=True))
    assert not merging.running


def test_who_waits_for_another_request_that_hangs_waits_once():
    """Each would claim the header after the one before, with all its own patience; see docs/decisions/0092."""

    class Hanging(Database):
        def start(self, method, path, **options):
            with patience.waiting(self.timeout) as seconds:
                time.sleep(seconds)
                raise TimeoutError

    database, kept, merging = Hanging(), memory(), Merging()

    def merge(_number):
        patience.begin(0.3)
        began = time.monotonic()
        with pytest.raises((TimeoutError, DicomWebError)):
            Headers(database, kept, merging=merging).merge([place("2")])
        return time.monotonic() - began

    with ThreadPoolExecutor(6) as pool:
        assert max(pool.map(merge, range(6))) < 1.0
    assert not merging.running


def test_what_many_series_bring_to_a_study_does_not_collide():
    database = Database()
    merge_in_threads(
        Headers(database, memory()), [[place(f"{thread}.{number}") for number in range(5)] for thread in range(4)]
    )
    assert database.merged.count("1:study") == 20
    assert len(database.merged) == 40


def test_other_values_of_the_same_series_are_merged_too():
    database = Database()
    merge_in_threads(Headers(database, memory()), [[place("2", description=text)] for text in ("a", "b", "a")])
    assert sorted(database.merged) == ["1:2", "1:study", "1:study"]


def test_what_one_thread_fails_at_the_next_tries():
    database = Database(failures=["1:study"])
    headers = Headers(database, memory())
    start = threading.Barrier(2)

    def merge(_number):
        start.wait()
        try:
            return headers.merge([place("2")])
        except CouchError as problem:
            return problem

    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(merge, range(2)))
    assert sorted(isinstance(result, CouchError) for result in results) == [False, True]
    assert sorted(database.merged) == ["1:2", "1:study"]


def test_a_failure_is_told_and_leaves_nothing_claimed():
    database = Database(failures=["1:study", "1:study"])
    headers = Headers(database, memory())
    for _attempt in range(2):
        with pytest.raises(CouchError):
            headers.merge([place("2")])
    assert len(headers.merge([place("2")])[0]) == 2


def test_what_is_remembered_of_a_header_has_a_bound():
    holds = Holds("1-a", frozenset(), [])
    for number in range(3 * DIGESTS):
        holds = holds.with_merged(b"%d" % number, "1-a", "1-a", [])
        assert b"%d" % number in holds.digests
        assert len(holds.digests) <= DIGESTS


def test_what_another_wrote_behind_a_revision_is_not_taken_for_merged():
    holds = Holds("1-a", frozenset([b"1"]), [])
    assert holds.with_merged(b"2", "1-a", "2-b", []).digests == {b"1", b"2"}
    assert holds.with_merged(b"2", "2-x", "3-b", []).digests == {b"2"}


def test_what_this_process_merged_is_not_asked_for_again():
    database, kept = Database(), memory()
    for _request in range(3):
        Headers(database, kept).merge([place("2")])
    # The changes feed tells of this server's own writes, too; what others write `settle` sees by the revision.
    kept.states.changed("1:2")
    Headers(database, kept).merge([place("2")])
    assert sorted(database.merged) == ["1:2", "1:study"]
    kept.states.changed_all()
    Headers(database, kept).merge([place("2")])
    assert sorted(database.merged) == ["1:2", "1:2", "1:study", "1:study"]


class Rebuilding:
    """Stands in for a database in which `stored` is written while the headers of study 1 are."""

    def __init__(self, *stored):
        self.stored = list(stored)
        self.left = [[{"_id": "1:study"}], [{"_id": "1:2"}]]
        self.asked = []

    def json(self, method, path, *, params=None, body=None, authorization=None, writes=None):
        name = path.rpartition("/")[2] or "information"
        self.asked.append(name)
        if path == "":
            return {"instance_start_time": "0", "update_seq": "5-x"}
        if path == "_changes":
            assert params == {"since": "5-x", "limit": 1000}
            rows, self.stored = self.stored, []
            return {"results": [{"id": one} for one in rows]}
        if path == "_bulk_docs":
            assert writes == [doc["_id"] for doc in body["docs"]]
            return [{"ok": True} for _doc in body["docs"]]
        return {"docs": self.left.pop(0) if self.left else []}


@pytest.mark.parametrize(
    ("stored", "rounds"), [(["1:9:9"], 2), (["1:2", "1:study"], 1), (["11:2:3"], 1), (["x"] * 1000, 2), ([], 1)]
)
def test_a_rebuild_reads_again_what_was_stored_meanwhile(stored, rounds):
    """What another client merged, before the rebuild wrote, and stored, after the rebuild read, is in no header."""
    database = Rebuilding(*stored)
    assert Headers(database, memory()).rebuild("1") == rounds
    assert database.asked == ["information", "_all_docs", "_bulk_docs", "_changes"] * rounds
