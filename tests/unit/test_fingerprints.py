"""``shim/read/fingerprints.py``: a validator is kept while the database stands still, and not a write longer."""

from dataclasses import dataclass

import pytest

from dicouch.couch.ring import Ring
from dicouch.read import fingerprints
from dicouch.read.fingerprints import Fingerprints


class Answer:
    def __init__(self, value):
        self.value = value

    def json(self):
        return self.value

    def answer(self):
        return self

    def close(self):
        pass

    def rows(self):
        return iter(self.value["rows"])


@dataclass
class Found:
    fingerprint: str


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

    def ask(self, request):
        return self.start(request)

    def write(self, revision):
        self.revision = revision
        self.sequence += 1


@pytest.fixture
def database():
    return Database()


@pytest.fixture
def kept():
    return Fingerprints(Ring(limit=1 << 16))


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


def test_levels_are_kept_apart(database, kept):
    for uids in (("1",), ("1", "2"), ("1", "2", "3")):
        kept.of(database, *uids)
    asked = database.counted
    for uids in (("1",), ("1", "2"), ("1", "2", "3")):
        kept.of(database, *uids)
    assert database.counted == asked


def test_a_digest_of_what_was_read_is_kept(database, kept):
    kept.of(database, "9")
    assert not kept.is_known("1", "2", None)
    found = kept.learn(database, ("1", "2", None), lambda: Found("of the documents"))
    assert found.fingerprint == "of the documents"
    assert kept.is_known("1", "2", None)
    asked = database.counted
    assert kept.of(database, "1", "2") == "of the documents"
    assert database.counted == asked


@pytest.mark.parametrize("fresh", [0, 60])
@pytest.mark.parametrize("seen_before", [False, True])
def test_a_write_while_a_resource_is_read(database, kept, seen_before, fresh, monkeypatch):
    monkeypatch.setattr(fingerprints, "FRESH", fresh)
    if seen_before:
        kept.of(database, "9")

    def read():
        database.write("2-b")
        return Found("old")

    kept.learn(database, ("1", "2", None), read)
    assert kept.of(database, "1", "2") != "old"


@pytest.mark.parametrize("fresh", [0, 60])
def test_a_write_between_the_sequence_that_was_seen_and_the_reading(database, kept, fresh, monkeypatch):
    monkeypatch.setattr(fingerprints, "FRESH", fresh)
    kept.of(database, "9")
    database.write("2-b")
    kept.learn(database, ("1", "2", None), lambda: Found("new"))
    expected = Fingerprints(Ring(limit=1 << 16)).of(database, "1", "2")
    assert kept.of(database, "1", "2") == expected


def test_a_reading_that_fails_keeps_nothing(database, kept):
    with pytest.raises(ZeroDivisionError):
        kept.learn(database, ("1", "2", None), lambda: 1 // 0)
    assert not kept.is_known("1", "2", None)
