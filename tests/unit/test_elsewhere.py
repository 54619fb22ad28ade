"""SOP Instance UIDs that several series have: found among the instances of a request and in the index."""

import pytest

from shim.couch import CouchError
from shim.errors import DicomWebError
from shim.stow.elsewhere import ASKED_AT_ONCE, find_elsewhere


class Index:
    """Stands in for the database: answers with the ids that it was given, and keeps what it was asked."""

    def __init__(self, *ids, problem=None):
        self.ids = ids
        self.problem = problem
        self.asked = []

    def json(self, method, path, *, params, body, authorization):
        assert (method, path) == ("POST", "_design/dicom/_view/instances_by_uid")
        assert params == {"reduce": "false", "update": "false"}
        self.asked.append(body["keys"])
        if self.problem:
            raise self.problem
        return {"rows": [{"id": name} for name in self.ids if name.split(":")[2] in body["keys"]]}


def test_places_in_the_index():
    index = Index("1:2:3", "1:9:3", "1:2:4")
    assert find_elsewhere(index, [("1", "2", "3"), ("1", "2", "4")], None) == {("1", "2", "3"): "studies/1/series/9"}


def test_places_within_a_request():
    found = find_elsewhere(Index(), [("1", "2", "3"), ("1", "9", "3"), ("1", "2", "3")], None)
    assert found == {("1", "2", "3"): "studies/1/series/9", ("1", "9", "3"): "studies/1/series/2"}


@pytest.mark.parametrize("problem", [CouchError(500, "error", "no"), DicomWebError(503, "gone")])
def test_an_index_that_does_not_answer_hides_nothing_of_the_request(problem):
    index = Index(problem=problem)
    assert find_elsewhere(index, [("1", "2", "3")], None) == {}
    assert len(find_elsewhere(index, [("1", "2", "3"), ("1", "9", "3")], None)) == 2


def test_nothing_stored_asks_nothing_and_many_ask_in_turns():
    index = Index()
    assert find_elsewhere(index, [], None) == {}
    assert index.asked == []
    find_elsewhere(index, [("1", "2", str(number)) for number in range(2 * ASKED_AT_ONCE + 1)], None)
    assert [len(keys) for keys in index.asked] == [ASKED_AT_ONCE, ASKED_AT_ONCE, 1]
