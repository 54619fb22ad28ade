"""What several threads ask at the same moment is asked once; who is alone waits for nobody."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from dicouch.couch.response import CouchError
from dicouch.errors import DicomWebError
from dicouch.write.bulk import BulkWriter, Single, Written
from dicouch.write.combined import Combined
from dicouch.write.ingest import Ingest
from dicouch.write.outcome import Outcome
from tests.unit.test_memory import make as memory

LIMIT = 10


class Asked:
    """The function of a `Combined`: its first call waits until it is let go."""

    def __init__(self, problem=None):
        self.calls = []
        self.problem = problem
        self.begun, self.go = threading.Event(), threading.Event()

    def __call__(self, key, items):
        self.calls.append((key, list(items)))
        if not self.begun.is_set():
            self.begun.set()
            assert self.go.wait(LIMIT)
        elif self.problem:
            raise self.problem
        return [item * 10 for item in items]


def while_one_runs(combined, asked, others):
    """Call for `others` (key and items) while a first call is on its way; return what became of each."""
    with ThreadPoolExecutor(len(others) + 1) as pool:
        first = pool.submit(combined, None, [1])
        assert asked.begun.wait(LIMIT)
        futures = []
        for key, items in others:
            futures.append(pool.submit(combined, key, items))
        wait_until_all_wait(combined, asked, others)
        asked.go.set()
        assert first.result(LIMIT) == [10]
        return futures


def waiting(combined):
    return sum(len(call.items) for calls in combined._waiting.values() for call in calls)


def wait_until_all_wait(combined, asked, others):
    count = sum(len(items) for key, items in others if key is None)
    wait_for(lambda: waiting(combined) == count)


def wait_for(true, limit=LIMIT):
    event = threading.Event()
    for _time in range(limit * 200):
        if true():
            return
        event.wait(0.005)
    raise AssertionError("it did not happen")


def test_one_alone():
    asked = Asked()
    asked.go.set()
    combined = Combined(asked)
    assert combined("key", [1, 2]) == [10, 20]
    assert combined("key", []) == []
    assert asked.calls == [("key", [1, 2]), ("key", [])]
    assert (combined._waiting, combined._running) == ({}, set())


def test_those_that_come_meanwhile_go_together():
    asked = Asked()
    combined = Combined(asked)
    futures = while_one_runs(combined, asked, [(None, [number, number + 1]) for number in (2, 4, 6)])
    assert [future.result(LIMIT) for future in futures] == [[20, 30], [40, 50], [60, 70]]
    assert [sorted(items) for _key, items in asked.calls] == [[1], [2, 3, 4, 5, 6, 7]]


def test_no_more_than_the_most_unless_one_brings_them():
    asked = Asked()
    combined = Combined(asked, most=4)
    futures = while_one_runs(combined, asked, [(None, [2, 3, 4]), (None, [5, 6]), (None, [7] * 9)])
    assert [future.result(LIMIT) for future in futures] == [[20, 30, 40], [50, 60], [70] * 9]
    assert sorted(len(items) for _key, items in asked.calls) == [1, 2, 3, 9]


def test_credentials_are_not_mixed():
    asked = Asked()
    combined = Combined(asked)
    futures = while_one_runs(combined, asked, [(None, [2]), (None, [3]), ("someone", [4])])
    assert [future.result(LIMIT) for future in futures] == [[20], [30], [40]]
    assert ("someone", [4]) in asked.calls


def test_a_problem_reaches_all_whose_items_it_had_and_no_other():
    asked = Asked(problem=CouchError(500, "error", "no"))
    combined = Combined(asked)
    futures = while_one_runs(combined, asked, [(None, [2]), (None, [3])])
    for future in futures:
        with pytest.raises(CouchError):
            future.result(LIMIT)
    asked.problem = None
    assert combined(None, [4]) == [40]


def test_many_threads():
    calls = []

    def ask(_key, items):
        calls.append(len(items))
        return [item + 1 for item in items]

    combined = Combined(ask, most=16)
    with ThreadPoolExecutor(32) as pool:
        results = list(pool.map(lambda number: combined(number % 2, [number, -number]), range(2000)))
    assert results == [[number + 1, 1 - number] for number in range(2000)]
    assert sum(calls) == 4000
    assert max(calls) <= 16
    assert (combined._waiting, combined._running) == ({}, set())


class Database:
    """Stands in for CouchDB: `failing` names the paths that it does not answer."""

    def __init__(self, *failing, problem=None):
        self.failing = failing
        self.problem = problem or CouchError(500, "error", "no")
        self.asked = []

    def start(self, method, path, *, body=None, headers=None, authorization=None, params=None, writes=None):
        assert (writes == ["1:2:4", "1:2:5"]) == (path == "_bulk_docs")
        self.asked.append(path)
        return Answer(self, path)

    def start_json(self, method, path, **options):
        options["body"] = b""
        return self.start(method, path, **options)

    def json(self, method, path, **options):
        return self.start_json(method, path, **options).json()


class Answer:
    def __init__(self, database, path):
        self.database, self.path = database, path

    def close(self):
        self.database.asked.append(f"closed {self.path}")

    def json(self):
        if self.path in self.database.failing:
            raise self.database.problem
        return {
            "_bulk_docs": [{"ok": True, "rev": "1-a"}, {"error": "conflict"}],
            "_all_docs": {"rows": [{"id": "1:2", "value": {"rev": "3-a"}}, {"key": "1:study", "error": "not_found"}]},
        }.get(self.path, {"rows": [{"id": "1:9:4"}, {"id": "1:2:5"}]})


INSTANCES = [Single("1:2:4", b"{}", ("1:2", "1:study")), Single("1:2:5", b"{}", ("1:2",))]


def test_what_a_write_tells():
    database = Database()
    assert BulkWriter(database).single(None, INSTANCES) == [
        Written("1-a", [("1", "9", "4")], {"1:2": "3-a", "1:study": None}),
        Written("", [("1", "2", "5")], {"1:2": "3-a"}),
    ]
    assert database.asked == ["_design/dicom/_view/instances_by_uid", "_bulk_docs", "_all_docs"]


@pytest.mark.parametrize("problem", [CouchError(500, "error", "no"), DicomWebError(502, "the answer breaks off")])
@pytest.mark.parametrize(
    ("failing", "expected"),
    [
        ("_all_docs", ("1-a", [("1", "9", "4")], {})),
        ("_design/dicom/_view/instances_by_uid", ("1-a", [], {"1:2": "3-a", "1:study": None})),
    ],
)
def test_what_fails_takes_nothing_else_with_it(failing, expected, problem):
    """An instance that is written is not called lost because something beside it cannot be told."""
    assert BulkWriter(Database(failing, problem=problem)).single(None, INSTANCES)[0] == Written(*expected)


def test_a_write_that_fails_is_left_to_each_request():
    database = Database("_bulk_docs")
    assert BulkWriter(database).single(None, INSTANCES) == [Written("", [], {})] * 2
    assert database.asked[-1] == "closed _design/dicom/_view/instances_by_uid"


@pytest.mark.parametrize(("count", "expected"), [(1, {"1:2": "3-a"}), (2, {})])
def test_what_was_seen_behind_one_write_says_nothing_of_another(count, expected, monkeypatch):
    """A deletion between the writes of a request's two instances removes headers that the first still saw."""
    ingest = Ingest(Database(), None, memory())
    ingest._seen = {"1:2": "3-a"}
    taken = []
    monkeypatch.setattr(ingest.headers, "settle", taken.append)
    with ThreadPoolExecutor(1) as pool:
        ingest.settle([Outcome("1", "2", str(number)) for number in range(count)], pool)
    assert taken == [expected]
