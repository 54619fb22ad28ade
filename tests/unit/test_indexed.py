"""``shim/write/indexed.py``: one update for all that wrote at a moment, and nobody is kept by it for long."""

from __future__ import annotations

import threading
import time

import pytest

from dicouch.app import create_app
from dicouch.config import Config
from dicouch.couch import patience
from dicouch.couch.index import BELIEVED, GRACE, TELL
from dicouch.couch.response import CouchError
from dicouch.couch.states import States
from dicouch.errors import DicomWebError
from dicouch.services import of
from dicouch.write.indexed import LONGEST, REST, Indexed


class Database:
    """A database whose index is ready when `ready` is set."""

    def __init__(self, problem: Exception | None = None) -> None:
        self.asked, self.bounds = 0, []
        self.began, self.ready = threading.Semaphore(0), threading.Semaphore(0)
        self.problem = problem
        self.word: dict = {}
        self.told = 0

    def with_timeout(self, seconds: float) -> Database:
        assert seconds == LONGEST
        return self

    def json(self, method: str, path: str, **options: dict) -> dict:
        return self.local(method, **options) if path.startswith("_local/") else self.update(**options)

    def local(self, method: str, *, body: dict | None = None, writes: tuple = ()) -> dict:
        if method == "GET" and not self.word:
            raise CouchError(404, "not_found", "missing")
        if method == "PUT":
            if body.get("_rev") != self.word.get("_rev"):
                raise CouchError(409, "conflict", "Document update conflict.")
            self.told += 1
            self.word = {**body, "_rev": f"0-{self.told}"}
        return self.word

    def update(self, *, params: dict, authorization: str | None) -> dict:
        assert params["limit"] == 0
        self.asked += 1
        with patience.waiting(LONGEST) as seconds:
            self.bounds.append(seconds)
        self.began.release()
        assert self.ready.acquire(timeout=20)
        if self.problem:
            raise self.problem
        return {"rows": []}


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def make(database: Database) -> Indexed:
    states = States()
    states.changed_all()
    states.index.searched()
    return Indexed(database, states, Clock())


def write(indexed: Indexed, study: str) -> threading.Thread:
    def run() -> None:
        indexed.wrote([f"{study}:2:3"])
        indexed.wait(None)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread


def owes(indexed: Indexed) -> bool:
    index = indexed._states.index
    return not index.has(index.mark())


def test_those_that_come_meanwhile_share_the_next_update():
    database = Database()
    indexed = make(database)
    before = indexed._states.token("1")
    first = write(indexed, "1")
    assert database.began.acquire(timeout=20)
    others = [write(indexed, str(each)) for each in range(2, 9)]
    while indexed.writes < 8:
        time.sleep(0.001)
    database.ready.release()
    first.join(20)
    assert database.began.acquire(timeout=20)
    assert any(each.is_alive() for each in others)
    database.ready.release()
    for each in others:
        each.join(20)
    assert database.asked == 2
    assert not owes(indexed)
    assert indexed._states.token("1") != before
    indexed.wait(None)
    assert database.asked == 2


@pytest.mark.parametrize("problem", [DicomWebError(503, "it hangs"), CouchError(403, "forbidden", "no")])
def test_what_is_not_in_the_index_is_owed(problem):
    database = Database(problem)
    indexed = make(database)
    database.ready.release()
    write(indexed, "1").join(20)
    assert (database.asked, owes(indexed)) == (1, True)
    indexed._done = indexed.writes
    database.problem = None
    hung = isinstance(problem, DicomWebError)
    for seconds, asked in ((0, 1 if hung else 2), (REST + 1, 2 if hung else 3)):
        indexed._clock.now += seconds
        indexed._states.index.searched()
        database.ready.release()
        write(indexed, "1").join(20)
        assert database.asked == asked
    assert not owes(indexed)


def test_nobody_waits_longer_than_the_bound():
    """Who waited for the update of another one has what is left of it."""
    database = Database()
    indexed = make(database)
    first = write(indexed, "1")
    assert database.began.acquire(timeout=20)
    second = write(indexed, "2")
    while indexed.writes < 2 or not indexed._changed._waiters:
        time.sleep(0.001)
    indexed._clock.now += LONGEST - 1
    database.ready.release()
    first.join(20)
    assert database.began.acquire(timeout=20)
    third = write(indexed, "3")
    while indexed.writes < 3 or not indexed._changed._waiters:
        time.sleep(0.001)
    indexed._clock.now += LONGEST + 1
    database.ready.release()
    for each in (second, third):
        each.join(20)
    assert database.bounds == [LONGEST, 1]
    assert owes(indexed)


def test_a_request_without_patience_does_not_rest_the_process():
    database = Database()
    indexed = make(database)
    database.ready.release()
    patience.begin(1)
    patience._PATIENCE.get().spend(2)
    indexed.wrote(["1:2:3"])
    indexed.wait(None)
    patience.begin(None)
    assert (database.bounds, owes(indexed)) == ([LONGEST], False)


def test_who_cannot_know_of_searches_waits_while_they_are_told_of():
    """C-STORE's process, and a server whose clients search; neither hears of the other but by the database."""
    database = Database()
    indexed, other = make(database), make(database)
    database.ready.release(9)

    def updates_of(one: Indexed) -> int:
        before = database.asked
        one.wrote(["1:2:3"])
        one.wait_for_others() if one is other else one.wait(None)
        return database.asked - before

    assert updates_of(other) == 0  # nobody has ever said a word
    indexed._states.index._slots[:] = memoryview(bytes(indexed._states.index._slots.nbytes)).cast("Q")
    assert (updates_of(indexed), updates_of(other), database.told) == (0, 0, 0)
    indexed._states.index.searched()
    assert (updates_of(indexed), updates_of(other), database.told) == (1, 1, 1)
    other._clock.now += BELIEVED - 0.1
    assert updates_of(other) == 1
    other._clock.now += 0.1
    assert updates_of(other) == 0
    time.sleep(TELL)
    indexed._states.index.searched()
    assert (updates_of(indexed), updates_of(other), database.told) == (1, 1, 2)


def test_c_store_that_owes_an_update_is_answered_when_no_search_reads_behind_it(monkeypatch):
    """The others hear nothing of what it owes; an update that may be read then began after it was written."""
    database = Database(DicomWebError(503, "no"))
    indexed = make(database)
    database.ready.release(9)
    slept = []
    monkeypatch.setattr("dicouch.write.indexed.time.sleep", slept.append)
    monkeypatch.setattr(indexed._word, "is_said", lambda: True)
    for asked in (1, 1):  # the second time it rests
        indexed.wrote(["1:2:3"])
        indexed.wait_for_others()
        assert database.asked == asked
    assert slept == [GRACE, GRACE]
    indexed.wait_for_others()
    assert len(slept) == 3  # of those before, too
    database.problem = None
    indexed._clock.now += REST
    indexed.wrote(["1:2:4"])
    indexed.wait_for_others()
    assert (database.asked, len(slept)) == (2, 3)


def test_only_who_wrote_waits(monkeypatch):
    waited = []
    application = create_app(Config(couchdb_url="http://127.0.0.1:9", remember=0.0))
    monkeypatch.setattr(Indexed, "wait", lambda _self, authorization: waited.append(authorization))
    ask, ours = application.test_client(), of(application)
    assert [ask.get("/dicom-web/studies").status_code, ask.post("/dicom-web/studies").status_code] == [503, 415]
    assert waited == []

    def written(*_told: object) -> str:
        ours.couch.wrote(["1:2:3"])
        return "Basic x"

    monkeypatch.setattr(ours.credentials, "of", written)
    ask.get("/dicom-web/studies")  # what another request writes meanwhile is not this one's to wait for
    assert waited == []
    ask.post("/dicom-web/studies")  # refused: it wrote nothing
    assert waited == []
    ask.post("/dicom-web/studies", content_type="application/dicom")
    assert waited == ["Basic x"]
