"""``shim/couch/study_memory.py``: what is remembered holds at the sequence that was reached, and nothing else is."""

import pytest

from dicouch.couch.study_memory import CHANGES, LONGEST, Memory


class Database:
    """What the memory asks of a database: its sequence, and what changed since one."""

    def __init__(self):
        self.written = []
        self.start = "1"

    @property
    def sequence(self):
        return f"{len(self.written)}-opaque"

    @property
    def state(self):
        return self.start, self.sequence

    def json(self, method, path, *, params=None, authorization=None):
        if path == "":
            return {"instance_start_time": self.start, "update_seq": self.sequence}
        since = int(params["since"].partition("-")[0])
        rows = [{"id": one} for one in self.written[since : since + params["limit"]]]
        # The same state may have several names.
        return {"results": rows, "last_seq": f"{since + len(rows)}-other"}


@pytest.fixture
def database():
    return Database()


@pytest.fixture
def memory(database):
    memory = Memory(size=3, with_rows=2)
    memory.reach(database, database.state, None)
    version = memory.version
    memory.keep({"1:study": [1, 2], "1:1.1": [0, 2], "2:study": [1, 7]}, version)
    return memory


def known(memory, *ids):
    return memory.find(ids)


def test_nothing_written(memory, database):
    memory.reach(database, database.state, None)
    assert known(memory, "1:study", "1:1.1", "3:study") == {"1:study": [1, 2], "1:1.1": [0, 2]}


def test_a_written_study_is_forgotten(memory, database):
    database.written.append("1:1.1:1.1.9")
    memory.reach(database, database.state, None)
    assert known(memory, "1:study", "1:1.1", "2:study") == {"2:study": [1, 7]}
    memory.reach(database, database.state, None)
    assert known(memory, "2:study") == {"2:study": [1, 7]}


def test_too_many_changes_forget_everything(memory, database):
    database.written += [f"9:{number}" for number in range(CHANGES)]
    memory.reach(database, database.state, None)
    assert known(memory, "1:study", "2:study") == {}
    version = memory.version
    memory.keep({"1:study": [3, 3]}, version)
    memory.reach(database, database.state, None)
    assert known(memory, "1:study") == {"1:study": [3, 3]}


def test_what_was_counted_before_a_later_sequence_is_not_kept(memory, database):
    version = memory.version
    database.written.append("3:study")
    memory.reach(database, database.state, None)
    memory.keep({"3:study": [0, 0]}, version)
    assert known(memory, "3:study") == {}


def test_the_studies_that_were_asked_for_last_stay(memory):
    version = memory.version
    memory.keep({f"{number}:study": [1, 1] for number in range(5, 8)}, version)
    assert known(memory, "1:study", "2:study", "7:study") == {"7:study": [1, 1]}


def test_rows_are_kept_and_forgotten_with_their_study(memory, database):
    memory.keep_rows("1", "series_in_order", b"[1]", memory.version)
    memory.keep_rows("2", "series_in_order", b"[2]", memory.version)
    memory.reach(database, database.state, None)
    assert memory.find_rows("1", "series_in_order") == b"[1]"
    assert memory.find_rows("1", "studies_by_uid") is None
    database.written.append("1:study")
    memory.reach(database, database.state, None)
    assert memory.find_rows("1", "series_in_order") is None
    assert memory.find_rows("2", "series_in_order") == b"[2]"


def test_few_rows_are_kept(memory):
    for study in ("1", "2", "3"):
        memory.keep_rows(study, "studies_by_uid", b"[]", memory.version)
    memory.keep_rows("4", "studies_by_uid", b"x" * (LONGEST + 1), memory.version)
    memory.keep_rows("5", "studies_by_uid", b"[]", memory.version - 1)
    assert [study for study in "12345" if memory.find_rows(study, "studies_by_uid")] == ["2", "3"]


def test_nothing_is_remembered_before_a_sequence_was_reached():
    memory = Memory()
    memory.keep({"1:study": [1, 1]}, memory.version)
    memory.keep_rows("1", "studies_by_uid", b"[]", memory.version)
    assert memory.find(["1:study"]) == {}
    assert memory.find_rows("1", "studies_by_uid") is None


def test_a_database_made_anew_repeats_its_sequence(memory, database):
    memory.keep_rows("1", "studies_by_uid", b"[1]", memory.version)
    database.start = "2"
    memory.reach(database, database.state, None)
    assert known(memory, "1:study", "2:study") == {}
    assert memory.find_rows("1", "studies_by_uid") is None
    memory.keep({"1:study": [3, 3]}, memory.version)
    memory.reach(database, database.state, None)
    assert known(memory, "1:study") == {"1:study": [3, 3]}
