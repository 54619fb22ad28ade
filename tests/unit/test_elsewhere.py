"""SOP Instance UIDs that several series have: found among the instances of a request and in the index."""

import json

import pytest

from dicouch.couch.response import CouchError
from dicouch.errors import DicomWebError
from dicouch.write.elsewhere import ASKED_AT_ONCE, FEW, elsewhere, find_stored


class Index:
    """Stands in for the database: answers as its view does, and keeps what it was asked."""

    def __init__(self, *ids, problem=None):
        self.ids = sorted(ids, key=lambda name: name.split(":")[2])
        self.problem = problem
        self.asked = []

    def json(self, method, path, *, params, body, authorization):
        assert path == "_design/dicom/_view/instances_by_uid"
        assert (params["reduce"], params["update"]) == ("false", "false")
        if self.problem:
            raise self.problem
        if method == "POST":
            self.asked.append(body["keys"])
            found = [name for key in body["keys"] for name in self.ids if name.split(":")[2] == key]
        else:
            first, last = json.loads(params["startkey"]), json.loads(params["endkey"])
            self.asked.append((first, last, params["limit"]))
            found = [name for name in self.ids if first <= name.split(":")[2] <= last][: params["limit"]]
        return {"rows": [{"id": name} for name in found]}


def places(count, study="1", series="2"):
    return [(study, series, f"{series}.{number:05d}") for number in range(count)]


def test_places_in_the_index():
    index = Index("1:2:3", "1:9:3", "1:2:4")
    own = [("1", "2", "3"), ("1", "2", "4")]
    assert elsewhere(own, find_stored(index, own, None)) == {("1", "2", "3"): "studies/1/series/9"}
    assert index.asked == [["3", "4"]]


def test_places_within_a_request():
    found = elsewhere([("1", "2", "3"), ("1", "9", "3"), ("1", "2", "3")], [])
    assert found == {("1", "2", "3"): "studies/1/series/9", ("1", "9", "3"): "studies/1/series/2"}


def test_many_are_looked_for_with_one_walk_over_the_index():
    own = places(40)
    index = Index("7:8:2.00039", "7:8:2.00039.1", "7:8:1.9", *map(":".join, own[:20]))
    stored = find_stored(index, own, None)
    assert index.asked == [("2.00000", "2.00039", 80)]
    assert elsewhere(own, stored) == {own[39]: "studies/7/series/8"}


@pytest.mark.parametrize("between", [39, 40, 500])
def test_others_between_them_hide_nothing(between):
    own = places(20)
    index = Index("7:8:2.00000", "7:8:2.00019", *(f"7:8:2.00010.{number}" for number in range(between - 2)))
    stored = find_stored(index, own, None)
    assert sorted(stored) == [("7", "8", "2.00000"), ("7", "8", "2.00019")]
    # The walk ends after twice as many rows as there are UIDs; each is asked for then.
    assert len(index.asked) == (1 if between < 40 else 2)


@pytest.mark.parametrize("problem", [CouchError(500, "error", "no"), DicomWebError(503, "gone")])
@pytest.mark.parametrize("count", [1, FEW + 1])
def test_an_index_that_does_not_answer_is_no_failure(problem, count):
    assert find_stored(Index(problem=problem), places(count), None) == []


def test_nothing_stored_asks_nothing_and_many_ask_in_turns():
    index = Index()
    assert find_stored(index, [], None) == []
    assert index.asked == []
    find_stored(index, places(2 * ASKED_AT_ONCE + 1), None)
    assert [len(asked) for asked in index.asked] == [3, 3, 1]
