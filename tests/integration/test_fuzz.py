"""A short run of ``tests/fuzz_http.py``."""

import pytest

from tests.fuzz_http import MOST_FILES, SLOW, run

MOST_GROWTH = 200_000_000  # of three processes that have just started, with all their caches


@pytest.mark.one_database("embedded")
def test_mutated_requests(server):
    told = run(server.url, server.pid, seed=7, cases=90, seconds=10)
    assert told.wrong == []
    assert told.kinds.total() > 30
    assert told.acknowledged > 10
    assert told.slowest < SLOW
    growth = told.growth()
    assert growth.memory < MOST_GROWTH
    assert growth.files < MOST_FILES
