"""``shim/wado/fingerprints.py``: a validator is kept while the database stands still, and not a write longer."""

import pytest

from shim.wado.fingerprints import Fingerprints


class Answer:
    def __init__(self, value):
        self.value = value

    def json(self):
        return self.value


class Database:
    """What is asked of a reader: the sequence, and the revisions of one instance and its headers."""

    def __init__(self):
        self.sequence = 1
        self.start_time = "1"
        self.revision = "1-a"
        self.counted = 0
        self.before_rows = lambda: None

    def start(self, request):
        if request.path == "":
            return Answer({"instance_start_time": self.start_time, "update_seq": self.sequence})
        self.counted += 1
        self.before_rows()
        return Answer({"rows": [{"id": "1:2:3", "value": {"rev": self.revision}}]})

    def write(self, revision):
        self.revision = revision
        self.sequence += 1


@pytest.fixture
def database():
    return Database()


@pytest.fixture
def kept():
    return Fingerprints(size=2)


def test_revisions_are_read_once_while_nothing_is_written(database, kept):
    first = kept.of(database, "1", "2")
    asked = database.counted
    assert kept.of(database, "1", "2") == first
    assert database.counted == asked


def test_a_write_is_seen(database, kept):
    first = kept.of(database, "1", "2")
    database.write("2-b")
    assert kept.of(database, "1", "2") != first


def test_a_database_made_anew_repeats_its_sequence(database, kept):
    first = kept.of(database, "1", "2")
    database.revision, database.start_time = "1-b", "2"
    assert kept.of(database, "1", "2") != first


def test_a_write_while_the_revisions_are_read(database, kept):
    database.before_rows = lambda: database.write("2-b")
    seen = kept.of(database, "1", "2")
    database.before_rows = lambda: None
    assert kept.of(database, "1", "2") == seen
    database.write("3-c")
    assert kept.of(database, "1", "2") != seen


def test_a_write_elsewhere_changes_no_validator(database, kept):
    first = kept.of(database, "1", "2")
    database.sequence += 1
    assert kept.of(database, "1", "2") == first


def test_levels_are_kept_apart_and_few_of_them(database, kept):
    for uids in (("1",), ("1", "2"), ("1", "2", "3")):
        kept.of(database, *uids)
    asked = database.counted
    kept.of(database, "1", "2", "3")
    assert database.counted == asked
    kept.of(database, "1")
    assert database.counted > asked
