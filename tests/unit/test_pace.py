"""``shim/write/pace.py``: the index is asked for behind some hundred instances or in a pause; uploads wait for it."""

import threading
import time

from dicouch.couch.response import CouchError
from dicouch.write import pace as pace_module
from dicouch.write.pace import EVERY, MOST, Pace
from tests.eventually import eventually


class Database:
    """A database whose index is ready when `ready` is set."""

    def __init__(self, problem=None):
        self.asked = 0
        self.began = threading.Semaphore(0)
        self.ready = threading.Semaphore(0)
        self.problem = problem

    def json(self, method, path, *, params=None, authorization=None):
        self.asked += 1
        assert path.endswith("/studies_by_uid")
        self.began.release()
        assert self.ready.acquire(timeout=20)
        if self.problem:
            raise self.problem


def test_small_uploads_ask_once_behind_the_last(monkeypatch):
    monkeypatch.setattr(pace_module, "PAUSE", 0.2)
    database = Database()
    pace = Pace(database)
    for _upload in range(5):
        pace.stored(EVERY // 10, None)
        time.sleep(0.02)
    assert database.asked == 0
    database.ready.release()
    eventually(lambda: pace.behind, lambda behind: behind == 0)
    assert database.asked == 1
    # The thread is gone by then, and the next upload begins another.
    database.ready.release()
    pace.stored(1, None)
    eventually(lambda: pace.behind, lambda behind: behind == 0)
    assert database.asked == 2


def test_uploads_go_on_beside_the_index_and_wait_when_it_is_far_behind():
    database = Database()
    pace = Pace(database)
    pace.stored(EVERY, None)
    assert database.began.acquire(timeout=20)
    pace.stored(MOST - EVERY, None)  # returns
    waiting = threading.Thread(target=pace.stored, args=(1, None), daemon=True)
    waiting.start()
    waiting.join(0.2)
    assert waiting.is_alive()
    database.ready.release()
    waiting.join(20)
    assert not waiting.is_alive()
    # What came meanwhile is enough to ask once more.
    assert database.began.acquire(timeout=20)
    database.ready.release()
    assert database.asked == 2


def test_a_database_that_refuses_does_not_keep_uploads():
    database = Database(CouchError(500, "error", "no index"))
    database.ready.release()
    Pace(database).stored(MOST + 1, None)
    assert database.asked == 1


def test_a_thread_that_dies_holds_nobody_up(monkeypatch):
    """Whatever it dies of; the next batch begins another."""
    monkeypatch.setattr(threading, "excepthook", lambda _raised: None)
    for problem in (ValueError("no JSON"), MemoryError(), SystemExit()):
        database = Database(problem)
        pace = Pace(database)
        for asked in (1, 2):
            database.ready.release()
            began = time.monotonic()
            pace.stored(MOST + 1, None)
            assert time.monotonic() - began < 10
            assert database.asked == asked


def test_a_thread_that_cannot_be_had_is_no_failure(monkeypatch):
    database = Database()
    pace = Pace(database)
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", lambda _self: (_ for _ in ()).throw(RuntimeError("no thread")))
        pace.stored(MOST + 1, None)  # returns
    database.ready.release()
    pace.stored(1, None)
    assert database.asked == 1


def test_it_waits_no_longer_than_it_is_told():
    database = Database()
    pace = Pace(database)
    began = time.monotonic()
    waited = pace.stored(MOST + 1, None, 0.2)
    assert 0.15 < waited <= time.monotonic() - began < 10
    assert pace.stored(1, None, -5.0) < 0.1
    database.ready.release(2)  # its thread ends
