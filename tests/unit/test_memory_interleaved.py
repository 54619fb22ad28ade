"""The one rule of ``shim/couch/memory.py`` under random interleavings: several processes, writes, reads, feeds cut."""

from __future__ import annotations

from collections import deque

from hypothesis import settings, strategies
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from dicouch.couch.feed import HEARTBEAT, LOST, SILENT, Feed, Lost
from dicouch.couch.memory import DATABASE, Memory
from dicouch.couch.ring import Ring
from dicouch.couch.states import States
from tests.conftest import share

STUDIES = ("1", "2")
WORKERS = range(2)
worker_of = strategies.sampled_from(WORKERS)
study_of = strategies.sampled_from(STUDIES)
scope_of = strategies.sampled_from((*STUDIES, DATABASE))
shared_or_not = strategies.booleans()


class Couch:
    """What credentials are asked of: everybody is let in."""

    def with_timeout(self, _seconds):
        return self

    def json(self, *_arguments, **_options):
        return {}


class Worker:
    """One process: its memory, its feed, and the reads that are on their way."""

    def __init__(self, states: States, ring: Ring, clock):
        self.feed = Feed(Couch(), states, clock)
        self.feed.start = lambda: None  # changes are delivered one by one
        self.memory = Memory(Couch(), self.feed, states, ring, 1e9, clock=clock)
        self.waiting: deque[str] | None = None
        # Whether nothing of it arrives, though nobody closed it.
        self.stalled = False
        self.reads: list[tuple] = []
        # Of each scope the version that nothing may be older than that is recalled here.
        self.oldest = dict.fromkeys((*STUDIES, DATABASE), 0)


class Interleaved(RuleBasedStateMachine):
    """A database of two studies, each with a version, and two workers that remember versions."""

    versions: dict[str, int] = {}

    @initialize()
    def begin(self):
        self.now = 0.0
        states, ring = States(), Ring(1 << 14)
        self.workers = [Worker(states, ring, lambda: self.now) for _each in WORKERS]
        self.versions = dict.fromkeys((*STUDIES, DATABASE), 1)
        for worker in WORKERS:
            self.connect(worker)

    # -- the database -------------------------------------------------------------------------------------------------

    def commit(self, study: str) -> None:
        self.versions[study] += 1
        self.versions[DATABASE] += 1
        for each in self.workers:
            if each.waiting is not None:
                each.waiting.append(study)

    def saw(self, worker: Worker, study: str) -> None:
        for scope in (study, DATABASE):
            worker.oldest[scope] = self.versions[scope]

    @rule(worker=worker_of, study=study_of)
    def write_through(self, worker, study):
        """Any worker writes: all of them must tell of it, as the client was answered."""
        self.commit(study)
        self.workers[worker].memory.states.wrote([f"{study}:9:9"])
        for each in self.workers:
            self.saw(each, study)

    @rule(study=study_of)
    def write_beside(self, study):
        self.commit(study)

    @rule()
    def make_anew(self):
        """The database is deleted and made anew: versions of an earlier one may come again, feeds end."""
        for scope in self.versions:
            self.versions[scope] += 100
        for each in self.workers:
            self.end(each)

    # -- the feed -----------------------------------------------------------------------------------------------------

    @precondition(lambda self: any(each.waiting for each in self.workers))
    @rule(worker=worker_of)
    def deliver(self, worker):
        """The next change reaches a process, and whatever it remembers must be as new as that."""
        each = self.workers[worker]
        if each.waiting and not each.stalled:
            study = each.waiting.popleft()
            each.memory.states.changed(f"{study}:9:9")
            later = each.waiting.count(study)
            each.oldest[study] = max(each.oldest[study], self.versions[study] - later)
            each.oldest[DATABASE] = max(each.oldest[DATABASE], self.versions[DATABASE] - len(each.waiting))
            self.hear(each)

    def hear(self, each: Worker) -> None:
        try:
            each.feed.hear()
        except Lost:
            self.end(each)

    def end(self, each: Worker) -> None:
        each.waiting = None
        each.feed._heard = float("-inf")

    @rule(seconds=strategies.sampled_from([HEARTBEAT / 2, HEARTBEAT, SILENT, SILENT * 1.1, LOST * 1.1]))
    def wait(self, seconds):
        self.now += seconds
        for each in self.workers:
            if each.waiting is not None and not each.stalled:
                self.hear(each)

    @rule(worker=worker_of)
    def stall_or_go_on(self, worker):
        self.workers[worker].stalled = not self.workers[worker].stalled

    @rule(worker=worker_of)
    def cut(self, worker):
        """The feed ends, and the process notices."""
        self.end(self.workers[worker])

    @rule(worker=worker_of)
    def connect(self, worker):
        each = self.workers[worker]
        each.waiting, each.stalled = deque(), False
        each.feed._states.changed_all()
        each.feed._trusted = each.feed._heard = self.now
        each.oldest = dict(self.versions)

    # -- clients ------------------------------------------------------------------------------------------------------

    @rule(worker=worker_of, scope=scope_of, shared=shared_or_not, early=strategies.booleans())
    def begin_to_read(self, worker, scope, shared, early):
        """Take the token, or a moment for all scopes, and read what the database has then."""
        memory = self.workers[worker].memory
        token = memory.token(scope)
        taken = memory.states.moment() if early else lambda _scope: token
        self.workers[worker].reads.append((scope, shared, taken, self.versions[scope]))

    @precondition(lambda self: any(each.reads for each in self.workers))
    @rule(worker=worker_of, which=strategies.integers(0, 3))
    def end_reading(self, worker, which):
        each = self.workers[worker]
        if each.reads:
            scope, shared, taken, version = each.reads.pop(which % len(each.reads))
            token = taken(scope)
            if shared:
                each.memory.share(scope, "k", None, b"%d" % version, token)
            else:
                each.memory.remember(scope, "k", None, version, token)

    @rule(worker=worker_of, scope=scope_of, shared=shared_or_not)
    def read(self, worker, scope, shared):
        self.begin_to_read(worker, scope, shared, early=False)
        self.end_reading(worker, -1)

    @invariant()
    def nothing_is_old(self):
        for each in self.workers if self.versions else ():
            heard = each.feed._heard + SILENT >= self.now
            for scope in (*STUDIES, DATABASE):
                for found in (each.memory.recall(scope, "k", None), each.memory.shared(scope, "k", None)):
                    if found is not None:
                        assert heard
                        assert each.oldest[scope] <= int(found) <= self.versions[scope]


TestInterleaved = Interleaved.TestCase
TestInterleaved.settings = settings(max_examples=share(80), stateful_step_count=40, deadline=None)


def test_what_is_true_is_recalled():
    """Else the rule above would hold of a memory that remembers nothing."""
    machine = Interleaved()
    machine.begin()
    for shared in (True, False):
        machine.begin_to_read(0, "1", shared, early=False)
        machine.end_reading(0, 0)
    machine.write_through(1, "2")
    memory = machine.workers[0].memory
    assert (memory.recall("1", "k", None), memory.shared("1", "k", None)) == (1, b"1")
    assert machine.workers[1].memory.shared("1", "k", None) == b"1"
    machine.write_beside("1")
    assert memory.recall("1", "k", None) == 1
    machine.deliver(0)
    machine.deliver(0)
    assert (memory.recall("1", "k", None), memory.shared("1", "k", None)) == (None, None)
