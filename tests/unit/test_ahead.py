"""Reading ahead: the next is opened while one is read, never more, and nothing stays open."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from types import SimpleNamespace

import pytest

from dicouch.dicom.media.multipart_writer import BodyPart, write_multipart
from dicouch.errors import DicomWebError
from dicouch.read import ahead
from dicouch.read.ahead import Ahead, Around
from dicouch.read.retrieve import stored_in_row
from dicouch.rewrite import requests


@pytest.fixture(autouse=True)
def nothing_is_being_read():
    """What a test leaves waiting is not waited for by the next."""
    yield
    ahead._READING.clear()


class Body:
    """Pieces that know whether they are open."""

    def __init__(self, log: list, number: int):
        self.log, self.number = log, number
        self.left = 3
        log.append(("open", number))

    def __iter__(self):
        return self

    def __next__(self) -> bytes:
        if not self.left:
            raise StopIteration
        self.left -= 1
        return bytes([self.number]) * 20_000

    def close(self) -> None:
        self.log.append(("close", self.number))


def reading(log: list, count: int = 5):
    ahead = Ahead([lambda number=number: Body(log, number) for number in range(count)])
    parts = (BodyPart({}, ahead.opener(number)(), 60_000) for number in range(count))
    return write_multipart(parts, "b")


def until(condition) -> None:
    deadline = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_all_come_in_order_and_one_is_ahead():
    log: list = []
    answer = reading(log)
    got = next(answer) + next(answer)
    until(lambda: ("open", 1) in log)
    time.sleep(0.05)
    assert log == [("open", 0), ("open", 1)]
    got += b"".join(answer)
    assert [got.count(bytes([number]) * 1000) for number in range(5)] == [60] * 5
    assert [number for what, number in log if what == "open"] == [0, 1, 2, 3, 4]
    assert {number for what, number in log if what == "close"} == {0, 1, 2, 3, 4}


def test_what_was_opened_ahead_is_closed_when_the_client_goes_away():
    log: list = []
    answer = reading(log)
    next(answer)
    next(answer)
    until(lambda: ("open", 1) in log)
    answer.close()
    until(lambda: {("close", 0), ("close", 1)} <= set(log))
    assert ("open", 2) not in log


def test_what_cannot_be_opened_is_told_in_its_turn():
    log: list = []

    def fail():
        raise OSError("gone")

    ahead = Ahead([lambda: Body(log, 0), fail])
    first = ahead.opener(0)()
    assert len(b"".join(first)) == 60_000
    with pytest.raises(OSError, match="gone"):
        ahead.opener(1)()


class Remembered:
    """A memory in which nothing changes."""

    def __init__(self) -> None:
        self.kept: dict = {}

    def token(self, _scope):
        return 1, 1

    def is_awake(self) -> bool:
        return True

    def recall(self, scope, key, authorization, *, admitted=False):
        return self.kept.get((scope, key, authorization))

    def remember(self, scope, key, authorization, value, _token, _size) -> None:
        self.kept[scope, key, authorization] = value


class Index:
    """A reader of an index: a series of two instances, another of three, and as many more as are asked for."""

    authorization = None

    def __init__(self, *, answers: bool = True) -> None:
        self.asked: list = []
        self.answers = answers
        self.go = threading.Event()

    def start(self, request):
        self.asked.append(request)
        return Rows(self, request)


class Rows:
    """An answer of the index."""

    def __init__(self, index: Index, request) -> None:
        self.index = index
        self.limit = request.params.get("limit", 0)
        self.first = request.params.get("startkey", ["", ""])[1]

    def is_answered(self, within: float) -> bool:
        return self.index.answers and self.index.go.wait(within)

    def json(self) -> dict:
        places = [("1.1", 1), ("1.1", 2), ("1.2", 1), ("1.2", 2), ("1.2", 3), *(("1.3", n) for n in range(1, 99))]
        places = [place for place in places if place[0] >= self.first]
        file = {"store": "folder:a", "size": 1, "transferSyntax": "1.2.840.10008.1.2.1", "sha256": "0"}
        keys = [["1", series, number, f"{series}.{number}"] for series, number in places[: self.limit]]
        return {"rows": [{"id": f"1:{key[1]}:{key[3]}", "key": key, "value": {"file": file}} for key in keys]}

    def close(self) -> None:
        pass


def test_who_asks_while_a_series_is_looked_into_waits_for_that(monkeypatch):
    monkeypatch.setattr(ahead, "PATIENCE", 20.0)
    monkeypatch.setattr(ahead, "submit", lambda job: None)
    memory, index = Remembered(), Index()
    with ThreadPoolExecutor(8) as pool:
        found = [pool.submit(lambda: Around(memory, index, "1", "1.1").known()) for _ in range(8)]
        until(lambda: len(index.asked) == 2)
        index.go.set()
        assert all(list(each.result(20).found) == ["1.1.1", "1.1.2"] for each in found)
    assert len(index.asked) == 2  # the rows, and what people fixed
    following = Around(memory, index, "1", "1.2").known()
    assert (list(following.found), following.whole, following.fixed) == (["1.2.1", "1.2.2", "1.2.3"], True, False)
    last = Around(memory, index, "1", "1.3").known()
    assert (len(last.found), last.whole) == (ahead.BEGINNING - 5, False)
    assert len(index.asked) == 2


def test_who_comes_near_the_end_of_what_is_known_has_more_read(monkeypatch):
    waiting: list = []
    monkeypatch.setattr(ahead, "submit", waiting.append)
    memory, index = Remembered(), Index()
    index.go.set()
    first = Around(memory, index, "1", "1.1")
    assert (first.known().onwards, first.fresh, waiting) == ("1.3", True, [])  # one instance may be all that is wanted
    for _time in range(2):
        Around(memory, index, "1", "1.1").known()
    assert len(waiting) == 1
    waiting.pop()()
    assert [one.params["startkey"] for one in index.asked if "startkey" in one.params] == [["1", "1.1"], ["1", "1.3"]]
    assert [one.params.get("limit") for one in index.asked] == [ahead.BEGINNING, None, ahead.FURTHER]
    again = [Around(memory, index, "1", series).known() for series in ("1.1", "1.2", "1.3")]
    assert ([len(one.found) for one in again], [one.whole for one in again]) == ([2, 3, 98], [True, True, True])
    assert waiting == []


def test_the_last_series_of_a_look_is_looked_into_for_who_wants_the_whole(monkeypatch):
    monkeypatch.setattr(ahead, "submit", lambda job: job())
    memory, index = Remembered(), Index()
    index.go.set()
    Around(memory, index, "1", "1.2").known()
    known = Around(memory, index, "1", "1.3").known(whole=True)
    assert (len(known.found), known.whole) == (98, True)
    assert len(index.asked) == 3


def test_there_is_one_look_for_all_who_waited_in_vain(monkeypatch):
    monkeypatch.setattr(ahead, "PATIENCE", 20.0)
    monkeypatch.setattr(ahead, "BEGINNING", 3)
    memory, index = Remembered(), Index()
    with ThreadPoolExecutor(4) as pool:
        first = pool.submit(lambda: Around(memory, index, "1", "1.3").known())
        until(lambda: len(index.asked) == 2)
        others = [pool.submit(lambda one=one: Around(memory, index, "1", one).known()) for one in ("1.2", "1.1", "1.2")]
        until(lambda: len(ahead._READING["1", None].wanted) == 2)
        index.go.set()
        assert len(first.result(20).found) == 3
        assert [len(one.result(20).found) for one in others] == [3, 2, 3]
    rows = [one.params["startkey"] for one in index.asked if "startkey" in one.params]
    assert rows == [["1", "1.3"], ["1", "1.1"]]


def test_on_a_busy_machine_the_index_is_given_more_time(monkeypatch):
    """Where everything takes long, the documents would, too."""
    monkeypatch.setattr(ahead, "PATIENCE", 0.0)
    memory, index = Remembered(), Index()
    marker = requests.information()

    def start(request):
        if request == marker:
            time.sleep(0.05)
            threading.Timer(0.1, index.go.set).start()
        return Index.start(index, request)

    monkeypatch.setattr(index, "start", start)
    assert Around(memory, index, "1", "1.1").known().whole


def test_an_index_that_takes_long_is_waited_for_once(monkeypatch):
    waiting: list = []
    monkeypatch.setattr(ahead, "submit", waiting.append)
    memory, index = Remembered(), Index(answers=False)
    assert [Around(memory, index, "1", "1.1").known() for _ in range(3)] == [None] * 3
    assert (len(index.asked), len(waiting)) == (3, 1)  # the third tells how long others take
    waiting.pop()()
    assert list(Around(memory, index, "1", "1.1").known().found) == ["1.1.1", "1.1.2"]


def test_a_database_that_does_not_answer_is_asked_again(monkeypatch):
    memory, index = Remembered(), Index()
    index.go.set()

    def fail(_request):
        raise DicomWebError(503, "it does not answer")

    with monkeypatch.context() as without:
        without.setattr(index, "start", fail)
        with pytest.raises(DicomWebError):
            Around(memory, index, "1", "1.1").known()
    assert Around(memory, index, "1", "1.1").known().whole


def test_where_no_thread_can_be_started_nothing_is_read_ahead(monkeypatch):
    def fail(_job):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(ahead, "submit", fail)
    memory, index = Remembered(), Index(answers=False)
    one = stored_in_row(Rows(index, SimpleNamespace(params={"limit": 1})).json()["rows"][0])
    around = Around(memory, index, "1", "1.1")
    assert around.known() is None
    around.behind(one)
    assert not ahead._READING


def test_of_a_long_series_what_was_read_last_is_remembered(monkeypatch):
    """A memory refuses what is too large, and would then keep what was read first for ever."""
    monkeypatch.setattr(ahead, "submit", lambda job: job())
    monkeypatch.setattr(ahead, "MOST", 4)
    memory, index = Remembered(), Index()
    index.go.set()
    first = Around(memory, index, "1", "1.2").known()
    assert list(first.found) == ["1.2.1", "1.2.2", "1.2.3"][: len(first.found)]
    rows = [replace(one, id=one.id + "9") for one in first.found.values()]
    index.behind = lambda _one, _count: rows
    around = Around(memory, index, "1", "1.2")
    around.known()
    around.behind(next(iter(first.found.values())))  # the index has told of it
    assert Around(memory, index, "1", "1.2").known() == first
    around.behind(rows[0])
    now = Around(memory, index, "1", "1.2").known()
    assert (list(now.found.values()), now.whole) == (rows, False)
