"""``shim/write/delete.py``: what a deletion leaves when the database stops answering, or the disk refuses."""

from __future__ import annotations

import pytest

from dicouch.errors import DicomWebError
from dicouch.write.delete import Deleter
from tests.unit.test_memory import make as memory


class Couch:
    """A database that loses its answer to the deletion, having deleted the first of two instances."""

    def __init__(self, answers):
        self.answers = answers
        self.asked = []

    def json(self, method, path, **_options):
        self.asked.append(path)
        if path == "_bulk_docs":
            raise DicomWebError(503, "the database does not answer")
        if path == "_all_docs":
            if not self.answers:
                raise DicomWebError(503, "the database does not answer")
            return {"rows": [{"key": "1:2:3", "error": "not_found"}, {"id": "1:2:4", "value": {"rev": "1-b"}}]}
        files = [{"id": f"1:2:{number}", "rev": "1-b", "file": {"store": f"folder:{number}"}} for number in (3, 4)]
        return {"rows": files}


class Store:
    def __init__(self, problem=None):
        self.gone = []
        self.problem = problem

    def discard(self, file):
        self.gone.append(file["store"])
        if self.problem:
            raise self.problem


def deleter(couch, store, rebuilt):
    made = Deleter(couch, store, memory(), None)
    made.headers.rebuild = rebuilt.append
    return made


@pytest.mark.parametrize("problem", [None, PermissionError(13, "no")])
def test_files_of_what_is_gone_go_although_no_answer_came(problem):
    store, rebuilt = Store(problem), []
    with pytest.raises(DicomWebError, match="does not answer") as told:
        deleter(Couch(answers=True), store, rebuilt).delete("1")
    assert told.value.status == 503
    assert (store.gone, rebuilt) == (["folder:3"], ["1"])


def test_a_database_that_stays_away_is_told_as_it_was():
    store, rebuilt = Store(), []
    with pytest.raises(DicomWebError) as told:
        deleter(Couch(answers=False), store, rebuilt).delete("1")
    assert (told.value.status, store.gone, rebuilt) == (503, [], [])
