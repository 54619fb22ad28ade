"""``shim/couch/memory.py``: what is remembered is true until a change is seen, in every process, for who read it."""

from __future__ import annotations

import multiprocessing

import pytest

from dicouch.couch.client import written_by
from dicouch.couch.memory import DATABASE, REVISION, WORKLIST, Memory
from dicouch.couch.response import CouchError
from dicouch.couch.ring import Ring
from dicouch.couch.states import States

FORK = multiprocessing.get_context("fork")


class Clock:
    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


class Feed:
    alive = True
    started = 0

    def start(self):
        self.started += 1

    def is_alive(self):
        return self.alive

    def close(self):
        pass


class Couch:
    """A database that lets everybody in who is not refused."""

    def __init__(self):
        self.asked = 0
        self.refused = set()
        self.answered = lambda *told: None
        self.clock = None

    def json(self, method, path, *, authorization):
        assert (method, path) == ("GET", "")
        self.asked += 1
        self.answered(authorization, authorization not in self.refused, self.clock())
        if authorization in self.refused:
            raise CouchError(401, "unauthorized", "no")
        return {}


def make(states=None, ring=None, seconds=10.0, largest=1 << 20):
    couch, clock = Couch(), Clock()
    memory = Memory(couch, Feed(), states or States(), ring or Ring(1 << 16), seconds, largest=largest, clock=clock)
    couch.answered, couch.clock = memory.answered, clock
    memory.couch, memory.feed, memory.clock = couch, memory._feed, clock
    return memory


@pytest.fixture
def memory():
    return make()


def keep(memory, scope="1", key="k", authorization="a", value="v"):
    memory.remember(scope, key, authorization, value, memory.token(scope))
    memory.share(scope, key, authorization, b"bytes", memory.token(scope))


def recalled(memory, scope="1", key="k", authorization="a"):
    """Return whether something is remembered, which the two forms must agree on."""
    found = memory.recall(scope, key, authorization), memory.shared(scope, key, authorization)
    assert found in (("v", b"bytes"), (None, None))
    return found[0] is not None


def test_what_is_remembered_is_true_until_its_scope_changes(memory):
    keep(memory)
    keep(memory, key="other")
    keep(memory, scope="2")
    assert recalled(memory)
    memory.states.changed("1:2:3")
    assert not recalled(memory)
    assert not recalled(memory, key="other")
    assert recalled(memory, scope="2")


@pytest.mark.parametrize(
    ("changed", "forgotten"),
    [
        ("1:2:3", {"1", DATABASE}),
        ("1:2", {"1", DATABASE}),
        ("1:study", {"1", DATABASE}),
        ("_design/dicom", {"1", "2", "_design/dicom", "loose", "forward-1", DATABASE, REVISION, WORKLIST}),
        ("loose", {"loose", DATABASE}),
        ("workitem-1.2", {WORKLIST}),
        ("subscriber-A", {WORKLIST}),
        ("forward-0a1b", set()),
        ("commitment-0a1b", set()),
        ("forward-1:2", {"forward-1", DATABASE}),
    ],
)
def test_what_a_changed_document_belongs_to(memory, changed, forgotten):
    scopes = ("1", "2", "_design/dicom", "loose", "forward-1", DATABASE, REVISION, WORKLIST)
    for scope in scopes:
        keep(memory, scope=scope)
    memory.states.changed(changed)
    gone = {scope for scope in scopes if not recalled(memory, scope=scope)}
    assert gone == forgotten


def test_writes_of_which_nobody_knows_what_they_wrote(memory):
    for told in (None, ["1:2:3", "2:2:3"]):
        keep(memory)
        keep(memory, scope="2")
        memory.states.wrote(told)
        assert not recalled(memory)
        assert not recalled(memory, scope="2")
    keep(memory)
    memory.states.wrote([])
    assert recalled(memory)


def test_a_change_while_it_is_read(memory):
    token, moment = memory.token("1"), memory.states.moment()
    memory.states.changed("1:2:3")
    for taken in (token, moment("1")):
        memory.remember("1", "k", "a", "v", taken)
        memory.share("1", "k", "a", b"bytes", taken)
        assert not recalled(memory)
    memory.remember("2", "k", "a", "v", moment("2"))
    memory.share("2", "k", "a", b"bytes", moment("2"))
    assert recalled(memory, scope="2")


def test_states_are_copied_once_for_each_change(memory):
    states = memory.states
    first, again = states.moment(), states.moment()
    copied = states._copied[1]
    states.changed("1:2:3")
    assert first("1") == again("1") != states.token("1")
    later = states.moment()
    assert later("1") == states.token("1")
    assert states._copied[1] is not copied
    copied = states._copied[1]
    states.moment()
    assert states._copied[1] is copied
    states.changed_all()
    assert later("1") != states.moment()("1") == states.token("1")


def test_a_change_and_back_again_is_a_change(memory):
    """Numbers never come again, as a counter that two processes raise at a time may."""
    seen = {memory.token("1")}
    for _change in range(1000):
        memory.states.changed("1:2:3")
        assert memory.token("1") not in seen
        seen.add(memory.token("1"))


def test_processes_share_states_and_bytes():
    states, ring = States(), Ring(1 << 16)
    mine, others = make(states, ring), make(states, ring)
    keep(mine)
    assert others.shared("1", "k", "a") == b"bytes"
    assert others.recall("1", "k", "a") is None
    process = FORK.Process(target=lambda: others.states.changed("1:2:3"))
    process.start()
    process.join(20)
    assert process.exitcode == 0
    assert not recalled(mine)
    assert others.shared("1", "k", "a") is None


def test_nothing_is_remembered_while_the_feed_is_silent(memory):
    keep(memory)
    memory.feed.alive = False
    assert not recalled(memory)
    keep(memory, key="silent")
    memory.feed.alive = True
    assert recalled(memory)
    assert not recalled(memory, key="silent")


def test_remember_0_remembers_nothing():
    memory = make(seconds=0)
    keep(memory)
    assert not recalled(memory)
    assert not memory.feed.started


def test_others_find_nothing_of_who_read_it(memory):
    keep(memory)
    assert not recalled(memory, authorization="b")
    assert not recalled(memory, authorization=None)


def test_credentials_are_trusted_for_a_while(memory):
    memory.answered("a", True, memory.clock())
    keep(memory)
    memory.clock.now += 10
    assert recalled(memory)
    assert memory.couch.asked == 0
    memory.clock.now += 0.1
    assert recalled(memory)
    assert memory.couch.asked == 1


def test_a_right_that_was_taken_back_is_seen_in_time(memory):
    memory.answered("a", True, memory.clock())
    keep(memory)
    memory.couch.refused.add("a")
    memory.clock.now += 10.1
    assert not recalled(memory)
    assert memory.couch.asked == 2  # by either form, as nobody is let in
    # Who sends a request of his own is checked by that.
    assert memory.recall("1", "k", "a", admitted=True) == "v"
    assert memory.couch.asked == 2


def test_a_refusal_is_seen_at_once(memory):
    memory.answered("a", True, memory.clock())
    keep(memory)
    memory.couch.refused.add("a")
    memory.answered("a", False, memory.clock())
    assert not recalled(memory)


def test_what_was_asked_for_last_stays():
    memory = make(largest=8000)
    for number in range(20):
        memory.remember("1", number, "a", number, memory.token("1"), size=1000)
        assert memory.recall("1", 0, "a") == 0
    assert [number for number in range(20) if memory.recall("1", number, "a") is not None] == [0, *range(13, 20)]
    memory.remember("1", "large", "a", "v", memory.token("1"), size=1001)
    assert memory.recall("1", "large", "a") is None
    memory.states.changed("1:study")
    assert memory.recall("1", 19, "a") is None
    for number in range(30, 38):
        memory.remember("1", number, "a", number, memory.token("1"), size=1000)
    assert memory._bytes == 8000


def test_what_is_told_of_it(memory):
    told = []
    memory.observe = lambda found, age: told.append((found, age))
    memory.recall("1", "k", "a")
    keep(memory)
    memory.clock.now += 2.5
    recalled(memory)
    memory.feed.alive = False
    recalled(memory)
    assert told == [(False, 0.0), (True, 2.5), (True, 2.5), (None, 0.0), (None, 0.0)]


@pytest.mark.parametrize(
    ("method", "path", "writes", "expected"),
    [
        ("GET", "1:2:3", None, ()),
        ("HEAD", "", None, ()),
        ("POST", "_all_docs", None, ()),
        ("POST", "_all_docs/queries", None, ()),
        ("POST", "_design/dicom/_view/counts", None, ()),
        ("POST", "_design/dicom/_list/studies/studies_by_date", None, ()),
        ("POST", "_design/dicom/_show/page", None, ()),
        ("PUT", "1%2E1:2:3", None, ("1.1:2:3",)),
        ("DELETE", "1:2:3", None, ("1:2:3",)),
        ("PUT", "1:2:3/object.dcm", None, ("1:2:3",)),
        ("PUT", "_design/dicom/_update/fix/1:study", None, ("1:study",)),
        ("POST", "_design/dicom/_update/made", None, None),
        ("PUT", "_design/dicom", None, ("_design/dicom",)),
        ("POST", "_bulk_docs", None, None),
        ("POST", "_bulk_docs", ["1:2:3"], ["1:2:3"]),
        ("POST", "", None, None),
        ("POST", "_purge", None, None),
        ("PUT", "_security", None, None),
    ],
)
def test_what_a_request_may_write(method, path, writes, expected):
    assert written_by(method, path, writes) == expected
