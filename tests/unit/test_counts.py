"""``shim/search/counts.py``: what is remembered holds at the sequence that was reached, and nothing else is."""

import pytest

from shim.search.counts import CHANGES, CountCache


class Database:
    """What the cache asks of a database: its sequence, and what changed since one."""

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
def cache(database):
    cache = CountCache(size=3)
    cache.reach(database, database.state, None)
    _known, version = cache.find([])
    cache.keep({"1:study": [1, 2], "1:1.1": [0, 2], "2:study": [1, 7]}, version)
    return cache


def known(cache, *ids):
    return cache.find(ids)[0]


def test_nothing_written(cache, database):
    cache.reach(database, database.state, None)
    assert known(cache, "1:study", "1:1.1", "3:study") == {"1:study": [1, 2], "1:1.1": [0, 2]}


def test_a_written_study_is_forgotten(cache, database):
    database.written.append("1:1.1:1.1.9")
    cache.reach(database, database.state, None)
    assert known(cache, "1:study", "1:1.1", "2:study") == {"2:study": [1, 7]}
    cache.reach(database, database.state, None)
    assert known(cache, "2:study") == {"2:study": [1, 7]}


def test_too_many_changes_forget_everything(cache, database):
    database.written += [f"9:{number}" for number in range(CHANGES)]
    cache.reach(database, database.state, None)
    assert known(cache, "1:study", "2:study") == {}
    _known, version = cache.find([])
    cache.keep({"1:study": [3, 3]}, version)
    cache.reach(database, database.state, None)
    assert known(cache, "1:study") == {"1:study": [3, 3]}


def test_what_was_counted_before_a_later_sequence_is_not_kept(cache, database):
    _known, version = cache.find([])
    database.written.append("3:study")
    cache.reach(database, database.state, None)
    cache.keep({"3:study": [0, 0]}, version)
    assert known(cache, "3:study") == {}


def test_a_database_made_anew_repeats_its_sequence(cache, database):
    database.start = "2"
    cache.reach(database, database.state, None)
    assert known(cache, "1:study", "2:study") == {}
    _known, version = cache.find([])
    cache.keep({"1:study": [3, 3]}, version)
    cache.reach(database, database.state, None)
    assert known(cache, "1:study") == {"1:study": [3, 3]}


def test_the_studies_that_were_asked_for_last_stay(cache):
    _known, version = cache.find([])
    cache.keep({f"{number}:study": [1, 1] for number in range(5, 8)}, version)
    assert known(cache, "1:study", "2:study", "7:study") == {"7:study": [1, 1]}
