"""``shim/couch/feed.py``: every change is told, and silence is noticed."""

from __future__ import annotations

import gc
import threading
import time

import orjson
import pytest

from dicouch.couch.feed import HEARTBEAT, LOST, MOST, PAUSE, SILENT, Feed, Lost
from dicouch.couch.memory import Memory
from dicouch.couch.response import CouchError
from dicouch.couch.ring import Ring
from dicouch.couch.states import States
from dicouch.errors import DicomWebError


class Answer:
    def __init__(self, lines):
        self._lines = lines

    def lines(self):
        yield from self._lines

    def __enter__(self):
        return self

    def __exit__(self, *_exc):
        pass


class Couch:
    """A database whose long polls are answered with what a test says, and end when nothing is left."""

    def __init__(self, *polls, refusal=None):
        self.polls = list(polls)
        self.refusal = refusal
        self.asked = []

    def with_timeout(self, seconds):
        assert seconds == LOST
        return self

    def json(self, method, path, *, params):
        assert (method, path, params) == ("GET", "_changes", {"since": "now", "limit": 1})
        if self.refusal:
            raise self.refusal
        return {"results": [], "last_seq": "5-x", "pending": 0}

    def request(self, method, path, *, params, headers):
        self.asked.append(params["since"])
        assert (method, path, headers) == ("GET", "_changes", {"Accept-Encoding": "identity"})
        assert (params["feed"], params["heartbeat"], params["limit"]) == ("longpoll", HEARTBEAT * 1000, MOST)
        return Answer(self.polls.pop(0) if self.polls else answer())


class Clock:
    now = 50.0

    def __call__(self):
        return self.now


def answer(*ids, sequence="6-x"):
    """Return the lines of an answer, as CouchDB sends them."""
    rows = [orjson.dumps({"seq": sequence, "id": each, "changes": []}) for each in ids]
    ends = [b",\n"] * (len(rows) - 1) + [b"\n"]
    return [
        b'{"results":[\n',
        *(row + end for row, end in zip(rows, ends, strict=False)),
        b"],\n",
        b'"last_seq":"%b","pending":0}\n' % sequence.encode(),
    ]


def follow(couch, states, **options):
    feed = Feed(couch, states, sleep=lambda seconds: None, **options)
    feed.follow()
    return feed


@pytest.mark.parametrize(
    ("ids", "changed"),
    [
        (["1:2:3"], (True, False, True)),
        (["2:study"], (False, True, True)),
        (["1:2", "2:2:3"], (True, True, True)),
        (["_design/dicom"], (True, True, True)),
    ],
)
def test_every_change_is_told(ids, changed):
    states, seen = States(), []

    def tokens():
        return states.token("1"), states.token("2"), states.token("")

    def lines():
        seen.append(tokens())
        yield b"\n"
        yield from answer(*ids)

    def none():
        seen.append(tokens())
        yield from answer()

    couch = Couch(lines(), none())
    follow(couch, states)
    assert tuple(old != new for old, new in zip(*seen, strict=True)) == changed
    assert couch.asked == ["5-x", "6-x"]


def test_another_database_of_the_same_name():
    states, seen = States(), []
    couch = Couch(answer("9:study", sequence="2-y"), answer("9:study", sequence="3-y"))
    told = states.changed_all
    states.changed_all = lambda: (seen.append(len(couch.asked)), told())
    follow(couch, states)
    assert seen == [0, 1]


def test_there_is_a_pause_behind_changes():
    slept = []
    Feed(Couch(answer("1:2:3"), answer("1:2:4")), States(), sleep=slept.append).follow()
    assert slept == [PAUSE] * 2
    assert PAUSE + HEARTBEAT < SILENT


def test_no_pause_while_there_is_more():
    slept = []
    many = answer(*(f"1:2:{number}" for number in range(MOST)), sequence="1005-x")
    Feed(Couch(many, answer("1:2:9", sequence="1006-x")), States(), sleep=slept.append).follow()
    assert slept == [PAUSE]


def test_each_beginning_forgets_everything_that_was_read_before():
    states = States()
    feed = Feed(Couch(), states)
    for _attempt in range(2):
        before = states.token("1")
        feed.attempt()
        assert states.token("1").everything != before.everything


def test_what_was_read_between_the_request_and_its_answer_is_forgotten():
    """The database may have chosen its *now* behind that, so that a change in between is never told."""
    states, tokens = States(), []
    couch = Couch()
    asked = couch.json
    couch.json = lambda *arguments, **options: (tokens.append(states.token("1")), asked(*arguments, **options))[1]
    follow(couch, states)
    assert tokens[0] != states.token("1")


def test_a_silence_is_noticed():
    clock, told = Clock(), []

    def lines():
        told.append(feed.is_alive())
        clock.now += SILENT
        told.append(feed.is_alive())
        clock.now += 0.01
        told.append(feed.is_alive())
        yield b"\n"  # heard again: what piled up is read before it is trusted
        told.append(feed.is_alive())
        clock.now += HEARTBEAT
        yield b"\n"
        told.append(feed.is_alive())
        yield from answer()

    feed = Feed(Couch(lines()), States(), clock)
    assert not feed.is_alive()
    assert feed.attempt()
    assert told == [True, True, False, False, True]
    assert not feed.is_alive()


def test_a_long_silence_ends_the_feed():
    clock = Clock()

    def lines():
        clock.now += LOST + 0.01
        yield b"\n"

    with pytest.raises(Lost):
        Feed(Couch(lines()), States(), clock).follow()


@pytest.mark.parametrize(
    "refusal", [CouchError(404, "not_found", "no"), CouchError(401, "no", "no"), DicomWebError(503, "gone")]
)
def test_what_refuses_is_not_alive(refusal):
    feed = Feed(Couch(refusal=refusal), States())
    assert not feed.attempt()
    assert not feed.is_alive()


@pytest.mark.parametrize("last", [answer(), [b"no JSON\n"], []])
def test_the_end_of_the_feed(last):
    alive = []

    def lines():
        yield b"\n"
        alive.append(feed.is_alive())
        yield from last

    couch = Couch(lines(), answer("1:2:3"))
    feed = Feed(couch, States())
    assert feed.attempt()
    assert alive == [True]
    assert couch.polls
    assert not feed.is_alive()


def test_a_change_is_told_before_the_feed_counts_as_heard():
    states, heard = States(), []

    def lines():
        for each in answer("1:2:3"):
            yield each
            heard.append("line")

    feed = Feed(Couch(lines(), answer()), states, sleep=lambda seconds: heard.append("pause"))
    states.changed = lambda _id: heard.append("told")
    feed.hear = lambda: heard.append("heard")
    feed.follow()
    assert heard[: heard.index("pause")] == ["heard", "heard", *["line"] * 4, "told", "heard"]


def test_one_thread_a_process_that_ends_with_its_memory(monkeypatch):
    monkeypatch.setattr("dicouch.couch.feed.FIRST_PAUSE", 0.01)

    def beats():
        while True:
            time.sleep(0.01)
            yield b"\n"

    couch, states = Couch(beats()), States()
    feed = Feed(couch, states)
    memory = Memory(couch, feed, states, Ring(1 << 16), 10)
    deadline = time.monotonic() + 5
    while not memory.is_awake() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert memory.is_awake()
    assert len(couch.asked) == 1
    threads = [each for each in threading.enumerate() if each.name == "changes" and each.is_alive()]
    del memory
    gc.collect()
    deadline = time.monotonic() + 5
    while feed.is_alive() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert feed._closed
    assert not feed.is_alive()
    assert threads


def test_whatever_ends_the_feed_it_begins_again(caplog):
    """A thread that dies would leave the process without a memory for good."""
    refused, begun = threading.Event(), threading.Event()
    couch = Couch(refusal=KeyError("never thought of"))
    asked = couch.json
    couch.json = lambda *arguments, **options: (refused.set(), asked(*arguments, **options))[1]
    feed = Feed(couch, States())
    feed.start()
    assert refused.wait(10)
    assert not feed.is_alive()

    def lines():
        begun.set()
        yield b"\n"

    couch.polls, couch.refusal = [lines()], None
    assert begun.wait(10)
    feed.close()
    assert "never thought of" in caplog.text


def test_a_thread_that_cannot_be_had_is_tried_again(monkeypatch):
    couch = Couch([b"\n"])
    feed = Feed(couch, States())
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", lambda _self: (_ for _ in ()).throw(RuntimeError("no thread")))
        feed.start()
    assert couch.asked == []
    feed.start()
    deadline = time.monotonic() + 10
    while not couch.asked and time.monotonic() < deadline:
        time.sleep(0.01)
    feed.close()
    assert couch.asked
