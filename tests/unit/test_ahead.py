"""Reading ahead: the next is opened while one is read, never more, and nothing stays open."""

import time

import pytest

from dicouch.dicom.media.multipart_writer import BodyPart, write_multipart
from dicouch.read.ahead import Ahead


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
