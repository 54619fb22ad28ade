"""``shim/read/search/reading.py``: rows of another request are for its credentials only, and while they are true."""

from __future__ import annotations

import pytest

from dicouch.couch.memory import Memory
from dicouch.read.search.reading import Reading
from dicouch.rewrite import requests
from dicouch.rewrite.plan import Range
from dicouch.rewrite.requests import Paging
from tests.unit.test_memory import make

ONE = Range("series_by_study", {"key": "1"}, study="1")


class Couch:
    """A database whose rows say how often it was asked, and by whom; between two steps of a reader others may act."""

    def __init__(self) -> None:
        self.asked: list[str | None] = []

    def start_json(self, _method: str, path: str, *, authorization: str | None = None, **_options: object) -> Couch:
        self.answer = {"rows": [{"id": f"1:{len(self.asked)}:{authorization}", "value": [1, 1]}]}
        self.asked.append(authorization if path.endswith("series_by_study") else f"counts {authorization}")
        return self

    def json(self) -> dict:
        return self.answer


def read(couch: Couch, memory: Memory, authorization: str, between: object = None) -> list[dict]:
    """Read as a search does: counts are asked for ahead unless the rows are remembered, then come the rows."""
    reading = Reading(couch, "http://h", authorization, memory)
    reading.count_ahead(requests.counts(["1"]), ONE)
    if callable(between):
        between()
    return reading._rows(ONE, Paging(0, 10))


@pytest.fixture
def memory() -> Memory:
    return make()


def test_rows_are_remembered_for_who_read_them(memory):
    couch = Couch()
    first = read(couch, memory, "ann")
    assert read(couch, memory, "ann") == first
    assert read(couch, memory, "eve") != first
    assert [one for one in couch.asked if not one.startswith("counts")] == ["ann", "eve"]


def test_what_another_request_remembers_in_between_is_not_anybodys(memory):
    """It is remembered between the look that decides what to ask for and the one that gives the rows."""
    couch, others = Couch(), Couch()
    rows = read(couch, memory, "eve", lambda: read(others, memory, "ann"))
    assert rows[0]["id"].endswith(":eve")
    assert "eve" in couch.asked


def test_what_changes_in_between_is_read_anew(memory):
    couch = Couch()
    first = read(couch, memory, "ann")
    assert read(couch, memory, "ann", lambda: memory.states.changed("1:2:3")) != first


def test_a_right_that_is_taken_back_in_between_counts(memory):
    couch = Couch()
    first = read(couch, memory, "ann")

    def revoke():
        memory.couch.refused.add("ann")
        memory.answered("ann", False, memory.clock())

    assert read(couch, memory, "ann", revoke) != first
