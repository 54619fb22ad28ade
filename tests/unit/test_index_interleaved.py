"""Who reads the index as it is finds what was acknowledged, under random interleavings; ``shim/couch/index.py``.

A database is a list of writes, its index goes to one of them. Two processes write, search and hear of changes; the
index is updated, lost and built anew, and between any two steps of one of them the others go on.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from hypothesis import settings, strategies
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from dicouch.couch.index import BELIEVED, SEARCHED
from dicouch.couch.memory import DATABASE, Memory
from dicouch.couch.response import CouchError
from dicouch.couch.ring import Ring
from dicouch.couch.states import States
from dicouch.errors import DicomWebError
from dicouch.read.search.reading import Reading
from dicouch.rewrite import requests
from dicouch.rewrite.plan import Range
from dicouch.write.indexed import Indexed

WORKERS = range(2)
worker_of = strategies.sampled_from(WORKERS)
# Seconds after which the feed tells of a write at the latest.
TOLD = 0.3
# Others' writes are seen within a second.
SEEN = 1.0


class Feed:
    def __init__(self) -> None:
        self.alive = True

    def start(self) -> None:
        pass

    def is_alive(self) -> bool:
        return self.alive

    def close(self) -> None:
        pass


@dataclass
class Database:
    """Numbers of writes, and how many of them the index has; `between` is what others do while it works."""

    writes: list[float] = field(default_factory=list)
    indexed: int = 0
    hangs: bool = False
    between: Callable[[], None] = lambda: None
    updates: int = 0
    word: dict = field(default_factory=dict)

    def with_timeout(self, _seconds: float) -> Database:
        return self

    def json(self, method: str, path: str, **options: object) -> dict:
        if path.startswith("_local/"):
            return self.local(method, **options)
        return self.start_json(method, path, **options).json() if path else {"cluster": {"n": 1}}

    def local(self, method: str, *, body: dict | None = None, writes: tuple = ()) -> dict:
        self.between()
        if self.hangs:
            raise DicomWebError(503, "the database does not answer")
        told = self.word
        if method == "PUT":
            if body.get("_rev") != told.get("_rev"):
                raise CouchError(409, "conflict", "Document update conflict.")
            self.word = told = {**body, "_rev": int(told.get("_rev", 0)) + 1}
        elif not told:
            raise CouchError(404, "not_found", "missing")
        self.between()
        return told

    def start_json(self, _method: str, _path: str, *, params: dict, **_options: object) -> Pending:
        return Pending(self, params.get("update") != "false", len(self.writes))


@dataclass
class Pending:
    """A request: what was written when it was sent is in its answer, if it updates the index."""

    database: Database
    update: bool
    target: int

    def json(self) -> dict:
        database = self.database
        database.between()
        if self.update:
            if database.hangs:
                raise DicomWebError(503, "the database does not answer")
            database.updates += database.indexed < self.target
            database.indexed = max(database.indexed, self.target)
        answer = {"rows": list(range(database.indexed))}
        database.between()
        return answer


class Worker:
    def __init__(self, database: Database, states: States, ring: Ring, clock: Callable[[], float]) -> None:
        self.feed, self.database = Feed(), database
        self.memory = Memory(database, self.feed, states, ring, 1e9, clock=clock)
        self.memory.answered(None, True, clock())
        self.indexed = Indexed(database, states, clock)
        self.untold: list[int] = []
        self.unanswered: list[int] = []

    def search(self) -> list[int]:
        """Search as ``dicouch.routes.search.result`` does."""
        memory = self.memory
        kept = memory.shared(DATABASE, "k", None)
        if kept is not None:
            return list(range(int(kept)))
        token = memory.token(DATABASE)
        reading = Reading(self.database, "", None, memory)
        rows = reading.ask(requests.rows(Range("studies_by_date")))["rows"]
        self.database.between()
        if reading.settled:
            memory.share(DATABASE, "k", None, b"%d" % len(rows), token)
        return rows


class Interleaved(RuleBasedStateMachine):
    """One database, two processes; see above."""

    @initialize()
    def begin(self):
        self.now, self.depth = 100.0, 0
        states, ring = States(), Ring(1 << 12)
        states.index._clock = lambda: int(self.now * 1e9)
        self.states, self.database = states, Database()
        self.workers = [Worker(self.database, states, ring, lambda: self.now) for _each in WORKERS]
        # C-STORE's process shares nothing with those of HTTP.
        self.scp = Indexed(self.database, States(), lambda: self.now)
        self.acknowledged: set[int] = set()
        self.lost = 0.0

    def commit(self) -> int:
        number = len(self.database.writes)
        self.database.writes.append(self.now)
        for each in self.workers:
            each.untold.append(number)
        return number

    @rule(worker=worker_of)
    def store(self, worker):
        """A request writes; its answer comes later, or never."""
        each = self.workers[worker]
        each.unanswered.append(self.commit())
        each.indexed.wrote([f"1:2:{each.unanswered[-1]}"])

    @rule(worker=worker_of)
    def answer(self, worker):
        each = self.workers[worker]
        stored, each.unanswered = each.unanswered, []
        each.indexed.wait(None)
        self.acknowledged.update(stored)

    @rule()
    def receive(self):
        """C-STORE: the process is not told of searches, and acknowledges what it stored without waiting mostly."""
        number = self.commit()
        self.scp.wrote([f"1:2:{number}"])
        hung = self.database.hangs
        self.scp.wait_for_others()
        # One that took too long is acknowledged all the same (0091).
        if not (hung or self.database.hangs or self.scp._rests_until > self.now):
            self.acknowledged.add(number)

    @rule(worker=worker_of)
    def kill(self, worker):
        """A process ends; the next one knows what is shared, and nothing else."""
        old = self.workers[worker]
        new = self.workers[worker] = Worker(self.database, self.states, old.memory.ring, lambda: self.now)
        new.untold, new.feed.alive = old.untold, False
        self.connect(worker)

    @rule()
    def write_beside(self):
        self.commit()

    @rule(worker=worker_of)
    def tell(self, worker):
        each = self.workers[worker]
        if each.untold and each.feed.alive:
            told, each.untold = each.untold, []
            for one in told:
                self.states.changed(f"1:2:{one}")

    @rule(worker=worker_of)
    def cut(self, worker):
        self.workers[worker].feed.alive = False

    @rule(worker=worker_of)
    def connect(self, worker):
        each = self.workers[worker]
        if not each.feed.alive:
            each.untold = []
            self.states.changed_all()
            each.feed.alive = True

    @rule()
    def index_some(self):
        """CouchDB indexes by itself."""
        self.database.indexed = min(self.database.indexed + 1, len(self.database.writes))

    @rule(left=strategies.integers(0, 3))
    def lose_index(self, left):
        """A crash, or another design document, which nobody has told of yet."""
        self.database.indexed, self.lost = min(self.database.indexed, left), self.now

    @rule()
    def hang(self):
        self.database.hangs = not self.database.hangs

    @rule(seconds=strategies.sampled_from([0.1, TOLD, 0.7, 2.0, 5.0, 31.0]))
    def wait(self, seconds):
        for worker, each in enumerate(self.workers):
            if any(self.now + seconds - self.database.writes[one] > TOLD for one in each.untold):
                self.tell(worker)
        self.now += seconds

    @rule(worker=worker_of, data=strategies.data())
    def search(self, worker, data):
        """Nothing is missing that was acknowledged before, nor what others wrote a second ago.

        What an index lacks that was lost a moment ago is not remembered.
        """
        each = self.workers[worker]
        wanted = set(self.acknowledged)
        wanted |= {number for number, at in enumerate(self.database.writes) if self.now - at >= SEEN}
        try:
            found = self.amid(data, each.search)
        except DicomWebError:
            assert self.database.hangs
            return
        assert wanted <= set(found) or self.now - self.lost < SEEN

    @rule(worker=worker_of, data=strategies.data())
    def answer_amid(self, worker, data):
        self.amid(data, lambda: self.answer(worker))

    def amid(self, data, job):
        """Do something, while others go on between its steps."""

        def between():
            if self.depth < 2:
                self.depth += 1
                for step in data.draw(strategies.lists(strategies.sampled_from(STEPS), max_size=2)):
                    step(self, data)
                self.depth -= 1

        outer, self.database.between = self.database.between, between
        try:
            return job()
        finally:
            self.database.between = outer


STEPS = [
    lambda machine, _data: machine.write_beside(),
    lambda machine, _data: machine.index_some(),
    lambda machine, data: machine.store(data.draw(worker_of)),
    lambda machine, _data: machine.receive(),
    lambda machine, data: machine.tell(data.draw(worker_of)),
    lambda machine, data: machine.search(data.draw(worker_of), data),
    lambda machine, data: machine.lose_index(data.draw(strategies.integers(0, 3))),
]

TestInterleaved = Interleaved.TestCase
TestInterleaved.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)


def test_a_search_beside_uploads_does_not_wait():
    """Else the rules above would hold of searches that always wait."""
    machine = begun()
    first, second = machine.workers
    for number in range(5):
        machine.store(0)
        updates = machine.database.updates
        assert first.search() == second.search() == list(range(number))
        assert machine.database.updates == updates
        machine.tell(number % 2)
        machine.answer(0)
        assert machine.database.updates == updates + 1
        assert first.search() == second.search() == list(range(number + 1))
        assert machine.database.updates == updates + 1
        machine.now += 0.1
    machine.write_beside()
    assert len(second.search()) == 5
    machine.now += 1
    machine.tell(1)
    assert len(second.search()) == 6


def test_nobody_waits_for_the_index_while_nobody_searches():
    machine = Interleaved()
    machine.begin()
    machine.store(0)
    machine.answer(0)
    assert machine.database.updates == 0
    assert machine.workers[1].search() == [0]
    machine.now += SEARCHED + 1
    machine.store(0)
    machine.answer(0)
    assert machine.database.updates == 1
    assert machine.workers[1].search() == [0, 1]


def begun() -> Interleaved:
    """Return a machine whose index is up to date, on which somebody searched, and others were told of that."""
    machine = Interleaved()
    machine.begin()
    machine.states.index.tell(machine.workers[0].indexed._word.say)
    machine.workers[0].search()
    return machine


def test_what_was_found_before_the_index_had_it_is_not_recalled():
    machine = begun()
    machine.store(0)
    assert machine.workers[1].search() == []
    machine.answer(0)
    assert machine.workers[1].search() == [0]


@pytest.mark.parametrize("busy", [True, False])
def test_what_others_wrote_is_read_within_a_second_beside_uploads(busy):
    """Neither is it recalled without that, nor do uploads that have not been answered put it off."""
    machine = begun()
    machine.write_beside()
    machine.tell(0)
    machine.store(0)
    assert machine.workers[0].search() == []
    for _each in range(4):
        machine.now += 0.2
        if busy:
            machine.store(0)
    assert machine.workers[0].search() == list(range(6 if busy else 2))


def test_a_lost_index_shows_within_a_second():
    """Nobody tells of it. Beside uploads what is missing may be read for a moment, and is not remembered."""
    machine = begun()
    machine.store(0)
    machine.now += 0.1
    machine.answer(0)
    machine.lose_index(0)
    assert machine.workers[0].search() == [0]  # nothing is written: to have it brought up to date costs nothing
    machine.store(0)
    machine.lose_index(0)
    assert machine.workers[0].search() == []
    machine.now += SEEN
    assert machine.workers[0].search() == machine.workers[1].search() == [0, 1]


def test_what_was_acknowledged_without_the_index_is_found():
    machine = begun()
    machine.store(0)
    machine.hang()
    machine.answer(0)
    machine.hang()
    machine.now += 0.1
    machine.store(0)
    assert machine.workers[1].search() == [0, 1]


def test_what_c_store_acknowledged_is_found_beside_uploads():
    """It waits from the first word on; what it stored before that is in the update behind the word."""
    machine = Interleaved()
    machine.begin()
    machine.receive()
    machine.now += BELIEVED
    machine.workers[0].search()
    updates = machine.database.updates
    machine.receive()
    assert machine.database.updates == updates
    machine.store(0)
    assert machine.workers[0].search() == [0, 1, 2]
    machine.answer(0)
    updates = machine.database.updates
    machine.store(0)
    machine.receive()
    assert machine.database.updates == updates + 1
    machine.store(0)
    assert machine.workers[1].search() == [0, 1, 2, 3, 4]
    assert machine.database.updates == updates + 1


def test_what_c_store_acknowledged_before_the_word_is_found_behind_it():
    machine = Interleaved()
    machine.begin()
    machine.workers[0].search()
    machine.now += 0.1
    machine.receive()
    machine.store(0)
    found: list[list[int]] = []

    def between() -> None:
        if machine.states.index.is_told() and not found:
            found.append([])
            found[0] = machine.workers[1].search()

    machine.database.between = between
    machine.answer(0)
    assert found == [[0, 1]]


def test_the_word_is_believed_for_as_long_as_the_index_is_read():
    machine = begun()
    machine.receive()
    machine.now += 0.7
    machine.store(0)
    updates = machine.database.updates
    machine.receive()
    assert machine.database.updates == updates + 1
    machine.store(0)
    assert machine.workers[1].search() == [0, 1, 2]
